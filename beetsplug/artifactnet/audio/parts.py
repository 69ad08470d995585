"""Where the parts of a file start that was joined from several: chained Ogg, FLAC and others.

Neither libsndfile nor FFmpeg tells, and most of these files are decoded no further than
their first part. MP3, ADTS, AC-3 and MPEG streams have no header of their own: FFmpeg
decodes them as one, whatever they were joined from.

A header may tell where its part ends: then the next one is looked for there alone.
Otherwise the file is searched for how a part of its kind starts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from beetsplug.artifactnet.audio.headers import id3v2_end
from beetsplug.artifactnet.errors import AudioError

Window = tuple[int, int]
"""Where a part starts and ends in its file, bytes."""

_SEARCHED_BYTES = 1 << 17
_PAGE = b"OggS\0"
"""Capture pattern and version (RFC 3533, section 6)."""
_FIRST_PAGE = re.compile(re.escape(_PAGE + b"\x02"))
_LAST_PAGE_BYTES = 1 << 17
"""A page has 65,307 at most."""
_N_LACING = 26
"""Where an Ogg page header holds the number of its lacing values."""

_INITIAL_BLOCK = b"".join(re.escape(bytes([byte])) for byte in range(256) if byte & 0x08)
"""The second byte of a WavPack block's flags, in the first block of its samples."""
_STARTS = {
    b"fLaC": re.compile(rb"fLaC\0\0\0\x22"),
    b"TTA1": re.compile(rb"TTA1[\x01\x02]\0[\x01-\x20]\0[\x08\x10\x18\x20]\0"),
    b"MAC ": re.compile(rb"MAC [\x80-\xff]\x0f\0\0\x34\0\0\0"),
    b"wvpk": re.compile(
        rb"wvpk.{4}[\x02-\x10]\x04\0.{5}\0{4}(?!\0{4}).{5}[" + _INITIAL_BLOCK + rb"]",
        re.DOTALL,
    ),
    b"0&\xb2u": re.compile(rb"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel.{3}\0{5}", re.DOTALL),
    b".RMF": re.compile(rb"\.RMF\0{3}[\x10-\x12]\0[\0\x01]"),
    b"Crea": re.compile(rb"Creative Voice File\x1a"),
}
"""First four bytes -> how a file of that kind starts: FLAC with its STREAMINFO, TTA with
its format, Monkey's Audio with the length of its descriptor, WavPack with sample 0, WMA
and RealAudio with the length of their headers, VOC with its name."""
_LONGEST_START = 26

_FRAME = re.compile(rb"\xff[\xf8\xf9][\x10-\xff][\x00-\xaf][\x00-\x7f\xc0-\xfe]")
_FRAME_SIZES = {
    1: 192,
    **{n: 576 << n - 2 for n in range(2, 6)},
    **{n: 1 << n for n in range(8, 16)},
}
"""Code -> samples of a frame, where the code tells."""
_PROBES = (0.17, 0.36, 0.57, 0.78)
"""Where in a FLAC file frames are looked at, shares of its bytes, beside its end."""
_PROBE_BYTES = 1 << 17
"""Looked at where the longest frame is unknown."""
_TAGS_BYTES = 1 << 13
"""Tags that may stand behind the last frame."""


def _number(at: int, n_bytes: int, order: Literal["little", "big"], beside: int) -> _Size:
    """Return what reads a size out of a header, and adds what the size leaves out."""
    return lambda head: int.from_bytes(head[at : at + n_bytes], order) + beside


def _box_bytes(head: bytes) -> int:
    """Return the size of a box of MP4 (ISO/IEC 14496-12, 4.2)."""
    size = int.from_bytes(head[:4], "big")
    return int.from_bytes(head[8:16], "big") if size == 1 else size


def _element_bytes(head: bytes) -> int:
    """Return the size of an element of Matroska with an id of four bytes (RFC 8794, 4)."""
    n_size = 9 - head[4].bit_length() if len(head) > 4 else 9
    size = int.from_bytes(head[4 : 4 + n_size], "big") & (1 << 7 * n_size) - 1
    is_unknown = size == (1 << 7 * n_size) - 1
    return 0 if is_unknown else 4 + n_size + size


