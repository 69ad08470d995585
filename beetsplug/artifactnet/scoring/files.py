"""Many files at once, scored in workers.

The process that asks for it loads neither NumPy nor a decoder nor an engine. The function that
scores a file is named here, and imported where it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from beetsplug.artifactnet.errors import MachineError, ModelError
from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.workers import PREPARING_LIMIT_S, Lost, Workers, run_each

if TYPE_CHECKING:
    from beetsplug.artifactnet.scoring.detector import Detector
    from beetsplug.artifactnet.scoring.segments import SegmentCount

log = logging.getLogger("beetsplug.artifactnet")

OPENING_LIMIT_S = PREPARING_LIMIT_S
"""The longest that a model may take to be hashed, loaded and run once, seconds."""


class HasCard(Protocol):
    """A detector, or the name of one."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""


@dataclass(frozen=True)
class DetectorName:
    """Stands for a detector where none is loaded; in a worker it arrives as that one.

    Args:
        model: Its card and files.
        providers: onnxruntime's execution providers, in order of preference.
        cache: Folder for the engine's own form of the model; None: none is kept.
    """

    model: Model
    providers: tuple[str, ...]
    cache: Path | None = None

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.model.card

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_detector, (self.model, self.providers, self.cache)


def _shared_detector(model: Model, providers: tuple[str, ...], cache: Path | None) -> Detector:
    from beetsplug.artifactnet.scoring.detector import shared_detector

    return shared_detector(model, providers, cache)


@dataclass(frozen=True)
class _ScoreFile:
    """:func:`~...pipeline.score_file` with all but the file."""

    detector: HasCard
    count: SegmentCount
    music_folder: Path | None

    def __call__(self, path: Path) -> TrackResult:
        from beetsplug.artifactnet.scoring.pipeline import score_file

        detector: Any = self.detector
        return score_file(path, detector, self.count, music_folder=self.music_folder)


def prepare(detector: HasCard, workers: Workers, n_files: int) -> None:
    """Start the workers that so many files need, and let each open the model meanwhile.

    What goes wrong there goes wrong once more in :func:`score_files`, which tells of it.
    """
    for _ in range(min(n_files, workers.n_workers)):
        workers.submit(OPENING_LIMIT_S, open_all, (detector,))


def score_files(  # noqa: PLR0913 - options with defaults
    paths: Iterable[Path],
    detector: HasCard,
    count: SegmentCount,
    workers: Workers,
    *,
    time_limit_s: float | None = None,
    music_folder: Path | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    find_known: Callable[[], Path | None] = lambda: None,
) -> Generator[tuple[int, TrackResult]]:
    """Yield each file's place in ``paths`` and its result, as results arrive.

    The model is run once before the first file, so a broken one stops the run at once. A
    file that crashes its worker twice, or that takes too long, is unreadable; one that
    cannot be read while others can is unavailable. Closing the generator ends what runs
    and drops what waits; no more than two files a worker do either.

    Raises:
        ModelError: The model is broken.
        MachineError: Many files cannot be read, eight or more crash and none can be scored,
            not even the one that ``find_known`` finds among those scored before, or no worker
            can work; none is marked.
        Cancelled: ``is_cancelled`` said so, asked several times a second.
    """
    open_detectors([detector], workers, is_cancelled)
    results = run_each(
        _ScoreFile(detector, count, music_folder),
        paths,
        workers,
        prepare=partial(open_all, (detector,)),
        time_limit_s=time_limit_s,
        is_cancelled=is_cancelled,
        find_known=find_known,
        # A file that is missing, broken or silent never came to the model.
        is_proof=lambda result: result.outcome is Outcome.SCORED,
    )
    with closing(results):
        for place, path, result in results:
            if isinstance(result, Lost):
                yield place, lost_result(path, result)
            else:
                check_sight(result, workers)
                if result.reading:
                    log.debug("%s: %s", result.path, result.reading)
                yield place, result


def check_sight(result: TrackResult, workers: Workers) -> None:
    """Check that a file which another machine does not find is missing here too.

    Raises:
        MachineError: It is here.
    """
    if workers.is_remote and result.outcome is Outcome.MISSING and result.path.exists():
        raise MachineError(
            f"a worker does not find {result.path}, which is here; what was not scored is "
            f"as it was: give the workers the same files at the same paths, and run again"
        )


def lost_result(path: Path, lost: Lost) -> TrackResult:
    """Return what became of a file that no worker came back with."""
    outcome = Outcome.UNAVAILABLE if lost.kind.is_trouble else Outcome.UNREADABLE
    return TrackResult(path, outcome, detail=str(lost))


def open_all(detectors: Iterable[Any]) -> None:
    """Open each model in this process.

    Raises:
        ModelError: One is broken.
    """
    for detector in detectors:
        detector.open()


def open_detectors(
    detectors: Iterable[HasCard],
    workers: Workers,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Run each model once in a worker, and say which execution providers it does without.

    Raises:
        ModelError: One is broken, takes its worker down, or takes too long.
    """
    opened = run_each(
        _try_out,
        detectors,
        workers,
        time_limit_s=OPENING_LIMIT_S,
        is_cancelled=is_cancelled,
    )
    for _, detector, notice in opened:
        if isinstance(notice, Lost):
            raise ModelError(f"model {detector.card.label} cannot be used: {notice}")
        if notice:
            log.warning("providers: %s", notice)


def _try_out(detector: Any) -> str:
    return detector.try_out()
