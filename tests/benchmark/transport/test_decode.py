"""Decoding for the transport test: channels kept, more than two mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from beetsplug.artifactnet.benchmark.transport.decode import decode
from beetsplug.artifactnet.errors import AudioError
from tests.support.audio_files import encode as write_audio
from tests.support.audio_files import music


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".m4a", ".opus", ".wav"])
def test_decoding(suffix: str, tmp_path: Path) -> None:
    """Both channels of whatever a library holds."""
    rate = 48_000
    samples = music(1.0, rate)
    found, found_rate = decode(write_audio(tmp_path / f"x{suffix}", samples, rate))
    assert found_rate == rate
    assert found.shape[1] == 2
    assert abs(len(found) - len(samples)) <= 2_400


def test_more_than_two_channels(tmp_path: Path) -> None:
    """They are mixed to two, which every codec takes."""
    path = write_audio(tmp_path / "x.flac", music(0.5, 48_000, 6), 48_000)
    assert decode(path)[0].shape == (24_000, 2)


def test_what_is_no_audio(tmp_path: Path) -> None:
    """It is an error of the file."""
    (tmp_path / "x.mp3").write_text("text")
    with pytest.raises(AudioError):
        decode(tmp_path / "x.mp3")
