"""Between beets' items and the engine's results: what is stored, and what is due.

Absent means unscored. A field is never 0, None or NaN for want of a score: beets reads
None back as 0.0 for a typed float, and then every unscored track is certainly human.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from beets.dbcore import types
from beets.library import Album, Item, Library

from beetsplug.artifactnet.errors import LibraryError
from beetsplug.artifactnet.results import (
    Outcome,
    SegmentScore,
    Thresholds,
    TrackResult,
    TrackScore,
    Verdict,
)
from beetsplug.artifactnet.scoring import ai_share, decide

if TYPE_CHECKING:
    from beets.dbcore.db import Transaction

log = logging.getLogger(__package__)

T = TypeVar("T")

_LOCKED_FOR_S = 600.0
"""How long another program's lock is waited out; beets waits 5 s at a time itself."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0


class Field:
    """Names of the flexible attributes."""

    SCORE = "ai_score"
    VERDICT = "ai_verdict"
    SHARE = "ai_share"
    SEGMENTS = "ai_segments"
    TIMELINE = "ai_timeline"
    MODEL = "ai_model"
    SCORED = "ai_scored"
    FILE = "ai_file"
    ERROR = "ai_error"
    OVERRIDE = "ai_override"
    PROVENANCE = "ai_provenance"
    ALBUM_SCORE = "ai_album_score"
    ALBUM_FLAGGED = "ai_album_flagged"

    OF_A_SCORE: ClassVar = (SCORE, VERDICT, SHARE, SEGMENTS, TIMELINE, MODEL, SCORED, FILE)
    """What a score consists of; all present or all absent, the verdict aside."""


ITEM_TYPES: dict[str, types.Type] = {
    Field.SCORE: types.Float(4),
    Field.VERDICT: types.STRING,
    Field.SHARE: types.Float(2),
    Field.SEGMENTS: types.INTEGER,
    Field.TIMELINE: types.STRING,
    Field.MODEL: types.STRING,
    Field.SCORED: types.DATE,
    Field.FILE: types.STRING,
    Field.ERROR: types.STRING,
    Field.OVERRIDE: types.STRING,
    Field.PROVENANCE: types.STRING,
}
ALBUM_TYPES: dict[str, types.Type] = {
    Field.ALBUM_SCORE: types.Float(4),
    Field.ALBUM_FLAGGED: types.INTEGER,
}


class State(Enum):
    """Where an item stands."""

    UNSCORED = "unscored"
    FRESH = "fresh"
    STALE = "stale"
    """Scored by another model, or the file has changed since."""
    FAILED = "failed"


@dataclass(frozen=True)
class Judge:
    """Who decides at present: a model and the thresholds in force."""

    model: str
    """The model's label."""
    thresholds: Thresholds


def own(item: Item, name: str) -> object:
    """Return the item's own value, None where it has none, its album's aside."""
    return item.get(name, None, with_album=False)


def item_path(item: Item) -> Path:
    """Return an item's path, absolute; call it where the item was loaded.

    beets expands paths through a context variable that worker threads do not have.
    """
    return Path(item.filepath)


