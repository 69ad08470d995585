"""Metrics: worked by hand, held against scikit-learn, and what must not change them."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from beetsplug.artifactnet.benchmark.manifest import LABELS, Label, read_manifest
from beetsplug.artifactnet.benchmark.metrics import (
    RANKING,
    Confusion,
    Coverage,
    Measured,
    ScoredTrack,
    calibrate,
    columns,
    judge,
    measure,
    measure_scores,
)
from beetsplug.artifactnet.errors import MissingPackageError
from tests.support.labelled_tracks import (
    ai,
    bench_run,
    bench_tracks,
    real,
    run_of,
    scored,
    training_list,
    v1,
    v1_1,
    v2,
    write_json,
)

OWN = {"own": 0.5}
labels_of: st.SearchStrategy[Label] = st.sampled_from(LABELS)
# Few distinct values, so that ties are common.
scores = st.integers(0, 20).map(lambda n: n / 20)
pairs = st.lists(st.tuples(labels_of, scores), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)
Pairs = list[tuple[Label, float]]


def tracks_of(rows: Pairs) -> list[ScoredTrack]:
    return [scored(probability, label) for label, probability in rows]


def ranks(measured: Measured) -> list[float]:
    found = (measured.values[name] for name in RANKING)
    return [value if value is not None else math.nan for value in found]


def rates(measured: Measured, *names: str) -> list[float | None]:
    return [measured.values[f"own.{name}"] for name in names]


def test_worked_by_hand() -> None:
    """Four tracks of each label, one of each on the wrong side of 0.5."""
    measured = measure([*ai(0.9, 0.8, 0.6, 0.2), *real(0.7, 0.4, 0.3, 0.1)], OWN)
    # Of 16 pairs the ai track is above in 4 + 4 + 3 + 1.
    assert measured.values["auroc"] == 12 / 16
    assert measured.values["auprc"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 7) / 4)
    assert measured.values["tpr_at_fpr_5"] == 0.5
    assert measured.values["tpr_at_fpr_1"] == 0.5
    assert measured.confusion["own"] == Confusion(3, 1, 3, 1)
    assert rates(measured, "precision", "recall", "f1") == [0.75, 0.75, 0.75]
    assert rates(measured, "tpr", "fpr", "balanced_accuracy") == [0.75, 0.25, 0.75]


def test_a_threshold_flags_itself() -> None:
    measured = measure([*ai(0.5), *real(0.5)], OWN)
    assert measured.confusion["own"] == Confusion(1, 1, 0, 0)
    assert measured.values["auroc"] == 0.5


def test_fpr_limits_are_inclusive() -> None:
    """One of 20 real tracks is 5 %, and one of 100 is 1 %."""
    real_scores = [0.9, *np.linspace(0.0, 0.4, 19)]
    measured = measure([*ai(0.95, 0.5), *real(*real_scores)], OWN)
    assert measured.values["tpr_at_fpr_5"] == 1.0
    assert measured.values["tpr_at_fpr_1"] == 0.5


def test_nothing_flagged() -> None:
    measured = measure([*ai(0.1), *real(0.2)], OWN)
    assert rates(measured, "precision", "f1", "tpr", "fpr") == [0.0, 0.0, 0.0, 0.0]


def test_one_label_alone_was_scored() -> None:
    """What needs the other label is absent, not made up."""
    only_ai = measure([*ai(0.9, 0.1), scored(None, "real", reason="silent: x")], OWN)
    assert set(ranks(only_ai)) != set()
    assert all(math.isnan(value) for value in ranks(only_ai))
    assert rates(only_ai, "tpr", "fpr", "balanced_accuracy") == [0.5, None, None]
    assert rates(measure(real(0.9, 0.1), OWN), "tpr", "f1", "fpr") == [None, None, 0.5]
    assert rates(measure([], OWN), "tpr", "fpr", "f1") == [None, None, None]


@settings(max_examples=25)
@given(pairs, st.data())
def test_weights_agree_with_scikit_learn(rows: Pairs, data: st.DataObject) -> None:
    """A weight counts as scikit-learn's sample weight does."""
    labels, probabilities = columns(tracks_of(rows))
    drawn = [data.draw(st.integers(0, 3)) for _ in labels]
    # Both labels must be drawn.
    drawn[labels.index(0)] = drawn[labels.index(1)] = 1
    weights = np.array(drawn)
    found = measure_scores(labels, probabilities, OWN, weights).values
    flags = [probability >= 0.5 for probability in probabilities]
    how: dict[str, Any] = {"sample_weight": weights}
    expected = {
        "auroc": sklearn_metrics.roc_auc_score(labels, probabilities, **how),
        "auprc": sklearn_metrics.average_precision_score(labels, probabilities, **how),
        "own.f1": sklearn_metrics.f1_score(labels, flags, zero_division=0, **how),
        "own.precision": sklearn_metrics.precision_score(labels, flags, zero_division=0, **how),
        "own.recall": sklearn_metrics.recall_score(labels, flags, **how),
        "own.balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, flags, **how),
        "own.fpr": 1 - sklearn_metrics.recall_score(labels, flags, pos_label=0, **how),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@settings(max_examples=25)
@given(pairs)
def test_tpr_at_fpr_is_what_some_threshold_reaches(rows: Pairs) -> None:
    """Every threshold tried: the best TPR among those that keep to the rate."""
    labels, probabilities = np.array(columns(tracks_of(rows)), dtype=object)
    labels, probabilities = labels.astype(int), probabilities.astype(float)
    best = 0.0
    for threshold in probabilities:
        flags = probabilities >= threshold
        if flags[labels == 0].mean() <= 0.05:
            best = max(best, float(flags[labels == 1].mean()))
    found = measure_scores(labels, probabilities, {}).values["tpr_at_fpr_5"]
    assert found == pytest.approx(best)


@settings(max_examples=25)
@given(pairs)
def test_agrees_with_scikit_learn(rows: Pairs) -> None:
    tracks = tracks_of(rows)
    labels, probabilities = columns(tracks)
    flags = [probability >= 0.5 for probability in probabilities]
    expected = {
        "auroc": sklearn_metrics.roc_auc_score(labels, probabilities),
        "auprc": sklearn_metrics.average_precision_score(labels, probabilities),
        "own.f1": sklearn_metrics.f1_score(labels, flags, zero_division=0),
        "own.precision": sklearn_metrics.precision_score(labels, flags, zero_division=0),
        "own.recall": sklearn_metrics.recall_score(labels, flags),
        "own.tpr": sklearn_metrics.recall_score(labels, flags),
        "own.balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, flags),
    }
    found = measure(tracks, OWN).values
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@settings(max_examples=25)
@given(pairs, st.sampled_from([math.sqrt, math.expm1, lambda p: 3 * p + 1, lambda p: p**3]))
def test_strictly_monotone_rescaling(rows: Pairs, rescale: Any) -> None:
    """Ranking metrics see the order alone."""
    rescaled: Pairs = [(label, rescale(probability)) for label, probability in rows]
    assume(len({p for _, p in rescaled}) == len({p for _, p in rows}))
    assert ranks(measure(tracks_of(rescaled), {})) == ranks(measure(tracks_of(rows), {}))


@settings(max_examples=25)
@given(st.data())
def test_permutation(data: st.DataObject) -> None:
    rows: Pairs = data.draw(pairs)
    shuffled: Pairs = data.draw(st.permutations(rows))
    assert measure(tracks_of(shuffled), OWN) == measure(tracks_of(rows), OWN)


@settings(max_examples=25)
@given(pairs)
def test_swapping_labels_mirrors_the_auroc(rows: Pairs) -> None:
    swapped: Pairs = [("real" if label == "ai" else "ai", p) for label, p in rows]
    found, mirrored = measure(tracks_of(rows), {}), measure(tracks_of(swapped), {})
    assert ranks(found)[0] == pytest.approx(1 - ranks(mirrored)[0])


def best_threshold(rows: Pairs, max_fpr: float) -> float | None:
    """Return what :func:`calibrate` must, by trying every probability."""

    def rate(label: str, threshold: float) -> float:
        found = [probability for other, probability in rows if other == label]
        return sum(probability >= threshold for probability in found) / len(found)

    allowed = [p for _, p in rows if rate("real", p) <= max_fpr]
    return min(allowed, key=lambda p: (-rate("ai", p), p), default=None)


@settings(max_examples=25)
@given(pairs, st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5]))
def test_calibration(rows: Pairs, max_fpr: float) -> None:
    """The highest TPR that the FPR allows, and of ties the lowest threshold."""
    assert calibrate(tracks_of(rows), max_fpr) == best_threshold(rows, max_fpr)


