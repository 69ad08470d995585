"""Changes in a library: reads back the histories that its tracks carry."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise

from beets.library import Library

from beetsplug.artifactnet.library.entries import Decision, Entry, parse_entries
from beetsplug.artifactnet.library.fields import Field
from beetsplug.artifactnet.library.storing import select, text_of
from beetsplug.artifactnet.library.verdicts import Reason
from beetsplug.artifactnet.scoring.version import model_of
from beetsplug.artifactnet.words import count_of


class Cause(StrEnum):
    """Why a track's score, verdict or override changed."""

    SCORED = "scored"
    """It had no score before."""
    AGAIN = "scored again"
    """By the same model: the file changed, or the pipeline did."""
    MODEL = "another model"
    THRESHOLDS = "other thresholds"
    OVERRIDE = "your own word"
    """Given, changed or taken back."""
    DECLARED = "what the file declares"
    FAILED = "could not be scored"
    REMOVED = "score removed"


@dataclass(frozen=True)
class Change:
    """One change of a track's score, verdict or override."""

    item_id: int
    before: Decision
    """Empty where nothing is known of the time before."""
    after: Decision
    date: float
    """When it came to be stored, seconds since 1970."""

    @property
    def is_of_verdict(self) -> bool:
        """Whether a verdict became another one, or none."""
        return self.before.verdict is not None and self.before.verdict != self.after.verdict

    @property
    def cause(self) -> Cause:
        """Why it came."""
        before, after = self.before, self.after
        is_other = (before.verdict, before.reason) != (after.verdict, after.reason)
        if is_other and Reason.OVERRIDE in {before.reason, after.reason}:
            return Cause.OVERRIDE
        if is_other and Reason.DECLARED in {before.reason, after.reason}:
            return Cause.DECLARED
        return _cause_of_score(before, after)


def _cause_of_score(before: Decision, after: Decision) -> Cause:
    if after.score is None:
        return Cause.FAILED if after.reason else Cause.REMOVED
    if before.score is None:
        return Cause.SCORED
    if model_of(before.model or "") != model_of(after.model or ""):
        return Cause.MODEL
    is_same = (before.score, before.model) == (after.score, after.model)
    return Cause.THRESHOLDS if is_same else Cause.AGAIN


def changes_of(item_id: int, entries: Sequence[Entry], since: float = 0.0) -> Iterator[Change]:
    """Yield a track's changes, oldest first.

    Args:
        item_id: Its id.
        entries: Its history.
        since: Of changes before, none is yielded; seconds since 1970.
    """
    states = (Decision(), *(entry.decision for entry in entries))
    for (before, after), entry in zip(pairwise(states), entries, strict=True):
        if entry.date >= since:
            yield Change(item_id, before, after, entry.date)


def read_histories(
    library: Library, ids: Iterable[int], since: float = 0.0
) -> dict[int, tuple[Entry, ...]]:
    """Return the histories of those of these tracks that have changed since a time, by id."""
    first = datetime.fromtimestamp(since, UTC).isoformat()
    rows = select(library, _HISTORIES_SQL, Field.HISTORY, json.dumps(list(ids)))
    return {
        int(item_id): parse_entries(text)
        for item_id, text in ((item_id, text_of(value)) for item_id, value in rows)
        # Dates of this form are in the order of their texts.
        if text.rpartition("; ")[2] >= first[:19]
    }


def summary_lines(found: Iterable[Change]) -> list[str]:
    """Return a line for each cause of changed verdicts, the most frequent first.

    For instance ``12 tracks changed verdict between finecomb 2.1 and 3.0``.
    """
    tracks = {(_phrase(change), change.item_id) for change in found if change.is_of_verdict}
    counts = Counter(phrase for phrase, _ in tracks)
    return [
        f"{count_of(n, 'track')} changed verdict {phrase}" for phrase, n in counts.most_common()
    ]


def _phrase(change: Change) -> str:
    if change.cause is not Cause.MODEL:
        return f"({change.cause.value})"
    before, after = (
        model_of(decision.model or "").rpartition("-")
        for decision in (change.before, change.after)
    )
    name = after[2] if before[0] == after[0] else f"{after[0]} {after[2]}"
    return f"between {before[0]} {before[2]} and {name}"


_HISTORIES_SQL = (
    "SELECT entity_id, CAST(value AS BLOB) FROM item_attributes"
    " WHERE key = ? AND entity_id IN (SELECT value FROM json_each(?)) ORDER BY entity_id"
)
