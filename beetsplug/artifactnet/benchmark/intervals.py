"""How sure a metric is: 95 % intervals from resampled lineages.

Tracks of one lineage are not independent, so a lineage is drawn as a whole. Lineages are
drawn within strata (those of ``ai`` tracks, of ``real`` tracks, and of both), so that no
replicate has other shares of labels than the benchmark. A replicate is how often each
track was drawn; every metric is computed for a batch of replicates at once from those
weights, and equals scikit-learn's with the same sample weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.benchmark.metrics import MAX_FPR, ScoredTrack

N_REPLICATES = 2_000
SEED = 0
_CONFIDENCE_PERCENT = 95.0
_BATCH_CELLS = 400_000
"""Replicates times tracks that are held at once."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Lineages:
    """Scored tracks in an order that depends on nothing but labels, scores and grouping."""

    labels: NDArray[np.bool_]
    """(n_tracks,), whether ``ai``."""
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
        labels=table[:, 0] == 1.0,
        scores=table[:, 1:].T.copy(),
        lineage=np.repeat(np.arange(len(groups)), [len(rows) for rows in groups]),
        strata=tuple(
            np.array([place for place, found in enumerate(kinds) if found == kind])
            for kind in sorted(set(kinds), key=sorted)
        ),
    )


def replicate_weights(
    lineages: Lineages, n_replicates: int = N_REPLICATES, seed: int = SEED
) -> Iterator[Floats]:
    """Yield (n_in_batch, n_tracks): how often each replicate draws each track."""
    rng = np.random.default_rng(seed)
    n_batch = max(1, _BATCH_CELLS // max(1, len(lineages.labels)))
    for first in range(0, n_replicates, n_batch):
        n = min(n_batch, n_replicates - first)
        counts = np.zeros((n, lineages.n_lineages))
        for stratum in lineages.strata:
            drawn = rng.integers(0, len(stratum), size=(n, len(stratum)))
            cells = drawn + len(stratum) * np.arange(n)[:, None]
            found = np.bincount(cells.ravel(), minlength=n * len(stratum))
            counts[:, stratum] = found.reshape(n, len(stratum))
        yield counts[:, lineages.lineage]


class Weighted:
    """Metrics of one score column for batches of replicates."""

    def __init__(
        self, labels: NDArray[np.bool_], scores: Floats, thresholds: Mapping[str, float]
    ) -> None:
        """Order the tracks once.

        Args:
            labels: (n_tracks,), whether ``ai``.
            scores: (n_tracks,).
            thresholds: By name.
        """
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        # Tracks of one score are flagged together: the ROC has a point after the last.
        self._ends = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
        self._is_ai = labels[self._order]
        self._n_flagged = {
            name: int(np.count_nonzero(scores >= value)) for name, value in thresholds.items()
        }

    def values(self, weights: Floats) -> dict[str, Floats]:
        """Return each metric by name, as :meth:`Measured.values` names them.

        Args:
            weights: (n_replicates, n_tracks), whole numbers.

        Returns:
            (n_replicates,) each; NaN where a replicate drew no track of a label.
        """
        drawn = weights[:, self._order]
        true = np.cumsum(np.where(self._is_ai, drawn, 0.0), axis=1)
        false = np.cumsum(np.where(self._is_ai, 0.0, drawn), axis=1)
        n_ai, n_real = true[:, -1], false[:, -1]
        found = self._ranking(true[:, self._ends], false[:, self._ends])
        for name, n_flagged in self._n_flagged.items():
            nothing = np.zeros(len(drawn))
            tp = true[:, n_flagged - 1] if n_flagged else nothing
            fp = false[:, n_flagged - 1] if n_flagged else nothing
            tpr, fpr = _ratio(tp, n_ai), _ratio(fp, n_real)
            of_one = {
                "f1": _ratio(2 * tp, tp + fp + n_ai),
                "precision": np.where(tp + fp > 0, _ratio(tp, tp + fp), 0.0),
                "recall": tpr,
                "balanced_accuracy": (tpr + 1 - fpr) / 2,
                "tpr": tpr,
                "fpr": fpr,
            }
            found |= {f"{name}.{metric}": values for metric, values in of_one.items()}
        return found

    @staticmethod
    def _ranking(true: Floats, false: Floats) -> dict[str, Floats]:
        """Return the metrics of ROC points (n_replicates, n_points) in tracks."""
        n_ai, n_real = true[:, -1:], false[:, -1:]
        tpr, fpr = _ratio(true, n_ai), _ratio(false, n_real)
        new_true, new_false = np.diff(true, prepend=0.0), np.diff(false, prepend=0.0)
        area = np.sum(new_false * (true - new_true / 2), axis=1)
        precision = np.where(true > 0, _ratio(true, true + false), 0.0)
        found = {
            "auroc": _ratio(area, (n_ai * n_real)[:, 0]),
            "auprc": _ratio(np.sum(new_true * precision, axis=1), n_ai[:, 0]),
        }
        for name, limit in MAX_FPR.items():
            allowed = np.where(fpr <= limit, tpr, 0.0)
            found[name] = np.max(allowed, axis=1) + 0.0 * fpr[:, -1]
        return found


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return the quotient, NaN where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def intervals(
    tracks: Sequence[ScoredTrack],
    thresholds: Mapping[str, float],
    *,
    n_replicates: int = N_REPLICATES,
    seed: int = SEED,
) -> dict[str, Interval]:
    """Return the interval of each metric by name, as :meth:`Measured.values` names them.

    The thresholds stay as they are: the intervals do not hold how unsure a calibrated
    one is.

    Args:
        tracks: Scored, in any order.
        thresholds: By name.
        n_replicates: How often the lineages are drawn anew.
        seed: Of the draws.

    Returns:
        Nothing where a label has no track.
    """
    lineages = group_lineages(tracks)
    if lineages.labels.all() or not lineages.labels.any():
        return {}
    weighted = Weighted(lineages.labels, lineages.scores[0], thresholds)
    batches = [
        weighted.values(weights) for weights in replicate_weights(lineages, n_replicates, seed)
    ]
    return {
        name: percentile_interval(np.concatenate([batch[name] for batch in batches]))
        for name in batches[0]
    }


def percentile_interval(values: Floats) -> Interval:
    """Return what 95 % of the replicates lie between; undefined ones are left out."""
    outside = (100.0 - _CONFIDENCE_PERCENT) / 2
    low, high = np.nanpercentile(values, [outside, 100.0 - outside])
    return Interval(float(low), float(high))
