"""The page of a library's tracks: counts, a list, and the evidence on suspects."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beetsplug.artifactnet.report.document import Table
from beetsplug.artifactnet.report.drawings import Spectrum, Timeline, draw_timeline
from beetsplug.artifactnet.report.html import render
from beetsplug.artifactnet.report.tracks import Track, suspects_first
from beetsplug.artifactnet.results import Thresholds, Verdict

_MOST_LISTED = 5_000
"""Rows beyond which a browser takes long to sort them."""


@dataclass(frozen=True)
class Sound:
    """The sound of a track that a page plays."""

    url: str = ""
    """Of the file, or the sound itself; empty where there is none."""
    start_s: float = 0.0
    """Where in the track it begins, seconds."""
    length_s: float | None = None
    """Seconds; None: the whole track."""
    note: str = ""
    """Why there is none, or not the whole track."""

    @classmethod
    def of_file(cls, path: Path) -> Sound:
        """Return a link to a file, whatever bytes its name has."""
        return cls(path.as_uri())

    @classmethod
    def of_clip(cls, data: bytes, mime_type: str, start_s: float, length_s: float) -> Sound:
        """Return a sound that the page itself holds."""
        encoded = b64encode(data).decode("ascii")
        return cls(f"data:{mime_type};base64,{encoded}", start_s, length_s)

    def place_of(self, second: float) -> float | None:
        """Return where in this sound a second of the track lies, None where it does not."""
        place = second - self.start_s
        if not self.url or (self.length_s is not None and not -0.5 <= place < self.length_s):
            return None
        return max(0.0, place)


@dataclass(frozen=True)
class Findings:
    """The part of a page about one suspect, beside its row."""

    sound: Sound
    spectrum: Spectrum | None = None
    spectrum_note: str = ""
    """Why there is no spectrum where one was asked for."""


@dataclass(frozen=True)
class Facts:
    """Values that hold for all tracks of a page."""

    query: str
    """As the user wrote it; empty: the whole library."""
    date: str
    model: str
    """Label of the configured model, with the pipeline's version."""
    segment_s: float
    """Length of its segments, seconds."""
    thresholds: Thresholds
    notes: tuple[str, ...] = ()
    """Sentences on thresholds and false accusations."""
    since: str = ""
    """Date from which changes are shown; empty: none are."""
    change_lines: tuple[str, ...] = ()
    changes: tuple[tuple[str, str, str, str], ...] = ()
    """Track, date, the change as old and new verdict, and its reason."""


@dataclass(frozen=True)
class Shown:
    """A track as the template draws it."""

    track: Track
    timeline: Timeline | None
    findings: Findings | None


def tracks_page(tracks: Sequence[Track], findings: Mapping[int, Findings], facts: Facts) -> str:
    """Return the page of these tracks.

    Args:
        tracks: In any order; the most suspicious are listed first.
        findings: By the ids of those suspects that are shown in detail.
        facts: What holds for all of them.
    """
    listed = suspects_first(tracks)[:_MOST_LISTED]
    return render(
        "tracks.html",
        "AI report",
        facts=facts,
        changes=Table(("track", "date", "change", "why"), facts.changes),
        counts=_counts(tracks),
        n_tracks=len(tracks),
        n_unlisted=len(tracks) - len(listed),
        shown=[_shown(track, findings.get(track.id or 0), facts) for track in listed],
    )


def _counts(tracks: Sequence[Track]) -> list[tuple[str, str, int]]:
    """Return the tiles of the summary: class, word and number."""
    verdicts = Counter(track.verdict or "" for track in tracks)
    n_failed = sum(not track.verdict and bool(track.error) for track in tracks)
    rest = (
        ("failed", "could not be scored", n_failed),
        ("unscored", "not scored yet", verdicts[""] - n_failed),
        ("override", "by your own word", sum(track.reason == "override" for track in tracks)),
        ("declared", "declare themselves", sum(bool(track.declared) for track in tracks)),
    )
    return [
        *((word.value, word.value, verdicts[word.value]) for word in Verdict),
        *(found for found in rest if found[2]),
    ]


def _shown(track: Track, findings: Findings | None, facts: Facts) -> Shown:
    timeline = None
    if findings is not None and track.timeline:
        # The thresholds say nothing of another model's scores.
        thresholds = facts.thresholds if track.model == facts.model else None
        timeline = draw_timeline(track.timeline, thresholds, facts.segment_s, track.length)
    return Shown(track, timeline, findings)
