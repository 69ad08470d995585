"""``beet artifactnet``: options in, calls, printed lines out."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from beets import ui
from beets.exceptions import UserError
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.declarations import manifest_line, read_declarations
from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.commands.terminal import (
    Progress,
    count_of,
    guarded,
    printable,
)
from beetsplug.artifactnet.engine import Engine, make_engine
from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.library import Field, Reason, State
from beetsplug.artifactnet.results import Outcome, TrackResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from beetsplug.artifactnet.plugin import ArtifactNetPlugin


class Options(Protocol):
    """The command's options, as optparse gives them."""

    album: bool
    force: bool
    outdated: bool
    retry_failed: bool
    pretend: bool
    quiet: bool
    threads: int | None
    write: bool | None
    declared_only: bool
    forget_provenance: bool


def artifactnet_command(plugin: ArtifactNetPlugin) -> ui.Subcommand:
    """Return the command, bound to its plugin."""
    command = ui.Subcommand(
        "artifactnet",
        help="score how likely tracks are AI-generated",
        aliases=("ai",),
    )
    parser = command.parser
    parser.add_album_option()
    flags = (
        ("-f", "--force", "score again what has a score, and what failed"),
        (None, "--outdated", "score again what another model scored, or has changed since"),
        (None, "--retry-failed", "try again what could not be scored"),
        ("-p", "--pretend", "list what would be scored, and score nothing"),
        ("-q", "--quiet", "print the summary alone"),
        (None, "--declared-only", "read what files say of themselves, and decode nothing"),
        (None, "--forget-provenance", "forget what files said, and read it anew"),
    )
    for short, long, text in flags:
        names = [name for name in (short, long) if name]
        parser.add_option(*names, action="store_true", default=False, help=text)
    parser.add_option(
        "-t", "--threads", type="int", help="number of workers; 0 is one per core"
    )
    parser.add_option(
        "-w",
        "--write",
        action="store_true",
        default=None,
        help="export scores to file tags",
    )
    parser.add_option(
        "-W", "--nowrite", action="store_false", dest="write", help="leave file tags alone"
    )

    @guarded
    def run(lib: Library, opts: Options, args: list[str]) -> None:
        if opts.forget_provenance and not args:
            raise UserError("artifactnet: --forget-provenance needs a query: which tracks?")
        if opts.declared_only or opts.forget_provenance:
            read_declarations(plugin, lib, opts, _matching(lib, opts, args))
        else:
            _Run(plugin, lib, opts).run(args)

    command.func = run
    return command


def _matching(lib: Library, opts: Options, args: list[str]) -> Iterable[Item]:
    if not opts.album:
        return lib.items(args)
    return (item for album in lib.albums(args) for item in album.items())


@dataclass
class _Plan:
    """What a query found, told apart."""

    due: list[tuple[int, Path]] = field(default_factory=list)
    """Id and path of each item to score."""
    n_scored: int = 0
    """Have a score and keep it, the outdated ones included."""
    n_stale: int = 0
    n_failed: int = 0
    n_redecided: int = 0

    @property
    def n_skipped(self) -> int:
        return self.n_scored + self.n_failed


@dataclass
class _Tally:
    """What became of the files of a run."""

    started: float = field(default_factory=time.monotonic)
    n_scored: int = 0
    n_failed: int = 0
    n_ai: int = 0
    n_unsure: int = 0

    @property
    def n_done(self) -> int:
        return self.n_scored + self.n_failed

    def count(self, result: TrackResult, verdict: object) -> None:
        self.n_scored += result.outcome is Outcome.SCORED
        self.n_failed += result.outcome is not Outcome.SCORED
        if result.outcome is Outcome.SCORED:
            self.n_ai += verdict == Verdict.AI.value
            self.n_unsure += verdict == Verdict.UNSURE.value

    def per_minute(self) -> float:
        return self.n_done * 60 / max(time.monotonic() - self.started, 1e-9)


