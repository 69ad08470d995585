"""Where segments start in a track, and cutting them out.

A *segment* is what the model reads at once; its length and rate come from the card. Where
the card's placement is ``audible``, a segment without sound is left out, and others are
looked for where there is sound.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import AudioReader
from beetsplug.artifactnet.errors import NoEvidenceError, SilentError, TooShortError
from beetsplug.artifactnet.models.card import Crop, ModelCard, ModelInput
from beetsplug.artifactnet.results import Lack, Unjudged
from beetsplug.artifactnet.scoring.evidence import has_evidence, is_loud, is_suspect, raised

_BATCH_SEGMENTS = 16
"""Segments held in memory at once, whatever the length of the track."""
_SILENCE_PEAK = 1e-4
"""-80 dBFS: three steps of 16-bit audio. Below it there is no evidence."""
_MOST_MOVED = 32
"""Segments that are looked for elsewhere where some are silent; more are left out."""
_MOST_PROBES = 96
"""Places that are looked at in one pass through a track with silence in it."""
_WINDOW_S = 0.05
_OVERLAP = 0.01
"""Share of a segment by which two may overlap: 40 ms of four seconds. Containers round the
length of a track, and codecs drop some of it. That is to cost no segment."""
_FULL_SHARE = 0.9
"""Share of a segment in which there is sound, above which it is preferred."""

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
    unjudged: tuple[Unjudged, ...] = ()
    """Segments that were left out of this batch, or looked at before it, in time order."""
    is_fine: bool = False
    """Whether the file's samples have more than 16 bits, and no codec changed them."""

    @property
    def is_silent(self) -> bool:
        """Whether no sample of any segment rises above -80 dBFS."""
        return all(np.abs(given).max(initial=0.0) < _SILENCE_PEAK for given in self.samples)

    def only(self, kept: Sequence[bool] | NDArray[np.bool]) -> SegmentBatch:
        """Return those of the segments; the others are noted as unjudged."""
        mask = np.asarray(kept)
        if mask.all():
            return self
        return replace(
            self,
            samples=tuple(given[mask] for given in self.samples),
            starts_s=self.starts_s[mask],
            unjudged=(*self.unjudged, *self._unjudged(~mask)),
        )

    def has_evidence(self, place: int, sample_rate: int) -> bool:
        """Tell whether the segment at a place holds enough to be judged."""
        segment = self.samples[0][place]
        return has_evidence(raised(segment) if self.is_fine else segment, sample_rate)

    def _unjudged(self, mask: NDArray[np.bool]) -> Iterator[Unjudged]:
        for place in np.flatnonzero(mask):
            is_silent = all(_peak(given[place]) < _SILENCE_PEAK for given in self.samples)
            lack = Lack.SILENCE if is_silent else Lack.TOO_LITTLE
            yield Unjudged(float(self.starts_s[place]), lack)


