"""A result put on an item, and the verdict that follows from score, override and thresholds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from beets.library import Item

from beetsplug.artifactnet.library.fields import (
    Field,
    Row,
    format_timeline,
    item_path,
    own,
    put,
    timeline_probabilities,
)
from beetsplug.artifactnet.library.types import WORDS
from beetsplug.artifactnet.results import (
    Outcome,
    Thresholds,
    TrackResult,
    TrackScore,
    Verdict,
)
from beetsplug.artifactnet.scoring.track import decide, share_above
from beetsplug.artifactnet.stamp import file_stamp


@dataclass(frozen=True)
class Judge:
    """Who decides at present: a model and the thresholds in force."""

    model: str
    """The model's label."""
    thresholds: Thresholds


def apply_result(item: Item | Row, result: TrackResult, judge: Judge) -> None:
    """Put a result on an item, without storing it.

    A failure leaves nothing of an older score behind, with one exception: where the
    file is merely missing, the score of the time when it was there stays.
    """
    if result.outcome is Outcome.MISSING:
        item[Field.ERROR] = f"{result.outcome.value}: {result.detail}"
        return
    put(item, Field.PROVENANCE, result.provenance or None)
    if result.score is None:
        for name in Field.OF_A_SCORE:
            put(item, name, None)
        item[Field.ERROR] = f"{result.outcome.value}: {result.detail}"
    else:
        _apply_score(item, result.score, result.stamp)
        put(item, Field.ERROR, None)
    redecide(item, judge)


def _apply_score(item: Item | Row, score: TrackScore, stamp: str) -> None:
    item[Field.SCORE] = float(score.probability)
    item[Field.SEGMENTS] = len(score.segments)
    item[Field.TIMELINE] = format_timeline(score.segments)
    item[Field.MODEL] = score.model
    item[Field.SCORED] = time.time()
    put(item, Field.FILE, stamp or file_stamp(item_path(item)))


def redecide(item: Item | Row, judge: Judge) -> bool:
    """Bring verdict and share in line with the thresholds; tell whether they changed.

    A score of another model keeps its verdict: these thresholds are not its own. The
    user's override holds whatever the model.
    """
    before = own(item, Field.VERDICT), own(item, Field.SHARE)
    word, score = override(item), own(item, Field.SCORE)
    is_ours = own(item, Field.MODEL) == judge.model
    share = _share(item, judge.thresholds) if is_ours else None
    if share is not None:
        # Rounded: SQLite keeps 15 digits of a number, and 1/7 would come back changed.
        put(item, Field.SHARE, round(share, 4))
    if word is not None:
        item[Field.VERDICT] = word.value
    elif not isinstance(score, float):
        put(item, Field.VERDICT, None)
    elif is_ours or before[0] is None:
        item[Field.VERDICT] = decide(score, judge.thresholds).value
    return (own(item, Field.VERDICT), own(item, Field.SHARE)) != before


def _share(item: Item | Row, thresholds: Thresholds) -> float | None:
    """Return the share of segments at or above ``ai``, None for a timeline that is none."""
    try:
        probabilities = timeline_probabilities(str(own(item, Field.TIMELINE) or ""))
    except ValueError:
        return None
    return share_above(probabilities, thresholds.ai) if probabilities else None


def override(item: Item | Row) -> Verdict | None:
    """Return the user's own word on an item; what is none of :data:`WORDS` is no word."""
    return WORDS.get(str(own(item, Field.OVERRIDE) or "").strip().lower())


def album_verdict(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    """Return the verdict on an album, None where none of its tracks has one.

    Args:
        verdicts: Of each of its tracks.

    Returns:
        ``ai`` where at least half of the tracks are, ``real`` where all are, and otherwise
        ``unsure``.
    """
    if not any(verdicts):
        return None
    if 2 * verdicts.count(Verdict.AI) >= len(verdicts):
        return Verdict.AI
    return Verdict.REAL if set(verdicts) == {Verdict.REAL} else Verdict.UNSURE
