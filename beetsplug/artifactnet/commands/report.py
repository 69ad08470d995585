"""``beet aireport``: a page one can look at, and the same tracks as CSV and JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from optparse import Values
from pathlib import Path
from typing import Any

from beets import ui
from beets.dbcore.query import InvalidQueryArgumentValueError, Period
from beets.exceptions import UserError
from beets.library import Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.options import (
    HelpfulParser,
    add_flags,
    add_threads,
    check_threads,
    command,
    path_of,
)
from beetsplug.artifactnet.commands.output import JSON_FIELDS
from beetsplug.artifactnet.commands.paths import find_tracks
from beetsplug.artifactnet.commands.terminal import printable
from beetsplug.artifactnet.engine import Engine, make_engine
from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.library import Names, Row
from beetsplug.artifactnet.library.explanation import timeline
from beetsplug.artifactnet.report.tracks import COLUMNS, CSV_START, JSON_START, Track
from beetsplug.artifactnet.results import ReleaseTags
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.words import count_of
from beetsplug.artifactnet.writing import unwritable, write_whole

_DEFAULT_FILE = "aireport.html"
_STDOUT = "-"
_FORMATS = ("html", "csv", "json")
_EXAMPLES = """\
Examples:
  beet aireport                              the whole library, in aireport.html
  beet aireport --since 2026-11-01           what has changed since
  beet aireport --embed -o for-you.html ai_verdict:=ai   to hand over, clips included
  beet aireport --format csv -o tracks.csv   for a spreadsheet
"""


def aireport_command(settings: Callable[[], Settings]) -> ui.Subcommand:
    """Return the command; ``settings`` reads the options as they are when it runs."""

    def run(lib: Library, opts: Values, args: list[str]) -> None:
        _check_options(opts)
        _run(lib, opts, args, make_engine(settings()))

    return command("aireport", "a page of scores, evidence and sound", _parser(), run)


def _parser() -> HelpfulParser:
    parser = HelpfulParser(
        usage="%prog [options] [QUERY...]",
        description="Write a page of the library's tracks: verdicts, what speaks for them, "
        "and the places to listen to. It is one file, opened without a server.",
        epilog=_EXAMPLES,
    )
    parser.add_album_option()
    parser.add_option(
        "--format",
        choices=_FORMATS,
        default="html",
        help=f"{', '.join(_FORMATS)}; default: html. CSV and JSON have the same tracks",
    )
    parser.add_option(
        "-o",
        "--output",
        metavar="FILE",
        help=f"where it goes, {_STDOUT} for standard output; default: {_DEFAULT_FILE}, "
        f"CSV and JSON to standard output",
    )
    parser.add_option("--since", metavar="DATE", help="also show what has changed since")
    add_threads(parser)
    add_flags(
        parser,
        ("--embed", "put ten seconds of each suspect into the page"),
        ("--pictures", "draw each suspect's spectrum, for which it is decoded again"),
        ("--overwrite", "replace FILE also where it is no report"),
        ("-q", "--quiet", "print nothing but errors"),
    )
    return parser


def _check_options(opts: Values) -> None:
    check_threads(opts)
    of_pages = {"--since": opts.since, "--embed": opts.embed, "--pictures": opts.pictures}
    for name, value in of_pages.items():
        if value and opts.format != "html":
            raise ConfigError(f"{name} goes with a page, not with --format {opts.format}")


def _run(lib: Library, opts: Values, args: Sequence[str], engine: Engine) -> None:
    since = None if opts.since is None else _seconds_of(opts.since)
    path = _output_path(opts)
    ids = find_tracks(lib, args, album=opts.album)
    if not ids:
        raise UserError("artifactnet: the library has no tracks")
    tracks, codecs = _read_tracks(lib, ids, engine)
    if opts.format == "html":
        from beetsplug.artifactnet.commands.report_page import Page

        text = Page(lib, engine, opts).of(tracks, codecs, " ".join(args), since)
    else:
        from beetsplug.artifactnet.report.tracks import as_csv, as_json

        text = as_csv(tracks) if opts.format == "csv" else as_json(tracks)
    # A file's name may hold bytes that are no text.
    data = text.encode("utf-8", "surrogateescape")
    if path is None:
        _print(data)
        return
    with unwritable(path):
        write_whole(path, data)
    if not opts.quiet:
        ui.print_(_summary(path, tracks))


def _print(data: bytes) -> None:
    """Print what a file would hold: beets would replace what the terminal does not know."""
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        sys.stdout.write(data.decode("utf-8", "replace"))


def _summary(path: Path, tracks: Sequence[Track]) -> str:
    counts = (f"{sum(t.verdict == word for t in tracks)} {word}" for word in ("ai", "unsure"))
    n_unscored = sum(track.verdict is None for track in tracks)
    rest = f", {n_unscored} not scored (beet ai)" if n_unscored else ""
    told = f"{count_of(len(tracks), 'track')}, {', '.join(counts)}{rest}"
    return f"report: {printable(str(path))} ({told})"


def _seconds_of(text: str) -> float:
    """Return when a date begins, in beets' own notation: ``2026-11``, ``-2w``."""
    # beets counts back to before the first year with an OverflowError.
    with suppress(InvalidQueryArgumentValueError, OverflowError, ValueError):
        period = Period.parse(text)
        if period is not None:
            return period.date.timestamp()
    raise ConfigError(
        f"--since is {text!r}, it must be a date: 2026-11-28, 2026-11, or -2w for two weeks ago"
    )


