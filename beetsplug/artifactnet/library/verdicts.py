"""A result put on an item, and the verdict that follows from score, override and thresholds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

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
    Claim,
    Outcome,
    SegmentScore,
    Strength,
    TrackResult,
    TrackScore,
    Verdict,
    format_claims,
    parse_claims,
)
from beetsplug.artifactnet.scoring.track import ai_share, decide
from beetsplug.artifactnet.thresholds import Judge


class Reason(StrEnum):
    """What a verdict follows."""

    OVERRIDE = "override"
    DECLARED = "declared"
    SCORE = "score"


def apply_result(item: Item, result: TrackResult, judge: Judge) -> None:
    """Put a result on an item, without storing it.

    A failure leaves nothing of an older score behind, unless nobody could look at the
    file: where it is missing or cannot be read, the score of an earlier time stays.
    """
    if result.outcome in (Outcome.MISSING, Outcome.UNAVAILABLE):
        item[Field.ERROR] = result.reason
        return
    add_claims(item, result.claims)
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


_DECIDED = (Field.VERDICT, Field.REASON, Field.DECLARED, Field.SHARE)
"""Fields that follow from others, and that :func:`redecide` keeps in line."""


def redecide(item: Item, judge: Judge) -> bool:
    """Bring verdict and share in line with the thresholds; tell whether they changed.

    The user's override comes first, then a strong declaration, then the score. A score of
    another model keeps its verdict: these thresholds are not its own. Override and
    declaration hold whatever the model.
    """
    before = [own(item, name) for name in _DECIDED]
    put(item, Field.DECLARED, is_declared(item) or None)
    is_ours = own(item, Field.MODEL) == judge.model
    segments = _segments(item) if is_ours else ()
    if segments:
        # Rounded: SQLite keeps 15 digits of a number, and 1/7 would come back changed.
        put(item, Field.SHARE, round(ai_share(segments, judge.thresholds), 4))
    verdict, reason = _verdict(item, judge, is_ours=is_ours)
    put(item, Field.VERDICT, verdict)
    put(item, Field.REASON, reason)
    return [own(item, name) for name in _DECIDED] != before


def _verdict(item: Item, judge: Judge, *, is_ours: bool) -> tuple[str | None, str | None]:
    """Return the verdict and what it follows, both None where nothing decides."""
    word, score, before = override(item), own(item, Field.SCORE), own(item, Field.VERDICT)
    if word is not None:
        return word.value, Reason.OVERRIDE.value
    if judge.follows_declarations and is_declared(item):
        return Verdict.AI.value, Reason.DECLARED.value
    if not isinstance(score, float):
        return None, None
    follows_score = own(item, Field.REASON) in {None, Reason.SCORE.value}
    if is_ours or before is None or not follows_score:
        before = decide(score, judge.thresholds).value
    return str(before), Reason.SCORE.value


def claims(item: Item) -> tuple[Claim, ...]:
    """Return what the item's file said of itself when it was read."""
    return parse_claims(str(own(item, Field.PROVENANCE) or ""))


def is_declared(item: Item) -> bool:
    """Tell whether the item's file declared itself generated, in a way that decides."""
    return any(claim.strength is Strength.STRONG for claim in claims(item))


def forget_claims(item: Item) -> None:
    """Remove what was read of the item's file, without storing."""
    put(item, Field.PROVENANCE, None)


def carries_manifest(item: Item, path: Path) -> bool:
    """Tell whether a file holds a C2PA manifest, as its item's claims lead to expect."""
    from beetsplug.artifactnet.scoring import provenance

    is_expected = any(claim.source.startswith("c2pa") for claim in claims(item))
    return is_expected and provenance.carries_manifest(path)


def add_claims(item: Item, news: Iterable[Claim]) -> bool:
    """Add a file's claims to those read before, without storing; tell whether any is new.

    What was read once stays: writing a tag spoils a manifest, and a transcode loses all.
    """
    known = claims(item)
    words = format_claims([*known, *news])
    return words != format_claims(known) and put(item, Field.PROVENANCE, words)


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
