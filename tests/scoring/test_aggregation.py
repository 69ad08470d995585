"""From segment probabilities to a track's score and its verdict."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.errors import ModelOutputError
from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.results import (
    Outcome,
    SegmentScore,
    Thresholds,
    TrackResult,
    TrackScore,
    Verdict,
)
from beetsplug.artifactnet.scoring.aggregation import score_track

finite = st.floats(0, 1)
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])
probabilities = st.lists(finite, min_size=1, max_size=40)
thresholds = (
    st.tuples(st.floats(0, 1, exclude_min=True), st.floats(0, 1, exclude_min=True))
    .map(sorted)
    .map(lambda pair: Thresholds(ai=pair[1], unsure=pair[0]))
)


aggregations = st.sampled_from(get_args(Aggregation))


def share(score: TrackScore, limits: Thresholds) -> float:
    return limits.ai_share([segment.probability for segment in score.segments])


def track(values: list[float], aggregation: Aggregation = "median") -> TrackScore:
    starts_s = [4.0 * place for place in range(len(values))]
    return score_track(
        values,
        starts_s,
        duration_s=4.0 * len(values),
        model="loudness-1.0",
        aggregation=aggregation,
    )


@given(probabilities)
def test_score_is_the_median(values: list[float]) -> None:
    """A track's probability is NumPy's median over its segments."""
    assert pytest.approx(float(np.median(values)), abs=1e-15) == track(values).probability


@given(probabilities)
def test_other_aggregations(values: list[float]) -> None:
    """A card may ask for the lower tercile, the mean or the highest segment instead."""
    tercile = float(np.quantile(values, 1 / 3))
    assert track(values, "tercile").probability == pytest.approx(tercile, abs=1e-12)
    assert track(values, "mean").probability == pytest.approx(float(np.mean(values)), abs=1e-15)
    assert track(values, "max").probability == max(values)


@given(st.data(), aggregations)
def test_order_does_not_matter(data: st.DataObject, aggregation: Aggregation) -> None:
    """Segments in any order give the same score."""
    values = data.draw(probabilities)
    shuffled = data.draw(st.permutations(values))
    expected = track(values, aggregation).probability
    assert expected == track(shuffled, aggregation).probability


@given(probabilities, aggregations)
def test_score_lies_between_its_segments(values: list[float], aggregation: Aggregation) -> None:
    """The score is between the lowest and the highest segment."""
    assert min(values) <= track(values, aggregation).probability <= max(values)


@given(probabilities, thresholds)
def test_two_thirds_reach_the_tercile(values: list[float], limits: Thresholds) -> None:
    """Of seven segments five are at or above the lower tercile; so it is of any 3n + 1."""
    whole = values * 3 + values[:1]
    score = track(whole, "tercile")
    verdict = limits.verdict(score.probability)
    assert (verdict is Verdict.AI) == (3 * share(score, limits) > 2)


@given(probabilities, st.data())
def test_a_minority_of_segments_has_no_bound_on_it(
    values: list[float], data: st.DataObject
) -> None:
    """Fewer than half of the segments, whatever they say, cannot leave the others' range."""
    n_others = data.draw(st.integers(0, (len(values) - 1) // 2))
    others = data.draw(st.lists(finite, min_size=n_others, max_size=n_others))
    assert min(values) <= track(values + others).probability <= max(values)


@given(st.lists(st.one_of(finite, not_finite), min_size=1, max_size=40), aggregations)
def test_not_finite_segments_are_left_out(
    values: list[float], aggregation: Aggregation
) -> None:
    """NaN segments are dropped while more than half are finite, and refused otherwise."""
    kept = [(4.0 * place, p) for place, p in enumerate(values) if math.isfinite(p)]
    if 2 * len(kept) > len(values):
        score = track(values, aggregation)
        assert kept == [(segment.start_s, segment.probability) for segment in score.segments]
        assert score.probability == track([p for _, p in kept], aggregation).probability
    else:
        with pytest.raises(ModelOutputError):
            track(values, aggregation)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("median", 0.3), ("tercile", 0.2), ("mean", 0.4), ("max", 0.9)],
)
def test_not_finite_segments_by_hand(aggregation: Aggregation, expected: float) -> None:
    """Of [0.1, NaN, 0.2, inf, 0.4, -inf, 0.9] four are finite, and they decide."""
    values = [0.1, math.nan, 0.2, math.inf, 0.4, -math.inf, 0.9]
    assert track(values, aggregation).probability == pytest.approx(expected)
    with pytest.raises(ModelOutputError):
        track([math.nan, *values], aggregation)


