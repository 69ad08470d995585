"""Storing: a track and its album's summary together or not at all; a lock is waited out."""

from __future__ import annotations

import logging
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from beets.library import Album, Item, Library

from beetsplug.artifactnet.errors import LibraryError
from beetsplug.artifactnet.library.fields import ALBUM_TYPES, ITEM_TYPES, Field, put
from beetsplug.artifactnet.library.verdicts import apply_result
from beetsplug.artifactnet.results import TrackResult, Verdict
from beetsplug.artifactnet.thresholds import Judge

if TYPE_CHECKING:
    from beets.dbcore.db import Transaction

log = logging.getLogger("beetsplug.artifactnet")

T = TypeVar("T")

_LOCKED_FOR_S = 600.0
"""How long another program's lock is waited out; beets waits 5 s at a time itself."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0


def update_album(album: Album) -> None:
    """Store an album's score and its number of flagged tracks, for the album alone.

    ``inherit=False`` keeps beets from writing them over the tracks' own values.
    """
    values = _track_values(album)
    # On a reimport beets itself hands an album's values down to its tracks.
    for item_id, key, _ in values:
        item = album.db.get_item(item_id) if key in ALBUM_TYPES else None
        if item is not None and put(item, key, None):
            item.store()
    scores = [v for _, key, v in values if key == Field.SCORE and isinstance(v, float)]
    verdicts = [v for _, key, v in values if key == Field.VERDICT]
    n_flagged = verdicts.count(Verdict.AI.value)
    changed = [
        put(album, Field.ALBUM_SCORE, float(statistics.median(scores)) if scores else None),
        put(album, Field.ALBUM_FLAGGED, n_flagged if any(verdicts) else None),
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
