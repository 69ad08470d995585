"""``beet aicalibrate``: thresholds for a false-positive rate on human-made music."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING

from beets import ui
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands import labelled
from beetsplug.artifactnet.commands.labelled import Screen
from beetsplug.artifactnet.commands.options import add_flags, command
from beetsplug.artifactnet.commands.terminal import confirm
from beetsplug.artifactnet.commands.verdict_changes import columns, decide_anew, verdict_changes
from beetsplug.artifactnet.engine import make_engine
from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.library import Field, State
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.scoring.version import scored_by
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.thresholds import (
    InForce,
    Judge,
    Origin,
    in_force,
    read_thresholds,
    save_thresholds,
)
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beetsplug.artifactnet.benchmark.calibration import Calibration
    from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
    from beetsplug.artifactnet.benchmark.metrics import ScoredTrack
    from beetsplug.artifactnet.benchmark.runner import AnswerLog, Setup
    from beetsplug.artifactnet.scoring.detector import Detector

_DEFAULT_FPR = 0.01


def aicalibrate_command(settings: Callable[[], Settings]) -> ui.Subcommand:
    """Return the command; ``settings`` reads the options as they are when it runs."""
    parser = ui.CommonOptionsParser(
        usage="%prog --real QUERY [options]\n  %prog MANIFEST|FOLDER|CSV [options]"
    )
    labelled.add_options(parser)
    parser.add_option(
        "--fpr",
        type="float",
        default=_DEFAULT_FPR,
        metavar="RATE",
        help=f"the wanted false-positive rate; default: {_DEFAULT_FPR}, which is 1 %",
    )
    add_flags(
        parser,
        ("--save", "use the thresholds from now on"),
        ("-y", "--yes", "save without asking"),
    )

    def run(lib: Library, opts: Values, args: list[str]) -> None:
        _check_options(opts, args)
        _run(lib, opts, args, settings())

    text = "find thresholds for a false-positive rate on your own music"
    return command("aicalibrate", text, parser, run)


def _check_options(opts: Values, args: Sequence[str]) -> None:
    labelled.check_options(opts, args)
    if args and opts.real is not None:
        raise ConfigError(f"give --real QUERY or a manifest, not both; {labelled.QUOTED}")
    if not args and opts.real is None:
        raise ConfigError(
            "give human-made tracks: --real QUERY, for example --real 'year:1..2019', "
            "or a manifest, folder or CSV file"
        )
    if not 0 < opts.fpr < 1:
        raise ConfigError(f"--fpr is {opts.fpr:g}, it must be above 0 and below 1")
    if opts.yes and not opts.save:
        raise ConfigError("--yes goes with --save")


# What the thresholds are taken from.


@dataclass(frozen=True)
class _Humans:
    """Human-made tracks, and the library's items where they are its own."""

    name: str
    tracks: Sequence[LabelledTrack]
    items: Mapping[str, Item] = field(default_factory=dict)
    """By ``track_id``."""


def _humans(lib: Library, opts: Values, args: Sequence[str], screen: Screen) -> _Humans:
    if opts.real is not None:
        found = labelled.labelled_items(lib, "real", opts.real, screen)
        return _Humans(
            "library",
            [track for _, track in found],
            {track.track_id: item for item, track in found},
        )
    from beetsplug.artifactnet.benchmark.manifest import judged_split, read_labelled

    manifest = read_labelled(*labelled.manifest_paths(opts, args))
    splits = {track.split for track in manifest.tracks}
    split = "calibration" if "calibration" in splits else judged_split(manifest.tracks)
    return _Humans(
        Path(manifest.name).stem,
        [t for t in manifest.tracks if t.split == split and t.label == "real"],
    )


def _scored(
    humans: _Humans, setup: Setup, detector: Detector, log: AnswerLog, screen: Screen
) -> Sequence[ScoredTrack]:
    """Return the tracks as a model scores them: by stored scores where these hold."""
    from beetsplug.artifactnet.benchmark.metrics import ScoredTrack
    from beetsplug.artifactnet.benchmark.runner import score_tracks

    label = detector.card.label
    stored = {
        track_id: score
        for track_id, item in humans.items.items()
        if (score := _stored_score(item, scored_by(label))) is not None
    }
    due = [track for track in humans.tracks if track.track_id not in stored]
    alone = replace(setup, detectors=(detector,))
    (run,) = score_tracks(due, alone, log, screen.progress())
    n_failed = sum(scored.probability is None for scored in run.tracks)
    screen.say(
        f"{label}: {count_of(len(stored), 'stored score')}, "
        f"{len(due) - n_failed} scored now, {n_failed} failed"
    )
    known = [t for t in humans.tracks if t.track_id in stored]
    return [*(ScoredTrack(t, stored[t.track_id]) for t in known), *run.tracks]


def _stored_score(item: Item, model: str) -> float | None:
    score = library.own(item, Field.SCORE)
    is_fresh = library.state(item, model) is State.FRESH
    return score if is_fresh and isinstance(score, float) else None