class _Run:
    """One call of the command."""

    def __init__(self, plugin: ArtifactNetPlugin, lib: Library, opts: Options) -> None:
        self.plugin, self.lib, self.opts = plugin, lib, opts
        self.log = plugin.log
        self.settings = plugin.settings()
        self.engine: Engine = make_engine(self.settings)
        if opts.threads is not None and opts.threads < 0:
            raise ConfigError(f"--threads is {opts.threads}, it must be 0 or more")
        self.force = opts.force or self.settings.force
        self.quiet = opts.quiet or self.settings.quiet
        self.write = self.settings.write if opts.write is None else opts.write

    def run(self, args: list[str]) -> None:
        plan = library.patiently(lambda: self.plan(_matching(self.lib, self.opts, args)))
        if self.opts.pretend:
            self.pretend(plan)
        elif plan.due:
            self.score(plan)
        else:
            ui.print_(_nothing_to_do(plan))

    def plan(self, items: Iterable[Item]) -> _Plan:
        """Tell the items apart; bring verdicts in line with changed thresholds."""
        plan = _Plan()
        for item in items:
            state = library.state(item, self.engine.judge.model)
            if self.is_due(state):
                plan.due.append((int(item.id or 0), library.item_path(item)))
                continue
            plan.n_stale += state is State.STALE
            plan.n_failed += state is State.FAILED
            plan.n_scored += state is not State.FAILED
            if not self.opts.pretend and self.redecide(item):
                plan.n_redecided += 1
        if plan.n_redecided and not self.quiet:
            ui.print_(f"{count_of(plan.n_redecided, 'verdict')} decided anew")
        return plan

    def is_due(self, state: State) -> bool:
        if self.force or state is State.UNSCORED:
            return True
        return (state is State.STALE and self.opts.outdated) or (
            state is State.FAILED and self.opts.retry_failed
        )

    def redecide(self, item: Item) -> bool:
        if not library.redecide(item, self.engine.judge):
            return False
        library.store(item)
        return True

    def pretend(self, plan: _Plan) -> None:
        if not self.quiet:
            for item_id, _ in plan.due:
                item = self.lib.get_item(item_id)
                if item is not None:
                    ui.print_(printable(format(item)))
        ui.print_(f"{count_of(len(plan.due), 'track')} would be scored")

    def score(self, plan: _Plan) -> None:
        tally = _Tally()
        progress = Progress(len(plan.due), quiet=self.quiet)
        results = self.engine.score(
            (path for _, path in plan.due), self.opts.threads, interrupts.is_pending
        )
        self.plugin.export_to_tags = self.write
        try:
            with interrupts.deferred(), closing(results):
                for place, result in results:
                    self.store(plan.due[place][0], result, tally, progress)
                    progress.show(tally.n_done)
        except KeyboardInterrupt:
            progress.clear()
            ui.print_(f"interrupted: {_summary(tally, plan)}")
            raise
        except Exception:
            progress.clear()
            if tally.n_done:
                ui.print_(f"stopped: {_summary(tally, plan)}")
            raise
        finally:
            self.plugin.export_to_tags = None
        progress.clear()
        ui.print_(_summary(tally, plan))
        if tally.n_failed and not tally.n_scored:
            raise UserError(
                f"artifactnet: none of {count_of(tally.n_failed, 'file')} could be scored"
            )

    def store(
        self, item_id: int, result: TrackResult, tally: _Tally, progress: Progress
    ) -> None:
        """Store one result and print its line where it has one."""
        item = library.patiently(lambda: self.lib.get_item(item_id))
        if item is None:
            # It was removed from the library while its file was being scored.
            return
        library.store_result(item, result, self.engine.judge)
        if self.write and result.outcome is Outcome.SCORED and self.write_tags(item):
            library.store(item)
        verdict = library.own(item, Field.VERDICT)
        tally.count(result, verdict)
        if result.outcome is not Outcome.SCORED:
            progress.clear()
            self.log.warning("not scored: {}", printable(f"{item.filepath}: {result.detail}"))
        elif verdict != Verdict.REAL.value and not self.quiet:
            progress.clear()
            score = library.own(item, Field.SCORE)
            ui.print_(f"{verdict!s:<6} {score:.4f}  {printable(format(item))}{_reason(item)}")

    def write_tags(self, item: Item) -> bool:
        """Write an item's tags; leave a file alone that its signature would suffer from."""
        path = library.item_path(item)
        if self.settings.keep_signed and library.carries_manifest(item, path):
            self.log.warning("{}", manifest_line(path, keeps=True))
            return False
        return bool(item.try_write())


def _summary(tally: _Tally, plan: _Plan) -> str:
    return (
        f"{tally.n_scored} scored, {plan.n_skipped} skipped, "
        f"{tally.n_ai} flagged as ai, {tally.n_unsure} unsure, "
        f"{tally.n_failed} failed, {tally.per_minute():.0f} songs per minute" + _hints(plan)
    )


def _reason(item: Item) -> str:
    if library.own(item, Field.REASON) != Reason.DECLARED.value:
        return ""
    return printable(f"  (declared by {library.own(item, Field.PROVENANCE)})")


def _nothing_to_do(plan: _Plan) -> str:
    return f"nothing to score: {count_of(plan.n_scored, 'track')} scored" + _hints(plan)


def _hints(plan: _Plan) -> str:
    """Name what was left alone and how to have it done."""
    hints = []
    if plan.n_stale:
        hints.append(f"{plan.n_stale} outdated (--outdated)")
    if plan.n_failed:
        hints.append(f"{plan.n_failed} failed before (--retry-failed)")
    return "".join(f", {hint}" for hint in hints)
