"""Intervals: the weighted metrics, what is drawn, and how often the truth lies inside."""

from __future__ import annotations

import math
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from beetsplug.artifactnet.benchmark.intervals import (
    Weighted,
    group_lineages,
    intervals,
    percentile_interval,
    replicate_weights,
)
from beetsplug.artifactnet.benchmark.manifest import read_manifest
from beetsplug.artifactnet.benchmark.metrics import MAX_FPR, ScoredTrack, judge, measure
from tests.support.labelled_tracks import (
    ai,
    bench_run,
    bench_tracks,
    real,
    scored,
    v1,
    v1_1,
    v2,
    write_json,
)

THRESHOLDS = {"own": 0.5, "strict": 1.0}


@st.composite
def weighted_rows(draw: st.DrawFn) -> tuple[list[bool], list[float], list[int]]:
    """Labels, scores with ties, and weights of which some of each label are not 0."""
    n = draw(st.integers(2, 25))
    labels = [True, False, *draw(st.lists(st.booleans(), min_size=n - 2, max_size=n - 2))]
    scores = draw(st.lists(st.integers(0, 10).map(lambda v: v / 10), min_size=n, max_size=n))
    weights = draw(st.lists(st.integers(0, 3), min_size=n - 2, max_size=n - 2))
    return labels, scores, [draw(st.integers(1, 3)), draw(st.integers(1, 3)), *weights]


@settings(max_examples=30)
@given(weighted_rows())
def test_agrees_with_scikit_learn(rows: tuple[list[bool], list[float], list[int]]) -> None:
    """The weights of a replicate do what sample weights do in scikit-learn."""
    labels, scores, weights = rows
    weighted = Weighted(np.array(labels), np.array(scores), THRESHOLDS)
    found = {name: values[0] for name, values in weighted.values(np.array([weights])).items()}
    options = {"sample_weight": weights}
    fpr, tpr, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False, **options)
    expected = {
        "auroc": sklearn_metrics.roc_auc_score(labels, scores, **options),
        "auprc": sklearn_metrics.average_precision_score(labels, scores, **options),
        **{name: max(tpr[fpr <= limit]) for name, limit in MAX_FPR.items()},
    }
    for name, threshold in THRESHOLDS.items():
        flags = [score >= threshold for score in scores]
        recall = sklearn_metrics.recall_score(labels, flags, **options)
        expected |= {
            f"{name}.f1": sklearn_metrics.f1_score(labels, flags, zero_division=0, **options),
            f"{name}.precision": sklearn_metrics.precision_score(
                labels, flags, zero_division=0, **options
            ),
            f"{name}.recall": recall,
            f"{name}.tpr": recall,
            f"{name}.fpr": 1
            - sklearn_metrics.recall_score(labels, flags, pos_label=False, **options),
            f"{name}.balanced_accuracy": sklearn_metrics.balanced_accuracy_score(
                labels, flags, **options
            ),
        }
    assert found == pytest.approx(expected)


def test_a_replicate_that_draws_all_once_is_the_metric() -> None:
    tracks = [*ai(0.9, 0.6, 0.6, 0.2), *real(0.6, 0.1, 0.3)]
    lineages = group_lineages(tracks)
    weighted = Weighted(lineages.labels, lineages.scores[0], THRESHOLDS)
    found = weighted.values(np.ones((1, len(tracks))))
    expected = measure(tracks, THRESHOLDS).values()
    assert {name: float(values[0]) for name, values in found.items()} == pytest.approx(expected)


def test_lineages_are_drawn_whole_and_within_their_label() -> None:
    """Tracks of a lineage have one weight; each label keeps its number of lineages."""
    tracks = [
        *ai(0.9, 0.8, 0.7, lineage_id="song"),
        *ai(0.1, 0.2),
        *real(0.3, 0.4, lineage_id="album"),
        *real(0.5, 0.6, 0.65),
    ]
    lineages = group_lineages(tracks)
    assert lineages.n_lineages == 3 + 4
    weights = np.concatenate(list(replicate_weights(lineages, 200)))
    assert weights.shape == (200, len(tracks))
    of_score = {float(s): weights[:, place] for place, s in enumerate(lineages.scores[0])}
    assert np.array_equal(of_score[0.9], of_score[0.7])
    assert np.array_equal(of_score[0.3], of_score[0.4])
    assert np.all(of_score[0.9] + of_score[0.1] + of_score[0.2] == 3)
    assert np.all(of_score[0.3] + of_score[0.5] + of_score[0.6] + of_score[0.65] == 4)
    assert len(np.unique(of_score[0.9])) > 2


