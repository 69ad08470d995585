"""The regressions that the linear heads start from or keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training.choices import (
    COARSE_PAIR_WEIGHT,
    COARSE_REAL_WEIGHT,
    COMB_INVERSE_PENALTY,
    GRID_INVERSE_PENALTY,
    INVERSE_PENALTY,
    MODULE_WEIGHT,
    RATE_PAIR_WEIGHT,
    REAL_WEIGHT,
)
from beetsplug.artifactnet.training.data.corpus import Clip, without_modules
from beetsplug.artifactnet.training.data.crop_features import Features
from beetsplug.artifactnet.training.data.dataset import Dataset, weighted_rows
from beetsplug.artifactnet.training.data.pairs import Pairs
from beetsplug.artifactnet.training.model.weights import (
    GridRegressions,
    HeadWeights,
    Regression,
    ScaledRegression,
)
from beetsplug.artifactnet.training.signal.features import contrast_features


def fit_regression(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    sample_weight: NDArray[np.float64],
    *,
    inverse_penalty: float = INVERSE_PENALTY,
) -> Regression:
    """Return the regression fitted to these segments, L2-penalised.

    On one thread: with another number the sums differ in their last digits, and a
    training that starts from there comes out as with another seed.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=inverse_penalty, max_iter=500)
    with threadpool_limits(1):
        model.fit(features, labels, sample_weight=sample_weight)
    return Regression(model.coef_[0].astype(np.float64), float(model.intercept_[0]))


def fit_scaled(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    sample_weight: NDArray[np.float64],
    *,
    inverse_penalty: float,
) -> ScaledRegression:
    """Return the regression fitted to these segments' features, standardised."""
    mean = features.mean(0)
    scale = (1 / np.maximum(features.std(0), 1e-6)).astype(np.float32)
    fitted = fit_regression(
        (features - mean) * scale, labels, sample_weight, inverse_penalty=inverse_penalty
    )
    return ScaledRegression(fitted.weights, fitted.bias, mean, scale)


def fit_grids(
    real: NDArray[np.float32],
    real_weight: NDArray[np.float64],
    resynthesised: Sequence[NDArray[np.float32]],
) -> GridRegressions:
    """Return one regression for each decoder.

    One weight a bin cannot stand for several grids at once: trained on all decoders
    together a single regression finds none of them better than before.

    Args:
        real: (n_real, n_bins), contrast features.
        real_weight: (n_real,).
        resynthesised: The contrast features (n, n_bins) of each decoder's output.
    """
    weights, bias = [], []
    for pairs in resynthesised:
        fitted = fit_regression(
            np.concatenate([real, pairs]),
            np.repeat([0, 1], [len(real), len(pairs)]),
            np.append(real_weight, np.full(len(pairs), real_weight.sum() / len(pairs))),
            inverse_penalty=GRID_INVERSE_PENALTY,
        )
        logits = fitted.logits(real)
        weights.append(fitted.weights / logits.std())
        bias.append((fitted.bias - logits.mean()) / logits.std())
    return GridRegressions(np.array(weights), np.array(bias))


def fit_pairs(
    real_rows: NDArray[np.int64],
    standing: NDArray[np.float32],
    weight: NDArray[np.float64],
    pairs: Sequence[Pairs],
) -> GridRegressions:
    """Return a regression for each frame rate of the pairs.

    Args:
        real_rows: (n_real,), of the training side; a pair made of any other is left out.
        standing: (n_real, n_bins), as those of :class:`~..data.crop_features.Features`.
        weight: (n_real,).
        pairs: Of every frame rate; a pair made of any other row is left out.
    """
    return fit_grids(
        contrast_features(standing),
        weight,
        [contrast_features(made.standing[np.isin(made.rows, real_rows)]) for made in pairs],
    )


@dataclass(frozen=True)
class Examples:
    """What a regression is fitted to."""

    features: NDArray[np.float32]
    """(n, n_features)."""
    labels: NDArray[np.int64]
    """(n,), 1 for AI."""
    weights: NDArray[np.float64]
    """(n,)."""

    def with_heavier_real(self, factor: float) -> Examples:
        """Return these with real ones that weigh so much more; all together weigh the same.

        Both classes weigh the same before.
        """
        return replace(self, weights=self.weights * class_weights(self.labels, factor))

    def with_generated(self, features: NDArray[np.float32], weight: float) -> Examples:
        """Return these and more that are generated, which weigh so much together."""
        n_more = len(features)
        return Examples(
            np.concatenate([self.features, features]),
            np.append(self.labels, np.ones(n_more, np.int64)),
            np.append(self.weights, np.full(n_more, weight / n_more)),
        )


