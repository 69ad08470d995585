"""The database's values of many tracks, read without making an item of each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from beets.dbcore import types
from beets.dbcore.query import InvalidQueryArgumentValueError, InvalidQueryError
from beets.dbcore.sort import NullSort
from beets.library import Album, Item, Library, parse_query_parts

from beetsplug.artifactnet.library.fields import ITEM_TYPES, Field, Row, put
from beetsplug.artifactnet.library.storing import (
    AlbumSummaries,
    patiently,
    select,
    store,
    text_of,
)
from beetsplug.artifactnet.results import ReleaseTags

_ROWS_AT_ONCE = 2_000
_NAMES = tuple(sorted(ITEM_TYPES.keys() - {Field.HISTORY}))
"""The history grows where a track is stored, and nothing here reads it."""
_ROWS_SQL = (
    "SELECT items.id, items.path, CAST(("
    "  SELECT json_group_object(key, CAST(value AS TEXT)) FROM item_attributes"
    "  WHERE entity_id = items.id AND key IN (NAMES)"
    ") AS BLOB) FROM items WHERE items.id IN (SELECT value FROM json_each(?)) ORDER BY items.id"
).replace("NAMES", ", ".join("?" * len(_NAMES)))
_RELEASES_SQL = (
    "SELECT items.id, original_year, year, CAST(mb_artistid AS BLOB), CAST(SEVERAL AS BLOB),"
    " CAST(("
    "  SELECT value FROM item_attributes"
    "  WHERE entity_id = items.id AND key = 'spotify_artist_id'"
    ") AS BLOB) FROM items WHERE items.id IN (SELECT value FROM json_each(?))"
).replace("SEVERAL", "mb_artistids" if "mb_artistids" in Item._fields else "NULL")
_NAMES_SQL = (
    "SELECT id, CAST(title AS BLOB), CAST(artist AS BLOB), CAST(album AS BLOB),"
    " CAST(format AS BLOB), length FROM items WHERE id IN (SELECT value FROM json_each(?))"
)
"""Texts are read as bytes: what another program wrote may be no UTF-8, and would stop all."""
_UNSCORED_SQL = (
    "SELECT id FROM items WHERE NOT EXISTS ("
    " SELECT 1 FROM item_attributes WHERE entity_id = items.id AND key IN (?, ?))"
)


def find_ids(library: Library, query: Sequence[str], *, album: bool = False) -> list[int]:
    """Return the ids of the tracks that a query finds.

    They are in the order that the query asks for, or else that they came into the library.

    Args:
        library: The library.
        query: Words of beets' query language; none find every track.
        album: Whether it is one for albums, whose tracks are returned.

    Raises:
        InvalidQueryError: It is no query.
    """
    if not album:
        return patiently(partial(_matching, library, Item, query))
    sql = "SELECT id FROM items WHERE album_id = ? ORDER BY disc, track, id"
    return [
        int(row[0])
        for album_id in _matching(library, Album, query)
        for row in select(library, sql, album_id)
    ]


def _matching(library: Library, model: type[Any], words: Sequence[str]) -> list[int]:
    """Return the ids that a query finds, by SQL alone where that can answer it."""
    try:
        query, sort = parse_query_parts(list(words), model)
    # A date before the first year overflows.
    except (InvalidQueryArgumentValueError, OverflowError) as error:
        raise InvalidQueryError(" ".join(words), error) from error
    where, values = query.clause()
    is_plain = isinstance(sort, NullSort) and not query.field_names & model.other_db_fields
    if where is None or not is_plain:
        fetch = library.albums if model is Album else library.items
        return [int(found.id or 0) for found in fetch(list(words))]
    table = model._table  # noqa: SLF001 - beets has no other name for it
    # The clause is beets' own, its values are bound.
    sql = f"SELECT id FROM {table} WHERE {where or 1} ORDER BY id"  # noqa: S608
    return [int(row[0]) for row in select(library, sql, *values)]


def read_rows(library: Library, ids: Iterable[int]) -> Iterator[Row]:
    """Yield what the database has of these tracks, in the order of their ids.

    A few thousand at a time: a library may have millions.
    """
    file_of = file_reader()
    for part in in_parts(ids):
        for item_id, path, values in select(library, _ROWS_SQL, *_NAMES, part):
            yield Row(item_id, file_of(path), _read_values(values))


def in_parts(ids: Iterable[int]) -> Iterator[str]:
    """Yield ids in order, a few thousand at a time, as JSON that SQLite can read."""
    wanted = sorted(ids)
    for start in range(0, len(wanted), _ROWS_AT_ONCE):
        yield json.dumps(wanted[start : start + _ROWS_AT_ONCE])


def rows_in_order(library: Library, ids: Sequence[int]) -> Iterator[Row]:
    """Yield what the database has of these tracks, in the order given."""
    if list(ids) == sorted(ids):
        yield from read_rows(library, ids)
        return
    rows = {row.id: row for row in read_rows(library, ids)}
    yield from (rows[item_id] for item_id in ids if item_id in rows)


def read_releases(library: Library, ids: Iterable[int]) -> dict[int, ReleaseTags]:
    """Return what the library knows of the releases of these tracks, by their ids.

    Artists' ids are those of MusicBrainz and of beets' ``spotify`` plugin.
    """
    rows = select(library, _RELEASES_SQL, json.dumps(list(ids)))
    return {int(item_id): _release(*values) for item_id, *values in rows}


@dataclass(frozen=True)
class Names:
    """What a track is called, and what its file is."""

    title: str
    artist: str
    album: str
    codec: str
    """beets' name of the format."""
    length_s: float


