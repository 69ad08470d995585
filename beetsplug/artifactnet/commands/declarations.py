"""``beet artifactnet --declared-only`` and ``--forget-provenance``: tags read, none decoded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING

from beets import ui
from beets.exceptions import UserError
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.descriptions import (
    Beside,
    Describer,
    check_lists,
    print_beside,
    read_list,
)
from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.commands.output import json_line
from beetsplug.artifactnet.commands.paths import find_tracks, named_paths, tracks_and_strangers
from beetsplug.artifactnet.commands.terminal import Progress, printable
from beetsplug.artifactnet.engine import make_engine
from beetsplug.artifactnet.library import Field, Row
from beetsplug.artifactnet.results import Claim
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beets.logging import BeetsLogger


def declaration_line(item: Item) -> str:
    """Return what import says of a track that declares itself generated."""
    verdict = library.own(item, Field.VERDICT) or "not judged"
    words = library.own(item, Field.PROVENANCE)
    return printable(f"{verdict}, declared by {words}: {item.filepath}")


def may_tag(item: Item, path: Path, log: BeetsLogger, *, keeps: bool) -> bool:
    """Tell whether our tags may go into a file; say what becomes of its C2PA manifest.

    Args:
        item: The track; without a score it has no tags of ours.
        path: The file.
        log: Where warnings go.
        keeps: Whether a file with a manifest is kept free of our tags.
    """
    if not library.score_tags(item) or not library.carries_manifest(item, path):
        return True
    text = "writing tags spoils its C2PA manifest; what it said stays in ai_provenance"
    if keeps:
        text = "no AI_ tags are written, it carries a C2PA manifest (keep_signed)"
    log.warning("{}", printable(f"{path}: {text}"))
    return not keeps


@dataclass
class _Tally:
    """What a run found."""

    started: float = field(default_factory=time.monotonic)
    n_read: int = 0
    n_missing: int = 0
    n_declared: int = 0
    n_other: int = 0
    """Files with weak claims and hints alone."""

    @property
    def n_done(self) -> int:
        return self.n_read + self.n_missing

    def count(self, item: Item | Row) -> None:
        """Count what a file says, where it says something."""
        declared = library.is_declared(item)
        self.n_declared += declared
        self.n_other += bool(library.claims(item)) and not declared

    def __str__(self) -> str:
        per_minute = self.n_done * 60 / max(time.monotonic() - self.started, 1e-9)
        return (
            f"{count_of(self.n_read, 'file')} read, {self.n_declared} declared as generated, "
            f"{self.n_other} with weaker claims, {self.n_missing} missing or unreadable, "
            f"{per_minute:.0f} files per minute"
        )


class DeclarationRun:
    """One call of the command that reads what files say of themselves."""

    def __init__(self, settings: Settings, lib: Library, opts: Values) -> None:
        self.lib, self.opts, self.settings = lib, opts, settings
        self.engine = make_engine(self.settings)
        self.quiet = opts.quiet or opts.json or self.settings.quiet
        self.describer = Describer(self.engine, opts.threads, read_list(opts.lists))
        self.tally = _Tally()

    def run(self, args: Sequence[str]) -> None:
        """Read the files that the arguments name, or those of the tracks that they find.

        What the library's tracks say is stored; other files are printed alone.

        Raises:
            UserError: There is no file, or nothing is stored that could be forgotten.
        """
        paths = [] if self.opts.album else named_paths(args)
        check_lists(self.opts, paths, is_silent=self.quiet and not self.opts.json)
        ids, strangers = self._find(args, paths)
        if self.opts.forget_provenance and strangers:
            raise UserError(
                f"artifactnet: --forget-provenance is for tracks of the library, and "
                f"{printable(str(strangers[0]))} is none"
            )
        if self.opts.pretend and not self.opts.json:
            ui.print_(f"{count_of(len(ids) + len(strangers), 'file')} would be read")
            return
        if ids and not self.opts.pretend:
            self._read_tracks([(row.id, row.filepath) for row in self._rows(ids)])
        self._print_strangers(strangers)
        if self.opts.json:
            for row, beside in self.describer.of_rows(self.lib, self._rows(ids)):
                ui.print_(json_line(row, beside.as_dict()))
        else:
            ui.print_(str(self.tally))

    def _rows(self, ids: Sequence[int]) -> Iterator[Row]:
        return library.rows_in_order(self.lib, ids)

    def _find(
        self, args: Sequence[str], paths: Sequence[Path]
    ) -> tuple[Sequence[int], Sequence[Path]]:
        if paths:
            tracks, strangers = tracks_and_strangers(self.lib, paths)
            return list(tracks.values()), strangers
        return find_tracks(self.lib, args, album=self.opts.album), []

    def _read_tracks(self, files: Sequence[tuple[int, Path]]) -> None:
        from beetsplug.artifactnet.scoring.provenance.batches import read_files

        progress = Progress(len(files), quiet=self.quiet)
        results = read_files(
            [path for _, path in files],
            self.engine.workers(self.opts.threads),
            time_limit_s=self.settings.time_limit_s,
            is_cancelled=interrupts.is_pending,
        )
        try:
            with interrupts.deferred(), closing(results):
                for place, claims in results:
                    self._take(files[place][0], claims, progress)
                    progress.show(self.tally.n_done)
        except KeyboardInterrupt:
            progress.clear()
            if not self.opts.json:
                ui.print_(f"interrupted: {self.tally}")
            raise
        progress.clear()

    def _take(self, item_id: int, claims: tuple[Claim, ...] | None, progress: Progress) -> None:
        """Store one file's claims and print its line where it has any."""
        if claims is None:
            self.tally.n_missing += 1
            return
        self.tally.n_read += 1
        if not claims and not self.opts.forget_provenance:
            return
        item = library.patiently(lambda: self.lib.get_item(item_id))
        if item is None:
            return
        if self.opts.forget_provenance:
            library.forget_claims(item)
        library.add_claims(item, claims)
        library.redecide(item, self.engine.judge)
        library.store(item)
        self.tally.count(item)
        if claims and not self.quiet:
            with progress.above():
                ui.print_(_line(item, format(item)))

    def _print_strangers(self, paths: Sequence[Path]) -> None:
        """Print what files outside of the library say of themselves."""
        for path, beside in self.describer.of_files(paths).items():
            row = Row(0, str(path), {})
            if beside.description is None:
                self.tally.n_missing += 1
            else:
                self.tally.n_read += 1
                library.add_claims(row, beside.description.claims)
                library.redecide(row, self.engine.judge)
                self.tally.count(row)
            self._print_stranger(row, beside)

    def _print_stranger(self, row: Row, beside: Beside) -> None:
        if self.opts.json:
            ui.print_(json_line(row, beside.as_dict()))
        elif not self.quiet and row.get(Field.PROVENANCE):
            ui.print_(_line(row, row.file))
            print_beside(beside)


def _line(item: Item | Row, name: str) -> str:
    verdict = library.own(item, Field.VERDICT) or "-"
    words = library.own(item, Field.PROVENANCE)
    return printable(f"{verdict!s:<6} {words}  {name}")
