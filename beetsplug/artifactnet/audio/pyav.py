"""Decoding with PyAV: AAC, ALAC, WMA, WavPack, APE, and what else FFmpeg reads.

FFmpeg's seek is not exact for several of these codecs, so a file is decoded from the
start and the wanted ranges are cut out on the way. Its length comes first, from the
packets' own timestamps, without decoding.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio.source import (
    Range,
    Samples,
    cut_ranges,
    down_mix,
    is_truncated,
)
from beetsplug.artifactnet.errors import AudioError, TruncatedError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext
    from av.container import InputContainer
    from av.packet import Packet


_GUESSED_LENGTH = {"aac", "ac3", "amr", "dts", "eac3", "loas", "mp3", "mpegts"}
"""Formats without a length in a header: FFmpeg derives one from the bit rate."""
_ENCRYPTED_TAGS = {"drms", "enca", "p608"}
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""FFmpeg's packed sample formats in NumPy's words."""
_N_PLANES = 8
"""Planes that an FFmpeg frame holds in itself; further ones lie elsewhere."""
_N_BYTES_AT_ONCE = 1 << 20
_N_BYTES_WITHOUT_AUDIO = 64 << 20
"""Bytes after which a file without a packet of audio is given up; covers are smaller."""
_CLOCK_RESTARTS_S = 0.5
"""A packet earlier than the one before by this much begins another song."""
_N_BAD_PACKETS = 8
"""Undecodable packets after which a file is corrupt rather than merely scratched."""


class PyavSource:
    """A file that FFmpeg decodes.

    Raises:
        AudioError: FFmpeg reads no audio from it.
        TruncatedError: The file ends before the audio that its header announces.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _Opened(path) as opened:
            self.sample_rate = int(opened.stream.rate or 0)
            if self.sample_rate <= 0:
                raise AudioError("no audio in it")
            self.n_frames = _n_demuxed_frames(opened, self.sample_rate)
            _refuse_truncated(opened, self.n_frames, self.sample_rate)

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        """Yield each range out of one decode from the start."""
        announced_s = self.n_frames / self.sample_rate
        for (start, stop), samples in zip(
            ranges, cut_ranges(self._blocks(), ranges), strict=True
        ):
            end = start + len(samples)
            if end < stop and is_truncated(end / self.sample_rate, announced_s):
                raise TruncatedError(end / self.sample_rate, announced_s)
            yield np.pad(samples, (0, stop - end))

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def _blocks(self) -> Iterator[Samples]:
        with _Opened(self._path) as opened:
            for packet in opened.audio_packets(tolerate=_N_BAD_PACKETS):
                for frame in packet:
                    if frame.sample_rate != self.sample_rate:
                        raise AudioError("its sample rate changes on the way")
                    yield down_mix(_as_float32(frame))


class _WatchedFile(io.FileIO):
    """A file for FFmpeg, which takes an exception in ``read`` for the file's end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.n_unused_bytes = 0
        """Read since the last packet of audio."""
        self.error: OSError | AudioError | None = None
        """What stopped the reading."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most ``size`` bytes, fewer of a size that only a header claims."""
        try:
            data = (
                super().read(
                    _N_BYTES_AT_ONCE
                    if size is None or size < 0
                    else min(size, _N_BYTES_AT_ONCE)
                )
                or b""
            )
        except OSError as error:
            self.error = error
            return b""
        self.n_unused_bytes += len(data)
        if self.n_unused_bytes > _N_BYTES_WITHOUT_AUDIO:
            self.error = AudioError(f"no audio in {_N_BYTES_WITHOUT_AUDIO >> 20} MiB of it")
            return b""
        return data


