"""Two models on the tracks that both scored: paired differences with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from beetsplug.artifactnet.benchmark.intervals import (
    N_REPLICATES,
    SEED,
    Floats,
    Interval,
    group_lineages,
    percentile_interval,
    replicate_metrics,
)
from beetsplug.artifactnet.benchmark.metrics import Judgement, measure


@dataclass(frozen=True)
class Difference:
    """One metric of both models on the same tracks."""

    name: str
    """As :attr:`Measured.values` has it."""
    first: float
    second: float
    interval: Interval
    """Of :attr:`difference`, each replicate drawing the same tracks for both."""

    @property
    def difference(self) -> float:
        """First minus second, in [-1, 1]."""
        return self.first - self.second


@dataclass(frozen=True)
class Comparison:
    """One model held against another."""

    first: str
    """Label of the model."""
    second: str
    n_tracks: int
    """Of the judged split, scored by both."""
    n_lineages: int
    differences: tuple[Difference, ...]
    """Empty where a label has no track that both scored."""


def compare(
    first: Judgement, second: Judgement, *, n_replicates: int = N_REPLICATES, seed: int = SEED
) -> Comparison:
    """Return the paired differences of two models, each at its own thresholds.

    Args:
        first: Judged on the same manifest as the second.
        second: Metrics of a threshold that only one of them has are left out.
        n_replicates: How often the lineages are drawn anew.
        seed: Of the draws.
    """
    by_id = {scored.track.track_id: scored for scored in second.scored}
    of_first = [scored for scored in first.scored if scored.track.track_id in by_id]
    of_second = [by_id[scored.track.track_id] for scored in of_first]
    lineages = group_lineages(of_first, of_second)
    differences: tuple[Difference, ...] = ()
    if lineages.has_both_labels:
        columns = [
            replicate_metrics(lineages, place, judgement.thresholds, n_replicates, seed)
            for place, judgement in enumerate((first, second))
        ]
        values = [
            measure(of_first, first.thresholds).values,
            measure(of_second, second.thresholds).values,
        ]
        differences = tuple(_differences(values, columns))
    return Comparison(
        first.run.model, second.run.model, len(of_first), lineages.n_lineages, differences
    )


def _differences(
    values: Sequence[Mapping[str, float | None]], replicates: Sequence[Mapping[str, Floats]]
) -> Iterator[Difference]:
    (first, second), (first_drawn, second_drawn) = values, replicates
    for name, value in first.items():
        other = second.get(name)
        if value is not None and other is not None:
            interval = percentile_interval(first_drawn[name] - second_drawn[name])
            yield Difference(name, value, other, interval)
