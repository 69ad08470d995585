"""Scoring every track with every model, by the pipeline of ``beet artifactnet``.

A model's answer for a file goes into a log as soon as it is known. So a run that was
interrupted goes on where it stopped, and ends with the same report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.metrics import ModelRun, ScoredTrack
from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.files import lost_result, open_all, open_detectors
from beetsplug.artifactnet.scoring.pipeline import score_file_by_each
from beetsplug.artifactnet.scoring.segments import SegmentCount
from beetsplug.artifactnet.scoring.version import PIPELINE_VERSION
from beetsplug.artifactnet.workers import Lost, Workers, run_each

LOG_FILE = "results.jsonl"

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Answer:
    """A model's answer for a file."""

    probability: float | None
    """P(AI) in [0, 1]; None exactly when ``reason`` is set."""
    reason: str = ""
    """Why there is none, as :attr:`TrackResult.reason` says it."""

    @property
    def is_of_the_machine(self) -> bool:
        """Whether there is none because the machine was in trouble."""
        return self.reason.startswith(f"{Outcome.UNAVAILABLE.value}:")

    @classmethod
    def of(cls, result: TrackResult) -> Answer:
        """Return what is kept of a result."""
        score = result.score
        return cls(None if score is None else score.probability, result.reason)


def failed(path: Path, outcome: Outcome, detail: str) -> Answer:
    """Return the answer where a file could not be scored."""
    return Answer.of(TrackResult(path, outcome, detail=detail))


_NO_AUDIO = failed(Path(), Outcome.MISSING, "there is no audio of it")


@dataclass(frozen=True)
class Asked:
    """A question to a model: the same question has the same answer."""

    model: str
    sha256: str
    """Of everything that decides the model's answers; see :func:`fingerprint`."""
    segments: SegmentCount
    encoding: str
    """Of the transport test; empty: the file as it is."""
    track_id: str
    path: str
    stamp: str
    """Size and time of change of the file."""


@dataclass(frozen=True)
class Setup:
    """How a run scores, whatever the track."""

    detectors: tuple[Detector, ...]
    """One for each model, of different labels."""
    count: SegmentCount
    workers: Workers
    time_limit_s: float | None = None
    """For one file; None: no limit."""


class AnswerLog:
    """The answers that are known, and the file that keeps them: one JSON object a line.

    Lines are only ever added. One that cannot be read, such as the last one of a run
    that was killed, counts as not there.

    Raises:
        ConfigError: The file cannot be read or written to.
    """

    def __init__(self, path: Path) -> None:
        self._known: dict[Asked, Answer] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes() if path.exists() else b""
            self._file: BinaryIO = path.open("ab")
            if data and not data.endswith(b"\n"):
                self._file.write(b"\n")
        except OSError as error:
            raise ConfigError(f"{path} cannot be used: {error.strerror}") from error
        self._path = path
        for line in data.splitlines():
            try:
                asked, answer = _parse_line(line)
                self._known[asked] = answer
            except (ValueError, KeyError, TypeError, RecursionError):
                continue

    def get(self, asked: Asked) -> Answer | None:
        """Return a known answer, None where there is none."""
        return self._known.get(asked)

    def add(self, asked: Asked, answer: Answer) -> None:
        """Keep an answer, at once.

        Raises:
            ConfigError: The disk is full, or the file cannot be written to.
        """
        values = {**asdict(asked), "prob": answer.probability, "reason": answer.reason}
        try:
            self._file.write(f"{json.dumps(values, allow_nan=False)}\n".encode("ascii"))
            self._file.flush()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from error
        self._known[asked] = answer

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _parse_line(line: bytes) -> tuple[Asked, Answer]:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise TypeError("no object")
    probability, reason = values.pop("prob"), values.pop("reason")
    if reason:
        return Asked(**values), Answer(None, str(reason))
    if not 0.0 <= float(probability) <= 1.0:
        raise ValueError(f"a probability of {probability}")
    return Asked(**values), Answer(float(probability))