def file_stamp(path: Path) -> str | None:
    """Return a file's size and time of change in one word, None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}"


def state(item: Item, model: str) -> State:
    """Return where an item stands towards the model of this label."""
    if own(item, Field.SCORE) is None:
        return State.FAILED if own(item, Field.ERROR) else State.UNSCORED
    stamp = file_stamp(item_path(item))
    same_file = stamp is None or stamp == own(item, Field.FILE)
    # A file that is not there has not changed: its disk may be unmounted.
    return State.FRESH if same_file and own(item, Field.MODEL) == model else State.STALE


def apply_result(item: Item, result: TrackResult, judge: Judge) -> None:
    """Put a result on an item, without storing it.

    A failure leaves nothing of an older score behind, with one exception: where the
    file is merely missing, the score of the time when it was there stays.
    """
    if result.outcome is Outcome.MISSING:
        item[Field.ERROR] = f"{result.outcome.value}: {result.detail}"
        return
    _put(item, Field.PROVENANCE, result.provenance or None)
    if result.score is None:
        for name in Field.OF_A_SCORE:
            _put(item, name, None)
        item[Field.ERROR] = f"{result.outcome.value}: {result.detail}"
    else:
        _apply_score(item, result.score)
        _put(item, Field.ERROR, None)
    redecide(item, judge)


def _apply_score(item: Item, score: TrackScore) -> None:
    item[Field.SCORE] = float(score.probability)
    item[Field.SEGMENTS] = len(score.segments)
    item[Field.TIMELINE] = format_timeline(score.segments)
    item[Field.MODEL] = score.model
    item[Field.SCORED] = time.time()
    _put(item, Field.FILE, file_stamp(item_path(item)))


def redecide(item: Item, judge: Judge) -> bool:
    """Bring verdict and share in line with the thresholds; tell whether they changed.

    A score of another model keeps its verdict: these thresholds are not its own. The
    user's override holds whatever the model.
    """
    before = own(item, Field.VERDICT), own(item, Field.SHARE)
    word, score = override(item), own(item, Field.SCORE)
    is_ours = own(item, Field.MODEL) == judge.model
    segments = _segments(item) if is_ours else ()
    if segments:
        # Rounded: SQLite keeps 15 digits of a number, and 1/7 would come back changed.
        _put(item, Field.SHARE, round(ai_share(segments, judge.thresholds), 4))
    if word is not None:
        item[Field.VERDICT] = word.value
    elif not isinstance(score, float):
        _put(item, Field.VERDICT, None)
    elif is_ours or before[0] is None:
        item[Field.VERDICT] = decide(score, judge.thresholds).value
    return (own(item, Field.VERDICT), own(item, Field.SHARE)) != before


def _segments(item: Item) -> tuple[SegmentScore, ...]:
    """Return the segments of an item's score, none where somebody spoilt the timeline."""
    try:
        return parse_timeline(str(own(item, Field.TIMELINE)))
    except ValueError:
        return ()


def override(item: Item) -> Verdict | None:
    """Return the user's own word on an item; anything but ``ai`` and ``real`` is none."""
    word = str(own(item, Field.OVERRIDE) or "").strip().lower()
    return Verdict(word) if word in (Verdict.AI.value, Verdict.REAL.value) else None


def _put(model: Item | Album, name: str, value: str | float | None) -> bool:
    """Set a field, or remove it where there is no value; tell whether that changed it."""
    before = own(model, name) if isinstance(model, Item) else model.get(name)
    if value == before:
        return False
    if value is None:
        del model[name]
    else:
        model[name] = value
    return True


def restamp(item: Item, path: Path) -> bool:
    """Note that beets itself changed a scored item's file; tell whether that was news."""
    if own(item, Field.SCORE) is None:
        return False
    return _put(item, Field.FILE, file_stamp(path))


def update_album(album: Album) -> None:
    """Store an album's score and its number of flagged tracks, for the album alone.

    ``inherit=False`` keeps beets from writing them over the tracks' own values.
    """
    values = _track_values(album)
    # On a reimport beets itself hands an album's values down to its tracks.
    for item_id, key, _ in values:
        item = album.db.get_item(item_id) if key in ALBUM_TYPES else None
        if item is not None and _put(item, key, None):
            item.store()
    scores = [v for _, key, v in values if key == Field.SCORE and isinstance(v, float)]
    verdicts = [v for _, key, v in values if key == Field.VERDICT]
    n_flagged = verdicts.count(Verdict.AI.value)
    changed = [
        _put(album, Field.ALBUM_SCORE, float(statistics.median(scores)) if scores else None),
        _put(album, Field.ALBUM_FLAGGED, n_flagged if any(verdicts) else None),
    ]
    if any(changed):
        album.store(inherit=False)


