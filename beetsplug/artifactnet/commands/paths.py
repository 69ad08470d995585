"""Files and folders that are named on the command line, in the library or not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from beets import ui
from beets.dbcore.query import PathQuery
from beets.exceptions import UserError
from beets.library import Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.descriptions import Beside, print_beside
from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.commands.output import Tally, json_line
from beetsplug.artifactnet.commands.terminal import (
    Progress,
    none_scored,
    printable,
    verdict_words,
)
from beetsplug.artifactnet.library import Field, Row
from beetsplug.artifactnet.suffixes import AUDIO_SUFFIXES
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beetsplug.artifactnet.commands.score import ScoreRun


def named_paths(args: Sequence[str]) -> list[Path]:
    """Return the paths that the arguments name, none where they are a query.

    An argument names a path where there is a file of this name, or a folder whose name is
    written with a separator (``./demo``): ``demo`` alone may be a word of a title.

    Raises:
        UserError: Some arguments are paths, and others are not.
    """
    paths = [path for arg in args if (path := _named_path(arg)) is not None]
    if paths and len(paths) < len(args):
        word = next(arg for arg in args if _named_path(arg) is None)
        raise UserError(
            f"artifactnet: paths and queries do not mix: {printable(word)} is no file or folder"
        )
    return paths


def _named_path(arg: str) -> Path | None:
    path = Path(arg).expanduser()
    has_separator = bool({os.sep, os.altsep} & set(arg)) or arg in {".", ".."}
    try:
        exists = path.is_file() or (has_separator and path.exists())
    except (OSError, ValueError):
        return None
    return path.absolute() if exists else None


def find_tracks(lib: Library, args: Sequence[str], *, album: bool, hint: str = "") -> list[int]:
    """Return the ids of the tracks that a query finds.

    Args:
        lib: The library.
        args: Words of the query; without any every track is found.
        album: Whether it is one for albums.
        hint: What is said beside that nothing matches.

    Raises:
        UserError: Nothing matches.
    """
    ids = library.find_ids(lib, args, album=album)
    if not ids and args:
        noun, words = ("album" if album else "track"), printable(" ".join(args))
        raise UserError(f"artifactnet: no {noun} matches {words}{hint}")
    return ids


def hint(args: Iterable[str]) -> str:
    """Return what may have been meant by arguments that find nothing, empty for nothing."""
    # Not by Path: it raises for what is too long to be a name.
    for arg in args:
        if not arg.endswith("/") and os.path.isdir(arg):  # noqa: PTH112
            return f"; for the folder write {printable(f'{arg}{os.sep}')}"
        if _is_meant_as_path(arg) and not os.path.lexists(arg):
            return f"; there is no file {printable(arg)}"
    return ""


def _is_meant_as_path(arg: str) -> bool:
    """Tell whether an argument reads like a path: ``./demo``, ``song.mp3``."""
    is_field = ":" in arg.partition("/")[0]
    return not is_field and ("/" in arg or os.path.splitext(arg)[1].lower() in AUDIO_SUFFIXES)  # noqa: PTH122


def score_paths(run: ScoreRun, paths: Sequence[Path]) -> None:
    """Score what the paths name and print it; store what is of the library's tracks.

    Raises:
        UserError: There is no audio, or none of it could be scored.
    """
    ids, strangers = tracks_and_strangers(run.lib, paths)
    if run.opts.write and not ids:
        raise UserError(
            f"artifactnet: --write is for tracks of the library, and "
            f"{printable(str(strangers[0]))} is none"
        )
    if run.opts.pretend:
        _pretend(run, ids, strangers)
        return
    if ids:
        _score_tracks(run, ids)
    if strangers:
        score_strangers(run, strangers, partial(_print_row, run))


def tracks_and_strangers(
    lib: Library, paths: Sequence[Path]
) -> tuple[dict[Path, int], list[Path]]:
    """Return what the paths name: the library's tracks, path -> id, and other files.

    Raises:
        UserError: There is no audio.
    """
    ids = _tracks_below(lib, paths)
    strangers = [path for path in _files(paths) if path not in ids]
    if not ids and not strangers:
        raise UserError(f"artifactnet: no audio in {printable(' '.join(map(str, paths)))}")
    return ids, strangers


def _tracks_below(lib: Library, paths: Iterable[Path]) -> dict[Path, int]:
    """Return the library's tracks at and below the paths: path -> id."""
    music_folder = Path(os.fsdecode(lib.directory))
    found: dict[Path, int] = {}
    for path in paths:
        if music_folder.is_relative_to(path):
            found.update(_tracks_in_rows(lib, path))
            continue
        for item in lib.items(PathQuery("path", os.fsencode(path))):
            found[library.item_path(item)] = int(item.id or 0)
    return found


