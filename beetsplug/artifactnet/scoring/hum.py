"""Mains hum: told from music by its steadiness, and taken out of a segment.

Hum is a sum of harmonics of one frequency near 50 or 60 Hz, whose amplitudes and phases stay
the same whatever the music does. Each harmonic is therefore measured where the music around it
is quietest: blocks of 80 ms, weighted by one over the power beside the harmonic. A decoder's
comb may have the same spacing. But it rises and falls with the music, and hardly shows in a
mean that is weighted like this.

Since the music has little weight in that mean, taking the hum out leaves no gap in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
_Reals = NDArray[np.float64]
_Lines = NDArray[np.complex128]

_MAINS_HZ = (50, 60)
_BLOCK_S = 0.08
_LEAST_BLOCKS = 8
_TOP_HZ = 13_500.0
"""Harmonics up to here are measured and taken out."""
_MOST_DRIFT_HZ = 0.04
"""How far a mains' frequency may lie from 50 or 60 Hz."""
_DRIFT_STEPS_HZ = (0.001, 0.0005)
"""Steps of the search, and of the refinement after it."""
_N_TURNS = 256
_SEARCHED_HZ = 6_000
"""Least sample rate at which hum is searched for at little cost: up to 2 kHz."""
_SIGNIFICANT = 8.0
"""Power of a harmonic over that of chance, which exceeds it once in 3,000."""
_N_LOW = 40
"""Harmonics up to 2 kHz, where a decoder's comb is hidden by music."""
_LEAST_SHARE = 0.55
"""Share of the low harmonics that stand out where there is hum; a decoder's comb: 0.48."""
_LEAST_POWER = 25.0
"""Or median power of the others over that of chance; a decoder's comb: 14."""
_EXPECTED_SHARE, _EXPECTED_POWER = 0.35, 14.0
"""Both where another segment of the song has hum."""
_EVEN_OVER = 9
_UNEVENNESS = 0.5
"""Share of a harmonic by which it may differ from its neighbours' median and follow it."""
_TABLE = 16_384
"""Samples of the one period that the hum is interpolated from."""


@dataclass(frozen=True)
class _Hum:
    """Harmonics of one frequency in a segment."""

    frequency_hz: float
    amplitudes: _Lines
    """(n_harmonics,), of the first harmonic on, at the segment's first sample."""
    powers: _Reals
    """(n_harmonics,), over those of chance."""

    def is_there(self, *, is_expected: bool = False) -> bool:
        """Tell whether the harmonics are those of hum: all, the odd or the even ones."""
        least = (
            (_EXPECTED_SHARE, _EXPECTED_POWER) if is_expected else (_LEAST_SHARE, _LEAST_POWER)
        )
        low, high = self.powers[:_N_LOW], self.powers[_N_LOW:]
        return any(_stands_out(low[part], high[part], *least) for part in _PARTS)


_PARTS = (slice(None), slice(0, None, 2), slice(1, None, 2))


def _stands_out(low: _Reals, high: _Reals, least_share: float, least_power: float) -> bool:
    return bool(
        (low > _SIGNIFICANT).mean() >= least_share
        or (len(high) > 0 and np.median(high) >= least_power)
    )


def mains_of(samples: Samples, sample_rate: int, *, is_thorough: bool = False) -> int | None:
    """Return 50 or 60 Hz where a segment has mains hum of that, None where it has none.

    Args:
        samples: float32 (n_samples,) in [-1, 1].
        sample_rate: Hz. Where a period of 50 or 60 Hz is no whole number of samples, that
            frequency is not looked for.
        is_thorough: Whether to do so where a quick look below 2 kHz finds none, too.
    """
    if not is_thorough and not _may_hum(samples, sample_rate):
        return None
    for mains_hz in _MAINS_HZ:
        blocks = _Blocks.of(samples, sample_rate, mains_hz)
        if blocks is not None and blocks.search().is_there():
            return mains_hz
    return None


