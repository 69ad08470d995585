"""Writing files: the old one or the new one, never half of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beetsplug.artifactnet.errors import ConfigError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is either the old one or the new one, whatever interrupts it.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Name the file where one cannot be written.

    Raises:
        ConfigError: In place of an :class:`OSError`.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{error.filename or path} cannot be written: {error.strerror}"
        ) from error
