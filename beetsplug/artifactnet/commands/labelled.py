"""What ``beet aibench`` and ``beet aicalibrate`` share: options, models, labelled tracks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from optparse import OptionParser, Values
from pathlib import Path
from typing import TYPE_CHECKING

from beets import ui
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.options import (
    add_flags,
    add_threads,
    check_threads,
    path_of,
)
from beetsplug.artifactnet.commands.terminal import Progress, printable
from beetsplug.artifactnet.errors import ConfigError, MissingPackageError
from beetsplug.artifactnet.models.store import Model, find_model
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beetsplug.artifactnet.benchmark.manifest import Label, LabelledTrack
    from beetsplug.artifactnet.benchmark.runner import AnswerLog, Setup

_REPORTS = "aibench"
_PACKAGES = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "scipy": "scipy"}
_EXTRA = "beets-artifactnet[bench]"


QUOTED = "a query of several words is quoted: --real 'year:1..2019 genre:jazz'"
"""What is said to who seems to have forgotten it."""


def add_options(parser: OptionParser) -> None:
    """Add the options that both commands have."""
    texts = (
        ("--audio-root", "DIR", "where the audio of a manifest lies"),
        ("--real", "QUERY", "a query: tracks of the library that are human-made"),
        ("--out", "DIR", f"where the results go; default: {_REPORTS}/NAME here"),
    )
    for name, value, text in texts:
        parser.add_option(name, metavar=value, help=text)
    parser.add_option(
        "-m",
        "--model",
        action="append",
        dest="models",
        metavar="MODEL",
        help="a model, as the option `model` names it; again for several",
    )
    add_threads(parser)
    add_flags(parser, ("-q", "--quiet", "print the outcome alone"))


def check_options(opts: Values, args: Sequence[str]) -> None:
    """Refuse what contradicts itself, before anything is done.

    Raises:
        ConfigError: Options exclude each other, or a number is out of its range.
    """
    if len(args) > 1:
        raise ConfigError("one manifest, folder or CSV file at a time")
    if opts.audio_root is not None and not args:
        raise ConfigError("--audio-root goes with a manifest")
    check_threads(opts)


def check_packages(*modules: str) -> None:
    """Check that packages of the extra are installed; importing them would take seconds.

    Raises:
        MissingPackageError: One is not.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingPackageError(_PACKAGES[module], _EXTRA)


def find_models(opts: Values, settings: Settings) -> list[Model]:
    """Return the models that the options name, else the configured one.

    Raises:
        ConfigError: One is named twice.
        ModelError: There is no such model, or its card is not valid.
    """
    names = opts.models or [settings.model]
    models = [find_model(name, settings.model_folders) for name in names]
    labels = [model.card.label for model in models]
    # In lower case: each has a folder, and some file systems do not tell the cases apart.
    lowered = [label.lower() for label in labels]
    for label in labels:
        if lowered.count(label.lower()) > 1:
            raise ConfigError(f"the model {label} is there twice; name each one once")
    return models


def make_setup(opts: Values, settings: Settings, models: Iterable[Model]) -> Setup:
    """Return how these models score, by the options and else by the configuration."""
    from beetsplug.artifactnet.benchmark.runner import Setup
    from beetsplug.artifactnet.scoring.detector import Detector
    from beetsplug.artifactnet.workers import shared_workers

    threads = settings.threads if opts.threads is None else opts.threads
    return Setup(
        detectors=tuple(Detector(model, settings.providers) for model in models),
        count=settings.segments,
        workers=shared_workers(settings.executor, threads),
        time_limit_s=settings.time_limit_s,
    )


def manifest_paths(opts: Values, args: Sequence[str]) -> tuple[Path, Path | None]:
    """Return where a manifest lies, and where its audio does, if that was said."""
    root = opts.audio_root
    return path_of(args[0]), None if root is None else path_of(root)


def results_folder(opts: Values, name: str) -> Path:
    """Return where results go: both commands share a folder, and so the scores in it."""
    from beetsplug.artifactnet.benchmark.report.outputs import folder_name

    if opts.out is not None:
        return path_of(opts.out).absolute()
    return Path.cwd() / _REPORTS / folder_name(name)


def labelled_items(
    lib: Library, label: Label, query: str, screen: Screen
) -> list[tuple[Item, LabelledTrack]]:
    """Return the tracks that a label's query finds.

    The user's own word on a track wins: where it contradicts the label, the track is
    left out.

    Raises:
        ConfigError: The query finds no track.
    """
    items = library.patiently(lambda: list(lib.items(query)))
    if not items:
        raise ConfigError(f"--{label} {query!r} finds no track in the library")
    kept = [item for item in items if library.override(item) in {None, label}]
    if len(kept) < len(items):
        n_tracks = count_of(len(items) - len(kept), "track")
        screen.say(f"{n_tracks} of --{label} left out: ai_override says otherwise")
    return [(item, _track(item, label)) for item in kept]


def _track(item: Item, label: Label) -> LabelledTrack:
    from beetsplug.artifactnet.benchmark.manifest import LabelledTrack

    return LabelledTrack(
        track_id=f"item-{item.id}",
        path=library.item_path(item),
        label=label,
        source=str(item.get("format", "") or ""),
        # Tracks of an album share studio, master and encoder.
        lineage_id=f"album-{item.album_id}" if item.album_id else "",
    )


@dataclass
class Screen:
    """Where lines and progress are shown."""

    quiet: bool
    _progress: Progress | None = field(default=None, init=False)

    def say(self, *lines: str) -> None:
        """Print lines, unless the user wants quiet."""
        if not self.quiet:
            self.tell(*lines)

    def tell(self, *lines: str) -> None:
        """Print lines."""
        self.clear()
        for line in lines:
            ui.print_(printable(line))

    def progress(self) -> Callable[[int, int], None]:
        """Return what shows the progress of one more pass over the tracks."""
        self.clear()
        self._progress = None

        def show(n_done: int, n_total: int) -> None:
            if self._progress is None:
                self._progress = Progress(n_total, quiet=self.quiet)
            self._progress.show(n_done)

        return show

    def clear(self) -> None:
        """Take the progress line away."""
        if self._progress is not None:
            self._progress.clear()


@contextmanager
def answer_log(folder: Path, screen: Screen) -> Iterator[AnswerLog]:
    """Open the log of answers in a folder; after Ctrl-C say that they are kept, and end.

    Raises:
        ConfigError: It cannot be read or written to.
    """
    from beetsplug.artifactnet.benchmark.runner import LOG_FILE, AnswerLog

    with closing(AnswerLog(folder / LOG_FILE)) as log:
        try:
            yield log
        except KeyboardInterrupt:
            screen.tell(
                f"interrupted: what was scored is kept in {folder}; "
                f"the same command goes on from there"
            )
            raise
        finally:
            screen.clear()
