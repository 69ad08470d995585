"""Where the parts of a timeline and of a spectrum are drawn, in per cent and pixels.

Widths are per cent and heights are pixels. So a drawing is as wide as its page, and its labels
stay legible on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from beetsplug.artifactnet.results import SegmentScore, Thresholds
from beetsplug.artifactnet.words import clock, count_of

HEIGHT = 72
"""Of the plots, pixels."""
_LABEL_WIDTH = 9.0
"""Per cent that a number takes on a phone."""
_LEAST_WIDTH = 0.9
"""Per cent below which a bar could not be seen or hit."""
_SHORT_S = 30.0
_MAX_POINTS = 600
_MAX_LINES = 16
_LOWEST_HZ = 1_000.0
"""Below it music hides all traces, and models do not look."""
_TICK_HZ = 2_000.0
_LINE_DB, _LINE_SPREADS = 1.0, 8.0
"""A line stands out by at least so many decibels, and so many spreads above the others."""


@dataclass(frozen=True)
class Bar:
    """One segment."""

    start_s: float
    probability: float
    x: float
    """Per cent."""
    width: float
    """Per cent."""
    height: float
    """Pixels."""
    verdict: str
    """Empty where the thresholds are unknown."""
    has_label: bool

    @property
    def y(self) -> float:
        """Pixels from the top."""
        return HEIGHT - self.height


@dataclass(frozen=True)
class Timeline:
    """The segments of a track along its time."""

    bars: tuple[Bar, ...]
    duration_s: float
    limits: tuple[tuple[str, float, float], ...]
    """Name, value and height (pixels from the top) of each threshold."""

    @property
    def loudest(self) -> Bar:
        """The segment that speaks loudest."""
        return max(self.bars, key=lambda bar: bar.probability)

    @property
    def summary(self) -> str:
        """Return the content of the drawing, in a sentence."""
        flagged = sum(bar.verdict == "ai" for bar in self.bars)
        reached = "".join(
            f" {flagged} at or above the ai threshold, {value:g};"
            for name, value, _ in self.limits
            if name == "ai"
        )
        return (
            f"P(AI) of {count_of(len(self.bars), 'segment')};{reached} the highest is "
            f"{self.loudest.probability:.2f} at {self.clock(self.loudest.start_s)}."
        )

    def clock(self, seconds: float) -> str:
        """Return a time as ``M:SS``, of a short track to a tenth of a second."""
        return f"{seconds:.1f} s" if self.duration_s < _SHORT_S else clock(seconds)


def draw_timeline(
    segments: Sequence[SegmentScore],
    thresholds: Thresholds | None,
    segment_s: float,
    duration_s: float | None,
) -> Timeline:
    """Return a track's segments as bars.

    Args:
        segments: In time order; at least one.
        thresholds: What colours the bars, and is drawn across them; None: nothing is.
        segment_s: Length of a segment, seconds.
        duration_s: Length of the track; None or too short: up to the last segment's end.
    """
    total_s = max(duration_s or 0.0, segments[-1].start_s + segment_s)
    xs = [100 * segment.start_s / total_s for segment in segments]
    labelled = _labelled(xs, segments)
    # Segments of a short track overlap; their bars must not.
    ends = [*xs[1:], 100.0]
    bars = tuple(
        Bar(
            segment.start_s,
            segment.probability,
            x=xs[place],
            width=max(_LEAST_WIDTH, min(100 * segment_s / total_s, ends[place] - xs[place])),
            height=max(1.5, HEIGHT * segment.probability),
            verdict=thresholds.verdict(segment.probability).value if thresholds else "",
            has_label=place in labelled,
        )
        for place, segment in enumerate(segments)
    )
    limits = (("ai", thresholds.ai), ("unsure", thresholds.unsure)) if thresholds else ()
    heights = tuple((name, value, HEIGHT * (1 - value)) for name, value in limits)
    return Timeline(bars, total_s, heights)


def _labelled(xs: Sequence[float], segments: Sequence[SegmentScore]) -> set[int]:
    """Return the places of the bars that have room for a number, the highest first."""
    chosen: set[int] = set()
    for place in sorted(range(len(xs)), key=lambda place: -segments[place].probability):
        if all(abs(xs[place] - xs[other]) >= _LABEL_WIDTH for other in chosen):
            chosen.add(place)
    return chosen


@dataclass(frozen=True)
class Spectrum:
    """By how much each bin stands out of its neighbours, and the lines that do most."""

    points: str
    """Of a polyline in a box of 1000 by 100."""
    lines: tuple[tuple[float, float, float], ...]
    """Hz, decibels and place (per cent) of the lines that stand out most, where they are no
    comb."""
    comb: tuple[float, ...]
    """Places of a comb's lines, per cent."""
    spacing_hz: float | None
    """Distance of the comb's lines; None where there is no comb."""
    ticks: tuple[tuple[int, float], ...]
    """Kilohertz, and place in per cent."""
    top_db: float


