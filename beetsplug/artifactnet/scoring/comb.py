"""The comb in a song's lines: equal distances, as neural upsampling leaves them.

A comb of a spacing has lines at its multiples. The Fourier transform of the lines, along
frequency, then has peaks at the multiples of one over the spacing, and these are summed up.
Twice the spacing misses every second peak, and half of it has every second one alone: the
sum over the square root of its terms is largest for the spacing itself.

Not every comb is a decoder's. What is played in strict time has lines at the rate of its
steps, up to 20 Hz, so that no slower one is named. A held tone has its harmonics, most of
them low; a comb must therefore stand in three quarters of the spectrum.
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
_MOST_PEAKS = 32
_STEPS = 41
"""Spacings tried around the best one, one step of the transform to either side."""
_LEAST_SCORE = 10.0
"""Standard deviations by which the sum, and the mean of the lines, exceed chance. So many
because lines of music are no independent noise: see the docs of the model."""
_N_BANDS, _LEAST_BANDS, _LEAST_BAND_SCORE = 4, 3, 2.5
_LEAST_SHARE, _RISES = 0.4, 0.5
"""Share of a comb's places that must rise by so many standard deviations."""
_LEAST_SEGMENT_SCORE = 3.0
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
    if spacing_hz < _LEAST_SPACING_HZ or not _is_comb(song, first, spacing_hz / lines_hz):
        return None
    return _measured(rows, first, spacing_hz, lines_hz)


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
    shortest, longest = (round(1 / hz / step) for hz in reversed(_SEARCHED_HZ))
    sums, squares = np.zeros((2, longest - shortest + 1))
    weights = _line_shape(len(peaks), step)
    last = min(round(_LONGEST_PERIOD / step), len(peaks) - 1)
    for number in range(1, min(_MOST_PEAKS, last // shortest) + 1):
        chosen = slice(shortest * number, min(longest * number, last) + 1, number)
        weight = weights[chosen]
        sums[: len(weight)] += weight * peaks[chosen]
        squares[: len(weight)] += np.square(weight)
    scores = sums / np.sqrt(squares)
    best = int(scores.argmax())
    return float(scores[best]), (best + shortest) * step


@lru_cache(maxsize=2)
def _line_shape(n_periods: int, step: float) -> _Values:
    """Return what is left of the peaks of a comb whose lines have a width."""
    return np.exp(-2 * np.square(np.pi * _LINE_HZ * step * np.arange(n_periods)))


def _refined(song: _Values, first: int, lines_hz: float, period: float) -> float:
    """Return the spacing around that of a period whose places hold the most, Hz."""
    step = 1 / ((1 << (2 * (first + len(song)) - 1).bit_length()) * lines_hz)
    spacings = 1 / np.linspace(period - step, period + step, _STEPS)
    scores = [_score(_at(song, first, hz / lines_hz)) for hz in spacings]
    # Around the best one: the sums fall to either side as a parabola does.
    weights = np.maximum(np.array(scores) - 0.8 * max(scores), 0.0)
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
