"""How far encodings move the scores of one model, and the gates that they must pass."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.transport.encodings import ENCODINGS, GATED, REFERENCE

MAX_MEAN_SHIFT = 0.15
MAX_SHIFT = 0.35
MAX_SOURCE_FPR = 0.05
MIN_TPR = 0.90


@dataclass(frozen=True)
class Shifts:
    """How far one encoding took the scores from the reference's."""

    encoding: str
    n_tracks: int
    """Scored in this encoding and as the reference."""
    mean_shift: float | None
    """Mean of the absolute differences; None where there is no such track."""
    max_shift: float | None
    n_flips: int
    """Tracks that only one of the two flags, at the model's own threshold."""
    n_failed: int
    """Tracks of the reference that were not scored in this encoding."""


@dataclass(frozen=True)
class Gate:
    """A bound that transport must keep to."""

    name: str
    found: float | None
    """None: there was nothing to measure."""
    bound: str
    """In words: ``at most 0.15``."""
    passed: bool | None


@dataclass(frozen=True)
class Transported:
    """The test's results for one model."""

    model: str
    threshold: float
    """The model's own ``ai`` threshold."""
    n_tracks: int
    """Scored as the reference."""
    by_encoding: tuple[Shifts, ...]
    gated: Shifts
    """All pairs of the gated encodings with the reference."""
    total: Shifts
    """All pairs of an encoding with the reference."""
    mean_range: float | None
    """Mean over tracks of the highest minus the lowest score in any encoding."""
    max_range: float | None
    n_flipped_tracks: int
    """Tracks that flip in at least one encoding."""
    gates: tuple[Gate, ...]


def summarise(
    model: str, threshold: float, rows: Sequence[tuple[LabelledTrack, Mapping[str, float]]]
) -> Transported:
    """Return what the scores of one model say.

    Args:
        model: Its label.
        threshold: At or above which a score is flagged.
        rows: Each track with its score by encoding, the reference among them.
    """
    encoded = [e.name for e in ENCODINGS if e is not REFERENCE]
    by_encoding = tuple(_shifts(name, [name], rows, threshold) for name in encoded)
    gated = [name for name in encoded if name in GATED]
    of_gated = _shifts("gated encodings", gated, rows, threshold)
    ranges = [max(row.values()) - min(row.values()) for _, row in rows]
    return Transported(
        model=model,
        threshold=threshold,
        n_tracks=len(rows),
        by_encoding=by_encoding,
        gated=of_gated,
        total=_shifts("all encodings", encoded, rows, threshold),
        mean_range=statistics.fmean(ranges) if ranges else None,
        max_range=max(ranges, default=None),
        n_flipped_tracks=sum(
            len({score >= threshold for score in row.values()}) > 1 for _, row in rows
        ),
        gates=_gates(of_gated, rows, threshold),
    )


def _shifts(
    name: str,
    encodings: Sequence[str],
    rows: Sequence[tuple[LabelledTrack, Mapping[str, float]]],
    threshold: float,
) -> Shifts:
    pairs = [
        (row[REFERENCE.name], row[encoding])
        for _, row in rows
        for encoding in encodings
        if encoding in row
    ]
    shifts = [abs(score - reference) for reference, score in pairs]
    return Shifts(
        encoding=name,
        n_tracks=len(pairs),
        mean_shift=statistics.fmean(shifts) if shifts else None,
        max_shift=max(shifts, default=None),
        n_flips=sum((ref >= threshold) != (score >= threshold) for ref, score in pairs),
        n_failed=len(rows) * len(encodings) - len(pairs),
    )


def _gates(
    shifts: Shifts, rows: Sequence[tuple[LabelledTrack, Mapping[str, float]]], threshold: float
) -> tuple[Gate, ...]:
    """Return the gates, rates being those of the worst encoding."""
    flags: dict[tuple[str, str, str], list[bool]] = {}
    for track, row in rows:
        for encoding in GATED:
            if encoding in row:
                source = track.source if track.label == "real" else ""
                key = track.label, source, encoding
                flags.setdefault(key, []).append(row[encoding] >= threshold)
    rates = {key: sum(found) / len(found) for key, found in flags.items()}
    fpr = max((rate for (label, *_), rate in rates.items() if label == "real"), default=None)
    tpr = min((rate for (label, *_), rate in rates.items() if label == "ai"), default=None)
    return (
        _at_most("mean shift", shifts.mean_shift, MAX_MEAN_SHIFT),
        _at_most("maximum shift", shifts.max_shift, MAX_SHIFT),
        _at_most("FPR of each source, in each encoding", fpr, MAX_SOURCE_FPR),
        Gate(
            "TPR in each encoding",
            tpr,
            f"at least {MIN_TPR:g}",
            None if tpr is None else tpr >= MIN_TPR,
        ),
    )


def _at_most(name: str, found: float | None, bound: float) -> Gate:
    return Gate(name, found, f"at most {bound:g}", None if found is None else found <= bound)