def draw_spectrum(
    levels_db: Sequence[float], bin_hz: float, spacing_hz: float | None = None
) -> Spectrum:
    """Return a spectrum for drawing.

    Args:
        levels_db: By how much each bin stands out, decibels; at least two.
        bin_hz: Distance of the bins, Hz; the first one is 0 Hz.
        spacing_hz: Distance of a comb's lines, Hz; None where there is no comb.
    """
    first = min(math.ceil(_LOWEST_HZ / bin_hz), len(levels_db) - 2)
    levels = levels_db[first:]
    first_hz, last = first * bin_hz, len(levels) - 1
    top_db = max(*levels, _LINE_DB)

    def place_of(hz: float) -> float:
        return 100 * (hz - first_hz) / (last * bin_hz)

    # A comb has a hundred lines; its first ones say no more than its spacing.
    peaks = _peaks(levels) if spacing_hz is None else []
    return Spectrum(
        points=" ".join(
            f"{1000 * place / last:.1f},{100 * (1 - max(0.0, level) / top_db):.1f}"
            for place, level in _thinned(levels)
        ),
        lines=tuple(
            (first_hz + place * bin_hz, levels[place], 100 * place / last) for place in peaks
        ),
        comb=tuple(map(place_of, _multiples(spacing_hz, first_hz, first_hz + last * bin_hz))),
        spacing_hz=spacing_hz,
        ticks=tuple(
            (int(hz / 1000), place_of(hz))
            for hz in _multiples(_TICK_HZ, first_hz, first_hz + last * bin_hz)
        ),
        top_db=top_db,
    )


def _multiples(step_hz: float | None, first_hz: float, last_hz: float) -> Iterator[float]:
    """Yield the multiples of a frequency between two others, none of None."""
    if step_hz is not None:
        for n in range(math.ceil(first_hz / step_hz), int(last_hz / step_hz) + 1):
            yield n * step_hz


def _thinned(levels: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Yield the highest bin of each few: a page is narrower than a spectrum is long."""
    size = -(-len(levels) // _MAX_POINTS)
    for start in range(0, len(levels), size):
        yield max(
            ((place, levels[place]) for place in range(start, min(start + size, len(levels)))),
            key=lambda found: found[1],
        )


def _peaks(levels: Sequence[float]) -> list[int]:
    """Return the places of the strongest local maxima, in order of frequency."""
    middle = median(levels)
    spread = median(abs(level - middle) for level in levels)
    others = middle + _LINE_SPREADS * spread
    found = [
        place
        for place, level in enumerate(levels)
        # The first bin of several that are alike.
        if level >= max(_LINE_DB, *levels[place : place + 3])
        and level > max([others, *levels[max(0, place - 2) : place]])
    ]
    return sorted(sorted(found, key=lambda place: -levels[place])[:_MAX_LINES])