def test_no_segments() -> None:
    """No probabilities at all are a failure, too."""
    with pytest.raises(ModelOutputError, match="0 of 0 segments"):
        track([])


def test_four_of_seven() -> None:
    """Of seven segments four must be finite."""
    nan = math.nan
    assert track([0.1, nan, 0.2, nan, 0.4, nan, 0.9]).probability == pytest.approx(0.3)
    with pytest.raises(ModelOutputError) as caught:
        track([0.1, nan, 0.2, nan, 0.4, nan, nan])
    assert str(caught.value) == "3 of 7 segments gave a finite probability, 4 are needed"


def test_score_keeps_what_it_was_told() -> None:
    """Duration and model label are handed on."""
    score = track([0.25])
    assert score.duration_s == 4.0
    assert score.model == "loudness-1.0"
    assert score.segments == (SegmentScore(0.0, 0.25),)


def test_starts_and_probabilities_match() -> None:
    """A start for each probability is needed."""
    with pytest.raises(ValueError, match="zip"):
        score_track([0.1, 0.2], [0.0], duration_s=8.0, model="loudness-1.0")


@given(finite, thresholds)
def test_verdict(probability: float, limits: Thresholds) -> None:
    """At or above a threshold is above the line."""
    if probability >= limits.ai:
        expected = Verdict.AI
    elif probability >= limits.unsure:
        expected = Verdict.UNSURE
    else:
        expected = Verdict.REAL
    assert expected == limits.verdict(probability)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.0, "real"),
        (0.29, "real"),
        (0.3, "unsure"),
        (0.49, "unsure"),
        (0.5, "ai"),
        (1.0, "ai"),
    ],
)
def test_verdict_at_the_thresholds(probability: float, expected: str) -> None:
    """Verdicts at 0.3 and 0.5 change exactly there."""
    assert Verdict(expected) == Thresholds(ai=0.5, unsure=0.3).verdict(probability)


@given(st.tuples(finite, finite).map(sorted), thresholds)
def test_verdict_never_falls(pair: list[float], limits: Thresholds) -> None:
    """A higher probability never gives a milder verdict."""
    order = [Verdict.REAL, Verdict.UNSURE, Verdict.AI]
    low, high = (order.index(limits.verdict(probability)) for probability in pair)
    assert low <= high


@given(probabilities, thresholds)
def test_share(values: list[float], limits: Thresholds) -> None:
    """The share counts the segments that would be called AI by themselves."""
    score = track(values)
    n_ai = sum(limits.verdict(value) is Verdict.AI for value in values)
    assert n_ai / len(values) == share(score, limits)


@given(probabilities, thresholds)
def test_share_and_verdict_agree(values: list[float], limits: Thresholds) -> None:
    """More than half of the segments above the threshold is a track above it."""
    score = track(values)
    if share(score, limits) > 0.5:
        assert limits.verdict(score.probability) is Verdict.AI


@pytest.mark.parametrize(
    ("ai", "unsure"),
    [(0.3, 0.5), (0.5, 0.0), (0.5, -0.1), (1.1, 0.5), (math.nan, 0.3), (0.5, math.nan)],
)
def test_impossible_thresholds(ai: float, unsure: float) -> None:
    """Thresholds that are out of order or range are refused with both values."""
    with pytest.raises(ValueError, match=f"unsure={unsure:g}, ai={ai:g}"):
        Thresholds(ai=ai, unsure=unsure)


def test_equal_thresholds() -> None:
    """Equal thresholds leave no room for ``unsure``."""
    limits = Thresholds(ai=0.5, unsure=0.5)
    verdicts = {limits.verdict(p) for p in np.linspace(0, 1, 101)}
    assert verdicts == {Verdict.AI, Verdict.REAL}


@pytest.mark.parametrize("outcome", Outcome)
def test_score_exactly_when_scored(outcome: Outcome) -> None:
    """A result has a score exactly where its outcome is ``scored``."""
    path = Path("a.flac")
    wrong = None if outcome is Outcome.SCORED else track([0.5])
    with pytest.raises(ValueError, match=f"outcome {outcome.value}"):
        TrackResult(path, outcome, wrong)
    right = track([0.5]) if outcome is Outcome.SCORED else None
    assert right == TrackResult(path, outcome, right).score


def test_no_verdict_is_part_of_another() -> None:
    """Beets queries match substrings, so no verdict contains another."""
    words = [verdict.value for verdict in Verdict]
    assert not [(a, b) for a in words for b in words if a != b and a in b]
