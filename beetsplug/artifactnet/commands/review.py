"""``beet aireview``: walk through suspects, listen, decide, and take it back."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from optparse import Values
from typing import TYPE_CHECKING

from beets import ui
from beets.exceptions import UserError
from beets.library import Item, Library
from beets.util import displayable_path

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.evidence import evidence_lines, wrapped
from beetsplug.artifactnet.commands.options import HelpfulParser, add_flags, command
from beetsplug.artifactnet.commands.paths import find_tracks
from beetsplug.artifactnet.commands.player import Player
from beetsplug.artifactnet.commands.terminal import album_title, printable, say, verdict_line
from beetsplug.artifactnet.engine import Engine, make_engine
from beetsplug.artifactnet.errors import ArtifactNetError
from beetsplug.artifactnet.library import Field, Judge, Row, Word, WordChange
from beetsplug.artifactnet.library.explanation import timeline
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.words import clock, count_of, minute

if TYPE_CHECKING:
    from beets.logging import BeetsLogger

_DESCRIPTION = (
    "Walk through suspects: the tracks with the verdict `ai` or `unsure` that have no word of "
    "yours (ai_override). With a query, those that it finds. Each decision is stored at once."
)
_EXAMPLES = """\
Examples:
  beet aireview                        all suspects
  beet aireview ai_score-              the most likely first
  beet aireview --all ai_override::.   decide again on what was decided
  beet aireview --undo                 take the last review back, all of it
"""
_PROMPT = "h human, a ai, A album, s skip, n note, p play, u undo, q quit?"
_HELP = (
    "Type a letter and Enter. h: made by humans. a: AI-generated. A: one word for the whole "
    "album. s: decide another time. n: note why. p: play the segment that speaks loudest. "
    "u: back to the track before, and take its decision back. q: enough for now."
)
_SUSPICIOUS = (Verdict.AI.value, Verdict.UNSURE.value)
_WORDS = {"h": Verdict.REAL, "a": Verdict.AI}
_NAMES = {Verdict.REAL: "human", Verdict.AI: "ai"}
_NOTE_CHARS = 500
_LONGEST_S = 7 * 86_400.0
"""No track is longer, whatever its timeline says."""


def aireview_command(settings: Callable[[], Settings], log: BeetsLogger) -> ui.Subcommand:
    """Return the command; ``settings`` reads the options as they are when it runs."""
    parser = HelpfulParser(
        usage="%prog [options] [QUERY...]", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    add_flags(
        parser,
        ("--all", "walk through everything that the query finds, decided or not"),
        ("--undo", "take back every decision of the last review"),
    )

    def run(lib: Library, opts: Values, args: list[str]) -> None:
        if opts.undo:
            _take_back_last(lib, settings(), log, args)
            return
        engine = make_engine(settings())
        ids = _to_review(lib, args, is_all=opts.all)
        if ids:
            _check_terminal(ids)
            with closing(Player(engine)) as player:
                _Review(lib, engine, log, player, ids, is_all=opts.all).run()

    return command("aireview", "decide on suspects, one after another", parser, run)


def _to_review(lib: Library, args: Sequence[str], *, is_all: bool) -> list[int]:
    """Return the ids of the tracks to decide on; say so where there is none."""
    ids = find_tracks(lib, args, album=False)
    suspects = {row.id for row in library.read_rows(lib, ids) if is_all or _is_suspect(row)}
    if not suspects:
        hint = "; --all walks through them all the same" if args else ""
        say(f"nothing to review: no suspects among {count_of(len(ids), 'track')}{hint}")
    return [item_id for item_id in ids if item_id in suspects]


def _check_terminal(ids: Sequence[int]) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            f"artifactnet: {count_of(len(ids), 'track')} to review, and no terminal to ask on; "
            f"`beet modify ai_override=human QUERY` decides without asking"
        )


def _is_suspect(item: Item | Row) -> bool:
    """Tell whether a track has a suspicious verdict and no word of the user's."""
    return library.own(item, Field.VERDICT) in _SUSPICIOUS and library.override(item) is None


