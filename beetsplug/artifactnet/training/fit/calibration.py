"""Thresholds that hold on every set of real music there is, and the slope of the score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training.choices import (
    AGGREGATION,
    AI_FPR,
    N_VARIANTS,
    SLOPE_BOUNDS,
    UNSURE_FPR,
)
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.fit import judging
from beetsplug.artifactnet.training.fit.folds import Fold
from beetsplug.artifactnet.training.fit.judging import Judged
from beetsplug.artifactnet.training.model.fusion import fuse

STRATA: Mapping[str, Callable[[Clip], bool]] = {
    "": lambda _: True,
    "_excerpts": lambda clip: clip.is_full_band_excerpt,
}
"""Real music that the thresholds hold on, by the suffix of its rates: all of it, and full-band
excerpts alone. Half of all real music is from games and scores low: where 5 % of all were
`unsure`, 11 % of the excerpts were."""


@dataclass(frozen=True)
class Calibrated:
    """The thresholds, as logits, and what they let through."""

    ai: float
    unsure: float
    slope: float
    """Logits of the exported model's probabilities per logit of the network."""
    rates: dict[str, Any]

    @property
    def thresholds(self) -> Thresholds:
        """The same as the exported model's probabilities."""
        return Thresholds(ai=0.5, unsure=round(self.score(self.unsure), 4))

    def score(self, logit: float) -> float:
        """Return the exported model's probability for a logit of the network."""
        return probability(logit, self.ai, self.slope)

    def flagged(self, judged: Sequence[Judged]) -> tuple[int, int]:
        """Return how many of these are ``ai``, and how many that or ``unsure``."""
        n_ai, n_either = (
            sum(clip.logit >= threshold for clip in judged)
            for threshold in (self.ai, self.unsure)
        )
        return n_ai, n_either


def calibrate(held: Fold, folds: Sequence[Fold]) -> Calibrated:
    """Return the thresholds that keep to both rates on every set of real music there is.

    The sets: the calibration sources, which the final network was not trained on, and those
    of the folds, each judged by its own network. Both as they are and in every recoded
    variant, as one codec lifts a track that another lowers. And each of these on each of
    :data:`STRATA`. The highest threshold is taken. The slope is fitted to the folds' full-band
    clips, as they are and recoded.

    Args:
        held: The calibration tracks, judged by the final network.
        folds: Judged by their own.
    """
    sets = real_sets({"": [held], "_folds": folds})
    ai, unsure = (threshold_on(sets, fpr) for fpr in (AI_FPR, UNSURE_FPR))
    judged = real(held, 0)
    rates: dict[str, Any] = {
        "calibration_tracks": len(judged),
        "calibration_sources": len({j.clip.source for j in judged}),
    }
    for name, logits in sets.items():
        for verdict, threshold in (("ai", ai), ("unsure", unsure)):
            rate = float(np.mean(np.array(logits) >= threshold))
            rates[f"false_positive_rate_{verdict}{name}"] = round(rate, 4)
    either = [
        judged for fold in folds for variant in (0, 1) for judged in full_band(fold, variant)
    ]
    slope = fitted_slope(either, ai)
    return Calibrated(ai, unsure, slope, rates)


def threshold_on(sets: Mapping[str, Sequence[float]], fpr: float) -> float:
    """Return the least logit that keeps to a false-positive rate on each of these sets."""
    return max(threshold_at(logits, fpr) for logits in sets.values())


def real_sets(groups: Mapping[str, Sequence[Fold]]) -> dict[str, list[float]]:
    """Return the logits of every set that thresholds are to hold on, by its suffix.

    Args:
        groups: By the suffix of their rates, the folds whose real music is one set.
    """
    sets: dict[str, list[float]] = {}
    for of, group in groups.items():
        for variant in range(max(N_VARIANTS.values())):
            how = ("", "_recoded")[variant] if variant < 2 else f"_recoded_{variant}"
            judged = [j for fold in group for j in real(fold, variant)]
            for stratum, chosen in STRATA.items():
                logits = [j.logit for j in judged if chosen(j.clip)]
                if logits:
                    sets[how + of + stratum] = logits
    return sets


def full_band(fold: Fold, variant: int = 0) -> list[Judged]:
    """Return a fold's full-band clips as the plugin scores them."""
    return judging.full_band(fold.judge(fuse(fold.branches), variant, AGGREGATION))


def real(fold: Fold, variant: int) -> list[Judged]:
    """Return the real ones as the plugin scores them."""
    found = fold.judge(fuse(fold.branches), variant, AGGREGATION)
    return [judged for judged in found if not judged.clip.label]


def threshold_at(real_logits: Sequence[float], false_positive_rate: float) -> float:
    """Return the lowest threshold at which at most that share of real tracks is flagged.

    A track is flagged at or above the threshold; it lies halfway between the last
    track that may be flagged and the first that may not.
    """
    ordered = np.sort(np.asarray(real_logits))[::-1]
    n_allowed = math.floor(false_positive_rate * len(ordered))
    if n_allowed == 0:
        return float(np.nextafter(ordered[0], np.inf))
    return float((ordered[n_allowed - 1] + ordered[n_allowed]) / 2)


def probability(logit: float, threshold: float, slope: float) -> float:
    """Return the probability that the exported model gives for a logit."""
    return 1 / (1 + math.exp(-slope * (logit - threshold)))


def fitted_slope(judged: Sequence[Judged], threshold: float) -> float:
    """Return the slope at which :func:`probability` fits these clips' labels best.

    The least log loss, both labels counting the same. The threshold is where it is for
    another reason, so a score is no probability at any slope; it is as near as it can be.
    """
    from scipy.optimize import minimize_scalar

    signs = np.array([1 if j.clip.label else -1 for j in judged])
    margins = signs * np.array([j.logit - threshold for j in judged])

    def loss(slope: float) -> float:
        losses = np.logaddexp(0, -slope * margins)
        return float(sum(losses[signs == sign].mean() for sign in (1, -1)))

    return round(float(minimize_scalar(loss, bounds=SLOPE_BOUNDS, method="bounded").x), 2)
