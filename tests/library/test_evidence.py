"""The short form of a score's evidence: written, read back, and never an error."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.library.evidence import (
    Evidence,
    format_evidence,
    parse_evidence,
)
from beetsplug.artifactnet.results import Comb, Lack, SegmentScore, TrackScore, Unjudged

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
COMBS = st.builds(
    Comb,
    spacing_hz=st.integers(2_000, 50_000).map(lambda n: n / 100),
    height_db=st.integers(0, 300).map(lambda n: n / 10),
    n_segments=st.integers(0, 32),
    n_of=st.integers(1, 32),
)
SCORES = st.builds(
    TrackScore,
    probability=st.just(0.5),
    segments=st.just((SegmentScore(0.0, 0.5),)),
    duration_s=st.just(60.0),
    model=st.just("m-1.0+2"),
    evidence=st.dictionaries(NAMES, st.integers(-9_999, 9_999).map(lambda n: n / 100)),
    combs=st.none() | st.lists(COMBS, max_size=1).map(tuple),
    unjudged=st.lists(
        st.builds(
            Unjudged,
            start_s=st.integers(0, 99_999).map(lambda n: n / 10),
            lack=st.sampled_from(Lack),
        ),
        max_size=6,
    ).map(tuple),
)
SCORE = TrackScore(
    0.9,
    (SegmentScore(0.0, 0.9),),
    60.0,
    "m-1.0+2",
    {"standing": 4.1, "cnn": 0.3},
    (Comb(86.1328, 3.24, 6, 7),),
    (Unjudged(117.93, Lack.SILENCE), Unjudged(39.3, Lack.TOO_LITTLE)),
)


def test_it_can_be_read() -> None:
    """A reader sees spacing, segments, height, branches and places."""
    assert format_evidence(SCORE) == (
        "comb 86.13 Hz 6/7 3.2; standing 4.10; cnn 0.30; silence at 117.9; too little at 39.3"
    )


@given(SCORES)
def test_round_trip(score: TrackScore) -> None:
    """What was written is read back, whatever the branches are called."""
    expected = Evidence(score.combs, score.evidence, score.unjudged)
    text = format_evidence(score)
    assert "\n" not in text
    assert parse_evidence(text) == expected


def test_a_model_without_evidence() -> None:
    score = TrackScore(0.9, (), 60.0, "m-1.0+2")
    assert format_evidence(score) == ""
    assert parse_evidence("") == Evidence()


def test_no_comb_is_not_unknown() -> None:
    score = TrackScore(0.9, (), 60.0, "m-1.0+2", combs=())
    assert format_evidence(score) == "no comb"
    assert parse_evidence("no comb").combs == ()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_a_branch_without_a_number(value: float) -> None:
    """What is no number is left out, and the rest is kept."""
    score = TrackScore(0.9, (), 60.0, "m-1.0+2", {"a": value, "b": 1.0})
    assert format_evidence(score) == "b 1.00"


def test_many_places() -> None:
    """The first 64 are kept: the text stays short."""
    places = tuple(Unjudged(4.0 * n, Lack.SILENCE) for n in range(9_000))
    text = format_evidence(TrackScore(0.9, (), 60.0, "m-1.0+2", unjudged=places))
    assert parse_evidence(text).unjudged == places[:64]


@pytest.mark.parametrize(
    "text",
    [
        "comb",
        "comb 86.13 Hz",
        "comb nan Hz 6/7 3.2",
        "comb 1e300 Hz 6/7 3.2",
        "comb 86.13 Hz 6/7 3.2; <script>alert(1)</script>",
        "comb 86.13 Hz 6/7 3.2;standing 4.1",
        "silence at ٣.٣",
        "comb 86.13 Hz 99999999999999999999/7 3.2",
        "standing 4.1; " * 5_000,
        "\x1b[2J",
    ],
)
def test_foreign_text_is_nothing_known(text: str) -> None:
    assert parse_evidence(text) == Evidence()


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse_evidence(text)


@given(SCORES, st.integers(0, 200), st.characters())
def test_a_damaged_text_is_read_without_an_error(score: TrackScore, at: int, c: str) -> None:
    text = format_evidence(score)
    parse_evidence(text[:at] + c + text[at + 1 :])
