"""The text and tables of a benchmark's page, section by section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from beetsplug.artifactnet.benchmark.comparison import Comparison
from beetsplug.artifactnet.benchmark.declared import WithDeclarations
from beetsplug.artifactnet.benchmark.intervals import Interval
from beetsplug.artifactnet.benchmark.manifest import LABELS, Manifest, judged_split
from beetsplug.artifactnet.benchmark.metrics import (
    DECISIONS,
    RANKING,
    Coverage,
    GroupRates,
    Judgement,
    Measured,
    ScoredTrack,
)
from beetsplug.artifactnet.benchmark.published import PAPER, PAPER_TRACKS, PAPER_URL
from beetsplug.artifactnet.report.document import NONE, Chart, Section, Table, number

NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "tpr_at_fpr_5": "TPR at FPR <= 5 %",
    "tpr_at_fpr_1": "TPR at FPR <= 1 %",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "balanced_accuracy": "balanced accuracy",
    "tpr": "TPR",
    "fpr": "FPR",
}
"""Each metric as a reader knows it."""

_MAX_FAILURES = 20
_MAX_GROUPS = 200
_MAX_TRACKS = 5_000
_SAME_ROWS = 3
"""So many rows with the same values are one sentence."""


@dataclass(frozen=True)
class ModelReport:
    """One model's judgement with all that is shown beside it."""

    judgement: Judgement
    intervals: Mapping[str, Interval]
    """By the names of :attr:`Measured.values`; empty where a label has no track."""
    n_replicates: int
    """What the intervals come from."""
    folder: str
    """Name of its folder below the report's."""
    charts: tuple[Chart, ...]
    declared: WithDeclarations | None = None
    """With declarations; None where no scored track declares itself."""

    @property
    def model(self) -> str:
        """Label of the model."""
        return self.judgement.run.model


def manifest_section(manifest: Manifest) -> Section:
    """Return what the tracks are."""
    splits = Counter((track.split, track.label) for track in manifest.tracks)
    names = sorted({split for split, _ in splits})
    judged = judged_split(manifest.tracks)
    rows = tuple(
        (
            f"{split or 'none'}{' (judged)' if split == judged else ''}",
            *(str(splits[split, label]) for label in LABELS),
        )
        for split in names
    )
    n_missing = sum(track.path is None for track in manifest.tracks)
    missing = f" The audio of {n_missing} was not found." if n_missing else ""
    return Section(
        "Tracks",
        (f"{manifest.name} ({manifest.schema}): {len(manifest.tracks)} tracks.{missing}",),
        (Table(("split", *LABELS), rows),),
    )


def overview_section(reports: Sequence[ModelReport], roc: Chart | None) -> Section:
    """Return several models side by side, each on all that it scored."""
    metrics = (*RANKING, *(f"own.{name}" for name in DECISIONS))
    rows = [
        (
            _metric_name(name),
            *(_with_interval(r.judgement.measured, r.intervals, name) for r in reports),
        )
        for name in metrics
    ]
    rows.append(("tracks scored", *(str(r.judgement.coverage.n_scored) for r in reports)))
    return Section(
        "Models",
        tables=(_folded(Table(("metric", *(r.model for r in reports)), tuple(rows))),),
        charts=(("roc.svg", roc),) if roc else (),
    )


def model_sections(report: ModelReport, *, with_published: bool) -> list[Section]:
    """Return everything about one model."""
    judgement = report.judgement
    sections = [
        Section(
            report.model,
            (
                _coverage_text(judgement.coverage),
                judgement.calibration_note,
                f"In brackets: 95 % intervals from {report.n_replicates:,} bootstrap "
                f"replicates over lineages, stratified by label, at fixed thresholds.",
            ),
            (_ranking_table(report), _decisions_table(report), _confusion_table(judgement)),
            tuple((f"{report.folder}/{chart.name}.svg", chart) for chart in report.charts),
        )
    ]
    if report.declared is not None:
        sections.append(_declared_section(judgement, report.declared))
    if with_published:
        sections.append(_published_section(judgement))
    if judgement.with_failures is not None:
        sections.append(_failures_section(judgement, judgement.with_failures))
    if judgement.diagnosed:
        sections.append(_splits_section(judgement))
    for name, groups in (("source", judgement.sources), ("generator", judgement.generators)):
        if groups:
            sections.append(_groups_section(name, groups, judgement))
    sections.append(_tracks_section(judgement))
    return sections


