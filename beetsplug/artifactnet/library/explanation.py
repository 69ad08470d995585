"""Why a track has its verdict, in plain words: what speaks for ``ai``, and what for a human.

Made from stored fields alone; no file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from beets.library import Item

from beetsplug.artifactnet.library.evidence import Evidence, parse_evidence
from beetsplug.artifactnet.library.fields import Field, Row, own, parse_timeline
from beetsplug.artifactnet.library.verdicts import claims, override
from beetsplug.artifactnet.results import (
    Claim,
    Comb,
    Lack,
    ReleaseTags,
    SegmentScore,
    Sentence,
    Side,
    Strength,
    Thresholds,
    Verdict,
)
from beetsplug.artifactnet.scoring.version import model_of
from beetsplug.artifactnet.thresholds import Judge
from beetsplug.artifactnet.words import clock, count_of, day

_PLACES = {
    "url": "a link to its page there",
    "comment": "its comment",
    "c2pa": "a C2PA manifest",
    "aigc": "an AIGC label",
    "c2pa-composite": "a C2PA manifest of a work edited with AI",
    "c2pa-other": "a C2PA manifest that names no source",
    "aigc-2": "an AIGC label: possibly",
    "aigc-3": "an AIGC label: suspected",
    "ai_generated": "the tag AI_GENERATED",
    "prompt": "a prompt",
    "artist": "the artist's name",
    "encoder": "the encoder's name",
}
"""Source of a claim -> where the file says so, in words."""
_NAMES = {"elevenlabs": "ElevenLabs", "minimax": "MiniMax", "comfyui": "ComfyUI"}


@dataclass(frozen=True)
class Explanation:
    """The sentences that explain one track's verdict, and its history."""

    sentences: tuple[Sentence, ...]
    """What decides comes first; at least one."""
    numbers: tuple[str, ...]
    """The numbers behind it, a line each, for who asks for them."""

    @property
    def line(self) -> str:
        """The most telling sentences in one line, for tables and prompts; escape it."""
        told = [sentence.text for sentence in self.sentences if sentence.speaks_for]
        return "; ".join(told[:_MOST_IN_LINE] or [self.sentences[0].text])


_MOST_IN_LINE = 2


def explain(item: Item | Row, judge: Judge, release: ReleaseTags | None = None) -> Explanation:
    """Return what speaks for and against a track, as far as its stored fields tell.

    Args:
        item: A track of the library, or a row of one; scored, failed or neither.
        judge: The model and the thresholds in force.
        release: When it was released; None: as an item's own fields say.
    """
    if release is None:
        release = ReleaseTags() if isinstance(item, Row) else _release(item)
    evidence = parse_evidence(str(own(item, Field.EVIDENCE) or ""))
    told = (
        *_of_override(item),
        *_of_claims(item, judge),
        *_of_combs(evidence),
        *_of_score(item, judge),
        *_of_unjudged(evidence),
        *_of_release(release),
        *_of_failure(item),
    )
    return Explanation(tuple(told), tuple(_numbers(item, judge, evidence)))


def _release(item: Item) -> ReleaseTags:
    return ReleaseTags(int(item.original_year or 0), int(item.year or 0))


def _of_override(item: Item | Row) -> Iterator[Sentence]:
    word = override(item)
    if word is None:
        return
    name: Side = "ai" if word is Verdict.AI else "human"
    note = own(item, Field.OVERRIDE_NOTE)
    said = f"your own word: {name}"
    if isinstance(date := own(item, Field.OVERRIDE_DATE), float):
        said += f", since {day(date)}"
    yield Sentence(f"{said}: {note}" if note else said, name)


def _of_claims(item: Item | Row, judge: Judge) -> Iterator[Sentence]:
    for claim in claims(item):
        where = f"{generator_name(claim)} ({_PLACES.get(claim.source, claim.source)})"
        if claim.strength is Strength.STRONG:
            ignored = "" if judge.follows_declarations else " (not followed: declared is no)"
            yield Sentence(f"the file declares: {where}{ignored}", "ai")
        elif claim.strength is Strength.WEAK:
            yield Sentence(f"the file names AI, which does not decide: {where}", "ai")
        else:
            yield Sentence(f"a mere hint in the tags: {where}")


def generator_name(claim: Claim) -> str:
    """Return the name of who generated a file, as people write it."""
    return _NAMES.get(claim.generator, claim.generator[:1].upper() + claim.generator[1:])


def _of_combs(evidence: Evidence) -> Iterator[Sentence]:
    if evidence.combs is None:
        return
    for comb in evidence.combs:
        yield Sentence(_comb_text(comb), "ai")
    if not evidence.combs:
        yield Sentence("no comb of lines at equal distances stands out")


def _comb_text(comb: Comb) -> str:
    apart = f"a comb of lines {comb.spacing_hz:.1f} Hz apart"
    if not comb.n_segments:
        return f"{apart}, too weak to show in a single segment"
    return f"{apart} in {comb.n_segments} of {count_of(comb.n_of, 'segment')}"


def _of_score(item: Item | Row, judge: Judge) -> Iterator[Sentence]:
    score = own(item, Field.SCORE)
    if not isinstance(score, float):
        return
    model = str(own(item, Field.MODEL) or "")
    if model_of(model) != model_of(judge.model):
        yield Sentence(
            f"{model_of(model)} gave the score {score:.2f}; of {model_of(judge.model)} there "
            f"is none (beet ai --outdated)"
        )
        return
    segments = timeline(item)
    yield _score_sentence(score, segments, judge.thresholds)
    if score < judge.thresholds.ai:
        yield from _of_parts(segments, judge.thresholds)