def fingerprint(card: ModelCard) -> str:
    """Return a sha256 over a model's files and all of its card that decides a score.

    Thresholds, notices and the like are left out.
    """
    values = [
        dict(card.files),
        [asdict(given) for given in card.inputs],
        [card.output_name, card.output_kind, card.call, card.aggregation],
        [card.crop, card.max_segments, card.minimum_s, card.padding],
        [card.placement, card.down_mix, card.level, card.hum, card.evidence],
        PIPELINE_VERSION,
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def file_stamp(path: Path) -> str:
    """Return a file's size and time of change in one word, empty if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


@dataclass(frozen=True)
class Job:
    """A file and the models that have not scored it yet, as a worker gets them."""

    place: int
    """Of the track."""
    path: Path
    detectors: tuple[Detector, ...]
    """Of one :func:`contract`."""
    count: SegmentCount


def score_tracks(
    tracks: Sequence[LabelledTrack],
    setup: Setup,
    log: AnswerLog,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[ModelRun, ...]:
    """Return every track as each model scored it, in the models' and the tracks' order.

    Models of one contract score the same decoded segments.

    Args:
        tracks: One without a path is a failure that no model is asked about.
        setup: The models and how they are run.
        log: Answers that it knows are not asked for again; new ones are added.
        on_progress: Told the number of answers had and wanted in this run.

    Raises:
        ModelError: A model is broken.
        ConfigError: The log cannot be written to.
    """
    questions = {
        (place, detector): question(track, file_stamp(track.path), detector.card, setup.count)
        for place, track in enumerate(tracks)
        if track.path is not None
        for detector in setup.detectors
    }
    answers = answer_all(
        questions, log, lambda due: _run(_jobs(tracks, due, setup), setup, on_progress)
    )

    def scored(place: int, detector: Detector) -> ScoredTrack:
        answer = answers.get((place, detector), _NO_AUDIO)
        return ScoredTrack(tracks[place], answer.probability, answer.reason)

    return tuple(
        ModelRun(
            model=detector.card.label,
            model_id=detector.card.model_id,
            thresholds=detector.card.thresholds,
            tracks=tuple(scored(place, detector) for place in range(len(tracks))),
        )
        for detector in setup.detectors
    )


def answer_all(
    questions: Mapping[K, Asked],
    log: AnswerLog,
    ask: Callable[[list[K]], Generator[tuple[K, Answer]]],
) -> dict[K, Answer]:
    """Return the answer to each question, from the log or asked for and logged at once.

    Args:
        questions: By key.
        log: Answers that it knows are not asked for again.
        ask: Yields the answers to the questions of these keys; closed after an error.

    Raises:
        ConfigError: The log cannot be written to.
    """
    known = {key: log.get(asked) for key, asked in questions.items()}
    answers = {key: answer for key, answer in known.items() if answer is not None}
    with closing(ask([key for key in questions if key not in answers])) as found:
        for key, answer in found:
            answers[key] = answer
            # Next time the file may be there, or the machine able to read it.
            if questions[key].stamp and not answer.is_of_the_machine:
                log.add(questions[key], answer)
    return answers


def question(
    track: LabelledTrack, stamp: str, card: ModelCard, count: SegmentCount, encoding: str = ""
) -> Asked:
    """Return what a model is asked about a track, as the log keeps it."""
    return Asked(
        card.label, fingerprint(card), count, encoding, track.track_id, str(track.path), stamp
    )


def contract(card: ModelCard) -> tuple[object, ...]:
    """Return the part of a card that decides the segments; equal cards can share them."""
    inputs = tuple((given.sample_rate, given.segment_samples) for given in card.inputs)
    where = (card.crop, card.max_segments, card.minimum_s, card.padding)
    chosen = (card.placement, card.down_mix, card.evidence)
    return inputs, where, chosen, card.is_read_at_once


def by_contract(detectors: Iterable[Detector]) -> list[tuple[Detector, ...]]:
    """Return the models in groups that can share segments, in order of the first."""
    groups: dict[tuple[object, ...], list[Detector]] = {}
    for detector in detectors:
        groups.setdefault(contract(detector.card), []).append(detector)
    return [tuple(group) for group in groups.values()]


def _jobs(
    tracks: Sequence[LabelledTrack], due: Iterable[tuple[int, Detector]], setup: Setup
) -> list[Job]:
    by_place: dict[int, list[Detector]] = {}
    for place, detector in due:
        by_place.setdefault(place, []).append(detector)
    return [
        Job(place, path, group, setup.count)
        for place, detectors in by_place.items()
        if (path := tracks[place].path) is not None
        for group in by_contract(detectors)
    ]


def _run(
    jobs: Sequence[Job], setup: Setup, on_progress: Callable[[int, int], None]
) -> Generator[tuple[tuple[int, Detector], Answer]]:
    if not jobs:
        return
    open_detectors(setup.detectors, setup.workers)
    n_done, n_total = 0, sum(len(job.detectors) for job in jobs)
    on_progress(0, n_total)
    results = run_each(
        score_job,
        jobs,
        setup.workers,
        prepare=partial(open_all, setup.detectors),
        time_limit_s=setup.time_limit_s,
    )
    for _, job, result in results:
        answers = lost_answers(job, result) if isinstance(result, Lost) else result
        for detector, answer in zip(job.detectors, answers, strict=True):
            yield (job.place, detector), answer
        n_done += len(job.detectors)
        on_progress(n_done, n_total)


def lost_answers(job: Job, lost: Lost) -> tuple[Answer, ...]:
    """Return the answers to a job whose worker did not come back."""
    return (Answer.of(lost_result(job.path, lost)),) * len(job.detectors)


def score_job(job: Job) -> tuple[Answer, ...]:
    """Return the answer of each of a job's models, its file decoded once.

    Raises:
        ModelError: A model is broken.
    """
    return tuple(map(Answer.of, score_file_by_each(job.path, job.detectors, job.count)))
