"""The types that leave the engine: all results for one file.

Everything that stores, prints or draws a score speaks in these types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal


class Outcome(StrEnum):
    """The outcome for one file."""

    SCORED = "scored"
    TOO_SHORT = "too_short"
    SILENT = "silent"
    NO_EVIDENCE = "no evidence"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    UNAVAILABLE = "unavailable"
    """It cannot be read while other files can: no permission, a bad sector."""
    MODEL_FAILED = "model_failed"

    @classmethod
    def of_reason(cls, reason: str) -> Outcome:
        """Return the outcome that a :attr:`TrackResult.reason` begins with.

        Raises:
            ValueError: The text is no such reason.
        """
        return cls(reason.partition(":")[0]) if reason else cls.SCORED


class Verdict(StrEnum):
    """A score held against two thresholds; no word is a substring of another."""

    AI = "ai"
    UNSURE = "unsure"
    REAL = "real"


@dataclass(frozen=True)
class Thresholds:
    """Where a probability becomes a verdict: ``0 < unsure <= ai <= 1``.

    Raises:
        ValueError: The two values are not in that order or range.
    """

    ai: float
    """At or above: :attr:`Verdict.AI`."""
    unsure: float
    """At or above, and below ``ai``: :attr:`Verdict.UNSURE`."""

    def __post_init__(self) -> None:
        if not 0.0 < self.unsure <= self.ai <= 1.0:
            raise ValueError(
                f"thresholds must satisfy 0 < unsure <= ai <= 1, "
                f"got unsure={self.unsure:g}, ai={self.ai:g}"
            )

    def verdict(self, probability: float) -> Verdict:
        """Return the verdict on a probability; a threshold itself is above the line."""
        if probability >= self.ai:
            return Verdict.AI
        if probability >= self.unsure:
            return Verdict.UNSURE
        return Verdict.REAL

    def ai_share(self, probabilities: Sequence[float]) -> float:
        """Return the share of probabilities, at least one, at or above ``ai``."""
        return sum(value >= self.ai for value in probabilities) / len(probabilities)


@dataclass(frozen=True)
class SegmentScore:
    """The model's answer for one segment."""

    start_s: float
    """Where the segment begins, seconds from the start of the track."""
    probability: float
    """P(AI) in [0, 1], finite."""


@dataclass(frozen=True)
class Comb:
    """Lines at equal distances in a song's spectrum, as a neural decoder leaves them."""

    spacing_hz: float
    """Distance between neighbouring lines, Hz."""
    height_db: float
    """How far the lines stand out of their neighbours on average, decibels."""
    n_segments: int
    """Segments that show lines at the same distance by themselves."""
    n_of: int
    """Segments that were looked at."""


class Lack(StrEnum):
    """Why a segment was not judged."""

    SILENCE = "silence"
    TOO_LITTLE = "too little"
    """There is sound, and too little in it: a tone, a click, steady noise."""


@dataclass(frozen=True)
class Unjudged:
    """A segment that has no vote; another one was judged in its place where there was one."""

    start_s: float
    """Where the segment begins, seconds from the start of the track."""
    lack: Lack


@dataclass(frozen=True)
class TrackScore:
    """The score of one track and the segments it was made of."""

    probability: float
    """P(AI) of the track in [0, 1]."""
    segments: tuple[SegmentScore, ...]
    """In time order; segments whose probability was not finite are left out."""
    duration_s: float
    """Decoded length of the track, seconds."""
    model: str
    """Model and pipeline, as :func:`~.scoring.version.scored_by` names them."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """The value of each branch of the model, by its name; empty where it gives none."""
    combs: tuple[Comb, ...] | None = None
    """The comb in the song's spectrum, empty where there is none; None where the model
    does not give its lines."""
    unjudged: tuple[Unjudged, ...] = ()
    """In time order."""


Side = Literal["ai", "human"]


@dataclass(frozen=True)
class Sentence:
    """One reason for a verdict, or one thing to know of a track."""

    text: str
    """In plain words, without a full stop. It may hold what a file or a user wrote:
    escape it for where it is shown."""
    speaks_for: Side | None = None
    """For which verdict; None where it speaks for neither."""


class Strength(StrEnum):
    """How much a claim is worth; only a strong one decides a verdict."""

    STRONG = "strong"
    WEAK = "weak"
    HINT = "hint"


STRENGTHS: Mapping[str, Strength] = {
    "url": Strength.STRONG,
    "comment": Strength.STRONG,
    "c2pa": Strength.STRONG,
    "aigc": Strength.STRONG,
    "c2pa-composite": Strength.WEAK,
    "c2pa-other": Strength.WEAK,
    "aigc-2": Strength.WEAK,
    "aigc-3": Strength.WEAK,
    "ai_generated": Strength.WEAK,
    "prompt": Strength.WEAK,
    "artist": Strength.HINT,
    "encoder": Strength.HINT,
}
"""Source of a claim -> its strength."""


@dataclass(frozen=True)
class Claim:
    """A file's claim about its own origin, in one place of it."""

    generator: str
    """Who made it, in lower case; ``unknown`` where the file names nobody."""
    source: str
    """Where the file says so; a key of :data:`STRENGTHS`."""
    text: str = field(default="", compare=False)
    """The file's own words, shortened."""

    @property
    def word(self) -> str:
        """The claim as it is stored: ``generator:source``."""
        return f"{self.generator}:{self.source}"

    @property
    def strength(self) -> Strength:
        """The strength of the claim; a hint where the source is not known."""
        return STRENGTHS.get(self.source, Strength.HINT)


def format_claims(claims: Iterable[Claim]) -> str:
    """Return the claims' words, each once, comma-separated; empty for none."""
    return ",".join(dict.fromkeys(claim.word for claim in claims))


def parse_claims(text: str) -> tuple[Claim, ...]:
    """Return the claims that :func:`format_claims` wrote; other words are left out."""
    pairs = (word.strip().partition(":") for word in text.split(","))
    return tuple(Claim(generator, source) for generator, _, source in pairs if source)


@dataclass(frozen=True)
class ReleaseTags:
    """What tags, or the library, say of a recording's release and of who made it."""

    original_year: int = 0
    """Of the first release; 0 where it is unknown."""
    year: int = 0
    """Of this release; 0 where it is unknown."""
    artist_ids: tuple[str, ...] = ()
    """MusicBrainz and Spotify ids of the artists."""


@dataclass(frozen=True)
class TrackResult:
    """The outcome for one file, with its score where it has one."""

    path: Path
    outcome: Outcome
    score: TrackScore | None = None
    """Present exactly when ``outcome`` is :attr:`Outcome.SCORED`."""
    detail: str = ""
    """Why there is no score, in a few words; empty when there is one."""
    claims: tuple[Claim, ...] = ()
    """The file's claims about its own origin."""

    @property
    def provenance(self) -> str:
        """The claims' words, comma-separated; empty where the file says nothing."""
        return format_claims(self.claims)

    stamp: str = ""
    """The file as it was before it was read, as :func:`~.stamp.file_stamp` has it."""
    reading: str = ""
    """How its samples came about, ``libsndfile, mean of channels``; empty without a score."""

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.outcome is Outcome.SCORED):
            raise ValueError(f"outcome {self.outcome.value} with score {self.score}")

    @property
    def reason(self) -> str:
        """Why there is no score: ``"<outcome>: <detail>"``; empty where there is one."""
        return "" if self.score is not None else f"{self.outcome.value}: {self.detail}"
