"""``beet artifactnet``: options in, calls, printed lines out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING

from beets import ui
from beets.exceptions import UserError
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.declarations import DeclarationRun, may_tag
from beetsplug.artifactnet.commands.descriptions import Describer, check_lists, read_list
from beetsplug.artifactnet.commands.explain import check_options, explain_tracks
from beetsplug.artifactnet.commands.imports import ignore_query
from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.commands.options import (
    Exclusive,
    HelpfulParser,
    add_flags,
    add_threads,
    check_exclusive,
    check_threads,
    command,
)
from beetsplug.artifactnet.commands.output import (
    Tally,
    json_line,
    nothing_to_do,
    summary,
    threshold_words,
)
from beetsplug.artifactnet.commands.paths import (
    find_tracks,
    hint,
    named_paths,
    score_paths,
)
from beetsplug.artifactnet.commands.plan import Plan, Wanted, store_changes
from beetsplug.artifactnet.commands.terminal import (
    Progress,
    none_scored,
    printable,
    title,
    verdict_line,
)
from beetsplug.artifactnet.engine import Engine, make_engine
from beetsplug.artifactnet.library import Field, Row, forced
from beetsplug.artifactnet.results import Outcome, TrackResult, Verdict
from beetsplug.artifactnet.settings import Settings
from beetsplug.artifactnet.words import count_of

if TYPE_CHECKING:
    from beets.logging import BeetsLogger

_DESCRIPTION = (
    "Score how likely tracks are AI-generated. Without a query every track of the library "
    "that has no score yet is scored; what has one keeps it. Files and folders outside the "
    "library are scored and printed, and nothing of them is stored."
)
_EXAMPLES = """\
Examples:
  beet ai artist:'Somebody New'     score what is new of an artist
  beet ai --json ~/Downloads        score files that are not in the library
  beet ai --explain ai_verdict:ai   say why tracks are flagged

