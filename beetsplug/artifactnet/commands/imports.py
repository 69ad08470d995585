"""Scoring at import: what is scored, and what is said of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import beets
from beets import ui
from beets.dbcore.query import ParsingError
from beets.exceptions import UserError
from beets.library import Item, parse_query_string

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.declarations import declaration_line
from beetsplug.artifactnet.commands.output import Counts
from beetsplug.artifactnet.commands.terminal import (
    Failures,
    album_title,
    printable,
    title,
    verdict_line,
)
from beetsplug.artifactnet.engine import Engine, make_engine
from beetsplug.artifactnet.errors import ArtifactNetError, ConfigError
from beetsplug.artifactnet.library import Field, Reason, State
from beetsplug.artifactnet.results import Outcome, Thresholds, TrackResult, Verdict
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.stamp import Change, change_since
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beets.importer import ImportTask
    from beets.library import Library
    from beets.logging import BeetsLogger


def ignore_query(settings: Settings) -> Any:
    """Return the query of ``auto_ignore``, None where there is none.

    Raises:
        ConfigError: It is no query.
    """
    if not settings.auto_ignore.strip():
        return None
    try:
        return parse_query_string(settings.auto_ignore, Item)[0]
    except (ParsingError, ValueError) as error:
        raise ConfigError(f"artifactnet.auto_ignore: {error}") from error


def _last_line(total: Counts) -> str:
    """Return the line at the end of a quiet import, empty where there is nothing to say."""
    n_tracks = total.n_scored + total.n_failed
    if not n_tracks:
        tracks = count_of(total.n_declared, "track")
        return f"{tracks} declared as generated, none scored" if total.n_declared else ""
    is_plain = not (total.n_ai or total.n_unsure or total.n_failed or total.n_declared)
    told = f"{count_of(n_tracks, 'track')} imported: {total.n_scored} scored, {total}"
    return "" if is_plain else told


@dataclass
class ImportScoring:
    """Scores one import's tracks, album after album, and never stands in its way."""

    settings: Callable[[], Settings]
    log: BeetsLogger
    told: set[bytes] = field(default_factory=set)
    """Paths of the tracks whose verdict the user has been shown already."""
    is_broken: bool = False
    """Whether nothing more is scored in this import."""
    early: dict[bytes, TrackResult] = field(default_factory=dict)
    """Path -> result, of the files that were scored before the choice of their tags."""
    _is_prepared: bool = False
    _total: Counts = field(default_factory=Counts)
    _failures: Failures = field(default_factory=Failures)
    _flagged: dict[int, None] = field(default_factory=dict)
    """Ids, in order, each once: a declared track may be scored as well."""
    _workers: threading.Lock = field(default_factory=threading.Lock)
    """Held while files are scored: an import does so before the choice and after it."""

    def prepare(self, task: ImportTask) -> None:
        """Let workers open the model while the user is asked about the first items."""
        if self._is_prepared or not task.items or beets.config["import"]["pretend"].get(bool):
            return
        self._is_prepared = True
        try:
            settings = self.settings()
            if settings.auto:
                make_engine(settings).prepare(len(task.items))
        except ArtifactNetError as error:
            # It is told of when there is something to score.
            self.log.debug("not prepared: {}", printable(str(error)))

    def score(self, task: ImportTask) -> None:
        """Score the items of an import task.

        An exception here would end the whole import and leave its files unmoved.
        """
        with self.survives():
            settings = self.settings()
            counts = Counts(n_declared=self._follow_declarations(task, settings))
            self._total.n_declared += counts.n_declared
            if settings.auto and not self.is_broken:
                self._score_task(task, settings, counts)
        with self.survives():
            if task.is_album:
                library.take_back_album_values(task.album)
                # Tracks that were scored before may have come to a new album.
                library.update_album(task.album)

    @contextmanager
    def survives(self) -> Iterator[None]:
        """Say what goes wrong within the block, a broken setup once; the import goes on."""
        try:
            yield
        except ArtifactNetError as error:
            if not self.is_broken:
                self.log.error(  # noqa: TRY400 - no traceback
                    "nothing is scored in this import: {}", printable(str(error))
                )
            self.is_broken = True
        except Exception as error:
            # Whatever it is, the import goes on.
            if _is_of_a_prompt(error):
                raise
            self.log.error("not scored: {!r}", error)  # noqa: TRY400

    def score_early(self, items: Iterable[Item]) -> None:
        """Score items before the choice of their tags; :meth:`score` stores the results."""
        with self.survives():
            settings = self.settings()
            if not settings.auto or self.is_broken:
                return
            engine = make_engine(settings)
            due = self._due(items, settings, engine)
            for item, result in self._results(due, engine):
                self.early[item.path] = result

    def judge(self) -> library.Judge:
        """Return what decides in this import: scores and declarations, or these alone.

        Raises:
            ArtifactNetError: The setup is broken.
        """
        settings = self.settings()
        return make_engine(settings).judge if settings.auto else _declared_judge(settings)

    def _follow_declarations(self, task: ImportTask, settings: Settings) -> int:
        """Let declarations decide, whether or not the items are scored, and tell of them.

        Returns:
            How many items declare themselves generated.
        """
        judge = _declared_judge(settings)
        declared = [item for item in task.imported_items() if library.is_declared(item)]
        for item in declared:
            if library.redecide(item, judge):
                library.store(item)
            if not _is_quiet(settings) and item.path not in self.told:
                self.log.warning("{}", declaration_line(item))
            if library.own(item, Field.VERDICT) == Verdict.AI.value:
                self._flagged[int(item.id or 0)] = None
        return len(declared)

    def _score_task(self, task: ImportTask, settings: Settings, counts: Counts) -> None:
        engine = make_engine(settings)
        items = self._due(task.imported_items(), settings, engine)
        albums = library.AlbumSummaries(task.album.db) if task.is_album else None
        for item, result in self._results(items, engine):
            library.store_result(item, result, engine.judge, albums)
            self.early.pop(item.path, None)
            self._count(item, result, settings, counts)
        is_told = task.is_album and not _is_quiet(settings)
        # Of an import that was aborted there may be none.
        if is_told and counts.n_scored + counts.n_failed:
            name = album_title(task.album, items[0])
            self.log.warning("{}: {} scored, {}", name, counts.n_scored, counts)

    def _results(
        self, items: Iterable[Item], engine: Engine
    ) -> Iterator[tuple[Item, TrackResult]]:
        """Yield items and their results; what was scored early is not scored again."""
        from beetsplug.artifactnet.workers import Cancelled

        rest = []
        for item in items:
            result = self.early.get(item.path)
            if result is not None and _is_of_the_same_audio(result):
                yield item, result
            else:
                rest.append(item)
        if not rest:
            return
        paths = [library.item_path(item) for item in rest]
        with self._workers, closing(engine.score(paths, None, import_was_aborted)) as results:
            try:
                for place, result in results:
                    yield rest[place], result
            except Cancelled:
                self.log.debug("import aborted, scoring stopped")

    def _due(self, items: Iterable[Item], settings: Settings, engine: Engine) -> list[Item]:
        """Return those of the items that need a score and are not exempt."""
        exempt = ignore_query(settings)
        return [
            item
            for item in items
            if (settings.force or library.state(item, engine.judge.model) is not State.FRESH)
            and not (exempt is not None and exempt.match(item))
        ]

    def _count(
        self, item: Item, result: TrackResult, settings: Settings, counts: Counts
    ) -> None:
        """Count a result; warn of a failure, name what is flagged."""
        verdict = library.own(item, Field.VERDICT)
        for each in (counts, self._total):
            each.count(result, item)
        if result.outcome is not Outcome.SCORED:
            self._failures.add(item.filepath, result)
            if not _is_quiet(settings):
                path = printable(str(item.filepath))
                self.log.warning("not scored: {}: {}", path, printable(result.detail))
        elif verdict != Verdict.REAL.value:
            self._flagged[int(item.id or 0)] = None
            # A declaration was told of before.
            is_told = library.own(item, Field.REASON) == Reason.DECLARED.value
            if not is_told and item.path not in self.told and not _is_quiet(settings):
                score = library.own(item, Field.SCORE)
                self.log.warning("{} {:.4f} {}", verdict, score, title(item))

    def finish(self, lib: Library) -> None:
        """Say at the end of a quiet import what there was, and begin anew."""
        total, failures, flagged = self._total, self._failures, self._flagged
        self.is_broken = self._is_prepared = False
        self.early, self.told = {}, set()
        self._total, self._failures, self._flagged = Counts(), Failures(), {}
        try:
            is_silent = self.settings().quiet
        except ArtifactNetError:
            return
        if is_silent or not beets.config["import"]["quiet"].get(bool):
            return
        for item_id in flagged:
            item = lib.get_item(item_id)
            if item is not None:
                ui.print_(verdict_line(item))
        for line in failures.lines():
            ui.print_(line)
        if line := _last_line(total):
            ui.print_(line)


def _declared_judge(settings: Settings) -> library.Judge:
    """Return what decides where there is no score."""
    return library.Judge("", Thresholds(ai=1.0, unsure=1.0), settings.declared)


def _is_of_a_prompt(error: Exception) -> bool:
    """Tell whether the user ends the import at a prompt, or nobody is there to answer."""
    from beets.importer import ImportAbortError

    return isinstance(error, (ImportAbortError, UserError))


def _is_of_the_same_audio(result: TrackResult) -> bool:
    """Tell whether a file has not been replaced since; what hung has no stamp."""
    changes = (Change.NONE, Change.TAGS)
    return not result.stamp or change_since(str(result.path), result.stamp) in changes


def _is_quiet(settings: Settings) -> bool:
    return settings.quiet or beets.config["import"]["quiet"].get(bool)


def import_was_aborted() -> bool:
    """Tell whether beets has told this import stage's thread to end.

    beets joins a stage's thread on Ctrl-C, and waits for the stage to return.
    """
    return bool(getattr(threading.current_thread(), "abort_flag", False))
