"""The whole way of a file, and of many files at once.

What goes wrong with one file becomes its :class:`Outcome` here, and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import (
    AudioError,
    FileError,
    MissingFileError,
    ModelError,
    ModelOutputError,
    SilentError,
    TooShortError,
)
from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.provenance import read_provenance
from beetsplug.artifactnet.scoring.segments import SegmentBatch, SegmentCount, cut_segments
from beetsplug.artifactnet.scoring.track import score_track
from beetsplug.artifactnet.workers import Lost, Workers, run_each

log = logging.getLogger("beetsplug.artifactnet")

_OUTCOMES: tuple[tuple[type[FileError], Outcome], ...] = (
    (MissingFileError, Outcome.MISSING),
    (AudioError, Outcome.UNREADABLE),
    (TooShortError, Outcome.TOO_SHORT),
    (SilentError, Outcome.SILENT),
    (ModelOutputError, Outcome.MODEL_FAILED),
)


@dataclass(frozen=True)
class _Segments:
    """What a model makes of a track's segments, in time order."""

    probabilities: list[float] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)

    def add(self, batch: SegmentBatch, detector: Detector) -> None:
        found = detector.probabilities(batch).tolist()
        self.probabilities.extend(found)
        # One probability for all segments of a song stands where they begin.
        self.starts_s.extend(batch.starts_s[: len(found)].tolist())


def score_file(path: Path, detector: Detector, count: SegmentCount) -> TrackResult:
    """Return what became of one file; whatever is wrong with it is an outcome.

    Args:
        path: The file.
        detector: The model.
        count: Segments to score, evenly spaced, or ``"all"``.

    Raises:
        ModelError: The model itself is broken.
    """
    (result,) = score_file_by_each(path, [detector], count)
    return result


def score_file_by_each(
    path: Path, detectors: Sequence[Detector], count: SegmentCount
) -> tuple[TrackResult, ...]:
    """Return what became of one file for each of several models, decoded once.

    Args:
        path: The file.
        detectors: At least one; their cards ask for the same segments.
        count: As for :func:`score_file`.

    Raises:
        ModelError: A model itself is broken.
    """
    provenance = read_provenance(path)
    try:
        segments, duration_s = _score_segments(path, detectors, count)
    except FileError as error:
        return (_failed(path, error, provenance),) * len(detectors)
    return tuple(
        _aggregated(path, detector.card, found, duration_s, provenance)
        for detector, found in zip(detectors, segments, strict=True)
    )


def _score_segments(
    path: Path, detectors: Sequence[Detector], count: SegmentCount
) -> tuple[list[_Segments], float]:
    """Return the segments as each model scores them, and the track's length in seconds."""
    segments = [_Segments() for _ in detectors]
    silent = True
    with open_audio(path) as reader:
        for batch in cut_segments(reader, detectors[0].card, count):
            silent = silent and batch.is_silent
            for found, detector in zip(segments, detectors, strict=True):
                found.add(batch, detector)
        duration_s = reader.duration_s
    if silent:
        raise SilentError
    return segments, duration_s


def _aggregated(
    path: Path, card: ModelCard, segments: _Segments, duration_s: float, provenance: str
) -> TrackResult:
    try:
        score = score_track(
            segments.probabilities,
            segments.starts_s,
            duration_s=duration_s,
            model=card.label,
            aggregation=card.aggregation,
        )
    except ModelOutputError as error:
        return _failed(path, error, provenance)
    return TrackResult(path, Outcome.SCORED, score, provenance=provenance)


def _failed(path: Path, error: FileError, provenance: str) -> TrackResult:
    outcome = next(o for kind, o in _OUTCOMES if isinstance(error, kind))
    return TrackResult(path, outcome, detail=str(error), provenance=provenance)


def score_files(
    paths: Iterable[Path],
    detector: Detector,
    count: SegmentCount,
    workers: Workers,
    *,
    time_limit_s: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, TrackResult]]:
    """Yield each file's place in ``paths`` and its result, as results arrive.

    The model is opened before the first file, so a broken one stops the run at once. A
    file that its worker dies of, twice, or that takes too long is unreadable. Closing
    the generator ends what runs and drops what waits; no more than two files a worker
    do either.

    Raises:
        ModelError: The model is broken.
        Cancelled: ``is_cancelled`` said so, asked several times a second.
    """
    open_detectors([detector], workers)
    results = run_each(
        partial(score_file, detector=detector, count=count),
        paths,
        workers,
        time_limit_s=time_limit_s,
        is_cancelled=is_cancelled,
    )
    for place, path, result in results:
        if isinstance(result, Lost):
            yield place, TrackResult(path, Outcome.UNREADABLE, detail=str(result))
        else:
            yield place, result


def open_detectors(detectors: Iterable[Detector], workers: Workers) -> None:
    """Open each model in a worker, and say which execution providers it does without.

    Raises:
        ModelError: One is broken, or takes its worker down.
    """
    for _, detector, missing in run_each(Detector.missing_providers, detectors, workers):
        if isinstance(missing, Lost):
            raise ModelError(f"model {detector.card.label} cannot be opened: {missing}")
        if missing:
            log.warning(
                "providers: %s cannot be used here; the CPU does their work",
                ", ".join(missing),
            )