def _peak(samples: Samples) -> float:
    return float(np.abs(samples).max(initial=0.0))


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

    A batch is bounded. A model that needs all segments of a track together gets one batch,
    bounded by the card's ``max_segments``.

    Raises:
        TooShortError: The track is shorter than the card's ``minimum_s``.
        SilentError: The card's placement is ``audible``, and there is no sound.
        NoEvidenceError: The same, and there is sound, but nothing that can be judged.
        AudioError: It cannot be decoded.
    """
    if reader.duration_s < card.minimum_s:
        raise TooShortError(reader.duration_s, card.minimum_s)
    cutter = _Cutter(reader, card)
    size = cutter.first.segment_samples
    if card.call == "song" and card.crop == "even":
        count = _count_side_by_side(cutter.n_samples, size, count)
    starts = segment_starts(cutter.n_samples, size, count, card.crop, card.max_segments)
    if card.placement == "published":
        yield from cutter.batches(starts)
        return
    batches = iter(cutter.audible(starts, is_movable=card.crop == "even" and count != "all"))
    found = next(batches, None)
    if found is None:
        raise NoEvidenceError if cutter.has_sound else SilentError
    yield found
    yield from batches


def _count_side_by_side(n_samples: int, segment_samples: int, count: SegmentCount) -> int:
    """Return how many segments there are that hardly overlap, up to ``count``.

    A model that judges segments together counts on each of them to hold something new.
    """
    n_whole = max(1, int(n_samples / segment_samples + _OVERLAP))
    return n_whole if count == "all" else min(count, n_whole)


class _Cutter:
    """Cuts segments out of one track for one model."""

    def __init__(self, reader: AudioReader, card: ModelCard) -> None:
        self._reader, self._card = reader, card
        self.first = card.inputs[0]
        self.n_samples = reader.n_samples(self.first.sample_rate)
        self.has_sound = False
        """Whether a segment was found that is not silent."""
        self._n_audible = self._n_judged = 0
        """Segments that were looked at, and not silent; those that can be judged."""
        self._is_loud = False
        """Whether one of these is."""

    def batches(self, starts: Sequence[int]) -> Iterator[SegmentBatch]:
        """Yield the segments at these places."""
        if self._card.is_read_at_once:
            samples = tuple(
                _stacked(self._spans(given, self._at_rate(starts, given)), given, len(starts))
                for given in self._card.inputs
            )
            yield self._batch(samples, starts)
            return
        spans = self._spans(self.first, starts)
        for batch_starts in _batches(starts):
            samples = (_stacked(spans, self.first, len(batch_starts)),)
            yield self._batch(samples, batch_starts)

    def audible(self, starts: Sequence[int], *, is_movable: bool) -> Iterator[SegmentBatch]:
        """Yield the segments at these places that can be judged.

        Where some cannot and they are movable, as many are looked for in all of the track.
        """
        unjudged: tuple[Unjudged, ...] = ()
        if not is_movable or len(starts) > _MOST_MOVED:
            for batch in self.batches(starts):
                judged = self._judged(batch)
                unjudged += judged.unjudged
                if len(judged.starts_s):
                    yield replace(judged, unjudged=unjudged)
                    unjudged = ()
            return
        batches = list(self.batches(starts))
        for batch in batches:
            unjudged += self._judged(batch).unjudged
        if not unjudged:
            yield from batches
            return
        del batches
        chosen = self._survey(len(starts))
        if self._is_mostly_too_quiet():
            return
        for batch in self.batches(chosen) if chosen else ():
            yield replace(batch, unjudged=unjudged)
            unjudged = ()

    def _judged(self, batch: SegmentBatch) -> SegmentBatch:
        return batch.only([self._is_judged(samples) for samples in batch.samples[0]])

    def _survey(self, count: int) -> list[int]:
        """Return up to so many places of segments that can be judged, evenly spread."""
        last = self.n_samples - self.first.segment_samples
        if last <= 0:
            return []
        n_whole = -(-self.n_samples // self.first.segment_samples)
        n_probes = min(_MOST_PROBES, max(n_whole, 2 * count - 1))
        probes = [int(start) for start in np.linspace(0, last, n_probes)]
        found = self._probe(probes)
        if len(found) < count and probes[1] > self.first.segment_samples:
            # Between the places where there was something and their neighbours.
            found |= self._probe(_between(probes, found or dict.fromkeys(probes, 0.0)))
        return _spread(found, count)

    def _probe(self, starts: Sequence[int]) -> dict[int, float]:
        """Return the places at which a segment can be judged, with its share of sound."""
        length = round(_WINDOW_S * self.first.sample_rate)
        spans = zip(starts, self._spans(self.first, starts), strict=True)
        return {
            start: _sound_share(span, length) for start, span in spans if self._is_judged(span)
        }

    def _is_judged(self, samples: Samples) -> bool:
        if _peak(samples) < _SILENCE_PEAK:
            return False
        self.has_sound = True
        self._n_audible += 1
        rate = self.first.sample_rate
        leveled = raised(samples) if self._reader.is_fine else samples
        is_judged = (
            self._card.evidence == "any"
            or not is_suspect(leveled, rate)
            or has_evidence(leveled, rate)
        )
        self._n_judged += is_judged
        self._is_loud |= is_judged and is_loud(samples)
        return is_judged

    def _is_mostly_too_quiet(self) -> bool:
        """Tell whether a quiet track can be judged at less than half of its places.

        Noise covers most of it then, and the rest nearly: a model calls that ``real``.
        """
        return not self._is_loud and 2 * self._n_judged < self._n_audible

    def _batch(self, samples: tuple[Samples, ...], starts: Sequence[int]) -> SegmentBatch:
        starts_s = np.asarray(starts) / self.first.sample_rate
        return SegmentBatch(samples, starts_s, is_fine=self._reader.is_fine)

    def _spans(self, given: ModelInput, starts: Sequence[int]) -> Iterator[Samples]:
        n_samples = self._reader.n_samples(given.sample_rate)
        is_repeated = n_samples < given.segment_samples and self._card.padding == "repeat"
        for span in self._reader.spans(starts, given.segment_samples, given.sample_rate):
            # np.resize repeats what it is given until the new length is full.
            yield np.resize(span[:n_samples], len(span)) if is_repeated else span

    def _at_rate(self, starts: Sequence[int], given: ModelInput) -> list[int]:
        return [round(start * given.sample_rate / self.first.sample_rate) for start in starts]


def _stacked(spans: Iterator[Samples], given: ModelInput, n_segments: int) -> Samples:
    """Return the next spans as rows: without holding them twice, as ``np.stack`` does."""
    rows = np.empty((n_segments, given.segment_samples), np.float32)
    for row, span in zip(rows, spans, strict=False):
        row[:] = span
    return rows


def _sound_share(samples: Samples, length: int) -> float:
    """Return the share of windows of ``length`` samples in which there is sound."""
    n_windows = max(1, len(samples) // length)
    windows = samples[: n_windows * length].reshape(n_windows, -1)
    return float((np.abs(windows).max(1) >= _SILENCE_PEAK).mean())


def _between(probes: Sequence[int], around: Container[int]) -> list[int]:
    """Return up to :data:`_MOST_PROBES` places beside some of the probes, and not at them."""
    gaps = [
        (first, second)
        for first, second in pairwise(probes)
        if first in around or second in around
    ]
    n_each = max(1, _MOST_PROBES // len(gaps))
    inner = [np.linspace(*gap, n_each + 2)[1:-1].astype(int).tolist() for gap in gaps]
    return sorted({place for places in inner for place in places})[:_MOST_PROBES]


def _spread(found: Mapping[int, float], count: int) -> list[int]:
    """Return up to ``count`` of the places, evenly spread; full ones where they suffice."""
    full = sorted(place for place, share in found.items() if share >= _FULL_SHARE)
    places = full if len(full) >= count else sorted(found)
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return [places[number] for number in chosen]


def _batches(starts: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(starts), _BATCH_SEGMENTS):
        yield starts[first : first + _BATCH_SEGMENTS]
