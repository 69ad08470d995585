"""The heads: what they learn from, what they never see, and where thresholds lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from beetsplug.artifactnet.training.choices import (
    HARD_SHARE,
    N_SEGMENTS,
    NEITHER_CLASS,
    REAL_WEIGHT,
)
from beetsplug.artifactnet.training.fit import heads
from beetsplug.artifactnet.training.fit.rows import Row, Rows
from beetsplug.artifactnet.training.report.tables import results

N_BINS, N_FEATURES = 60, 12
LINE, TRACE = 7, 3
"""The bin and the CNN feature in which generated rows stand out."""


def _rows(n_sources: int = 24, seed: int = 0) -> Rows:
    """Return rows of half human, half generated sources, four tracks each."""
    rng = np.random.default_rng(seed)
    rows, lines, cnn = [], [], []
    for number in range(n_sources):
        label = number % 2
        family = ("Suno", "Udio")[number // 2 % 2] if label else ""
        for track in range(4):
            for n_segments in (1, N_SEGMENTS):
                rows.append(
                    Row(
                        label,
                        family,
                        f"source/{number}",
                        f"{number}:{track}",
                        n_segments,
                        "clip",
                    )
                )
                noise = rng.normal(0, 0.3 / np.sqrt(n_segments), N_BINS) + 1 / n_segments
                noise[LINE] += label
                lines.append(noise)
                features = rng.normal(0, 0.5, N_FEATURES)
                features[TRACE] += label
                cnn.append(features)
    empty = np.zeros(len(rows))
    return Rows(tuple(rows), np.array(lines, np.float16), np.array(cnn, np.float32), empty)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return _rows()


def test_each_stratum_has_its_weight_and_both_classes(rows: Rows) -> None:
    weights = heads.row_weights(rows, np.arange(len(rows.rows)))
    assert weights.sum() == pytest.approx(1)
    for n_segments, share in ((1, 0.25), (N_SEGMENTS, 0.75)):
        of = rows.n_segments == n_segments
        assert weights[of].sum() == pytest.approx(share)
        real, generated = (weights[of & (rows.labels == label)].sum() for label in (0, 1))
        assert real / generated == pytest.approx(REAL_WEIGHT)


def test_hard_negatives_have_a_small_share(rows: Rows) -> None:
    hard = tuple(Row(0, "", f"hard:{k}", str(k), 3, "hard") for k in (1, 1, 2))
    joined = Rows(
        rows.rows + hard,
        np.concatenate([rows.lines, rows.lines[:3]]),
        np.concatenate([rows.cnn, np.full((3, N_FEATURES), np.nan, np.float32)]),
        np.zeros(len(rows.rows) + 3),
    )
    weights = heads.row_weights(joined, np.arange(len(joined.rows)))
    of_real = REAL_WEIGHT / (1 + REAL_WEIGHT)
    assert weights[-3:].sum() == pytest.approx(HARD_SHARE * of_real)
    assert weights[-1] == pytest.approx(2 * weights[-2])  # each kind weighs the same


def test_the_line_that_tells_is_found(rows: Rows) -> None:
    fitted = heads.fit_standing(rows, np.arange(len(rows.rows)))
    assert np.argmax(fitted.weights) == LINE
    human = rows.labels == 0
    logits = fitted.logits(rows.lines.astype(np.float32), rows.n_segments)
    assert abs(logits[human].mean()) < 0.3
    # The bias of each count takes away what few segments show by chance.
    single = rows.n_segments == 1
    assert abs(logits[human & single].mean() - logits[human & ~single].mean()) < 0.5


def test_no_row_of_a_source_reaches_its_own_judge(rows: Rows) -> None:
    """Whatever a source's rows are changed to, its own heads stay as they were."""
    before = heads.judge_sources_out(rows)
    source = "source/5"
    own = np.array([row.source == source for row in rows.rows])
    folds = heads.folds_of(rows)
    same_fold = folds == folds[own][0]
    lines = rows.lines.copy()
    lines[own] = 9
    after = heads.judge_sources_out(replace(rows, lines=lines))
    others = same_fold & ~own
    np.testing.assert_allclose(after.standing[others], before.standing[others])
    assert not np.allclose(after.standing[~same_fold], before.standing[~same_fold])


def test_no_fold_takes_all_sources_of_a_family(rows: Rows) -> None:
    folds = heads.folds_of(rows)
    for family in ("Suno", "Udio"):
        assert len(set(folds[[row.family == family for row in rows.rows]])) == 6
    dealt = [heads.folds_of(rows, seed) for seed in (0, 1)]
    assert (dealt[0] != dealt[1]).any()
    for source in {row.source for row in rows.rows}:
        assert len(set(folds[[row.source == source for row in rows.rows]])) == 1


def test_no_row_of_a_family_reaches_its_own_judge(rows: Rows) -> None:
    family = np.array([row.family == "Udio" for row in rows.rows])
    before = heads.judge_family_out(rows, "Udio")
    assert np.isfinite(before.standing[family]).all()
    assert np.isnan(before.standing[~family]).all()
    lines = rows.lines.copy()
    lines[np.flatnonzero(family)[0]] = 9
    after = heads.judge_family_out(replace(rows, lines=lines), "Udio")
    rest = np.flatnonzero(family)[1:]
    np.testing.assert_allclose(after.standing[rest], before.standing[rest])


def test_what_is_neither_class_teaches_nothing(rows: Rows) -> None:
    source = next(iter(NEITHER_CLASS))
    changed = tuple(
        replace(row, source=source) if row.source == "source/4" else row for row in rows.rows
    )
    learnt = heads.trained_on(replace(rows, rows=changed))
    assert [row.source for row, kept in zip(changed, learnt, strict=True) if not kept] == (
        [source] * 8
    )


def test_the_threshold_counts_sources_and_not_tracks() -> None:
    """Of 100 sources one with a track of ten above is 0.1 %, one with its only track 1 %."""
    rows = tuple(
        Row(0, "", f"source/{s}", f"{s}:{t}", N_SEGMENTS, "track")
        for s in range(100)
        for t in range(10 if s else 1)
    )
    made = Rows(
        rows,
        np.zeros((len(rows), 1), np.float16),
        np.zeros((len(rows), 1), np.float32),
        np.zeros(len(rows)),
    )
    totals = np.linspace(0, 1, len(rows))
    places = np.arange(len(rows))
    at = heads.threshold_for(made, places, totals, 0.005)
    assert (totals >= at).sum() == 5  # five of ten tracks of one source: 0.5 %
    totals[0] = 2.0
    at = heads.threshold_for(made, places, totals, 0.005)
    assert at > 2.0  # the source of one track alone would be 1 %


def test_weights_and_results_of_made_rows(rows: Rows) -> None:
    judged = heads.judge_sources_out(rows)
    weights, at = heads.fit_weights(rows, judged)
    assert weights.slope > 0
    assert at.song_unsure <= at.song_ai
    assert at.clip_unsure <= at.clip_ai
    found = results(rows, judged, at)
    songs = found["songs"]
    assert songs["human"]["ai"]["rows"] == "0 of 48"
    assert songs["human"]["sources"] == 12
    assert songs["found"]["Suno"]["ai"] > 0.9
    assert songs["platforms"]["auc"][0] > 0.99
