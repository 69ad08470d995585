"""Where the frames of an MP3 lie.

mpg123 finds a place in a file by reading every frame ahead of it, header and body, with
a system call each: most of a second for three hours of music. The sizes alone follow
from the headers (ISO/IEC 11172-3, 2.4.3.1, and 13818-3 for the lower rates), and the
frames around a place, behind the file's own tag, are an MP3 that decodes to the very same
samples.
"""

from __future__ import annotations

import io
from array import array
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO

_BLOCK_BYTES = 1 << 20
_HEADER_BYTES, _KEY_BYTES = 4, 3
_RATES_HZ = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_MPEG_1, _LAYER_3, _MONO = 3, 1, 3
_MPEG_1_SAMPLES = 1152
_MPEG_1_BEGIN_SHIFT = 7
"""Side information starts with where the data do: nine bits in MPEG 1, eight otherwise."""
_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_LOWER = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MAY_VARY = 0x0001F3
"""Check sum; bit rate, padding, private bit: of the 24 bits of the first three bytes."""
_NO_CHECK_SUM = 1
_CHECK_SUM_BYTES = 2
_TAGS = (b"Xing", b"Info")
_TAG_PARTS = ((1, 4), (2, 4), (4, 100), (8, 4))
"""Flag and size of what may stand in a tag: frames, bytes, places, quality."""
_BYTES_PART = 2
_DELAY_AT = 21
"""Where the encoder's part of a tag holds delay and padding, twelve bits each."""
_DECODER_DELAY = 529
_RESERVOIR_BYTES = 511
"""What a frame may use of those before it."""
_OVERLAP_FRAMES = 3
"""Until overlap and filter bank hold nothing but what was decoded."""
_PHASE_FRAMES = 8
"""mpg123 adds up in another order at each of 16 phases of its filter bank, which come
back after so many frames: only then is a sample the same to the last bit."""
_ID3V2_BYTES = 10
_ID3V2_FOOTER = 0x10
_ID3V1_BYTES = 128
_APE_FOOTER_BYTES = 32


