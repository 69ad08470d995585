"""The comb in a song's lines: combs of known spacing through a real STFT, and what is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from beetsplug.artifactnet.results import Comb
from beetsplug.artifactnet.scoring.comb import find_comb

RATE, N_FFT, HOP, N_BINS = 44_100, 32_768, 16_384, 10_240
SEGMENT = 3 * 44_100
HZ = RATE / N_FFT
WINDOW = np.hanning(N_FFT)
Song = NDArray[np.float64]


def lines_of(segments: Song) -> NDArray[np.float32]:
    """Return the lines of segments (n_segments, n_samples), as a model would give them.

    Each frame's log power above the mean of 17 bins, averaged, above the lowest of three,
    up to 3 dB.
    """
    starts = range(0, segments.shape[1] - N_FFT + 1, HOP)
    frames = np.stack([segments[:, start : start + N_FFT] for start in starts], axis=1)
    powers = np.square(np.abs(np.fft.rfft(frames * WINDOW)[..., :N_BINS]))
    levels = 10 * np.log10(powers + 1e-7)
    standing = np.maximum(levels - uniform_filter1d(levels, 17, axis=-1, mode="nearest"), 0)
    means = np.concatenate([standing.mean((0, 1))[None], standing.mean(1)])
    lowest = minimum_filter1d(means, 3, axis=-1, mode="nearest")
    return np.minimum(means - lowest, 3.0).astype(np.float32)


def noise(seed: int, n_segments: int = 3) -> Song:
    return np.random.default_rng(seed).normal(0, 0.1, (n_segments, SEGMENT))


def comb(spacing_hz: float, level: float) -> Song:
    """Return cosines at the multiples of a spacing up to 15 kHz, (n_samples,)."""
    # Not from 0 on: no sine below is 0 then.
    turns = spacing_hz * (np.arange(SEGMENT) + 1 / np.pi) / RATE
    n_lines = int(15_000 / spacing_hz)
    sums = np.sin((2 * n_lines + 1) * np.pi * turns) / np.sin(np.pi * turns)
    return level * (sums - 1) / 2


def cents_off_pitch(hz: float) -> float:
    """Return how far the next note of equal temperament is, cents."""
    semitones = 12 * np.log2(hz / 440)
    return float(100 * abs(semitones - round(semitones)))


def find(segments: Song) -> Comb | None:
    return find_comb(lines_of(segments), HZ)


class TestSpacing:
    @settings(max_examples=12)
    @given(spacing_hz=st.floats(21.0, 450.0), seed=st.integers(0, 99))
    def test_it_is_the_true_one(self, spacing_hz: float, seed: int) -> None:
        """Neither a multiple nor a fraction is named, and it is right to 0.1 %."""
        assume(cents_off_pitch(spacing_hz) > 4)
        found = find(noise(seed) + comb(spacing_hz, 0.002))
        assert found is not None
        assert found.spacing_hz == pytest.approx(spacing_hz, rel=1e-3)
        assert found.n_segments == found.n_of == 3

    @pytest.mark.parametrize(
        "spacing_hz",
        [21.533203125, 25.0, 43.06640625, 86.1328125, 100.0, 172.265625, 344.53125],
    )
    def test_known_decoders(self, spacing_hz: float) -> None:
        """The frame rates of decoders that are in use are named to 0.02 Hz."""
        found = find(noise(7) + comb(spacing_hz, 0.002))
        assert found is not None
        assert found.spacing_hz == pytest.approx(spacing_hz, abs=0.02)

    def test_every_second_line_is_stronger(self) -> None:
        """Weaker lines between strong ones belong to the comb."""
        found = find(noise(1) + comb(80.0, 0.0015) + comb(160.0, 0.0015))
        assert found is not None
        assert found.spacing_hz == pytest.approx(80.0, abs=0.05)

    def test_missing_lines(self) -> None:
        """Places without a line do not make another spacing of it."""
        lines = lines_of(noise(2) + comb(86.1328125, 0.002))
        places = (np.arange(14, 160, 3) * 86.1328125 / HZ).astype(int)
        for offset in range(-2, 4):
            lines[:, places + offset] = 0.0
        found = find_comb(lines, HZ)
        assert found is not None
        assert found.spacing_hz == pytest.approx(86.13, abs=0.05)


class TestSegments:
    def test_those_that_show_it_are_counted(self) -> None:
        """A comb in two of three segments is that of the song, and they are counted."""
        segments = noise(3)
        segments[:2] += comb(100.0, 0.002)
        found = find(segments)
        assert found is not None
        assert (found.n_segments, found.n_of) == (2, 3)

    def test_the_mean_shows_what_no_segment_does(self) -> None:
        """A comb too weak for a segment is found in the mean of all."""
        rng = np.random.default_rng(4)
        teeth = np.zeros(N_BINS)
        teeth[np.rint(np.arange(100, 13_500, 100) / HZ).astype(int)] = 1.0
        rows = rng.exponential(1.0, (25, N_BINS)) + 0.35 * teeth
        lines = np.concatenate([rows.mean(0)[None], rows])
        found = find_comb(lines, HZ)
        assert found is not None
        assert found.spacing_hz == pytest.approx(100.0, abs=0.1)
        assert found.n_segments < found.n_of == 25

    def test_height(self) -> None:
        """It is the mean over the lines above the mean over all bins."""
        lines = np.full((2, N_BINS), 0.5)
        lines += np.random.default_rng(0).normal(0, 0.01, lines.shape)
        lines[:, ::100] += 2.0
        found = find_comb(lines, HZ)
        assert found is not None
        assert found.spacing_hz == pytest.approx(100 * HZ, abs=0.01)
        assert found.height_db == pytest.approx(2.0 - 2.0 / 100, abs=0.05)


class TestNone:
    @pytest.mark.parametrize("seed", range(8))
    def test_noise(self, seed: int) -> None:
        assert find(noise(seed)) is None

    def test_lines_at_chance(self) -> None:
        """In 300 songs of independent lines there is none."""
        rng = np.random.default_rng(5)
        songs = (rng.exponential(0.5, (2, N_BINS)).clip(max=3.0) for _ in range(300))
        assert sum(find_comb(lines, HZ) is not None for lines in songs) == 0

    @pytest.mark.parametrize("seed", range(6))
    def test_harmonic_tones(self, seed: int) -> None:
        """A chord a segment, with harmonics that fall by 9 dB an octave and vibrato."""
        rng = np.random.default_rng(seed)
        seconds = np.arange(SEGMENT) / RATE
        segments = 0.05 * noise(seed)
        for place in range(len(segments)):
            for note in rng.choice(np.arange(45, 80), 3, replace=False):
                hz = 440 * 2 ** ((note - 69) / 12)
                bend = 0.003 * np.sin(2 * np.pi * 5.5 * seconds + rng.random()) / 5.5
                for number in range(1, int(12_000 / hz)):
                    turns = number * hz * (seconds + bend)
                    segments[place] += 0.1 * number**-1.5 * np.cos(2 * np.pi * turns)
        assert find(segments) is None

    def test_a_drone(self) -> None:
        """Harmonics of one held note over the whole spectrum are a tone's."""
        assert find(noise(0) + comb(440 * 2 ** (-26 / 12), 0.002)) is None

    @pytest.mark.parametrize("beats_per_minute", [90, 120, 174])
    def test_drums(self, beats_per_minute: int) -> None:
        """The same strokes in strict time have lines at their rate, which is no comb."""
        segments = 0.01 * noise(0)
        step = round(RATE * 60 / beats_per_minute / 4)
        stroke = np.random.default_rng(1).normal(0, 1, step) * np.exp(-np.arange(step) / 800)
        segments += np.resize(stroke, SEGMENT)
        assert find(segments) is None


class TestOddLines:
    @pytest.mark.parametrize(
        "lines",
        [
            np.zeros((3, N_BINS)),
            np.zeros((3, 0)),
            np.zeros((1, N_BINS)),
            np.ones((3, N_BINS)),
            np.ones((2, 100)),
            np.full((3, N_BINS), np.nan),
            np.full((3, N_BINS), np.inf),
        ],
        ids=["silence", "no bins", "no segments", "flat", "few", "nan", "infinite"],
    )
    def test_none(self, lines: Song) -> None:
        assert find_comb(lines, HZ) is None

    def test_one_bin_that_is_not_finite(self) -> None:
        """It counts as no line."""
        lines = lines_of(noise(7) + comb(100.0, 0.002))
        lines[:, 5_000] = np.nan
        found = find_comb(lines, HZ)
        assert found is not None
        assert found.spacing_hz == pytest.approx(100.0, abs=0.02)
