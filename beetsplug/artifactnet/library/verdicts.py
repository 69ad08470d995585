"""A result put on an item, and the verdict that follows from score, override and thresholds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from beets.library import Item

from beetsplug.artifactnet.library.evidence import format_evidence
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
    Claim,
    Outcome,
    Strength,
    Thresholds,
    TrackResult,
    TrackScore,
    Verdict,
    format_claims,
    parse_claims,
)
from beetsplug.artifactnet.scoring.version import model_of
from beetsplug.artifactnet.stamp import file_stamp
from beetsplug.artifactnet.thresholds import Judge


class Reason(StrEnum):
    """What a verdict follows."""

    OVERRIDE = "override"
    DECLARED = "declared"
    SCORE = "score"


def apply_result(item: Item | Row, result: TrackResult, judge: Judge) -> None:
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
        _apply_score(item, result.score, result.stamp)
        put(item, Field.ERROR, None)
    redecide(item, judge)


def _apply_score(item: Item | Row, score: TrackScore, stamp: str) -> None:
    item[Field.SCORE] = float(score.probability)
    item[Field.SEGMENTS] = len(score.segments)
    item[Field.TIMELINE] = format_timeline(score.segments)
    put(item, Field.EVIDENCE, format_evidence(score) or None)
    item[Field.MODEL] = score.model
    item[Field.SCORED] = time.time()
    put(item, Field.FILE, stamp or file_stamp(item_path(item)))


def redecide(item: Item | Row, judge: Judge) -> bool:
    """Bring verdict and share in line with the thresholds; tell whether they changed.

    The user's override comes first, then a strong declaration, then the score. A score of
    another model keeps its verdict: these thresholds are not its own. Override and
    declaration hold whatever the model.
    """
    word = override(item)
    changed = _date_override(item, word)
    declared = is_declared(item)
    changed |= put(item, Field.DECLARED, declared or None)
    is_ours = model_of(str(own(item, Field.MODEL))) == model_of(judge.model)
    share = _share(item, judge.thresholds) if is_ours else None
    if share is not None:
        # Rounded: SQLite keeps 15 digits of a number, and 1/7 would come back changed.
        changed |= put(item, Field.SHARE, round(share, 4))
    decides = declared and judge.follows_declarations
    verdict, reason = _verdict(item, judge, word, is_ours=is_ours, is_declared=decides)
    changed |= put(item, Field.REASON, reason)
    return put(item, Field.VERDICT, verdict) or changed


def _date_override(item: Item | Row, word: Verdict | None) -> bool:
    """Date the user's word where it is new; drop date and note where it is taken back.

    Returns:
        Whether anything changed.
    """
    reason = own(item, Field.REASON)
    if word is not None:
        # Whatever set it, the verdict does not follow it yet.
        is_new = (own(item, Field.VERDICT), reason) != (word, Reason.OVERRIDE)
        return is_new and put(item, Field.OVERRIDE_DATE, time.time())
    was_dated = put(item, Field.OVERRIDE_DATE, None)
    is_taken_back = was_dated or reason == Reason.OVERRIDE
    return (is_taken_back and put(item, Field.OVERRIDE_NOTE, None)) or was_dated


_SCORE = Reason.SCORE.value


def _verdict(
    item: Item | Row, judge: Judge, word: Verdict | None, *, is_ours: bool, is_declared: bool
) -> tuple[str | None, str | None]:
    """Return the verdict and what it follows, both None where nothing decides."""
    score, before = own(item, Field.SCORE), own(item, Field.VERDICT)
    if word is not None:
        return word.value, Reason.OVERRIDE.value
    if is_declared:
        return Verdict.AI.value, Reason.DECLARED.value
    if not isinstance(score, float):
        return None, None
    follows_score = own(item, Field.REASON) in {None, _SCORE}
    if is_ours or before is None or not follows_score:
        before = judge.thresholds.verdict(score).value
    return str(before), _SCORE


def claims(item: Item | Row) -> tuple[Claim, ...]:
    """Return what the item's file said of itself when it was read."""
    words = own(item, Field.PROVENANCE)
    return parse_claims(str(words)) if words else ()


def is_declared(item: Item | Row) -> bool:
    """Tell whether the item's file declared itself generated, in a way that decides."""
    return any(claim.strength is Strength.STRONG for claim in claims(item))


def forget_claims(item: Item | Row) -> None:
    """Remove what was read of the item's file, without storing."""
    put(item, Field.PROVENANCE, None)


def carries_manifest(item: Item | Row, path: Path) -> bool:
    """Tell whether a file holds a C2PA manifest, as its item's claims lead to expect."""
    from beetsplug.artifactnet.scoring import provenance

    is_expected = any(claim.source.startswith("c2pa") for claim in claims(item))
    return is_expected and provenance.carries_manifest(path)


def add_claims(item: Item | Row, news: Iterable[Claim]) -> bool:
    """Add a file's claims to those read before, without storing; tell whether any is new.

    What was read once stays: writing a tag spoils a manifest, and a transcode loses all.
    """
    known = claims(item)
    words = format_claims([*known, *news])
    return words != format_claims(known) and put(item, Field.PROVENANCE, words)


def _share(item: Item | Row, thresholds: Thresholds) -> float | None:
    """Return the share of segments at or above ``ai``, None for a timeline that is none."""
    try:
        probabilities = timeline_probabilities(str(own(item, Field.TIMELINE) or ""))
    except ValueError:
        return None
    return thresholds.ai_share(probabilities) if probabilities else None


def override(item: Item | Row) -> Verdict | None:
    """Return the user's own word on an item; what is none of :data:`WORDS` is no word."""
    word = own(item, Field.OVERRIDE)
    return WORDS.get(str(word).strip().lower()) if word else None
