"""What of a library's tracks is to be scored, and what else is to be done with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from beets.library import Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.library import Field, Judge, Row, State


@dataclass(frozen=True)
class Wanted:
    """What the user asks for."""

    force: bool = False
    outdated: bool = False
    retry_failed: bool = False
    write: bool = False
    """Whether tags are to be written of tracks that have a score already."""
    forced_since: float = float("inf")
    """When an interrupted run with ``force`` began: what it has scored is not due again.

    Without such a run infinity: everything is due.
    """

    def is_due(self, row: Row, state: State) -> bool:
        """Tell whether a track is to be scored."""
        if state is State.UNSCORED:
            return True
        if self.force:
            scored = row.get(Field.SCORED)
            return not (isinstance(scored, float) and scored >= self.forced_since)
        return (state is State.STALE and self.outdated) or (
            state is State.FAILED and self.retry_failed
        )


@dataclass
class Plan:
    """The tracks that a query found, told apart."""

    due: list[Row] = field(default_factory=list)
    """To be scored."""
    changed: list[Row] = field(default_factory=list)
    """Not to be scored, but different from their stored values."""
    to_write: list[int] = field(default_factory=list)
    """Ids of those whose tags are to be written."""
    old_verdicts: dict[int, str] = field(default_factory=dict)
    """Id -> verdict, of those that have another one by now."""
    n_scored: int = 0
    """Have a score and keep it, the outdated ones included."""
    n_stale: int = 0
    n_failed: int = 0

    @property
    def n_skipped(self) -> int:
        """How many are not scored in this run."""
        return self.n_scored + self.n_failed

    def add(self, rows: Iterable[Row], judge: Judge, wanted: Wanted) -> list[Row]:
        """Tell tracks apart; bring the others than the due up to date, in the rows alone.

        Returns:
            Those that are due.
        """
        due = []
        for row in rows:
            state, is_changed = library.examine(row, judge.model)
            if wanted.is_due(row, state):
                due.append(row)
                continue
            self.n_stale += state is State.STALE
            self.n_failed += state is State.FAILED
            self.n_scored += state is not State.FAILED
            if wanted.write and state is State.FRESH:
                self.to_write.append(row.id)
            self._update(row, judge, is_changed=is_changed)
        self.due.extend(due)
        return due

    def add_finished(self, ids: Collection[int], wanted: Wanted) -> None:
        """Count tracks of :func:`~.library.find_finished`, none of which is due."""
        self.n_scored += len(ids)
        if wanted.write:
            self.to_write.extend(sorted(ids))

    def _update(self, row: Row, judge: Judge, *, is_changed: bool) -> None:
        before = row.get(Field.VERDICT)
        if is_changed:
            library.restamp(row)
        if library.redecide(row, judge) or is_changed:
            self.changed.append(row)
        if isinstance(before, str) and row.get(Field.VERDICT) != before:
            self.old_verdicts[row.id] = before


def store_changes(lib: Library, plan: Plan) -> None:
    """Store what the plan changed."""
    albums = library.AlbumSummaries(lib)
    for row in plan.changed:
        library.store_row(lib, row, albums)
    albums.finish()
