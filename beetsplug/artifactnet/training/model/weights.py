"""Fitted weights of the linear heads, and their logits in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
class ScaledRegression:
    """A fitted logistic regression over features of different spread."""

    weights: NDArray[np.float64]
    """(n_features,), on standardised values."""
    bias: float
    mean: NDArray[np.float32]
    """(n_features,), of the examples that it was fitted to."""
    scale: NDArray[np.float32]
    """(n_features,), one over their standard deviation."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (n_segments,) logits of features (n_segments, n_features)."""
        return ((features - self.mean) * self.scale) @ self.weights + self.bias


@dataclass(frozen=True)
class GridRegressions:
    """Regressions that tell real music from one decoder's re-synthesis each."""

    weights: NDArray[np.float64]
    """(n_grids, n_bins), on :func:`~..signal.features.contrast_features`."""
    bias: NDArray[np.float64]
    """(n_grids,): on real music each logit has mean 0 and, by its weights, deviation 1."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (n_segments,), each segment's highest logit."""
        return (features @ self.weights.T + self.bias).max(1)


@dataclass(frozen=True)
class HeadWeights:
    """Of every linear head. Per-bin and comb head start from theirs, the others keep them."""

    bins: Regression
    comb: ScaledRegression
    coarse: Regression
    rates: ScaledRegression
    grids: GridRegressions

    def save(self, path: Path) -> None:
        """Write them as one NumPy archive."""
        arrays = {
            f"{head}.{name}": values
            for head, fitted in vars(self).items()
            for name, values in vars(fitted).items()
        }
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> HeadWeights:
        """Return what :meth:`save` wrote."""
        parts: dict[str, dict[str, Any]] = {}
        with np.load(path) as arrays:
            for key, values in arrays.items():
                head, name = key.split(".")
                parts.setdefault(head, {})[name] = values if values.ndim else float(values)
        return cls(
            Regression(**parts["bins"]),
            ScaledRegression(**parts["comb"]),
            Regression(**parts["coarse"]),
            ScaledRegression(**parts["rates"]),
            GridRegressions(**parts["grids"]),
        )


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


def counts(n_segments: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, 2), 1/sqrt(n) and 1/n of each number of segments."""
    return np.stack([1 / np.sqrt(n_segments), 1 / n_segments], 1)


@dataclass(frozen=True)
class SongWeights:
    """All that is fitted in the song network beside UNet and the CNN's own layers."""

    standing: CountedRegression
    cnn: Regression
    """On the CNN's features."""
    cnn_weight: float
    """Of the CNN's logit in the sum."""
    song_threshold: float
    clip_threshold: float
    """Sum at which a whole song, and a single segment, is called AI."""
    slope: float
    """Probability logits per unit of the sum."""
