"""FFmpeg's resampler against soxr, in whose place it stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import open_audio, read_waveform, resampling, sndfile
from beetsplug.artifactnet.audio.resampling import _FfmpegResampler

RATES = [
    (48_000, 44_100),
    (44_100, 16_000),
    (22_050, 44_100),
    (4_000, 44_100),
    (192_000, 44_100),
    (2_822_400, 44_100),
    (44_056, 44_100),
    (44_101, 44_100),
]
ANY_RATE = st.sampled_from([4_000, 11_025, 16_000, 24_000, 37_800, 44_100, 48_000, 352_800])


@pytest.fixture
def _without_soxr_and_libsndfile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "soxr", None)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for found in (resampling._soxr, sndfile._soundfile):
        found.cache_clear()
    yield
    for found in (resampling._soxr, sndfile._soundfile):
        found.cache_clear()


def by_ffmpeg(
    samples: NDArray[np.float32], from_hz: int, to_hz: int, n_pieces: int = 1
) -> NDArray[np.float32]:
    resampler = _FfmpegResampler(from_hz, to_hz)
    pieces = np.array_split(samples, n_pieces)
    return np.concatenate([*(resampler.push(piece) for piece in pieces), resampler.end()])


def tone(frequency_hz: float, sample_rate: int, n_samples: int) -> NDArray[np.float32]:
    """Return a tone that swells up and down, so that its ends are no steps."""
    time_s = np.arange(n_samples) / sample_rate
    sine = np.sin(2 * np.pi * frequency_hz * time_s)
    return (sine * np.hanning(n_samples)).astype(np.float32)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_tone_is_where_soxr_has_it(from_hz: int, to_hz: int) -> None:
    """Up to 60 % of the band the two agree to -80 dB, sample by sample."""
    for share in (0.05, 0.3, 0.6):
        signal = tone(share * min(from_hz, to_hz) / 2, from_hz, from_hz // 4)
        expected = soxr.resample(signal, from_hz, to_hz, quality="HQ")
        np.testing.assert_allclose(by_ffmpeg(signal, from_hz, to_hz), expected, atol=1e-4)


def test_no_alias_comes_back() -> None:
    """What lies above a 16-kHz model's band is gone, where FFmpeg's own filter lets it by."""
    signal = tone(8_300, 44_100, 44_100)
    assert np.abs(by_ffmpeg(signal, 44_100, 16_000)).max() < 1e-4


@settings(max_examples=60)
@given(ANY_RATE, ANY_RATE, st.integers(0, 3_000), st.integers(1, 9))
def test_as_many_samples_as_soxr(
    from_hz: int, to_hz: int, n_samples: int, n_pieces: int
) -> None:
    """However short a signal is, and in however many pieces it comes."""
    if from_hz == to_hz:
        return
    signal = np.random.default_rng(n_samples).uniform(-1, 1, n_samples).astype(np.float32)
    expected = soxr.resample(signal, from_hz, to_hz, quality="HQ") if n_samples else signal
    whole = by_ffmpeg(signal, from_hz, to_hz)
    assert len(whole) == len(expected)
    pieces = by_ffmpeg(signal, from_hz, to_hz, n_pieces)
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("_without_soxr_and_libsndfile")
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_ffmpeg_reads_what_libsndfile_does(suffix: str, tmp_path: Path) -> None:
    """Spans of what FFmpeg decodes and resamples are those of a whole decode."""
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, 0.5 * tone(997, 44_100, 3 * 44_100), 44_100)
    whole = read_waveform(path, 16_000).samples
    with open_audio(path) as reader:
        assert reader.decoder == "FFmpeg"
        assert reader.n_samples(16_000) == len(whole)
        starts = [0, 12_345, 40_000]
        for start, span in zip(starts, reader.spans(starts, 8_000, 16_000), strict=True):
            expected = whole[start : start + 8_000]
            np.testing.assert_allclose(span[: len(expected)], expected, rtol=0, atol=1e-5)
    expected = 0.5 * tone(997, 16_000, 3 * 16_000)
    assert np.abs(whole[: len(expected)] - expected[: len(whole)]).max() < 0.02