# Where it goes.


def _output_path(opts: Values) -> Path | None:
    """Return the file to write, None for standard output."""
    if opts.output == _STDOUT or (opts.output is None and opts.format != "html"):
        return None
    # A link stays one; what it leads to is written.
    path = Path(os.path.realpath(path_of(opts.output or _DEFAULT_FILE)))
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file with --output")
    if path.exists() and not path.is_file():
        raise ConfigError(
            f"{path} is no file; name one with --output, or {_STDOUT} for standard output"
        )
    if path.exists() and not opts.overwrite and not _is_report(path, opts.format):
        raise ConfigError(
            f"{path} is there and is no report: name another file with --output, or replace "
            f"it with --overwrite"
        )
    return path


def _is_report(path: Path, kind: str) -> bool:
    """Tell whether this command wrote a file; an empty one nobody misses."""
    from beetsplug.artifactnet.report.html import GENERATOR

    with unwritable(path), path.open("rb") as file:
        start = file.read(1_000).decode("utf-8", "replace")
    if kind == "html":
        return not start or f'content="{GENERATOR}"' in start
    return not start or start.startswith(CSV_START if kind == "csv" else JSON_START)


# What the library knows.


def _read_tracks(
    lib: Library, ids: Sequence[int], engine: Engine
) -> tuple[list[Track], dict[int, str]]:
    """Return tracks in the order of ``ids``, and what their files are encoded as, by id."""
    judge = engine.judge
    names, releases = library.read_names(lib, ids), library.read_releases(lib, ids)
    rows = {row.id: row for row in library.read_rows(lib, ids)}
    known = [item_id for item_id in ids if item_id in rows and item_id in names]
    tracks = [
        _track(
            rows[item_id],
            names[item_id],
            library.explain(rows[item_id], judge, releases.get(item_id, ReleaseTags())),
        )
        for item_id in known
    ]
    return tracks, {item_id: names[item_id].codec for item_id in known}


def _track(row: Row, names: Names, explanation: library.Explanation) -> Track:
    values: dict[str, Any] = {
        key: row.get(name) for key, name in JSON_FIELDS.items() if key in COLUMNS
    }
    return Track(
        path=row.file,
        id=row.id,
        title=names.title,
        artist=names.artist,
        album=names.album,
        length=names.length_s or None,
        timeline=timeline(row),
        explanation=explanation.sentences,
        **values,
    )
