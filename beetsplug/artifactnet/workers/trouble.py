"""What a worker did not come back with: the file's own fault, or trouble of the machine."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import Enum

_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""What another worker may have used up: fewer workers may do."""
_ACCESS_NAMES = """
    EIO ESTALE EACCES EPERM ENODEV ENXIO ENOTCONN ETIMEDOUT EHOSTDOWN EHOSTUNREACH ENETDOWN
    ENETUNREACH ENETRESET ECONNREFUSED ECONNABORTED ECONNRESET ENOLCK EBUSY ENOSPC EREMOTEIO
    ENOMEDIUM ENOLINK ECOMM EPROTO ESHUTDOWN
"""
_ACCESS = frozenset(
    getattr(errno, name) for name in _ACCESS_NAMES.split() if hasattr(errno, name)
)
"""What a disk, a network or a permission is the reason for."""


class Loss(Enum):
    """Why there is no result."""

    CRASH = "crash"
    """The worker's own code ended it; the file is to blame if that happens twice."""
    TIME = "time"
    """It took longer than it may."""
    SCARCITY = "scarcity"
    """Memory, file handles or processes ran out: fewer workers may do."""
    ACCESS = "access"
    """A disk, a network or a permission stood in the way."""

    @property
    def is_trouble(self) -> bool:
        """Whether the machine is to blame, and not the file."""
        return self in (Loss.SCARCITY, Loss.ACCESS)


@dataclass(frozen=True)
class Lost:
    """Stands in place of a result where there is none."""

    reason: str
    """In a few words; the operating system's where it has some."""
    kind: Loss

    def __str__(self) -> str:
        return self.reason


def trouble_of(error: BaseException) -> Lost | None:
    """Return what an exception says of the machine, None where it says nothing.

    Args:
        error: Anything that was raised while a file was read or scored.
    """
    if isinstance(error, MemoryError):
        return Lost("out of memory", Loss.SCARCITY)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return Lost("no more threads", Loss.SCARCITY)
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.errno in _RESOURCES:
        return Lost(_words(error), Loss.SCARCITY)
    if error.errno in _ACCESS:
        return Lost(_words(error), Loss.ACCESS)
    return None


def _words(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)
