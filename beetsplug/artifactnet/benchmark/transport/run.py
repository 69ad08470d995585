"""Scoring every track in every encoding."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio.encode import Encoding, encode
from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.runner import (
    Answer,
    AnswerLog,
    Job,
    Setup,
    answer_all,
    by_contract,
    failed,
    file_stamp,
    lost_answers,
    question,
    score_job,
)
from beetsplug.artifactnet.benchmark.transport.decode import decode
from beetsplug.artifactnet.benchmark.transport.encodings import ENCODINGS, REFERENCE
from beetsplug.artifactnet.benchmark.transport.shifts import Transported, summarise
from beetsplug.artifactnet.errors import AudioError, ConfigError
from beetsplug.artifactnet.results import Outcome
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.files import open_all, open_detectors
from beetsplug.artifactnet.workers import Lost, run_each


@dataclass(frozen=True)
class TransportJob:
    """A file and the models that score its encodings, as a worker gets them."""

    job: Job
    encodings: tuple[Encoding, ...]
    folder: Path
    """Where encoded files are put for the time that they are needed."""


Key = tuple[int, Encoding, Detector]
"""Place of the track, its encoding, and the model."""


def transport_tracks(
    tracks: Sequence[LabelledTrack],
    setup: Setup,
    log: AnswerLog,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Transported, ...]:
    """Return what the transport test says of each model.

    Args:
        tracks: Those without a path are left out.
        setup: The models and how they are run; the time limit is for one encoding.
        log: As in :func:`~.runner.score_tracks`.
        on_progress: Told the number of tracks done and to do in this run.

    Raises:
        ModelError: A model is broken.
        ConfigError: The log or the temporary folder cannot be written to.
    """
    questions = {
        (place, encoding, detector): question(
            track, file_stamp(track.path), detector.card, setup.count, encoding.name
        )
        for place, track in enumerate(tracks)
        if track.path is not None
        for encoding in ENCODINGS
        for detector in setup.detectors
    }
    # A worker that was stopped may still be writing.
    with tempfile.TemporaryDirectory(prefix="aibench-", ignore_cleanup_errors=True) as folder:
        answers = answer_all(
            questions,
            log,
            lambda due: _run(_jobs(tracks, due, setup, Path(folder)), setup, on_progress),
        )
    return tuple(_transported(detector, tracks, answers) for detector in setup.detectors)


def _jobs(
    tracks: Sequence[LabelledTrack], due: Iterable[Key], setup: Setup, folder: Path
) -> list[TransportJob]:
    by_place: dict[int, list[Key]] = {}
    for key in due:
        by_place.setdefault(key[0], []).append(key)
    return [
        TransportJob(
            job=Job(place, path, tuple(dict.fromkeys(det for *_, det in keys)), setup.count),
            encodings=tuple(dict.fromkeys(encoding for _, encoding, _ in keys)),
            folder=folder,
        )
        for place, keys in by_place.items()
        if (path := tracks[place].path) is not None
    ]


def _run(
    jobs: Sequence[TransportJob], setup: Setup, on_progress: Callable[[int, int], None]
) -> Generator[tuple[Key, Answer]]:
    if not jobs:
        return
    open_detectors(setup.detectors, setup.workers)
    limit_s = setup.time_limit_s and setup.time_limit_s * len(ENCODINGS)
    on_progress(0, len(jobs))
    results = run_each(
        _transport,
        jobs,
        setup.workers,
        prepare=partial(open_all, setup.detectors),
        time_limit_s=limit_s,
    )
    for n_done, (_, task, result) in enumerate(results, start=1):
        if isinstance(result, Lost):
            table = (lost_answers(task.job, result),) * len(task.encodings)
        else:
            table = result
        for encoding, row in zip(task.encodings, table, strict=True):
            for detector, answer in zip(task.job.detectors, row, strict=True):
                yield (task.job.place, encoding, detector), answer
        on_progress(n_done, len(jobs))


def _transport(task: TransportJob) -> tuple[tuple[Answer, ...], ...]:
    """Return for each encoding the answers of the models, in their orders."""
    job = task.job
    try:
        samples, sample_rate = decode(job.path)
    except AudioError as error:
        answer = failed(job.path, Outcome.UNREADABLE, str(error))
        return ((answer,) * len(job.detectors),) * len(task.encodings)
    return tuple(_answers(task, encoding, samples, sample_rate) for encoding in task.encodings)


def _answers(
    task: TransportJob, encoding: Encoding, samples: NDArray[np.float32], sample_rate: int
) -> tuple[Answer, ...]:
    from av.error import FFmpegError

    job = task.job
    # Another machine's worker does not see this one's temporary folder.
    parent = task.folder if task.folder.is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        path = Path(folder, f"track{encoding.suffix}")
        try:
            encode(path, samples, sample_rate, encoding)
        except (FFmpegError, ValueError) as error:
            answer = failed(job.path, Outcome.UNREADABLE, f"not encoded: {error}")
            return (answer,) * len(job.detectors)
        except OSError as error:
            # A full disk is no fault of the track's.
            raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
        answers: dict[Detector, Answer] = {}
        for group in by_contract(job.detectors):
            found = score_job(Job(job.place, path, group, job.count))
            answers.update(zip(group, found, strict=True))
    return tuple(answers[detector] for detector in job.detectors)


def _transported(
    detector: Detector, tracks: Sequence[LabelledTrack], answers: Mapping[Key, Answer]
) -> Transported:
    rows: dict[int, dict[str, float]] = {}
    for (place, encoding, scored_by), answer in answers.items():
        if scored_by is detector and answer.probability is not None:
            rows.setdefault(place, {})[encoding.name] = answer.probability
    return summarise(
        detector.card.label,
        detector.card.thresholds.ai,
        [
            (tracks[place], rows[place])
            for place in sorted(rows)
            if REFERENCE.name in rows[place]
        ],
    )