# From scores to saved thresholds.


@dataclass(frozen=True)
class _Found:
    """A model's thresholds in force, and those that were found."""

    model: Model
    present: InForce
    calibration: Calibration

    @property
    def calibrated(self) -> Thresholds:
        return self.calibration.calibrated.thresholds

    @property
    def accuses_more(self) -> bool:
        """Whether more tracks are called ``ai`` than by the model's own threshold."""
        return self.calibrated.ai < self.model.card.thresholds.ai


def _run(lib: Library, opts: Values, args: Sequence[str], settings: Settings) -> None:
    from beetsplug.artifactnet.benchmark.calibration import check_claim

    screen = Screen(opts.quiet)
    models = labelled.find_models(opts, settings)
    labelled.check_packages("scipy")
    humans = _humans(lib, opts, args, screen)
    # Too few tracks are too few before hours of scoring, too.
    check_claim(len(humans.tracks), opts.fpr)
    folder = labelled.results_folder(opts, humans.name)
    setup = labelled.make_setup(opts, settings, models)
    with labelled.answer_log(folder, screen) as log:
        scored = [_scored(humans, setup, found, log, screen) for found in setup.detectors]
    pairs = zip(models, scored, strict=True)
    results = [_found(model, tracks, opts.fpr, settings) for model, tracks in pairs]
    path = _write(folder, results)
    for found in results:
        screen.say(*_lines(found))
        screen.say(*_changes(lib, found, settings))
    screen.tell(f"calibration: {path}")
    if opts.save:
        _confirm(results, yes=opts.yes)
        origin = args[0] if opts.real is None else opts.real
        _save(lib, results, origin, settings, screen)


def _found(
    model: Model, tracks: Iterable[ScoredTrack], fpr: float, settings: Settings
) -> _Found:
    from beetsplug.artifactnet.benchmark.calibration import calibrate_thresholds

    card = model.card
    saved = read_thresholds(settings.thresholds_file, card.label)
    present = in_force(settings, saved, card.thresholds)
    return _Found(
        model, present, calibrate_thresholds(card.label, tracks, fpr, present.thresholds)
    )


def _write(folder: Path, results: Iterable[_Found]) -> Path:
    from beetsplug.artifactnet.benchmark.calibration import CALIBRATION_FILE, calibration_values
    from beetsplug.artifactnet.benchmark.report.outputs import write_json

    found = [result.calibration for result in results]
    path = folder / CALIBRATION_FILE
    write_json(path, {each.model: calibration_values(each) for each in found})
    return path


def _lines(found: _Found) -> Iterator[str]:
    from beetsplug.artifactnet.benchmark.calibration import calibration_rows

    calibration = found.calibration
    yield (
        f"{calibration.model}: {count_of(calibration.n_tracks, 'human-made track')} with a "
        f"score, {count_of(calibration.n_lineages, 'album')} (or tracks without one)"
    )
    yield f"  in force now: {found.present}"
    yield from columns(calibration_rows(calibration))


def _changes(lib: Library, found: _Found, settings: Settings) -> Iterator[str]:
    card = found.model.card
    new = in_force(settings, found.calibrated, card.thresholds)
    before, after = (
        Judge(scored_by(card.label), force.thresholds, settings.declared)
        for force in (found.present, new)
    )
    return verdict_changes(lib, before, after).lines()


# Saving.


def _confirm(results: Iterable[_Found], *, yes: bool) -> None:
    """Ask before thresholds are saved that call more tracks ``ai`` than the model's own."""
    lower = [found for found in results if found.accuses_more]
    if not lower or yes:
        return
    for found in lower:
        card = found.model.card
        ui.print_(
            f"{card.label} would call a track ai from {found.calibrated.ai:g} on; "
            f"the model's own threshold is {card.thresholds.ai:g}"
        )
    confirm(
        "Save thresholds that call more tracks ai? (y/n)",
        "confirm with --yes",
        "nothing was saved",
    )


def _save(
    lib: Library, results: Iterable[_Found], origin: str, settings: Settings, screen: Screen
) -> None:
    """Save the thresholds, and decide stored verdicts anew without decoding."""
    from beetsplug.artifactnet.benchmark.calibration import calibration_values

    path = settings.thresholds_file
    found = [result.calibration for result in results]
    values = {each.model: {**calibration_values(each), "tracks": origin} for each in found}
    save_thresholds(path, values)
    engine = make_engine(settings)
    n_changed = decide_anew(lib, engine.judge)
    screen.tell(f"saved in {path}; {count_of(n_changed, 'verdict')} changed")
    if engine.model.card.label not in values:
        label = engine.model.card.label
        screen.tell(f"`model:` is {label}, whose thresholds stay as they are")
    elif Origin.CONFIG in {engine.in_force.ai_origin, engine.in_force.unsure_origin}:
        screen.tell(f"your configuration comes first; in force: {engine.in_force}")
