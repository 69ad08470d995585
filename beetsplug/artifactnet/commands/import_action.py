"""The option ``import_action``: what an import does about flagged tracks before it takes them.

beets asks plugins before the choice of an album's tags, but neither of singletons nor with
``-A``. It ends the import where two plugins answer. So a task's own two methods that make the
choice are wrapped: they are called whatever the way of the import.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import beets
from beets import ui
from beets.dbcore.query import PathQuery
from beets.exceptions import UserError
from beets.importer import Action, ImportAbortError
from beets.util import displayable_path

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.evidence import evidence_lines, wrapped
from beetsplug.artifactnet.commands.imports import ImportScoring, import_was_aborted
from beetsplug.artifactnet.commands.terminal import printable, say, verdict_line
from beetsplug.artifactnet.errors import ArtifactNetError
from beetsplug.artifactnet.library import Field
from beetsplug.artifactnet.results import TrackResult, Verdict
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beets.importer import ImportSession, ImportTask
    from beets.library import Item, Library
    from beets.logging import BeetsLogger

_MAX_SHOWN = 5
"""Flagged tracks of an album that are shown with their evidence."""


class Answer(Enum):
    """What becomes of a flagged track."""

    IMPORT = "i"
    LEAVE = "s"
    """The whole album stays where it is."""
    LEAVE_FLAGGED = "f"
    """The flagged tracks of an album stay, the others are imported."""
    HUMAN = "h"
    """It is imported with the user's word that it is human-made."""


_ABORT = "b"


@dataclass
class _Suspect:
    """A track of a task, and what would be stored of it."""

    item: Item
    preview: Item
    result: TrackResult | None
    """None where a declaration decides without a score."""

    @property
    def verdict(self) -> object:
        return library.own(self.preview, Field.VERDICT)


@dataclass
class ImportAction:
    """Decides on the flagged tracks of one import, task after task."""

    scoring: ImportScoring
    settings: Callable[[], Settings]
    log: BeetsLogger
    _answers: dict[bytes, tuple[TrackResult | None, Answer]] = field(default_factory=dict)
    """Path -> the result that was shown and what was answered, for tasks made of its tracks."""

    def watch(self, session: ImportSession, task: ImportTask) -> None:
        """Have a new import task decided on before its tags are chosen.

        What the library has already is not: the user decided on it before.
        """
        if session.query is None and task.items and self._kind() != "report":
            _Watch(self, session, task).begin()

    def score_early(self, task: ImportTask) -> None:
        """Score a watched task's tracks while the user is asked about those before it."""
        watch = getattr(task, _WATCH, None)
        if watch is not None:
            with self.scoring.survives():
                self.scoring.score_early(watch.new_items())

    def forget(self) -> None:
        """Begin anew, with the next import."""
        self._answers = {}

    def left(self, task: ImportTask, items: Sequence[Item]) -> set[bytes]:
        """Decide on a task's tracks.

        Args:
            task: The task.
            items: Those of its tracks that are new to the library.

        Returns:
            Paths of the tracks that stay where they are.

        Raises:
            ImportAbortError: The user ends the import.
            UserError: There is nobody to ask.
        """
        self.scoring.score_early(items)
        if self.scoring.is_broken:
            return set()
        judge = self.scoring.judge()
        suspects = [_suspect(item, self.scoring.early.get(item.path), judge) for item in items]
        flagged = [one for one in suspects if one.verdict == Verdict.AI.value]
        if not flagged:
            return set()
        answer = self._answer(task, flagged, judge)
        for one in suspects:
            self._answers[one.item.path] = (one.result, answer)
        if answer is Answer.HUMAN:
            _mark_human(suspects, judge)
        if answer is Answer.LEAVE:
            return {item.path for item in task.items}
        return {one.item.path for one in flagged} if answer is Answer.LEAVE_FLAGGED else set()

    def _kind(self) -> str:
        """Return what is to be done; a broken section is told of when scoring begins."""
        try:
            kind = self.settings().import_action
        except ArtifactNetError:
            return "report"
        is_quiet = beets.config["import"]["quiet"].get(bool)
        return "report" if kind == "ask" and is_quiet else kind

    def _answer(
        self, task: ImportTask, flagged: Sequence[_Suspect], judge: library.Judge
    ) -> Answer:
        if self._kind() == "skip":
            self.log.warning("{}", _left_line(task, flagged))
            return Answer.LEAVE_FLAGGED
        before = set()
        for one in flagged:
            result, answer = self._answers.get(one.item.path, (None, None))
            before.add(answer if result is one.result else None)
        self.scoring.told.update(one.item.path for one in flagged)
        # Tracks of an album that the user has imported as tracks, or grouped otherwise.
        known = before.pop() if len(before) == 1 else None
        return known or _ask(task, flagged, judge)


def _suspect(item: Item, result: TrackResult | None, judge: library.Judge) -> _Suspect:
    preview = item.copy()
    if result is None:
        library.redecide(preview, judge)
    else:
        library.apply_result(preview, result, judge)
    return _Suspect(item, preview, result)


def _mark_human(suspects: Iterable[_Suspect], judge: library.Judge) -> None:
    """Put the user's word on the items themselves: they are stored when they are added."""
    marked = [one for one in suspects if one.verdict in _SUSPICIOUS]
    for one in marked:
        score = library.own(one.preview, Field.SCORE)
        told = f", score {score:.4f}" if isinstance(score, float) else ""
        library.put(one.item, Field.OVERRIDE, Verdict.REAL.value)
        library.put(one.item, Field.OVERRIDE_NOTE, f"decided at import{told}")
        library.redecide(one.item, judge)
    say(f"marked as human: {count_of(len(marked), 'track')}")


