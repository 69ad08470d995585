"""What the commands share: lines that are safe to print, progress, exit status."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from beets import ui
from beets.dbcore.db import DBAccessError
from beets.exceptions import UserError
from beets.library import Album, Item
from beets.util.color import ColorName, colorize

from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.errors import ArtifactNetError
from beetsplug.artifactnet.library import Field, Reason, own
from beetsplug.artifactnet.results import TrackResult, Verdict
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beets.logging import BeetsLogger
    from tqdm import tqdm

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
        _replace_closed_streams()
        with interrupts.heard():
            try:
                run(*args, **kwargs)
            except UserError as error:
                raise UserError(printable(str(error))) from error
            except ArtifactNetError as error:
                raise UserError(f"artifactnet: {printable(str(error))}") from error
            except (DBAccessError, sqlite3.Error) as error:
                raise UserError(f"artifactnet: the library: {printable(str(error))}") from error
            except BrokenPipeError:
                # Who reads has enough, as `head` does: beets ends without a word.
                raise
            except (OSError, ImportError, MemoryError, RuntimeError) as error:
                _end_in_one_line(error)
            except KeyboardInterrupt as error:
                sys.exit(getattr(error, "exit_status", INTERRUPTED))

    return guarded_run


def _end_in_one_line(error: Exception) -> NoReturn:
    """End a command whose own process met trouble of the machine.

    Raises:
        UserError: It did.
        SystemExit: It was interrupted.
        Exception: The error itself, where it is none of these.
    """
    from beetsplug.artifactnet.workers import trouble_of

    if isinstance(error.__cause__, KeyboardInterrupt):
        # Ctrl-C while a module written in C was being loaded.
        sys.exit(INTERRUPTED)
    # Of other errors of the system, one is that standard output lies on a full disk.
    trouble = error if isinstance(error, OSError) else trouble_of(error)
    if trouble is None:
        raise error
    raise UserError(f"artifactnet: {printable(str(trouble))}") from error


def _replace_closed_streams() -> None:
    """Where the caller has closed an output, what is printed goes nowhere (``>&-``).

    An input that is closed (``<&-``) has ended.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            flags = os.O_RDONLY if mode == "r" else os.O_WRONLY
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


def say(text: str) -> None:
    """Print a line for the user, whatever it holds."""
    ui.print_(printable(text))


def confirm(question: str, otherwise: str, unchanged: str = "nothing was changed") -> None:
    """Go on if the user says yes.

    Args:
        question: To be answered with yes or no.
        otherwise: What to do where nobody can be asked.
        unchanged: What is said after a no.

    Raises:
        UserError: The user says no, or cannot be asked.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(f"artifactnet: there is no terminal to ask on: {otherwise}")
    if not ui.input_yn(printable(question), require=True):
        raise UserError(f"artifactnet: {unchanged}")


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


def none_scored(n_files: int) -> str:
    """Return what is said where not one file could be scored."""
    if n_files == 1:
        return "the file could not be scored"
    return f"none of {n_files} files could be scored"


def duration(seconds: float) -> str:
    """Return a time as ``M:SS`` or ``H:MM:SS``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def title(item: Item) -> str:
    """Return how beets lists an item; one without a title is shown by its file's name."""
    shown = item
    if not item.title:
        shown = item.copy()
        shown.title = item.filepath.name
    return printable(format(shown))


def album_title(album: Album, item: Item) -> str:
    """Return artist and album; one without a name is shown by the folder of its tracks."""
    if not album.album:
        return printable(item.filepath.parent.name)
    return printable(f"{album.albumartist or item.artist} - {album.album}")


_COLORS: dict[str, ColorName] = {
    Verdict.AI.value: "text_error",
    Verdict.UNSURE.value: "text_warning",
    Verdict.REAL.value: "text_success",
}


def colored(verdict: str, text: str) -> str:
    """Return a text in the colour of a verdict, plain where the output is no terminal."""
    color = _COLORS.get(verdict) if sys.stdout.isatty() else None
    return text if color is None else colorize(color, text)


