"""Reading parts of a file that may say anything of its own sizes."""

from __future__ import annotations

import io
import os
from pathlib import Path

_LARGEST_TAG_BYTES = 64 << 20
LARGEST_STORE_BYTES = 16 << 20
"""A C2PA manifest is some kilobytes, with pictures of its ingredients some megabytes."""


class BoundedFile(io.BufferedReader):
    """A file that gives no more at once than any real tag holds.

    A tag's size is what the file says, and mutagen would read 4 GB of it.

    Args:
        raw: The file, unbuffered.
    """

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.size = os.fstat(raw.fileno()).st_size
        """Bytes, when it was opened."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, by default the rest.

        Raises:
            ValueError: They are more than a tag holds.
        """
        rest = max(0, self.size - self.tell())
        wanted = rest if size is None or size < 0 else min(size, rest)
        if wanted > _LARGEST_TAG_BYTES:
            raise ValueError("a tag too large")
        return super().read(size)

    def at(self, position: int, size: int) -> bytes:
        """Return the bytes from a position on, fewer where the file ends before."""
        if not 0 <= position < self.size:
            return b""
        self.seek(position)
        return self.read(size)


def open_bounded(path: Path) -> BoundedFile:
    """Open a file for reading.

    Raises:
        OSError: It cannot be opened.
    """
    return BoundedFile(io.FileIO(path))
