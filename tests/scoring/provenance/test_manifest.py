"""C2PA manifests, signed for real, in every container that can hold one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cbor2
import mutagen.id3
import pytest
import soundfile

from beetsplug.artifactnet.results import Strength, format_claims
from beetsplug.artifactnet.scoring.provenance import (
    carries_manifest,
    read_claims,
    read_manifests,
)
from tests.support.audio_files import encode, music
from tests.support.signed_files import (
    CAPTURED,
    COMPOSITE,
    TRAINED,
    add_object,
    add_ogg_stream,
    identity,
    manifest,
    sign,
    store_of,
    write_signed,
)
from tests.support.tagged_files import SUNO_COMMENT, add_comment, write_song

id3: Any = mutagen.id3
CONTAINERS = ("mp3", "flac", "wav", "m4a", "ogg", "opus")
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def words(path: Path) -> str:
    return format_claims(read_claims(path))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the manifest store of a song that was generated."""
    return store_of(None, tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container(container: str, tmp_path: Path) -> None:
    """Action, source type, program and issuer are read wherever the manifest stands."""
    definition = manifest(agent={"name": "Music v1", "version": "1"})
    path = write_signed(tmp_path / f"a.{container}", definition)
    (claim,) = read_claims(path)
    assert (claim.word, claim.strength) == ("elevenlabs:c2pa", Strength.STRONG)
    (found,) = read_manifests(path)
    assert [(a.name, a.source_type) for a in found.actions] == [
        ("c2pa.created", "trainedAlgorithmicMedia")
    ]
    assert (found.agent, found.generator, found.issuer) == (
        "Music v1",
        "maker",
        "Eleven Labs Inc.",
    )
    assert carries_manifest(path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_tags_beside_a_manifest(container: str, tmp_path: Path) -> None:
    """A comment written later leaves the manifest's claim, and is read beside it."""
    path = write_signed(tmp_path / f"a.{container}")
    add_comment(path, SUNO_COMMENT)
    assert {claim.word for claim in read_claims(path)} == {"elevenlabs:c2pa", "suno:comment"}


@pytest.mark.parametrize("container", CONTAINERS)
def test_no_manifest(container: str, tmp_path: Path) -> None:
    """A file without a manifest carries none."""
    path = write_song(tmp_path / f"a.{container}")
    assert not carries_manifest(path)
    assert read_manifests(path) == ()


@pytest.mark.parametrize(
    ("definition", "word"),
    [
        (manifest(), "acme-music-gmbh:c2pa"),
        (manifest("c2pa.created", TRAINED, {"name": "Suno Studio"}), "suno:c2pa"),
        (manifest("c2pa.created", TRAINED, "Google Lyria"), "google:c2pa"),
        (manifest(com__suno__provenance={"providerName": "Suno, Inc."}), "suno:c2pa"),
        (manifest("c2pa.created", COMPOSITE), "acme-music-gmbh:c2pa-composite"),
        (manifest("c2pa.created", CAPTURED), "acme-music-gmbh:c2pa-other"),
        (manifest("c2pa.created", f"{TRAINED}Not"), "acme-music-gmbh:c2pa-other"),
    ],
)
def test_what_a_manifest_claims(definition: Any, word: str, tmp_path: Path) -> None:
    """Creation by a trained model is strong, all else is weak; the maker is named."""
    path = write_signed(tmp_path / "a.wav", definition, identity("Acme Music: GmbH,"))
    (claim,) = read_claims(path)
    assert claim.word == word
    assert (claim.strength is Strength.STRONG) == word.endswith(":c2pa")


def test_an_edit_of_generated_parts(tmp_path: Path) -> None:
    """A recording that was captured and edited with a trained model is not declared."""
    actions = [
        {"action": "c2pa.created", "digitalSourceType": CAPTURED},
        {"action": "c2pa.edited", "digitalSourceType": TRAINED},
    ]
    definition = manifest()
    definition["assertions"] = [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]
    assert words(write_signed(tmp_path / "a.wav", definition)) == "elevenlabs:c2pa-other"


def test_the_newest_manifest_counts(tmp_path: Path) -> None:
    """A human-made song with a generated ingredient speaks for itself, not for that."""
    path = write_signed(tmp_path / "a.wav")
    sign(path, manifest("c2pa.created", CAPTURED), identity("Daw & Co."))
    assert words(path) == "daw-co:c2pa-other"


@pytest.mark.parametrize("place", ["claim_generator", "softwareAgents"])
def test_older_and_newer_spellings(place: str, store: bytes) -> None:
    """Programs are named in several places by the versions of the standard."""
    from beetsplug.artifactnet.scoring.provenance.manifest import read_manifest

    action: dict[str, object] = {"action": "c2pa.created", "digitalSourceType": TRAINED}
    assertion: dict[str, object] = {"actions": [action]}
    claim: dict[str, object] = {}
    if place == "softwareAgents":
        action["softwareAgentIndex"] = 1
        assertion["softwareAgents"] = [{"name": "mixer"}, {"name": "Suno v5"}]
    else:
        claim["claim_generator"] = "Suno/5 c2pa-rs/0.1"
    data = made_store(assertion, claim)
    assert read_manifest(data).claim().word == "suno:c2pa"
    assert read_manifest(store).claim().word == "elevenlabs:c2pa"


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (len(body) + 8).to_bytes(4, "big") + kind + body


def superbox(kind: bytes, label: str, *parts: bytes) -> bytes:
    description = kind + bytes.fromhex("0011001080000 0aa00389b71".replace(" ", ""))
    return box(b"jumb", box(b"jumd", description, b"\3", label.encode(), b"\0"), *parts)


def made_store(assertion: object, claim: object, kind: bytes = b"c2ma") -> bytes:
    """Return a store with one manifest that nobody signed."""
    cbor = [box(b"cbor", cbor2.dumps(value)) for value in (assertion, claim)]
    return superbox(
        b"c2pa",
        "c2pa",
        superbox(
            kind,
            "urn:c2pa:1",
            superbox(b"c2as", "c2pa.assertions", superbox(b"cbor", "c2pa.actions", cbor[0])),
            superbox(b"c2cl", "c2pa.claim", cbor[1]),
        ),
    )


def test_an_update_adds_to_the_manifest_before_it(store: bytes, tmp_path: Path) -> None:
    """A manifest that only adds something leaves the one before it in force."""
    update = superbox(b"c2um", "urn:c2pa:2", superbox(b"c2as", "c2pa.assertions"))
    size = int.from_bytes(store[:4], "big") + len(update)
    updated = size.to_bytes(4, "big") + store[4:] + update
    path = add_object(write_song(tmp_path / "a.mp3"), updated)
    assert words(path) == "elevenlabs:c2pa"


MIME_TYPES = ("application/c2pa", "application/x-c2pa-manifest-store", "application/jumbf")


@pytest.mark.parametrize("mime", [*MIME_TYPES, "Application/C2PA; version=2.1"])
@pytest.mark.parametrize("container", ["mp3", "flac", "aiff"])
def test_mime_types(mime: str, container: str, store: bytes, tmp_path: Path) -> None:
    """Every MIME type in use names a manifest, with parameters and in any case too."""
    path = write_song(tmp_path / f"a.{container}")
    if container == "aiff":
        import mutagen.aiff

        file: Any = mutagen.aiff.AIFF(path)  # type: ignore[no-untyped-call]
        file.add_tags()
        file.tags.add(id3.GEOB(encoding=3, mime=mime, filename="", desc="", data=store))
        file.save()
    else:
        add_object(path, store, mime)
    assert words(path) == "elevenlabs:c2pa"


def test_other_objects(store: bytes, tmp_path: Path) -> None:
    """Objects of other kinds, and JUMBF of other kinds, are no manifest."""
    path = write_song(tmp_path / "a.mp3")
    add_object(path, store, "application/json")
    add_object(path, superbox(b"json", "something"), "application/jumbf")
    assert not carries_manifest(path)
    assert words(path) == ""


@pytest.mark.parametrize("mime", ["application/c2pa", "application/x-c2pa-manifest-store"])
@pytest.mark.parametrize("data", [b"", b"manifest", b"\0" * 64, b"\xff" * 64])
def test_a_manifest_that_cannot_be_read(data: bytes, mime: str, tmp_path: Path) -> None:
    """That there is one is a weak claim of nobody."""
    path = add_object(write_song(tmp_path / "a.mp3"), data, mime)
    (claim,) = read_claims(path)
    assert (claim.word, claim.strength) == ("unknown:c2pa-other", Strength.WEAK)


# --- containers ----------------------------------------------------------------------


def uuid_box(store: bytes, *, is_large: bool = False, purpose: bytes = b"manifest") -> bytes:
    body = C2PA_UUID + bytes(4) + purpose + b"\0" + bytes(8) + store
    if is_large:
        return b"\0\0\0\1uuid" + (len(body) + 16).to_bytes(8, "big") + body
    return box(b"uuid", body)


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("place", ["end", "after_ftyp"])
def test_box_of_mp4(place: str, is_large: bool, store: bytes, tmp_path: Path) -> None:
    """The box is found wherever it stands, in either form of size."""
    path = write_song(tmp_path / "a.m4a")
    data = path.read_bytes()
    split = len(data) if place == "end" else int.from_bytes(data[:4], "big")
    added = uuid_box(store, is_large=is_large)
    path.write_bytes(data[:split] + added + data[split:])
    assert words(path) == "elevenlabs:c2pa"


def test_last_box_of_mp4_without_a_size(store: bytes, tmp_path: Path) -> None:
    """A box of size 0 goes to the file's end."""
    path = write_song(tmp_path / "a.m4a")
    with path.open("ab") as file:
        file.write(bytes(4) + uuid_box(store)[4:])
    assert words(path) == "elevenlabs:c2pa"


@pytest.mark.parametrize(
    "added",
    [
        box(b"uuid", bytes(16), b"manifest"),
        box(b"uuid", b"\1" * 16, C2PA_UUID),
        uuid_box(b"hashes", purpose=b"merkle"),
        *(size.to_bytes(4, "big") + b"free" + bytes(40) for size in range(8)),
    ],
)
def test_other_boxes_of_mp4(added: bytes, tmp_path: Path) -> None:
    """A box of another kind is no claim, nor is one that ends nowhere."""
    path = write_song(tmp_path / "a.m4a")
    with path.open("ab") as file:
        file.write(added)
    assert words(path) == ""


@pytest.mark.parametrize("format_", ["WAV", "RF64"])
def test_chunk_of_wav(format_: str, store: bytes, tmp_path: Path) -> None:
    """The chunk is found behind others, of odd length too, and in 64-bit files."""
    path = tmp_path / "a.wav"
    soundfile.write(path, music(0.5, 44_100, 1), 44_100, "PCM_16", format=format_)
    chunks = b"junk" + (3).to_bytes(4, "little") + b"abc\0"
    chunks += b"C2PA" + len(store).to_bytes(4, "little") + store
    path.write_bytes(path.read_bytes() + chunks)
    assert words(path) == "elevenlabs:c2pa"


@pytest.mark.parametrize("container", ["ogg", "opus"])
@pytest.mark.parametrize("is_first", [False, True])
def test_stream_of_ogg(container: str, is_first: bool, store: bytes, tmp_path: Path) -> None:
    """The stream is found before and behind the audio's, and the tags are read too."""
    path = add_comment(write_song(tmp_path / f"a.{container}"), SUNO_COMMENT)
    add_ogg_stream(path, store, is_first=is_first)
    assert {claim.word for claim in read_claims(path)} == {"elevenlabs:c2pa", "suno:comment"}


def test_large_store_in_ogg(store: bytes, tmp_path: Path) -> None:
    """A store that spans many pages is put together."""
    padding = box(b"free", bytes(300_000))
    size = int.from_bytes(store[:4], "big") + len(padding)
    path = add_ogg_stream(
        write_song(tmp_path / "a.ogg"), size.to_bytes(4, "big") + store[4:] + padding
    )
    assert words(path) == "elevenlabs:c2pa"


@pytest.mark.parametrize("container", CONTAINERS)
def test_cut_short(container: str, tmp_path: Path) -> None:
    """A file that ends within or behind its manifest claims that or less, and nothing else."""
    path = write_signed(tmp_path / f"a.{container}")
    data = path.read_bytes()
    for end in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:end])
        assert re.fullmatch(r"|(unknown|maker|elevenlabs):c2pa(-other)?", words(path))


