"""Decoding with PyAV: AAC, ALAC, WMA, WavPack, APE, and what else FFmpeg reads.

FFmpeg's seek is not exact for several of these codecs. So a file is decoded from the start, and
the wanted ranges are cut out on the way. Its length comes first, from the packets' own
timestamps, without decoding; where packets have none, all are decoded once.

In an MP4 file of AAC-LC or ALAC the seek is exact: a table in it tells where each packet
lies. There only the wanted ranges are read, unless anything is not as the table has it.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio.down_mix import (
    Levels,
    Mix,
    Mixed,
    Mixer,
    Polarities,
    Range,
    Samples,
)
from beetsplug.artifactnet.audio.headers import is_mp4, read_mp3_tag
from beetsplug.artifactnet.audio.resampling import resampler
from beetsplug.artifactnet.audio.source import (
    Block,
    cut_ranges,
    is_truncated,
)
from beetsplug.artifactnet.errors import AudioError, TruncatedError
from beetsplug.artifactnet.models.card import DownMix

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext
    from av.container import InputContainer
    from av.packet import Packet


_GUESSED_LENGTH = {"aac", "ac3", "amr", "avi", "dts", "eac3", "loas", "mp3", "mpegts"}
"""Formats without a length in a header, or with one that only seekable writers put right."""
_LAST_PACKET_TOLD_FULL = {"caf"}
"""Formats whose last packet FFmpeg takes for as long as the others."""
_RATE_BITS = {"aac": 0x3C, "mp3": 0x0C}
"""Formats without a header of their own, and where in the third byte of a frame they tell
the sample rate (ISO/IEC 13818-7, 6.2, and 11172-3, 2.4.1.3)."""
_HEADERLESS = re.compile(
    r"[suf](8|16|24|32|64)([bl]e)?|[am]u?law|vidc|aptx(_hd)?|g72[0-9](_1|le)?|gsm|sln|codec2raw"
    r"|dfpwm|m?sbc|bit|daud"
)
"""Formats that FFmpeg knows by the end of a file's name: it decodes whatever is in it."""
_NOT_AUDIO = "not audio that can be decoded"
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
_LONGEST_PACKET_S = 1.1
"""TTA's; others are far shorter."""
_GAP_S = (0.25, 10.0)
"""A packet later than the end of the one before by this much follows lost ones. Less is the
rounding of time stamps, more a clock that was set anew."""
_N_BAD_PACKETS = 8
"""Undecodable packets that any file may have, beside one in a hundred."""
_N_BAD_OF_A_SCRATCH = 64
"""Undecodable packets of one that is scratched, where at least as many others decode: some
kilobytes of noise hold many beginnings of packets."""
_TRACK_LENGTH = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
"""Of a track in Matroska, as its tag DURATION tells it."""
_AVSEEK_SIZE = 0x10000
_COARSE_BITS = 16
_TABLED_CODECS = {("aac", "LC"), ("alac", None)}
"""Name and profile of codecs whose packets decode alike wherever decoding begins, but for
the first one. What AAC fills with noise is another noise then, as in another decoder."""
_PACKET_FRAMES = 1 << 12
"""The longest packet of these codecs, samples."""
_TABLE_ROUNDING_S = 0.002
"""An edit list tells the length in units of a movie, often of a millisecond."""
_BEFORE_ALL = -(1 << 40)
"""A time stamp before that of any packet."""


class _SeekError(Exception):
    """A file is not as its table has it, and is to be decoded from the start."""


