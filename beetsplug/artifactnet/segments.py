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

MINIMUM_S = 1.0
"""A track shorter than this is not scored."""
_BATCH_SEGMENTS = 16
"""Segments held in memory at once, whatever the length of the track."""
_SILENCE_PEAK = 1e-4
"""-80 dBFS: three steps of 16-bit audio. Below it there is no evidence."""

SegmentCount = int | Literal["all"]


@dataclass(frozen=True)
class SegmentBatch:
    """Consecutive segments of one track."""

    samples: NDArray[np.float32]
    """float32 (n_segments, segment_samples), mono, in [-1, 1]."""
    starts_s: NDArray[np.float64]
    """(n_segments,), seconds from the start of the track."""

    @property
    def is_silent(self) -> bool:
        """Whether no sample of any segment rises above -80 dBFS."""
        return bool(np.abs(self.samples).max(initial=0.0) < _SILENCE_PEAK)


def segment_starts(n_samples: int, segment_samples: int, count: SegmentCount) -> list[int]:
    """Return the first sample of each segment, ascending.

    Args:
        n_samples: Length of the track.
        segment_samples: Length of a segment.
        count: This many, evenly spaced from the first sample to the last full segment
            (ArtifactBench's ``linspace(0, n_samples - segment_samples, count)``), or
            ``"all"``: end to end, the last one flush with the end of the track.

    A track no longer than a segment has one, at 0.
    """
    last = n_samples - segment_samples
    if last <= 0:
        return [0]
    if count == "all":
        starts = list(range(0, last + 1, segment_samples))
        return starts if starts[-1] == last else [*starts, last]
    if count == 1:
        return [last // 2]
    return [int(start) for start in np.linspace(0, last, count)]


def cut_segments(
    reader: AudioReader, *, sample_rate: int, segment_samples: int, count: SegmentCount
) -> Iterator[SegmentBatch]:
    """Yield the segments of a track in time order, a bounded batch at a time.

    Raises:
        TooShortError: The track is shorter than :data:`MINIMUM_S`.
        AudioError: It cannot be decoded.
    """
    if reader.duration_s < MINIMUM_S:
        raise TooShortError(reader.duration_s, MINIMUM_S)
    starts = segment_starts(reader.n_samples(sample_rate), segment_samples, count)
    spans = reader.spans(starts, segment_samples, sample_rate)
    for batch_starts in _batches(starts):
        samples = np.stack(list(islice(spans, len(batch_starts))))
        yield SegmentBatch(samples, np.asarray(batch_starts) / sample_rate)


def _batches(starts: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(starts), _BATCH_SEGMENTS):
        yield starts[first : first + _BATCH_SEGMENTS]
