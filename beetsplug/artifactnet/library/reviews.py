"""The last reviews, noted while they go on, so that all of one can be taken back.

A JSON-lines file for each, named by when it began: a line for each step, with the user's word
on its tracks before and after. Neither the fields nor their history tell what a word and its
note were before. Reviews at the same time do not share a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beets.library import Item, Library

from beetsplug.artifactnet.errors import LibraryError
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


def put_word(item: Item, word: Word, judge: Judge | None) -> None:
    """Set the user's word on a track and store it, with its date where it has one.

    Without a judge the verdict stays as it is until there is one.
    """
    values = (word.override, word.note, word.date, word.source)
    for name, value in zip(_FIELDS, values, strict=True):
        put(item, name, value)
    if judge is not None:
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


def take_back(lib: Library, changes: Sequence[WordChange], judge: Judge | None) -> int:
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
    """The file that one review writes, in a folder that keeps the last :data:`N_KEPT`."""

    def __init__(self, folder: Path, library_path: str, began: float) -> None:
        name = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%dT%H%M%S.%f")
        self._file = folder / f"{name}.jsonl"
        self._head = {"library": library_path, "began": began}

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
        # Where another program has taken this review back, nothing is left to drop.
        if self._file.exists():
            self._write({"dropped": 1})

    def _write(self, line: dict[str, Any]) -> None:
        # It is gone, too, where another program has taken this review back meanwhile.
        is_new = not self._file.exists()
        if is_new:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            lines = [self._head, line] if is_new else [line]
            file.writelines(f"{json.dumps(one)}\n" for one in lines)
        for old in _files(self._file.parent)[N_KEPT:]:
            with suppress(OSError):
                old.unlink()


N_KEPT = 10
"""Number of reviews that can be taken back, the last one first."""


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"), reverse=True)


@dataclass(frozen=True)
class PastReview:
    """A review as its file tells of it."""

    file: Path
    library_path: str
    began: float
    steps: tuple[tuple[WordChange, ...], ...]
    """In order, without those that were taken back at once."""


def last_review(folder: Path, library_path: str) -> PastReview | None:
    """Return the last review of a library, of another one where it has none.

    A review whose steps were all taken back at once is passed over. None where there is none.

    Raises:
        LibraryError: The last one's file is damaged.
    """
    files = _files(folder)
    reviews = list(map(_read_review, files))
    if reviews and reviews[0] is None:
        raise LibraryError(
            f"the file of the last review is damaged: {files[0]}; "
            f"without it, the review before can be taken back"
        )
    found = [one for one in reviews if one is not None and one.steps]
    of_it = (one for one in found if one.library_path == library_path)
    return next(of_it, next(iter(found), None))


def _read_review(file: Path) -> PastReview | None:
    """Return a review, None where its file is broken.

    A last line that was cut short is of a step that was not done.
    """
    try:
        head, *lines = file.read_text("utf-8").split("\n")[:-1]
        steps: list[tuple[WordChange, ...]] = []
        for line in map(json.loads, lines):
            if "dropped" in line:
                del steps[-1:]
            else:
                steps.append(tuple(map(_change, line["changes"])))
        start = json.loads(head)
        return PastReview(file, str(start["library"]), float(start["began"]), tuple(steps))
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
