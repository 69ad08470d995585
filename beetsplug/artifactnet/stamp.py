"""A file's stamp: size, time of change, and a checksum of its audio that no tag writer changes.

The checksum covers spot checks of the bytes between the tags: where they begin and end is
read from the container's outer structure. Nothing is decoded, and no more than 100 kB are
read of a file of any length.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import BinaryIO

_N_CHECKS = 16
_CHECK_BYTES = 4096
_MAX_CHUNKS = 10_000
"""No real file has as many; a made-up one must not keep anybody busy."""

StrPath = str | os.PathLike[str]
"""A path; of many files a text, which costs a tenth of a :class:`~pathlib.Path`."""

Span = tuple[int, int]
"""Where a piece of audio begins, and how long it is, bytes."""


class Change(Enum):
    """The state of a file since it got its stamp."""

    NONE = "none"
    TAGS = "tags"
    """Written to, and the audio is the same."""
    AUDIO = "audio"
    GONE = "gone"
    """Not there, or not readable: its disk may be unmounted."""


def file_stamp(path: StrPath) -> str | None:
    """Return ``SIZE-TIME-CHECKSUM`` of a file, None if it cannot be read.

    ``TIME`` is its time of change in nanoseconds, ``CHECKSUM`` is of its audio alone.
    """
    try:
        return f"{_quick_stamp(path)}-{_audio_checksum(path)}"
    except (OSError, ValueError):  # a path with a zero byte is none
        return None


def change_since(path: StrPath, stamp: str) -> Change:
    """Return what has become of a file since it got this stamp.

    Where size and time are the same nothing has, so most files are not opened. Otherwise
    the checksum decides between tags and audio.
    """
    try:
        if _is_of(_quick_stamp(path), stamp):
            return Change.NONE
        checksum = (*stamp.split("-"), "", "", "")[2]
        is_same = bool(checksum) and _audio_checksum(path) == checksum
    except (OSError, ValueError):
        return Change.GONE
    return Change.TAGS if is_same else Change.AUDIO


def is_untouched(path: StrPath, stamp: str) -> bool:
    """Tell whether a file has the size and time that are in its stamp; nothing is opened."""
    try:
        return _is_of(_quick_stamp(path), stamp)
    except (OSError, ValueError):
        return False


def _is_of(quick: str, stamp: str) -> bool:
    return stamp.startswith(quick) and stamp[len(quick) :][:1] in {"", "-"}


def _quick_stamp(path: StrPath) -> str:
    status = os.stat(path)  # noqa: PTH116 - of many files
    return f"{status.st_size}-{status.st_mtime_ns}"


def _audio_checksum(path: StrPath) -> str:
    """Return a checksum of the audio's length and of blocks spread evenly over it."""
    digest = hashlib.blake2b(digest_size=8)
    # Before anything opens it: a pipe without a writer would block for ever.
    if not Path(path).is_file():
        raise OSError("not a regular file")
    with Path(path).open("rb") as file:
        spans, is_ogg = _audio_spans(file)
        length = sum(size for _, size in spans)
        digest.update(str(length).encode())
        blocks = max(1, min(_N_CHECKS, length // _CHECK_BYTES))
        for number in range(blocks):
            place = (length - _CHECK_BYTES) * number // max(1, blocks - 1)
            digest.update(_block(file, spans, max(0, place), is_ogg))
    return digest.hexdigest()


def _block(file: BinaryIO, spans: list[Span], place: int, is_ogg: bool) -> bytes:
    """Return some bytes of the audio from a place in it on."""
    for start, size in spans:
        if place < size:
            wanted = min(_CHECK_BYTES, size - place)
            if is_ogg:
                return _ogg_block(file, start + place, wanted)
            file.seek(start + place)
            return file.read(wanted)
        place -= size
    return b""


def _ogg_block(file: BinaryIO, position: int, wanted: int) -> bytes:
    """Return a block of Ogg pages without their numbers and checksums.

    Longer tags need more pages, and every page that follows is numbered anew.
    """
    before = min(position, 26)
    file.seek(position - before)
    block = bytearray(file.read(before + wanted))
    found = block.find(b"OggS")
    while found >= 0:
        numbered = slice(found + 18, min(found + 26, len(block)))
        block[numbered] = bytes(len(block[numbered]))
        found = block.find(b"OggS", found + 4)
    return bytes(block[before:])


def _audio_spans(file: BinaryIO) -> tuple[list[Span], bool]:
    """Return where a file's audio lies, and whether it is in Ogg pages."""
    start = _after_id3(file)
    end = _before_trailing_tags(file, start)
    file.seek(start)
    head = file.read(16)
    for place, magic, find in _CONTAINERS:
        if head[place:].startswith(magic):
            spans = [
                (position, min(size, end - position))
                for position, size in find(file, start, end)
                if start <= position < end and size > 0
            ]
            return spans or [(start, end - start)], magic == b"OggS"
    return [(start, max(0, end - start))], False


def _read_at(file: BinaryIO, position: int, n_bytes: int, end: int) -> bytes:
    """Return some bytes, none from beyond the end: a header may name places no file has."""
    if position >= end:
        return b""
    file.seek(position)
    return file.read(n_bytes)


def _after_id3(file: BinaryIO) -> int:
    """Return where a file begins behind its ID3v2 tags."""
    position = 0
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 0x7F:
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        position += 10 + size + (10 if head[5] & 0x10 else 0)
    return position


def _before_trailing_tags(file: BinaryIO, start: int) -> int:
    """Return where a file ends before ID3v1, APEv2 and Lyrics3 tags."""
    end = file.seek(0, os.SEEK_END)
    for _ in range(8):
        file.seek(max(start, end - 128))
        size = _trailing_tag_bytes(file.read(max(0, min(128, end - start))))
        if not 0 < size <= end - start:
            break
        end -= size
    return max(start, end)


def _trailing_tag_bytes(tail: bytes) -> int:
    """Return the size of the tag that these bytes are the end of, 0 for none."""
    if len(tail) == 128 and tail.startswith(b"TAG"):
        return 128
    if len(tail) >= 32 and tail[-32:].startswith(b"APETAGEX"):
        size, flags = struct.unpack_from("<I4xI", tail, len(tail) - 20)
        return size + (32 if flags & 0x8000_0000 else 0)
    if tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        return int(tail[-15:-9]) + 15
    return 0


def _flac(file: BinaryIO, start: int, end: int) -> list[Span]:
    """Return the frames: all that follows the metadata blocks."""
    position = start + 4
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(4)
        if len(head) < 4:
            break
        position += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            return [(position, end - position)]
    return []


def _ogg(file: BinaryIO, start: int, end: int) -> list[Span]:
    """Return the pages from the first one on that ends a packet with sound."""
    position = start
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(27 + 255)
        if len(head) < 27 or head[:4] != b"OggS":
            break
        (granule,) = struct.unpack_from("<q", head, 6)
        if granule > 0:
            return [(position, end - position)]
        position += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return []


def _mp4(file: BinaryIO, start: int, end: int) -> list[Span]:
    """Return the contents of the ``mdat`` boxes."""
    spans, position = [], start
    for _ in range(_MAX_CHUNKS):
        head = _read_at(file, position, 16, end)
        if len(head) < 8:
            break
        size, body = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, body = int.from_bytes(head[8:], "big"), 16
        size = size or end - position
        if head[4:8] == b"mdat":
            spans.append((position + body, size - body))
        position += max(8, size)
    return spans


def _asf(file: BinaryIO, start: int, end: int) -> list[Span]:
    """Return all that follows the header object."""
    file.seek(start + 16)
    size = int.from_bytes(file.read(8), "little")
    return [(start + size, end - start - size)]


def _chunks(
    wanted: bytes, size_format: str, first: int, *, counts_head: bool = False
) -> Callable[[BinaryIO, int, int], list[Span]]:
    """Return what finds a chunk: a name of four bytes, a size, and padding to even.

    Args:
        wanted: Its name.
        size_format: How a size is written, as :mod:`struct` has it.
        first: Bytes before the first chunk.
        counts_head: Whether a size counts name and size, too, and nothing is padded.
    """
    n_head = 4 + struct.calcsize(size_format)

    def find(file: BinaryIO, start: int, end: int) -> list[Span]:
        position = start + first
        for _ in range(_MAX_CHUNKS):
            head = _read_at(file, position, n_head, end)
            if len(head) < n_head:
                break
            (size,) = struct.unpack(size_format, head[4:])
            body = max(0, size - n_head) if counts_head else size
            if head[:4] == wanted:
                return [(position + n_head, body)]
            position += n_head + body + (0 if counts_head else body % 2)
        return []

    return find


_CONTAINERS: tuple[tuple[int, bytes, Callable[[BinaryIO, int, int], list[Span]]], ...] = (
    (0, b"fLaC", _flac),
    (0, b"OggS", _ogg),
    (4, b"ftyp", _mp4),
    (0, bytes.fromhex("3026b2758e66cf11a6d9"), _asf),
    (0, b"RIFF", _chunks(b"data", "<I", 12)),
    (0, b"FORM", _chunks(b"SSND", ">I", 12)),
    (0, b"DSD ", _chunks(b"data", "<Q", 28, counts_head=True)),
)
"""Place and bytes that tell a container, and how its audio is found.

All other files are audio from tag to tag: MP3, AAC, WavPack, APE, Musepack, TTA.
"""
