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
_N_LOWEST = 8
"""Or all of so many lowest harmonics stand out: hum is strongest there, a decoder's comb
weakest. Of 334 clips without hum none had more than seven."""
_EXPECTED_SHARE, _EXPECTED_POWER = 0.35, 14.0
"""Both where another segment of the song has hum."""
_HINT = 3.0
"""Median power of the high harmonics over that of chance, which is 2.8 in music at most."""
_EVEN_OVER = 9
_UNEVENNESS = 0.5
"""Share of a harmonic by which it may differ from its neighbours' median and follow it."""
_TABLE = 16_384
"""Samples of the one period that the hum is interpolated from."""


@dataclass(frozen=True)
class _Grid:
    """Frequencies that a hum is looked for at."""

    offsets_hz: _Reals
    """From the frequency that it is expected near, in the middle of the segment."""
    glides: _Reals
    """Its changes, Hz a second: mains follow their load, and tapes their motor."""


def _steps(most: float, step: float) -> _Reals:
    return np.arange(-most, most + step / 2, step)


_STILL = np.zeros(1)
_STEADY = _Grid(_steps(0.04, 0.001), _STILL)
"""What the mains do most of the time, in steps for harmonics up to 13 kHz."""
_WIDE = _Grid(_steps(0.2, 0.004), _STILL)
_WANDERING = _Grid(_steps(0.2, 0.004), _steps(0.012, 0.002))
"""What they and a tape may do, in steps for harmonics up to 2 kHz."""
_AROUND = _Grid(_steps(0.003, 0.0005), _steps(0.0036, 0.0006))
"""Around what was found there, in steps for all harmonics."""
_NEXT = _Grid(_steps(0.001, 0.0005), _steps(0.0003, 0.0001))
"""The refinement after it."""


@dataclass(frozen=True)
class _Hum:
    """Harmonics of one frequency in a segment."""

    frequency_hz: float
    """In the middle of the segment."""
    glide: float
    """Hz a second."""
    amplitudes: _Lines
    """(n_harmonics,), of the first harmonic on, at the segment's first sample."""
    powers: _Reals
    """(n_harmonics,), over those of chance."""

    @property
    def strength(self) -> float:
        """By how much all harmonics stand out."""
        return float(np.log1p(self.powers).sum())

    @property
    def may_glide(self) -> bool:
        """Whether its high harmonics stand out, and may do so more with a rise or fall."""
        return bool(np.median(self.powers[_N_LOW:]) >= _HINT) or self.is_there(is_expected=True)

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
        or (low[:_N_LOWEST] > _SIGNIFICANT).all()
        or (len(high) > 0 and np.median(high) >= least_power)
    )


def mains_of(samples: Samples, sample_rate: int, *, is_thorough: bool = False) -> int | None:
    """Return 50 or 60 Hz where a segment has mains hum of about that, None where it has none.

    Args:
        samples: float32 (n_samples,) in [-1, 1].
        sample_rate: Hz. Where a period of 50 or 60 Hz is no whole number of samples, that
            frequency is not looked for.
        is_thorough: Whether to do so where a quick look below 2 kHz finds none, too.
    """
    if not is_thorough and not _may_hum(samples, sample_rate):
        return None
    for search in (_steady_hum, _wandering_hum):
        for mains_hz in _MAINS_HZ:
            found = search(samples, sample_rate, mains_hz)
            if found is not None and found[1].is_there():
                return mains_hz
    return None


def _may_hum(samples: Samples, sample_rate: int) -> bool:
    """Tell whether hum may stand out below 2 kHz."""
    means, rate = _low_part(samples, sample_rate)
    series = (_Blocks.of(means, rate, hz, most_harmonics=_N_LOW) for hz in _MAINS_HZ)
    return any(blocks.search(_WIDE).is_there(is_expected=True) for blocks in series if blocks)


