"""The state of signatures, by c2pa-python on files signed for real."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from beetsplug.artifactnet.scoring.provenance import (
    Signature,
    SignatureState,
    check_signature,
    describe,
)
from tests.support.signed_files import add_object, identity, store_of, write_signed
from tests.support.tagged_files import MUREKA, add_comment, add_tag, write_song

ISSUER = "Eleven Labs Inc."
SIGNABLE = ("mp3", "flac", "wav", "m4a")


@pytest.mark.parametrize("container", SIGNABLE)
def test_unchanged_and_changed(container: str, tmp_path: Path) -> None:
    """An unchanged file is never trusted by itself; one tag written later is told."""
    path = write_signed(tmp_path / f"a.{container}")
    assert check_signature(path) == Signature(SignatureState.UNTRUSTED, ISSUER)
    add_comment(path, "hello")
    if container == "flac":
        # Vorbis comments lie behind the ID3 tag, in what was hashed.
        assert check_signature(path).state is SignatureState.CHANGED
    assert check_signature(path) == Signature(SignatureState.CHANGED, ISSUER)


@pytest.mark.parametrize("container", SIGNABLE)
def test_trusted(container: str, tmp_path: Path) -> None:
    """With the signer's certificate among the anchors the signature is trusted."""
    path = write_signed(tmp_path / f"a.{container}")
    anchors = identity().certificate.decode()
    assert check_signature(path, anchors) == Signature(SignatureState.TRUSTED, ISSUER)
    others = identity("Somebody else").certificate.decode()
    assert check_signature(path, others).state is SignatureState.UNTRUSTED


@pytest.mark.slow
def test_expired(tmp_path: Path) -> None:
    """A certificate that has run out since it signed is told."""
    signer = identity("Short Lived", valid_s=2.0)
    path = write_signed(tmp_path / "a.wav", signer=signer)
    deadline = time.monotonic() + 30
    while check_signature(path).state is SignatureState.UNTRUSTED:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert check_signature(path) == Signature(SignatureState.EXPIRED, "Short Lived")


@pytest.mark.parametrize("container", ["ogg", "opus"])
def test_containers_that_cannot_be_looked_into(container: str, tmp_path: Path) -> None:
    """What c2pa-python does not read is told from a file without a manifest."""
    path = write_signed(tmp_path / f"a.{container}")
    assert check_signature(path).state is SignatureState.UNSUPPORTED
    plain = write_song(tmp_path / f"b.{container}")
    assert check_signature(plain).state is SignatureState.NO_MANIFEST


def test_mime_type_that_is_not_looked_for(tmp_path: Path) -> None:
    """A manifest under application/jumbf is there, and cannot be checked."""
    path = add_object(
        write_song(tmp_path / "a.mp3"), store_of(None, tmp_path), "application/jumbf"
    )
    assert check_signature(path).state is SignatureState.UNSUPPORTED


def test_not_valid(tmp_path: Path) -> None:
    """A broken manifest is said to be that, with a reason, and is no exception."""
    path = add_object(write_song(tmp_path / "a.mp3"), b"\0" * 64)
    signature = check_signature(path)
    assert signature.state is SignatureState.INVALID
    assert signature.detail


@pytest.mark.parametrize("container", [*SIGNABLE, "ogg"])
def test_no_manifest(container: str, tmp_path: Path) -> None:
    """A file without a manifest, and none at all, have no signature."""
    path = write_song(tmp_path / f"a.{container}")
    assert check_signature(path).state is SignatureState.NO_MANIFEST
    assert check_signature(tmp_path / "none.mp3").state is SignatureState.NO_MANIFEST


def test_description(tmp_path: Path) -> None:
    """Lines for people and values for JSON name claims, issuer and state."""
    path = add_tag(write_signed(tmp_path / "a.mp3"), "AIGC", MUREKA)
    description = describe(path)
    lines = list(description.lines())
    assert sorted(line.partition(" ")[0] for line in lines[:-1]) == [
        "elevenlabs:c2pa",
        "mureka:aigc",
    ]
    assert lines[-1] == f"signature: {ISSUER}, file or manifest changed since it was signed"
    values = description.as_dict()
    assert {c["claim"]: c["strength"] for c in values["claims"]} == {
        "elevenlabs:c2pa": "strong",
        "mureka:aigc": "strong",
    }
    assert values["c2pa"] == {
        "issuer": ISSUER,
        "state": "changed",
        "detail": "",
        "actions": ["c2pa.created"],
        "source_type": "trainedAlgorithmicMedia",
        "generator": "maker",
    }


def test_description_of_a_silent_file(tmp_path: Path) -> None:
    """A file that says nothing has no lines, and nothing in JSON."""
    description = describe(write_song(tmp_path / "a.mp3"))
    assert list(description.lines()) == []
    assert description.as_dict() == {"claims": [], "c2pa": None}


def test_without_the_extra(tmp_path: Path) -> None:
    """Without c2pa-python claim and issuer are still read, and the state is unknown."""
    path = write_signed(tmp_path / "a.mp3")
    code = (
        "import sys; sys.modules['c2pa'] = None\n"
        "from pathlib import Path\n"
        "from beetsplug.artifactnet.scoring.provenance import describe\n"
        "print('\\n'.join(describe(Path(sys.argv[1])).lines()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    claim, signature = done.stdout.splitlines()
    assert claim.startswith("elevenlabs:c2pa (strong)")
    assert signature == f"signature: {ISSUER}, unknown"
