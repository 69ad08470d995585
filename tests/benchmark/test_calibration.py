"""Thresholds from human-made tracks: what they flag, what may be claimed, how they are kept."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beetsplug.artifactnet.benchmark.calibration import (
    calibrate_thresholds,
    calibration_lines,
    calibration_values,
    exact_interval,
    n_needed,
)
from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.results import Thresholds
from tests.support.labelled_tracks import ai, real, scored

probabilities = st.floats(0, 1, exclude_max=True)
rates = st.floats(0.05, 0.5)


@settings(max_examples=50)
@given(st.lists(probabilities, min_size=60, max_size=80), rates)
def test_the_rate_is_kept(scores: list[float], fpr: float) -> None:
    """No more are flagged than wanted, and a threshold one step lower flags too many."""
    found = calibrate_thresholds("model-1", real(*scores), fpr)

    n_allowed = math.floor(round(fpr * len(scores), 9))
    for rate, allowed in ((found.ai, n_allowed), (found.unsure, None)):
        assert rate.n_flagged == sum(score >= rate.threshold for score in scores)
        if allowed is not None:
            assert rate.n_flagged <= allowed
            lower = rate.threshold - 2e-6
            assert sum(score >= lower for score in scores) > allowed
        assert rate.interval.low <= rate.share <= rate.interval.high
    assert 0 < found.unsure.threshold <= found.ai.threshold <= 1
    assert found.unsure.n_flagged <= math.floor(round(max(fpr, 0.05) * len(scores), 9))


def test_a_case_by_hand() -> None:
    """Of 100 tracks one may be above ``ai`` and five above ``unsure``."""
    scores = [number / 200 for number in range(100)]
    tracks = [scored(p, "real", lineage_id=f"album-{i // 10}") for i, p in enumerate(scores)]

    found = calibrate_thresholds("model-1", [*tracks, *ai(0.99, 0.98)], 0.03)

    assert found.thresholds == Thresholds(ai=0.480001, unsure=0.470001)
    assert (found.ai.n_flagged, found.unsure.n_flagged) == (3, 5)
    assert found.n_lineages == 10
    values = calibration_values(found)
    assert values["flagged"]["ai"] == {"n": 3, "rate": 0.03, "interval": [0.006230, 0.085176]}
    assert calibration_lines(found)[1] == (
        "  ai     at 0.480001: flags 3 of them, 3.00% (95 % interval 0.62% to 8.52%)"
    )


def test_ties_are_flagged_together_or_not_at_all() -> None:
    """Where many share the highest score, none of them may be flagged."""
    found = calibrate_thresholds("m-1", real(*[0.25] * 30, *[0.1] * 70), 0.05)
    assert found.ai.threshold == 0.250001
    assert found.ai.n_flagged == 0


def test_what_was_not_scored_does_not_count() -> None:
    """Failures back no claim."""
    tracks = [*real(*[0.1] * 59), scored(None, "real", reason="silent: no sound")]
    with pytest.raises(ConfigError, match="from 59 human-made"):
        calibrate_thresholds("m-1", tracks, 0.05)
    assert calibrate_thresholds("m-1", [*tracks, *real(0.2)], 0.05).ai.n_tracks == 60


@pytest.mark.parametrize(
    ("fpr", "needed"), [(0.01, 300), (0.05, 60), (0.03, 100), (0.001, 3000), (0.5, 6)]
)
def test_the_rule_of_three(fpr: float, needed: int) -> None:
    """3/n, to the track."""
    assert n_needed(fpr) == needed
    # With none of n flagged the exact upper limit, one-sided 95 %, is close to 3/n.
    assert 1 - 0.05 ** (1 / needed) <= fpr
    with pytest.raises(ConfigError, match=rf"takes {needed}$"):
        calibrate_thresholds("m-1", real(*[0.1] * (needed - 1)), fpr)


@pytest.mark.parametrize("n_tracks", [0, 1, 6])
def test_too_few_for_anything(n_tracks: int) -> None:
    """A handful of tracks shows no rate worth the name."""
    with pytest.raises(ConfigError, match=f"from {n_tracks} human-made .* can show nothing"):
        calibrate_thresholds("m-1", real(*[0.1] * n_tracks), 0.05)


def test_a_saturated_model() -> None:
    """Where a score of 1 is common no threshold can help."""
    with pytest.raises(ConfigError, match="a score of 1: no threshold keeps to that rate"):
        calibrate_thresholds("m-1", real(*[1.0] * 10, *[0.1] * 90), 0.05)


def test_the_exact_interval() -> None:
    """The model card's own figure: 2 of 292 is 0.1 to 2.5 %."""
    found = exact_interval(2, 292)
    assert (round(found.low, 3), round(found.high, 3)) == (0.001, 0.025)
    assert exact_interval(0, 10).low == 0.0
