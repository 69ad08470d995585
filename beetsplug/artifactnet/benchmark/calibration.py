"""Thresholds for a wanted false-positive rate, from human-made tracks alone.

No more is claimed than the tracks can show. By the rule of three, none flagged of n
tracks shows with 95 % confidence a rate below 3/n, and no lower one; so a rate below
3/n is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from beetsplug.artifactnet.benchmark.intervals import Interval
from beetsplug.artifactnet.benchmark.metrics import ScoredTrack
from beetsplug.artifactnet.errors import ConfigError, MissingPackageError
from beetsplug.artifactnet.results import Thresholds

CALIBRATION_FILE = "calibration.json"
UNSURE_FPR = 0.05
"""Rate of ``unsure`` and ``ai`` together, where the wanted one of ``ai`` is lower."""
_STEPS = 1_000_000
"""Thresholds are whole millionths: short to read, and to write into a configuration."""


@dataclass(frozen=True)
class Rate:
    """How many human-made tracks a threshold flags."""

    threshold: float
    n_flagged: int
    n_tracks: int
    interval: Interval
    """Clopper and Pearson's, 95 %."""

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.n_flagged / self.n_tracks


@dataclass(frozen=True)
class Calibration:
    """Thresholds of one model and what they stand on."""

    model: str
    wanted_fpr: float
    ai: Rate
    unsure: Rate
    """Of ``unsure`` and ``ai`` together."""
    n_lineages: int
    """Albums, or whatever makes tracks depend on each other."""

    @property
    def thresholds(self) -> Thresholds:
        """As the model is to use them."""
        return Thresholds(ai=self.ai.threshold, unsure=self.unsure.threshold)


def calibrate_thresholds(
    model: str, tracks: Iterable[ScoredTrack], wanted_fpr: float
) -> Calibration:
    """Return the lowest thresholds that keep to the wanted rate on human-made tracks.

    Args:
        model: Its label.
        tracks: Only those with the label ``real`` and a score count.
        wanted_fpr: Of the verdict ``ai``, in (0, 0.5]. ``unsure`` gets 5 %, or the same
            where that is higher.

    Raises:
        ConfigError: There are too few tracks to claim that rate, or too many of them
            have the highest score that there is.
        MissingPackageError: SciPy is not installed.
    """
    real = [scored for scored in tracks if not scored.is_ai]
    scores = [scored.probability for scored in real if scored.probability is not None]
    check_claim(len(scores), wanted_fpr)
    ai = _rate(model, scores, wanted_fpr)
    unsure = _rate(model, scores, max(wanted_fpr, UNSURE_FPR))
    lineages = {scored.track.lineage for scored in real if scored.probability is not None}
    return Calibration(model, wanted_fpr, ai, unsure, len(lineages))


def n_needed(fpr: float) -> int:
    """Return the least number of tracks that can show a rate, by the rule of three."""
    # 3 / 0.01 must not become 301 for a last binary digit.
    return math.ceil(round(3 / fpr, 9))


def check_claim(n_tracks: int, wanted_fpr: float) -> None:
    """Check that so many human-made tracks can show a rate.

    Raises:
        ConfigError: They cannot; the message says what they can show.
    """
    needed = n_needed(wanted_fpr)
    if n_tracks >= needed:
        return
    claimable = (
        f"they can show {math.ceil(3 / n_tracks * 1000) / 10:g} % at best"
        if n_tracks > 6
        else "they can show nothing"
    )
    raise ConfigError(
        f"a false-positive rate of {100 * wanted_fpr:g} % cannot be claimed from {n_tracks} "
        f"human-made tracks with a score: by the rule of three {claimable}, "
        f"and {100 * wanted_fpr:g} % takes {needed}"
    )


def _rate(model: str, scores: Sequence[float], fpr: float) -> Rate:
    n_allowed = math.floor(round(fpr * len(scores), 9))
    highest_real = sorted(scores, reverse=True)[n_allowed]
    step = math.floor(highest_real * _STEPS)
    while step / _STEPS <= highest_real:
        step += 1
    if step > _STEPS:
        raise ConfigError(
            f"{model} gives more than {100 * fpr:g} % of the {len(scores)} human-made tracks "
            f"a score of 1: no threshold keeps to that rate"
        )
    threshold = step / _STEPS
    n_flagged = sum(score >= threshold for score in scores)
    return Rate(threshold, n_flagged, len(scores), exact_interval(n_flagged, len(scores)))


def exact_interval(n_flagged: int, n_tracks: int) -> Interval:
    """Return Clopper and Pearson's 95 % interval of a rate.

    Raises:
        MissingPackageError: SciPy is not installed.
    """
    try:
        from scipy.stats import binomtest
    except ImportError as error:
        raise MissingPackageError("scipy", "beets-artifactnet[bench]") from error
    found = binomtest(n_flagged, n_tracks).proportion_ci(0.95, method="exact")
    return Interval(float(found.low), float(found.high))


def calibration_values(calibration: Calibration) -> dict[str, Any]:
    """Return what ``calibration.json`` and ``thresholds.json`` hold of a calibration."""
    return {
        "ai": calibration.ai.threshold,
        "unsure": calibration.unsure.threshold,
        "wanted_fpr": calibration.wanted_fpr,
        "n_tracks": calibration.ai.n_tracks,
        "n_lineages": calibration.n_lineages,
        "flagged": {
            name: {
                "n": rate.n_flagged,
                "rate": round(rate.share, 6),
                "interval": [round(rate.interval.low, 6), round(rate.interval.high, 6)],
            }
            for name, rate in (("ai", calibration.ai), ("unsure", calibration.unsure))
        },
    }


def calibration_lines(calibration: Calibration) -> list[str]:
    """Return what a user is told of a calibration."""
    ai, unsure = calibration.ai, calibration.unsure
    return [
        f"{calibration.model}: calibrated on {ai.n_tracks} human-made tracks of "
        f"{calibration.n_lineages} lineages (albums, and tracks without one)",
        f"  ai     at {ai.threshold:g}: flags {_share(ai)}",
        f"  unsure at {unsure.threshold:g}: flags {_share(unsure)}, those of ai included",
    ]


def _share(rate: Rate) -> str:
    low, high = rate.interval.low, rate.interval.high
    return f"{rate.n_flagged} of them, {rate.share:.2%} (95 % interval {low:.2%} to {high:.2%})"
