"""What the two decoders share: mono blocks, and cutting ranges out of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.errors import AudioError

Samples = NDArray[np.float32]
Range = tuple[int, int]
"""First frame and the frame after the last, at the file's own rate."""

TRUNCATION_TOLERANCE = 0.97
"""Share of the announced length below which a file counts as truncated.

A stream may lose a last frame, and some headers are rounded: well under 3 %.
"""
CODEC_DELAY_S = 0.1
"""Encoder delay and padding that a header announces and the decoder drops, at most."""


def is_truncated(found_s: float, announced_s: float) -> bool:
    """Tell whether a file ends well before the length that it announces."""
    return found_s < TRUNCATION_TOLERANCE * announced_s - CODEC_DELAY_S


class Source(Protocol):
    """An open file: mono float32 at its own rate, of known length."""

    sample_rate: int
    """Hz."""
    n_frames: int
    """Length, in frames that can be decoded."""

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


def down_mix(frames: NDArray[np.float32]) -> Samples:
    """Return the mean over channels of ``(n_frames, n_channels)``.

    Raises:
        AudioError: A sample is NaN or infinite.
    """
    if frames.shape[1] == 1:
        mono = frames[:, 0]
    elif frames.shape[1] == 2:
        # Five times faster than mean(axis=1), and equal to it to the last bit.
        mono = np.float32(0.5) * (frames[:, 0] + frames[:, 1])
    else:
        mono = frames.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError("samples that are NaN or infinite")
    return np.ascontiguousarray(mono)


def cut_ranges(blocks: Iterable[Samples], ranges: Sequence[Range]) -> Iterator[Samples]:
    """Yield each range out of consecutive blocks, holding no more than it needs.

    Where the blocks end early the last ranges are yielded short, down to empty.
    """
    held: deque[Samples] = deque()
    held_start = position = 0
    stream = iter(blocks)
    for start, stop in ranges:
        while position < stop:
            block = next(stream, None)
            if block is None:
                break
            held.append(block)
            position += len(block)
            while held and held_start + len(held[0]) <= start:
                held_start += len(held.popleft())
        joined = np.concatenate([*held, np.empty(0, np.float32)])
        yield joined[max(0, start - held_start) : max(0, stop - held_start)]
