"""From the probabilities of segments to the score of a track."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from beetsplug.artifactnet.errors import ModelOutputError
from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.results import (
    Comb,
    SegmentScore,
    TrackScore,
)

if TYPE_CHECKING:
    from beetsplug.artifactnet.scoring.detector import Findings


def _lower_tercile(values: Sequence[float]) -> float:
    """Return what two thirds of the values reach, interpolated between neighbours."""
    ordered = sorted(values)
    place = (len(ordered) - 1) / 3
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    # Held between them: rounding can lead beyond.
    return min(above, max(below, below + (place % 1) * (above - below)))


_AGGREGATE: Mapping[Aggregation, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "tercile": _lower_tercile,
    # Not fmean: its rounding can lead out of the range of the values.
    "mean": statistics.mean,
    "max": max,
}


def score_track(
    probabilities: Sequence[float],
    starts_s: Sequence[float],
    *,
    duration_s: float,
    model: str,
    aggregation: Aggregation = "median",
) -> TrackScore:
    """Return a track's score, aggregated from its finite segment probabilities.

    Args:
        probabilities: One a segment, in [0, 1] or not finite, in time order.
        starts_s: Where each segment begins, seconds.
        duration_s: Length of the track, seconds.
        model: Label of the model that gave the probabilities.
        aggregation: What the model's card asks for.

    Raises:
        ModelOutputError: Half of the probabilities or more are not finite.
    """
    segments = tuple(
        SegmentScore(float(start), float(probability))
        for start, probability in zip(starts_s, probabilities, strict=True)
        if math.isfinite(probability)
    )
    n_needed = len(probabilities) // 2 + 1
    if len(segments) < n_needed:
        raise ModelOutputError(len(segments), len(probabilities), n_needed)
    return TrackScore(
        probability=aggregate([segment.probability for segment in segments], aggregation),
        segments=segments,
        duration_s=duration_s,
        model=model,
    )


def score_song(
    found: Findings, starts_s: Sequence[float], *, duration_s: float, model: str
) -> TrackScore:
    """Return the score of a track that was judged in one call.

    Args:
        found: One probability for the song; where there are none for its segments, that
            one stands where they begin.
        starts_s: Where each segment begins, seconds.
        duration_s: Length of the track, seconds.
        model: Label of the model.

    Raises:
        ModelOutputError: The song's probability is not finite.
    """
    (probability,) = found.probabilities.tolist()
    if not math.isfinite(probability):
        raise ModelOutputError(0, 1, 1)
    values = found.probabilities if found.segments is None else found.segments
    segments = tuple(
        SegmentScore(float(start), float(value))
        for start, value in zip(starts_s, values.tolist(), strict=False)
        if math.isfinite(value)
    )
    return TrackScore(
        probability, segments, duration_s, model, found.evidence, _combs_of(found)
    )


def _combs_of(found: Findings) -> tuple[Comb, ...] | None:
    if found.lines is None:
        return None
    # Here: beets starts without NumPy.
    from beetsplug.artifactnet.scoring.comb import find_comb

    comb = find_comb(found.lines, found.lines_hz)
    return () if comb is None else (comb,)


def aggregate(values: Sequence[float], aggregation: Aggregation) -> float:
    """Return what a track's segments come to together, in the range of their values.

    Args:
        values: Probabilities or logits, at least one.
        aggregation: ``tercile`` is the lower one: what two thirds of the values reach.
    """
    return _AGGREGATE[aggregation](values)
