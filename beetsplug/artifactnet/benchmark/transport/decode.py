"""The samples that are encoded: the first minutes of a track, channel by channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.errors import AudioError

MAX_S = 300.0
"""Seconds of a track, from its start, that are encoded: its samples are held in memory."""
_LAYOUTS = {1: "mono", 2: "stereo"}


def decode(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return a file's samples, up to :data:`MAX_S`, and its sample rate in Hz.

    Returns:
        float32 (n_frames, n_channels); more than two channels are mixed to two.

    Raises:
        AudioError: FFmpeg cannot decode it.
    """
    from av.error import FFmpegError

    blocks: list[NDArray[np.float32]] = []
    n_frames, sample_rate = 0, 0
    try:
        for block, sample_rate in _blocks(path):
            blocks.append(block)
            n_frames += len(block)
            if n_frames >= MAX_S * sample_rate:
                break
    except (FFmpegError, ValueError, OSError) as error:
        raise AudioError(f"not decoded: {error}") from error
    if not n_frames:
        raise AudioError("no audio in it")
    return np.concatenate(blocks)[: round(MAX_S * sample_rate)], sample_rate


def _blocks(path: Path) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield float32 (n_frames, n_channels) with its sample rate, in time order."""
    import av
    from av.audio.resampler import AudioResampler

    options = {"protocol_whitelist": "none"}
    with path.open("rb") as file, av.open(file, "r", options=options) as container:
        if not container.streams.audio:
            raise AudioError("no audio in it")
        stream = container.streams.audio[0]
        sample_rate = int(stream.rate or 0)
        layout = _LAYOUTS[min(2, stream.codec_context.layout.nb_channels)]
        resampler = AudioResampler("flt", layout, sample_rate)
        for frame in container.decode(stream):
            for packed in resampler.resample(frame):
                block = packed.to_ndarray().reshape(-1, packed.layout.nb_channels)
                yield block.astype(np.float32, copy=False), sample_rate