def test_calibration_by_hand() -> None:
    reals = [0.62, 0.55, *[0.1] * 38]
    # 2 of 40 are 5 %: both may be flagged, and 0.55 flags no more ai tracks than 0.6 does.
    assert calibrate([*ai(0.9, 0.6), *real(*reals)]) == 0.55
    assert calibrate([*ai(0.9, 0.6), *real(*reals)], 0.0) == 0.9
    assert calibrate([*ai(0.9), *real(1.0)]) is None
    assert calibrate(ai(0.9)) is None


def test_threshold_comes_from_calibration_alone() -> None:
    """Neither test nor validation moves it; metrics come from the test split."""
    calibration = [
        *ai(0.8, 0.7, split="calibration"),
        *real(0.6, *[0.1] * 19, split="calibration"),
    ]
    test = [*ai(0.65, 0.3, split="test"), *real(0.62, 0.2, split="test")]
    validation = [*ai(0.2, split="validation"), *real(0.99, split="validation")]
    judgement = judge(run_of([*test, *validation, *calibration]))
    assert judgement.thresholds == {"own": 0.5, "calibrated": 0.6}
    assert judgement.split == "test"
    assert judgement.measured == measure(test, judgement.thresholds)
    assert set(judgement.diagnosed) == {"calibration", "validation"}
    assert judgement.diagnosed["validation"][1].values["auroc"] == 0.0
    assert judgement.calibration_note.startswith("Calibrated on the calibration split alone")


