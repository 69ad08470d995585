"""How tracks and runs are printed: lines for people, JSON for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from beets.library import Item

from beetsplug.artifactnet.commands.plan import Plan
from beetsplug.artifactnet.commands.terminal import Failures
from beetsplug.artifactnet.library import Field, Row, is_declared, own, parse_timeline
from beetsplug.artifactnet.results import Outcome, TrackResult, Verdict
from beetsplug.artifactnet.thresholds import InForce, Origin
from beetsplug.artifactnet.words import count_of

JSON_FIELDS = {
    "verdict": Field.VERDICT,
    "reason": Field.REASON,
    "score": Field.SCORE,
    "share": Field.SHARE,
    "segments": Field.SEGMENTS,
    "model": Field.MODEL,
    "scored": Field.SCORED,
    "provenance": Field.PROVENANCE,
    "declared": Field.DECLARED,
    "evidence": Field.EVIDENCE,
    "override": Field.OVERRIDE,
    "override_note": Field.OVERRIDE_NOTE,
    "override_date": Field.OVERRIDE_DATE,
    "error": Field.ERROR,
}
"""Key of the JSON object -> field; null where the track has none."""


def json_line(row: Row, more: Mapping[str, Any]) -> str:
    """Return a track and what else is told of it as one JSON object on one line, in ASCII."""
    values: dict[str, Any] = {"path": row.file, "id": row.id or None}
    values.update({key: row.get(name) for key, name in JSON_FIELDS.items()})
    try:
        segments = parse_timeline(str(row.get(Field.TIMELINE) or ""))
    except ValueError:
        segments = ()
    values["timeline"] = [[segment.start_s, segment.probability] for segment in segments]
    return json.dumps({**values, **more})


@dataclass
class Counts:
    """How many files were scored, and with what verdicts."""

    n_scored: int = 0
    n_failed: int = 0
    n_ai: int = 0
    n_unsure: int = 0
    n_declared: int = 0
    """Say of themselves, in a way that counts as strong, that they are generated."""

    def count(self, result: TrackResult, item: Item | Row) -> None:
        """Count a result that was put on an item."""
        is_scored = result.outcome is Outcome.SCORED
        verdict = own(item, Field.VERDICT)
        self.n_scored += is_scored
        self.n_failed += not is_scored
        self.n_ai += is_scored and verdict == Verdict.AI.value
        self.n_unsure += is_scored and verdict == Verdict.UNSURE.value

    def __str__(self) -> str:
        declared = f", {self.n_declared} declared as generated" if self.n_declared else ""
        flagged = f"{self.n_ai} flagged as ai, {self.n_unsure} unsure"
        return f"{flagged}, {self.n_failed} failed{declared}"


@dataclass
class Tally(Counts):
    """What became of the files of a run."""

    started: float = field(default_factory=time.monotonic)
    failures: Failures = field(default_factory=Failures)
    n_passed_over: int = 0
    """Another run had stored them in the meantime."""
    n_changed: int = 0
    """Have another verdict than before."""
    n_written: int = 0
    """Scored before, and their tags are written now."""

    @property
    def n_done(self) -> int:
        """How many files are done with."""
        return self.n_scored + self.n_failed + self.n_passed_over

    def count(self, result: TrackResult, item: Item | Row) -> None:
        """Count a result that was put on an item, and note a failure."""
        super().count(result, item)
        self.n_declared += is_declared(item)
        if result.score is None:
            self.failures.add(item.filepath, result)

    def note(self) -> str:
        """Return what the progress bar adds: ``2 ai, 1 failed``."""
        return ", ".join(
            f"{number} {word}"
            for number, word in (
                (self.n_ai, "ai"),
                (self.n_unsure, "unsure"),
                (self.n_failed, "failed"),
            )
            if number
        )

    def __str__(self) -> str:
        per_minute = self.n_scored * 60 / max(time.monotonic() - self.started, 1e-9)
        return f"{super().__str__()}, {per_minute:.0f} songs per minute"


def threshold_words(in_force: InForce) -> str:
    """Return what a summary adds where the user has changed the thresholds; otherwise empty."""
    is_card = {in_force.ai_origin, in_force.unsure_origin} == {Origin.CARD}
    return "" if is_card else f", thresholds: {in_force}"


def summary(tally: Tally, plan: Plan) -> str:
    """Return the last line of a run that scored something."""
    return f"{tally.n_scored} scored, {plan.n_skipped} skipped, {tally}{hints(tally, plan)}"


def nothing_to_do(tally: Tally, plan: Plan) -> str:
    """Return the last line of a run that had nothing to score."""
    if not plan.n_skipped:
        return "nothing to score: the library has no tracks"
    verb = "has" if plan.n_scored == 1 else "have"
    found = f"{count_of(plan.n_scored, 'track')} {verb} a score"
    return f"nothing to score: {found}{hints(tally, plan)}"


def hints(tally: Tally, plan: Plan) -> str:
    """Name what else was done, what was left alone, and how to have it done."""
    words = (
        (tally.n_changed, "changed verdict"),
        (tally.n_written, "written to tags"),
        (tally.n_passed_over, "scored by another run meanwhile"),
        (plan.n_stale, "outdated (--outdated)"),
        (plan.n_failed, "failed before (--retry-failed)"),
    )
    return "".join(f", {number} {word}" for number, word in words if number)
