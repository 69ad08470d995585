"""Encoding samples with FFmpeg, by PyAV."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_FORMATS = {
    ".flac": "flac",
    ".m4a": "ipod",
    ".mp3": "mp3",
    ".opus": "opus",
    ".wav": "wav",
}
_LAYOUTS = {1: "mono", 2: "stereo"}
_BLOCK_FRAMES = 1 << 14


@dataclass(frozen=True)
class Encoding:
    """One way to write samples to a file."""

    name: str
    suffix: str
    codec: str
    """FFmpeg's name of the encoder."""
    sample_format: str
    bit_rate: int | None = None
    """bit/s for all channels; None: lossless."""


def encode(
    path: Path, samples: NDArray[np.float32], sample_rate: int, encoding: Encoding
) -> None:
    """Write samples in an encoding.

    An encoder that does not take the rate gets the next higher one that it takes. What
    an encoder puts before the first sample is told in the file's headers, and decoders
    drop it again.

    Args:
        path: Where to write.
        samples: float32 (n_frames, n_channels), nominal [-1, 1].
        sample_rate: Hz.
        encoding: How.

    Raises:
        FFmpegError: The encoder does not take them.
    """
    with path.open("wb") as file:
        _encode(file, samples, sample_rate, encoding)


def encoded(samples: NDArray[np.float32], sample_rate: int, encoding: Encoding) -> bytes:
    """Return what :func:`encode` writes.

    Raises:
        FFmpegError: The encoder does not take the samples.
    """
    file = io.BytesIO()
    _encode(file, samples, sample_rate, encoding)
    return file.getvalue()


def _encode(
    file: BinaryIO, samples: NDArray[np.float32], sample_rate: int, encoding: Encoding
) -> None:
    import av
    from av.audio.resampler import AudioResampler

    with av.open(file, "w", format=_FORMATS[encoding.suffix]) as out:
        layout = _LAYOUTS[samples.shape[1]]
        rates = av.Codec(encoding.codec, "w").audio_rates or [sample_rate]
        rate = min((r for r in rates if r >= sample_rate), default=max(rates))
        stream: Any = out.add_stream(encoding.codec, rate=rate, layout=layout)
        stream.codec_context.format = encoding.sample_format
        if encoding.bit_rate is not None:
            stream.bit_rate = encoding.bit_rate
        stream.codec_context.open()
        resampler = AudioResampler(
            encoding.sample_format, layout, rate, frame_size=stream.codec_context.frame_size
        )
        for frame in _frames(np.clip(samples, -1, 1), sample_rate, layout):
            for converted in resampler.resample(frame):
                out.mux(stream.encode(converted))
        for converted in resampler.resample(None):
            out.mux(stream.encode(converted))
        out.mux(stream.encode(None))


def _frames(
    samples: NDArray[np.float32], sample_rate: int, layout: str
) -> Iterator[AudioFrame]:
    from av.audio.frame import AudioFrame

    for start in range(0, len(samples), _BLOCK_FRAMES):
        packed = np.ascontiguousarray(samples[start : start + _BLOCK_FRAMES]).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate = sample_rate
        frame.pts = start
        yield frame
