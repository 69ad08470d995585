"""The tracks with nothing left to do, told by SQL: of a large library these are nearly all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from beets.library import Library

from beetsplug.artifactnet.library.fields import Field
from beetsplug.artifactnet.library.rows import file_reader, find_ids, in_parts
from beetsplug.artifactnet.library.storing import select
from beetsplug.artifactnet.library.verdicts import Reason
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.stamp import is_untouched
from beetsplug.artifactnet.thresholds import Judge

_PRESENT = (
    *(Field.SCORE, Field.VERDICT, Field.REASON, Field.SHARE),
    *(Field.TIMELINE, Field.MODEL, Field.FILE),
)
_ABSENT = (
    *(Field.ERROR, Field.OVERRIDE, Field.OVERRIDE_DATE, Field.OVERRIDE_NOTE),
    *(Field.PROVENANCE, Field.DECLARED),
)
"""A track with one of them is looked at as a row: much may follow from it."""

_SQL = f"""
SELECT items.id, items.path, {Field.FILE}.value FROM items
{
    " ".join(
        f"JOIN item_attributes AS {name}"
        f" ON {name}.entity_id = items.id AND {name}.key = '{name}'"
        for name in _PRESENT
    )
}
WHERE items.id IN (SELECT value FROM json_each(?1))
AND {Field.MODEL}.value = ?2
AND {Field.REASON}.value = '{Reason.SCORE.value}'
AND {Field.FILE}.value NOT GLOB '*[^0-9a-f-]*'
AND {Field.SCORE}.value NOT GLOB '*[^0-9.e-]*'
AND {Field.VERDICT}.value = CASE
    WHEN min(abs({Field.SCORE}.value - ?3), abs({Field.SCORE}.value - ?4)) < 1e-9 THEN ''
    WHEN CAST({Field.SCORE}.value AS REAL) >= ?3 THEN '{Verdict.AI.value}'
    WHEN CAST({Field.SCORE}.value AS REAL) >= ?4 THEN '{Verdict.UNSURE.value}'
    ELSE '{Verdict.REAL.value}'
END
AND NOT EXISTS (
    SELECT 1 FROM item_attributes
    WHERE entity_id = items.id AND key IN ({", ".join(f"'{name}'" for name in _ABSENT)})
)
AND CAST({Field.SHARE}.value AS REAL) = (
    SELECT round(avg(CAST(substr(value, instr(value, ':') + 1) AS REAL) >= ?3), 4)
    FROM json_each(CASE WHEN {Field.TIMELINE}.value GLOB '*[^0-9.: ]*' THEN '[]'
        ELSE '["' || replace({Field.TIMELINE}.value, ' ', '","') || '"]' END)
)
"""  # noqa: S608 - its names are our own, its values are bound
"""What SQLite might round otherwise than Python does is left to Python."""


def find_finished(library: Library, ids: Iterable[int], judge: Judge) -> set[int]:
    """Return the ids of the tracks that have all they should have, and an untouched file.

    Of such a track :func:`~.freshness.examine` says that it is fresh, and
    :func:`~.verdicts.redecide` changes nothing. A track may be missing here that is so, too.

    Args:
        library: The library.
        ids: The tracks in question.
        judge: Model and thresholds.

    Raises:
        LibraryError: Another program keeps the database locked.
    """
    file_of = file_reader()
    return {
        int(item_id)
        for item_id, path, stamp in _with_their_verdict(library, ids, judge)
        if is_untouched(file_of(path), stamp)
    }


def find_scored_file(library: Library, judge: Judge) -> Path | None:
    """Return the file of a track that could be scored, untouched since; None for none.

    Raises:
        LibraryError: Another program keeps the database locked.
    """
    file_of = file_reader()
    scored = _with_their_verdict(library, find_ids(library, []), judge)
    files = ((file_of(path), stamp) for _, path, stamp in scored)
    return next((Path(file) for file, stamp in files if is_untouched(file, stamp)), None)


def _with_their_verdict(
    library: Library, ids: Iterable[int], judge: Judge
) -> Iterator[tuple[Any, ...]]:
    limits = (judge.thresholds.ai, judge.thresholds.unsure)
    for part in in_parts(ids):
        yield from select(library, _SQL, part, judge.model, *limits)