_SUSPICIOUS = (Verdict.AI.value, Verdict.UNSURE.value)


def _ask(task: ImportTask, flagged: Sequence[_Suspect], judge: library.Judge) -> Answer:
    """Show what is flagged and why, and ask what is to be done.

    Raises:
        ImportAbortError: The user ends the import.
        UserError: There is nobody to ask.
    """
    ui.print_()
    say(displayable_path(task.paths, "; "))
    say(f"Flagged as AI-generated: {_flagged_of(task, flagged)}")
    for one in flagged[:_MAX_SHOWN]:
        ui.print_(f"  {verdict_line(one.preview)}")
        for line in evidence_lines(one.preview, judge):
            ui.print_(wrapped(line, indent=4))
    if len(flagged) > _MAX_SHOWN:
        say(f"  and {count_of(len(flagged) - _MAX_SHOWN, 'more track')}")
    if beets.config["import"]["bell"].get(bool):
        ui.print_("\a", end="")
    if sys.stdin is None:
        # Closed by the caller (`<&-`); to Python that is an error of its own kind.
        raise UserError("artifactnet: there is no standard input to ask on; import with -q")
    is_part = len(flagged) < len(task.items)
    words = ("Import as it is", "Skip", *(["leave Flagged tracks"] if is_part else []))
    selection = ui.input_options((*words, "mark Human and import", "aBort"))
    if selection == _ABORT or import_was_aborted():
        # With threads beets' prompts do not hear Ctrl-C; they return with the next Enter.
        raise ImportAbortError
    return Answer(selection)


def _flagged_of(task: ImportTask, flagged: Sequence[_Suspect]) -> str:
    if not task.is_album:
        return "1 track"
    first = task.items[0]
    name = f"{first.albumartist or first.artist} - {first.album}" if first.album else "an album"
    return f"{len(flagged)} of {count_of(len(task.items), 'track')} of {name}"


def _left_line(task: ImportTask, flagged: Sequence[_Suspect]) -> str:
    if not task.is_album:
        return printable(f"skipped, flagged as ai: {flagged[0].item.filepath}")
    where = displayable_path(task.paths, "; ")
    return printable(f"skipped, flagged as ai: {_flagged_of(task, flagged)}, in {where}")


_WATCH = "_artifactnet_watch"


class _Watch:
    """Stands between beets and an import task, and decides before the choice is made."""

    def __init__(self, action: ImportAction, session: ImportSession, task: ImportTask) -> None:
        self._action, self._session, self._task = action, session, task
        self._choose_match, self._set_choice = task.choose_match, task.set_choice
        self._remove_duplicates = task.remove_duplicates
        self._new_items: list[Item] | None = None
        self._left: set[bytes] | None = None
        """Paths of the tracks that stay where they are; None until that is decided."""

    def begin(self) -> None:
        """Wrap the two methods by which the choice is made, and one that depends on it."""
        task: Any = self._task
        task.choose_match, task.set_choice = self.choose_match, self.set_choice
        task.remove_duplicates = self.remove_duplicates
        setattr(task, _WATCH, self)

    def new_items(self) -> list[Item]:
        """Return the task's tracks that the library does not have."""
        if self._new_items is None:
            self._new_items = library.patiently(self._find_new)
        return self._new_items

    def _find_new(self) -> list[Item]:
        lib = self._session.lib
        return [i for i in self._task.items if not lib.items(PathQuery("path", i.path)).get()]

    def choose_match(self, session: ImportSession) -> None:
        """Decide, and let beets ask for the tags of the tracks to import."""
        if not self._is_all_left():
            self._choose_match(session)
            return
        self.set_choice(Action.SKIP)
        session.log_choice(self._task)

    def set_choice(self, choice: Any) -> None:
        """Take the choice, without the tracks that stay where they are.

        With ``-A`` it is made without a question, and this is where ours is asked.
        """
        is_asis = not self._session.config["autotag"].get(bool)
        self._set_choice(Action.SKIP if self._is_all_left() else choice)
        if self._left and self._task.choice_flag in _IMPORTS:
            self._leave_out(self._left)
        if is_asis and self._task.skip:
            self._session.log_choice(self._task)

    def remove_duplicates(self, lib: Library) -> None:
        """Remove what the task replaces in the library, where it replaces all of it.

        Of the tracks that stay where they are, the library's are the only ones then. An
        upgrade replaces track by track, and knows of the tracks that are left.
        """
        if not self._left or getattr(self._task, "_upgrade_superseded", None) is not None:
            self._remove_duplicates(lib)
            return
        self._action.log.warning(
            "{}",
            printable(f"old copies are kept, flagged tracks were left out: {self._name()}"),
        )

    def _name(self) -> str:
        return displayable_path(self._task.paths, "; ")

    def _is_all_left(self) -> bool:
        if self._left is None:
            self._left = set()
            with self._action.scoring.survives():
                self._left = self._action.left(self._task, self.new_items())
        return all(item.path in self._left for item in self._task.items)

    def _leave_out(self, left: set[bytes]) -> None:
        """Take tracks out of the task, as beets does with those that are no upgrade."""
        task = self._task
        gone = [item.path for item in task.items if item.path in left]
        task.items = [item for item in task.items if item.path not in left]
        mapping = getattr(task.match, "mapping", None)
        if mapping is not None:
            for item in [item for item in mapping if item.path in left]:
                del mapping[item]
        if not task.imported_items():
            self._set_choice(Action.SKIP)
        self._session.tag_log("skip", gone)


_IMPORTS = (Action.ASIS, Action.APPLY, Action.RETAG)
