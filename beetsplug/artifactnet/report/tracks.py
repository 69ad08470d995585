"""Tracks as a report has them, and as CSV and JSON for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from beetsplug.artifactnet.results import SegmentScore, Sentence, Verdict

_SUSPICION = {Verdict.AI.value: 0, Verdict.UNSURE.value: 1, "": 2, Verdict.REAL.value: 3}


@dataclass(frozen=True)
class Track:
    """One track and its results; None or empty where there is nothing."""

    path: str
    """Undecodable bytes of it are surrogates, as Python has them."""
    id: int | None
    title: str = ""
    artist: str = ""
    album: str = ""
    length: float | None = None
    """Seconds."""
    verdict: str | None = None
    reason: str | None = None
    """What the verdict follows: ``override``, ``declared`` or ``score``."""
    score: float | None = None
    """P(AI) in [0, 1]."""
    share: float | None = None
    segments: int | None = None
    model: str | None = None
    """Model and pipeline that made the score."""
    scored: float | None = None
    """When, in seconds since 1970."""
    provenance: str | None = None
    declared: bool | None = None
    evidence: str | None = None
    """The values of the model's branches, in the library's short form."""
    override: str | None = None
    override_note: str | None = None
    override_date: float | None = None
    error: str | None = None
    timeline: tuple[SegmentScore, ...] = ()
    explanation: tuple[Sentence, ...] = ()
    """Evidence for and against."""

    @property
    def name(self) -> str:
        """The title, or the name of the file where there is none."""
        return self.title or self.path.rpartition("/")[2]

    @property
    def is_suspect(self) -> bool:
        """Whether the verdict is ``ai`` or ``unsure``."""
        return self.verdict in {Verdict.AI.value, Verdict.UNSURE.value}

    @property
    def suspicion(self) -> int:
        """Place of the verdict among the verdicts, the most suspicious first."""
        return _SUSPICION.get(self.verdict or "", 2)


COLUMNS = tuple(field.name for field in fields(Track))
"""Keys of a JSON object, and columns of CSV, in their order."""
CSV_START = ",".join(COLUMNS)
JSON_START = '[\n{"path": '
"""How files of ours begin."""


def suspects_first(tracks: Iterable[Track]) -> list[Track]:
    """Return tracks in the order in which one would look at them: by verdict, then score."""
    return sorted(tracks, key=lambda track: (track.suspicion, -(track.score or 0.0)))


def as_json(tracks: Iterable[Track]) -> str:
    """Return tracks as a JSON array with an object a line, in ASCII; absent is null."""
    lines = ",\n".join(json.dumps(_values(track), allow_nan=False) for track in tracks)
    return f"[\n{lines}\n]\n"


def _values(track: Track) -> dict[str, Any]:
    pairs = [[segment.start_s, segment.probability] for segment in track.timeline]
    return asdict(track) | {"timeline": pairs}


def as_csv(tracks: Iterable[Track]) -> str:
    """Return tracks as CSV below a row of headings; a cell is empty where nothing is known.

    A timeline is written as in the library; semicolons part sentences.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(track, name)) for name in COLUMNS] for track in tracks)
    return file.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        words = [
            each.text
            if isinstance(each, Sentence)
            else f"{each.start_s:.1f}:{each.probability:.4f}"
            for each in value
        ]
        return ("; " if value and isinstance(value[0], Sentence) else " ").join(words)
    return "yes" if value is True else value