def _low_part(samples: Samples, sample_rate: int) -> tuple[Samples, int]:
    """Return every few samples' mean, and the rate of that: it holds what is below 2 kHz."""
    lengths = math.gcd(*(_block(mains_hz, sample_rate)[1] for mains_hz in _MAINS_HZ))
    most = max(1, sample_rate // _SEARCHED_HZ)
    factor = max(n for n in range(1, most + 1) if lengths % n == 0 == sample_rate % n)
    means = samples[: len(samples) // factor * factor].reshape(-1, factor).mean(1)
    return means, sample_rate // factor


def _steady_hum(samples: Samples, sample_rate: int, mains_hz: int) -> _Found | None:
    """Return the strongest series that keeps close to 50 or 60 Hz."""
    blocks = _Blocks.of(samples, sample_rate, mains_hz)
    if blocks is None:
        return None
    found = blocks, blocks.search(_STEADY)
    if not found[1].may_glide:
        return found
    near = _Blocks(samples, sample_rate, mains_hz, near_hz=found[1].frequency_hz)
    return max(found, (near, near.search(_AROUND)), key=lambda one: one[1].strength)


def _wandering_hum(samples: Samples, sample_rate: int, mains_hz: int) -> _Found | None:
    """Return the strongest series somewhat beside it, which may rise or fall."""
    low = _Blocks.of(*_low_part(samples, sample_rate), mains_hz, most_harmonics=_N_LOW)
    if low is None:
        return None
    first = low.search(_WANDERING)
    if not first.is_there(is_expected=True):
        return None
    blocks = _Blocks(samples, sample_rate, mains_hz, near_hz=first.frequency_hz)
    return blocks, blocks.search(_AROUND, first.glide)


def without_hum(samples: Samples, sample_rate: int, mains_hz: int) -> Samples:
    """Return a segment of a song that has hum without it; one that has none as it is.

    Args:
        samples: float32 (n_samples,) in [-1, 1].
        sample_rate: Hz.
        mains_hz: What :func:`mains_of` found in another segment of the song; less of it
            suffices here.
    """
    searches = (_steady_hum, _wandering_hum)
    series = (search(samples, sample_rate, mains_hz) for search in searches)
    found = [one for one in series if one and one[1].is_there(is_expected=True)]
    if not found:
        return samples
    blocks, hum = max(found, key=lambda one: one[1].strength)
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
        *,
        most_harmonics: int | None = None,
    ) -> _Blocks | None:
        """Return those of a segment, None where it is too short or its rate is odd."""
        is_whole = sample_rate % mains_hz == 0
        if not is_whole or len(samples) < _LEAST_BLOCKS * _block(mains_hz, sample_rate)[1]:
            return None
        return cls(samples, sample_rate, mains_hz, most_harmonics=most_harmonics)

    def __init__(
        self,
        samples: Samples,
        sample_rate: int,
        mains_hz: int,
        *,
        near_hz: float | None = None,
        most_harmonics: int | None = None,
    ) -> None:
        self._samples, self._rate = samples, sample_rate
        self._near_hz = float(near_hz or mains_hz)
        self._length = _block(mains_hz, sample_rate)[1]
        self._block_s = self._length / sample_rate
        top_hz = min(_TOP_HZ, sample_rate / 2 - mains_hz)
        self._numbers = np.arange(1, int(top_hz / mains_hz) + 1)[:most_harmonics]
        self._places = np.round(self._numbers * self._near_hz * self._block_s).astype(int)
        self._weigh(samples)

    def _weigh(self, samples: Samples | _Reals) -> None:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self._length) / self._length)
        n_blocks = len(samples) // self._length
        blocks = samples[: n_blocks * self._length].reshape(n_blocks, self._length) * window
        spectrum = np.fft.rfft(blocks)
        nearby = np.square(np.abs(spectrum[:, : self._places[-1] + 3]))
        self._weights = 1 / (_beside(nearby, self._places) + 1e-12)
        self._lines = self._weights * spectrum[:, self._places]

    def search(self, grid: _Grid, glide: float = 0.0) -> _Hum:
        """Return the strongest series of a grid, whose glides are laid around ``glide``."""
        turns = np.round(self._bins(grid.offsets_hz) * _N_TURNS).astype(int) % _N_TURNS
        found = []
        for glide_there in glide + grid.glides:
            # Turned back by each frequency: one transform over the blocks.
            turned = np.fft.fft(self._straight(glide_there), _N_TURNS, axis=0)
            sums = turned[turns, self._numbers - 1]
            found.append(self._strongest(grid.offsets_hz, sums, float(glide_there)))
        return max(found, key=lambda hum: hum.strength)

    def refined(self, hum: _Hum) -> _Hum:
        """Return a series at its exact frequency, measured twice.

        Lines between two bins leak into their neighbours; what the first measurement left
        of them is seen by the second.
        """
        around_hz = hum.frequency_hz - self._near_hz + _NEXT.offsets_hz
        glides = (hum.glide + _NEXT.glides).tolist()
        first = max(
            (self._at(around_hz, glide) for glide in glides), key=lambda one: one.strength
        )
        left = self._samples - _waveform(first, len(self._samples), self._rate)
        self._weigh(left)
        second = self._at(np.array([first.frequency_hz - self._near_hz]), first.glide)
        lines = _evened(first.amplitudes + second.amplitudes)
        return _Hum(first.frequency_hz, first.glide, lines, first.powers)

    def _at(self, offsets_hz: _Reals, glide: float) -> _Hum:
        places, lines = np.arange(len(self._lines)), self._straight(glide)
        sums = [
            np.einsum("bk,bk->k", lines, _powers_of(-bins, places))
            for bins in self._bins(offsets_hz)
        ]
        return self._strongest(offsets_hz, np.array(sums), glide)

    def _straight(self, glide: float) -> _Lines:
        """Return what the lines would be without their rise or fall, by the blocks' middles."""
        if not glide:
            return self._lines
        middles_s = (np.arange(len(self._lines)) + 0.5) * self._block_s
        periods = glide / 2 * np.square(middles_s - len(self._samples) / self._rate / 2)
        # Each harmonic turns as often as its number says.
        return self._lines * _powers_of(-periods, self._numbers).T

    def _strongest(self, offsets_hz: _Reals, sums: _Lines, glide: float) -> _Hum:
        total = self._weights.sum(0)
        powers = np.square(np.abs(sums)) / total
        best = int(np.log1p(powers).sum(1).argmax())
        response = _response(self._bins(offsets_hz)[best], self._length)
        frequency_hz = self._near_hz + float(offsets_hz[best])
        return _Hum(frequency_hz, glide, sums[best] / total / response, powers[best])

    def _bins(self, offsets_hz: _Reals) -> _Reals:
        """Return how far from its bin each harmonic is: (n_offsets, n_harmonics)."""
        beside = self._numbers * self._near_hz * self._block_s - self._places
        return beside + self._numbers * offsets_hz[:, None] * self._block_s


_Found = tuple[_Blocks, _Hum]


def _powers_of(turns: _Reals, numbers: NDArray[np.int_]) -> _Lines:
    """Return ``exp(2 pi i turns)`` to the power of ascending numbers: (n_numbers, n_turns)."""
    first = np.exp(2j * np.pi * turns)
    powers = np.repeat(first[None], len(numbers), 0)
    powers[0] = first ** numbers[0]
    return np.cumprod(powers, 0)


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
    times_s = np.arange(n_samples) / sample_rate
    from_middle_s = times_s - n_samples / sample_rate / 2
    phases = (hum.frequency_hz * times_s + hum.glide / 2 * np.square(from_middle_s)) % 1.0
    return np.interp(phases, np.arange(_TABLE + 1) / _TABLE, np.append(period, period[0]))