class PyavSource:
    """A file that FFmpeg decodes.

    Args:
        path: The file.
        down_mix: From channels to one.
        window: Where in the file it starts and ends, bytes; None: all of it.

    Raises:
        AudioError: FFmpeg reads no audio from it.
        TruncatedError: The file ends before the audio that its header announces.
    """

    decoder = "FFmpeg"

    def __init__(
        self,
        path: Path,
        down_mix: DownMix = "mean",
        window: tuple[int, int] | None = None,
    ) -> None:
        self._path, self._window = path, window
        self._mixer = Mixer(down_mix)
        self._seeks = window is None and self._read_table()
        if not self._seeks:
            self._measure()

    def _read_table(self) -> bool:
        """Take rate and length from an MP4 file's table, where all is as it has it."""
        if not is_mp4(self._path):
            return False
        try:
            with self._open() as opened:
                self.sample_rate, self.is_fine = opened.sample_rate, opened.is_fine
                self.n_frames = opened.n_tabled_frames()
        except AudioError:
            return False
        return self.n_frames > 0

    def _measure(self) -> None:
        """Find rate and length from the packets.

        Raises:
            AudioError, TruncatedError: As the class.
        """
        with self._open() as opened:
            self.sample_rate, self.is_fine = opened.sample_rate, opened.is_fine
            length_s = _demuxed_s(opened)
            announced_s = opened.announced_s()
        if length_s is None:
            length_s = sum(block.n_frames for block in self._blocks(None)) / self.sample_rate
        if announced_s is not None and is_truncated(length_s, announced_s):
            raise TruncatedError(length_s, announced_s)
        if announced_s is not None and length_s - _LONGEST_PACKET_S < announced_s < length_s:
            # The last packet is told as long as the others where that may be too long.
            length_s = announced_s if is_truncated(announced_s, length_s) else length_s
        self.n_frames = round(length_s * self.sample_rate)

    @property
    def mixes(self) -> set[Mix]:
        """The down-mixes that were used so far."""
        return self._mixer.mixes

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        """Yield each range, by seeking where that is exact."""
        return self._mixer.choose(self._read_ranges, ranges)

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def _open(self) -> _Opened:
        return _Opened(self._path, self._window)

    def _read_ranges(
        self, ranges: Sequence[Range], polarities: Polarities | None
    ) -> Iterator[Mixed]:
        n_done, n_wanted = 0, sum(stop - start for start, stop in ranges)
        if self._seeks and n_wanted < self.n_frames:
            try:
                for mixed in self._read_by_seeking(ranges, polarities):
                    yield mixed
                    n_done += 1
            except (_SeekError, AudioError):
                self._seeks = False
        if n_done < len(ranges):
            yield from self._read_all(ranges[n_done:], polarities)

    def _read_by_seeking(
        self, ranges: Sequence[Range], polarities: Polarities | None
    ) -> Iterator[Mixed]:
        """Yield each range.

        Raises:
            _SeekError: There are gaps, or packets where the table has none.
            AudioError: Packets cannot be decoded.
        """
        with self._open() as opened:
            for start, stop in ranges:
                first, frames = opened.frames_from(start)
                blocks = (self._block(frame, polarities) for frame in frames)
                (mixed,) = cut_ranges(blocks, [(start - first, stop - first)])
                # The decoder may drop a little at the end, as it does from the start.
                missing = stop - start - len(mixed.samples)
                if missing and start + len(mixed.samples) < self.n_frames - _PACKET_FRAMES:
                    raise _SeekError
                yield Mixed(np.pad(mixed.samples, (0, missing)), mixed.levels)

    def _read_all(
        self, ranges: Sequence[Range], polarities: Polarities | None
    ) -> Iterator[Mixed]:
        announced_s = self.n_frames / self.sample_rate
        cuts = cut_ranges(self._blocks(polarities), ranges)
        for (start, stop), mixed in zip(ranges, cuts, strict=True):
            end = start + len(mixed.samples)
            if end < stop and is_truncated(end / self.sample_rate, announced_s):
                raise TruncatedError(end / self.sample_rate, announced_s)
            yield Mixed(np.pad(mixed.samples, (0, stop - end)), mixed.levels)

    def _blocks(self, polarities: Polarities | None) -> Iterator[Block]:
        """Yield the file's blocks, those of another rate at the rate of the first.

        Where packets were lost there is silence, so that what follows keeps its place.
        """
        change: _RateChange | None = None
        with self._open() as opened:
            clock = _Clock(float(opened.time_base))
            for frame in opened.frames():
                rate = frame.sample_rate or self.sample_rate
                if gap_s := clock.gap_s(frame, rate):
                    yield _silence(round(gap_s * self.sample_rate))
                if change is not None and rate != change.sample_rate:
                    yield change.end()
                    change = None
                if rate == self.sample_rate:
                    yield self._block(frame, polarities)
                    continue
                change = change or _RateChange(rate, self.sample_rate)
                yield change.block(self._mix(frame, polarities))
            if change is not None:
                yield change.end()

    def _block(self, frame: AudioFrame, polarities: Polarities | None) -> Block:
        return Block(frame.samples, partial(self._mix, frame, polarities))

    def _mix(self, frame: AudioFrame, polarities: Polarities | None) -> Mixed:
        return self._mixer.mix(_as_float32(frame), polarities)


