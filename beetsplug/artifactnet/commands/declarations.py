"""``beet artifactnet --declared-only`` and ``--forget-provenance``: tags read, none decoded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from beets import ui
from beets.exceptions import UserError
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.commands.terminal import (
    Progress,
    count_of,
    printable,
)
from beetsplug.artifactnet.engine import make_engine
from beetsplug.artifactnet.library import Field
from beetsplug.artifactnet.results import Claim
from beetsplug.artifactnet.settings import Settings


class Options(Protocol):
    """The command's options that count here."""

    album: bool
    forget_provenance: bool
    force: bool
    lists: str | None
    outdated: bool
    pretend: bool
    quiet: bool
    retry_failed: bool
    threads: int | None
    write: bool | None


def declaration_line(item: Item) -> str:
    """Return what import says of a track that declares itself generated."""
    verdict = library.own(item, Field.VERDICT) or "not judged"
    words = library.own(item, Field.PROVENANCE)
    return printable(f"{verdict}, declared by {words}: {item.filepath}")


def manifest_line(path: Path, *, keeps: bool) -> str:
    """Return what is said before tags go into a file that carries a C2PA manifest.

    Args:
        path: The file.
        keeps: Whether it is kept free of the plugin's tags.
    """
    if keeps:
        text = "no AI_ tags are written, it carries a C2PA manifest (keep_signed)"
    else:
        text = "writing tags spoils its C2PA manifest; what it said stays in ai_provenance"
    return printable(f"{path}: {text}")


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

    def __str__(self) -> str:
        per_minute = self.n_done * 60 / max(time.monotonic() - self.started, 1e-9)
        return (
            f"{count_of(self.n_read, 'file')} read, {self.n_declared} declared as generated, "
            f"{self.n_other} with weaker claims, {self.n_missing} missing or unreadable, "
            f"{per_minute:.0f} files per minute"
        )


def read_declarations(
    settings: Settings, lib: Library, opts: Options, query: Sequence[str]
) -> None:
    """Read what the files of the tracks that a query finds say of themselves, and store it.

    Raises:
        UserError: No item is given, or an option asks for scoring.
        ModelError: The configured model cannot be found.
    """
    if opts.force or opts.outdated or opts.retry_failed or opts.write or opts.lists:
        raise UserError(
            "artifactnet: reading declarations goes without scoring, writing and lists"
        )
    ids = library.patiently(lambda: library.find_ids(lib, query, album=opts.album))
    files = [(row.id, row.filepath) for row in library.read_rows(lib, ids)]
    if not files:
        noun, words = ("album" if opts.album else "track"), printable(" ".join(query))
        raise UserError(f"artifactnet: no {noun} matches {words}".rstrip())
    if opts.pretend:
        ui.print_(f"{count_of(len(files), 'file')} would be read")
        return
    _Run(settings, lib, opts).run(files)


class _Run:
    """One call of the command."""

    def __init__(self, settings: Settings, lib: Library, opts: Options) -> None:
        self.lib, self.opts, self.settings = lib, opts, settings
        self.engine = make_engine(self.settings)
        self.quiet = opts.quiet or self.settings.quiet

    def run(self, files: list[tuple[int, Path]]) -> None:
        from beetsplug.artifactnet.scoring.provenance.batches import read_files

        tally = _Tally()
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
                    self.take(files[place][0], claims, tally, progress)
                    progress.show(tally.n_done)
        except KeyboardInterrupt:
            progress.clear()
            ui.print_(f"interrupted: {tally}")
            raise
        progress.clear()
        ui.print_(str(tally))

    def take(
        self,
        item_id: int,
        claims: tuple[Claim, ...] | None,
        tally: _Tally,
        progress: Progress,
    ) -> None:
        """Store one file's claims and print its line where it has any."""
        if claims is None:
            tally.n_missing += 1
            return
        tally.n_read += 1
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
        declared = library.is_declared(item)
        tally.n_declared += declared
        tally.n_other += bool(claims) and not declared
        if claims and not self.quiet:
            with progress.above():
                ui.print_(_line(item))


def _line(item: Item) -> str:
    verdict = library.own(item, Field.VERDICT) or "-"
    words = library.own(item, Field.PROVENANCE)
    return printable(f"{verdict!s:<6} {words}  {format(item)}")
