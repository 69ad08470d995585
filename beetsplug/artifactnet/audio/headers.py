"""What a few headers say about a file: parts, lengths, and audio that is somewhere else.

Only what neither libsndfile nor FFmpeg tells is read here.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from beetsplug.artifactnet.audio.source import TRUNCATION_TOLERANCE
from beetsplug.artifactnet.errors import AudioError

_BLOCK_BYTES = 1 << 20
_SEARCHED_BYTES = 1 << 17
_PAGE = b"OggS\0"
"""Capture pattern and version (RFC 3533, section 6)."""
_FIRST_PAGE = _PAGE + b"\x02"
_OGG_LAST_PAGE_BYTES = 1 << 17
"""A page has 65,307 at most."""
_OGG_N_LACING = 26
"""Where an Ogg page header holds the number of its lacing values."""
_ID3V2_BYTES = 10
_ID3V2_FOOTER = 0x10
_ID3V1_BYTES = 128
_APE_TAG_BYTES = 32
_TAG_WITHIN = 64
"""A Xing or Info tag stands behind the header and the side information of a frame."""
_VBRI_AT = 36
"""Where a VBRI tag starts, whatever the side information."""
_MOST_BYTES_BEHIND = 1 << 14
"""What may follow the last frame of an MP3 without being another one."""
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_WAVPACK_HEADER_BYTES = 32
_WAVPACK_AUDIO, _WAVPACK_CORRECTION = 0x0A, 0x0B
_WAVPACK_ID, _WAVPACK_LARGE = 0x3F, 0x80


def ogg_links(path: Path) -> list[tuple[int, int]]:
    """Return where each link of a chained Ogg file starts and ends, bytes; empty if not Ogg.

    A link begins with the first page of each of its streams (RFC 3533, section 4).

    Raises:
        AudioError: The last page is missing, or cut: the file has lost its end.
        OSError: The file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        if file.read(len(_PAGE)) != _PAGE:
            return []
        n_bytes = file.seek(0, io.SEEK_END)
        _refuse_cut_page(file, n_bytes)
        starts, group_end = [0], 0
        for start in _find(file, _FIRST_PAGE):
            if start > group_end:
                starts.append(start)
            group_end = start + _page_bytes(file, start)
    return list(zip(starts, [*starts[1:], n_bytes], strict=True))


def _find(file: BinaryIO, pattern: bytes) -> Iterator[int]:
    """Yield each place of a pattern in a file."""
    # Twice as fast as bytes.find, and one small buffer costs no new pages of memory.
    expression = re.compile(re.escape(pattern))
    n_kept = len(pattern) - 1
    buffer = bytearray(n_kept + _SEARCHED_BYTES)
    offset, start = 0, n_kept
    while True:
        file.seek(offset)
        n_read = file.readinto(memoryview(buffer)[n_kept:])  # type: ignore[attr-defined]
        if not n_read:
            return
        for found in expression.finditer(buffer, start, n_kept + n_read):
            yield offset - n_kept + found.start()
        buffer[:n_kept] = buffer[n_read : n_read + n_kept]
        offset, start = offset + n_read, 0


def _page_bytes(file: BinaryIO, start: int) -> int:
    file.seek(start)
    head = file.read(_OGG_N_LACING + 1 + 255)
    n_lacing = head[_OGG_N_LACING] if len(head) > _OGG_N_LACING else 0
    lacing = head[_OGG_N_LACING + 1 :][:n_lacing]
    return _OGG_N_LACING + 1 + n_lacing + sum(lacing)


def _refuse_cut_page(file: BinaryIO, n_bytes: int) -> None:
    """Raise where an Ogg file has no last page, or half of one.

    A missing end-of-stream flag alone is no sign: some encoders never set it.
    """
    start = max(0, n_bytes - _OGG_LAST_PAGE_BYTES)
    file.seek(start)
    place = file.read().rfind(_PAGE)
    if place < 0:
        raise AudioError("truncated: no page at its end")
    if start + place + _page_bytes(file, start + place) > n_bytes:
        raise AudioError("truncated: cut within its last page")


@dataclass(frozen=True)
class Mp3Tag:
    """What the tag in the first frame of an MP3 tells: Xing, Info or VBRI."""

    name: bytes
    n_frames: int
    """0: it does not tell."""
    n_bytes: int
    """From the tag's own frame to the end of the last; 0: it does not tell."""
    covers_file: bool
    """False where more follows than these bytes: MP3s joined by ``cat``, for one."""