_Size = Callable[[bytes], int]
_SIZED: tuple[tuple[re.Pattern[bytes], _Size], ...] = (
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), _number(4, 4, "little", 8)),
    (re.compile(rb"RF64.{4}WAVEds64", re.DOTALL), _number(20, 8, "little", 8)),
    (re.compile(rb"riff.{20}wave", re.DOTALL), _number(16, 8, "little", 0)),
    (re.compile(rb"FORM.{4}AIF[CF]", re.DOTALL), _number(4, 4, "big", 8)),
    (re.compile(rb"MMMD"), _number(4, 4, "big", 8)),
    (re.compile(rb"\.snd"), lambda head: sum(_number(at, 4, "big", 0)(head) for at in (4, 8))),
    (re.compile(rb"caff\0\x01"), lambda _: 8),
    (re.compile(rb".{4}ftyp", re.DOTALL), _box_bytes),
    (re.compile(rb"\x1aE\xdf\xa3"), _element_bytes),
)
"""How a part starts whose header tells its size, and what reads that from its first bytes."""
_CHUNK_BYTES: dict[bytes, _Size] = {
    b"caff": _number(4, 8, "big", 12),
    b"ftyp": _box_bytes,
    b"\x1aE\xdf\xa3": _element_bytes,
}
"""Of those that are a row of chunks, what reads the size of the next chunk."""
_PADDED = (b"RIFF", b"FORM")
"""Whose sizes are even, whatever they say."""
_MOST_PADDING = 7
_HEAD_BYTES = 48
_MOST_CHUNKS = 100_000


