"""The whole way of a file, and of many files at once.

What goes wrong with one file becomes its :class:`Outcome` here, and nowhere else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.detector import Detector
from beetsplug.artifactnet.errors import (
    AudioError,
    FileError,
    MissingFileError,
    ModelOutputError,
    SilentError,
    TooShortError,
)
from beetsplug.artifactnet.provenance import read_provenance
from beetsplug.artifactnet.results import Outcome, TrackResult, TrackScore
from beetsplug.artifactnet.scoring import score_track
from beetsplug.artifactnet.segments import SegmentCount, cut_segments

_OUTCOMES: tuple[tuple[type[FileError], Outcome], ...] = (
    (MissingFileError, Outcome.MISSING),
    (AudioError, Outcome.UNREADABLE),
    (TooShortError, Outcome.TOO_SHORT),
    (SilentError, Outcome.SILENT),
    (ModelOutputError, Outcome.MODEL_FAILED),
)
_WAIT_S = 0.2
"""How long the main thread waits at a time: Ctrl-C is heard between two waits."""


class Cancelled(Exception):
    """The run was stopped while this file was being scored."""


def score_file(
    path: Path,
    detector: Detector,
    count: SegmentCount,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> TrackResult:
    """Return what became of one file; whatever is wrong with it is an outcome.

    Args:
        path: The file.
        detector: The model.
        count: Segments to score, evenly spaced, or ``"all"``.
        is_cancelled: Asked between segments.

    Raises:
        ModelError: The model itself is broken.
        Cancelled: ``is_cancelled`` said so.
    """
    provenance = read_provenance(path)
    try:
        score = _score(path, detector, count, is_cancelled)
    except FileError as error:
        outcome = next(o for kind, o in _OUTCOMES if isinstance(error, kind))
        return TrackResult(path, outcome, detail=str(error), provenance=provenance)
    return TrackResult(path, Outcome.SCORED, score, provenance=provenance)


def _score(
    path: Path, detector: Detector, count: SegmentCount, is_cancelled: Callable[[], bool]
) -> TrackScore:
    card = detector.card
    probabilities: list[float] = []
    starts_s: list[float] = []
    silent = True
    with open_audio(path) as reader:
        for batch in cut_segments(
            reader,
            sample_rate=card.sample_rate,
            segment_samples=card.segment_samples,
            count=count,
        ):
            if is_cancelled():
                raise Cancelled
            silent = silent and batch.is_silent
            probabilities.extend(detector.probabilities(batch).tolist())
            starts_s.extend(batch.starts_s.tolist())
        duration_s = reader.duration_s
    if silent:
        raise SilentError
    return score_track(probabilities, starts_s, duration_s=duration_s, model=card.label)


def n_workers(threads: int) -> int:
    """Return the number of workers for the option ``threads``: 0 is one per core."""
    if threads > 0:
        return threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def score_files(
    paths: Iterable[Path],
    detector: Detector,
    count: SegmentCount,
    threads: int = 0,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, TrackResult]]:
    """Yield each file's place in ``paths`` and its result, as results arrive.

    The session is opened before the first file, so a broken model stops the run at
    once. Closing the generator drops what waits and lets running files stop at their
    next segment. No more than two files a worker are under way or waiting.

    Raises:
        ModelError: The model is broken.
        Cancelled: ``is_cancelled`` said so, asked several times a second.
    """
    detector.open()
    stop = threading.Event()
    workers = n_workers(threads)
    waiting: dict[Future[TrackResult], int] = {}
    queue = enumerate(paths)
    with ThreadPoolExecutor(workers, thread_name_prefix="artifactnet") as executor:
        try:
            while True:
                for place, path in queue:
                    job = executor.submit(score_file, path, detector, count, stop.is_set)
                    waiting[job] = place
                    if len(waiting) >= 2 * workers:
                        break
                if not waiting:
                    return
                if is_cancelled():
                    raise Cancelled
                done, _ = wait(waiting, timeout=_WAIT_S, return_when=FIRST_COMPLETED)
                for job in done:
                    yield waiting.pop(job), job.result()
        finally:
            stop.set()
            executor.shutdown(wait=False, cancel_futures=True)
