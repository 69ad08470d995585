"""The user's word on a whole album, and how its tracks take it over.

``beet modify -a ai_override=real`` has beets write the word to every track, over their own.
Tracks with a word of their own get it back, with its note. The others remember that theirs is
the album's, so that taking the album's word back takes back exactly those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from beets.library import Album, Item

from beetsplug.artifactnet.library.fields import Field, own, put
from beetsplug.artifactnet.library.storing import select, store_album


@dataclass
class _HandingDown:
    """An album's word on its way to the tracks."""

    own_words: dict[int, tuple[str | None, str | None]]
    """Item id -> the track's own word and note, of the tracks that beets has yet to write."""
    n_changed: int = 0
    n_kept: int = 0


@dataclass
class AlbumOverrides:
    """Follows what beets stores, album first, then track after track."""

    _running: dict[int, _HandingDown] = field(default_factory=dict)

    def album_stored(self, album: Album) -> None:
        """Note the tracks' own words where the album has another word than before."""
        word = album.get(Field.OVERRIDE)
        if word == album.get(Field.ALBUM_OVERRIDE):
            return
        words = _own_words(album)
        if words:
            self._running[int(album.id or 0)] = _HandingDown(words)
        put(album, Field.ALBUM_OVERRIDE, word)
        if word is None:
            put(album, Field.OVERRIDE_NOTE, None)
        store_album(album)

    def is_running(self, album_id: int | None) -> bool:
        """Tell whether beets has yet to write some tracks of an album."""
        return album_id in self._running

    def item_stored(self, item: Item) -> str:
        """Give a track its own word back, or note that it has the album's.

        The item is changed, not stored.

        Returns:
            What was done to the album, in a few words, with its last track.
        """
        album_id = int(item.album_id or 0)
        running = self._running.get(album_id)
        if running is None or item.id not in running.own_words:
            _forget_album(item)
            return ""
        own_word, own_note = running.own_words.pop(item.id)
        if own_word is not None:
            put(item, Field.OVERRIDE, own_word)
            put(item, Field.OVERRIDE_NOTE, own_note)
            running.n_kept += 1
        else:
            running.n_changed += put(item, Field.OVERRIDE_FROM, _mark(item))
        if running.own_words:
            return ""
        del self._running[album_id]
        return f"{running.n_changed} changed, {running.n_kept} keep their own word"


def _mark(item: Item) -> str | None:
    word = own(item, Field.OVERRIDE)
    return None if word is None else f"album:{word}"


def _forget_album(item: Item) -> None:
    """Drop the note where the user has given the track another word, or none."""
    if own(item, Field.OVERRIDE_FROM) not in {None, _mark(item)}:
        put(item, Field.OVERRIDE_FROM, None)


def _own_words(album: Album) -> dict[int, tuple[str | None, str | None]]:
    rows = select(
        album.db,
        "SELECT items.id, word.value, mark.value, note.value FROM items"
        " LEFT JOIN item_attributes AS word ON word.entity_id = items.id AND word.key = ?"
        " LEFT JOIN item_attributes AS mark ON mark.entity_id = items.id AND mark.key = ?"
        " LEFT JOIN item_attributes AS note ON note.entity_id = items.id AND note.key = ?"
        " WHERE album_id = ?",
        *(Field.OVERRIDE, Field.OVERRIDE_FROM, Field.OVERRIDE_NOTE, album.id),
    )
    return {
        item_id: (None if word is None or mark == f"album:{word}" else word, note)
        for item_id, word, mark, note in rows
    }
