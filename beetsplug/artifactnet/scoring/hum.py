"""Mains hum: told from music by its steadiness, and taken out of a segment.

Hum is a sum of harmonics of one frequency near 50 or 60 Hz, whose amplitudes and phases
stay the same whatever the music does. Each harmonic is therefore measured where the music
around it is quietest: blocks of 80 ms, weighted by one over the power beside the harmonic.
A decoder's comb, which may have the same spacing, rises and falls with the music, and
hardly shows in a mean that is weighted like this.

Since the music has little weight in that mean, taking the hum out leaves no gap in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
_Reals = NDArray[np.float64]
_Lines = NDArray[np.complex128]

_MAINS_HZ = (50, 60)
_BLOCK_S = 0.08
_TOP_HZ = 13_500.0
"""Harmonics up to here are measured and taken out."""
_DRIFTS_HZ = np.arange(-80, 81) * 0.0005
"""How far a mains' frequency may lie from 50 or 60 Hz."""
_N_TURNS = 1_024
_SIGNIFICANT = 8.0
"""Power of a harmonic over that of chance, which exceeds it once in 3,000."""
_N_LOW = 40
"""Harmonics up to 2 kHz, where a decoder's comb is hidden by music."""
_LEAST_SHARE = 0.55
"""Share of the low harmonics that stand out where there is hum; a decoder's comb: 0.48."""
_LEAST_POWER = 25.0
"""Or median power of the others over that of chance; a decoder's comb: 14."""
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

    @property
    def is_there(self) -> bool:
        """Whether the harmonics are those of hum: all of them, the odd or the even ones."""
        low, high = self.powers[:_N_LOW], self.powers[_N_LOW:]
        return any(_stands_out(low[part], high[part]) for part in _PARTS)


_PARTS = (slice(None), slice(0, None, 2), slice(1, None, 2))


def _stands_out(low: _Reals, high: _Reals) -> bool:
    return bool(
        (low > _SIGNIFICANT).mean() >= _LEAST_SHARE
        or (len(high) > 0 and np.median(high) >= _LEAST_POWER)
    )


def without_hum(samples: Samples, sample_rate: int) -> Samples:
    """Return a segment without the mains hum in it, and one without hum as it is.

    Args:
        samples: float32 (n_samples,) in [-1, 1].
        sample_rate: Hz. Where a period of 50 or 60 Hz is no whole number of samples, that
            frequency is not looked for.
    """
    for hum in _found(samples, sample_rate):
        if hum.is_there:
            clean = samples - _waveform(hum, len(samples), sample_rate)
            return np.clip(clean, -1.0, 1.0).astype(np.float32)
    return samples


def _found(samples: Samples, sample_rate: int) -> Iterator[_Hum]:
    for mains_hz in _MAINS_HZ:
        n_periods = round(_BLOCK_S * mains_hz)
        length = n_periods * sample_rate // mains_hz
        if sample_rate % mains_hz == 0 and len(samples) >= 8 * length:
            yield _measured(samples, sample_rate, mains_hz, n_periods)


def _measured(samples: Samples, sample_rate: int, mains_hz: int, n_periods: int) -> _Hum:
    """Return the strongest series of harmonics near a frequency."""
    length = n_periods * sample_rate // mains_hz
    n_blocks = len(samples) // length
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    blocks = samples[: n_blocks * length].reshape(n_blocks, length) * window
    spectrum = np.fft.rfft(blocks)
    top_hz = min(_TOP_HZ, sample_rate / 2 - mains_hz)
    numbers = np.arange(1, int(top_hz / mains_hz) + 1)
    weights = 1 / (_beside(np.square(np.abs(spectrum)), n_periods * numbers) + 1e-12)
    # Turned back by each drift in frequency: one transform over the blocks.
    turned = np.fft.fft(weights * spectrum[:, n_periods * numbers], _N_TURNS, axis=0)
    bins = numbers * _DRIFTS_HZ[:, None] * n_periods / mains_hz
    sums = turned[np.round(bins * _N_TURNS).astype(int) % _N_TURNS, numbers - 1]
    powers = np.square(np.abs(sums)) / weights.sum(0)
    best = int(np.log1p(powers).sum(1).argmax())
    lines = sums[best] / weights.sum(0) / _response(bins[best], length)
    return _Hum(mains_hz + float(_DRIFTS_HZ[best]), _evened(lines), powers[best])


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
