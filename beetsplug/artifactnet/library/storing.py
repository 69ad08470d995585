"""Storing: a track and its album's summary together or not at all; a lock is waited out."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from beets.library import Album, Item, Library

from beetsplug.artifactnet.errors import LibraryError
from beetsplug.artifactnet.library.album_summary import put_summary
from beetsplug.artifactnet.library.entries import note_change
from beetsplug.artifactnet.library.fields import ALBUM_TYPES, put
from beetsplug.artifactnet.library.verdicts import apply_result
from beetsplug.artifactnet.results import TrackResult
from beetsplug.artifactnet.thresholds import Judge

if TYPE_CHECKING:
    from beets.dbcore.db import Transaction

log = logging.getLogger("beetsplug.artifactnet")

T = TypeVar("T")

_LOCKED_FOR_S = 600.0
"""How long another program's lock is waited out; beets waits 5 s at a time itself."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0


_SUMMED_UP_OFTEN = 50
"""Albums of more tracks are summed up that many times while their tracks are scored."""


class AlbumSummaries:
    """Which albums have to be summed up again while many tracks are scored.

    An album is, with each of its tracks, in the same transaction. Of a large one that would
    be most of the work: it is with every fiftieth part of its tracks, and at the end.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._sizes: dict[int, int] = {}
        self._waiting: dict[int, int] = {}

    def count(self, item: Item) -> None:
        """Sum up the album of a track that was just stored, where it is time to."""
        if item.album_id is None:
            return
        waiting = self._waiting.get(item.album_id, 0) + 1
        if waiting * _SUMMED_UP_OFTEN < self._size(item.album_id):
            self._waiting[item.album_id] = waiting
            return
        self._waiting.pop(item.album_id, None)
        update_album_of(item)

    def finish(self) -> None:
        """Sum up what is left."""
        for album_id in list(self._waiting):
            with writing(self._library):
                _sum_up(self._library, album_id)
            del self._waiting[album_id]

    def _size(self, album_id: int) -> int:
        if album_id not in self._sizes:
            sql = "SELECT count(*) FROM items WHERE album_id = ?"
            ((self._sizes[album_id],),) = select(self._library, sql, album_id)
        return self._sizes[album_id]


def sum_up_large_albums(library: Library) -> None:
    """Bring the summaries of large albums in line, where a killed run has left them behind."""
    rows = select(
        library,
        "SELECT album_id FROM items WHERE album_id IS NOT NULL"
        " GROUP BY album_id HAVING count(*) > ?",
        _SUMMED_UP_OFTEN,
    )
    for row in rows:
        patiently(partial(_sum_up, library, int(row[0])))


def _sum_up(library: Library, album_id: int) -> None:
    album = library.get_album(album_id)
    if album is not None:
        update_album(album)


def update_album(album: Album) -> None:
    """Store an album's summary, for the album alone."""
    if put_summary(album):
        store_album(album)


def store_album(album: Album) -> None:
    """Store an album's own fields.

    ``inherit=False`` keeps beets from writing them over the tracks' own values.
    """
    album.store(inherit=False)


def take_back_album_values(album: Album) -> None:
    """Remove an album's values from its tracks: beets hands them down on a reimport."""
    rows = select(
        album.db,
        "SELECT DISTINCT entity_id FROM item_attributes"
        " JOIN items ON items.id = entity_id"
        " WHERE album_id = ? AND key LIKE 'ai_album_%'",
        album.id,
    )
    for item in filter(None, (album.db.get_item(row[0]) for row in rows)):
        changed = [put(item, name, None) for name in ALBUM_TYPES]
        if any(changed):
            item.store()


def store_result(
    item: Item, result: TrackResult, judge: Judge, albums: AlbumSummaries | None = None
) -> None:
    """Put a result on an item and store it, and its album's summary, at once.

    Args:
        item: The item.
        result: What became of its file.
        judge: Model and thresholds.
        albums: What sums albums up where many tracks are scored; None: at once.
    """
    apply_result(item, result, judge)
    store(item, albums)


def store(item: Item, albums: AlbumSummaries | None = None) -> None:
    """Store an item with its history, and its album's summary, all or nothing."""
    with writing(item.db):
        note_change(item)
        item.store()
        if albums is None:
            update_album_of(item)
        else:
            albums.count(item)


def update_album_of(item: Item) -> None:
    """Store the summary of an item's album, where it has one."""
    album = item.get_album()
    if album is not None:
        update_album(album)


@contextmanager
def writing(library: Library) -> Iterator[None]:
    """Make changes to the database in one transaction: all of them, or none.

    When an error such as a full disk ends a change half way, beets by itself commits the half.
    Where the very commit fails it never gives its lock back.

    Raises:
        sqlite3.Error: The changes cannot be written; none is.
    """
    with ExitStack() as stack:
        transaction = patiently(lambda: _begin(library, stack))
        if transaction is None:
            yield
            return
        try:
            yield
            transaction.mutate("COMMIT")
        except BaseException:
            # SQLite has rolled back already after some errors.
            with suppress(sqlite3.OperationalError):
                transaction.mutate("ROLLBACK")
            raise


def _begin(library: Library, stack: ExitStack) -> Transaction | None:
    """Enter a transaction that locks everybody else out, so that its end cannot fail.

    Returns:
        None within a transaction of beets' own, which will end it.
    """
    with ExitStack() as attempt:
        transaction = attempt.enter_context(library.transaction())
        try:
            transaction.mutate("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "within a transaction" not in str(error):
                raise
            return None
        stack.push(attempt.pop_all())
    return transaction


def select(library: Library, sql: str, *values: str | float | None) -> list[Any]:
    """Return the rows that a query finds."""

    def query() -> list[Any]:
        with library.transaction() as transaction:
            return transaction.query(sql, values)

    return patiently(query)


def text_of(value: bytes | None) -> str:
    """Return a text of the database, empty for none; what is no UTF-8 in it is replaced."""
    return (value or b"").decode("utf-8", "replace")


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
