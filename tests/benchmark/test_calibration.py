"""Thresholds from human-made tracks: what they flag, what may be claimed, how they are kept."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from beetsplug.artifactnet.benchmark.calibration import (
    Calibration,
    calibrate_thresholds,
    calibration_rows,
    calibration_values,
    n_allowed,
    n_needed,
    upper_limit,
)
from beetsplug.artifactnet.benchmark.metrics import ScoredTrack
from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.results import Thresholds
from tests.support.labelled_tracks import ai, real, scored

CARD = Thresholds(ai=0.5, unsure=0.3)


def calibrate(tracks: Iterable[ScoredTrack], fpr: float) -> Calibration:
    return calibrate_thresholds("model-1", tracks, fpr, CARD)


probabilities = st.floats(0, 1, exclude_max=True)
rates = st.floats(0.05, 0.5)


@settings(max_examples=50)
@given(st.lists(probabilities, min_size=60, max_size=80), rates)
def test_the_rate_is_kept(scores: list[float], fpr: float) -> None:
    """No more are flagged than wanted, and a threshold one step lower flags too many."""
    found = calibrate(real(*scores), fpr)

    for rate, wanted in ((found.calibrated.ai, fpr), (found.calibrated.unsure, max(fpr, 0.05))):
        assert rate.n_flagged == sum(score >= rate.threshold for score in scores)
        assert rate.at_most == pytest.approx(limit(rate.n_flagged, len(scores)))
        assert rate.share < rate.at_most <= wanted
        n_lower = sum(score >= rate.threshold - 2e-6 for score in scores)
        assert limit(n_lower, len(scores)) > wanted
    assert 0 < found.calibrated.unsure.threshold <= found.calibrated.ai.threshold <= 1


def limit(n_flagged: int, n_tracks: int) -> float:
    """Return SciPy's own exact one-sided 95 % limit of a rate."""
    test = binomtest(n_flagged, n_tracks, alternative="less")
    return float(test.proportion_ci(0.95, method="exact").high)


def test_the_claim_holds_on_other_music() -> None:
    """The rate of a calibrated threshold is above the wanted one in 5 % of the cases."""
    rng, wanted, n_trials = np.random.default_rng(3), 0.1, 2_000
    scores = rng.random((n_trials, 80))
    rank = n_allowed(80, wanted)
    # Of even scores a threshold flags the share above it.
    true_rates = 1 - np.sort(scores, axis=1)[:, ::-1][:, rank]
    exceeded = float(np.mean(true_rates > wanted))
    # As many as the discrete limit lets through, and three standard errors more.
    assert 0.01 < exceeded < 0.05 + 3 * math.sqrt(0.05 * 0.95 / n_trials)
    assert limit(rank, 80) <= wanted < limit(rank + 1, 80)


def test_a_case_by_hand() -> None:
    """Of 100 tracks none may be above ``ai`` for 3 %, and one above ``unsure`` for 5 %."""
    scores = [number / 200 for number in range(100)]
    tracks = [scored(p, "real", lineage_id=f"album-{i // 10}") for i, p in enumerate(scores)]

    found = calibrate([*tracks, *ai(0.99, 0.98)], 0.03)

    assert found.calibrated.thresholds == Thresholds(ai=0.495001, unsure=0.490001)
    assert (found.calibrated.ai.n_flagged, found.calibrated.unsure.n_flagged) == (0, 1)
    assert found.n_lineages == 10
    values = calibration_values(found)
    assert values["flagged"]["ai"] == {"n": 0, "rate": 0.0, "at_most": 0.029513}
    # What the thresholds in force flag stands beside.
    assert found.present.thresholds == CARD
    assert (found.present.ai.n_flagged, found.present.unsure.n_flagged) == (0, 40)
    assert values["before"]["flagged"]["unsure"]["rate"] == 0.4
    assert calibration_rows(found)[:4] == [
        ("", "now", "for 3 %"),
        ("ai threshold", "0.5", "0.495001"),
        ("  reached by", "0 of 100, 0.00%", "0 of 100, 0.00%"),
        ("  at most (95 %)", "2.95%", "2.95%"),
    ]


def test_ties_are_flagged_together_or_not_at_all() -> None:
    """Where many share the highest score, none of them may be flagged."""
    found = calibrate(real(*[0.25] * 30, *[0.1] * 70), 0.05)
    assert found.calibrated.ai.threshold == 0.250001
    assert found.calibrated.ai.n_flagged == 0


def test_what_was_not_scored_does_not_count() -> None:
    """Failures back no claim."""
    tracks = [*real(*[0.1] * 58), scored(None, "real", reason="silent: no sound")]
    with pytest.raises(ConfigError, match="from 58 human-made"):
        calibrate(tracks, 0.05)
    assert calibrate([*tracks, *real(0.2)], 0.05).n_tracks == 59


@pytest.mark.parametrize(
    ("fpr", "needed"), [(0.01, 299), (0.05, 59), (0.03, 99), (0.001, 2995), (0.5, 5)]
)
def test_what_can_be_claimed(fpr: float, needed: int) -> None:
    """To the track: with none of n flagged, the exact one-sided 95 % limit is the rate."""
    assert n_needed(fpr) == needed
    limits = [binomtest(0, n).proportion_ci(0.90).high for n in (needed, needed - 1)]
    assert limits[0] <= fpr < limits[1]
    with pytest.raises(ConfigError, match=rf"takes {needed}$"):
        calibrate(real(*[0.1] * (needed - 1)), fpr)
    assert calibrate(real(*[0.1] * needed), fpr).n_tracks == needed


@pytest.mark.parametrize(("n_tracks", "best"), [(0, "100"), (1, "95"), (6, r"39\.4")])
def test_too_few(n_tracks: int, best: str) -> None:
    """The message says what they can show."""
    with pytest.raises(ConfigError, match=f"from {n_tracks} human-made .* show {best} % at"):
        calibrate(real(*[0.1] * n_tracks), 0.05)


@pytest.mark.parametrize(("fpr", "n_flagged"), [(0.9, 6), (1 - 1e-12, 9)])
def test_any_rate_that_tracks_can_show(fpr: float, n_flagged: int) -> None:
    """However high."""
    found = calibrate(real(*[number / 10 for number in range(10)]), fpr)
    assert found.calibrated.ai.n_flagged == n_flagged


def test_all_are_flagged() -> None:
    """Then nothing is ruled out."""
    assert upper_limit(5, 5) == 1.0


def test_a_saturated_model() -> None:
    """Where a score of 1 is common no threshold can help."""
    with pytest.raises(
        ConfigError,
        match="gives 10 of 100 human-made tracks a score of 1: no threshold",
    ):
        calibrate(real(*[1.0] * 10, *[0.1] * 90), 0.05)
