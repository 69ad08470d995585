"""A report's numbers as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from beetsplug.artifactnet.benchmark.comparison import Comparison
from beetsplug.artifactnet.benchmark.intervals import Interval
from beetsplug.artifactnet.benchmark.metrics import DECISIONS, RANKING
from beetsplug.artifactnet.benchmark.report.outputs import Report
from beetsplug.artifactnet.benchmark.report.summary import NAMES, ModelReport
from beetsplug.artifactnet.words import count_of

_SHOWN = [name for name in DECISIONS if name != "tpr"]
"""The TPR is the recall again."""


def report_lines(report: Report) -> Iterator[str]:
    """Yield what a benchmark found: tracks, each model, each pair of models."""
    manifest = report.manifest
    yield f"{manifest.name} ({manifest.schema}): {count_of(len(manifest.tracks), 'track')}"
    for model in report.models:
        yield from _model_lines(model)
    for comparison in report.comparisons:
        yield from _comparison_lines(comparison)


def _model_lines(report: ModelReport) -> Iterator[str]:
    judgement, coverage = report.judgement, report.judgement.coverage
    split = f" of the split {judgement.split!r}" if judgement.split else ""
    yield (
        f"{report.model}: {coverage.n_scored} of {count_of(coverage.n_tracks, 'track')}{split} "
        f"scored, {coverage.n_missing} missing, {coverage.n_failed} failed"
    )
    yield from _metric_lines(report, RANKING)
    for threshold, value in judgement.thresholds.items():
        yield f"  at the {threshold} threshold, {value:g}"
        yield from _metric_lines(report, _SHOWN, f"{threshold}.")
    yield from _declared_lines(report)


def _declared_lines(report: ModelReport) -> Iterator[str]:
    declared = report.declared
    if declared is None:
        return
    yield f"  with declarations: {declared.n_ai} of 'ai', {declared.n_real} of 'real' tracks"
    for threshold in report.judgement.thresholds:
        for name in ("recall", "fpr"):
            value = declared.measured.values[f"{threshold}.{name}"]
            yield _line(f"{NAMES[name]} ({threshold})", _number(value))


def _metric_lines(report: ModelReport, names: Iterable[str], prefix: str = "") -> Iterator[str]:
    values = report.judgement.measured.values
    for name in names:
        value, interval = values[prefix + name], report.intervals.get(prefix + name)
        yield _line(NAMES[name], _number(value), interval)


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    n_tracks = count_of(comparison.n_tracks, "track")
    yield f"{comparison.first} minus {comparison.second}, on {n_tracks}"
    for found in comparison.differences:
        threshold, _, name = found.name.rpartition(".")
        if name != "tpr":
            title = f"{NAMES[name]} ({threshold})" if threshold else NAMES[name]
            yield _line(title, f"{found.difference:+.4f}", found.interval)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _line(title: str, value: str, interval: Interval | None = None) -> str:
    span = f"  {interval.low:.4f} to {interval.high:.4f}" if interval else ""
    return f"    {title:<30} {value}{span}"