def read_names(library: Library, ids: Iterable[int]) -> dict[int, Names]:
    """Return what these tracks are called, by their ids."""
    rows = select(library, _NAMES_SQL, json.dumps(list(ids)))
    return {int(row[0]): _names(*row[1:]) for row in rows}


def _names(
    title: bytes, artist: bytes, album: bytes, codec: bytes, length: float | None
) -> Names:
    return Names(
        title=text_of(title),
        artist=text_of(artist),
        album=text_of(album),
        codec=text_of(codec),
        length_s=float(length or 0.0),
    )


def _release(original_year: int | None, year: int | None, *ids: bytes | None) -> ReleaseTags:
    artist_id, several, spotify_id = map(text_of, ids)
    found = (artist_id, *_several_ids(several), spotify_id)
    return ReleaseTags(
        original_year=int(original_year or 0),
        year=int(year or 0),
        artist_ids=tuple(dict.fromkeys(filter(None, found))),
    )


def _several_ids(value: str) -> Iterable[str]:
    ids = Item._type("mb_artistids").from_sql(value)  # noqa: SLF001 - how beets reads them
    return ids if isinstance(ids, list) else ()


_READ = {
    name: field_type.from_sql
    for name, field_type in ITEM_TYPES.items()
    if not isinstance(field_type, types.String)
}
"""Name -> what reads the value; texts are as the database has them."""


def _read_values(data: bytes) -> dict[str, object]:
    values: dict[str, Any] = json.loads(text_of(data))
    for name in _READ.keys() & values.keys():
        values[name] = _READ[name](values[name])
        if values[name] is None:
            del values[name]
    return values


_from_sql = Item._type("path").from_sql  # noqa: SLF001 - how beets reads a path itself


def file_reader() -> Callable[[bytes], str]:
    """Return what makes an absolute path of one in the database, as beets would.

    beets takes five times as long for each; but for odd ones its folder in front is all.
    """
    folder, is_plain = _from_sql(b"x")[: -len(b"/x")], os.sep == "/"

    def file(path: bytes) -> str:
        if is_plain and folder and path[:1] not in {b"/", b"~"} and b".." not in path:
            return os.fsdecode(folder + b"/" + path)
        return os.fsdecode(_from_sql(path))

    return file


def find_unscored(library: Library) -> set[int]:
    """Return the ids of the tracks that have neither a score nor an error."""
    rows = select(library, _UNSCORED_SQL, Field.SCORE, Field.ERROR)
    return {int(row[0]) for row in rows}


def read_row(library: Library, item_id: int) -> Row | None:
    """Return what the database has of one track now, None where it is gone."""
    return next(read_rows(library, [item_id]), None)


def store_row(library: Library, row: Row, albums: AlbumSummaries | None = None) -> None:
    """Store a row that was changed."""
    item = library.get_item(row.id)
    if item is None:
        return
    for name in _NAMES:
        put(item, name, cast("str | float | None", row.get(name)))
    store(item, albums)


def was_stored_since(library: Library, row: Row) -> bool:
    """Tell whether a track got a result since its row was read; one that is gone did not."""
    now = read_row(library, row.id)
    names = (Field.SCORED, Field.ERROR)
    return now is not None and any(now.get(name) != row.get(name) for name in names)