@dataclass(frozen=True)
class Mp3Frames:
    """An open MP3 and the place of each of its frames."""

    file: BinaryIO
    """Stays open, so that what is read later is of the same file."""
    tag: bytes
    """The frame that holds no music but the encoder's tag."""
    places: array[int]
    """Where each frame of music starts, and where the last one ends, bytes."""
    samples_per_frame: int
    side_bytes: int
    """Of a frame's side information."""
    skipped: int
    """Samples that a decoder drops from the start: the encoder's delay and its own."""

    @property
    def n_samples(self) -> int:
        """Samples of each channel, with those at the end that the tag drops."""
        return (len(self.places) - 1) * self.samples_per_frame - self.skipped

    @property
    def _most_ahead(self) -> int:
        """Bytes ahead of a frame's own data, at most."""
        return _HEADER_BYTES + _CHECK_SUM_BYTES + self.side_bytes

    def clip(self, start: int, stop: int) -> tuple[io.BytesIO, int]:
        """Return an MP3 of the frames around a range, and where in it the range starts.

        Args:
            start: First sample of the range, of those that a decoder gives.
            stop: Its end.
        """
        first = (start + self.skipped) // self.samples_per_frame
        end = min((stop + self.skipped) // self.samples_per_frame + 2, len(self.places) - 1)
        begin = self._begin(first)
        self.file.seek(self.places[begin])
        frames = bytearray(self.file.read(self.places[end] - self.places[begin]))
        self._mute(frames, begin)
        tag = _with_size(self.tag, len(self.tag) + len(frames))
        return io.BytesIO(tag + frames), start - begin * self.samples_per_frame

    def _begin(self, first: int) -> int:
        """Return the frame to decode from for one to be as if all before it were."""
        begin, reservoir = max(0, first - _OVERLAP_FRAMES), 0
        while begin > 0 and reservoir < _RESERVOIR_BYTES:
            begin -= 1
            reservoir += self.places[begin + 1] - self.places[begin] - self._most_ahead
        return begin - begin % _PHASE_FRAMES

    def _mute(self, frames: bytearray, begin: int) -> None:
        """Let the frames be silent that miss a part of what lies before them.

        mpg123 would complain about what is left of them, and skip them, which moves the
        phase. With side information that tells no more than where the frame's data start
        there is nothing to decode, and what later frames may use is kept.
        """
        reservoir, frame = 0 if begin else _RESERVOIR_BYTES, begin
        while reservoir < _RESERVOIR_BYTES and frame + 1 < len(self.places):
            place, end = (self.places[at] - self.places[begin] for at in (frame, frame + 1))
            if end > len(frames):  # the file has shrunk since
                return
            has_check_sum = not frames[place + 1] & _NO_CHECK_SUM
            side = place + _HEADER_BYTES + _CHECK_SUM_BYTES * has_check_sum
            data = min(side + self.side_bytes, end)
            frames[side:data] = self._empty_side(reservoir)[: data - side]
            reservoir += end - data
            frame += 1

    def _empty_side(self, reservoir: int) -> bytes:
        """Return side information of a frame that decodes nothing."""
        if self.samples_per_frame == _MPEG_1_SAMPLES:
            begin = reservoir << _MPEG_1_BEGIN_SHIFT
            return begin.to_bytes(2, "big") + bytes(self.side_bytes - 2)
        return min(reservoir, 0xFF).to_bytes(1, "big") + bytes(self.side_bytes - 1)


def find_frames(path: Path) -> Mp3Frames | None:
    """Return where an MP3's frames lie; None where one is not where it should be.

    None as well for a file without a tag that tells the encoder's delay. ID3 and APE
    tags around the frames are known; anything else between or behind them is not.

    Raises:
        OSError: The file cannot be read.
    """
    file = path.open("rb")
    try:
        found = _find_frames(file)
    except BaseException:
        file.close()
        raise
    if found is None:
        file.close()
    return found


def _find_frames(file: BinaryIO) -> Mp3Frames | None:
    start, stop = _without_tags(file)
    file.seek(start)
    head = file.read(_HEADER_BYTES)
    sizes = _sizes(head)
    if head[:_KEY_BYTES] not in sizes:
        return None
    tag = head + file.read(sizes[head[:_KEY_BYTES]] - _HEADER_BYTES)
    delay = _read_delay(tag)
    places = _scan(file, start + len(tag), stop, sizes) if delay is not None else None
    if delay is None or places is None:
        return None
    is_mpeg_1, is_mono = head[1] >> 3 & 3 == _MPEG_1, head[3] >> 6 == _MONO
    samples_per_frame = _MPEG_1_SAMPLES if is_mpeg_1 else _MPEG_1_SAMPLES // 2
    side_bytes = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    return Mp3Frames(file, tag, places, samples_per_frame, side_bytes, delay + _DECODER_DELAY)


def _sizes(header: bytes) -> dict[bytes, int]:
    """Return the size of a frame by its first three bytes, for all that go with a header.

    Version, layer and sample rate are those of the header; empty where it is none of
    Layer III. Free format is none: its frames have no size.
    """
    word = int.from_bytes(header[:_KEY_BYTES], "big")
    version, layer, rate = word >> 11 & 3, word >> 9 & 3, word >> 2 & 3
    if word >> 13 != 0x7FF or layer != _LAYER_3 or version not in _RATES_HZ or rate == 3:
        return {}
    sample_rate = _RATES_HZ[version][rate]
    kbps, scale = (_KBPS, 144_000) if version == _MPEG_1 else (_KBPS_LOWER, 72_000)
    sizes = {}
    for index, bit_rate in enumerate(kbps, 1):
        for check, padding, private in product((0, 1), repeat=3):
            key = word & ~_MAY_VARY | check << 8 | index << 4 | padding << 1 | private
            sizes[key.to_bytes(_KEY_BYTES, "big")] = scale * bit_rate // sample_rate + padding
    return sizes


def _scan(file: BinaryIO, place: int, stop: int, sizes: dict[bytes, int]) -> array[int] | None:
    """Return the places of all frames and of their end, None where they miss it."""
    places = array("Q")
    size_of, note = sizes.get, places.append
    while place + _KEY_BYTES <= stop:
        file.seek(place)
        block = file.read(min(_BLOCK_BYTES, stop - place))
        offset, last = 0, len(block) - _KEY_BYTES
        while offset <= last:
            size = size_of(block[offset : offset + _KEY_BYTES])
            if size is None:
                return None
            note(place + offset)
            offset += size
        if not offset:
            return None
        place += offset
    note(place)
    return places if place == stop else None


def _tag_parts(frame: bytes) -> tuple[dict[int, int], int] | None:
    """Return where each part of a tag stands, by its flag, and the encoder's part."""
    start = min((at for at in map(frame.find, _TAGS) if at > 0), default=-1)
    if start < 0:
        return None
    flags = int.from_bytes(frame[start + 4 : start + 8], "big")
    places, place = {}, start + 8
    for flag, size in _TAG_PARTS:
        if flags & flag:
            places[flag] = place
            place += size
    return places, place


def _read_delay(frame: bytes) -> int | None:
    """Return the encoder's delay in samples, as its tag tells, None without one."""
    parts = _tag_parts(frame)
    if parts is None:
        return None
    _, encoder = parts
    at = encoder + _DELAY_AT
    if len(frame) < at + 3 or not frame[encoder : encoder + 4].strip(b"\0"):
        return None
    return int.from_bytes(frame[at : at + 3], "big") >> 12


def _with_size(frame: bytes, n_bytes: int) -> bytes:
    """Return a tag that tells another size: mpg123 complains about a wrong one."""
    parts = _tag_parts(frame)
    place = parts[0].get(_BYTES_PART) if parts else None
    if place is None:
        return frame
    return frame[:place] + n_bytes.to_bytes(4, "big") + frame[place + 4 :]


def _without_tags(file: BinaryIO) -> tuple[int, int]:
    """Return where the first frame starts and the last one ends, by the tags around.

    ID3v2 (id3.org, 2.4.0, section 3.1), ID3v1, APEv2.
    """
    head = file.read(_ID3V2_BYTES)
    start = 0
    if head[:3] == b"ID3" and len(head) == _ID3V2_BYTES:
        for byte in head[6:]:
            start = start << 7 | byte & 0x7F
        start += _ID3V2_BYTES * (2 if head[5] & _ID3V2_FOOTER else 1)
    stop = file.seek(0, io.SEEK_END)
    while size := _tag_bytes_before(file, stop):
        stop -= size
    return start, max(start, stop)


def _tag_bytes_before(file: BinaryIO, stop: int) -> int:
    """Return the size of the ID3v1 or APE tag that ends at ``stop``, 0 for none."""
    file.seek(max(0, stop - _ID3V1_BYTES))
    end = file.read(min(stop, _ID3V1_BYTES))
    footer = end[-_APE_FOOTER_BYTES:]
    if footer[:8] == b"APETAGEX":
        has_header = int.from_bytes(footer[20:24], "little") >> 31
        return int.from_bytes(footer[12:16], "little") + _APE_FOOTER_BYTES * has_header
    return _ID3V1_BYTES if end[:3] == b"TAG" and len(end) == _ID3V1_BYTES else 0
