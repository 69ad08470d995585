"""Thresholds for a wanted false-positive rate, from human-made tracks alone.

One statistic decides everything: Clopper and Pearson's one-sided 95 % limit of the rate. For k
flagged tracks of n it is the rate r with ``P(X <= k) = 0.05``, X binomial. A threshold may flag
as many tracks as keep that limit at or below the wanted rate. Where not even none of n does,
the rate is refused. The limit is exact for a threshold right above the score of rank k + 1,
although it was chosen on the same tracks. The share of music above that score has the
distribution Beta(k + 1, n - k), and the limit is a quantile of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beetsplug.artifactnet.benchmark.metrics import ScoredTrack
from beetsplug.artifactnet.errors import ConfigError, MissingPackageError
from beetsplug.artifactnet.results import Thresholds

CALIBRATION_FILE = "calibration.json"
UNSURE_FPR = 0.05
"""Rate of ``unsure`` and ``ai`` together, where the wanted one of ``ai`` is lower."""
_STEPS = 1_000_000
"""Thresholds are whole millionths: short to read, and to write into a configuration."""
_RISK = 0.05
"""One minus the confidence."""


@dataclass(frozen=True)
class Rate:
    """How many human-made tracks a threshold flags."""

    threshold: float
    n_flagged: int
    n_tracks: int
    at_most: float
    """The rate on other music, with 95 % confidence; in (0, 1]."""

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.n_flagged / self.n_tracks


@dataclass(frozen=True)
class Rates:
    """How many tracks a pair of thresholds flags."""

    ai: Rate
    unsure: Rate
    """Of ``unsure`` and ``ai`` together."""

    @property
    def thresholds(self) -> Thresholds:
        """The pair."""
        return Thresholds(ai=self.ai.threshold, unsure=self.unsure.threshold)


@dataclass(frozen=True)
class Calibration:
    """Thresholds of one model, what they flag, and what those in force flag."""

    model: str
    wanted_fpr: float
    present: Rates
    """Of the thresholds in force."""
    calibrated: Rates
    n_lineages: int
    """Albums, or whatever makes tracks depend on each other."""

    @property
    def n_tracks(self) -> int:
        """Human-made tracks with a score."""
        return self.calibrated.ai.n_tracks


def calibrate_thresholds(
    model: str, tracks: Iterable[ScoredTrack], wanted_fpr: float, present: Thresholds
) -> Calibration:
    """Return the lowest thresholds that keep to the wanted rate on human-made tracks.

    Args:
        model: Its label.
        tracks: Only those with the label ``real`` and a score count.
        wanted_fpr: Of the verdict ``ai``, in (0, 1). ``unsure`` gets 5 %, or the same
            where that is higher.
        present: The thresholds in force, to stand beside the new ones.

    Raises:
        ConfigError: There are too few tracks to claim that rate, or too many of them
            have the highest score that there is.
    """
    real = [s for s in tracks if not s.is_ai and s.probability is not None]
    scores = [s.probability for s in real if s.probability is not None]
    check_claim(len(scores), wanted_fpr)
    ai = _lowest_threshold(model, scores, wanted_fpr)
    unsure = _lowest_threshold(model, scores, max(wanted_fpr, UNSURE_FPR))
    return Calibration(
        model=model,
        wanted_fpr=wanted_fpr,
        present=Rates(_rate(scores, present.ai), _rate(scores, present.unsure)),
        calibrated=Rates(_rate(scores, ai), _rate(scores, unsure)),
        n_lineages=len({scored.track.lineage for scored in real}),
    )


def n_needed(fpr: float) -> int:
    """Return the least number of tracks that can show a rate: 299 for 1 %, 59 for 5 %."""
    # Rounded: the last binary digit must not ask for one track more.
    return math.ceil(round(math.log(_RISK) / math.log1p(-fpr), 9))


def n_allowed(n_tracks: int, fpr: float) -> int:
    """Return how many of n tracks may be flagged to keep :func:`upper_limit` at a rate."""
    chances = _special().bdtr(np.arange(n_tracks), n_tracks, fpr)
    return max(0, int(np.count_nonzero(chances <= _RISK)) - 1)


def upper_limit(n_flagged: int, n_tracks: int) -> float:
    """Return Clopper and Pearson's limit: the rate not exceeded, with 95 % confidence."""
    if n_flagged >= n_tracks:
        return 1.0
    return _quantile(1 - _RISK, n_flagged + 1, n_tracks - n_flagged)