class _Clock:
    """Follows the time stamps of decoded frames.

    Args:
        tick_s: Their unit, seconds.
    """

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._end_s: float | None = None

    def gap_s(self, frame: AudioFrame, rate: int) -> float:
        """Return how many seconds are lost ahead of a frame, 0 for none."""
        if frame.pts is None:
            return 0.0
        start_s, end_s = frame.pts * self._tick_s, self._end_s
        self._end_s = start_s + frame.samples / rate
        gap_s = 0.0 if end_s is None else start_s - end_s
        return gap_s if _GAP_S[0] < gap_s <= _GAP_S[1] else 0.0


def _silence(n_frames: int) -> Block:
    return Block(n_frames, lambda: Mixed(np.zeros(n_frames, np.float32), Levels()))


class _RateChange:
    """Part of a file that has another rate than its start, on the way to that rate."""

    def __init__(self, sample_rate: int, to_rate: int) -> None:
        self.sample_rate = sample_rate
        self._resampler = resampler(sample_rate, to_rate)

    def block(self, mixed: Mixed) -> Block:
        return self._block(self._resampler.push(mixed.samples), mixed.levels)

    def end(self) -> Block:
        return self._block(self._resampler.end(), Levels())

    @staticmethod
    def _block(samples: Samples, levels: Levels) -> Block:
        return Block(len(samples), lambda: Mixed(samples, levels))


class _WatchedFile(io.FileIO):
    """A file, or a window of one, for FFmpeg, which takes an exception for the file's end.

    PyAV prints a traceback where a second exception comes before it has raised the first. So
    none leaves this class: the exception is kept in ``error``.
    """

    def __init__(self, path: Path, window: tuple[int, int] | None) -> None:
        super().__init__(path)
        n_bytes = os.fstat(self.fileno()).st_size
        self._start, self._stop = window or (0, n_bytes)
        self._is_window = window is not None
        self.n_unused_bytes = 0
        """Read since the last packet of audio."""
        self.error: OSError | AudioError | None = None
        """What stopped the reading."""
        super().seek(self._start)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most ``size`` bytes, fewer of a size that only a header claims."""
        n_bytes = _N_BYTES_AT_ONCE if size is None or size < 0 else min(size, _N_BYTES_AT_ONCE)
        try:
            if self._is_window:
                n_bytes = max(0, min(n_bytes, self._stop - super().tell()))
            data = super().read(n_bytes) or b""
        except OSError as error:
            self.error = error
            return b""
        self.n_unused_bytes += len(data)
        if self.n_unused_bytes > _N_BYTES_WITHOUT_AUDIO:
            self.error = AudioError(f"no audio in {_N_BYTES_WITHOUT_AUDIO >> 20} MiB of it")
            return b""
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place in the window; -1 where there is no such place."""
        try:
            if whence & _AVSEEK_SIZE:
                return self._stop - self._start
            if whence == os.SEEK_END:
                offset += self._stop
            elif whence == os.SEEK_CUR:
                offset += super().tell()
            else:
                offset += self._start
            if offset < self._start:
                return -1
            return super().seek(offset) - self._start
        except (OSError, OverflowError):
            return -1

    def tell(self) -> int:
        """Return the place in the window."""
        return super().tell() - self._start


