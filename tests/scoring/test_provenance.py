"""What a file says of its own origin, written by real taggers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.oggvorbis
import numpy as np
import pytest

from beetsplug.artifactnet.scoring.provenance import read_provenance
from tests.support.audio_files import encode, music

# mutagen has no type annotations.
id3: Any = mutagen.id3
MP4: Any = mutagen.mp4.MP4
FLAC: Any = mutagen.flac.FLAC
OggVorbis: Any = mutagen.oggvorbis.OggVorbis

SUNO = "made with suno; created=2025-01-01T00:00:00Z; id=0"
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def mp3_with(folder: Path, *frames: object) -> Path:
    path = encode(folder / "a.mp3", music(1.0), 44_100)
    tags = id3.ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(path)
    return path


def m4a_with(folder: Path, **fields: object) -> Path:
    path = encode(folder / "a.m4a", music(1.0), 44_100)
    file = MP4(path)
    for key, value in fields.items():
        file.tags[key] = value
    file.save()
    return path


def vorbis_with(folder: Path, container: str, kind: Any, comment: str) -> Path:
    path = encode(folder / f"a.{container}", music(1.0), 44_100)
    file = kind(path)
    file["COMMENT"] = comment
    file.save()
    return path


def comm(text: str) -> object:
    return id3.COMM(encoding=3, lang="eng", desc="", text=text)


SUNO_WRITERS: dict[str, Callable[[Path], Path]] = {
    "COMM": lambda folder: mp3_with(folder, comm(SUNO)),
    "TXXX": lambda folder: mp3_with(folder, id3.TXXX(encoding=3, desc="comment", text=SUNO)),
    "WOAS": lambda folder: mp3_with(folder, id3.WOAS(url="https://suno.com/song/0-1-2")),
    "MP4": lambda folder: m4a_with(folder, **{"\xa9cmt": SUNO}),
    "FLAC": lambda folder: vorbis_with(folder, "flac", FLAC, SUNO),
    "Vorbis": lambda folder: vorbis_with(folder, "ogg", OggVorbis, SUNO),
    "upper case": lambda folder: mp3_with(folder, comm("MADE WITH SUNO STUDIO")),
    "old address": lambda folder: mp3_with(folder, comm("https://suno.ai/song/0")),
}


@pytest.mark.parametrize("writer", SUNO_WRITERS)
def test_suno(writer: str, tmp_path: Path) -> None:
    """Suno's comment or address is found in whatever tag it stands."""
    assert read_provenance(SUNO_WRITERS[writer](tmp_path)) == "suno"


def manifest() -> object:
    return id3.GEOB(
        encoding=3, mime="application/c2pa", filename="", desc="c2pa", data=b"manifest"
    )


def test_c2pa_frame(tmp_path: Path) -> None:
    """A C2PA manifest in an ID3 object frame is found."""
    assert read_provenance(mp3_with(tmp_path, manifest())) == "c2pa"


def test_both(tmp_path: Path) -> None:
    """Comment and manifest are both told, separated by a comma."""
    assert read_provenance(mp3_with(tmp_path, manifest(), comm(SUNO))) == "suno,c2pa"


def uuid_box(uuid: bytes, *, is_large: bool = False) -> bytes:
    body = uuid + b"manifest"
    if is_large:
        return b"\0\0\0\1uuid" + (len(body) + 16).to_bytes(8, "big") + body
    return (len(body) + 8).to_bytes(4, "big") + b"uuid" + body


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("place", ["end", "after_ftyp"])
def test_c2pa_box(place: str, is_large: bool, tmp_path: Path) -> None:
    """A C2PA box of an MP4 file is found wherever it stands, in either form of size."""
    path = encode(tmp_path / "a.m4a", music(1.0), 44_100)
    data = path.read_bytes()
    split = len(data) if place == "end" else int.from_bytes(data[:4], "big")
    box = uuid_box(C2PA_UUID, is_large=is_large)
    path.write_bytes(data[:split] + box + data[split:])
    assert read_provenance(path) == "c2pa"


def test_another_box(tmp_path: Path) -> None:
    """A box of another kind is no claim, even with the same bytes further in."""
    path = encode(tmp_path / "a.m4a", music(1.0), 44_100)
    with path.open("ab") as file:
        file.write(uuid_box(bytes(16)) + uuid_box(b"\1" * 16 + C2PA_UUID))
    assert read_provenance(path) == ""


@pytest.mark.parametrize(
    "text",
    ["", "made with love", "Suno", "sunoco", "a cover of a song made with Sun Ra", "suno.com"],
)
def test_other_comments(text: str, tmp_path: Path) -> None:
    """A comment that only resembles Suno's is no claim."""
    assert read_provenance(mp3_with(tmp_path, comm(text))) == ""


@pytest.mark.parametrize("container", ["wav", "flac", "ogg", "mp3", "m4a", "wma"])
def test_no_claim(container: str, tmp_path: Path) -> None:
    """A file without tags claims nothing."""
    path = encode(tmp_path / f"a.{container}", music(1.0), 44_100)
    assert read_provenance(path) == ""


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("head", [b"", b"ID3\x04\0\0\0\0\x7f\x7f", b"\0\0\0\x08ftyp", b"fLaC"])
def test_garbage(head: bytes, seed: int, tmp_path: Path) -> None:
    """Bytes that no tag parser understands claim nothing."""
    path = tmp_path / "a.mp3"
    path.write_bytes(head + np.random.default_rng(seed).bytes(3_000))
    assert read_provenance(path) == ""


def test_box_that_ends_nowhere(tmp_path: Path) -> None:
    """A box of size 0 or shorter than its header ends the search."""
    path = tmp_path / "a.m4a"
    for size in range(8):
        path.write_bytes(b"\0\0\0\x08ftyp" + size.to_bytes(4, "big") + b"free" + bytes(40))
        assert read_provenance(path) == ""


def test_no_file(tmp_path: Path) -> None:
    """A missing file and a folder claim nothing."""
    assert read_provenance(tmp_path / "none.mp3") == ""
    assert read_provenance(tmp_path) == ""
