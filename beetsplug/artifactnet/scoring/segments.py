"""Where segments start in a track, and cutting them out.

A *segment* is what the model reads at once; its length and rate come from the card.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import AudioReader
from beetsplug.artifactnet.errors import TooShortError
from beetsplug.artifactnet.models.card import Crop, ModelCard, ModelInput, Padding

_BATCH_SEGMENTS = 16
"""Segments held in memory at once, whatever the length of the track."""
_SILENCE_PEAK = 1e-4
"""-80 dBFS: three steps of 16-bit audio. Below it there is no evidence."""

SegmentCount = int | Literal["all"]
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class SegmentBatch:
    """Consecutive segments of one track."""

    samples: tuple[Samples, ...]
    """One array for each input of the model: float32 (n_segments, segment_samples) at
    the input's own rate and length, mono, in [-1, 1]."""
    starts_s: NDArray[np.float64]
    """(n_segments,), seconds from the start of the track."""

    @property
    def is_silent(self) -> bool:
        """Whether no sample of any segment rises above -80 dBFS."""
        return all(np.abs(given).max(initial=0.0) < _SILENCE_PEAK for given in self.samples)


def segment_starts(
    n_samples: int,
    segment_samples: int,
    count: SegmentCount,
    crop: Crop = "even",
    max_segments: int | None = None,
) -> list[int]:
    """Return the first sample of each segment, ascending.

    Args:
        n_samples: Length of the track.
        segment_samples: Length of a segment.
        count: With ``even``: this many, evenly spaced from the first sample to the last
            full segment (ArtifactBench's ``linspace(0, n_samples - segment_samples,
            count)``), or ``"all"``: end to end, the last one flush with the end.
        crop: ``centre`` and ``start`` ask for as many whole segments as there are, up to
            ``max_segments``, end to end around the middle or from the first sample on.
        max_segments: The most that the model takes.

    A track no longer than a segment has one, at 0.
    """
    last = n_samples - segment_samples
    if last <= 0:
        return [0]
    if crop == "even":
        return _even_starts(last, segment_samples, count, max_segments)
    n_segments = min(n_samples // segment_samples, max_segments or 1)
    first = (n_samples - n_segments * segment_samples) // 2 if crop == "centre" else 0
    return [first + place * segment_samples for place in range(n_segments)]


def _even_starts(
    last: int, segment_samples: int, count: SegmentCount, max_segments: int | None
) -> list[int]:
    if count == "all":
        starts = list(range(0, last + 1, segment_samples))
        if starts[-1] != last:
            starts.append(last)
        if max_segments is None or len(starts) <= max_segments:
            return starts
        count = max_segments
    n_segments = min(count, max_segments or count)
    if n_segments == 1:
        return [last // 2]
    return [int(start) for start in np.linspace(0, last, n_segments)]


def cut_segments(
    reader: AudioReader, card: ModelCard, count: SegmentCount
) -> Iterator[SegmentBatch]:
    """Yield the segments of a track that a model asks for, in time order.

    A batch is bounded, except for a model that needs all segments of a track together:
    then there is one batch, bounded by the card's ``max_segments``.

    Raises:
        TooShortError: The track is shorter than the card's ``minimum_s``.
        AudioError: It cannot be decoded.
    """
    if reader.duration_s < card.minimum_s:
        raise TooShortError(reader.duration_s, card.minimum_s)
    first = card.inputs[0]
    starts = segment_starts(
        reader.n_samples(first.sample_rate),
        first.segment_samples,
        count,
        card.crop,
        card.max_segments,
    )
    if card.is_read_at_once:
        samples = tuple(
            np.stack(list(_spans(reader, given, _at_rate(starts, first, given), card.padding)))
            for given in card.inputs
        )
        yield SegmentBatch(samples, np.asarray(starts) / first.sample_rate)
        return
    spans = _spans(reader, first, starts, card.padding)
    for batch_starts in _batches(starts):
        batch = np.stack(list(islice(spans, len(batch_starts))))
        yield SegmentBatch((batch,), np.asarray(batch_starts) / first.sample_rate)


def _spans(
    reader: AudioReader, given: ModelInput, starts: Sequence[int], padding: Padding
) -> Iterator[Samples]:
    n_samples = reader.n_samples(given.sample_rate)
    for span in reader.spans(starts, given.segment_samples, given.sample_rate):
        is_short = n_samples < given.segment_samples
        # np.resize repeats what it is given until the new length is full.
        yield (
            np.resize(span[:n_samples], len(span)) if is_short and padding == "repeat" else span
        )


def _at_rate(starts: Sequence[int], first: ModelInput, given: ModelInput) -> list[int]:
    return [round(start * given.sample_rate / first.sample_rate) for start in starts]


def _batches(starts: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(starts), _BATCH_SEGMENTS):
        yield starts[first : first + _BATCH_SEGMENTS]
