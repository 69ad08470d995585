"""Opening a model's files: regular ones of bounded size, and nothing else."""

from __future__ import annotations

import hashlib
import shutil
import stat
from pathlib import Path

from beetsplug.artifactnet.errors import ModelError

MAX_CARD_BYTES = 8 << 20
MAX_FILE_BYTES = 2 << 30
"""The most that protobuf allows an ONNX graph; external data may take as much."""


def check_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> int:
    """Return a file's size in bytes, without opening it.

    A pipe or a device might block for ever, or never end. Links are followed.

    Raises:
        ModelError: It is missing, no regular file, or too large.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        # A path that holds a zero byte is a ValueError.
        raise ModelError(f"{path}: {getattr(error, 'strerror', error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ModelError(f"{path} is no regular file")
    if found.st_size > max_bytes:
        raise ModelError(f"{path} is larger than {max_bytes >> 20:,} MiB, the most allowed")
    return found.st_size


def read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return a file's content.

    Raises:
        ModelError: As :func:`check_file`, or it cannot be read.
    """
    check_file(path, max_bytes)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in 64 hex digits.

    Raises:
        ModelError: As :func:`read_file`.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; a link to one becomes the file itself.

    Raises:
        ModelError: As :func:`check_file`.
        OSError: It cannot be read, or the copy not be written.
    """
    check_file(source)
    shutil.copyfile(source, target)
