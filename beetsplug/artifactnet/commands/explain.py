"""``beet artifactnet --explain``: why tracks have their verdicts, and since when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beets import ui
from beets.exceptions import UserError

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.descriptions import Beside, parts
from beetsplug.artifactnet.commands.evidence import sentence_line
from beetsplug.artifactnet.commands.output import json_line
from beetsplug.artifactnet.commands.paths import score_strangers, tracks_and_strangers
from beetsplug.artifactnet.commands.terminal import printable, title, verdict_words
from beetsplug.artifactnet.library import Change, Decision, Explanation, Field, Row
from beetsplug.artifactnet.scoring.version import model_of
from beetsplug.artifactnet.words import minute

if TYPE_CHECKING:
    from beetsplug.artifactnet.commands.score import ScoreRun

_INDENT = " " * 4


def check_options(opts: Values) -> None:
    """Check that what stands beside ``--explain`` goes with it.

    Raises:
        UserError: It does not.
    """
    if opts.numbers and not opts.explain:
        raise UserError("artifactnet: --numbers goes with --explain")
    others = (
        *(opts.force, opts.outdated, opts.retry_failed, opts.pretend, opts.write),
        *(opts.declared_only, opts.forget_provenance, opts.lists),
    )
    if opts.explain and any(others):
        raise UserError(
            "artifactnet: --explain goes with -a, -q, -t, --json and --numbers alone"
        )


def explain_tracks(run: ScoreRun, args: Sequence[str], paths: Sequence[Path]) -> None:
    """Explain the stored verdicts of the library's tracks; score other files, and explain them.

    Raises:
        UserError: There is nothing to explain, or no other file could be scored.
    """
    if not paths:
        _explain_ids(run, run.find_ids(args))
        return
    ids, strangers = tracks_and_strangers(run.lib, paths)
    _explain_ids(run, sorted(ids.values()))
    if strangers:

        def show(row: Row, beside: Beside) -> None:
            explanation = library.explain(row, run.engine.judge, beside.release)
            _show(run, row, printable(row.file), explanation, [])

        score_strangers(run, strangers, show)


def _explain_ids(run: ScoreRun, ids: Sequence[int]) -> None:
    for some in parts(ids):
        histories = library.read_histories(run.lib, some)
        rows = {row.id: row for row in library.read_rows(run.lib, some)}
        for item_id in some:
            item = run.lib.get_item(item_id)
            if item is None or item_id not in rows:
                continue
            entries = histories.get(item_id, ())
            changes = list(library.changes_of(item_id, entries))
            explanation = library.explain(item, run.engine.judge)
            _show(run, rows[item_id], title(item), explanation, changes)


def _show(
    run: ScoreRun, row: Row, name: str, explanation: Explanation, changes: Sequence[Change]
) -> None:
    if run.opts.json:
        ui.print_(json_line(row, _as_dict(run, explanation, changes)))
        return
    verdict = verdict_words(row.get(Field.VERDICT) or "-", row.get(Field.SCORE))
    if run.opts.quiet:
        ui.print_(f"{verdict}  {name}: {printable(explanation.line)}")
        return
    ui.print_(f"{verdict}  {name}")
    for line in _lines(run, explanation, changes):
        ui.print_(f"{_INDENT}{printable(line)}")


def _lines(run: ScoreRun, explanation: Explanation, changes: Sequence[Change]) -> Iterator[str]:
    for sentence in explanation.sentences:
        yield sentence_line(sentence)
    if run.opts.numbers:
        yield from explanation.numbers
    for change in changes:
        yield f"{minute(change.date)}  {_change_words(change)}"


def _change_words(change: Change) -> str:
    before = f", before {_words(change.before)}" if change.before != Decision() else ""
    return f"{_words(change.after)}{before} ({change.cause.value})"


def _words(decision: Decision) -> str:
    """Return a verdict, its score and its model: ``ai 0.9712 by finecomb-2.1``."""
    words = [decision.verdict or "no verdict"]
    if decision.score is not None:
        words.append(f"{decision.score:.4f} by {model_of(decision.model or 'unknown')}")
    return " ".join(words)


def _as_dict(
    run: ScoreRun, explanation: Explanation, changes: Sequence[Change]
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "explanation": [vars(sentence) for sentence in explanation.sentences],
        "history": [
            {"date": change.date, "cause": change.cause.value, **vars(change.after)}
            for change in changes
        ],
    }
    if run.opts.numbers:
        values["numbers"] = list(explanation.numbers)
    return values
