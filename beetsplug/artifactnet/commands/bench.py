"""``beet aibench``: judge detectors on labelled audio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from optparse import SUPPRESS_HELP, Values
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from beets import ui
from beets.exceptions import UserError
from beets.library import Library

from beetsplug.artifactnet.commands import labelled
from beetsplug.artifactnet.commands.labelled import Screen
from beetsplug.artifactnet.commands.options import add_flags, command
from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.settings import Settings

if TYPE_CHECKING:
    from beetsplug.artifactnet.benchmark.manifest import Manifest
    from beetsplug.artifactnet.benchmark.report.outputs import Report
    from beetsplug.artifactnet.benchmark.runner import AnswerLog, Setup
    from beetsplug.artifactnet.benchmark.transport.shifts import Transported


def aibench_command(settings: Callable[[], Settings]) -> ui.Subcommand:
    """Return the command; ``settings`` reads the options as they are when it runs."""
    parser = ui.CommonOptionsParser(
        usage="%prog MANIFEST|FOLDER|CSV [options]\n  %prog --ai QUERY --real QUERY"
    )
    labelled.add_options(parser)
    parser.add_option(
        "--ai", metavar="QUERY", help="a query: tracks of the library that are AI-generated"
    )
    add_flags(parser, ("--transport", "also score the tracks through MP3, AAC and Opus"))
    parser.add_option(
        "--calibrate", "--save", action="callback", callback=_moved, help=SUPPRESS_HELP
    )

    def run(lib: Library, opts: Values, args: list[str]) -> None:
        _check_options(opts, args)
        _run(lib, opts, args, settings())

    return command("aibench", "judge detectors on labelled audio", parser, run)


def _moved(_option: object, name: str, *_: object) -> NoReturn:
    raise UserError(
        f"artifactnet: `aibench {name}` has moved: "
        f"`beet aicalibrate --fpr 0.01 --real QUERY`, with --save to use the thresholds"
    )


def _check_options(opts: Values, args: Sequence[str]) -> None:
    labelled.check_options(opts, args)
    if args and (opts.ai is not None or opts.real is not None):
        raise ConfigError(f"give a manifest, or --ai and --real, not both; {labelled.QUOTED}")
    if not args and (opts.ai is None or opts.real is None):
        raise ConfigError(
            "give a manifest, a folder or a CSV file, or --ai QUERY and --real QUERY: "
            "metrics need both labels"
        )


def _run(lib: Library, opts: Values, args: Sequence[str], settings: Settings) -> None:
    from beetsplug.artifactnet.benchmark.report.lines import report_lines
    from beetsplug.artifactnet.benchmark.transport.report import transport_lines

    screen = Screen(opts.quiet)
    models = labelled.find_models(opts, settings)
    labelled.check_packages("sklearn", "matplotlib")
    manifest = _manifest(lib, opts, args, screen)
    folder = labelled.results_folder(opts, Path(manifest.name).stem)
    setup = labelled.make_setup(opts, settings, models)
    with labelled.answer_log(folder, screen) as log:
        report, transported = _judge(setup, log, folder, manifest, opts, screen)
    screen.say(*report_lines(report))
    for result in transported:
        screen.say(*transport_lines(result))
    screen.tell(f"report: {report.page}")


def _manifest(lib: Library, opts: Values, args: Sequence[str], screen: Screen) -> Manifest:
    from beetsplug.artifactnet.benchmark.manifest import Manifest, check_tracks, read_manifest

    if args:
        return read_manifest(*labelled.manifest_paths(opts, args))
    ai = labelled.labelled_items(lib, "ai", opts.ai or "", screen)
    real = labelled.labelled_items(lib, "real", opts.real or "", screen)
    in_both = {item.id for item, _ in ai} & {item.id for item, _ in real}
    for item, _ in ai:
        if item.id in in_both:
            raise ConfigError(f"{format(item)} is found by both --ai and --real")
    tracks = tuple(track for _, track in (*ai, *real))
    check_tracks(tracks, "the library")
    return Manifest("library", "beets queries", tracks)


def _judge(
    setup: Setup, log: AnswerLog, folder: Path, manifest: Manifest, opts: Values, screen: Screen
) -> tuple[Report, Sequence[Transported]]:
    """Score the tracks, and write everything that the report's folder holds."""
    from beetsplug.artifactnet.benchmark.declared import read_declared
    from beetsplug.artifactnet.benchmark.manifest import judged_split
    from beetsplug.artifactnet.benchmark.report.outputs import write_json, write_outputs
    from beetsplug.artifactnet.benchmark.runner import score_tracks
    from beetsplug.artifactnet.benchmark.transport.report import transport_sections
    from beetsplug.artifactnet.benchmark.transport.run import transport_tracks

    runs = score_tracks(manifest.tracks, setup, log, screen.progress())
    transported: Sequence[Transported] = ()
    if opts.transport:
        split = judged_split(manifest.tracks)
        tracks = [track for track in manifest.tracks if track.split == split]
        transported = transport_tracks(tracks, setup, log, screen.progress())
        write_json(folder / "transport.json", [asdict(one) for one in transported])
    screen.clear()
    declared = read_declared(manifest.tracks, setup)
    sections = transport_sections(transported)
    return write_outputs(folder, manifest, runs, sections, declared), transported
