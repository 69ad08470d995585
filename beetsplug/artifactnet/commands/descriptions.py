"""What is shown beside a verdict: what files say of themselves, dates, and lists of artists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from beets import ui
from beets.exceptions import UserError

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.commands.options import path_of
from beetsplug.artifactnet.commands.terminal import printable
from beetsplug.artifactnet.library import Row
from beetsplug.artifactnet.results import ReleaseTags

if TYPE_CHECKING:
    from beets.library import Library

    from beetsplug.artifactnet.engine import Engine
    from beetsplug.artifactnet.scoring.provenance import ArtistList, Description, ListedArtist

T = TypeVar("T")

_INDENT = " " * 4
_AT_ONCE = 512


@dataclass(frozen=True)
class Beside:
    """What is shown beside one track's verdict; nothing of it decides."""

    description: Description | None
    """What the file says of itself; None where it could not be read."""
    release: ReleaseTags
    listed: ListedArtist | None = None
    source: str = ""
    """Whose list the artist is in."""

    def lines(self) -> Iterator[str]:
        """Yield lines for people, safe to print."""
        for line in self._texts():
            yield f"{_INDENT}{printable(line)}"

    def _texts(self) -> Iterator[str]:
        from beetsplug.artifactnet.scoring.provenance import describe_release

        if self.description is None:
            yield "what it says of itself cannot be read"
        else:
            yield from self.description.lines()
        if text := describe_release(self.release.original_year, self.release.year):
            yield text
        if self.listed is not None:
            yield self.listed.line(self.source)

    def as_dict(self) -> dict[str, Any]:
        """Return the same for JSON; missing values are None."""
        from beetsplug.artifactnet.scoring.provenance import early_year

        year = early_year(self.release.original_year, self.release.year)
        says = {"claims": None, "c2pa": None}
        if self.description is not None:
            says = self.description.as_dict()
        listed = None
        if self.listed is not None:
            listed = {
                "by": self.source,
                "name": self.listed.name,
                "disclosure": self.listed.disclosure or None,
            }
        release = {"year": year, "speaks_for": "human"} if year else None
        return {**says, "release": release, "listed": listed}


class Describer:
    """Finds what is shown beside verdicts; files are read in workers.

    Args:
        engine: Has the workers.
        threads: How many of them; None: as the option ``threads`` says.
        artists: A list to look artists up in.
    """

    def __init__(
        self, engine: Engine, threads: int | None, artists: ArtistList | None = None
    ) -> None:
        self._engine, self._threads, self._artists = engine, threads, artists

    def of_files(self, paths: Sequence[Path]) -> dict[Path, Beside]:
        """Return what is shown beside files outside of the library.

        Raises:
            MachineError: The machine is in trouble.
        """
        return {
            path: self._beside(found, found.release if found else ReleaseTags())
            for path, found in self._describe(paths)
        }

    def of_rows(self, lib: Library, rows: Iterable[Row]) -> Iterator[tuple[Row, Beside]]:
        """Yield tracks of the library, each with its description, some at a time.

        Dates and artists' ids are those of the library.

        Raises:
            MachineError: The machine is in trouble.
        """
        for some in parts(rows):
            releases = library.read_releases(lib, [row.id for row in some])
            found = dict(self._describe([row.filepath for row in some]))
            for row in some:
                release = releases.get(row.id, ReleaseTags())
                yield row, self._beside(found[row.filepath], release)

    def _describe(self, paths: Sequence[Path]) -> list[tuple[Path, Description | None]]:
        from beetsplug.artifactnet.scoring.provenance.batches import describe_files

        results = describe_files(
            paths,
            self._engine.workers(self._threads),
            time_limit_s=self._engine.settings.time_limit_s,
            is_cancelled=interrupts.is_pending,
        )
        with interrupts.deferred(), closing(results):
            return [(paths[place], description) for place, description in results]

    def _beside(self, description: Description | None, release: ReleaseTags) -> Beside:
        if self._artists is None:
            return Beside(description, release)
        listed = self._artists.find(release.artist_ids)
        return Beside(description, release, listed, self._artists.source)


def read_list(text: str | None) -> ArtistList | None:
    """Return the list of artists that the user names, None where none is named.

    Raises:
        ConfigError: The file cannot be read, or is no such list.
    """
    if text is None:
        return None
    from beetsplug.artifactnet.scoring.provenance import read_artists

    return read_artists(path_of(text))


def check_lists(opts: Values, paths: Sequence[Path], *, is_silent: bool) -> None:
    """Check that a list of artists has lines that it can add to.

    Args:
        opts: The command's options.
        paths: The files and folders that are named.
        is_silent: Whether no track has a line.

    Raises:
        UserError: It has none.
    """
    has_lines = paths and not opts.pretend and not is_silent
    if opts.lists is not None and not (opts.json or has_lines):
        raise UserError(
            "artifactnet: --lists goes with files and folders that are scored, or with --json"
        )


def print_beside(beside: Beside | None) -> None:
    """Print the description beside a verdict, each part on a line of its own."""
    for line in beside.lines() if beside else ():
        ui.print_(line)


def parts(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield values some hundred at a time."""
    part: list[T] = []
    for value in values:
        part.append(value)
        if len(part) == _AT_ONCE:
            yield part
            part = []
    if part:
        yield part
