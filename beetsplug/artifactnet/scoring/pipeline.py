"""The whole way of a file, and of many files at once.

What goes wrong with one file becomes its :class:`Outcome` here, and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
from beetsplug.artifactnet.results import Outcome, TrackResult, TrackScore
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.provenance import read_provenance
from beetsplug.artifactnet.scoring.segments import SegmentBatch, SegmentCount, cut_segments
from beetsplug.artifactnet.scoring.track import score_track
from beetsplug.artifactnet.stamp import file_stamp
from beetsplug.artifactnet.workers import Lost, Workers, run_each

log = logging.getLogger("beetsplug.artifactnet")

_OUTCOMES: tuple[tuple[type[FileError], Outcome], ...] = (
    (MissingFileError, Outcome.MISSING),
    (AudioError, Outcome.UNREADABLE),
    (TooShortError, Outcome.TOO_SHORT),
    (SilentError, Outcome.SILENT),
    (ModelOutputError, Outcome.MODEL_FAILED),
)


class Scorer(Protocol):
    """What scores segments: a :class:`Detector`, or something that asks several."""

    @property
    def card(self) -> ModelCard:
        """What it must be given."""

    def probabilities(self, batch: SegmentBatch) -> NDArray[np.float64]:
        """Return P(AI) of each segment, (n_segments,), as :class:`Detector` does."""


def score_file(path: Path, detector: Scorer, count: SegmentCount) -> TrackResult:
    """Return what became of one file; whatever is wrong with it is an outcome.

    Args:
        path: The file.
        detector: The model.
        count: Segments to score, evenly spaced, or ``"all"``.

    Raises:
        ModelError: The model itself is broken.
    """
    stamp = file_stamp(path) or ""
    provenance = read_provenance(path)
    try:
        score = _score(path, detector, count)
    except FileError as error:
        outcome = next(o for kind, o in _OUTCOMES if isinstance(error, kind))
        return TrackResult(path, outcome, detail=str(error), provenance=provenance, stamp=stamp)
    return TrackResult(path, Outcome.SCORED, score, provenance=provenance, stamp=stamp)


def _score(path: Path, detector: Scorer, count: SegmentCount) -> TrackScore:
    card = detector.card
    probabilities: list[float] = []
    starts_s: list[float] = []
    silent = True
    with open_audio(path) as reader:
        for batch in cut_segments(reader, card, count):
            silent = silent and batch.is_silent
            found = detector.probabilities(batch).tolist()
            probabilities.extend(found)
            # One probability for all segments of a song stands where they begin.
            starts_s.extend(batch.starts_s[: len(found)].tolist())
        duration_s = reader.duration_s
    if silent:
        raise SilentError
    return score_track(
        probabilities,
        starts_s,
        duration_s=duration_s,
        model=card.label,
        aggregation=card.aggregation,
    )


def score_files(
    paths: Iterable[Path],
    detector: Detector,
    count: SegmentCount,
    workers: Workers,
    *,
    time_limit_s: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, TrackResult]]:
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
