"""The flexible attributes: names, types, and how the segments of a score are written.

Absent means unscored. A field is never 0, None or NaN for want of a score: beets reads
None back as 0.0 for a typed float, and then every unscored track is certainly human.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from beets.dbcore import types
from beets.library import Album, Item

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
    ERROR = "ai_error"
    OVERRIDE = "ai_override"
    PROVENANCE = "ai_provenance"
    DECLARED = "ai_declared"
    REASON = "ai_reason"
    ALBUM_SCORE = "ai_album_score"
    ALBUM_FLAGGED = "ai_album_flagged"

    OF_A_SCORE: ClassVar = (SCORE, VERDICT, SHARE, SEGMENTS, TIMELINE, MODEL, SCORED, FILE)
    """What a score consists of; all present or all absent, the verdict aside."""


class Yes(types.Boolean):
    """A flag that is there and ``yes``, or absent."""

    def format(self, value: bool) -> str:
        """Return ``yes`` for a flag that is set."""
        return "yes" if value else ""


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
    Field.DECLARED: Yes(),
    Field.REASON: types.STRING,
}
ALBUM_TYPES: dict[str, types.Type] = {
    Field.ALBUM_SCORE: types.Float(4),
    Field.ALBUM_FLAGGED: types.INTEGER,
}


def own(item: Item, name: str) -> object:
    """Return the item's own value, None where it has none, its album's aside."""
    return item.get(name, None, with_album=False)


def item_path(item: Item) -> Path:
    """Return an item's path, absolute; call it where the item was loaded.

    beets expands paths through a context variable that worker threads do not have.
    """
    return Path(item.filepath)


def put(model: Item | Album, name: str, value: str | float | None) -> bool:
    """Set a field, or remove it where there is no value; tell whether that changed it."""
    before = own(model, name) if isinstance(model, Item) else model.get(name)
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
