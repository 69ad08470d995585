"""The charts of a report, drawn by matplotlib without a display.

The same judgement gives the same bytes, as long as matplotlib is the same.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from beetsplug.artifactnet.benchmark.manifest import LABELS
from beetsplug.artifactnet.benchmark.metrics import Judgement, columns, roc_points
from beetsplug.artifactnet.errors import MissingPackageError
from beetsplug.artifactnet.report.document import Chart
from beetsplug.artifactnet.report.html import printable

_INK = "#15191e"
_COLOURS = {"ai": "#d0542b", "real": "#2f7fc1"}
_STROKES = ("#d0542b", "#2f7fc1", "#4b9a4e", "#9b62b8", "#b08a1e", "#5b8f99")
_MARKERS = {"own": "o", "calibrated": "s"}
_LINES = {"own": "--", "calibrated": ":"}
"""Threshold -> how it is drawn."""
_N_BINS = 25
_MAX_SOURCES = 60
_MAX_NAME = 36
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 150,
}


def draw_charts(judgement: Judgement) -> tuple[Chart, ...]:
    """Return one model's ROC, score histogram and rates by source.

    The ROC needs scored tracks of both labels, the histogram a scored track, the rates a named
    source. A chart that has nothing to show is left out.
    """
    charts = []
    if judgement.measured.values["auroc"] is not None:
        charts.append(draw_roc([judgement]))
    if judgement.scored:
        charts.append(_draw_histogram(judgement))
    if any(rates.n_scored for rates in judgement.sources):
        charts.append(_draw_sources(judgement))
    return tuple(charts)


def draw_roc(judgements: Sequence[Judgement]) -> Chart:
    """Return the ROC of each judgement in one chart.

    Args:
        judgements: Each with scored tracks of both labels.
    """

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.6, linestyle=":")
        for place, judgement in enumerate(judgements):
            fpr, tpr, _ = roc_points(*columns(judgement.tracks))
            colour = _STROKES[place % len(_STROKES)]
            name = (
                f"{_short(judgement.run.model)}, AUC {judgement.measured.values['auroc']:.4f}"
            )
            axes.plot(fpr, tpr, color=colour, linewidth=1.6, label=name)
            _mark_thresholds(axes, judgement, colour, is_alone=len(judgements) == 1)
        axes.set(xlabel="FPR", ylabel="TPR", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_aspect("equal")
        axes.legend(loc="lower right")

    names = ", ".join(judgement.run.model for judgement in judgements)
    title = f"ROC of {names}. Circle: own threshold; square: calibrated one."
    return _render("roc", title, (4.6, 4.4), draw)


def _mark_thresholds(axes: Any, judgement: Judgement, colour: str, *, is_alone: bool) -> None:
    values = judgement.measured.values
    for name, threshold in judgement.thresholds.items():
        axes.plot(
            [values[f"{name}.fpr"]],
            [values[f"{name}.tpr"]],
            marker=_MARKERS[name],
            linestyle="none",
            markersize=6,
            markeredgecolor=colour,
            markerfacecolor="none",
            label=f"{name} threshold, {threshold:.4g}" if is_alone else None,
        )


def _draw_histogram(judgement: Judgement) -> Chart:
    def draw(axes: Any) -> None:
        edges = [place / _N_BINS for place in range(_N_BINS + 1)]
        for label in LABELS:
            found = [
                track.probability for track in judgement.scored if track.track.label == label
            ]
            if found:
                axes.hist(
                    found,
                    bins=edges,
                    weights=[1 / len(found)] * len(found),
                    histtype="stepfilled",
                    alpha=0.55,
                    color=_COLOURS[label],
                    edgecolor=_COLOURS[label],
                    label=f"{label}, {len(found)} tracks",
                )
        for name, threshold in judgement.thresholds.items():
            axes.axvline(
                threshold,
                color=_INK,
                linewidth=1,
                linestyle=_LINES[name],
                label=f"{name} threshold",
            )
        axes.set(xlabel="P(AI)", ylabel="share of the label's tracks", xlim=(0, 1))
        axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.2))

    title = f"Scores of {judgement.run.model} by label; vertical lines: thresholds."
    return _render("scores", title, (6.0, 3.4), draw)


def _draw_sources(judgement: Judgement) -> Chart:
    groups = [rates for rates in judgement.sources if rates.n_scored]
    largest = sorted(groups, key=lambda rates: -rates.n_scored)[:_MAX_SOURCES]
    shown = [rates for rates in groups if rates in largest]

    def draw(axes: Any) -> None:
        places = range(len(shown))
        axes.barh(
            places,
            [rates.rate("own") for rates in shown],
            color=[_COLOURS[rates.label] for rates in shown],
            height=0.7,
        )
        axes.set_yticks(
            places,
            [f"{_short(rates.name)} ({rates.label}, {rates.n_scored})" for rates in shown],
        )
        axes.invert_yaxis()
        axes.set(xlabel="share flagged at the own threshold", xlim=(0, 1))

    rest = f" The {_MAX_SOURCES} largest of {len(groups)}." if len(groups) > len(shown) else ""
    title = (
        f"Share of each source that {judgement.run.model} flags: "
        f"TPR of 'ai' sources, FPR of 'real' ones.{rest}"
    )
    return _render("sources", title, (6.4, 1.0 + 0.24 * len(shown)), draw)


def _short(text: str) -> str:
    clean = printable(text)
    return clean if len(clean) <= _MAX_NAME else clean[: _MAX_NAME - 1] + "\u2026"


@contextmanager
def _matplotlib_at_home() -> Iterator[None]:
    """Let matplotlib be imported without leaving its list of fonts in the user's home."""
    before = os.environ.get("MPLCONFIGDIR")
    with TemporaryDirectory() as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            yield
        except ImportError as error:
            raise MissingPackageError("matplotlib", "beets-artifactnet[bench]") from error
        finally:
            del os.environ["MPLCONFIGDIR"]
            if before is not None:
                os.environ["MPLCONFIGDIR"] = before


def _render(
    name: str, title: str, size: tuple[float, float], draw: Callable[[Any], None]
) -> Chart:
    """Return a chart of (width, height) inches whose axes ``draw`` fills."""
    with _matplotlib_at_home():
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    # The user's own matplotlibrc must not show in a report; the backend is none of ours.
    # Its keys are typed one by one in some versions.
    style: Any = {
        key: value
        for key, value in mpl.rcParamsDefault.items()
        if not key.startswith("backend")
    }
    style |= {**_STYLE, "svg.hashsalt": name}
    with mpl.rc_context(style), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes in the PNG alone.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.subplots())
        # Laid out once for both forms.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        return Chart(
            name=name,
            title=title,
            svg=_save(figure, "svg", {"Date": None, "Creator": None}),
            png=_save(figure, "png", {"Software": None}),
        )


def _save(figure: Any, kind: str, metadata: Mapping[str, None]) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()
