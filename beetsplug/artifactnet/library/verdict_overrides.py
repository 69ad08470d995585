"""The user's word on a whole album, and how its tracks take it over.

``beet modify -a ai_override=real`` has beets write the word to every track, over their own.
Tracks with a word of their own get it back, with its note. The others remember that theirs is
the album's, so that taking the album's word back takes back exactly those. An album's note
alone, `beet modify -a ai_override_note=...`, is kept from tracks that have a note of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from beets.library import Album, Item

from beetsplug.artifactnet.library.fields import Field, own, put
from beetsplug.artifactnet.library.storing import select, store_album


@dataclass(frozen=True)
class _Own:
    """What a track has of its own, not of its album."""

    word: str | None
    note: str | None


@dataclass
class _HandingDown:
    """An album's word, or its note alone, on its way to the tracks."""

    words: dict[int, _Own]
    """Item id -> the track's own word and note, of the tracks that beets has yet to write."""
    noun: str
    """``word`` or ``note``."""
    n_changed: int = 0
    n_kept: int = 0

    def take(self, item: Item, own: _Own) -> None:
        """Give a track that beets has just written its own back, or mark it as the album's."""
        is_kept = own.word is not None or (self.noun == "note" and own.note is not None)
        self.n_kept += is_kept
        if is_kept:
            put(item, Field.OVERRIDE_NOTE, own.note)
        if own.word is not None:
            put(item, Field.OVERRIDE, own.word)
        else:
            is_marked = put(item, Field.OVERRIDE_FROM, _mark(item))
            self.n_changed += not is_kept if self.noun == "note" else is_marked


@dataclass
class AlbumOverrides:
    """Follows what beets stores, album first, then track after track."""

    _running: dict[int, _HandingDown] = field(default_factory=dict)

    def album_stored(self, album: Album) -> None:
        """Note the tracks' own words where the album has another word or note than before."""
        word, note = album.get(Field.OVERRIDE), album.get(Field.OVERRIDE_NOTE)
        is_new_word = word != album.get(Field.ALBUM_OVERRIDE)
        if not is_new_word and note == album.get(Field.ALBUM_NOTE):
            return
        handed_down = None if is_new_word else album.get(Field.ALBUM_NOTE)
        words = _own_words(album, handed_down)
        if words:
            noun = "word" if is_new_word else "note"
            self._running[int(album.id or 0)] = _HandingDown(words, noun)
        if is_new_word and word is None:
            note = None
            put(album, Field.OVERRIDE_NOTE, None)
        put(album, Field.ALBUM_OVERRIDE, word)
        put(album, Field.ALBUM_NOTE, note)
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
        if running is None or item.id not in running.words:
            _forget_album(item)
            return ""
        running.take(item, running.words.pop(item.id))
        if running.words:
            return ""
        del self._running[album_id]
        return f"{running.n_changed} changed, {running.n_kept} keep their own {running.noun}"


def _mark(item: Item) -> str | None:
    word = own(item, Field.OVERRIDE)
    return None if word is None else f"album:{word}"


def _forget_album(item: Item) -> None:
    """Drop the note where the user has given the track another word, or none."""
    if own(item, Field.OVERRIDE_FROM) not in {None, _mark(item)}:
        put(item, Field.OVERRIDE_FROM, None)


def _own_words(album: Album, handed_down: str | None) -> dict[int, _Own]:
    rows = select(
        album.db,
        "SELECT items.id, word.value, mark.value, note.value FROM items"
        " LEFT JOIN item_attributes AS word ON word.entity_id = items.id AND word.key = ?"
        " LEFT JOIN item_attributes AS mark ON mark.entity_id = items.id AND mark.key = ?"
        " LEFT JOIN item_attributes AS note ON note.entity_id = items.id AND note.key = ?"
        " WHERE album_id = ?",
        *(Field.OVERRIDE, Field.OVERRIDE_FROM, Field.OVERRIDE_NOTE, album.id),
    )
    return {item_id: _own(word, mark, note, handed_down) for item_id, word, mark, note in rows}


def _own(word: str | None, mark: str | None, note: str | None, handed_down: str | None) -> _Own:
    if word is not None and mark != f"album:{word}":
        return _Own(word, note)
    return _Own(None, None if note == handed_down else note)