def class_weights(labels: NDArray[np.int64], factor: float) -> NDArray[np.float64]:
    """Return weights (n,) of labels: of 0 ``factor`` times that of 1, the mean of both 1."""
    return np.where(labels == 0, factor, 1.0) * 2 / (1 + factor)


def fit_heads(
    dataset: Dataset, features: Features, clips: Sequence[Clip], pairs: Sequence[Pairs] = ()
) -> HeadWeights:
    """Return the regressions of all linear heads, fitted to these clips, all variants.

    Coarse and frame-rate head alone learn from modules and pairs. With modules the per-bin
    head found fewer generated clips, and the comb head's limit does for modules; with pairs
    it lost more in one fold than it gained in another.

    Args:
        dataset: What the clips are of.
        features: Of all its crops.
        clips: To fit to; of the pairs, those made of their crops alone are used.
        pairs: Of every frame rate.
    """
    rows, weights = weighted_rows(dataset, without_modules(clips))
    labels = dataset.labels[rows]
    bins = Examples(features.standing[rows], labels, weights).with_heavier_real(REAL_WEIGHT)
    return HeadWeights(
        bins=fit_regression(bins.features, labels, bins.weights),
        comb=fit_scaled(
            features.comb[rows], labels, weights, inverse_penalty=COMB_INVERSE_PENALTY
        ),
        coarse=_fit_coarse(dataset, features, clips, pairs),
        rates=_fit_rates(dataset, features, clips, pairs),
        grids=_fit_grids(dataset, features, clips, pairs),
    )


def _fit_coarse(
    dataset: Dataset, features: Features, clips: Sequence[Clip], pairs: Sequence[Pairs]
) -> Regression:
    of_pairs = [(made.rows, made.coarse) for made in pairs]
    examples = _examples(dataset, features.coarse, clips, of_pairs, COARSE_PAIR_WEIGHT)
    examples = examples.with_heavier_real(COARSE_REAL_WEIGHT)
    return fit_regression(examples.features, examples.labels, examples.weights)


def _fit_rates(
    dataset: Dataset, features: Features, clips: Sequence[Clip], pairs: Sequence[Pairs]
) -> ScaledRegression:
    of_pairs = [(made.rows, made.rates) for made in pairs]
    examples = _examples(dataset, features.rates, clips, of_pairs, RATE_PAIR_WEIGHT)
    return fit_scaled(
        examples.features, examples.labels, examples.weights, inverse_penalty=INVERSE_PENALTY
    )


def _fit_grids(
    dataset: Dataset, features: Features, clips: Sequence[Clip], pairs: Sequence[Pairs]
) -> GridRegressions:
    rows, weights = weighted_rows(dataset, [clip for clip in clips if not clip.label])
    return fit_pairs(rows, features.standing[rows], weights, pairs)


def _examples(
    dataset: Dataset,
    features: NDArray[np.float32],
    clips: Sequence[Clip],
    of_pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]],
    share: float,
) -> Examples:
    """Return the crops of clips, and what was made of them, which weighs that share of them.

    Args:
        dataset: What the clips are of.
        features: (n_crops, n_features), of all its crops.
        clips: Whose crops.
        of_pairs: Of each decoder, the rows (n,) that it was given and what came out
            (n, n_features).
        share: Weight of all pairs against all crops.
    """
    rows, weights = weighted_rows(dataset, clips)
    is_module = [dataset.clips[dataset.crops[row].clip].is_module for row in rows]
    examples = Examples(
        features[rows], dataset.labels[rows], weights * np.where(is_module, MODULE_WEIGHT, 1.0)
    )
    known = [values[np.isin(made_of, rows)] for made_of, values in of_pairs]
    if known:
        examples = examples.with_generated(np.concatenate(known), share * weights.sum())
    return examples
