"""How sure a metric is: 95 % intervals from resampled lineages.

Tracks of one lineage are not independent, so a lineage is drawn as a whole. Lineages are drawn
within strata: those of ``ai`` tracks, of ``real`` tracks, and of both. So no replicate has
other shares of labels than the benchmark. A replicate is how often each track was drawn; these
counts are the sample weights that its metrics are computed with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.benchmark.metrics import ScoredTrack, measure_scores

N_REPLICATES = 2_000
SEED = 0
_CONFIDENCE_PERCENT = 95.0

Floats = NDArray[np.float64]
Weights = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Lineages:
    """Scored tracks in an order that depends on nothing but labels, scores and grouping."""

    labels: NDArray[np.int64]
    """(n_tracks,); 1 is ``ai``, 0 is ``real``."""
    scores: Floats
    """(n_score_columns, n_tracks)."""
    lineage: NDArray[np.int64]
    """(n_tracks,), index of each track's lineage."""
    strata: tuple[NDArray[np.int64], ...]
    """Indices of the lineages of each stratum."""

    @property
    def n_lineages(self) -> int:
        """Number of lineages in all strata."""
        return sum(len(stratum) for stratum in self.strata)

    @property
    def has_both_labels(self) -> bool:
        """Whether there are ``ai`` and ``real`` tracks."""
        return 0 < int(self.labels.sum()) < len(self.labels)


def group_lineages(*columns: Sequence[ScoredTrack]) -> Lineages:
    """Return scored tracks by lineage.

    Args:
        columns: The same scored tracks in the same order, once for each model.
    """
    members: dict[str, list[tuple[float, ...]]] = {}
    for row in zip(*columns, strict=True):
        values = [scored.probability for scored in row]
        if None in values:
            raise ValueError(f"{row[0].track.track_id} was not scored")
        members.setdefault(row[0].track.lineage, []).append(
            (float(row[0].is_ai), *(float(value) for value in values if value is not None))
        )
    # Names and order of the tracks must not change what a seed draws.
    groups = sorted(sorted(rows) for rows in members.values())
    kinds = [frozenset(row[0] for row in rows) for rows in groups]
    table = np.array([row for rows in groups for row in rows], dtype=np.float64)
    table = table.reshape(-1, 1 + len(columns))
    return Lineages(
        labels=table[:, 0].astype(np.int64),
        scores=table[:, 1:].T.copy(),
        lineage=np.repeat(np.arange(len(groups)), [len(rows) for rows in groups]),
        strata=tuple(
            np.array([place for place, found in enumerate(kinds) if found == kind])
            for kind in sorted(set(kinds), key=sorted)
        ),
    )


def replicate_weights(lineages: Lineages, n_replicates: int, seed: int) -> Iterator[Weights]:
    """Yield for each replicate (n_tracks,): how often it draws each track."""
    rng = np.random.default_rng(seed)
    for _ in range(n_replicates):
        counts = np.zeros(lineages.n_lineages, np.int64)
        for stratum in lineages.strata:
            drawn = rng.integers(0, len(stratum), size=len(stratum))
            counts[stratum] = np.bincount(drawn, minlength=len(stratum))
        yield counts[lineages.lineage]


def replicate_metrics(
    lineages: Lineages,
    column: int,
    thresholds: Mapping[str, float],
    n_replicates: int,
    seed: int,
) -> dict[str, Floats]:
    """Return every metric of one score column, (n_replicates,) each, by name.

    Args:
        lineages: Of tracks of both labels.
        column: Which scores.
        thresholds: By name.
        n_replicates: How often the lineages are drawn anew.
        seed: Of the draws: with the same one, every column's replicates draw the same.
    """
    rows = [
        measure_scores(lineages.labels, lineages.scores[column], thresholds, weights).values
        for weights in replicate_weights(lineages, n_replicates, seed)
    ]
    # Each stratum is drawn from, so a replicate has both labels and defines every metric.
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}


def intervals(
    tracks: Sequence[ScoredTrack],
    thresholds: Mapping[str, float],
    *,
    n_replicates: int = N_REPLICATES,
    seed: int = SEED,
) -> dict[str, Interval]:
    """Return the interval of each metric by name, as :attr:`Measured.values` names them.

    The thresholds stay as they are: the intervals do not show the uncertainty of a
    calibrated one.

    Args:
        tracks: Scored, in any order.
        thresholds: By name.
        n_replicates: How often the lineages are drawn anew.
        seed: Of the draws.

    Returns:
        Nothing where a label has no track.
    """
    lineages = group_lineages(tracks)
    if not lineages.has_both_labels:
        return {}
    found = replicate_metrics(lineages, 0, thresholds, n_replicates, seed)
    return {name: percentile_interval(values) for name, values in found.items()}


def percentile_interval(values: Floats) -> Interval:
    """Return the interval that holds the middle 95 % of the replicates."""
    outside = (100.0 - _CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(values, [outside, 100.0 - outside])
    return Interval(float(low), float(high))
