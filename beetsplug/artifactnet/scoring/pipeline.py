"""The whole way of a file.

What goes wrong with one file becomes its :class:`Outcome` here, and nowhere else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from beetsplug.artifactnet.audio import AudioReader, Mix, open_audio
from beetsplug.artifactnet.errors import (
    ArtifactNetError,
    AudioError,
    FileError,
    MissingFileError,
    ModelOutputError,
    NoEvidenceError,
    SilentError,
    TooShortError,
)
from beetsplug.artifactnet.memory import refuse_without_memory
from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.results import Comb, Outcome, TrackResult, TrackScore, Unjudged
from beetsplug.artifactnet.scoring.aggregation import score_song, score_track
from beetsplug.artifactnet.scoring.comb import find_comb
from beetsplug.artifactnet.scoring.detector import Detector, Findings
from beetsplug.artifactnet.scoring.provenance import read_claims
from beetsplug.artifactnet.scoring.segments import SegmentBatch, SegmentCount, cut_segments
from beetsplug.artifactnet.scoring.version import scored_by
from beetsplug.artifactnet.stamp import file_stamp
from beetsplug.artifactnet.workers import trouble_of

_DETAIL_CHARS = 200
_LEVELS_OF_AN_ALBUM = 2
"""Artist and album: an empty folder may be all that is left of either."""

_MIXES: dict[Mix, str] = {
    "mean": "mean of channels",
    "aligned": "mean of channels turned to one polarity",
}

_OUTCOMES: tuple[tuple[type[FileError], Outcome], ...] = (
    (MissingFileError, Outcome.MISSING),
    (AudioError, Outcome.UNREADABLE),
    (TooShortError, Outcome.TOO_SHORT),
    (SilentError, Outcome.SILENT),
    (NoEvidenceError, Outcome.NO_EVIDENCE),
    (ModelOutputError, Outcome.MODEL_FAILED),
)


@dataclass(frozen=True)
class _Segments:
    """What a model makes of a track's segments, in time order."""

    probabilities: list[float] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    songs: list[Findings] = field(default_factory=list)
    """Of a model that is called once a song: the one call's findings."""
    unjudged: list[Unjudged] = field(default_factory=list)

    def add(self, batch: SegmentBatch, detector: Detector) -> None:
        votes = detector.votes(batch)
        self.probabilities.extend(votes.probabilities)
        self.starts_s.extend(votes.starts_s)
        self.unjudged.extend(votes.unjudged)
        if votes.song is not None:
            self.songs.append(votes.song)

    def score(self, card: ModelCard, duration_s: float) -> TrackScore:
        unjudged = tuple(sorted(self.unjudged, key=lambda one: one.start_s))
        return replace(self._score(card, duration_s), unjudged=unjudged)

    def _score(self, card: ModelCard, duration_s: float) -> TrackScore:
        model = scored_by(card.label)
        if self.songs:
            (song,) = self.songs
            return score_song(song, self.starts_s, duration_s=duration_s, model=model)
        return score_track(
            self.probabilities,
            self.starts_s,
            duration_s=duration_s,
            model=model,
            aggregation=card.aggregation,
        )


def score_file(
    path: Path, detector: Detector, count: SegmentCount, *, music_folder: Path | None = None
) -> TrackResult:
    """Return what became of one file; whatever is wrong with it is an outcome.

    Args:
        path: The file.
        detector: The model.
        count: Segments to score, evenly spaced, or ``"all"``.
        music_folder: Where the library lies; one that is empty or not there tells that
            its disk is away, and no file of it is called missing.

    Raises:
        ModelError: The model itself is broken.
        OSError: The machine is in trouble, as :func:`~...workers.trouble_of` knows it.
        MemoryError: So it is.
    """
    (result,) = score_file_by_each(path, [detector], count, music_folder=music_folder)
    return result


def score_file_by_each(
    path: Path,
    detectors: Sequence[Detector],
    count: SegmentCount,
    *,
    music_folder: Path | None = None,
) -> tuple[TrackResult, ...]:
    """Return what became of one file for each of several models, decoded once.

    Args:
        path: The file.
        detectors: At least one; their cards ask for the same segments.
        count: As for :func:`score_file`.
        music_folder: As for :func:`score_file`.

    Raises:
        ModelError: A model itself is broken.
        OSError, MemoryError: The machine is in trouble.
    """
    stamp, claims = file_stamp(path) or "", read_claims(path)
    results = _results(path, detectors, count, music_folder)
    return tuple(replace(result, stamp=stamp, claims=claims) for result in results)


