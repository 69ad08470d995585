"""``beet aibench``: judge detectors on labelled audio, and calibrate their thresholds."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from beets import ui
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.bench_lines import summary_lines
from beetsplug.artifactnet.commands.terminal import (
    INTERRUPTED,
    Progress,
    count_of,
    guarded,
    printable,
)
from beetsplug.artifactnet.engine import make_engine
from beetsplug.artifactnet.errors import ConfigError, MissingPackageError
from beetsplug.artifactnet.library import Field, State
from beetsplug.artifactnet.models.store import Model, find_model

if TYPE_CHECKING:
    from beetsplug.artifactnet.benchmark.calibration import Calibration
    from beetsplug.artifactnet.benchmark.manifest import Label, LabelledTrack, Manifest
    from beetsplug.artifactnet.benchmark.metrics import ModelRun, ScoredTrack
    from beetsplug.artifactnet.benchmark.report.pages import Section
    from beetsplug.artifactnet.benchmark.runner import AnswerLog, Setup
    from beetsplug.artifactnet.benchmark.transport import Transported
    from beetsplug.artifactnet.plugin import ArtifactNetPlugin

_REPORTS = "aibench"
_PACKAGES = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "scipy": "scipy"}
_EXTRA = "beets-artifactnet[bench]"
_MAX_FPR = 0.5


class Options(Protocol):
    """The command's options, as optparse gives them."""

    audio_root: str | None
    ai: str | None
    real: str | None
    models: list[str] | None
    out: str | None
    threads: int | None
    transport: bool
    calibrate: float | None
    save: bool
    quiet: bool