def _tracks_in_rows(lib: Library, folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the library's tracks below its own folder, or below one that holds that.

    beets stores paths from its folder on, and its query for that very folder, or for one
    above it, finds none of them.
    """
    for row in library.read_rows(lib, library.find_ids(lib, [])):
        if row.filepath.is_relative_to(folder):
            yield row.filepath, row.id


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that the paths name, and the audio files below the folders."""
    seen = set()
    for path in paths:
        for file in _audio_below(path) if path.is_dir() else [path]:
            if file not in seen:
                seen.add(file)
                yield file


def _audio_below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in AUDIO_SUFFIXES:
                yield Path(place, name)


def _pretend(run: ScoreRun, ids: dict[Path, int], strangers: Sequence[Path]) -> None:
    if ids:
        run.score_ids(sorted(ids.values()), sorted(map(str, ids)))
    if strangers and run.opts.json:
        for path, beside in run.describer.of_files(strangers).items():
            ui.print_(json_line(Row(0, str(path), {}), beside.as_dict()))
    elif strangers:
        if not run.quiet:
            for path in strangers:
                ui.print_(printable(str(path)))
        ui.print_(f"{count_of(len(strangers), 'file')} outside the library would be scored")


def _score_tracks(run: ScoreRun, ids: dict[Path, int]) -> None:
    run.score_ids(sorted(ids.values()), sorted(map(str, ids)))
    rows = library.read_rows(run.lib, ids.values())
    if not run.is_silent:
        for row, beside in run.describer.of_rows(run.lib, rows):
            _print_row(run, row, beside)


def score_strangers(
    run: ScoreRun, paths: Sequence[Path], show: Callable[[Row, Beside], None]
) -> None:
    """Score files outside of the library, and store nothing.

    Raises:
        UserError: None of them could be scored.
    """
    run.engine.prepare(len(paths), run.opts.threads)
    # First, and all together: between the songs they would wait for one to be scored.
    beside = {} if run.is_silent else run.describer.of_files(paths)
    tally = Tally()
    progress = Progress(len(paths), quiet=run.quiet, log=run.log)
    results = run.engine.score(paths, run.opts.threads, interrupts.is_pending)
    try:
        with interrupts.deferred(), closing(results):
            progress.show(0)
            for _, result in results:
                row = Row(0, str(result.path), {})
                library.apply_result(row, result, run.engine.judge)
                tally.count(result, row)
                if not run.is_silent:
                    with progress.above():
                        show(row, beside[result.path])
                progress.show(tally.n_done, tally.note())
    except KeyboardInterrupt:
        progress.clear()
        _print_end(run, tally, "interrupted: ")
        raise
    finally:
        progress.clear()
    _print_end(run, tally)
    if tally.n_failed and not tally.n_scored:
        raise UserError(f"artifactnet: {none_scored(tally.n_failed)}")


def _print_end(run: ScoreRun, tally: Tally, word: str = "") -> None:
    for line in tally.failures.lines():
        run.log.warning("{}", line)
    if not run.opts.json:
        kept = "none stored or written" if run.opts.write else "none stored"
        ui.print_(f"{word}{tally.n_scored} scored, {kept}, {tally}{run.thresholds}")


def _print_row(run: ScoreRun, row: Row, beside: Beside) -> None:
    """Print a track as JSON, or as a line with further lines below it.

    The line is verdict, score, path, and what the file said of itself when it was read. It
    has no score where a declaration alone decides; a track that nothing decides has none.
    """
    if run.opts.json:
        ui.print_(json_line(row, beside.as_dict()))
    elif row.get(Field.VERDICT) is not None:
        claims = row.get(Field.PROVENANCE)
        words = verdict_words(row.get(Field.VERDICT), row.get(Field.SCORE))
        says = f"  says of itself: {printable(str(claims))}" if claims else ""
        ui.print_(f"{words}  {printable(str(row.filepath))}{says}")
        print_beside(beside)
