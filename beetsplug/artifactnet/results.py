"""The types that leave the engine: what was found out about one file.

Everything that stores, prints or draws a score speaks in these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """What became of one file."""

    SCORED = "scored"
    TOO_SHORT = "too_short"
    SILENT = "silent"
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


@dataclass(frozen=True)
class SegmentScore:
    """The model's answer for one segment."""

    start_s: float
    """Where the segment begins, seconds from the start of the track."""
    probability: float
    """P(AI) in [0, 1], finite."""


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
    """Id and version of the model, as ``ModelCard.label`` gives them."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """What each branch of the model found, by its name; empty where it does not tell."""


@dataclass(frozen=True)
class TrackResult:
    """What happened to one file."""

    path: Path
    outcome: Outcome
    score: TrackScore | None = None
    """Present exactly when ``outcome`` is :attr:`Outcome.SCORED`."""
    detail: str = ""
    """Why there is no score, in a few words; empty when there is one."""
    provenance: str = ""
    """What the file says of its own origin; empty where it says nothing."""

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.outcome is Outcome.SCORED):
            raise ValueError(f"outcome {self.outcome.value} with score {self.score}")

    @property
    def reason(self) -> str:
        """Why there is no score: ``"<outcome>: <detail>"``; empty where there is one."""
        return "" if self.score is not None else f"{self.outcome.value}: {self.detail}"
