"""What the decoders share: the announced length, ranges out of blocks, and resampling."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from beetsplug.artifactnet.audio.down_mix import Levels, Mix, Mixed, Range, Samples
from beetsplug.artifactnet.audio.resampling import resample

TRUNCATION_TOLERANCE = 0.97
"""Share of the announced length below which a file counts as truncated.

A stream may lose a last frame, and some headers are rounded: well under 3 %.
"""
CODEC_DELAY_S = 0.1
"""Encoder delay and padding that a header announces and the decoder drops, at most."""
_MARGIN_S = 0.05
"""Context on either side of a span, well beyond the resampler's impulse response."""


def is_truncated(found_s: float, announced_s: float) -> bool:
    """Tell whether a file ends well before the length that it announces."""
    return found_s < TRUNCATION_TOLERANCE * announced_s - CODEC_DELAY_S


class Source(Protocol):
    """An open file: mono float32 at its own rate, of known length."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def n_frames(self) -> int:
        """Length, in frames that can be decoded."""

    @property
    def decoder(self) -> str:
        """Name of the library that decodes it."""

    @property
    def mixes(self) -> set[Mix]:
        """The down-mixes that were used so far."""

    @property
    def is_fine(self) -> bool:
        """Whether its samples have more than 16 bits, and no codec changed them."""

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        """Yield the samples of each range, in order of their starts.

        Ranges may overlap and must lie within ``[0, n_frames]``.

        Raises:
            AudioError: The file cannot be decoded there.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@dataclass(frozen=True)
class Block:
    """Consecutive frames that are down-mixed only where they are wanted."""

    n_frames: int
    mix: Callable[[], Mixed]


def cut_ranges(blocks: Iterable[Block], ranges: Sequence[Range]) -> Iterator[Mixed]:
    """Yield each range out of consecutive blocks, holding no more than it needs.

    Where the blocks end early the last ranges are yielded short, down to empty. The
    levels of a range are those of all blocks that it touches.
    """
    held: deque[Mixed] = deque()
    held_start = position = 0
    stream = iter(blocks)
    for start, stop in ranges:
        while position < stop:
            block = next(stream, None)
            if block is None:
                break
            position += block.n_frames
            if position > start:
                held.append(block.mix())
            else:
                held.clear()
                held_start = position
        while held and held_start + len(held[0].samples) <= start:
            held_start += len(held.popleft().samples)
        yield _cut(held, start - held_start, stop - held_start)


def _cut(held: Iterable[Mixed], start: int, stop: int) -> Mixed:
    """Return what lies from ``start`` to ``stop`` of blocks that follow one another."""
    parts, levels, position = [np.empty(0, np.float32)], Levels(), 0
    for mixed in held:
        if position >= stop:
            break
        parts.append(mixed.samples)
        levels += mixed.levels
        position += len(mixed.samples)
    return Mixed(np.concatenate(parts)[max(0, start) : max(0, stop)], levels)


class Resampled:
    """A source at another rate: each range is what resampling the whole would give there.

    Args:
        source: What is read.
        sample_rate: Hz.
    """

    def __init__(self, source: Source, sample_rate: int) -> None:
        self._source = source
        self.sample_rate = sample_rate

    @property
    def n_frames(self) -> int:
        """Length in frames at the new rate."""
        return round(self._source.n_frames * self.sample_rate / self._source.sample_rate)

    @property
    def decoder(self) -> str:
        """Name of the library that decodes it."""
        return self._source.decoder

    @property
    def mixes(self) -> set[Mix]:
        """The down-mixes that were used so far."""
        return self._source.mixes

    @property
    def is_fine(self) -> bool:
        """Whether its samples have more than 16 bits, and no codec changed them."""
        return self._source.is_fine

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        """Yield each range, short where the track ends within it."""
        cuts = [self._cut(start, stop) for start, stop in ranges]
        decoded = self._source.ranges([(first, last) for first, last, _ in cuts])
        for (start, stop), (_, _, offset), samples in zip(ranges, cuts, decoded, strict=True):
            yield self._resample(samples)[offset : offset + stop - start]

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def _resample(self, samples: Samples) -> Samples:
        if self.sample_rate == self._source.sample_rate:
            return samples
        return resample(samples, self._source.sample_rate, self.sample_rate)

    def _cut(self, start: int, stop: int) -> tuple[int, int, int]:
        """Return the frames to decode for a range, and where it starts among them.

        The first frame falls on a sample of the resampled track. So resampling the cut and
        cutting the resampled track give the same grid.
        """
        source_rate, sample_rate = self._source.sample_rate, self.sample_rate
        if source_rate == sample_rate:
            return *self._clamp(start, stop), 0
        divisor = math.gcd(source_rate, sample_rate)
        frames_per_step, samples_per_step = source_rate // divisor, sample_rate // divisor
        margin = math.ceil(_MARGIN_S * source_rate)
        earliest = max(0, start * source_rate // sample_rate - margin)
        step = earliest // frames_per_step
        last = math.ceil(stop * source_rate / sample_rate) + margin
        return (
            *self._clamp(step * frames_per_step, last),
            start - step * samples_per_step,
        )

    def _clamp(self, first: int, last: int) -> Range:
        n_frames = self._source.n_frames
        return min(first, n_frames), min(last, n_frames)


class Joined:
    """Several sources, one after another, at the rate of the first.

    Args:
        parts: In order; at least one.
    """

    def __init__(self, parts: Sequence[Source]) -> None:
        self.sample_rate = parts[0].sample_rate
        self._parts = [Resampled(part, self.sample_rate) for part in parts]

    @property
    def n_frames(self) -> int:
        """Length of all, in frames of the first one's rate."""
        return sum(part.n_frames for part in self._parts)

    @property
    def decoder(self) -> str:
        """Name of the library that decodes the first."""
        return self._parts[0].decoder

    @property
    def mixes(self) -> set[Mix]:
        """The down-mixes that were used so far."""
        return set().union(*(part.mixes for part in self._parts))

    @property
    def is_fine(self) -> bool:
        """Whether all have samples of more than 16 bits, which no codec changed."""
        return all(part.is_fine for part in self._parts)

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        """Yield each range out of the parts that it touches; each part is read once."""
        pieces = []
        offset = 0
        for part in self._parts:
            inside = [
                (max(0, start - offset), min(part.n_frames, stop - offset))
                for start, stop in ranges
            ]
            wanted = [(start, stop) for start, stop in inside if start < stop]
            pieces.append((inside, part.ranges(wanted)))
            offset += part.n_frames
        for index in range(len(ranges)):
            found = [np.empty(0, np.float32)]
            for inside, samples in pieces:
                start, stop = inside[index]
                if start < stop:
                    piece = next(samples)
                    found.append(np.pad(piece, (0, stop - start - len(piece))))
            yield np.concatenate(found)

    def close(self) -> None:
        """Let go of all parts."""
        for part in self._parts:
            part.close()