def _results(
    path: Path,
    detectors: Sequence[Detector],
    count: SegmentCount,
    music_folder: Path | None,
) -> list[TrackResult]:
    attempted = _attempted(path, detectors, count)
    if isinstance(attempted, FileError):
        if isinstance(attempted, MissingFileError):
            check_disk(path, music_folder)
        return [_failed(path, attempted)] * len(detectors)
    segments, duration_s, reading = attempted
    return [
        replace(_aggregated(path, detector.card, found, duration_s), reading=reading)
        for detector, found in zip(detectors, segments, strict=True)
    ]


@dataclass(frozen=True)
class LinesJob:
    """A file whose lines are asked for, as a worker gets it."""

    path: Path
    detector: Detector
    """Its card names an output of lines."""
    count: SegmentCount


@dataclass(frozen=True)
class Lines:
    """By how much each bin of a song's spectrum stands out of its neighbours."""

    levels_db: tuple[float, ...]
    bin_hz: float
    """Distance of bins, Hz; the first one is 0 Hz."""
    comb: Comb | None


def file_lines(job: LinesJob) -> Lines | str:
    """Return the lines of a file, or why there are none.

    Raises:
        ModelError: The model itself is broken.
        OSError, MemoryError: The machine is in trouble.
    """
    attempted = _attempted(job.path, [job.detector], job.count)
    if isinstance(attempted, FileError):
        return str(attempted)
    (found,), *_ = attempted
    if not found.songs or found.songs[0].lines is None:
        return "no segment of it can be judged"
    lines, bin_hz = found.songs[0].lines, found.songs[0].lines_hz
    return Lines(tuple(lines[0].tolist()), bin_hz, find_comb(lines, bin_hz))


def _attempted(
    path: Path, detectors: Sequence[Detector], count: SegmentCount
) -> tuple[list[_Segments], float, str] | FileError:
    """Return what :func:`_score_segments` does, or what is wrong with the file."""
    try:
        return _score_segments(path, detectors, count)
    except AudioError as error:
        if not isinstance(error, MissingFileError):
            refuse_without_memory(error)
        return error
    except FileError as error:
        return error
    except ArtifactNetError:
        raise
    except Exception as error:
        # Decoders and parsers raise whatever comes to them on a damaged file.
        if trouble_of(error) is not None:
            raise
        refuse_without_memory(error)
        return AudioError(f"{type(error).__name__}: {error}".splitlines()[0][:_DETAIL_CHARS])


def _score_segments(
    path: Path, detectors: Sequence[Detector], count: SegmentCount
) -> tuple[list[_Segments], float, str]:
    """Return each model's segments, the track's length in seconds and how it was read."""
    segments = [_Segments() for _ in detectors]
    silent = True
    with open_audio(path, detectors[0].card.down_mix) as reader:
        for batch in cut_segments(reader, detectors[0].card, count):
            silent = silent and batch.is_silent
            for found, detector in zip(segments, detectors, strict=True):
                found.add(batch, detector)
        duration_s, reading = reader.duration_s, _reading(reader)
    if silent:
        raise SilentError
    return segments, duration_s, reading


def _reading(reader: AudioReader) -> str:
    """Return which library decoded a track, and what was made of its channels."""
    mixes = " and ".join(_MIXES[mix] for mix in sorted(reader.mixes, reverse=True))
    return f"{reader.decoder}, {mixes}"


def _aggregated(
    path: Path, card: ModelCard, segments: _Segments, duration_s: float
) -> TrackResult:
    if not segments.probabilities:
        return _failed(path, NoEvidenceError())
    try:
        score = segments.score(card, duration_s)
    except ModelOutputError as error:
        return _failed(path, error)
    return TrackResult(path, Outcome.SCORED, score)


def _failed(path: Path, error: FileError) -> TrackResult:
    outcome = next(o for kind, o in _OUTCOMES if isinstance(error, kind))
    return TrackResult(path, outcome, detail=str(error))


def check_disk(path: Path, music_folder: Path | None = None) -> None:
    """Check that a missing file's disk is there.

    The disk counts as away where the music folder is empty or gone. So it does where an empty
    folder stands two levels or more above the file's own: that is a place to mount something.

    Raises:
        OSError: It is away.
    """
    if music_folder is not None and path.is_relative_to(music_folder):
        away = not music_folder.is_dir() or _is_empty(music_folder)
    else:
        away = False
    present = next((folder for folder in path.parents if folder.is_dir()), None)
    if present is not None and _is_empty(present):
        n_levels = len(path.parent.relative_to(present).parts)
        away = away or n_levels >= _LEVELS_OF_AN_ALBUM
    if away:
        raise OSError(errno.ENODEV, "its folder is empty or gone: is the disk mounted?")


def _is_empty(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is None