def _of_parts(segments: Sequence[SegmentScore], thresholds: Thresholds) -> Iterator[Sentence]:
    """Yield the parts of a track that reach the threshold, where the whole does not.

    Of 264 human-made tracks none has three segments in a row that do; two in a row two have.
    """
    for run in _runs_above(segments, thresholds):
        if len(run) >= _LEAST_FOR_PART:
            told = f"{_run_text(run)} reaches the threshold {thresholds.ai:g} by itself"
            yield Sentence(f"{told}, {len(run)} segments in a row", "ai")


_LEAST_FOR_PART = 3


def _runs_above(
    segments: Sequence[SegmentScore], thresholds: Thresholds
) -> list[list[SegmentScore]]:
    """Return the segments that reach ``ai``, neighbours together."""
    grouped = groupby(segments, key=lambda one: one.probability >= thresholds.ai)
    return [list(run) for is_above, run in grouped if is_above]


def _run_text(run: Sequence[SegmentScore]) -> str:
    """Return where a run of segments begins and its last one does: ``1:20 to 2:40``."""
    first, last = clock(run[0].start_s), clock(run[-1].start_s)
    return first if len(run) == 1 else f"{first} to {last}"


def timeline(item: Item | Row) -> tuple[SegmentScore, ...]:
    """Return a track's segments, none where its timeline is none."""
    try:
        return parse_timeline(str(own(item, Field.TIMELINE) or ""))
    except ValueError:
        return ()


def _score_sentence(
    score: float, segments: Sequence[SegmentScore], thresholds: Thresholds
) -> Sentence:
    """Return how score and segments stand to the thresholds."""
    side: Side | None = None
    if score >= thresholds.ai:
        side, relation = "ai", "reaches"
    elif score >= thresholds.unsure:
        relation = f"is between {thresholds.unsure:g} and"
    else:
        side, relation = "human", "is below"
    told = f"the song's score {score:.2f} {relation} the threshold {thresholds.ai:g}"
    return Sentence(f"{told}{_segments_text(segments, thresholds)}", side)


def _segments_text(segments: Sequence[SegmentScore], thresholds: Thresholds) -> str:
    """Return how many segments reach the threshold: the song's score is not made of them."""
    if len(segments) < _LEAST_FOR_SHARE:
        return ""
    runs = _runs_above(segments, thresholds)
    n_above = sum(map(len, runs))
    if not n_above:
        return "; no segment reaches it"
    if n_above == len(segments):
        return "; all segments reach it"
    words = "reaches it by itself" if n_above == 1 else "reach it by themselves"
    text = f"; {n_above} of {len(segments)} segments {words}"
    is_short = len(runs) <= _MOST_PLACES
    return f"{text}: {', '.join(map(_run_text, runs))}" if is_short else text


_LEAST_FOR_SHARE = 2


def _of_unjudged(evidence: Evidence) -> Iterator[Sentence]:
    for lack in Lack:
        places = [found.start_s for found in evidence.unjudged if found.lack is lack]
        if places:
            said = ", ".join(map(clock, places[:_MOST_PLACES]))
            more = len(places) - _MOST_PLACES
            also = f" and {more} more" if more > 0 else ""
            yield Sentence(f"nothing to judge at {said}{also} ({lack.value})")


_MOST_PLACES = 5


def _of_release(release: ReleaseTags) -> Iterator[Sentence]:
    from beetsplug.artifactnet.scoring.provenance import describe_release

    text = describe_release(release.original_year, release.year)
    if text:
        yield Sentence(text.partition(":")[0], "human")


def _of_failure(item: Item | Row) -> Iterator[Sentence]:
    error, has_score = str(own(item, Field.ERROR) or ""), _has_score(item)
    if error:
        outcome, _, detail = error.partition(":")
        says = f"{outcome.replace('_', ' ')}{f' ({d})' if (d := detail.strip()) else ''}"
        kept = "; the score is of an earlier time" if has_score else ""
        yield Sentence(f"it could not be scored: {says}{kept}")
    elif not has_score:
        where = f"id:{item.id}" if item.id else "with its path"
        yield Sentence(f"it is not scored yet (beet ai {where})")


def _has_score(item: Item | Row) -> bool:
    return isinstance(own(item, Field.SCORE), float)


def _numbers(item: Item | Row, judge: Judge, evidence: Evidence) -> Iterator[str]:
    """Yield the numbers, each kind on a line."""
    score = own(item, Field.SCORE)
    if not isinstance(score, float):
        return
    limits = judge.thresholds
    yield f"score {score:.4f}, thresholds: ai {limits.ai:g}, unsure {limits.unsure:g}"
    yield f"model {own(item, Field.MODEL)}"
    if segments := timeline(item):
        words = (f"{clock(one.start_s)} {one.probability:.4f}" for one in segments)
        yield f"segments: {', '.join(words)}"
    if evidence.branches:
        words = (f"{name} {value:.2f}" for name, value in evidence.branches.items())
        yield f"branches (logits of the song): {', '.join(words)}"
    for comb in evidence.combs or ():
        yield (
            f"comb: {comb.spacing_hz:.2f} Hz, lines {comb.height_db:.1f} dB above their "
            f"neighbours, in {comb.n_segments} of {count_of(comb.n_of, 'segment')}"
        )
