"""C2PA manifest stores outside of tags: in WAV, MP4 and Ogg.

Sources: C2PA 2.3, sections A.3.5 (Ogg), A.4 (RIFF) and A.5 (ISO base media).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from beetsplug.artifactnet.scoring.provenance.files import LARGEST_STORE_BYTES, BoundedFile
from beetsplug.artifactnet.scoring.provenance.ogg import manifests_in_ogg

_MOST_CHUNKS = 1 << 16
"""Looked at in one file; three hours of fragmented MP4 have 20,000 boxes."""
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def manifests_in_container(stream: BoundedFile) -> Iterator[bytes]:
    """Yield the manifest stores that the container itself holds."""
    head = stream.at(0, 12)
    finder = _finder(head)
    if finder is not None:
        yield from finder(stream)


def _finder(head: bytes) -> Callable[[BoundedFile], Iterator[bytes]] | None:
    if head[:4] in {b"RIFF", b"RF64", b"BW64"} and head[8:] == b"WAVE":
        return _in_riff
    if head[4:8] == b"ftyp":
        return _in_mp4
    return manifests_in_ogg if head[:4] == b"OggS" else None


def _store(stream: BoundedFile, position: int, size: int) -> Iterator[bytes]:
    if 0 < size <= LARGEST_STORE_BYTES:
        yield stream.at(position, size)


def _in_riff(stream: BoundedFile) -> Iterator[bytes]:
    position, data_size = 12, 0
    for _ in range(_MOST_CHUNKS):
        head = stream.at(position, 24)
        if len(head) < 8:
            return
        name, size = head[:4], int.from_bytes(head[4:8], "little")
        if name == b"ds64":
            data_size = int.from_bytes(head[16:24], "little")
        elif name == b"data" and size == 0xFFFFFFFF:
            size = data_size
        elif name == b"C2PA":
            yield from _store(stream, position + 8, size)
        position += 8 + size + size % 2


def _in_mp4(stream: BoundedFile) -> Iterator[bytes]:
    position = 0
    for _ in range(_MOST_CHUNKS):
        head = stream.at(position, 32)
        if len(head) < 8:
            return
        size, body = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), 16
        if size == 0:
            size = stream.size - position
        if head[4:8] == b"uuid" and head[body : body + 16] == _C2PA_UUID:
            for box in _store(stream, position + body + 16, size - body - 16):
                yield from _in_uuid_box(box)
        if size < 8:
            return
        position += size


def _in_uuid_box(box: bytes) -> Iterator[bytes]:
    """Yield the store of a C2PA box: version, flags, purpose, an offset, the store."""
    purpose, end, rest = box[4:].partition(b"\0")
    if not end:
        # Damaged: there is a manifest, and nothing of it can be read.
        yield box
    elif purpose != b"merkle":
        yield rest[8:]