def read_mp3_tag(path: Path) -> Mp3Tag | None:
    """Return the length tag of an MP3, None where its first frame is not one.

    Raises:
        AudioError: The file ends before the bytes that the tag tells of.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = _id3v2_end(file, 0)
        file.seek(start)
        name, n_frames, n_bytes = _length_tag(file.read(_TAG_WITHIN))
        if not name:
            return None
        present = file.seek(0, io.SEEK_END) - start
        if present < TRUNCATION_TOLERANCE * n_bytes:
            raise AudioError(f"truncated: {present:,} of {n_bytes:,} bytes of audio")
        return Mp3Tag(name, n_frames, n_bytes, not _goes_on(file, start + n_bytes))


def _length_tag(frame: bytes) -> tuple[bytes, int, int]:
    """Return name, frames and bytes of a tag; the name is empty without one."""
    frame = frame.ljust(2 * _TAG_WITHIN, b"\0")
    for name in (b"Xing", b"Info"):
        place = frame.find(name, 0, _TAG_WITHIN)
        if frame[:1] == b"\xff" and place > 0:
            (flags,) = struct.unpack_from(">I", frame, place + 4)
            n_frames = struct.unpack_from(">I", frame, place + 8)[0] if flags & 1 else 0
            at = place + (12 if flags & 1 else 8)
            return name, n_frames, struct.unpack_from(">I", frame, at)[0] if flags & 2 else 0
    if frame[:1] == b"\xff" and frame[_VBRI_AT : _VBRI_AT + 4] == b"VBRI":
        n_bytes, n_frames = struct.unpack_from(">II", frame, _VBRI_AT + 10)
        return b"VBRI", n_frames, n_bytes
    return b"", 0, 0


def _id3v2_end(file: BinaryIO, start: int) -> int:
    """Return where the ID3v2 tags end that start here (id3.org, 2.4.0, section 3.1)."""
    while True:
        file.seek(start)
        head = file.read(_ID3V2_BYTES)
        if head[:3] != b"ID3" or len(head) < _ID3V2_BYTES:
            return start
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        start += size + _ID3V2_BYTES * (2 if head[5] & _ID3V2_FOOTER else 1)


def _goes_on(file: BinaryIO, start: int) -> bool:
    """Tell whether more than tags and padding stands behind the end of an MP3."""
    n_bytes = file.seek(0, io.SEEK_END)
    while start + _MOST_BYTES_BEHIND < n_bytes:
        file.seek(start)
        head = file.read(_MOST_BYTES_BEHIND)
        if head[:8] == b"APETAGEX":
            start += _APE_TAG_BYTES + int.from_bytes(head[12:16], "little")
        elif head[:3] == b"TAG":
            start += _ID3V1_BYTES
        else:
            return bool(head.strip(b"\0"))
    return False


def is_mp4(path: Path) -> bool:
    """Tell whether a file begins as MP4 files do (ISO/IEC 14496-12, 4.3).

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def refuse_cut_caf(path: Path) -> None:
    """Raise where a Core Audio file ends before its audio does (Apple, CAF 1.0).

    Raises:
        AudioError: It does.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(8)[:4] != b"caff":
            return
        n_bytes, start = path.stat().st_size, 8
        while start + 12 <= n_bytes:
            file.seek(start)
            name, size = struct.unpack(">4sq", file.read(12).ljust(12, b"\0"))
            start += 12
            if name == b"data" and size >= 0:
                present = n_bytes - start
                if present < TRUNCATION_TOLERANCE * size:
                    raise AudioError(f"truncated: {present:,} of {size:,} bytes of audio")
            if size < 0:
                return
            start += size


def refuse_cut_asf(path: Path) -> None:
    """Raise where a WMA file is smaller than it says (Microsoft, ASF 1.2, section 3.2).

    Raises:
        AudioError: It is.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(len(_ASF_HEADER))
        if head != _ASF_HEADER:
            return
        head += file.read(_BLOCK_BYTES)
        present = file.seek(0, io.SEEK_END)
    place = head.find(_ASF_PROPERTIES)
    if place < 0 or len(head) < place + 92:
        return
    (n_bytes,) = struct.unpack_from("<Q", head, place + 40)
    is_broadcast = head[place + 88] & 1
    if present < TRUNCATION_TOLERANCE * n_bytes and not is_broadcast:
        raise AudioError(f"truncated: {present:,} of {n_bytes:,} bytes")


def refuse_wavpack_correction(path: Path) -> None:
    """Raise for the half of a hybrid WavPack file that plays only beside the other.

    A block is a header of 32 bytes and sub-blocks: an id, a size in words of 16 bits,
    data (David Bryant, WavPack 5 Binary File / Block Format).

    Raises:
        AudioError: It is a correction file.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        block = file.read(_WAVPACK_HEADER_BYTES)
        if block[:4] != b"wvpk" or len(block) < _WAVPACK_HEADER_BYTES:
            return
        end = min(8 + int.from_bytes(block[4:8], "little"), _BLOCK_BYTES)
        block += file.read(max(0, end - _WAVPACK_HEADER_BYTES))
    kinds = set(_wavpack_kinds(block))
    if _WAVPACK_CORRECTION in kinds and _WAVPACK_AUDIO not in kinds:
        raise AudioError("a WavPack correction file, which plays only beside its .wv")


def _wavpack_kinds(block: bytes) -> Iterator[int]:
    place = _WAVPACK_HEADER_BYTES
    while place + 4 <= len(block):
        is_large = block[place] & _WAVPACK_LARGE
        size = block[place + 1 : place + (4 if is_large else 2)]
        yield block[place] & _WAVPACK_ID
        place += 1 + len(size) + 2 * int.from_bytes(size, "little")
