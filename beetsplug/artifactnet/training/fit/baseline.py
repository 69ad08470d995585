"""The baseline that the network must beat: logistic regression on one spectrum.

Per segment the mean over time of the log power spectrum, minus its lower envelope, clipped
to 0 to 5 dB: what stands out of the spectrum by a few hertz and stays. One weight a bin.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training.choices import (
    ENVELOPE_BINS,
    HOP_LENGTH,
    N_FFT,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.data.corpus import Split, without_modules
from beetsplug.artifactnet.training.data.crop_features import cached_array
from beetsplug.artifactnet.training.data.dataset import Dataset, weighted_rows
from beetsplug.artifactnet.training.fit.regressions import fit_regression
from beetsplug.artifactnet.training.signal.features import Segments, mean_features


def baseline_features(samples: Segments) -> NDArray[np.float32]:
    """Return the fine structure (n_segments, n_bins) of the mean spectrum, decibels."""
    return mean_features(samples, N_FFT, HOP_LENGTH, ENVELOPE_BINS)


def baseline_logits(
    dataset: Dataset, split: Split, rows: NDArray[np.int64], work: Path, folder: Path
) -> NDArray[np.float64]:
    """Return the logits (n_rows,) of a baseline fitted to the split's training side.

    Args:
        dataset: The crops.
        split: Which clips to fit to.
        rows: To judge.
        work: Where the features of all crops are kept.
        folder: Where the logits are kept.
    """
    path = folder / "baseline.npy"
    if not path.exists():
        segments = dataset.samples[:, :SEGMENT_SAMPLES]
        features = cached_array(work, "fine", lambda: baseline_features(segments))
        training, weights = weighted_rows(dataset, without_modules(split.train))
        fitted = fit_regression(features[training], dataset.labels[training], weights)
        np.save(path, fitted.logits(features[rows]))
    logits: NDArray[np.float64] = np.load(path)
    return logits