def _take_back_last(
    lib: Library, settings: Settings, log: BeetsLogger, args: Sequence[str]
) -> None:
    if args:
        raise UserError("artifactnet: --undo takes the last review back whole, without a query")
    past = library.last_review(settings.reviews_folder, displayable_path(lib.path))
    if past is None:
        raise UserError("artifactnet: there is no review to take back")
    if past.library_path != displayable_path(lib.path):
        raise UserError(
            f"artifactnet: the last review was of the library {printable(past.library_path)}"
        )
    n_all = sum(map(len, past.steps))
    judge = _judge(settings, log)
    n_done = sum(library.take_back(lib, step, judge) for step in reversed(past.steps))
    past.file.unlink(missing_ok=True)
    rest = f", {n_all - n_done} changed since and left as they are" if n_done < n_all else ""
    say(f"taken back: {_decisions(n_done)} of the review of {minute(past.began)}{rest}")


def _judge(settings: Settings, log: BeetsLogger) -> Judge | None:
    """Return what decides where there is no word, None where there is no model."""
    try:
        return make_engine(settings).judge
    except ArtifactNetError as error:
        log.warning(
            "{}",
            printable(f"verdicts stay as they are until `beet ai` can decide them: {error}"),
        )
        return None


def _decisions(count: int) -> str:
    return count_of(count, "decision")


@dataclass(frozen=True)
class _Step:
    """What was done with one track on the way."""

    place: int
    word: str
    """``human``, ``ai`` or ``skipped``."""
    changes: tuple[WordChange, ...] = ()


class _Quit(Exception):
    """The user has enough."""