def _may_hum(samples: Samples, sample_rate: int) -> bool:
    """Tell whether hum may stand out below 2 kHz, from every few samples' mean."""
    lengths = math.gcd(*(_block(mains_hz, sample_rate)[1] for mains_hz in _MAINS_HZ))
    most = max(1, sample_rate // _SEARCHED_HZ)
    factor = max(n for n in range(1, most + 1) if lengths % n == 0 == sample_rate % n)
    means = samples[: len(samples) // factor * factor].reshape(-1, factor).mean(1)
    series = (_Blocks.of(means, sample_rate // factor, hz, _N_LOW) for hz in _MAINS_HZ)
    return any(blocks.search().is_there(is_expected=True) for blocks in series if blocks)


def without_hum(samples: Samples, sample_rate: int, mains_hz: int) -> Samples:
    """Return a segment of a song that has hum without it; one that has none as it is.

    Args:
        samples: float32 (n_samples,) in [-1, 1].
        sample_rate: Hz.
        mains_hz: What :func:`mains_of` found in another segment of the song; less of it
            suffices here.
    """
    blocks = _Blocks.of(samples, sample_rate, mains_hz)
    if blocks is None:
        return samples
    hum = blocks.search()
    if not hum.is_there(is_expected=True):
        return samples
    clean = samples - _waveform(blocks.refined(hum), len(samples), sample_rate)
    return np.clip(clean, -1.0, 1.0).astype(np.float32)


def _block(mains_hz: int, sample_rate: int) -> tuple[int, int]:
    """Return periods and samples of a block."""
    n_periods = round(_BLOCK_S * mains_hz)
    return n_periods, n_periods * sample_rate // mains_hz


class _Blocks:
    """A segment in blocks of whole periods, and what its spectrum holds at each harmonic."""

    @classmethod
    def of(
        cls,
        samples: Samples,
        sample_rate: int,
        mains_hz: int,
        most_harmonics: int | None = None,
    ) -> _Blocks | None:
        """Return those of a segment, None where it is too short or its rate is odd."""
        is_whole = sample_rate % mains_hz == 0
        if not is_whole or len(samples) < _LEAST_BLOCKS * _block(mains_hz, sample_rate)[1]:
            return None
        return cls(samples, sample_rate, mains_hz, most_harmonics)

    def __init__(
        self, samples: Samples, sample_rate: int, mains_hz: int, most_harmonics: int | None
    ) -> None:
        self._samples, self._rate, self._mains_hz = samples, sample_rate, mains_hz
        self._n_periods, self._length = _block(mains_hz, sample_rate)
        top_hz = min(_TOP_HZ, sample_rate / 2 - mains_hz)
        self._numbers = np.arange(1, int(top_hz / mains_hz) + 1)[:most_harmonics]
        self._weigh(samples)

    def _weigh(self, samples: Samples | _Reals) -> None:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self._length) / self._length)
        n_blocks = len(samples) // self._length
        blocks = samples[: n_blocks * self._length].reshape(n_blocks, self._length) * window
        spectrum = np.fft.rfft(blocks)
        places = self._n_periods * self._numbers
        nearby = np.square(np.abs(spectrum[:, : places[-1] + 3]))
        self._weights = 1 / (_beside(nearby, places) + 1e-12)
        self._lines = self._weights * spectrum[:, places]

    def search(self) -> _Hum:
        """Return the strongest series, to a thousandth of a hertz."""
        step = _DRIFT_STEPS_HZ[0]
        drifts = np.arange(-_MOST_DRIFT_HZ, _MOST_DRIFT_HZ + step / 2, step)
        # Turned back by each drift in frequency: one transform over the blocks.
        turned = np.fft.fft(self._lines, _N_TURNS, axis=0)
        turns = np.round(self._bins(drifts) * _N_TURNS).astype(int) % _N_TURNS
        return self._strongest(drifts, turned[turns, self._numbers - 1])

    def refined(self, hum: _Hum) -> _Hum:
        """Return a series at its exact frequency, measured twice.

        Lines between two bins leak into their neighbours; what the first measurement left
        of them is seen by the second.
        """
        step = _DRIFT_STEPS_HZ[1]
        middle = hum.frequency_hz - self._mains_hz
        first = self._at(np.array([middle + place * step for place in range(-2, 3)]))
        left = self._samples - _waveform(first, len(self._samples), self._rate)
        self._weigh(left)
        second = self._at(np.array([first.frequency_hz - self._mains_hz]))
        lines = _evened(first.amplitudes + second.amplitudes)
        return _Hum(first.frequency_hz, lines, first.powers)

    def _at(self, drifts: _Reals) -> _Hum:
        places = np.arange(len(self._lines))
        sums = [
            np.einsum("bk,bk->k", self._lines, np.exp(-2j * np.pi * np.outer(places, bins)))
            for bins in self._bins(drifts)
        ]
        return self._strongest(drifts, np.array(sums))

    def _strongest(self, drifts: _Reals, sums: _Lines) -> _Hum:
        total = self._weights.sum(0)
        powers = np.square(np.abs(sums)) / total
        best = int(np.log1p(powers).sum(1).argmax())
        response = _response(self._bins(drifts)[best], self._length)
        frequency_hz = self._mains_hz + float(drifts[best])
        return _Hum(frequency_hz, sums[best] / total / response, powers[best])

    def _bins(self, drifts: _Reals) -> _Reals:
        """Return how far from its bin each harmonic is: (n_drifts, n_harmonics)."""
        return self._numbers * drifts[:, None] * self._n_periods / self._mains_hz


def _evened(lines: _Lines) -> _Lines:
    """Return harmonics whose course from one to the next is even where it nearly is.

    What a decoder's comb or the music adds to a single one of them stays in the segment.
    Odd and even harmonics are seen apart: many hums have only one of the two.
    """
    evened = lines.copy()
    for part in (slice(0, None, 2), slice(1, None, 2)):
        numbers = np.arange(1, len(lines) + 1)[part]
        own = lines[part] * numbers
        turn = np.angle((own[1:] * own[:-1].conj()).sum())
        back = np.exp(1j * turn * np.arange(len(own)))
        padded = np.pad(own / back, _EVEN_OVER // 2, mode="edge")
        rows = np.lib.stride_tricks.sliding_window_view(padded, _EVEN_OVER)
        even = (np.median(rows.real, 1) + 1j * np.median(rows.imag, 1)) * back
        is_near = np.abs(even - own) < _UNEVENNESS * np.abs(own)
        evened[part] = np.where(is_near, even, own) / numbers
    return evened


def _beside(powers: _Reals, bins: NDArray[np.int_]) -> _Reals:
    """Return the power beside each harmonic, mean over five of them: (n_blocks, n)."""
    beside = (powers[:, bins - 2] + powers[:, bins + 2]) / 2
    padded = np.pad(beside, ((0, 0), (2, 2)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 5, axis=1).mean(2)


def _response(offset_bins: _Reals, length: int) -> _Lines:
    """Return what a Hann window's bin holds of a cosine of amplitude 1 so far beside it."""
    middle = np.sinc(offset_bins) / (1 - np.square(offset_bins))
    return length / 4 * middle * np.exp(1j * np.pi * offset_bins)


def _waveform(hum: _Hum, n_samples: int, sample_rate: int) -> _Reals:
    """Return the samples of a hum, (n_samples,)."""
    spectrum = np.zeros(_TABLE // 2 + 1, complex)
    spectrum[1 : len(hum.amplitudes) + 1] = hum.amplitudes * _TABLE / 2
    period = np.fft.irfft(spectrum)
    phases = np.arange(n_samples) * (hum.frequency_hz / sample_rate) % 1.0
    return np.interp(phases, np.arange(_TABLE + 1) / _TABLE, np.append(period, period[0]))
