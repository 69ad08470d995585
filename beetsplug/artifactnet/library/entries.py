"""The history of a track: what its verdict and its score were, since when, and why.

It is one more flexible attribute of the track, and neither a table nor a file beside the
library. So the very transaction that stores a score stores its history. It stays with its
track when beets moves it or imports it again, and goes when beets removes it. A new track
that gets the id of an old one begins without, also where the plugin was switched off in the
meantime. And beets' own queries read it: ``beet ls ai_history:2026-11``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from beets.library import Item

from beetsplug.artifactnet.library.fields import ITEM_TYPES, Field, own, put

MOST_ENTRIES = 20
"""The part of a track's history that is kept: its newest entries, some 60 bytes each."""
_NOTHING = "-"
_WORD = r"[^\s;]{1,300}"
_ENTRY = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z)"
    rf" ({_WORD}) (-|[01]\.[0-9]{{4}}) ({_WORD}) ({_WORD})"
)
_DECIDING = (Field.VERDICT, Field.SCORE, Field.REASON, Field.MODEL, Field.ERROR)
_READ = (*_DECIDING, Field.SCORED, Field.HISTORY)
_READ_SQL = (
    "SELECT key, value FROM item_attributes WHERE entity_id = ? AND key IN (NAMES)"
).replace("NAMES", ", ".join("?" * len(_READ)))


@dataclass(frozen=True)
class Decision:
    """A track's verdict, score and reason at one time."""

    verdict: str | None = None
    score: float | None = None
    """To 4 digits."""
    reason: str | None = None
    """What the verdict follows, as ``ai_reason`` has it; where nothing decides, the outcome
    that kept the track from being scored, such as ``unreadable``."""
    model: str | None = None
    """Model and pipeline that made the score."""


@dataclass(frozen=True)
class Entry:
    """An entry of the history: a track's state from a certain time on."""

    date: float
    """Seconds since 1970, whole."""
    decision: Decision


def format_entries(entries: Iterable[Entry]) -> str:
    """Return a history, oldest entry first: ``2026-11-28T18:54:05Z ai 0.97 score model``."""
    return "; ".join(map(_format, entries))


def _format(entry: Entry) -> str:
    date = datetime.fromtimestamp(entry.date, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    decision = entry.decision
    score = _NOTHING if decision.score is None else f"{decision.score:.4f}"
    verdict, reason, model = map(_quoted, (decision.verdict, decision.reason, decision.model))
    return f"{date} {verdict} {score} {reason} {model}"


def _quoted(word: str | None) -> str:
    return quote(word, safe="+-._:@")[:300] if word else _NOTHING


def parse_entries(text: str) -> tuple[Entry, ...]:
    """Return the entries that :func:`format_entries` wrote; what is none is left out."""
    matches = (_ENTRY.fullmatch(part) for part in text.split("; ")[-MOST_ENTRIES:])
    return tuple(entry for match in matches if match and (entry := _entry(match)))


def _entry(match: re.Match[str]) -> Entry | None:
    date, verdict, score, reason, model = match.groups()
    try:
        seconds = datetime.fromisoformat(date).timestamp()
    except ValueError:
        return None  # the 30th of February
    words = (None if word == _NOTHING else unquote(word) for word in (verdict, reason, model))
    verdict, reason, model = words
    known = None if score == _NOTHING else float(score)
    return Entry(seconds, Decision(verdict, known, reason, model))


def note_change(item: Item) -> None:
    """Note on an item's history what it will be when it is stored, where that is new.

    Only the item's changes count, and the rest is read from the database. Another program may
    have stored the same track since the item was loaded. The history of a track that was scored
    before there was one begins with what the database has. Nothing is stored.
    """
    stored = _read(item)
    entries = parse_entries(str(stored.get(Field.HISTORY) or ""))
    scored = stored.get(Field.SCORED)
    if not entries and isinstance(scored, float):
        entries = (Entry(scored, _decision(stored)),)
    changed = item._dirty.intersection(_DECIDING)  # noqa: SLF001 - beets has no name for it
    now = _decision({**stored, **{name: own(item, name) for name in changed}})
    last = entries[-1].decision if entries else Decision()
    if now != last:
        entries = (*entries, Entry(time.time(), now))[-MOST_ENTRIES:]
    put(item, Field.HISTORY, format_entries(entries) or None)


def _read(item: Item) -> dict[str, object]:
    with item.db.transaction() as transaction:
        rows = transaction.query(_READ_SQL, (item.id, *_READ))
    return {key: ITEM_TYPES[key].from_sql(value) for key, value in rows}


def _decision(values: Mapping[str, object]) -> Decision:
    def text(name: str) -> str | None:
        return str(values[name]) if values.get(name) else None

    score = values.get(Field.SCORE)
    if not isinstance(score, float):
        outcome = (text(Field.ERROR) or "").partition(":")[0].replace(" ", "_")
        return Decision(text(Field.VERDICT), None, text(Field.REASON) or outcome or None)
    model = text(Field.MODEL)
    return Decision(text(Field.VERDICT), round(score, 4), text(Field.REASON), model)
