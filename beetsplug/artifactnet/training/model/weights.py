"""Fitted weights of the linear heads, and their logits in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.training.signal.pooled import at_speeds, speed_margin


@dataclass(frozen=True)
class Regression:
    """A fitted logistic regression."""

    weights: NDArray[np.float64]
    """(n_features,), logit per unit of the feature."""
    bias: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (n_segments,) logits of features (n_segments, n_features)."""
        return features @ self.weights + self.bias


@dataclass(frozen=True)
class CountedRegression:
    """A fitted logistic regression whose bias depends on the number of segments averaged."""

    weights: NDArray[np.float64]
    """(n_features,), logit per decibel."""
    of_count: NDArray[np.float64]
    """(2,), logit per 1/sqrt(n) and per 1/n of n segments."""
    bias: float

    def logits(
        self, features: NDArray[np.float32], n_segments: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return (n,) logits of features (n, n_features), each a mean over so many segments."""
        logits: NDArray[np.float64] = (
            features @ self.weights + counts(n_segments) @ self.of_count + self.bias
        )
        return logits

    def best_logits(
        self, features: NDArray[np.float32], n_segments: NDArray[np.int64], first_bin: int
    ) -> NDArray[np.float64]:
        """Return logits (n,) of the speed at which the features tell most.

        Args:
            features: As :meth:`logits` takes them.
            n_segments: As well.
            first_bin: Number of the first feature's bin in the whole spectrum.
        """
        moved, unit = at_speeds(torch.from_numpy(self.weights.astype(np.float32)), first_bin)
        others = (features @ moved.numpy()).max(1) * float(unit)
        margins = speed_margin(torch.from_numpy(1 / n_segments)).numpy()
        gains = others - margins - features @ self.weights
        return self.logits(features, n_segments) + np.maximum(gains, 0.0)


def counts(n_segments: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, 2), 1/sqrt(n) and 1/n of each number of segments."""
    return np.stack([1 / np.sqrt(n_segments), 1 / n_segments], 1)


@dataclass(frozen=True)
class Weights:
    """All that is fitted beside UNet and the CNN's own layers."""

    standing: CountedRegression
    cnn: Regression
    """On the CNN's features."""
    song_threshold: float
    clip_threshold: float
    """Sum at which a whole song, and a single segment, is called AI."""
    slope: float
    """Probability logits per unit of the sum."""