def _quantile(share: float, a: int, b: int) -> float:
    return float(_special().betaincinv(a, b, share))


def _special() -> Any:
    # Not scipy.stats, which has the same by name: importing that takes a second.
    try:
        from scipy import special
    except ImportError as error:
        raise MissingPackageError("scipy", "beets-artifactnet[bench]") from error
    return special


def check_claim(n_tracks: int, wanted_fpr: float) -> None:
    """Check that so many human-made tracks can show a rate.

    Raises:
        ConfigError: They cannot; the message says what they can show.
    """
    needed = n_needed(wanted_fpr)
    if n_tracks >= needed:
        return
    best = 1 - _RISK ** (1 / n_tracks) if n_tracks else 1.0
    raise ConfigError(
        f"a false-positive rate of {100 * wanted_fpr:g} % cannot be claimed from {n_tracks} "
        f"human-made tracks with a score: they can show "
        f"{math.ceil(1000 * best) / 10:g} % at best, and {100 * wanted_fpr:g} % takes {needed}"
    )


def _lowest_threshold(model: str, scores: Sequence[float], fpr: float) -> float:
    highest_real = sorted(scores, reverse=True)[n_allowed(len(scores), fpr)]
    step = math.floor(highest_real * _STEPS)
    while step / _STEPS <= highest_real:
        step += 1
    if step > _STEPS:
        n_highest = sum(score == highest_real for score in scores)
        raise ConfigError(
            f"{model} gives {n_highest} of {len(scores)} human-made tracks a score of 1: "
            f"no threshold keeps to a rate of {100 * fpr:g} %"
        )
    return step / _STEPS


def _rate(scores: Sequence[float], threshold: float) -> Rate:
    n_flagged = sum(score >= threshold for score in scores)
    return Rate(threshold, n_flagged, len(scores), upper_limit(n_flagged, len(scores)))


def calibration_values(calibration: Calibration) -> dict[str, Any]:
    """Return what ``calibration.json`` and ``thresholds.json`` hold of a calibration."""
    return {
        **_values(calibration.calibrated),
        "wanted_fpr": calibration.wanted_fpr,
        "n_tracks": calibration.n_tracks,
        "n_lineages": calibration.n_lineages,
        "before": _values(calibration.present),
    }


def _values(rates: Rates) -> dict[str, Any]:
    return {
        "ai": rates.ai.threshold,
        "unsure": rates.unsure.threshold,
        "flagged": {
            name: {
                "n": rate.n_flagged,
                "rate": round(rate.share, 6),
                "at_most": round(rate.at_most, 6),
            }
            for name, rate in (("ai", rates.ai), ("unsure", rates.unsure))
        },
    }


def calibration_rows(calibration: Calibration) -> list[tuple[str, str, str]]:
    """Return what a user is told of a calibration: name, present and calibrated value."""
    before, after = calibration.present, calibration.calibrated
    return [
        ("", "now", f"for {100 * calibration.wanted_fpr:g} %"),
        *_rows("ai", before.ai, after.ai),
        *_rows("unsure", before.unsure, after.unsure),
    ]


def _rows(name: str, before: Rate, after: Rate) -> list[tuple[str, str, str]]:
    return [
        (f"{name} threshold", f"{before.threshold:g}", f"{after.threshold:g}"),
        ("  reached by", _share(before), _share(after)),
        ("  at most (95 %)", f"{before.at_most:.2%}", f"{after.at_most:.2%}"),
    ]


def _share(rate: Rate) -> str:
    return f"{rate.n_flagged} of {rate.n_tracks}, {rate.share:.2%}"