def test_a_lineage_of_both_labels_stays_together() -> None:
    """A song and its re-synthesis are drawn together."""
    tracks = [
        track
        for song in range(6)
        for track in (
            *ai(0.9 - song / 100, lineage_id=str(song)),
            *real(0.1 + song / 100, lineage_id=str(song)),
        )
    ]
    lineages = group_lineages(tracks)
    assert len(lineages.strata) == 1
    for weights in replicate_weights(lineages, 50):
        assert np.all(weights[:, lineages.labels].sum(axis=1) == 6)
        assert np.all(weights[:, ~lineages.labels].sum(axis=1) == 6)


def some_tracks(n: int, rng: np.random.Generator, gap: float = 1.0) -> list[ScoredTrack]:
    """Return n tracks of each label whose scores overlap."""
    squash = NormalDist().cdf
    return [
        *ai(*map(squash, rng.normal(gap, 1, n).tolist())),
        *real(*map(squash, rng.normal(0, 1, n).tolist())),
    ]


def test_intervals_depend_on_nothing_else() -> None:
    """Neither the order of the tracks nor what they are called changes an interval."""
    rng = np.random.default_rng(5)
    tracks = some_tracks(60, rng)
    expected = intervals(tracks, THRESHOLDS, n_replicates=300)
    again = some_tracks(60, np.random.default_rng(5))
    shuffled = [again[place] for place in rng.permutation(len(again))]
    assert intervals(shuffled, THRESHOLDS, n_replicates=300) == expected
    assert intervals(tracks, THRESHOLDS, n_replicates=300, seed=1) != expected


def test_schemas_give_the_same_intervals(tmp_path: Path) -> None:
    """The same 300 tracks in each of ArtifactBench's schemas: the same intervals."""
    tracks = bench_tracks(300)
    found = []
    for schema in (v1, v1_1, v2):
        manifest = read_manifest(write_json(tmp_path / "m.json", schema(tracks)))
        judgement = judge(bench_run(manifest, tracks))
        found.append(intervals(judgement.scored, {"own": 0.5}, n_replicates=200))
    assert found[0] == found[1] == found[2]
    assert found[0]["auroc"].low < found[0]["auroc"].high


def test_interval_holds_the_metric() -> None:
    tracks = some_tracks(100, np.random.default_rng(6))
    found = intervals(tracks, THRESHOLDS)
    values = measure(tracks, THRESHOLDS).values()
    assert set(found) == set(values)
    for name, interval in found.items():
        value = values[name]
        assert value is not None
        assert interval.low <= value <= interval.high, name


def test_one_label_has_no_intervals() -> None:
    assert intervals(ai(0.5, 0.7), THRESHOLDS) == {}
    assert intervals([], THRESHOLDS) == {}


def test_unscored_tracks_are_refused() -> None:
    with pytest.raises(ValueError, match="was not scored"):
        intervals([scored(None, "ai", failure="silent: x")], THRESHOLDS)


def test_percentiles() -> None:
    values = np.append(np.linspace(0, 1, 1001), math.nan)
    found = percentile_interval(values)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))


def test_coverage_of_the_truth() -> None:
    """On simulated data about 95 % of the intervals hold the true value."""
    rng = np.random.default_rng(7)
    gap, normal = 1.0, NormalDist()
    truth = {
        "auroc": normal.cdf(gap / math.sqrt(2)),
        "own.tpr": 1 - normal.cdf(-gap),
        "own.fpr": 0.5,
    }
    n_trials, hits = 200, dict.fromkeys(truth, 0)
    for _ in range(n_trials):
        found = intervals(some_tracks(80, rng, gap), {"own": 0.5}, n_replicates=200)
        for name, value in truth.items():
            hits[name] += found[name].low <= value <= found[name].high
    for name, n in hits.items():
        # Three standard errors of a share of 0.95 in 200 trials are 0.046.
        assert 0.90 <= n / n_trials <= 0.99, (name, n)


def test_lineages_widen_intervals() -> None:
    """Nine copies of each track are no more evidence than one."""
    tracks = some_tracks(40, np.random.default_rng(8))
    copies = [
        scored(t.probability, t.track.label, lineage_id=t.track.track_id)
        for t in tracks
        for _ in range(9)
    ]
    alone = [scored(t.probability, t.track.label) for t in copies]

    def width(some: list[ScoredTrack]) -> float:
        found = intervals(some, {}, n_replicates=500)["auroc"]
        return found.high - found.low

    assert width(copies) == pytest.approx(width(tracks), rel=0.2)
    assert width(alone) == pytest.approx(width(tracks) / 3, rel=0.2)


def test_is_fast() -> None:
    """All replicates over as many tracks as ArtifactBench tests on, in seconds."""
    tracks = some_tracks(1132, np.random.default_rng(9))
    start = time.perf_counter()
    intervals(tracks, {"own": 0.5, "calibrated": 0.6})
    assert time.perf_counter() - start < 10
