"""The last review, noted while it goes on, so that all of it can be taken back.

A JSON-lines file: a line for each step, with the user's word on its tracks before and after.
Neither the fields nor their history tell what a word and its note were before. A new review
takes the place of the one before with its first decision.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beets.library import Item, Library

from beetsplug.artifactnet.library.fields import ITEM_TYPES, Field, own, put
from beetsplug.artifactnet.library.storing import store, writing
from beetsplug.artifactnet.library.verdicts import redecide
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.thresholds import Judge


@dataclass(frozen=True)
class Word:
    """The user's word on a track, as its fields have it."""

    override: str | None = None
    note: str | None = None
    date: float | None = None
    source: str | None = None
    """``album:`` and the word, where it was given to the whole album."""

    def is_that_of(self, other: Word) -> bool:
        """Tell whether it says the same as another, whenever it was given."""
        return (self.override, self.note) == (other.override, other.note)


def word_of(item: Item) -> Word:
    """Return the user's word on a track as it is now."""
    values: Any = (own(item, name) for name in _FIELDS)
    return Word(*values)


_FIELDS = (Field.OVERRIDE, Field.OVERRIDE_NOTE, Field.OVERRIDE_DATE, Field.OVERRIDE_FROM)


def put_word(item: Item, word: Word, judge: Judge) -> None:
    """Set the user's word on a track and store it, with its date where it has one."""
    values = (word.override, word.note, word.date, word.source)
    for name, value in zip(_FIELDS, values, strict=True):
        put(item, name, value)
    redecide(item, judge)
    if word.date is not None:
        # The date of an older word that comes back, and not today's.
        put(item, Field.OVERRIDE_DATE, word.date)
    store(item)


@dataclass(frozen=True)
class WordChange:
    """The effect of one step on one track."""

    item_id: int
    before: Word
    after: Word


def take_back(lib: Library, changes: Sequence[WordChange], judge: Judge) -> int:
    """Give tracks the word that they had before a step; return how many got it.

    A track whose word is not the step's any more is left alone, and so is a removed one.
    """
    n_done = 0
    with writing(lib):
        for change in reversed(changes):
            item = lib.get_item(change.item_id)
            if item is not None and word_of(item).is_that_of(change.after):
                put_word(item, change.before, judge)
                n_done += 1
    return n_done


class ReviewLog:
    """The file that one review writes."""

    def __init__(self, file: Path, library_path: str, began: float) -> None:
        self._file = file
        self._head = {"library": library_path, "began": began}
        self._is_begun = False

    def add(self, changes: Iterable[WordChange]) -> None:
        """Note a step, before it is done.

        Raises:
            OSError: It cannot be written.
        """
        self._write({"changes": [asdict(change) for change in changes]})

    def drop_last(self) -> None:
        """Note that the last step was taken back.

        Raises:
            OSError: It cannot be written.
        """
        self._write({"dropped": 1})

    def _write(self, line: dict[str, Any]) -> None:
        lines = [line] if self._is_begun else [self._head, line]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a" if self._is_begun else "w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(one)}\n" for one in lines)
        self._is_begun = True


@dataclass(frozen=True)
class PastReview:
    """A review as its file tells of it."""

    library_path: str
    began: float
    steps: tuple[tuple[WordChange, ...], ...]
    """In order, without those that were taken back at once."""


def read_review(file: Path) -> PastReview | None:
    """Return the last review, None where there is none or its file is broken.

    A last line that was cut short is of a step that was not done.
    """
    try:
        head, *lines = file.read_text("utf-8").split("\n")[:-1]
        steps: list[tuple[WordChange, ...]] = []
        for line in map(json.loads, lines):
            if "dropped" in line:
                steps.pop()
            else:
                steps.append(tuple(map(_change, line["changes"])))
        start = json.loads(head)
        return PastReview(str(start["library"]), float(start["began"]), tuple(steps))
    except (OSError, ValueError, OverflowError, LookupError, TypeError, RecursionError):
        return None


def _change(values: dict[str, Any]) -> WordChange:
    before, after = (_word(**values[name]) for name in ("before", "after"))
    item_id = int(values["item_id"])
    if not 0 < item_id <= _LARGEST_ID:
        raise ValueError(f"{item_id} is no id")
    return WordChange(item_id, before, after)


def _word(**values: Any) -> Word:
    """Return a word that can be stored: the file may have been edited.

    Raises:
        ValueError, TypeError: It cannot.
    """
    word = Word(**values)
    for text in filter(None, (word.override, word.note, word.source)):
        str.encode(text)  # neither a surrogate nor another type
    if word.override not in {None, Verdict.AI.value, Verdict.REAL.value}:
        raise ValueError(f"{word.override!r} is no word")
    if word.date != ITEM_TYPES[Field.OVERRIDE_DATE].from_sql(word.date):
        raise ValueError(f"{word.date!r} is no date")
    return word


_LARGEST_ID = 2**63 - 1
