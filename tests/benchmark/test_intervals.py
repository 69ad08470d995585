"""Intervals: the weighted metrics, what is drawn, and how often the truth lies inside."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from beetsplug.artifactnet.benchmark.intervals import (
    Floats,
    Lineages,
    Weights,
    group_lineages,
    intervals,
    percentile_interval,
    replicate_metrics,
    replicate_weights,
)
from beetsplug.artifactnet.benchmark.manifest import read_manifest
from beetsplug.artifactnet.benchmark.metrics import ScoredTrack, judge, measure, measure_scores
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


def test_a_replicate_is_computed_with_its_weights() -> None:
    """Tracks drawn twice count twice: as if they were there twice."""
    tracks = [*ai(0.9, 0.6, 0.6, 0.2), *real(0.6, 0.1, 0.3)]
    lineages = group_lineages(tracks)
    found = replicate_metrics(lineages, 0, THRESHOLDS, 20, seed=3)
    for place, weights in enumerate(replicate_weights(lineages, 20, seed=3)):
        drawn = np.repeat(np.arange(len(tracks)), weights)
        expected = measure_scores(
            lineages.labels[drawn].tolist(), lineages.scores[0][drawn].tolist(), THRESHOLDS
        ).values
        row = {name: float(values[place]) for name, values in found.items()}
        assert row == pytest.approx(expected)


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
    weights = np.stack(list(replicate_weights(lineages, 200, seed=0)))
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
    for weights in replicate_weights(lineages, 50, seed=0):
        assert weights[lineages.labels == 1].sum() == 6
        assert weights[lineages.labels == 0].sum() == 6


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
    expected = intervals(tracks, THRESHOLDS, n_replicates=50)
    again = some_tracks(60, np.random.default_rng(5))
    shuffled = [again[place] for place in rng.permutation(len(again))]
    assert intervals(shuffled, THRESHOLDS, n_replicates=50) == expected
    assert intervals(tracks, THRESHOLDS, n_replicates=50, seed=1) != expected


def test_schemas_give_the_same_intervals(tmp_path: Path) -> None:
    """The same 300 tracks in each of ArtifactBench's schemas: the same intervals."""
    tracks = bench_tracks(300)
    found = []
    for schema in (v1, v1_1, v2):
        manifest = read_manifest(write_json(tmp_path / "m.json", schema(tracks)))
        judgement = judge(bench_run(manifest, tracks))
        found.append(intervals(judgement.scored, {"own": 0.5}, n_replicates=40))
    assert found[0] == found[1] == found[2]
    assert found[0]["auroc"].low < found[0]["auroc"].high


def test_interval_holds_the_metric() -> None:
    tracks = some_tracks(100, np.random.default_rng(6))
    found = intervals(tracks, THRESHOLDS, n_replicates=60)
    values = measure(tracks, THRESHOLDS).values
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
        intervals([scored(None, "ai", reason="silent: x")], THRESHOLDS)


def test_percentiles() -> None:
    found = percentile_interval(np.linspace(0, 1, 1001))
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))


@pytest.mark.slow
def test_coverage_of_the_truth() -> None:
    """On simulated data about 95 % of the intervals hold the true AUROC, TPR and FPR."""
    rng = np.random.default_rng(7)
    gap, n_trials = 1.0, 150
    normal = NormalDist()
    truth = {"auroc": normal.cdf(gap / math.sqrt(2)), "tpr": 1 - normal.cdf(-gap), "fpr": 0.5}
    hits = dict.fromkeys(truth, 0)
    for trial in range(n_trials):
        lineages = group_lineages(some_tracks(80, rng, gap))
        weights = np.stack(list(replicate_weights(lineages, 200, seed=trial)))
        for name, values in weighted_metrics(lineages, weights).items():
            found = percentile_interval(values)
            hits[name] += found.low <= truth[name] <= found.high
    for name, n in hits.items():
        # Three standard errors of a share of 0.95 in 150 trials are 0.053.
        assert 0.89 <= n / n_trials <= 0.995, (name, n)


def weighted_metrics(lineages: Lineages, weights: Weights) -> dict[str, Floats]:
    """Return AUROC, TPR and FPR at 0.5 of all replicates at once.

    scikit-learn, which the product asks replicate by replicate, would take a minute here;
    that these agree is tested below.
    """
    scores, is_ai = lineages.scores[0], lineages.labels == 1
    ai_weights, real_weights = weights[:, is_ai], weights[:, ~is_ai]
    ai_scores, real_scores = scores[is_ai], scores[~is_ai]
    wins = (ai_scores[:, None] > real_scores) + 0.5 * (ai_scores[:, None] == real_scores)
    n_pairs = ai_weights.sum(axis=1) * real_weights.sum(axis=1)
    return {
        "auroc": np.einsum("ri,ij,rj->r", ai_weights, wins, real_weights, optimize=True)
        / n_pairs,
        "tpr": np.average(np.broadcast_to(ai_scores >= 0.5, ai_weights.shape), 1, ai_weights),
        "fpr": np.average(
            np.broadcast_to(real_scores >= 0.5, real_weights.shape), 1, real_weights
        ),
    }


def test_the_weighted_metrics_are_those_of_the_product() -> None:
    """Replicate for replicate, so that the coverage is that of the product's intervals."""
    lineages = group_lineages(some_tracks(80, np.random.default_rng(7)))
    weights = np.stack(list(replicate_weights(lineages, 40, seed=2)))
    product = replicate_metrics(lineages, 0, {"own": 0.5}, 40, seed=2)
    ours = weighted_metrics(lineages, weights)
    for name, of_product in (("auroc", "auroc"), ("tpr", "own.tpr"), ("fpr", "own.fpr")):
        assert ours[name] == pytest.approx(product[of_product])


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
        lineages = group_lineages(some)
        weights = np.stack(list(replicate_weights(lineages, 200, seed=0)))
        found = percentile_interval(weighted_metrics(lineages, weights)["auroc"])
        return found.high - found.low

    assert width(copies) == pytest.approx(width(tracks), rel=0.25)
    assert width(alone) == pytest.approx(width(tracks) / 3, rel=0.25)
