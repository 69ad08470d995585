"""The parts of a run, put together from the settings: detector, thresholds, workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beetsplug.artifactnet.models.store import Model, find_model
from beetsplug.artifactnet.results import TrackResult
from beetsplug.artifactnet.scoring.version import scored_by
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.thresholds import InForce, Judge, in_force, read_thresholds

if TYPE_CHECKING:
    from beetsplug.artifactnet.scoring.files import DetectorName
    from beetsplug.artifactnet.workers import Workers


@dataclass(frozen=True)
class Engine:
    """A model and how to run it; nothing heavy is imported before the first file."""

    settings: Settings
    model: Model
    in_force: InForce
    """The thresholds that decide, and where they come from."""

    @property
    def judge(self) -> Judge:
        """Return what decides verdicts: the model's label and the thresholds in force."""
        return Judge(
            scored_by(self.model.card.label),
            self.in_force.thresholds,
            self.settings.declared,
        )

    def score(
        self,
        paths: Iterable[Path],
        threads: int | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        find_known: Callable[[], Path | None] = lambda: None,
    ) -> Generator[tuple[int, TrackResult]]:
        """Yield results as :func:`~beetsplug.artifactnet.scoring.files.score_files` does."""
        from beetsplug.artifactnet.scoring.files import score_files

        return score_files(
            paths,
            self.detector(),
            self.settings.segments,
            self.workers(threads),
            time_limit_s=self.settings.time_limit_s,
            music_folder=self.settings.music_folder,
            is_cancelled=is_cancelled,
            find_known=find_known,
        )

    def prepare(self, n_files: int, threads: int | None = None) -> None:
        """Start workers on opening the model, ahead of so many files' :meth:`score`."""
        from beetsplug.artifactnet.scoring.files import prepare
        from beetsplug.artifactnet.workers import LOCAL

        if n_files and self.settings.executor == LOCAL:
            prepare(self.detector(), self.workers(threads), n_files)

    def detector(self) -> DetectorName:
        """Return what stands for this model's detector in a worker."""
        from beetsplug.artifactnet.scoring.files import DetectorName
        from beetsplug.artifactnet.workers import LOCAL

        # Another machine's folders are none of ours.
        is_local = self.settings.executor == LOCAL
        cache = self.settings.cache_folder if is_local else None
        return DetectorName(self.model, self.settings.providers, cache)

    def workers(self, threads: int | None = None) -> Workers:
        """Return the process's workers, ``threads`` of them where that is given."""
        from beetsplug.artifactnet.workers import shared_workers

        return shared_workers(
            self.settings.executor, self.settings.threads if threads is None else threads
        )

    def check_executor(self, threads: int | None = None) -> None:
        """Connect to the option ``executor`` where that is another machine.

        Raises:
            ConfigError: Nobody answers there.
            MissingPackageError: The extra ``dask`` is not installed.
        """
        from beetsplug.artifactnet.workers import LOCAL

        if self.settings.executor != LOCAL:
            self.workers(threads)


def make_engine(settings: Settings) -> Engine:
    """Return the engine that the settings ask for.

    Raises:
        ModelError: There is no such model, or its card is not valid.
        ConfigError: The thresholds contradict each other, or the file of saved ones is
            broken.
    """
    model = find_model(settings.model, settings.model_folders)
    saved = read_thresholds(settings.thresholds_file, model.card.label)
    thresholds = in_force(settings, saved, model.card.thresholds)
    return Engine(settings, model, thresholds)
