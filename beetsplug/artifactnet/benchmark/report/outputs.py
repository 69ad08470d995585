"""The files that a benchmark writes: JSON for programs, a page and Markdown for readers.

Below the report's folder each model has one of its own, with ``track_probs.json``,
``per_source.json``, ``inference_failures.json``, ``metrics.json`` and its charts;
``summary.md``, ``summary.html`` and, of several models, ``comparison.json`` and their
common ROC stand above them. The same input gives the same bytes: there is no date, no
path and no machine in them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.benchmark.comparison import Comparison, compare
from beetsplug.artifactnet.benchmark.declared import WithDeclarations, with_declarations
from beetsplug.artifactnet.benchmark.intervals import N_REPLICATES, SEED, Interval, intervals
from beetsplug.artifactnet.benchmark.manifest import Manifest
from beetsplug.artifactnet.benchmark.metrics import (
    Coverage,
    GroupRates,
    Measured,
    ModelRun,
    ScoredTrack,
    judge,
)
from beetsplug.artifactnet.benchmark.published import PAPER, PAPER_TRACKS, PAPER_URL
from beetsplug.artifactnet.benchmark.report.charts import draw_charts, draw_roc
from beetsplug.artifactnet.benchmark.report.summary import (
    ModelReport,
    comparison_section,
    manifest_section,
    model_sections,
    overview_section,
)
from beetsplug.artifactnet.report.document import Chart, Section, markdown, page
from beetsplug.artifactnet.writing import unwritable, write_whole

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_FOLDER_NAME = 80
_N_DECIMALS = 6


@dataclass(frozen=True)
class Report:
    """The results, and where a reader finds them."""

    manifest: Manifest
    models: tuple[ModelReport, ...]
    comparisons: tuple[Comparison, ...]
    """Of each pair of models."""
    page: Path
    """``summary.html``."""


def write_outputs(
    folder: Path,
    manifest: Manifest,
    runs: Sequence[ModelRun],
    sections: Sequence[Section] = (),
    declared: Set[str] = frozenset(),
) -> Report:
    """Judge every run, compare them in pairs, and write all files of the report.

    Args:
        folder: The report's; made where it is missing. Files of the same name are
            replaced, each at once and whole.
        manifest: What was scored.
        runs: One for each model of another label, each with the tracks of the manifest.
        sections: Shown at the end of both summaries.
        declared: Ids of the tracks whose files declare themselves generated.

    Raises:
        ConfigError: The folder cannot be written to.
    """
    models = tuple(_report(run, declared) for run in runs)
    comparisons = tuple(
        compare(first.judgement, second.judgement, n_replicates=N_REPLICATES)
        for first, second in itertools.combinations(models, 2)
    )
    report = Report(manifest, models, comparisons, folder / "summary.html")
    ranked = [m.judgement for m in models if m.judgement.measured.values["auroc"] is not None]
    roc = draw_roc(ranked) if len(ranked) > 1 else None
    shown = [*_sections(report, roc), *sections]
    with unwritable(folder):
        _write(folder, report, roc, shown)
    return report


def _sections(report: Report, roc: Chart | None) -> Iterator[Section]:
    yield manifest_section(report.manifest)
    if len(report.models) > 1:
        yield overview_section(report.models, roc)
        yield from map(comparison_section, report.comparisons)
    for model in report.models:
        yield from model_sections(model, with_published=report.manifest.is_artifactbench)


def _write(
    folder: Path, report: Report, roc: Chart | None, sections: Sequence[Section]
) -> None:
    for model in report.models:
        _write_model(folder / model.folder, model, report.manifest)
    if len(report.models) > 1:
        _write_json(folder / "comparison.json", [_comparison(c) for c in report.comparisons])
    if roc is not None:
        _write_chart(folder, roc)
    names = ", ".join(model.model for model in report.models)
    title = f"Benchmark of {names} on {report.manifest.name}"
    write_whole(folder / "summary.md", markdown(title, sections).encode("utf-8"))
    write_whole(report.page, page(title, sections).encode("utf-8"))


def write_json(path: Path, values: object) -> None:
    """Write one JSON file of a report, whole.

    Raises:
        ConfigError: It cannot be written.
    """
    with unwritable(path):
        _write_json(path, values)


def folder_name(model: str) -> str:
    """Return a name for a model's folder: that of the model where no character is unsafe.

    Otherwise the unsafe ones are replaced, and a hash keeps two models apart.
    """
    safe = _UNSAFE.sub("_", model).lstrip(".")[:_MAX_FOLDER_NAME].rstrip(".")
    if safe and safe == model:
        return model
    digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe or 'model'}-{digest}"


def _report(run: ModelRun, declared: Set[str]) -> ModelReport:
    judgement = judge(run)
    return ModelReport(
        judgement=judgement,
        intervals=intervals(judgement.scored, judgement.thresholds, n_replicates=N_REPLICATES),
        n_replicates=N_REPLICATES,
        folder=folder_name(run.model),
        charts=draw_charts(judgement),
        declared=with_declarations(judgement, declared),
    )


def _write_model(folder: Path, report: ModelReport, manifest: Manifest) -> None:
    run, judgement = report.judgement.run, report.judgement
    _write_json(folder / "track_probs.json", _track_probs(run.tracks))
    _write_json(folder / "per_source.json", _groups(judgement.sources))
    _write_json(folder / "inference_failures.json", _failures(run.tracks))
    _write_json(folder / "metrics.json", _metrics(report, manifest))
    for chart in report.charts:
        _write_chart(folder, chart)


def _write_chart(folder: Path, chart: Chart) -> None:
    write_whole(folder / f"{chart.name}.svg", chart.svg)
    write_whole(folder / f"{chart.name}.png", chart.png)


def _write_json(path: Path, values: object) -> None:
    text = json.dumps(values, indent=1, allow_nan=False)
    write_whole(path, f"{text}\n".encode("ascii"))


def _track_probs(tracks: Iterable[ScoredTrack]) -> list[dict[str, Any]]:
    return [
        {
            "prob": scored.probability,
            "label": int(scored.is_ai),
            "source": scored.track.source,
            "track_id": scored.track.track_id,
        }
        for scored in tracks
        if scored.probability is not None
    ]


def _failures(tracks: Iterable[ScoredTrack]) -> list[dict[str, Any]]:
    return [
        {
            "track_id": scored.track.track_id,
            "label": int(scored.is_ai),
            "source": scored.track.source,
            "failure": scored.reason,
            "missing": scored.is_missing,
        }
        for scored in tracks
        if scored.reason
    ]


def _rounded(values: Any) -> Any:
    """Return JSON values whose numbers are rounded, at any depth.

    The last digits differ between versions of the libraries, and mean nothing.
    """
    if isinstance(values, float):
        return round(values, _N_DECIMALS)
    if isinstance(values, dict):
        return {key: _rounded(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_rounded(value) for value in values]
    return values


def _groups(groups: Iterable[GroupRates]) -> list[dict[str, Any]]:
    return _rounded(
        [
            {
                "name": rates.name,
                "label": rates.label,
                "n_tracks": rates.n_tracks,
                "n_scored": rates.n_scored,
                "mean_prob": rates.mean_probability,
                "median_prob": rates.median_probability,
                "flagged": {
                    threshold: {"n": n, "rate": rates.rate(threshold)}
                    for threshold, n in rates.n_flagged.items()
                },
            }
            for rates in groups
        ]
    )


def _metrics(report: ModelReport, manifest: Manifest) -> dict[str, Any]:
    judgement = report.judgement
    run = judgement.run
    values: dict[str, Any] = {
        "model": run.model,
        "model_id": run.model_id,
        "manifest": {"name": manifest.name, "schema": manifest.schema},
        "split": judgement.split,
        "thresholds": dict(judgement.thresholds),
        "calibration": judgement.calibration_note,
        "coverage": _coverage(judgement.coverage),
        "metrics": _measured(judgement.measured, report.intervals),
        "bootstrap": {"n_replicates": report.n_replicates, "seed": SEED, "unit": "lineage"},
        "metrics_with_failures_as_errors": (
            _measured(judgement.with_failures) if judgement.with_failures else None
        ),
        "with_declarations": _declared(report.declared),
        "other_splits": {
            name: {"coverage": _coverage(coverage), "metrics": _measured(measured)}
            for name, (coverage, measured) in judgement.diagnosed.items()
        },
        "per_source": _groups(judgement.sources),
        "per_generator": _groups(judgement.generators),
    }
    if manifest.is_artifactbench:
        columns = [asdict(column) for column in PAPER]
        values["published"] = {"url": PAPER_URL, "on": PAPER_TRACKS, "columns": columns}
    return values


def _coverage(coverage: Coverage) -> dict[str, Any]:
    share = coverage.n_scored / coverage.n_tracks if coverage.n_tracks else None
    return _rounded({**asdict(coverage), "share": share})


def _measured(
    measured: Measured, found: Mapping[str, Interval] | None = None
) -> dict[str, Any]:
    values: dict[str, Any] = {name: {"value": value} for name, value in measured.values.items()}
    if found is not None:
        for name, entry in values.items():
            entry["interval"] = astuple(found[name]) if name in found else None
    for name, confusion in measured.confusion.items():
        values[f"{name}.confusion"] = asdict(confusion)
    return _rounded(values)


def _declared(declared: WithDeclarations | None) -> dict[str, Any] | None:
    if declared is None:
        return None
    rates = {
        f"{threshold}.{name}": declared.measured.values[f"{threshold}.{name}"]
        for threshold in declared.measured.confusion
        for name in ("tpr", "fpr")
    }
    return _rounded({"n_ai": declared.n_ai, "n_real": declared.n_real, **rates})


def _comparison(comparison: Comparison) -> dict[str, Any]:
    differences = {
        d.name: {
            "first": d.first,
            "second": d.second,
            "difference": d.difference,
            "interval": astuple(d.interval),
        }
        for d in comparison.differences
    }
    return _rounded({**asdict(comparison), "differences": differences})
