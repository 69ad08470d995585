"""Combs of every frame rate that a decoder may have, looked for in the fine structure.

A decoder does the same to each of its frames, so what it leaves repeats with them
(cyclostationarity; Gardner, IEEE Signal Processing Magazine, April 1991): as lines at
multiples of the frame rate. A frame rate is a sample rate over the product of a few small
strides, so there are some three hundred of them. A regression that weighs combs, and not
single bins, can say little else than that there is such a comb.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.training.dataset import SAMPLE_RATE
from beetsplug.artifactnet.training.reference import (
    BAND_HZ,
    N_FFT,
    band,
    in_batches,
    local_contrast,
    one_thread,
)

_SAMPLE_RATES_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_STRIDES = (2, 3, 5, 7)
_FRAME_RATES_HZ = (12.0, 112.0)
"""Below, whatever beats in music has such a rate; above, its pitches do, and what few
multiples are left are those of a lower rate, too."""
N_PARTS = 2
"""Values for each frame rate: of the lines in the lower and the upper half of the spectrum."""


@cache
def frame_rates() -> tuple[float, ...]:
    """Return the frame rates, Hz, rising: a sample rate over a product of small strides."""
    low, high = _FRAME_RATES_HZ
    found = {
        round(rate / hop, 4)
        for rate in _SAMPLE_RATES_HZ
        for hop in range(math.ceil(rate / high), math.floor(rate / low) + 1)
        if _is_product(hop)
    }
    return tuple(sorted(found))


def _is_product(hop: int) -> bool:
    for stride in _STRIDES:
        while hop % stride == 0:
            hop //= stride
    return hop == 1


@cache
def line_combs() -> NDArray[np.float32]:
    """Return a comb (n_rates, n_bins) for each frame rate, of mean 0 and length 1.

    Over the bins of :func:`reference.band`; a multiple between two bins is shared by them.
    """
    bins, bin_hz = band(N_FFT), SAMPLE_RATE / N_FFT
    n_bins = bins.stop - bins.start
    combs = np.zeros((len(frame_rates()), n_bins), np.float32)
    low, high = BAND_HZ
    for comb, rate in zip(combs, frame_rates(), strict=True):
        multiples = rate * np.arange(math.ceil(low / rate), math.floor(high / rate) + 1)
        place = multiples / bin_hz - bins.start
        below = np.floor(place).astype(int)
        for neighbour, share in ((below, below + 1 - place), (below + 1, place - below)):
            inside = (neighbour >= 0) & (neighbour < n_bins)
            np.add.at(comb, neighbour[inside], share[inside])
    combs -= combs.mean(1, keepdims=True)
    return combs / np.linalg.norm(combs, axis=1, keepdims=True)


def rate_features(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what stands on each frame rate's comb: (n_segments, n_rates * n_parts).

    Args:
        fine: (n_segments, n_bins), fine structures.

    On one thread, so that the same comes out everywhere.
    """
    lines = torch.from_numpy(line_combs().T.copy())
    half = len(lines) // 2

    def features_of(some: NDArray[np.float32]) -> torch.Tensor:
        contrast = local_contrast(torch.from_numpy(np.array(some)))
        parts = [contrast[:, :half] @ lines[:half], contrast[:, half:] @ lines[half:]]
        return torch.stack(parts, 2).flatten(1)

    with one_thread():
        return in_batches(features_of, fine, len(frame_rates()) * N_PARTS)