class _Review:
    """One walk through suspects."""

    def __init__(
        self,
        lib: Library,
        engine: Engine,
        log: BeetsLogger,
        player: Player,
        ids: Sequence[int],
        *,
        is_all: bool,
    ) -> None:
        self._lib, self._judge, self._log = lib, engine.judge, log
        self._player, self._ids, self._is_all = player, ids, is_all
        self._steps: list[_Step] = []
        self._place = 0
        self._note: str | None = None
        """For the decision on the track that is shown."""
        path = displayable_path(lib.path)
        self._notes = library.ReviewLog(engine.settings.reviews_folder, path, time.time())
        self._is_noted = True

    def run(self) -> None:
        """Show one track after another until all are decided on, or the user has enough."""
        try:
            while self._place < len(self._ids):
                self._visit()
        except _Quit:
            pass
        except KeyboardInterrupt:
            ui.print_()
            say(f"interrupted: {self._summary()}")
            raise
        say(self._summary())

    def _summary(self) -> str:
        counts = Counter[str]()
        for step in self._steps:
            counts[step.word] += len(step.changes) or 1
        told = ", ".join(f"{n} {word}" for word, n in sorted(counts.items())) or "none decided"
        n_left = len(self._ids) - self._place
        left = f", {n_left} not looked at" if n_left else ""
        is_kept = self._is_noted and any(step.changes for step in self._steps)
        back = "; `beet aireview --undo` takes it back" if is_kept else ""
        return f"reviewed: {told}{left}{back}"

    # One track.

    def _visit(self) -> None:
        """Show the track whose turn it is, and do what is asked until that is done with it."""
        item = library.patiently(lambda: self._lib.get_item(self._ids[self._place]))
        if item is None or not (self._is_all or _is_suspect(item)):
            decided = {change.item_id for step in self._steps for change in step.changes}
            if self._ids[self._place] not in decided:
                say("a track was removed or decided on meanwhile; it is passed over")
            self._place += 1
            return
        self._show(item)
        place, n_steps = self._place, len(self._steps)
        while (place, n_steps) == (self._place, len(self._steps)):
            if not self._obey(_read(_PROMPT), item):
                return

    def _show(self, item: Item) -> None:
        ui.print_()
        ui.print_(f"[{self._place + 1}/{len(self._ids)}] {verdict_line(item)}")
        path = library.item_path(item)
        gone = "" if path.is_file() else "  (no such file)"
        lines = (f"album: {_album_text(item)}", f"file: {path}{gone}")
        note = [f"note: {self._note}"] if self._note else []
        for line in (*lines, *evidence_lines(item, self._judge), *note):
            ui.print_(wrapped(line))

    def _obey(self, key: str, item: Item) -> bool:
        """Do what a key says; tell whether the track as it was shown is still the one."""
        if key in _WORDS:
            return self._decide([item], _WORDS[key], item)
        if key[:1] == "A":
            return self._decide_album(item, key[1:])
        if key == "s":
            self._advance(_Step(self._place, "skipped"))
        elif key == "n":
            self._note = printable(_read("Note, kept with your decision:"), _NOTE_CHARS) or None
        elif key == "p":
            self._play(item)
        elif key == "u":
            return not self._undo()
        elif key == "q":
            raise _Quit
        else:
            ui.print_(wrapped(_HELP))
        return True

    def _play(self, item: Item) -> None:
        """Play the loudest segment; of a track that has none, its start."""
        loudest = max(timeline(item), key=lambda one: one.probability, default=None)
        start_s = min(loudest.start_s, _LONGEST_S) if loudest else 0.0
        try:
            excerpt, (first_s, last_s) = self._player.cut(library.item_path(item), start_s)
            told = f", around the segment at {clock(start_s)}" if loudest else ""
            told += f" ({loudest.probability:.2f})" if loudest else ""
            say(f"playing {clock(first_s)} to {clock(last_s)}{told}; Ctrl-C ends it")
            self._player.play(excerpt)
        except ArtifactNetError as error:
            say(str(error))

    # Decisions.

    def _decide_album(self, item: Item, key: str) -> bool:
        album = library.patiently(item.get_album)
        if album is None:
            say("the track belongs to no album")
            return True
        tracks = [
            one for one in album.items() if one.id == item.id or not library.override(one)
        ]
        n_tracks = count_of(len(tracks), "track")
        say(f"{n_tracks} without a word of yours on {album_title(album, item)}")
        word = _WORDS.get(key or _read("h all human, a all ai, c cancel?"))
        return word is None or self._decide(tracks, word, item)

    def _decide(self, items: Sequence[Item], word: Verdict, shown: Item) -> bool:
        """Store a decision; tell whether the track shown is still as it was shown."""
        new = Word(word.value, self._note)
        with library.writing(self._lib):
            # Nobody else can write from here on.
            now = [self._lib.get_item(int(item.id or 0)) for item in items]
            present = [item for item in now if item is not None]
            current = next((item for item in present if item.id == shown.id), None)
            if current is None or _state(current) != _state(shown):
                say("another program has changed the track meanwhile")
                return False
            changes = tuple(
                WordChange(int(item.id or 0), library.word_of(item), new) for item in present
            )
            self._write_down(lambda: self._notes.add(changes))
            for item in present:
                library.put_word(item, new, self._judge)
        say(f"stored: {count_of(len(changes), 'track')} {_NAMES[word]}")
        self._advance(_Step(self._place, _NAMES[word], changes))
        return True

    def _advance(self, step: _Step) -> None:
        self._steps.append(step)
        self._place += 1
        self._note = None

    def _undo(self) -> bool:
        """Take the last step back, and return to its track; tell whether there was one."""
        if not self._steps:
            say("nothing to undo in this review")
            return False
        step = self._steps.pop()
        self._place = step.place
        if not step.changes:
            return True
        self._note = step.changes[0].after.note
        n_done = library.take_back(self._lib, step.changes, self._judge)
        self._write_down(self._notes.drop_last)
        n_left = len(step.changes) - n_done
        rest = f", {n_left} changed meanwhile and left as they are" if n_left else ""
        say(f"taken back: {_decisions(n_done)}{rest}")
        return True

    def _write_down(self, write: Callable[[], None]) -> None:
        """Note a step for ``--undo``; where that fails, say so once and go on."""
        if not self._is_noted:
            return
        try:
            write()
        except OSError as error:
            self._is_noted = False
            self._log.warning(
                "{}", printable(f"`aireview --undo` will not take this review back: {error}")
            )


def _read(prompt: str) -> str:
    """Return what the user typed, without spaces around it.

    Raises:
        _Quit: The input has ended (Ctrl-D).
    """
    try:
        return ui.input_(wrapped(prompt)).strip()
    except UserError:
        ui.print_()
        raise _Quit from None


def _state(item: Item) -> tuple[object, ...]:
    """Return what a decision was made on; where it changes, it has to be made again."""
    names = (Field.SCORE, Field.VERDICT, Field.OVERRIDE, Field.OVERRIDE_NOTE)
    return (item.path, *(library.own(item, name) for name in names))


def _album_text(item: Item) -> str:
    album = item.get_album()
    if album is None:
        return "none"
    year = f" ({album.year})" if album.year else ""
    n_flagged = album.get(Field.ALBUM_FLAGGED) or 0
    flagged = f", {n_flagged} of {count_of(len(album.items()), 'track')} flagged"
    return f"{album_title(album, item)}{year}{flagged}"