def parts_of(path: Path) -> list[Window]:
    """Return where each part of a file starts and ends; empty where it cannot have any.

    Raises:
        AudioError: The last page of an Ogg file is missing, or cut.
        OSError: The file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        start = id3v2_end(file, 0)
        file.seek(start)
        head = file.read(_HEAD_BYTES)
        n_bytes = file.seek(0, io.SEEK_END)
        sized = next((kind for kind in _SIZED if kind[0].match(head)), None)
        if head.startswith(_PAGE):
            starts = _ogg_links(file, start, n_bytes)
        elif sized is not None:
            starts = list(_sized_parts(file, start, n_bytes, *sized))
        elif head[:4] not in _STARTS or (head[:4] == b"fLaC" and _is_one_flac(file, start)):
            return []
        else:
            starts = list(_find(file, _STARTS[head[:4]]))
    starts[:1] = [0]
    return list(zip(starts, [*starts[1:], n_bytes], strict=True))


def _sized_parts(
    file: BinaryIO, start: int, n_bytes: int, expression: re.Pattern[bytes], size: _Size
) -> Iterator[int]:
    """Yield the start of each part, where one begins right behind the one before."""
    chunk: _Size | None = None
    for _ in range(_MOST_CHUNKS):
        file.seek(start)
        head = file.read(_HEAD_BYTES)
        n_zeros = len(head) - len(head.lstrip(b"\0"))
        if n_zeros <= _MOST_PADDING and expression.match(head[n_zeros:]):
            # Some programs pad odd numbers of bytes, and tell the size without.
            start, head = start + n_zeros, head[n_zeros:]
        if expression.match(head):
            yield start
            chunk = next((c for name, c in _CHUNK_BYTES.items() if name in head[:8]), None)
            length = size(head)
        else:
            length = chunk(head) if chunk is not None else 0
        start += length + (length % 2 if head[:4] in _PADDED else 0)
        if length <= 0 or start >= n_bytes:
            return


def _find(file: BinaryIO, expression: re.Pattern[bytes]) -> Iterator[int]:
    """Yield each place of a pattern of at most :data:`_LONGEST_START` bytes in a file."""
    # Twice as fast as bytes.find, and one small buffer costs no new pages of memory.
    buffer = bytearray(_LONGEST_START - 1 + _SEARCHED_BYTES)
    n_kept, offset, searched = 0, 0, 0
    while True:
        file.seek(offset)
        n_read = file.readinto(memoryview(buffer)[n_kept : n_kept + _SEARCHED_BYTES])  # type: ignore[attr-defined]
        if not n_read:
            return
        n_filled = n_kept + n_read
        # No audio of these kinds has so many zeros: this is a hole, which may be huge.
        if buffer[n_filled - 1] == 0 and buffer.count(0, n_kept, n_filled) == _SEARCHED_BYTES:
            return
        for found in expression.finditer(buffer, 0, n_filled):
            place = offset - n_kept + found.start()
            if place >= searched:
                yield place
                searched = place + 1
        offset += n_read
        n_kept = min(n_filled, _LONGEST_START - 1)
        buffer[:n_kept] = buffer[n_filled - n_kept : n_filled]


def _ogg_links(file: BinaryIO, first: int, n_bytes: int) -> list[int]:
    """Return where each link of a chained Ogg file starts.

    A link begins with the first page of each of its streams (RFC 3533, section 4).
    """
    _refuse_cut_page(file, n_bytes)
    starts, group_end = [first], first
    for start in _find(file, _FIRST_PAGE):
        if start > group_end:
            starts.append(start)
        group_end = start + _page_bytes(file, start)
    return starts


def _page_bytes(file: BinaryIO, start: int) -> int:
    file.seek(start)
    head = file.read(_N_LACING + 1 + 255)
    n_lacing = head[_N_LACING] if len(head) > _N_LACING else 0
    lacing = head[_N_LACING + 1 :][:n_lacing]
    return _N_LACING + 1 + n_lacing + sum(lacing)


def _refuse_cut_page(file: BinaryIO, n_bytes: int) -> None:
    """Raise where an Ogg file has no last page, or half of one.

    A missing end-of-stream flag alone is no sign: some encoders never set it.
    """
    start = max(0, n_bytes - _LAST_PAGE_BYTES)
    file.seek(start)
    place = file.read().rfind(_PAGE)
    if place < 0:
        raise AudioError("truncated: no page at its end")
    if start + place + _page_bytes(file, start + place) > n_bytes:
        raise AudioError("truncated: cut within its last page")


def _is_one_flac(file: BinaryIO, start: int) -> bool:
    """Tell whether a FLAC file certainly has one part, without reading all of it.

    Its frames are numbered (RFC 9639, section 9.1). Numbers that fall on the way through it are
    those of another part. So are numbers that end elsewhere than its STREAMINFO says. A few
    places are looked at, and where no frame is found all of the file is to be.
    """
    file.seek(start + 8)
    info = file.read(34)
    if len(info) < 34:
        return False
    n_samples = int.from_bytes(info[13:18], "big") & (1 << 36) - 1
    n_probe = (int.from_bytes(info[7:10], "big") or _PROBE_BYTES) + _LONGEST_START
    first, last = _first_frame(file, start + 4), file.seek(0, io.SEEK_END)
    ends = []
    for share in _PROBES:
        file.seek(first + int(share * (last - first)))
        ends += list(islice(_frame_ends(file.read(n_probe), info), 1))
    file.seek(max(first, last - n_probe - _TAGS_BYTES))
    ends += list(islice(_frame_ends(file.read(), info, is_last_first=True), 1))
    return ends == sorted(ends) and len(ends) > len(_PROBES) and ends[-1] == n_samples


def _first_frame(file: BinaryIO, start: int) -> int:
    """Return where the metadata blocks of a FLAC file end (RFC 9639, section 8)."""
    is_last = False
    while not is_last:
        file.seek(start)
        head = file.read(4).ljust(4, b"\x80")
        is_last = bool(head[0] & 0x80)
        start += 4 + int.from_bytes(head[1:], "big")
    return start


def _frame_ends(data: bytes, info: bytes, *, is_last_first: bool = False) -> Iterator[int]:
    """Yield the number of samples up to the end of each frame that starts in some bytes."""
    places = [found.start() for found in _FRAME.finditer(data)]
    for place in reversed(places) if is_last_first else places:
        end = _frame_end(data[place : place + 16], info)
        if end is not None:
            yield end


def _frame_end(header: bytes, info: bytes) -> int | None:
    """Return the number of samples up to the end of a frame; None where this is none."""
    size_code, rate_code = header[2] >> 4, header[2] & 15
    # The number is coded as UTF-8 codes a letter: the first byte tells how many there are.
    n_number = max(1, 8 - (~header[4] & 0xFF).bit_length())
    n_size = {6: 1, 7: 2}.get(size_code, 0)
    n_header = 4 + n_number + n_size + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if len(header) <= n_header or _crc8(header[:n_header]) != header[n_header]:
        return None
    number = header[4] & (0x7F if n_number == 1 else 0x7F >> n_number)
    for byte in header[5 : 4 + n_number]:
        number = number << 6 | byte & 0x3F
    if n_size:
        size = int.from_bytes(header[4 + n_number :][:n_size], "big") + 1
    else:
        size = _FRAME_SIZES[size_code]
    is_sample_number = header[1] & 1
    return number * (1 if is_sample_number else int.from_bytes(info[2:4], "big")) + size


def _crc8(data: bytes) -> int:
    """Return the checksum of a frame's header: polynomial x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
