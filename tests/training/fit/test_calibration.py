"""Thresholds that hold on every set of real music, and the slope."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training.choices import AGGREGATION
from beetsplug.artifactnet.training.fit.calibration import (
    calibrate,
    fitted_slope,
    probability,
    threshold_at,
)
from beetsplug.artifactnet.training.fit.judging import Judged
from beetsplug.artifactnet.training.model.fusion import column, fuse
from tests.training.fit.made_folds import N_REAL, is_excerpt, make_fold


def test_thresholds_hold_on_every_set(tmp_path: Path) -> None:
    """One set of real music that scores high lifts the thresholds for all."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1), make_fold(tmp_path, 2)]
    before = calibrate(held, folds)
    real = folds[1].dataset.labels == 0
    for head in ("per-bin", "coarse"):
        folds[1].branches[real, column(head)] += 3.0
    after = calibrate(held, folds)
    assert after.ai > before.ai + 1
    assert after.unsure > before.unsure + 1
    for rates in (before.rates, after.rates):
        assert rates["calibration_tracks"] == N_REAL
        assert all(
            value <= (0.001 if "_ai" in name else 0.05)
            for name, value in rates.items()
            if name.startswith("false_positive_rate")
        )
    assert after.thresholds.ai == 0.5
    assert 0 < after.thresholds.unsure < 0.5


def test_thresholds_hold_on_excerpts_alone(tmp_path: Path) -> None:
    """A few excerpts that score high among many tracks that do not lift them, too."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1), make_fold(tmp_path, 2)]
    before = calibrate(held, folds)
    for fold in folds:
        clips = [fold.dataset.clips[crop.clip] for crop in fold.dataset.crops]
        # An eighth of all real music.
        lifted = [not clip.label and is_excerpt(clip) for clip in clips]
        for head in ("per-bin", "coarse"):
            fold.branches[lifted, column(head)] += 1.0
    after = calibrate(held, folds)
    judged = [
        judged
        for fold in folds
        for judged in fold.judge(fuse(fold.branches), 0, AGGREGATION)
        if not judged.clip.label
    ]
    excerpts = [clip for clip in judged if is_excerpt(clip.clip)]

    def share(some: list[Judged], threshold: float) -> float:
        return float(np.mean([clip.logit >= threshold for clip in some]))

    assert share(judged, after.unsure) < 0.05
    assert share(excerpts, before.unsure) > 0.1
    assert 0 < share(excerpts, after.unsure) <= 0.05
    assert after.rates["false_positive_rate_unsure_folds_excerpts"] == round(
        share(excerpts, after.unsure), 4
    )


def test_thresholds_hold_on_every_variant(tmp_path: Path) -> None:
    """A codec that lifts the score of one track lifts the threshold, whichever it is."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1, n_variants=4)]
    before = calibrate(held, folds)
    crops = folds[0].dataset.crops
    lifted = [crop.variant == 3 and crop.clip == 5 for crop in crops]
    for head in ("per-bin", "coarse"):
        folds[0].branches[lifted, column(head)] += 9.0
    after = calibrate(held, folds)
    assert after.ai > before.ai + 1
    assert after.rates["false_positive_rate_ai_recoded_3_folds"] == 0
    assert "false_positive_rate_ai_recoded_3" not in after.rates


def test_slope_is_the_one_that_the_labels_were_drawn_with(tmp_path: Path) -> None:
    """Of labels drawn with a slope of 0.7 about the threshold, that slope is found."""
    rng = np.random.default_rng(0)
    clip = make_fold(tmp_path, 0).dataset.clips[0]
    logits = rng.normal(-1.5, 3, 20_000)
    labels = rng.random(len(logits)) < 1 / (1 + np.exp(-0.7 * (logits + 1.5)))
    judged = [
        Judged(replace(clip, label=int(label)), float(logit))
        for logit, label in zip(logits, labels, strict=True)
    ]
    assert fitted_slope(judged, -1.5) == pytest.approx(0.7, abs=0.03)
    assert probability(-1.5, -1.5, 0.7) == 0.5
    assert probability(0.5, -1.5, 0.7) == pytest.approx(1 / (1 + np.exp(-1.4)))


def test_the_threshold_lets_through_what_the_rate_allows() -> None:
    """At 1 % of 300 real tracks three are flagged, at 5 % fifteen, at 0 none."""
    logits = np.random.default_rng(0).permutation(np.arange(300)).astype(float)
    for rate, n_flagged in ((0.01, 3), (0.05, 15), (0.0, 0)):
        threshold = threshold_at(list(logits), rate)
        assert int(np.sum(logits >= threshold)) == n_flagged
