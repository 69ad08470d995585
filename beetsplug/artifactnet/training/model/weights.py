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
