"""A result put on an item, and the verdict that follows from score, override and thresholds."""

from __future__ import annotations

import time

from beets.library import Item

from beetsplug.artifactnet.library.fields import (
    Field,
    format_timeline,
    item_path,
    own,
    parse_timeline,
    put,
)
from beetsplug.artifactnet.library.freshness import file_stamp
from beetsplug.artifactnet.results import (
    Outcome,
    SegmentScore,
    TrackResult,
    TrackScore,
    Verdict,
)
from beetsplug.artifactnet.scoring.track import ai_share, decide
from beetsplug.artifactnet.thresholds import Judge


def apply_result(item: Item, result: TrackResult, judge: Judge) -> None:
    """Put a result on an item, without storing it.

    A failure leaves nothing of an older score behind, unless nobody could look at the
    file: where it is missing or cannot be read, the score of an earlier time stays.
    """
    if result.outcome in (Outcome.MISSING, Outcome.UNAVAILABLE):
        item[Field.ERROR] = result.reason
        return
    put(item, Field.PROVENANCE, result.provenance or None)
    if result.score is None:
        for name in Field.OF_A_SCORE:
            put(item, name, None)
        item[Field.ERROR] = result.reason
    else:
        _apply_score(item, result.score)
        put(item, Field.ERROR, None)
    redecide(item, judge)


def _apply_score(item: Item, score: TrackScore) -> None:
    item[Field.SCORE] = float(score.probability)
    item[Field.SEGMENTS] = len(score.segments)
    item[Field.TIMELINE] = format_timeline(score.segments)
    item[Field.MODEL] = score.model
    item[Field.SCORED] = time.time()
    put(item, Field.FILE, file_stamp(item_path(item)))


def redecide(item: Item, judge: Judge) -> bool:
    """Bring verdict and share in line with the thresholds; tell whether they changed.

    A score of another model keeps its verdict: these thresholds are not its own. The
    user's override holds whatever the model.
    """
    before = own(item, Field.VERDICT), own(item, Field.SHARE)
    word, score = override(item), own(item, Field.SCORE)
    is_ours = own(item, Field.MODEL) == judge.model
    segments = _segments(item) if is_ours else ()
    if segments:
        # Rounded: SQLite keeps 15 digits of a number, and 1/7 would come back changed.
        put(item, Field.SHARE, round(ai_share(segments, judge.thresholds), 4))
    if word is not None:
        item[Field.VERDICT] = word.value
    elif not isinstance(score, float):
        put(item, Field.VERDICT, None)
    elif is_ours or before[0] is None:
        item[Field.VERDICT] = decide(score, judge.thresholds).value
    return (own(item, Field.VERDICT), own(item, Field.SHARE)) != before


def _segments(item: Item) -> tuple[SegmentScore, ...]:
    """Return the segments of an item's score, none where somebody spoilt the timeline."""
    try:
        return parse_timeline(str(own(item, Field.TIMELINE)))
    except ValueError:
        return ()


def override(item: Item) -> Verdict | None:
    """Return the user's own word on an item; anything but ``ai`` and ``real`` is none."""
    word = str(own(item, Field.OVERRIDE) or "").strip().lower()
    return Verdict(word) if word in (Verdict.AI.value, Verdict.REAL.value) else None
