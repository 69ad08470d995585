"""Two models on the tracks that both scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from beetsplug.artifactnet.benchmark.comparison import Comparison, compare
from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.metrics import Judgement, ScoredTrack, judge
from tests.support.labelled_tracks import run_of

N = 150
LABELS = ["ai", "real"] * N


def judged(scores: Sequence[float | None], model: str) -> Judgement:
    """Return the judgement on tracks of alternating labels, None being a failure."""
    return judge(
        run_of(
            [
                ScoredTrack(
                    LabelledTrack(str(place), None, "real" if place % 2 else "ai"),
                    score,
                    "" if score is not None else "unreadable: x",
                )
                for place, score in enumerate(scores)
            ],
            model,
        )
    )


def compared(first: Judgement, second: Judgement) -> Comparison:
    return compare(first, second, n_replicates=150)


def noisy(seed: int, spread: float) -> list[float | None]:
    rng = np.random.default_rng(seed)
    centre = np.where(np.array(LABELS) == "ai", 0.65, 0.35)
    return list(np.clip(rng.normal(centre, spread), 0, 1))


def difference(comparison: Comparison, name: str) -> tuple[float, float, float]:
    found = next(d for d in comparison.differences if d.name == name)
    return found.difference, found.interval.low, found.interval.high


def test_better_model() -> None:
    """The interval of a clear difference is on one side of 0."""
    comparison = compared(judged(noisy(1, 0.1), "a-1"), judged(noisy(2, 0.5), "b-1"))
    assert (comparison.first, comparison.second) == ("a-1", "b-1")
    assert (comparison.n_tracks, comparison.n_lineages) == (2 * N, 2 * N)
    value, low, high = difference(comparison, "auroc")
    assert 0 < low < value < high


def test_same_model() -> None:
    """Paired: a model against itself differs by nothing, in every replicate."""
    same = judged(noisy(1, 0.3), "a-1")
    found = compared(same, same)
    assert found.differences
    assert all(
        (d.difference, d.interval.low, d.interval.high) == (0, 0, 0) for d in found.differences
    )


@pytest.mark.slow
def test_mirrored() -> None:
    first, second = judged(noisy(1, 0.2), "a-1"), judged(noisy(2, 0.3), "b-1")
    value, low, high = difference(compared(first, second), "own.f1")
    mirrored = difference(compared(second, first), "own.f1")
    # The columns' order is part of what the tracks are sorted by, so other ones are drawn.
    assert mirrored == pytest.approx((-value, -high, -low), abs=0.02)
    assert mirrored[0] == -value


@pytest.mark.slow
def test_only_what_both_scored() -> None:
    """A track that one of them failed on counts for neither."""
    first, second = noisy(1, 0.2), noisy(2, 0.2)
    first[0], second[1], second[2] = None, None, None
    comparison = compared(judged(first, "a-1"), judged(second, "b-1"))
    assert comparison.n_tracks == 2 * N - 3
    rest = compared(
        judged([None, None, None, *first[3:]], "a-1"),
        judged([None, None, None, *second[3:]], "b-1"),
    )
    assert comparison == rest


def test_nothing_in_common() -> None:
    first: list[float | None] = [0.9, 0.1, None, None]
    comparison = compared(judged(first, "a-1"), judged(first[::-1], "b-1"))
    assert (comparison.n_tracks, comparison.differences) == (0, ())
    one_label = compared(
        judged([0.9, None, 0.8, 0.1], "a-1"), judged([0.9, 0.1, 0.8, None], "b-1")
    )
    assert (one_label.n_tracks, one_label.differences) == (2, ())
