"""What the commands share: lines that are safe to print, progress, exit status."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from beets import ui
from beets.dbcore.db import DBAccessError
from beets.exceptions import UserError

from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.errors import ArtifactNetError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell gives it."""

LINE_LIMIT = 2_000
"""The most characters of a line that the commands print."""

Run = Callable[..., None]


def guarded(run: Run) -> Run:
    """Return a command's function whose failures end it as a user expects.

    Our own errors become beets' one line. Ctrl-C and SIGTERM end with 130 and 143, where
    beets would end with status 0, as if all had been done.
    """

    @wraps(run)
    def guarded_run(*args: Any, **kwargs: Any) -> None:
        with interrupts.heard():
            try:
                run(*args, **kwargs)
            except UserError as error:
                raise UserError(printable(str(error))) from error
            except ArtifactNetError as error:
                raise UserError(f"artifactnet: {printable(str(error))}") from error
            except (DBAccessError, sqlite3.Error) as error:
                raise UserError(f"artifactnet: the library: {printable(str(error))}") from error
            except KeyboardInterrupt as error:
                sys.exit(getattr(error, "exit_status", INTERRUPTED))
            except ImportError as error:
                # Ctrl-C while a module written in C was being loaded.
                if not isinstance(error.__cause__, KeyboardInterrupt):
                    raise
                sys.exit(INTERRUPTED)

    return guarded_run


def say(text: str) -> None:
    """Print a line for the user, whatever it holds."""
    ui.print_(printable(text))


def printable(text: str, limit: int = LINE_LIMIT) -> str:
    """Return a text as one line that is safe to print: no file, tag or card steers a terminal.

    Args:
        text: Its control characters, line breaks included, are escaped.
        limit: The most characters; where there are more, the middle is left out, because
            a message often says at its end what to do.
    """
    kept = _shortened(text, limit)
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in kept
    )
    return _shortened(escaped, limit)


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def count_of(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 track``, ``2 tracks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Return a time as ``M:SS`` or ``H:MM:SS``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """A line that is written over, on a terminal alone."""

    _EVERY_S = 0.2

    def __init__(self, n_total: int, *, quiet: bool) -> None:
        self._n_total = n_total
        self._enabled = not quiet and sys.stdout.isatty() and sys.stderr.isatty()
        self._started = time.monotonic()
        self._shown_at = 0.0
        self._width = 0

    def show(self, n_done: int) -> None:
        """Write how far a run is, at most a few times a second."""
        now = time.monotonic()
        if not (self._enabled and n_done) or now - self._shown_at < self._EVERY_S:
            return
        self._shown_at = now
        self.clear()
        rate = n_done * 60 / max(now - self._started, 1e-9)
        left_s = (self._n_total - n_done) / rate * 60
        line = (
            f"{n_done}/{self._n_total} "
            f"[{n_done / self._n_total:.0%}] {rate:.0f} songs/min, ETA {duration(left_s)}"
        )
        self._width = len(line)
        sys.stderr.write(f"\r{line}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, before another is printed."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0