# --- hostile content -----------------------------------------------------------------


@pytest.mark.parametrize(
    "assertion",
    [
        b"\x81" * 100_000,
        b"\xa1" * 100_000,
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xc2\x5a\x00\x00\xff\xff" + b"\xff" * 0xFFFF,
        b"\xd8\x23\x62((",
        b"",
    ],
)
def test_hostile_cbor(assertion: bytes, tmp_path: Path) -> None:
    """Nesting without end, cycles and lengths that are not there cost the assertion alone."""
    claim = cbor2.dumps({"claim_generator": "Suno"})
    data = superbox(
        b"c2pa",
        "c2pa",
        superbox(
            b"c2ma",
            "urn:c2pa:1",
            superbox(
                b"c2as",
                "c2pa.assertions",
                superbox(b"cbor", "c2pa.actions", box(b"cbor", assertion)),
            ),
            superbox(b"c2cl", "c2pa.claim.v2", box(b"cbor", claim)),
        ),
    )
    path = add_object(write_song(tmp_path / "a.mp3"), data)
    assert words(path) == "suno:c2pa-other"


@pytest.mark.parametrize(
    "assertion",
    [
        {"actions": "c2pa.created"},
        {"actions": [1, None, "x", [], {"action": 1, "digitalSourceType": [TRAINED]}]},
        {"actions": [{"action": "c2pa.created", "digitalSourceType": {"a": TRAINED}}]},
        {"actions": [{"softwareAgentIndex": -1}, {"softwareAgentIndex": 2**70}]},
        {"softwareAgents": 1, "actions": {"0": {}}},
        [],
        "text",
        json.loads("[" * 20 + "]" * 20),
    ],
)
def test_values_of_other_types(assertion: object) -> None:
    """Values of types that the standard does not have are as if they were not there."""
    from beetsplug.artifactnet.scoring.provenance.manifest import read_manifest

    claim = read_manifest(made_store(assertion, ["no map"])).claim()
    assert claim.word == "unknown:c2pa-other"


def test_boxes_within_boxes(tmp_path: Path) -> None:
    """Boxes nested without end are not followed."""
    data = b""
    for _ in range(5_000):
        data = superbox(b"c2pa", "c2pa", data)
    path = add_object(write_song(tmp_path / "a.mp3"), data)
    assert words(path) == "unknown:c2pa-other"


def test_signed_wav_still_plays(tmp_path: Path) -> None:
    """The test's own files are whole: the audio is what was encoded."""
    path = encode(tmp_path / "a.wav", music(0.5), 44_100)
    before = soundfile.read(path)[0]
    sign(path)
    assert (soundfile.read(path)[0] == before).all()