def aibench_command(plugin: ArtifactNetPlugin) -> ui.Subcommand:
    """Return the command, bound to its plugin."""
    command = ui.Subcommand("aibench", help="judge a detector on labelled audio")
    parser = command.parser
    parser.usage = "%prog MANIFEST|FOLDER|CSV [options]\n  %prog --ai QUERY --real QUERY"
    texts = (
        ("--audio-root", "DIR", "where the audio of a manifest lies"),
        ("--ai", "QUERY", "a query: tracks of the library that are AI-generated"),
        ("--real", "QUERY", "a query: tracks of the library that are human-made"),
        ("--out", "DIR", f"where the report goes; default: {_REPORTS}/NAME here"),
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
    parser.add_option(
        "-t", "--threads", type="int", help="number of workers; 0 is one per core"
    )
    parser.add_option(
        "--transport",
        action="store_true",
        default=False,
        help="also score the tracks through MP3, AAC and Opus",
    )
    parser.add_option(
        "--calibrate",
        type="float",
        metavar="FPR",
        help="find thresholds for this false-positive rate, such as 0.01",
    )
    parser.add_option(
        "--save",
        action="store_true",
        default=False,
        help="use the calibrated thresholds from now on",
    )
    parser.add_option(
        "-q",
        "--quiet",
        action="store_true",
        default=False,
        help="print the place of the report alone",
    )

    @guarded
    def run(lib: Library, opts: Options, args: list[str]) -> None:
        _Bench(plugin, lib, opts, args).run()

    command.func = run
    return command


@dataclass
class _Bench:
    """One call of the command."""

    plugin: ArtifactNetPlugin
    lib: Library
    opts: Options
    args: list[str]
    _progress: Progress | None = field(default=None, init=False)

    def run(self) -> None:
        _check_options(self.opts, self.args)
        models = self._models()
        self._check_packages()
        manifest = self._manifest()
        humans = self._humans()
        folder = self._folder(manifest)

        from beetsplug.artifactnet.benchmark.runner import LOG_FILE, AnswerLog

        setup = self._setup(models)
        with closing(AnswerLog(folder / LOG_FILE)) as log:
            try:
                self._judge(setup, log, folder, manifest, humans)
            except KeyboardInterrupt:
                self._clear_progress()
                ui.print_(
                    f"interrupted: what was scored is kept in {printable(str(folder))}; "
                    f"the same command goes on from there"
                )
                sys.exit(INTERRUPTED)
            finally:
                self._clear_progress()

    # What is asked for.

    def _models(self) -> list[Model]:
        settings = self.plugin.settings()
        names = self.opts.models or [settings.model]
        models = [find_model(name, settings.model_folders) for name in names]
        labels = [model.card.label for model in models]
        for label in labels:
            if labels.count(label) > 1:
                raise ConfigError(f"the model {label} is there twice; name each one once")
        return models

    def _check_packages(self) -> None:
        for module, package in _PACKAGES.items():
            # Found, not imported: that takes seconds, and scoring comes first.
            if importlib.util.find_spec(module) is None:
                raise MissingPackageError(package, _EXTRA)

    def _setup(self, models: Iterable[Model]) -> Setup:
        from beetsplug.artifactnet.benchmark.runner import Setup
        from beetsplug.artifactnet.scoring.detector import Detector
        from beetsplug.artifactnet.workers import shared_workers

        settings = self.plugin.settings()
        threads = settings.threads if self.opts.threads is None else self.opts.threads
        return Setup(
            detectors=tuple(Detector(model, settings.providers) for model in models),
            count=settings.segments,
            workers=shared_workers(settings.executor, threads),
            time_limit_s=settings.time_limit_s,
        )

    def _manifest(self) -> Manifest | None:
        """Return what is to be judged on, None where thresholds alone are wanted."""
        from beetsplug.artifactnet.benchmark.manifest import (
            Manifest,
            check_tracks,
            read_manifest,
        )

        if self.args:
            root = self.opts.audio_root
            return read_manifest(_path(self.args[0]), None if root is None else _path(root))
        if self.opts.ai is None or self.opts.real is None:
            return None
        found = self._labelled({"ai": self.opts.ai, "real": self.opts.real})
        tracks = tuple(track for _, track in found)
        check_tracks(tracks, "the library")
        return Manifest("library", "beets queries", tracks)

    def _humans(self) -> list[tuple[Item, LabelledTrack]]:
        """Return the library's human-made tracks where thresholds come from those."""
        from beetsplug.artifactnet.benchmark.calibration import check_claim

        if self.opts.calibrate is None or self.opts.real is None or self.opts.ai is not None:
            return []
        found = self._labelled({"real": self.opts.real})
        # Too few tracks are too few before hours of scoring, too.
        check_claim(len(found), self.opts.calibrate)
        return found

    def _labelled(self, queries: Mapping[str, str]) -> list[tuple[Item, LabelledTrack]]:
        """Return the tracks that each label's query finds.

        The user's own word on a track wins: one that it contradicts is left out.
        """
        labels: dict[int, str] = {}
        found: list[tuple[Item, LabelledTrack]] = []
        n_contradicted = 0
        for label, query in queries.items():
            items = list(self.lib.items(query))
            if not items:
                raise ConfigError(f"--{label} {query!r} finds no track in the library")
            for item in items:
                item_id = int(item.id or 0)
                if item_id in labels:
                    raise ConfigError(f"{format(item)} is found by both --ai and --real")
                labels[item_id] = label
                word = library.override(item)
                if word is not None and word.value != label:
                    n_contradicted += 1
                else:
                    found.append((item, _track(item, cast("Label", label))))
        if n_contradicted:
            self._say(
                f"{count_of(n_contradicted, 'track')} left out: ai_override says otherwise"
            )
        return found

    def _folder(self, manifest: Manifest | None) -> Path:
        from beetsplug.artifactnet.benchmark.report.outputs import folder_name

        if self.opts.out is not None:
            return _path(self.opts.out).absolute()
        name = "library" if manifest is None else Path(manifest.name).stem
        return Path.cwd() / _REPORTS / folder_name(name)

    # What is done.

    def _judge(
        self,
        setup: Setup,
        log: AnswerLog,
        folder: Path,
        manifest: Manifest | None,
        humans: Sequence[tuple[Item, LabelledTrack]],
    ) -> None:
        from beetsplug.artifactnet.benchmark.runner import score_tracks

        runs: tuple[ModelRun, ...] = ()
        if manifest is not None:
            runs = score_tracks(manifest.tracks, setup, log, self._shows())
        transported = self._transport(setup, log, manifest)
        refusal: ConfigError | None = None
        calibrations: list[Calibration] = []
        try:
            calibrations = self._calibrate(setup, log, runs, humans)
        except ConfigError as error:
            # The report is worth having all the same.
            refusal = error
        self._clear_progress()
        self._write(folder, manifest, runs, transported, calibrations)
        if refusal is not None:
            raise refusal
        if self.opts.save:
            self._save(calibrations)

    def _transport(
        self, setup: Setup, log: AnswerLog, manifest: Manifest | None
    ) -> tuple[Transported, ...]:
        if manifest is None or not self.opts.transport:
            return ()
        from beetsplug.artifactnet.benchmark.manifest import judged_split
        from beetsplug.artifactnet.benchmark.transport import transport_tracks

        split = judged_split(manifest.tracks)
        tracks = [track for track in manifest.tracks if track.split == split]
        return transport_tracks(tracks, setup, log, self._shows())

    def _calibrate(
        self,
        setup: Setup,
        log: AnswerLog,
        runs: Iterable[ModelRun],
        humans: Sequence[tuple[Item, LabelledTrack]],
    ) -> list[Calibration]:
        from beetsplug.artifactnet.benchmark.calibration import calibrate_thresholds

        wanted = self.opts.calibrate
        if wanted is None:
            return []
        if humans:
            scores = self._human_scores(setup, log, humans)
        else:
            scores = {run.model: _calibration_tracks(run) for run in runs}
        return [calibrate_thresholds(model, scored, wanted) for model, scored in scores.items()]

    def _human_scores(
        self, setup: Setup, log: AnswerLog, humans: Sequence[tuple[Item, LabelledTrack]]
    ) -> dict[str, Sequence[ScoredTrack]]:
        """Return the tracks as each model scores them: stored scores where they hold."""
        from dataclasses import replace

        from beetsplug.artifactnet.benchmark.metrics import ScoredTrack
        from beetsplug.artifactnet.benchmark.runner import score_tracks
        from beetsplug.artifactnet.scoring.version import scored_by

        scores: dict[str, Sequence[ScoredTrack]] = {}
        for detector in setup.detectors:
            label = detector.card.label
            stored, due = [], []
            for item, track in humans:
                score = library.own(item, Field.SCORE)
                if library.state(item, scored_by(label)) is State.FRESH and isinstance(
                    score, float
                ):
                    stored.append(ScoredTrack(track, score))
                else:
                    due.append(track)
            alone = replace(setup, detectors=(detector,))
            (run,) = score_tracks(due, alone, log, self._shows())
            n_failed = sum(scored.probability is None for scored in run.tracks)
            self._clear_progress()
            self._say(
                f"{label}: {count_of(len(stored), 'stored score')}, "
                f"{len(due) - n_failed} scored now, {n_failed} failed"
            )
            scores[label] = (*stored, *run.tracks)
        return scores

    def _save(self, calibrations: Sequence[Calibration]) -> None:
        """Save the thresholds, and decide stored verdicts anew without decoding."""
        from beetsplug.artifactnet.benchmark.calibration import calibration_values
        from beetsplug.artifactnet.thresholds import save_thresholds

        settings = self.plugin.settings()
        path = settings.thresholds_file
        origin = self.opts.real or (self.args[0] if self.args else "")
        save_thresholds(
            path,
            {c.model: {**calibration_values(c), "tracks": origin} for c in calibrations},
        )
        judge = make_engine(settings).judge
        n_changed = 0
        for item in list(self.lib.items(f"{Field.SCORE}:..")):
            if library.redecide(item, judge):
                item.store()
                library.update_album_of(item)
                n_changed += 1
        ui.print_(
            f"saved in {printable(str(path))}; {count_of(n_changed, 'verdict')} decided anew"
        )
        for name in ("ai_threshold", "unsure_threshold"):
            if getattr(settings, name) is not None:
                ui.print_(f"artifactnet.{name} in your configuration still comes first")

    # What is written and said.

    def _write(
        self,
        folder: Path,
        manifest: Manifest | None,
        runs: Sequence[ModelRun],
        transported: Sequence[Transported],
        calibrations: Sequence[Calibration],
    ) -> None:
        from beetsplug.artifactnet.benchmark import calibration as cal
        from beetsplug.artifactnet.benchmark import transport as tr
        from beetsplug.artifactnet.benchmark.report.outputs import write_outputs

        lines = [cal.calibration_lines(found) for found in calibrations]
        if manifest is not None:
            sections = (*tr.transport_sections(transported), *_calibration_sections(lines))
            page = write_outputs(folder, manifest, runs, sections)
        if transported:
            _write_json(folder / tr.TRANSPORT_FILE, tr.transport_values(transported))
        if calibrations:
            values = {c.model: cal.calibration_values(c) for c in calibrations}
            _write_json(folder / cal.CALIBRATION_FILE, values)
        if manifest is not None:
            self._say(*summary_lines(folder, manifest, runs), *_transport_lines(transported))
        self._say(*(line for found in lines for line in found))
        if manifest is not None:
            ui.print_(f"report: {printable(str(page))}")

    def _say(self, *lines: str) -> None:
        if not self.opts.quiet:
            for line in lines:
                ui.print_(printable(line))

    def _shows(self) -> Any:
        """Return what shows the progress of one more pass over the tracks."""
        self._clear_progress()
        self._progress = None

        def show(n_done: int, n_total: int) -> None:
            if self._progress is None:
                self._progress = Progress(n_total, quiet=self.opts.quiet)
            self._progress.show(n_done)

        return show

    def _clear_progress(self) -> None:
        if self._progress is not None:
            self._progress.clear()


def _check_options(opts: Options, args: Sequence[str]) -> None:
    """Refuse what contradicts itself, before anything is done."""
    wrong = (
        (len(args) > 1, "one manifest, folder or CSV file at a time"),
        (bool(args) and opts.ai is not None, "give a manifest or --ai, not both"),
        (
            bool(args) and opts.real is not None and opts.calibrate is None,
            "beside a manifest, --real is for --calibrate",
        ),
        (
            not args and (opts.ai is None) != (opts.real is None) and opts.calibrate is None,
            "metrics need both --ai and --real",
        ),
        (
            not args and opts.ai is not None and opts.real is None,
            "metrics need both --ai and --real",
        ),
        (
            not args and opts.real is None,
            "give a manifest, a folder or a CSV file, or --ai QUERY and --real QUERY"
            if opts.calibrate is None
            else "--calibrate needs human-made tracks: --real QUERY, for example "
            "--real 'year:1..2019', or a manifest",
        ),
        (
            opts.audio_root is not None and not args,
            "--audio-root goes with a manifest",
        ),
        (opts.save and opts.calibrate is None, "--save goes with --calibrate"),
        (
            opts.transport and not args and opts.ai is None,
            "--transport needs a manifest, or --ai and --real",
        ),
        (
            opts.calibrate is not None and not 0 < opts.calibrate <= _MAX_FPR,
            f"--calibrate is {opts.calibrate}, it must be above 0 and at most {_MAX_FPR:g}",
        ),
        (
            opts.threads is not None and opts.threads < 0,
            f"--threads is {opts.threads}, it must be 0 or more",
        ),
    )
    for is_wrong, message in wrong:
        if is_wrong:
            raise ConfigError(message)


def _path(text: str) -> Path:
    # Not by Path.expanduser(): it raises for an unknown ~user.
    return Path(os.path.expanduser(text))  # noqa: PTH111


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


def _calibration_tracks(run: ModelRun) -> Sequence[ScoredTrack]:
    """Return what thresholds may be taken from: the calibration split, or what is judged."""
    from beetsplug.artifactnet.benchmark.manifest import judged_split

    splits = {scored.track.split for scored in run.tracks}
    judged = judged_split(scored.track for scored in run.tracks)
    wanted = "calibration" if "calibration" in splits else judged
    return [scored for scored in run.tracks if scored.track.split == wanted]


def _calibration_sections(lines: Sequence[Sequence[str]]) -> tuple[Section, ...]:
    from beetsplug.artifactnet.benchmark.report.pages import Section

    paragraphs = tuple(". ".join(line.strip() for line in found) + "." for found in lines)
    return (Section("Calibrated thresholds", paragraphs),) if paragraphs else ()


def _write_json(path: Path, values: object) -> None:
    from beetsplug.artifactnet.benchmark.report.outputs import write_whole

    try:
        write_whole(path, f"{json.dumps(values, indent=1, allow_nan=False)}\n".encode("ascii"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _transport_lines(results: Sequence[Transported]) -> list[str]:
    from beetsplug.artifactnet.benchmark.transport import transport_lines

    return [line for result in results for line in transport_lines(result)]