def comparison_section(comparison: Comparison) -> Section:
    """Return the paired differences of two models."""
    text = (
        f"On the {comparison.n_tracks} tracks ({comparison.n_lineages} lineages) that both "
        f"scored, each at its own thresholds. An interval that holds 0 shows no difference."
    )
    rows = tuple(
        (
            _metric_name(d.name),
            number(d.first),
            number(d.second),
            f"{d.difference:+.4f} [{d.interval.low:+.4f}, {d.interval.high:+.4f}]",
        )
        for d in comparison.differences
    )
    head = ("metric", comparison.first, comparison.second, "difference")
    return Section(
        f"{comparison.first} minus {comparison.second}",
        (text,),
        (_folded(Table(head, rows)),) if rows else (),
    )


def _folded(table: Table) -> Table:
    """Return a table in which rows of the same values are told in its caption instead."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name, *values in table.rows:
        names.setdefault(tuple(values), []).append(name)
    same = {values: found for values, found in names.items() if len(found) >= _SAME_ROWS}
    told = (f"{', '.join(found)}: {_told(values, table)}." for values, found in same.items())
    rows = tuple(row for row in table.rows if row[1:] not in same)
    return replace(table, rows=rows, caption=" ".join(told))


def _told(values: Sequence[str], table: Table) -> str:
    """Return a row's values, once where they are all the same."""
    if len(set(values)) == 1:
        return values[0] if len(values) == 1 else f"{values[0]} in every column"
    pairs = zip(values, table.head[1:], strict=True)
    return "; ".join(f"{value} ({head})" for value, head in pairs)


def _metric_name(name: str) -> str:
    threshold, _, metric = name.rpartition(".")
    return f"{NAMES[metric]}, {threshold} threshold" if threshold else NAMES[metric]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else NONE


def _with_interval(measured: Measured, found: Mapping[str, Interval], name: str) -> str:
    text = number(measured.values.get(name))
    interval = found.get(name)
    return f"{text} [{interval.low:.4f}, {interval.high:.4f}]" if interval else text


def _coverage_text(coverage: Coverage) -> str:
    return (
        f"{coverage.n_scored} of {coverage.n_tracks} tracks were scored "
        f"({_share(coverage.n_scored, coverage.n_tracks)}); {coverage.n_missing} had no audio, "
        f"{coverage.n_failed} failed. What was not scored is in no metric."
    )


def _ranking_table(report: ModelReport) -> Table:
    measured = report.judgement.measured
    rows = tuple(
        (NAMES[name], _with_interval(measured, report.intervals, name)) for name in RANKING
    )
    return _folded(Table(("metric", "value"), rows))


def _threshold_head(judgement: Judgement) -> tuple[str, ...]:
    return tuple(f"{name}, {value:.4g}" for name, value in judgement.thresholds.items())


def _decisions_table(report: ModelReport) -> Table:
    judgement = report.judgement
    rows = tuple(
        (
            NAMES[metric],
            *(
                _with_interval(judgement.measured, report.intervals, f"{threshold}.{metric}")
                for threshold in judgement.thresholds
            ),
        )
        for metric in DECISIONS
    )
    return _folded(Table(("at the threshold", *_threshold_head(judgement)), rows))


def _confusion_table(judgement: Judgement) -> Table:
    found = judgement.measured.confusion.values()
    rows = (
        ("'ai' flagged", *(str(c.true_positives) for c in found)),
        ("'ai' missed", *(str(c.false_negatives) for c in found)),
        ("'real' flagged", *(str(c.false_positives) for c in found)),
        ("'real' passed", *(str(c.true_negatives) for c in found)),
    )
    return Table(("confusion matrix", *_threshold_head(judgement)), rows)


def _declared_section(judgement: Judgement, declared: WithDeclarations) -> Section:
    names = [f"{threshold}.{m}" for threshold in judgement.thresholds for m in ("tpr", "fpr")]
    head = ("metric", "score alone", "with declarations")
    table = _compared(head, names, judgement.measured, declared.measured)
    text = (
        f"{declared.n_ai} 'ai' and {declared.n_real} 'real' tracks declare themselves "
        f"generated; here each of them counts as flagged, as its verdict does."
    )
    return Section("With declarations", (text,), (table,), level=3)


def _compared(head: Sequence[str], names: Iterable[str], *columns: Measured) -> Table:
    """Return metrics of the same tracks, measured in several ways."""
    rows = (
        (_metric_name(name), *(number(column.values[name]) for column in columns))
        for name in names
    )
    return Table(tuple(head), tuple(rows))


