"""Clips: which seconds of a track they hold, and which files need one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beetsplug.artifactnet.audio.clips import Clip, Place, cut_clip, is_played
from tests.support.audio_files import encode, suffix


def staircase(path: Path) -> Path:
    """Write 30 seconds whose n-th second is a tone of n times 0.01."""
    time_s = np.arange(30 * 44_100) / 44_100
    samples = 0.01 * (1 + np.floor(time_s)) * np.sin(2 * np.pi * 441 * time_s)
    return encode(path, samples[:, None].astype(np.float32), 44_100, "flac")


@pytest.mark.parametrize(("start_s", "first"), [(0.0, 0), (12.0, 12), (27.0, 20), (99.0, 20)])
def test_a_clip_begins_at_its_place(start_s: float, first: int, tmp_path: Path) -> None:
    """Ten seconds from there, and the last ten where there are fewer left."""
    clip = cut_clip(Place(staircase(tmp_path / "a.flac"), start_s))
    assert isinstance(clip, Clip)
    assert clip.start_s == pytest.approx(first, abs=0.001)
    samples, rate = soundfile.read(io.BytesIO(clip.data))
    assert len(samples) / rate == pytest.approx(10, abs=0.02)
    for second in (0, 5, 9):
        inside = samples[int((second + 0.2) * rate) : int((second + 0.8) * rate)]
        level = np.sqrt(2 * np.mean(inside**2))
        assert level == pytest.approx(0.01 * (1 + first + second), rel=0.1)


def test_no_clip(tmp_path: Path) -> None:
    """A file that cannot be decoded gives a reason, and a short one all that it has."""
    assert cut_clip(Place(tmp_path / "none.flac", 0.0)) == "no such file"
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC")
    assert isinstance(cut_clip(Place(broken, 0.0)), str)
    short = encode(tmp_path / "s.wav", np.full((4_410, 1), 0.1, np.float32), 44_100, "wav")
    clip = cut_clip(Place(short, 3.0))
    assert isinstance(clip, Clip)
    assert clip.start_s == 0.0


@pytest.mark.parametrize(
    ("container", "plays"),
    [("mp3", True), ("mp3_cbr_no_xing", False), ("mp3_vbr_no_xing", False)],
)
def test_mp3_without_a_length(container: str, plays: bool, tmp_path: Path) -> None:
    """Browsers guess places in an MP3 whose first frame does not tell its length."""
    path = tmp_path / f"a{suffix(container)}"
    encode(path, np.full((88_200, 2), 0.1, np.float32), 44_100, container)
    assert is_played(path, "MP3") is plays


def test_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for codec in ("AAC", "FLAC", "OGG", "Opus", "WAVE"):
        assert is_played(path, codec)
    for codec in ("ALAC", "AIFF", "Windows Media", "WavPack", "APE", "MP3", ""):
        assert not is_played(path, codec)
