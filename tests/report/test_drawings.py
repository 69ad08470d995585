"""Where bars, labels and lines are drawn."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.report.drawings import HEIGHT, draw_spectrum, draw_timeline
from beetsplug.artifactnet.results import SegmentScore, Thresholds

THRESHOLDS = Thresholds(ai=0.5, unsure=0.3)
SEGMENTS = st.lists(
    st.tuples(st.floats(0, 7_200), st.floats(0, 1)), min_size=1, max_size=60
).map(lambda pairs: [SegmentScore(*pair) for pair in sorted(pairs)])


@given(SEGMENTS, st.one_of(st.none(), st.floats(0, 7_200)))
def test_bars_lie_side_by_side(segments: list[SegmentScore], duration_s: float | None) -> None:
    """Inside of the drawing, in order, as high as the probability, labels apart."""
    timeline = draw_timeline(segments, THRESHOLDS, 4.0, duration_s)
    assert [bar.probability for bar in timeline.bars] == [s.probability for s in segments]
    for bar in timeline.bars:
        assert 0 <= bar.x <= 100
        assert bar.x + bar.width <= 101
        assert bar.y + bar.height == pytest.approx(HEIGHT)
    labelled = [bar.x for bar in timeline.bars if bar.has_label]
    assert all(b - a >= 9 for a, b in itertools.pairwise(labelled))
    assert timeline.loudest.probability == max(s.probability for s in segments)
    assert timeline.loudest.has_label


def test_a_timeline_in_words() -> None:
    """It names what is flagged and where it speaks loudest, in minutes or in seconds."""
    segments = [SegmentScore(0.0, 0.1), SegmentScore(80.0, 0.9), SegmentScore(160.0, 0.5)]
    timeline = draw_timeline(segments, THRESHOLDS, 4.0, 200.0)
    assert timeline.summary == (
        "P(AI) of 3 segments; 2 at or above the ai threshold, 0.5; the highest is 0.90 at 1:20."
    )
    assert [bar.verdict for bar in timeline.bars] == ["real", "ai", "ai"]
    other = draw_timeline(segments, None, 4.0, 200.0)
    assert other.summary == "P(AI) of 3 segments; the highest is 0.90 at 1:20."
    assert {bar.verdict for bar in other.bars} == {""}
    short = draw_timeline(segments[:1], THRESHOLDS, 4.0, None)
    assert short.duration_s == 4.0
    assert short.summary.endswith("0.10 at 0.0 s.")


def test_lines_are_named_by_their_frequency() -> None:
    """The strongest bins are found at their places, however many there are between."""
    levels = [0.1] * 10_001
    for place in (2_000, 5_000, 5_001):
        levels[place] = 6.0
    spectrum = draw_spectrum(levels, 1.3)
    assert [(hz, db) for hz, db, _ in spectrum.lines] == [(2_600.0, 6.0), (6_500.0, 6.0)]
    first, width = 770 * 1.3, (10_000 - 770) * 1.3
    assert [x for *_, x in spectrum.lines] == pytest.approx(
        [100 * (hz - first) / width for hz in (2_600, 6_500)]
    )
    assert [kilohertz for kilohertz, _ in spectrum.ticks] == [2, 4, 6, 8, 10, 12]
    heights = [float(pair.split(",")[1]) for pair in spectrum.points.split(" ")]
    assert len(heights) <= 600
    assert min(heights) == 0.0


def test_a_comb_is_told_by_its_spacing() -> None:
    """Its lines are marked at their places, and none is named by itself."""
    levels = [3.0 if place % 100 == 0 else 0.1 for place in range(10_001)]
    spectrum = draw_spectrum(levels, 1.3, 130.0)
    assert spectrum.lines == ()
    assert len(spectrum.comb) == 93
    highest = [
        float(pair.split(",")[0]) / 10
        for pair in spectrum.points.split()
        if pair.endswith(",0.0")
    ]
    assert highest == pytest.approx(spectrum.comb, abs=0.1)


@given(st.lists(st.floats(0, 60), min_size=2, max_size=2_000))
def test_any_spectrum_can_be_drawn(levels: list[float]) -> None:
    spectrum = draw_spectrum(levels, 1.3)
    assert len(spectrum.lines) <= 16
    assert spectrum.comb == ()
    for pair in spectrum.points.split(" "):
        x, y = map(float, pair.split(","))
        assert 0 <= x <= 1_000
        assert 0 <= y <= 100
    assert all(
        db >= 1 and math.isclose(hz / 1.3, round(hz / 1.3)) for hz, db, _ in spectrum.lines
    )