def _track_values(album: Album) -> list[tuple[int, str, object]]:
    """Return what an album's tracks have of the fields that count: (item id, key, value).

    Not by loading the items: that takes 0.1 ms for each of them, at every result.
    """
    with album.db.transaction() as transaction:
        rows = transaction.query(
            "SELECT entity_id, key, value FROM item_attributes"
            " JOIN items ON items.id = entity_id"
            " WHERE album_id = ? AND key IN (?, ?, ?, ?)",
            (album.id, Field.SCORE, Field.VERDICT, *ALBUM_TYPES),
        )
    types_of = {**ITEM_TYPES, **ALBUM_TYPES}
    return [(item, key, types_of[key].from_sql(value)) for item, key, value in rows]


def store_result(item: Item, result: TrackResult, judge: Judge) -> None:
    """Put a result on an item and store it, and its album's summary, at once.

    Raises:
        LibraryError: Another program keeps the database locked.
    """
    apply_result(item, result, judge)
    store(item)


def store(item: Item) -> None:
    """Store an item and its album's summary, both or neither.

    Raises:
        LibraryError: Another program keeps the database locked.
    """
    with writing(item.db):
        item.store()
        update_album_of(item)


def update_album_of(item: Item) -> None:
    """Store the summary of an item's album, where it has one."""
    album = item.get_album()
    if album is not None:
        update_album(album)


@contextmanager
def writing(library: Library) -> Iterator[None]:
    """Make changes to the database in one transaction: all of them, or none.

    By itself beets commits what there is of a change when an error, as of a full disk,
    ends it half way; and where the very commit fails it never gives its lock back.

    Raises:
        LibraryError: Another program keeps the database locked.
        sqlite3.Error: The changes cannot be written; none is.
    """
    with ExitStack() as stack:
        transaction = patiently(lambda: _begin(library, stack))
        try:
            yield
            transaction.mutate("COMMIT")
        except BaseException:
            # SQLite has rolled back already after some errors.
            with suppress(sqlite3.OperationalError):
                transaction.mutate("ROLLBACK")
            raise


def _begin(library: Library, stack: ExitStack) -> Transaction:
    """Enter a transaction that locks everybody else out, so that its end cannot fail."""
    with ExitStack() as attempt:
        transaction = attempt.enter_context(library.transaction())
        transaction.mutate("BEGIN EXCLUSIVE")
        stack.push(attempt.pop_all())
    return transaction


def patiently(access: Callable[[], T]) -> T:
    """Access the database, again and again while another program keeps it locked.

    Raises:
        LibraryError: It does so for ten minutes.
    """
    gives_up = time.monotonic() + _LOCKED_FOR_S
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return access()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            if time.monotonic() > gives_up:
                raise LibraryError(
                    f"the library is locked by another program, {_LOCKED_FOR_S / 60:g} "
                    f"minutes by now; run again when that is done"
                ) from error
        if pause_s == _FIRST_PAUSE_S:
            log.warning("the library is locked by another program; waiting for it")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def format_timeline(segments: Iterable[SegmentScore]) -> str:
    """Return segments as ``START:PROBABILITY`` words: ``0.0:0.9713 39.3:0.9402``."""
    return " ".join(f"{s.start_s:.1f}:{s.probability:.4f}" for s in segments)


_WORD = re.compile(r"(\d+(?:\.\d+)?):(\d(?:\.\d+)?)")


def parse_timeline(text: str) -> tuple[SegmentScore, ...]:
    """Return the segments of :func:`format_timeline`, to 0.1 s and 0.0001.

    Raises:
        ValueError: A word is not ``START:PROBABILITY`` with a probability in [0, 1].
    """
    segments = []
    for word in text.split():
        match = _WORD.fullmatch(word)
        if match is None or float(match[2]) > 1:
            raise ValueError(f"{word!r} in a timeline is not START:PROBABILITY")
        segments.append(SegmentScore(float(match[1]), float(match[2])))
    return tuple(segments)