See also: beet aimodel (the models), beet aibench (judge a model, set thresholds).
"""


_READING = ("--declared-only", "--forget-provenance")
_EXCLUSIVE: tuple[Exclusive, ...] = (
    (("--json",), ("--quiet",), "objects alone, or the summary alone"),
    (("--write",), ("--nowrite",), "tags are written, or left alone"),
    (("--lists",), ("--quiet",), "the summary names no artist"),
    (
        _READING,
        ("--force", "--outdated", "--retry-failed", "--write"),
        "declarations are read without scoring and writing",
    ),
)


def artifactnet_command(settings: Callable[[], Settings], log: BeetsLogger) -> ui.Subcommand:
    """Return the command; ``settings`` reads the options as they are when it runs."""
    parser = _parser()

    def run(lib: Library, opts: Values, args: list[str]) -> None:
        check_exclusive(parser, opts, *_EXCLUSIVE)
        check_options(opts)
        if opts.forget_provenance and not args:
            raise UserError("artifactnet: --forget-provenance needs a query: which tracks?")
        if opts.declared_only or opts.forget_provenance:
            DeclarationRun(settings(), lib, opts).run(args)
        else:
            ScoreRun(settings(), log, lib, opts).run(args)

    text = "score how likely tracks are AI-generated"
    return command("artifactnet", text, parser, run, aliases=("ai",))


def _parser() -> HelpfulParser:
    parser = HelpfulParser(
        usage="%prog [options] [QUERY... | PATH...]", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    parser.add_album_option()
    add_flags(
        parser,
        ("-f", "--force", "score tracks again that have a score, or that failed"),
        ("--outdated", "also tracks that another model scored, or that changed since"),
        ("--retry-failed", "also tracks that could not be scored before"),
        ("-p", "--pretend", "list the tracks that would be scored, and score none"),
        ("-q", "--quiet", "print the summary alone"),
        ("--explain", "say why each track has its verdict, and what speaks against it"),
        ("--numbers", "with --explain: add the numbers"),
        ("--declared-only", "read declarations in files, and decode nothing"),
        ("--forget-provenance", "forget stored declarations, and read them anew"),
        ("--json", "print a JSON object a line for each track, for programs"),
    )
    add_threads(parser)
    add_flags(
        parser,
        ("-w", "--write", "export scores to file tags, also of tracks that have one already"),
        ("-W", "--nowrite", "leave file tags alone"),
    )
    parser.add_option(
        "--lists",
        metavar="FILE.json",
        help="name artists of a list, such as Soul Over AI's; with PATHs, or with --json",
    )
    return parser


class ScoreRun:
    """One call of the command."""

    def __init__(
        self, settings: Settings, log: BeetsLogger, lib: Library, opts: Values
    ) -> None:
        self.lib, self.opts, self.log, self.settings = lib, opts, log, settings
        check_threads(opts)
        # Said now: a query that is none would be noticed at an import, days later.
        ignore_query(settings)
        self.engine: Engine = make_engine(settings)
        self.engine.check_executor(opts.threads)
        self.force = opts.force or settings.force
        self.quiet = opts.quiet or opts.json or settings.quiet
        self.is_silent = self.quiet and not (opts.json or opts.explain)
        """Whether no track has a line."""
        self.describer = Describer(self.engine, opts.threads, read_list(opts.lists))
        self.write = (settings.write or opts.write) and not opts.nowrite
        self.thresholds = threshold_words(self.engine.in_force)
        self.tally = Tally()
        self.progress = Progress(0, quiet=True)

    def run(self, args: list[str]) -> None:
        """Score what the arguments name: files, or tracks of the library."""
        paths = [] if self.opts.album else named_paths(args)
        check_lists(self.opts, paths, is_silent=self.is_silent)
        if self.opts.explain:
            explain_tracks(self, args, paths)
        elif not paths:
            self.run_query(args)
        else:
            score_paths(self, paths)

    # Tracks of the library.

    def run_query(self, args: Sequence[str]) -> None:
        """Score what a query finds."""
        ids = self.find_ids(args)
        self.score_ids(ids, args)
        if self.opts.json and not self.opts.pretend:
            self.print_objects(library.rows_in_order(self.lib, ids))

    def find_ids(self, args: Sequence[str]) -> list[int]:
        """Return the ids of the tracks that a query finds.

        Raises:
            UserError: It finds none.
        """
        return find_tracks(self.lib, args, album=self.opts.album, hint=hint(args))

    def print_objects(self, rows: Iterable[Row]) -> None:
        """Print tracks of the library as JSON."""
        for row, beside in self.describer.of_rows(self.lib, rows):
            ui.print_(json_line(row, beside.as_dict()))

    def score_ids(self, ids: Sequence[int], args: Sequence[str]) -> Plan:
        """Score those of these tracks that are due, and bring the others up to date."""
        wanted, plan = self._wanted(args), Plan()
        place = {item_id: number for number, item_id in enumerate(ids)}
        unscored = set() if self.force else library.find_unscored(self.lib) & place.keys()

        if not self.opts.pretend:
            # The rows are read while workers start.
            self.engine.prepare(len(ids) if self.force else len(unscored), self.opts.threads)

        def add(some: Iterable[int]) -> list[Row]:
            rows = library.read_rows(self.lib, some)
            due = plan.add(rows, self.engine.judge, wanted)
            return sorted(due, key=lambda row: place[row.id])

        def add_rest() -> list[Row]:
            rest = place.keys() - unscored
            if not self.force:
                finished = library.find_finished(self.lib, rest, self.engine.judge)
                plan.add_finished(finished, wanted)
                rest -= finished
            due = add(rest)
            if not self.opts.pretend:
                self._store_changes(plan)
                library.sum_up_large_albums(self.lib)
            return due

        # What has no score is found at once, and its scoring begins; the rest of a large
        # library is looked through meanwhile.
        due = add(unscored)
        if self.opts.pretend or not due:
            due = sorted([*due, *add_rest()], key=lambda row: place[row.id])
            self._score_all(plan, due, list)
        else:
            self._score_all(plan, due, add_rest)
        return plan

    def _score_all(self, plan: Plan, due: list[Row], more: Callable[[], list[Row]]) -> None:
        if self.opts.pretend:
            self._pretend(plan, due)
            return
        if due:
            self._score(plan, due, more)
        elif not self.opts.json:
            self._print_end(nothing_to_do(self.tally, plan))
        if self.force:
            forced.end(self.settings.forced_run_file)

    def _wanted(self, args: Sequence[str]) -> Wanted:
        since = self._forced_since(args) if self.force else float("inf")
        return Wanted(
            force=self.force,
            outdated=self.opts.outdated,
            retry_failed=self.opts.retry_failed,
            write=bool(self.opts.write),
            forced_since=since,
        )

    def _forced_since(self, args: Sequence[str]) -> float:
        """Return when this run began, or the same one that was interrupted."""
        kind = {
            "library": str(self.lib.path),
            "query": list(args),
            "album": self.opts.album,
            "model": self.engine.judge.model,
        }
        file = self.settings.forced_run_file
        if self.opts.pretend:
            return forced.interrupted(file, kind) or float("inf")
        began, is_resumed = forced.begin(file, kind)
        if is_resumed:
            self.log.warning(
                "going on with --force where it was interrupted; "
                "what it has scored since it began is not scored again"
            )
        return began if is_resumed else float("inf")

    def _pretend(self, plan: Plan, due: Sequence[Row]) -> None:
        if self.opts.json:
            self.print_objects(due)
            return
        if not self.quiet:
            for row in due:
                item = self.lib.get_item(row.id)
                if item is not None:
                    ui.print_(title(item))
        n_to_write = sum(1 for _ in self._without_tags(plan))
        tags = f", the tags of {count_of(n_to_write, 'other')} written" if n_to_write else ""
        ui.print_(f"{count_of(len(due), 'track')} would be scored{tags}")

    def _without_tags(self, plan: Plan) -> Iterator[Item]:
        """Yield the tracks whose scores are to be written to tags, and are not there."""
        for item_id in plan.to_write:
            item = self.lib.get_item(item_id)
            if item is not None and not library.has_score_tags(item):
                yield item

    def _store_changes(self, plan: Plan) -> None:
        """Store what follows from stored scores; name changed verdicts; write tags."""
        store_changes(self.lib, plan)
        self.tally.n_changed += len(plan.old_verdicts)
        if not self.quiet:
            for item_id, old in plan.old_verdicts.items():
                item = self.lib.get_item(item_id)
                if item is not None:
                    with self.progress.above():
                        ui.print_(f"{verdict_line(item)}  (was {old})")
        for item in self._without_tags(plan):
            self.tally.n_written += self._write(item)

    def _write(self, item: Item) -> bool:
        """Export a track's score to its file's tags; tell whether that was done.

        A file that its signature would suffer from is left alone.
        """
        path = library.item_path(item)
        if not may_tag(item, path, self.log, keeps=self.settings.keep_signed):
            return False
        if not item.try_write(tags=library.score_tags(item)):
            return False
        library.restamp(item)
        library.store(item)
        return True

    def _score(self, plan: Plan, due: list[Row], more: Callable[[], list[Row]]) -> None:
        albums = library.AlbumSummaries(self.lib)
        self.progress = progress = Progress(len(due), quiet=self.quiet, log=self.log)
        queue = _Queue(self.lib, due, self.tally, more)
        results = self.engine.score(
            queue.paths(),
            self.opts.threads,
            interrupts.is_pending,
            lambda: library.find_scored_file(self.lib, self.engine.judge),
        )
        try:
            with interrupts.deferred(), closing(results):
                progress.show(0)
                for place, result in results:
                    row = queue.taken[place]
                    if library.was_stored_since(self.lib, row):
                        queue.pass_over()
                    else:
                        self._store(row, result, albums, progress)
                    progress.n_total = len(plan.due)
                    progress.show(self.tally.n_done, self.tally.note())
        except KeyboardInterrupt:
            self._finish(albums, progress)
            self._print_end(f"interrupted: {summary(self.tally, plan)}")
            raise
        except Exception:
            progress.clear()
            if self.tally.n_done:
                self._print_end(f"stopped: {summary(self.tally, plan)}")
            raise
        self._finish(albums, progress)
        self._print_end(summary(self.tally, plan))
        if self.tally.n_failed and not self.tally.n_scored:
            raise UserError(f"artifactnet: {none_scored(self.tally.n_failed)}")

    def _finish(self, albums: library.AlbumSummaries, progress: Progress) -> None:
        progress.clear()
        albums.finish()
        for line in self.tally.failures.lines():
            self.log.warning("{}", line)

    def _print_end(self, line: str) -> None:
        if not self.opts.json:
            ui.print_(f"{line}{self.thresholds}")

    def _store(
        self, row: Row, result: TrackResult, albums: library.AlbumSummaries, progress: Progress
    ) -> None:
        """Store one result and print its line where it has one."""
        item = library.patiently(lambda: self.lib.get_item(row.id))
        if item is None:
            # It was removed from the library while its file was being scored.
            return
        library.store_result(item, result, self.engine.judge, albums)
        is_scored = result.outcome is Outcome.SCORED
        if self.write and is_scored:
            self._write(item)
        verdict, old = library.own(item, Field.VERDICT), row.get(Field.VERDICT)
        self.tally.count(result, item)
        is_changed = is_scored and old is not None and old != verdict
        self.tally.n_changed += is_changed
        if self.quiet or not is_scored:
            if not is_scored:
                path = printable(str(item.filepath))
                self.log.debug("not scored: {}: {}", path, printable(result.detail))
            return
        if verdict != Verdict.REAL.value or is_changed:
            with progress.above():
                ui.print_(verdict_line(item) + (f"  (was {old})" if is_changed else ""))


class _Queue:
    """Tracks on their way to the workers, without those that another run has stored."""

    def __init__(
        self, lib: Library, due: Sequence[Row], tally: Tally, more: Callable[[], list[Row]]
    ) -> None:
        self._lib, self._tally, self._more = lib, tally, more
        self._waiting = list(reversed(due))
        self._is_shuffled = False
        self.taken: list[Row] = []
        """Those that were handed out, in order."""

    def paths(self) -> Iterator[Path]:
        """Yield the path of each track whose turn comes, then of those found meanwhile."""
        yield from self._turns()
        self._waiting = list(reversed(self._more()))
        yield from self._turns()

    def _turns(self) -> Iterator[Path]:
        while self._waiting:
            row = self._waiting.pop()
            if library.was_stored_since(self._lib, row):
                self.pass_over()
                continue
            self.taken.append(row)
            yield row.filepath

    def pass_over(self) -> None:
        """Count a track that another run was quicker with; go on in another order.

        In the same order two runs would go on side by side, and both score everything.
        """
        self._tally.n_passed_over += 1
        if not self._is_shuffled:
            random.shuffle(self._waiting)
            self._is_shuffled = True
