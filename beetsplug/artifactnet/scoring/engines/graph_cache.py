"""onnxruntime's optimised form of a model, kept between runs.

Optimising takes most of the time in which a model is loaded. What comes of it depends on the
model, the version of onnxruntime and the processor; a file's name is made of all three. A file
is used only if it belongs to this user, if nobody else can write to it, and if its checksum is
right. Whatever goes wrong here, the model is loaded as if there were no cache.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_LAYOUT = "1"
"""Changes with the session's options and with the layout of a file."""
_SUFFIX, _UNFINISHED = ".optimised", ".unfinished"
_DIGEST_BYTES = hashlib.sha256().digest_size
_MAX_BYTES = 32 << 20
"""Of one file; larger models are not kept."""
_MAX_FILES = 4
_ABANDONED_AFTER_S = 3_600.0
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CPU_INFO = Path("/proc/cpuinfo")
_CPU_LINES = (
    b"vendor_id",
    b"model name",
    b"flags",
    b"Features",
    b"CPU implementer",
    b"CPU part",
)


class GraphCache:
    """Optimised models in a folder.

    Args:
        folder: Where they lie; it is made where the folder two levels above is there.
        graph_sha256: Of the model's own file, as its card names it.
        engine: Name and version of the engine.
    """

    def __init__(self, folder: Path, graph_sha256: str, engine: str) -> None:
        self._folder = folder
        parts = (_LAYOUT, graph_sha256, engine, _processor())
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
        self._file = folder / f"{key}{_SUFFIX}"

    def read(self) -> bytes | None:
        """Return the optimised model, None where there is none to be relied on."""
        try:
            if not _is_ours(os.lstat(self._folder), stat.S_ISDIR):
                return None
            descriptor = os.open(self._file, _READ_FLAGS)
            with os.fdopen(descriptor, "rb") as file:
                if not _is_ours(os.fstat(descriptor), stat.S_ISREG):
                    return None
                content = file.read(_DIGEST_BYTES + _MAX_BYTES + 1)
        except OSError:
            return None
        digest, graph = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if len(graph) > _MAX_BYTES or hashlib.sha256(graph).digest() != digest:
            return None
        return graph

    def new_file(self) -> Path | None:
        """Return an empty file for the engine to write to, None where there can be none."""
        try:
            self._make_folder()
            descriptor, name = tempfile.mkstemp(_UNFINISHED, dir=self._folder)
        except OSError:
            return None
        os.close(descriptor)
        return Path(name)

    def keep(self, written: Path) -> None:
        """Keep what the engine has written to a :meth:`new_file`, and drop the oldest."""
        with suppress(OSError):
            if 0 < written.stat().st_size <= _MAX_BYTES:
                graph = written.read_bytes()
                written.write_bytes(hashlib.sha256(graph).digest() + graph)
                written.replace(self._file)
        self.drop(written)
        with suppress(OSError):
            self._prune()

    def drop(self, written: Path) -> None:
        """Remove a :meth:`new_file`."""
        with suppress(OSError):
            written.unlink(missing_ok=True)

    def _make_folder(self) -> None:
        home = self._folder.parent.parent
        # Another user's, as with sudo: what is made there would stand in that user's way.
        if not _is_own(home.stat()):
            raise PermissionError
        for folder in (self._folder.parent, self._folder):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        if not _is_ours(os.lstat(self._folder), stat.S_ISDIR):
            raise PermissionError

    def _prune(self) -> None:
        """Remove the oldest files beyond those that may be, and what a crash left behind."""
        by_age = sorted(self._folder.glob(f"*{_SUFFIX}"), key=_changed_at, reverse=True)
        oldest = time.time() - _ABANDONED_AFTER_S
        unfinished = self._folder.glob(f"*{_UNFINISHED}")
        left = [path for path in unfinished if _changed_at(path) < oldest]
        for path in [*by_age[_MAX_FILES:], *left]:
            self.drop(path)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _is_ours(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Tell whether something is of a kind, this user's, and for nobody else to write to."""
    others = stat.S_IWGRP | stat.S_IWOTH if hasattr(os, "geteuid") else 0
    return is_kind(status.st_mode) and _is_own(status) and not status.st_mode & others


def _processor() -> str:
    """Return what tells this processor from those that need another optimised form."""
    try:
        with _CPU_INFO.open("rb") as file:
            # The first core's part; the kernel writes the others only if they are asked for.
            first = file.read(1 << 14).partition(b"\n\n")[0]
    except OSError:
        first = f"{os.environ.get('PROCESSOR_IDENTIFIER', '')} {platform.node()}".encode()
    lines = [line for line in first.splitlines() if line.startswith(_CPU_LINES)] or [first]
    return f"{platform.machine()} {b' '.join(lines).decode('ascii', 'replace')}"