def verdict_line(item: Item) -> str:
    """Return a track's line: verdict and score, if it has them, and what it is."""
    verdict, score = own(item, Field.VERDICT), own(item, Field.SCORE)
    is_declared = own(item, Field.REASON) == Reason.DECLARED.value
    claims = f"  (declared by {own(item, Field.PROVENANCE)})" if is_declared else ""
    return f"{verdict_words(verdict or '-', score)}  {title(item)}{printable(claims)}"


def verdict_words(verdict: object, score: object) -> str:
    """Return verdict and score in columns: ``unsure 0.4213``."""
    number = f"{score:.4f}" if isinstance(score, float) else " " * 6
    return f"{colored(str(verdict), f'{verdict!s:<6}')} {number}"


@dataclass
class Failures:
    """What could not be scored, grouped by reason."""

    _groups: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: Path, result: TrackResult) -> None:
        """Note a file that could not be scored."""
        # The numbers of a reason differ from file to file.
        reason = f"{result.outcome.value}: {re.sub(r'[0-9.]+', '#', result.detail)}"
        group = self._groups.setdefault(reason, [f"{path}: {result.detail}"])
        group.append(str(path))

    def lines(self) -> list[str]:
        """Return a line a reason, the most frequent first: how many, and an example."""
        groups = sorted(self._groups.values(), key=len, reverse=True)
        return [
            f"not scored: {printable(example)}"
            + (f", and {count_of(len(paths) - 1, 'other')} like it" if len(paths) > 1 else "")
            for example, *paths in groups
        ]


class Progress:
    """A bar on a terminal; elsewhere a line a minute, for who asked for more by ``-v``.

    Args:
        n_total: Number of tracks.
        quiet: Whether nothing at all is shown.
        log: Where the line a minute goes; None for nowhere.
        verb: What is done, in front of the bar.
    """

    _EVERY_S = 60.0

    def __init__(
        self,
        n_total: int,
        *,
        quiet: bool,
        log: BeetsLogger | None = None,
        verb: str = "scoring",
    ) -> None:
        self.n_total, self._log = n_total, log
        self._started = self._logged = time.monotonic()
        self._bar = None if quiet or not sys.stderr.isatty() else _bar(n_total, verb)

    def show(self, n_done: int, note: str = "") -> None:
        """Show how far a run is, and a note of a few words."""
        if self._bar is not None:
            self._bar.total = self.n_total
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(n_done - self._bar.n)
        elif self._log is not None and time.monotonic() - self._logged >= self._EVERY_S:
            self._logged = time.monotonic()
            self._log.debug("{}", self._line(n_done, note))

    def _line(self, n_done: int, note: str) -> str:
        rate = n_done / max(time.monotonic() - self._started, 1e-9)
        left = duration((self.n_total - n_done) / rate) if n_done else "unknown"
        return f"{n_done} of {self.n_total} tracks, {left} left" + (note and f", {note}")

    @contextmanager
    def above(self) -> Iterator[None]:
        """Print lines within the block: the bar makes room for them."""
        if self._bar is None:
            yield
            return
        self._bar.clear()
        try:
            yield
        finally:
            sys.stdout.flush()
            self._bar.refresh()

    def clear(self) -> None:
        """Take the bar away for good."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _bar(n_total: int, verb: str) -> tqdm[NoReturn]:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        @property
        def format_dict(self) -> dict[str, Any]:
            values: dict[str, Any] = super().format_dict
            n_done, elapsed_s = values["n"], values["elapsed"]
            return {**values, "speed": speed(values["rate"] or n_done / (elapsed_s or 1.0))}

    # A terminal that does not know its width is taken for one of 80 columns.
    has_width = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    # Its thread would wake up a bar that stands still. None is needed, and none must be
    # left when Python exits.
    Bar.monitor_interval = 0
    return Bar(
        total=n_total,
        desc=verb,
        file=sys.stderr,
        dynamic_ncols=has_width,
        ncols=None if has_width else 80,
        leave=False,
        smoothing=0.05,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
        "[{remaining} left, {speed}{postfix}]",
    )


def speed(tracks_per_s: float) -> str:
    """Return a speed as it reads best: ``2.5 tracks/s``, or ``4.0 s/track`` below one."""
    if tracks_per_s <= 0:
        return "? tracks/s"
    is_slow = tracks_per_s < 1
    return f"{1 / tracks_per_s:.1f} s/track" if is_slow else f"{tracks_per_s:.1f} tracks/s"
