"""Why a worker lost a file: the file's own fault, or trouble of the machine."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import Enum

from beetsplug.artifactnet.memory import ExcessiveMemoryError

_REASON_CHARS = 200
_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""Errors of resources that other workers may have used up: fewer workers may do."""
_ACCESS_NAMES = """
    EIO ESTALE EACCES EPERM ENODEV ENXIO ENOTCONN ETIMEDOUT EHOSTDOWN EHOSTUNREACH ENETDOWN
    ENETUNREACH ENETRESET ECONNREFUSED ECONNABORTED ECONNRESET ENOLCK EBUSY ENOSPC EREMOTEIO
    ENOMEDIUM ENOLINK ECOMM EPROTO ESHUTDOWN
"""
_ACCESS = frozenset(
    getattr(errno, name) for name in _ACCESS_NAMES.split() if hasattr(errno, name)
)
"""Errors that come from a disk, a network or a permission."""


class Loss(Enum):
    """Why there is no result."""

    CRASH = "crash"
    """The worker's own code ended it; the item is to blame if that happens twice."""
    EXCESS = "excess"
    """It asked for an absurd amount of memory; to blame if that happens twice."""
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
    """Return what an exception says of the machine or its memory, None for nothing.

    Args:
        error: Anything that was raised while a file was read or scored.
    """
    if isinstance(error, ExcessiveMemoryError):
        return Lost("asks for more memory than any audio takes", Loss.EXCESS)
    if isinstance(error, OSError):
        return _trouble_of_system(error)
    scarcity = _scarcity(error)
    return None if scarcity is None else Lost(scarcity, Loss.SCARCITY)


def _scarcity(error: BaseException) -> str | None:
    """Return what there was too little of, in a few words."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "no more threads"
    if isinstance(error, ImportError):
        # Its file cannot be mapped, as where memory is short, or is not there.
        return f"a library cannot be loaded: {_first_line(error)}"
    return None


def _trouble_of_system(error: OSError) -> Lost | None:
    if error.errno in _RESOURCES:
        return Lost(_words(error), Loss.SCARCITY)
    if error.errno in _ACCESS:
        return Lost(_words(error), Loss.ACCESS)
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:_REASON_CHARS]


def _words(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)
