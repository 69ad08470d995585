"""What a few headers say about a file: lengths, and audio that is somewhere else.

Only what neither libsndfile nor FFmpeg tells is read here.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from beetsplug.artifactnet.audio.source import TRUNCATION_TOLERANCE
from beetsplug.artifactnet.errors import AudioError

_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 1 << 10
_STREAMED_RIFF = 0x7FFF0000
"""Writers that cannot seek back leave a size of 2 GiB or more."""
_NIST_VALUE = re.compile(rb"(\w+) -[irs]\d* (\S+)")
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


@dataclass(frozen=True)
class Mp3Tag:
    """The tag in the first frame of an MP3: Xing, Info or VBRI."""

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
        start = id3v2_end(file, 0)
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


def id3v2_end(file: BinaryIO, start: int) -> int:
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


def check_header(path: Path) -> None:
    """Raise where a header tells of more audio than the file holds, or of none.

    Raises:
        AudioError: It does.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        n_bytes = file.seek(0, io.SEEK_END)
        for start, check in _CHECKS.items():
            if head.startswith(start):
                check(file, head, n_bytes)


def _refuse_cut(present: int, announced: int, of_what: str = "") -> None:
    if present < TRUNCATION_TOLERANCE * announced:
        raise AudioError(f"truncated: {present:,} of {announced:,} bytes{of_what}")


def _check_caf(file: BinaryIO, _head: bytes, n_bytes: int) -> None:
    """Apple, Core Audio Format 1.0."""
    start = 8
    while start + 12 <= n_bytes:
        file.seek(start)
        name, size = struct.unpack(">4sq", file.read(12).ljust(12, b"\0"))
        start += 12
        if name == b"data" and size >= 0:
            _refuse_cut(n_bytes - start, size, " of audio")
        if size < 0:
            return
        start += size


def _check_asf(file: BinaryIO, head: bytes, n_bytes: int) -> None:
    """Microsoft, Advanced Systems Format 1.2, section 3.2."""
    file.seek(len(head))
    head += file.read(_BLOCK_BYTES)
    place = head.find(_ASF_PROPERTIES)
    if place < 0 or len(head) < place + 92:
        return
    is_broadcast = head[place + 88] & 1
    if not is_broadcast:
        _refuse_cut(n_bytes, *struct.unpack_from("<Q", head, place + 40))


def _check_riff(_file: BinaryIO, head: bytes, n_bytes: int) -> None:
    """Of AVI: libsndfile tells of WAV. A size of 0 or of 2 GiB and more is no size."""
    if head[8:12] == b"AVI ":
        size = int.from_bytes(head[4:8], "little") + 8
        _refuse_cut(n_bytes, size if size < _STREAMED_RIFF else 0)


def _check_smaf(_file: BinaryIO, head: bytes, n_bytes: int) -> None:
    """Yamaha's SMAF (.mmf): one chunk holds all."""
    _refuse_cut(n_bytes, int.from_bytes(head[4:8], "big") + 8)


def _check_sox(_file: BinaryIO, head: bytes, n_bytes: int) -> None:
    """Samples of 32 bits behind a header, as soxformat(7) has it; 0: they were not counted."""
    n_header, n_samples = struct.unpack_from("<IQ", head.ljust(16, b"\0"), 4)
    _refuse_cut(n_bytes - 4 - n_header, 4 * n_samples, " of audio")


def _check_nist(_file: BinaryIO, head: bytes, n_bytes: int) -> None:
    """NIST SPHERE, which may be compressed: then the length tells nothing of the bytes."""
    values = dict(_NIST_VALUE.findall(head.partition(b"end_head")[0]))
    names = (b"sample_count", b"channel_count", b"sample_n_bytes")
    if all(name in values for name in names) and b"," not in values.get(b"sample_coding", b""):
        size = math.prod(int(values[name]) for name in names)
        _refuse_cut(n_bytes - len(head), size, " of audio")


def _check_voc(file: BinaryIO, head: bytes, n_bytes: int) -> None:
    """Creative Voice: blocks of a kind and a size of 24 bits, the last one of kind 0."""
    start = int.from_bytes(head[20:22], "little")
    while start + 4 <= n_bytes:
        file.seek(start)
        block = file.read(4)
        if block[0] == 0:
            return
        start += 4 + int.from_bytes(block[1:], "little")
    if start > n_bytes:
        raise AudioError("truncated: cut within its last block")


def _check_wavpack(file: BinaryIO, head: bytes, _n_bytes: int) -> None:
    """Refuse the half of a hybrid WavPack file that plays only beside the other.

    A block is a header of 32 bytes and sub-blocks. Each of these has an id, a size in words of
    16 bits, and data (David Bryant, WavPack 5 Binary File / Block Format).
    """
    if len(head) < _WAVPACK_HEADER_BYTES:
        return
    file.seek(0)
    block = file.read(min(8 + int.from_bytes(head[4:8], "little"), _BLOCK_BYTES))
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


_CHECKS: dict[bytes, Callable[[BinaryIO, bytes, int], None]] = {
    b"caff": _check_caf,
    _ASF_HEADER: _check_asf,
    b"RIFF": _check_riff,
    b"MMMD": _check_smaf,
    b".SoX": _check_sox,
    b"NIST_1A": _check_nist,
    b"Creative Voice File": _check_voc,
    b"wvpk": _check_wavpack,
}
"""First bytes of a file -> what looks at it, its first bytes and its length."""
