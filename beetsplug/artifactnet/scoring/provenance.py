"""What a file says of its own origin: a generator's comment or a C2PA manifest.

Strong evidence where it is there, and none where it is not: one transcode or tag
cleaner removes it. It is kept apart from the score.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

_SUNO = re.compile(r"made with suno(?: studio)?|suno\.(?:com|ai)/song", re.IGNORECASE)
_LARGEST_TAG_BYTES = 64 << 20
_C2PA_MIME = "application/c2pa"
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""Type of the MP4 box that holds a manifest (C2PA 2.1, section A.5.1)."""


def read_provenance(path: Path) -> str:
    """Return the file's own claims, ``suno`` and ``c2pa``, comma-separated.

    Empty where it makes none, or cannot be read: this is extra evidence, and never the
    reason for a failure.
    """
    try:
        # Before anything opens it: a pipe without a writer would block for ever.
        if not path.is_file():
            return ""
        return ",".join(_claims(path))
    except Exception:  # noqa: BLE001 - a tag parser meets whatever is in the wild
        return ""


class _BoundedFile(io.BufferedReader):
    """A file that gives no more at once than any real tag holds.

    A tag's size is what the file says, and mutagen would read 4 GB of it.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, by default the rest.

        Raises:
            ValueError: They are more than a tag holds.
        """
        rest = max(0, os.fstat(self.fileno()).st_size - self.tell())
        wanted = rest if size is None or size < 0 else min(size, rest)
        if wanted > _LARGEST_TAG_BYTES:
            raise ValueError("a tag too large")
        return super().read(size)


def _claims(path: Path) -> list[str]:
    import mutagen

    with _BoundedFile(io.FileIO(path)) as stream:
        file = mutagen.File(stream)
    tags = dict(file.tags or {}) if file is not None else {}
    claims = []
    if any(_SUNO.search(text) for text in _texts(tags)):
        claims.append("suno")
    if _has_c2pa_frame(tags) or _has_c2pa_box(path):
        claims.append("c2pa")
    return claims


def _texts(tags: dict[str, object]) -> Iterator[str]:
    """Yield the tags' texts, whatever the format: ID3 frames, lists, plain values."""
    for value in tags.values():
        url = getattr(value, "url", None)
        if isinstance(url, str):
            yield url
        content = getattr(value, "text", value)
        for entry in content if isinstance(content, list) else [content]:
            yield entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)


def _has_c2pa_frame(tags: dict[str, object]) -> bool:
    return any(getattr(value, "mime", None) == _C2PA_MIME for value in tags.values())


def _has_c2pa_box(path: Path) -> bool:
    """Tell whether an MP4 file has a C2PA box at its top level."""
    with path.open("rb") as file:
        if file.read(8)[4:] != b"ftyp":
            return False
        position = 0
        while True:
            file.seek(position)
            head = file.read(32)
            if len(head) < 8:
                return False
            size = int.from_bytes(head[:4], "big")
            body = 8
            if size == 1:
                size, body = int.from_bytes(head[8:16], "big"), 16
            if head[4:8] == b"uuid" and head[body : body + 16] == _C2PA_UUID:
                return True
            if size < 8:
                return False
            position += size
