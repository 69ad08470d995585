"""What ``beet aibench`` prints of a report, from the numbers that are in its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beetsplug.artifactnet.commands.terminal import count_of

if TYPE_CHECKING:
    from beetsplug.artifactnet.benchmark.manifest import Manifest
    from beetsplug.artifactnet.benchmark.metrics import ModelRun


def summary_lines(folder: Path, manifest: Manifest, runs: Sequence[ModelRun]) -> list[str]:
    """Return what a run found, out of the files of its report.

    Args:
        folder: The report's.
        manifest: What was judged on.
        runs: One for each model.
    """
    from beetsplug.artifactnet.benchmark.report.outputs import folder_name

    lines = [f"{manifest.name} ({manifest.schema}): {count_of(len(manifest.tracks), 'track')}"]
    for run in runs:
        values = _read_json(folder / folder_name(run.model) / "metrics.json")
        lines += _model_lines(values)
    if len(runs) > 1:
        for comparison in _read_json(folder / "comparison.json"):
            lines += _comparison_lines(comparison)
    return lines


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="ascii"))


def _model_lines(values: Mapping[str, Any]) -> list[str]:
    coverage, metrics = values["coverage"], values["metrics"]
    split = f" of the split {values['split']!r}" if values["split"] else ""
    lines = [
        f"{values['model']}: {coverage['n_scored']} of {coverage['n_tracks']} tracks{split} "
        f"scored, {coverage['n_missing']} missing, {coverage['n_failed']} failed"
    ]
    rows = {name: found for name, found in metrics.items() if "value" in found}
    lines += _rows({name: found for name, found in rows.items() if "." not in name})
    for threshold, value in values["thresholds"].items():
        prefix = f"{threshold}."
        lines.append(f"  at the {threshold} threshold, {value:g}")
        lines += _rows(
            {
                name.removeprefix(prefix): found
                for name, found in rows.items()
                # It is the recall again.
                if name.startswith(prefix) and name != f"{prefix}tpr"
            }
        )
    return lines


def _comparison_lines(values: Mapping[str, Any]) -> list[str]:
    first, second = values["first"], values["second"]
    lines = [f"{first} minus {second}, on {count_of(values['n_tracks'], 'track')}"]
    rows = {
        name: {"value": found["difference"], "interval": found["interval"]}
        for name, found in values["differences"].items()
        if not name.endswith(".tpr")
    }
    return lines + _rows(rows, sign="+")


def _rows(rows: Mapping[str, Mapping[str, Any]], sign: str = "") -> list[str]:
    from beetsplug.artifactnet.benchmark.report.summary import NAMES

    lines = []
    for key, found in rows.items():
        threshold, _, name = key.rpartition(".")
        title = f"{NAMES[name]} ({threshold})" if threshold else NAMES[name]
        value = "none" if found["value"] is None else f"{found['value']:{sign}.4f}"
        interval = found["interval"]
        span = f"  {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
        lines.append(f"    {title:<30} {value}{span}")
    return lines
