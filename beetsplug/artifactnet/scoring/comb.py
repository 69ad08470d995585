"""The comb in a song's lines: equal distances, as neural upsampling leaves them.

A comb of a spacing has lines at its multiples. The Fourier transform of the lines, along
frequency, then has peaks at the multiples of one over the spacing, and these are summed up.
Twice the spacing misses every second peak, and half of it has every second one alone. The sum
over the square root of its terms is largest for the spacing itself.

Not every comb is a decoder's. What is played in strict time has lines at the rate of its steps,
up to 20 Hz, so that no slower one is named. A held tone has its harmonics, most of them low. So
a comb must stand in three quarters of the spectrum, and not at a note's pitch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.results import Comb

_Values = NDArray[np.float64]

_SEARCHED_HZ = (10.0, 500.0)
_LEAST_SPACING_HZ = 20.0
_LOWEST_HZ = 1_000.0
"""Below it music hides all traces."""
_GROUND_HZ = 86.0
"""Width over which lines are brought to a mean of 0; of 1 the spread over four times that."""
_LEAST_SPREAD_DB = 0.02
_LINE_HZ = 1.1
"""Standard deviation of a line's shape."""
_LONGEST_PERIOD = 0.2
"""Up to which peaks are summed up, 1/Hz: narrower lines than that are not resolved."""
_FIRST_PEAKS, _MOST_PEAKS = 6, 96
_RATIOS = (*(1 / number for number in range(22, 1, -1)), 1.0, 2.0, 3.0)
"""Periods that are compared with the best of the first sums, over that one."""
_REACH = 0.5
"""Steps of the transform around each of them."""
_STEPS = 21
_LEAST_SCORE = 10.0
"""Standard deviations by which the sum, and the mean of the lines, exceed chance. So many
because lines of music are no independent noise: with 14 of 320 human-made songs beyond."""
_N_BANDS, _LEAST_BANDS, _LEAST_BAND_SCORE = 4, 3, 2.5
_LEAST_SHARE, _RISES = 0.4, 0.5
"""Share of a comb's places that must rise by so many standard deviations."""
_LEAST_SEGMENT_SCORE = 3.0
_LEAST_BETWEEN_SCORE, _LEAST_BETWEEN = 4.0, 0.15
"""What lines between others must reach, and their part of those others' mean."""
_CONCERT_PITCH_HZ, _NOTE_SEMITONES, _LOWEST_NOTE_HZ = 440.0, 0.03, 54.0
"""No known decoder's comb lies within 3 cents of a note of equal temperament; of tones that
are held through a song most do."""
_LEAST_BINS = 1_000


def find_comb(lines: NDArray[np.floating], lines_hz: float) -> Comb | None:
    """Return the strongest comb in a song's lines, None where none is significant.

    Args:
        lines: (1 + n_segments, n_bins), decibels of 0 and more by which a bin stands out of
            its neighbours: the song's mean, then each segment.
        lines_hz: Distance of bins, Hz; bin 0 is 0 Hz.
    """
    first = int(np.ceil(_LOWEST_HZ / lines_hz))
    rows = np.nan_to_num(np.asarray(lines, np.float64), posinf=0.0, neginf=0.0)[:, first:]
    if rows.shape[1] < _LEAST_BINS or not rows[0].any():
        return None
    song = _flattened(rows[0], lines_hz)
    score, period = _best_period(song, first, lines_hz)
    if score < _LEAST_SCORE:
        return None
    spacing_hz = _refined(song, first, lines_hz, period)
    finer_hz = spacing_hz / _n_between(song, first, spacing_hz / lines_hz)
    for hz in (finer_hz, spacing_hz):
        if hz >= _LEAST_SPACING_HZ and _is_comb(song, first, hz / lines_hz):
            return None if _is_note(hz) else _measured(rows, first, hz, lines_hz)
    return None


def _flattened(row: _Values, lines_hz: float) -> _Values:
    """Return a row (n_bins,) with a local mean of 0 and a local spread of 1."""
    n_ground = round(_GROUND_HZ / lines_hz) | 1
    row = row - _local_mean(row, n_ground)
    spread = np.sqrt(_local_mean(np.square(row), 4 * n_ground | 1).clip(min=0.0))
    return row / np.maximum(spread, _LEAST_SPREAD_DB)


