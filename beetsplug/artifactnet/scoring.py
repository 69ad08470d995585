"""From segment probabilities to a track's score, and from a score to a verdict."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from beetsplug.artifactnet.errors import ModelOutputError
from beetsplug.artifactnet.model_card import Aggregation
from beetsplug.artifactnet.results import SegmentScore, Thresholds, TrackScore, Verdict

_AGGREGATE: Mapping[Aggregation, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
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
        probability=_AGGREGATE[aggregation]([segment.probability for segment in segments]),
        segments=segments,
        duration_s=duration_s,
        model=model,
    )


def decide(probability: float, thresholds: Thresholds) -> Verdict:
    """Return the verdict on a probability; a threshold itself is above the line."""
    if probability >= thresholds.ai:
        return Verdict.AI
    if probability >= thresholds.unsure:
        return Verdict.UNSURE
    return Verdict.REAL


def ai_share(segments: Iterable[SegmentScore], thresholds: Thresholds) -> float:
    """Return the share of segments, in [0, 1], at or above the ``ai`` threshold."""
    flags = [segment.probability >= thresholds.ai for segment in segments]
    return sum(flags) / len(flags)