@pytest.mark.parametrize(
    ("calibration", "note"),
    [
        ([], "There is no calibration split, so no threshold was calibrated."),
        (
            [*ai(0.5, split="calibration"), scored(None, "real", reason="silent: x",
                                                   split="calibration")],
            "the calibration split has 1 scored 'ai' and 0 scored 'real' tracks",
        ),
        (
            [*ai(0.5, split="calibration"), *real(0.7, split="calibration")],
            "each one flags more than 5 % of the 1 real tracks",
        ),
    ],
)  # fmt: skip
def test_no_calibrated_threshold(calibration: list[ScoredTrack], note: str) -> None:
    """Without a calibration the threshold is absent, and the report says why."""
    tracks = [*ai(0.9, split="test"), *real(0.1, split="test"), *calibration]
    judgement = judge(run_of(tracks))
    assert set(judgement.thresholds) == set(judgement.measured.confusion) == {"own"}
    assert note in judgement.calibration_note


def test_failures() -> None:
    """A failure is in no metric, and an error in the second line; missing audio in neither."""
    judgement = judge(
        run_of(
            [
                *ai(0.9, 0.8, 0.7),
                *real(0.1, 0.2, 0.3),
                scored(None, "ai", reason="unreadable: truncated"),
                scored(None, "real", reason="model_failed: no"),
                scored(None, "real", reason="missing: no such file"),
                scored(None, "ai", reason="missing: not found", path=None),
            ]
        )
    )
    assert judgement.coverage == Coverage(n_tracks=10, n_scored=6, n_missing=2, n_failed=2)
    assert judgement.measured.values["auroc"] == 1.0
    assert judgement.measured.confusion["own"] == Confusion(3, 0, 3, 0)
    assert judgement.with_failures is not None
    assert judgement.with_failures.confusion["own"] == Confusion(3, 1, 3, 1)
    # Of 16 pairs the failed ai track loses 4 and the failed real one 3 more.
    assert judgement.with_failures.values["auroc"] == 9 / 16


def test_no_failure_no_second_line() -> None:
    tracks = [*ai(0.9), *real(0.1), scored(None, "ai", reason="missing: gone")]
    assert judge(run_of(tracks)).with_failures is None


@pytest.mark.parametrize(("probability", "reason"), [(None, ""), (0.5, "silent: x")])
def test_a_track_is_scored_or_failed(probability: float | None, reason: str) -> None:
    with pytest.raises(ValueError, match="with reason"):
        scored(probability, "ai", reason=reason)


def test_groups() -> None:
    """Rates of each source; a source of both labels gives one row for each."""
    judgement = judge(
        run_of(
            [
                *ai(0.9, 0.4, source="page", generator="suno"),
                scored(None, "ai", reason="silent: x", source="page"),
                *real(0.7, source="page"),
                *real(0.1, source="fma"),
                *real(0.1),
            ]
        )
    )
    rows = [(g.name, g.label, g.n_tracks, g.n_scored) for g in judgement.sources]
    assert rows == [("page", "ai", 3, 2), ("fma", "real", 1, 1), ("page", "real", 1, 1)]
    assert [g.rate("own") for g in judgement.sources] == [0.5, 0.0, 1.0]
    assert judgement.sources[0].mean_probability == pytest.approx(0.65)
    assert [(g.name, g.n_scored) for g in judgement.generators] == [("suno", 2)]


def test_a_source_without_scores() -> None:
    failed = scored(None, "ai", reason="silent: x", source="page")
    rates = judge(run_of([failed, *ai(0.9), *real(0.1)])).sources[0]
    assert (rates.rate("own"), rates.mean_probability, rates.median_probability) == (None,) * 3


def test_schemas_give_the_same_metrics(tmp_path: Path) -> None:
    """The same 300 tracks in each schema: the same metrics and rates."""
    tracks = bench_tracks(300)
    judgements = []
    for schema in (v1, v1_1, v2, training_list):
        manifest = read_manifest(write_json(tmp_path / "m.json", schema(tracks)))
        ordered = tracks
        if schema is training_list:
            ordered = sorted(tracks, key=lambda track: track.split != "train")
        judgements.append(judge(bench_run(manifest, ordered)))
    first = judgements[0]
    assert first.coverage.n_tracks == sum(track.split == "test" for track in tracks)
    for judgement in judgements[1:]:
        found, expected = judgement.measured, first.measured
        assert ranks(found) == ranks(expected)
        assert found.values["own.f1"] == expected.values["own.f1"]
        for groups, others in (
            (judgement.sources, first.sources),
            (judgement.generators, first.generators),
        ):
            assert [(g.name, g.n_scored, g.n_flagged["own"]) for g in groups] == [
                (g.name, g.n_scored, g.n_flagged["own"]) for g in others
            ]
    assert ["calibrated" in judgement.thresholds for judgement in judgements] == [
        False,
        False,
        True,
        False,
    ]


def test_missing_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingPackageError, match=r"beets-artifactnet\[bench\]"):
        measure([*ai(random.random()), *real(0.1)], OWN)