class _Opened:
    """An open container and its first audio stream."""

    container: InputContainer
    stream: AudioStream

    def __init__(self, path: Path, window: tuple[int, int] | None) -> None:
        self._path = path
        self._file = _WatchedFile(path, window)

    def __enter__(self) -> _Opened:
        import av

        # FFmpeg takes a path for a URL and a playlist for a list of URLs: it gets an
        # open file instead, and no protocol to open another one with.
        try:
            with self._faults(_NOT_AUDIO, tells_reason=False):
                self.container = av.open(
                    self._file,
                    mode="r",
                    options={"protocol_whitelist": "none"},
                    **_lenient_tags(av.__version__),
                )
        except BaseException:
            self._file.close()
            raise
        try:
            with self._faults(_NOT_AUDIO, tells_reason=False):
                self.stream = self._first_audio_stream()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
        self._file.close()

    @contextmanager
    def _faults(self, what: str, *, tells_reason: bool = True) -> Iterator[None]:
        """Turn whatever PyAV raises of a file into an AudioError.

        What the system says of the file, and a lack of memory, stay what they are.
        """
        from av.error import FFmpegError

        try:
            yield
        except MemoryError as error:
            raise MemoryError("FFmpeg has no memory") from error
        except FFmpegError as error:
            reason = f": {error.strerror}" if tells_reason else ""
            raise self._file.error or AudioError(what + reason) from error
        except (AudioError, OSError):
            raise
        except Exception as error:
            # Damaged files make PyAV raise IndexError, ValueError, UnicodeDecodeError ...
            raise self._file.error or AudioError(what) from error

    def _first_audio_stream(self) -> AudioStream:
        if _HEADERLESS.fullmatch(self.container.format.name):
            raise AudioError(_NOT_AUDIO)
        if not self.container.streams.audio:
            raise AudioError("no audio in it")
        stream = self.container.streams.audio[0]
        if _decoder(stream) is None:
            raise AudioError("no decoder for its audio")
        if _codec_tag(stream) in _ENCRYPTED_TAGS:
            raise AudioError("encrypted")
        self.sample_rate = int(stream.rate or 0)
        if self.sample_rate <= 0 or stream.time_base is None:
            raise AudioError("no audio in it")
        self.time_base = stream.time_base
        self.is_fine = _is_fine(stream)
        return stream

    def announced_s(self) -> float | None:
        """Return the length that a header tells, seconds; None where none does."""
        names = set(self.container.format.name.split(","))
        if names & _GUESSED_LENGTH and not (names == {"mp3"} and self._has_tag_of_frames()):
            return None
        if self.stream.duration is not None:
            return float(self.stream.duration * self.time_base)
        if found := _TRACK_LENGTH.match(self.stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = found.groups()
            return 3_600 * int(hours) + 60 * int(minutes) + float(seconds)
        # A film may go on after its sound.
        is_alone = len(self.container.streams) == 1
        if self.container.duration is None or not is_alone:
            return None
        return self.container.duration / 1_000_000

    def n_tabled_frames(self) -> int:
        """Return the length of a file in which seeking is exact, 0 for any other.

        The packets at the end are read, and no more: a file that is cut short lacks them.

        Raises:
            AudioError: They cannot be read.
        """
        codec, n_frames = self.stream.codec_context, self.stream.duration or 0
        is_tabled = (
            (codec.name, codec.profile) in _TABLED_CODECS
            and self.time_base == Fraction(1, self.sample_rate)
            and self.stream.start_time == 0
        )
        if not is_tabled:
            return 0
        self._seek(n_frames - _PACKET_FRAMES)
        ends = [
            packet.pts + packet.duration
            for packet in self.packets()
            if packet.pts is not None and packet.duration and not packet.is_corrupt
        ]
        nearest = min(ends, key=lambda end: abs(end - n_frames), default=0)
        is_end = abs(nearest - n_frames) <= _TABLE_ROUNDING_S * self.sample_rate
        return nearest if is_end else 0

    def frames_from(self, start: int) -> tuple[int, Iterator[AudioFrame]]:
        """Return a sample's number, and the frames from it on, which hold another sample.

        Args:
            start: The other one, counted from the first of the file.

        Raises:
            _SeekError: Here or on the way: the frames do not follow one another.
            AudioError: They cannot be decoded.
        """
        has_lead_in = start > _PACKET_FRAMES
        self._seek(start - _PACKET_FRAMES if has_lead_in else _BEFORE_ALL)
        frames = self.frames(n_bad_at_most=0)
        if has_lead_in:
            next(frames, None)  # it needs the one before
        first = next(frames, None)
        if first is None or first.pts is None or first.pts > start:
            raise _SeekError
        return first.pts, self._consecutive(first.pts, chain([first], frames))

    def _consecutive(self, position: int, frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
        for frame in frames:
            if frame.pts != position or frame.sample_rate != self.sample_rate:
                raise _SeekError
            position += frame.samples
            yield frame

    def _seek(self, time_stamp: int) -> None:
        with self._faults("seeking failed"):
            self.container.seek(time_stamp, stream=self.stream)

    def _has_tag_of_frames(self) -> bool:
        """Tell whether an MP3 has a tag that tells its frames, and not its bytes.

        Where it tells bytes too, FFmpeg guesses if they are not those of the file.
        """
        tag = read_mp3_tag(self._path)
        return tag is not None and tag.n_frames > 0 and not tag.n_bytes

    def packets(self) -> Iterator[Packet[AudioStream]]:
        """Yield the audio packets, and an empty one that flushes the decoder."""
        self._skip_other_streams()
        while True:
            try:
                with self._faults("reading stopped"):
                    for packet in self.container.demux(self.stream):
                        self._file.n_unused_bytes = 0
                        yield packet
                break
            except AudioError as error:
                # PyAV does not know streams that begin on the way, as MPEG-TS has them.
                if not isinstance(error.__cause__, IndexError):
                    raise
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

    def frames(self, n_bad_at_most: int | None = None) -> Iterator[AudioFrame]:
        """Yield the decoded frames.

        Args:
            n_bad_at_most: Undecodable packets that are passed over; None: those that any
                file may have.

        Raises:
            AudioError: Too many packets cannot be decoded.
        """
        n_bad = 0
        for n_packets, packet in enumerate(self.packets()):
            try:
                with self._faults("decoding stopped"):
                    frames = packet.decode()
            except AudioError:
                n_bad += 1
                of_a_scratch = min(_N_BAD_OF_A_SCRATCH, n_packets // 2)
                of_any = max(_N_BAD_PACKETS + n_packets // 100, of_a_scratch)
                if n_bad > (of_any if n_bad_at_most is None else n_bad_at_most):
                    raise
                continue
            yield from frames


def _decoder(stream: AudioStream) -> CodecContext | None:
    """Return a stream's decoder; FFmpeg may name a codec that it cannot decode."""
    return stream.codec_context


def _is_fine(stream: AudioStream) -> bool:
    """Tell whether samples have more than 16 bits, and no codec changes them."""
    codec, form = stream.codec_context, stream.codec_context.format
    is_kept = codec.codec.lossless and not codec.codec.lossy
    return bool(is_kept and form is not None and form.bits > _COARSE_BITS)


def _codec_tag(stream: AudioStream) -> str:
    """Return a codec's four letters, empty where PyAV finds other bytes there."""
    try:
        return str(stream.codec_context.codec_tag).lower()
    except UnicodeDecodeError:
        return ""


def _demuxed_s(opened: _Opened) -> float | None:
    """Return the length from the first packet to the end of the last, seconds.

    It is None in three cases. Packets do not tell how long they are: those of WMA Pro and
    Lossless, and the last of a CAF. Their clock stands still, as that of RealAudio 1.0. Or
    files of several rates are joined: FFmpeg takes the one for the other.

    Durations alone do not add up to it: Matroska and ASF round each to a millisecond.
    What lies before 0 is the encoder's delay, and the decoder drops it. A clock that goes
    back is the next part of joined files.
    """
    if opened.container.format.name in _LAST_PACKET_TOLD_FULL:
        return None
    tick_s = float(opened.time_base)
    first: int | None = None
    n_before = previous = end = n_packets = n_without = 0
    rate_bits, rates = _RATE_BITS.get(opened.container.format.name, 0), set()
    for packet in opened.packets():
        if not packet.size:
            continue
        n_packets, n_without = n_packets + 1, n_without + (not packet.duration)
        if rate_bits and packet.size > 2:
            rates.add(memoryview(packet)[2] & rate_bits)
        start = end if packet.pts is None else packet.pts
        n_without += first is not None and start == previous
        is_set_back = (previous - start) * tick_s > _CLOCK_RESTARTS_S
        if is_set_back or (first is not None and (start - end) * tick_s > _GAP_S[1]):
            n_before, first, end = n_before + end - (first or 0), None, start
        first = max(0, start) if first is None else first
        previous, end = start, max(end, start + (packet.duration or 0))
    if n_without > 1 + n_packets // 100 or len(rates) > 1:
        return None
    return float((n_before + end - (first or 0)) * opened.time_base)


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