def _local_mean(row: _Values, n_bins: int) -> _Values:
    padded = np.pad(row, (n_bins // 2 + 1, n_bins // 2), mode="edge")
    sums = np.cumsum(padded)
    return (sums[n_bins:] - sums[:-n_bins]) / n_bins


def _best_period(song: _Values, first: int, lines_hz: float) -> tuple[float, float]:
    """Return the best sum of peaks, in standard deviations, and its period, 1/Hz."""
    n_fft = 1 << (2 * (first + len(song)) - 1).bit_length()
    step = 1 / (n_fft * lines_hz)
    places = np.zeros(n_fft)
    places[first : first + len(song)] = song
    # A line at a multiple of the spacing has phase 0; by chance it has any.
    peaks = np.fft.rfft(places).real / np.sqrt(np.square(song).sum() / 2)
    weights = _line_shape(len(peaks), step)
    shortest, longest = (round(1 / hz / step) for hz in reversed(_SEARCHED_HZ))
    about = shortest + int(_sums(peaks, weights, shortest, longest).argmax())
    periods = np.concatenate(
        [about * ratio + np.arange(-_REACH, _REACH, _REACH / 10) * ratio for ratio in _RATIOS]
    )
    periods = periods[(periods >= shortest) & (periods <= longest)]
    last = min(round(_LONGEST_PERIOD / step), len(peaks) - 2)
    scores = _exact_sums(peaks, weights, periods, last)
    best = int(scores.argmax())
    return float(scores[best]), float(periods[best]) * step


def _sums(peaks: _Values, weights: _Values, shortest: int, longest: int) -> _Values:
    """Return the sum of the first peaks of each period, in whole steps."""
    sums, squares = np.zeros((2, longest - shortest + 1))
    for number in range(1, _FIRST_PEAKS + 1):
        chosen = slice(shortest * number, longest * number + 1, number)
        weight = weights[chosen]
        sums[: len(weight)] += weight * peaks[chosen]
        squares[: len(weight)] += np.square(weight)
    return sums / np.sqrt(squares)


def _exact_sums(peaks: _Values, weights: _Values, periods: _Values, last: int) -> _Values:
    """Return the sum of all peaks of each period (n_periods,), in steps and parts of them."""
    places = periods[:, None] * np.arange(1, _MOST_PEAKS + 1)
    inside = places <= last
    below = np.where(inside, places, 0.0).astype(int)
    rest = np.where(inside, places - below, 0.0)
    weight = weights[below] * inside
    values = peaks[below] * (1 - rest) + peaks[below + 1] * rest
    sums: _Values = (weight * values).sum(1) / np.sqrt(np.square(weight).sum(1))
    return sums


@lru_cache(maxsize=2)
def _line_shape(n_periods: int, step: float) -> _Values:
    """Return what is left of the peaks of a comb whose lines have a width."""
    return np.exp(-2 * np.square(np.pi * _LINE_HZ * step * np.arange(n_periods)))


def _refined(song: _Values, first: int, lines_hz: float, period: float) -> float:
    """Return the spacing next to that of a period whose places hold the most, Hz."""
    # The lines at the top of the spectrum move by half a bin to either side.
    reach = period * lines_hz / ((first + len(song)) * lines_hz)
    spacings = 1 / np.linspace(period - reach, period + reach, _STEPS)
    scores = np.array([_score(_at(song, first, hz / lines_hz)) for hz in spacings])
    # Around the best one: the sums fall to either side as a parabola does.
    weights = np.maximum(scores - 0.8 * scores.max(), 0.0)
    return float(np.average(spacings, weights=weights)) if weights.any() else 1 / period


def _at(row: _Values, first: int, spacing: float) -> _Values:
    """Return the values at the multiples of a spacing, in bins, between two bins each."""
    places = _multiples(first, first + row.shape[-1] - 2, spacing) - first
    below = places.astype(int)
    rest = places - below
    values: _Values = row[..., below] * (1 - rest) + row[..., below + 1] * rest
    return values


def _multiples(low: float, high: float, spacing: float) -> _Values:
    return np.arange(np.ceil(low / spacing), np.floor(high / spacing) + 1) * spacing


def _score(values: _Values) -> float:
    """Return by how many standard deviations the mean of flat values exceeds 0."""
    return float(values.sum() / np.sqrt(max(len(values), 1)))


def _n_between(song: _Values, first: int, spacing: float) -> int:
    """Return how many lines a spacing, in bins, has to each of its own: 1 but for weak ones.

    Every second or third line may be so strong that it makes the best comb by itself.
    """
    strong = float(_at(song, first, spacing).mean())
    for number in (6, 4, 3, 2):
        finer = _at(song, first, spacing / number)
        places = np.rint(_multiples(first, first + len(song) - 2, spacing / number) * number)
        n_th = np.rint(places / spacing).astype(int) % number
        parts = [finer[n_th == place] for place in range(1, number)]
        if all(
            _score(part) >= _LEAST_BETWEEN_SCORE and part.mean() >= _LEAST_BETWEEN * strong
            for part in parts
        ):
            return number
    return 1


def _is_note(spacing_hz: float) -> bool:
    """Tell whether a spacing is the pitch of a note, whose harmonics its lines then are."""
    semitones = 12 * np.log2(spacing_hz / _CONCERT_PITCH_HZ)
    is_near = abs(semitones - round(semitones)) < _NOTE_SEMITONES
    return spacing_hz >= _LOWEST_NOTE_HZ and bool(is_near)


def _is_comb(song: _Values, first: int, spacing: float) -> bool:
    """Tell whether enough of a comb's places hold something, in most of the spectrum."""
    values = _at(song, first, spacing)
    n_bands = sum(
        _score(band) >= _LEAST_BAND_SCORE for band in np.array_split(values, _N_BANDS)
    )
    return (
        _score(values) >= _LEAST_SCORE
        and n_bands >= _LEAST_BANDS
        and float((values > _RISES).mean()) >= _LEAST_SHARE
    )


def _measured(rows: _Values, first: int, spacing_hz: float, lines_hz: float) -> Comb:
    """Return a comb with its height in the song, and the segments that show it."""
    values = _at(rows, first, spacing_hz / lines_hz)
    rises = values.mean(1) - rows.mean(1)
    chance = rows.std(1) / np.sqrt(values.shape[1])
    shown = rises[1:] >= _LEAST_SEGMENT_SCORE * np.maximum(chance[1:], 1e-9)
    return Comb(spacing_hz, float(rises[0]), int(shown.sum()), len(shown))
