"""The linear heads' features of every crop, kept on disk beside the crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training.choices import SEGMENT_SAMPLES
from beetsplug.artifactnet.training.data.dataset import Dataset
from beetsplug.artifactnet.training.signal.features import (
    coarse_features,
    comb_features,
    standing_features,
)
from beetsplug.artifactnet.training.signal.frame_rates import rate_features


@dataclass(frozen=True)
class Features:
    """Of every crop of a dataset."""

    standing: NDArray[np.float32]
    """(n_crops, n_bins), decibels: of all heads of the finer resolution."""
    comb: NDArray[np.float32]
    """(n_crops, n_lags), of these."""
    coarse: NDArray[np.float32]
    """(n_crops, n_coarse_bins), decibels."""
    rates: NDArray[np.float32]
    """(n_crops, n_rates * n_parts), decibels."""


def cached_features(dataset: Dataset, folder: Path) -> Features:
    """Return the features of every crop, from disk when they are there.

    Of a segment's length from the start of the crop, as the detector reads.
    """
    segments = dataset.samples[:, :SEGMENT_SAMPLES]
    standing = cached_array(folder, "standing", lambda: standing_features(segments))
    return Features(
        standing,
        cached_array(folder, "comb", lambda: comb_features(standing)),
        cached_array(folder, "coarse", lambda: coarse_features(segments)),
        cached_array(folder, "rates", lambda: rate_features(segments, standing)),
    )


def cached_array(
    folder: Path, name: str, make: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return what ``make`` returns, memory-mapped, from ``features-NAME.npy`` when there."""
    path = folder / f"features-{name}.npy"
    if not path.exists():
        np.save(path, make())
    features: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return features
