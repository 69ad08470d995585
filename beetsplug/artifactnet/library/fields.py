"""The flexible attributes: names, and how the segments of a score are written.

Absent means unscored. A field is never 0, None or NaN for want of a score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from beets.dbcore import types
from beets.library import Album, Item

from beetsplug.artifactnet.library.types import (
    Count,
    Date,
    Flag,
    Note,
    Number,
    OverrideWord,
    Text,
)
from beetsplug.artifactnet.results import SegmentScore


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
    EVIDENCE = "ai_evidence"
    ERROR = "ai_error"
    HISTORY = "ai_history"
    OVERRIDE = "ai_override"
    OVERRIDE_NOTE = "ai_override_note"
    OVERRIDE_DATE = "ai_override_date"
    OVERRIDE_FROM = "ai_override_from"
    PROVENANCE = "ai_provenance"
    DECLARED = "ai_declared"
    REASON = "ai_reason"
    ALBUM_SCORE = "ai_album_score"
    ALBUM_FLAGGED = "ai_album_flagged"
    ALBUM_SCORED = "ai_album_scored"
    ALBUM_VERDICT = "ai_album_verdict"
    ALBUM_OVERRIDE = "ai_album_override"
    ALBUM_NOTE = "ai_album_override_note"

    OF_A_SCORE: ClassVar = (
        *(SCORE, VERDICT, SHARE, SEGMENTS, TIMELINE, MODEL, SCORED, FILE),
        EVIDENCE,
    )
    """What a score consists of; all present or all absent, but the verdict and the evidence,
    which some models do not give."""


ITEM_TYPES: dict[str, types.Type] = {
    Field.SCORE: Number(4),
    Field.VERDICT: Text(),
    Field.SHARE: Number(2),
    Field.SEGMENTS: Count(),
    Field.TIMELINE: Text(),
    Field.MODEL: Text(),
    Field.SCORED: Date(),
    Field.FILE: Text(),
    Field.EVIDENCE: Text(),
    Field.ERROR: Text(),
    Field.HISTORY: Text(),
    Field.OVERRIDE: OverrideWord(),
    Field.OVERRIDE_NOTE: Note(),
    Field.OVERRIDE_DATE: Date(),
    Field.OVERRIDE_FROM: Text(),
    Field.PROVENANCE: Text(),
    Field.DECLARED: Flag(),
    Field.REASON: Text(),
}
ALBUM_TYPES: dict[str, types.Type] = {
    Field.ALBUM_SCORE: Number(4),
    Field.ALBUM_FLAGGED: Count(),
    Field.ALBUM_SCORED: Count(),
    Field.ALBUM_VERDICT: Text(),
    Field.ALBUM_OVERRIDE: Text(),
    Field.ALBUM_NOTE: Text(),
}


class Row(dict[str, object]):
    """A track as the database has it, without the item that beets would make of it.

    :func:`own`, :func:`put` and :func:`item_path` take it for an item: what decides on one
    decides on the other, at a twentieth of the time.
    """

    def __init__(self, item_id: int, file: str, values: Mapping[str, object]) -> None:
        super().__init__(values)
        self.id, self.file = item_id, file

    @property
    def filepath(self) -> Path:
        """The path of its file."""
        return Path(self.file)


def own(item: Item | Row, name: str) -> object:
    """Return the item's own value, None where it has none, its album's aside."""
    if isinstance(item, Row):
        return item.get(name)
    return item.get(name, None, with_album=False)


def item_path(item: Item | Row) -> Path:
    """Return an item's path, absolute; call it where the item was loaded.

    beets expands paths through a context variable that worker threads do not have.
    """
    return Path(item.filepath)


def put(model: Item | Album | Row, name: str, value: str | float | None) -> bool:
    """Set a field, or remove it where there is no value; tell whether that changed it."""
    before = model.get(name) if isinstance(model, Album) else own(model, name)
    if value == before:
        return False
    if value is None:
        del model[name]
    else:
        model[name] = value
    return True


def format_timeline(segments: Iterable[SegmentScore]) -> str:
    """Return segments as ``START:PROBABILITY`` words: ``0.0:0.9713 39.3:0.9402``."""
    return " ".join(f"{s.start_s:.1f}:{s.probability:.4f}" for s in segments)


_TIMELINE = re.compile(r"\s*(?:\d{1,9}(?:\.\d+)?:(?:0(?:\.\d+)?|1(?:\.0+)?)(?:\s+|$))*")


def parse_timeline(text: str) -> tuple[SegmentScore, ...]:
    """Return the segments of :func:`format_timeline`, to 0.1 s and 0.0001.

    Raises:
        ValueError: A word is not ``START:PROBABILITY`` with a probability in [0, 1].
    """
    probabilities = timeline_probabilities(text)
    starts = (float(word.partition(":")[0]) for word in text.split())
    return tuple(map(SegmentScore, starts, probabilities))


def timeline_probabilities(text: str) -> list[float]:
    """Return the probabilities of a timeline alone, a tenth of the work.

    Raises:
        ValueError: As :func:`parse_timeline` does.
    """
    words = text.split()
    if not _TIMELINE.fullmatch(text):
        word = next(word for word in words if not _TIMELINE.fullmatch(word))
        raise ValueError(f"{word!r} in a timeline is not START:PROBABILITY")
    return [float(word[word.index(":") + 1 :]) for word in words]