def _published_section(judgement: Judgement) -> Section:
    values, thresholds = judgement.measured.values, judgement.thresholds
    rows = tuple(
        (
            NAMES[metric],
            # The AUROC has no threshold.
            *(number(values.get(f"{name}.{metric}", values["auroc"])) for name in thresholds),
            *(number(getattr(column, metric)) for column in PAPER),
        )
        for metric in ("f1", "precision", "recall", "fpr", "auroc")
    )
    head = (
        "metric",
        *(f"measured, {name}" for name in thresholds),
        *(f"{column.detector} ({column.weights})" for column in PAPER),
    )
    text = (
        f"The last {len(PAPER)} columns are the paper's ({PAPER_URL}), on {PAPER_TRACKS}. The "
        f"measured ones stand on {judgement.coverage.n_scored} tracks: what differs may be "
        f"the tracks."
    )
    return Section("Beside published figures", (text,), (Table(head, rows),), level=3)


def _failures_section(judgement: Judgement, measured: Measured) -> Section:
    names = (*RANKING, *(f"{t}.{name}" for t in judgement.thresholds for name in DECISIONS))
    head = ("metric", "without failures", "failures as errors")
    failed = [track for track in judgement.tracks if track.reason and not track.is_missing]
    listed = tuple((t.track.track_id, t.reason) for t in failed[:_MAX_FAILURES])
    text = f"{len(failed)} files failed. Each counts as a wrong answer in the second column."
    if len(failed) > len(listed):
        text += f" The first {len(listed)} are listed."
    return Section(
        "Failures",
        (text,),
        (
            _folded(_compared(head, names, judgement.measured, measured)),
            Table(("track", "failure"), listed),
        ),
        level=3,
    )


def _splits_section(judgement: Judgement) -> Section:
    rows = []
    for name, (coverage, measured) in judgement.diagnosed.items():
        values = measured.values
        shown = ["auroc", *(f"{t}.{m}" for t in judgement.thresholds for m in ("tpr", "fpr"))]
        counts = f"{coverage.n_scored} of {coverage.n_tracks}"
        rows.append((name or "none", counts, *(number(values[metric]) for metric in shown)))
    head = ["split", "scored", "AUROC"]
    for threshold in judgement.thresholds:
        head += [f"TPR, {threshold}", f"FPR, {threshold}"]
    text = "For diagnosis: none of this is in the metrics above."
    return Section("Other splits", (text,), (Table(tuple(head), tuple(rows)),), level=3)


def _groups_section(name: str, groups: Sequence[GroupRates], judgement: Judgement) -> Section:
    rows = tuple(
        (
            group.name,
            group.label,
            f"{group.n_scored} of {group.n_tracks}",
            number(group.mean_probability),
            number(group.median_probability),
            *(_share(group.n_flagged[t], group.n_scored) for t in judgement.thresholds),
        )
        for group in groups[:_MAX_GROUPS]
    )
    head = (name, "label", "scored", "mean P(AI)", "median P(AI)")
    texts = ["Share flagged: the TPR of 'ai' tracks, the FPR of 'real' ones."]
    if len(groups) > len(rows):
        texts.append(f"The first {len(rows)} of {len(groups)}; metrics.json has them all.")
    flagged = tuple(f"flagged, {threshold}" for threshold in judgement.thresholds)
    return Section(f"By {name}", (" ".join(texts),), (Table((*head, *flagged), rows),), level=3)


def _tracks_section(judgement: Judgement) -> Section:
    """Return every track, what went wrong first."""
    threshold = judgement.thresholds["own"]
    found = [(_result(track, threshold), track) for track in judgement.tracks]
    order = [*_RESULTS]
    found.sort(key=lambda pair: (order.index(pair[0]), -(pair[1].probability or 0.0)))
    rows = tuple(
        (
            scored.track.track_id,
            scored.track.source,
            scored.track.label,
            number(scored.probability) if scored.probability is not None else "",
            result,
        )
        for result, scored in found[:_MAX_TRACKS]
    )
    text = f"At the own threshold, {threshold:.4g}."
    if len(found) > len(rows):
        text += f" The first {len(rows)} of {len(found)}; track_probs.json has them all."
    head = ("track", "source", "label", "P(AI)", "result")
    return Section("By track", (text,), (Table(head, rows, filtered_by="result"),), level=3)


_RESULTS = ("false accusation", "missed", "failed", "no audio", "right")
"""Outcomes of a track, in the order of a reader's interest."""


def _result(scored: ScoredTrack, threshold: float) -> str:
    if scored.probability is None:
        return "no audio" if scored.is_missing else "failed"
    is_flagged = scored.probability >= threshold
    if is_flagged == scored.is_ai:
        return "right"
    return "false accusation" if is_flagged else "missed"