class _Opened:
    """An open container and its first audio stream."""

    container: InputContainer
    stream: AudioStream

    def __init__(self, path: Path) -> None:
        self._file = _WatchedFile(path)

    def __enter__(self) -> _Opened:
        import av
        from av.error import FFmpegError

        # FFmpeg takes a path for a URL and a playlist for a list of URLs: it gets an
        # open file instead, and no protocol to open another one with.
        try:
            self.container = av.open(
                self._file,
                mode="r",
                options={"protocol_whitelist": "none"},
                **_lenient_tags(av.__version__),
            )
        except (FFmpegError, ValueError, OverflowError) as error:
            self._file.close()
            raise self._file.error or AudioError("not audio that can be decoded") from error
        try:
            self.stream = self._first_audio_stream()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
        self._file.close()

    def _first_audio_stream(self) -> AudioStream:
        if not self.container.streams.audio:
            raise AudioError("no audio in it")
        stream = self.container.streams.audio[0]
        if _decoder(stream) is None:
            raise AudioError("no decoder for its audio")
        if _codec_tag(stream) in _ENCRYPTED_TAGS:
            raise AudioError("encrypted")
        return stream

    def packets(self) -> Iterator[Packet[AudioStream]]:
        """Yield the audio packets, and an empty one that flushes the decoder."""
        from av.error import FFmpegError

        self._skip_other_streams()
        try:
            for packet in self.container.demux(self.stream):
                self._file.n_unused_bytes = 0
                yield packet
        except FFmpegError as error:
            stopped = AudioError(f"reading stopped: {error.strerror}")
            raise self._file.error or stopped from error
        if self._file.error is not None:
            raise self._file.error

    def _skip_other_streams(self) -> None:
        """Have FFmpeg seek over a film's pictures, where the container lets it."""
        import av.stream

        # PyAV 13 cannot; it reads them and drops them.
        if not hasattr(av.stream, "Discard"):
            return
        for stream in self.container.streams:
            if stream.index != self.stream.index:
                stream.discard = av.stream.Discard.all

    def audio_packets(self, *, tolerate: int) -> Iterator[list[AudioFrame]]:
        """Yield the decoded frames of each packet.

        Raises:
            AudioError: More than ``tolerate`` packets cannot be decoded.
        """
        from av.error import FFmpegError

        n_bad = 0
        for packet in self.packets():
            try:
                yield packet.decode()
            except FFmpegError as error:
                n_bad += 1
                if n_bad > tolerate:
                    raise AudioError(f"decoding stopped: {error.strerror}") from error


def _decoder(stream: AudioStream) -> CodecContext | None:
    """Return a stream's decoder; FFmpeg may name a codec that it cannot decode."""
    return stream.codec_context


def _codec_tag(stream: AudioStream) -> str:
    """Return a codec's four letters, empty where PyAV finds other bytes there."""
    try:
        return str(stream.codec_context.codec_tag).lower()
    except UnicodeDecodeError:
        return ""


def _n_demuxed_frames(opened: _Opened, sample_rate: int) -> int:
    """Return the length from the first packet to the end of the last, in frames.

    Durations alone do not add up to it: Matroska and ASF round each to a millisecond.
    What lies before 0 is the encoder's delay, and the decoder drops it. A clock that goes
    back is the next song of a chained Ogg file (RFC 3533, section 4).
    """
    time_base = opened.stream.time_base
    if time_base is None:
        raise AudioError("no audio in it")
    first: int | None = None
    n_before = previous = end = 0
    for packet in opened.packets():
        start = end if packet.pts is None else packet.pts
        if (previous - start) * time_base > _CLOCK_RESTARTS_S:
            n_before, first, end = n_before + end - (first or 0), None, 0
        first = max(0, start) if first is None else first
        previous, end = start, max(end, start + (packet.duration or 0))
    return round((n_before + end - (first or 0)) * time_base * sample_rate)


def _refuse_truncated(opened: _Opened, n_frames: int, sample_rate: int) -> None:
    """Raise where the header announces more than the packets hold."""
    stream = opened.stream
    if stream.duration is None or stream.time_base is None:
        return
    if _GUESSED_LENGTH & set(opened.container.format.name.split(",")):
        return
    announced = float(stream.duration * stream.time_base)
    if is_truncated(n_frames / sample_rate, announced):
        raise TruncatedError(n_frames / sample_rate, announced)


def _lenient_tags(pyav_version: str) -> dict[str, Any]:
    """Return what makes PyAV accept tags that are not UTF-8, which 19 does by itself."""
    is_older = int(pyav_version.split(".", maxsplit=1)[0]) < 19
    return {"metadata_errors": "ignore"} if is_older else {}


def _as_float32(frame: AudioFrame) -> NDArray[np.float32]:
    """Return a frame's samples as ``(n_frames, n_channels)``, nominal [-1, 1]."""
    n_channels = frame.layout.nb_channels
    if frame.format.is_planar and n_channels >= _N_PLANES:
        frame = _packed(frame)
    n_planes = n_channels if frame.format.is_planar else 1
    dtype, count = _DTYPES[frame.format.packed.name], frame.samples * n_channels // n_planes
    planes = [
        np.frombuffer(memoryview(plane), dtype, count) for plane in frame.planes[:n_planes]
    ]
    frames = np.stack(planes, axis=1) if n_planes > 1 else planes[0].reshape(-1, n_channels)
    if frames.dtype == np.uint8:
        return (frames.astype(np.float32) - 128) / np.float32(128)
    if np.issubdtype(frames.dtype, np.signedinteger):
        full_scale = -float(np.iinfo(frames.dtype).min)
        return (frames / full_scale).astype(np.float32)
    return frames.astype(np.float32)


def _packed(frame: AudioFrame) -> AudioFrame:
    """Return a frame with its channels interleaved.

    Of eight planes PyAV reads a ninth: 18 crashes in ``to_ndarray``, 19 raises.
    """
    from av.audio.resampler import AudioResampler

    (packed,) = AudioResampler(frame.format.packed.name).resample(frame)
    return packed
