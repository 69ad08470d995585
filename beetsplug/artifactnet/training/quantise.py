"""What static 8-bit weights and activations (QDQ) would bring, and what they would cost.

``python -m beetsplug.artifactnet.training.quantise --corpus DIR --work DIR``, after the
training, whose crops it uses. Prints a Markdown table: the time of a segment on one
thread, turn by turn with the model as it is, and how far scores and verdicts move.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.store import Model, find_model
from beetsplug.artifactnet.scoring.track import decide
from beetsplug.artifactnet.training import train_extra

with train_extra():
    import onnxruntime
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from beetsplug.artifactnet.training.dataset import Dataset
    from beetsplug.artifactnet.training.programs import open_dataset, work_parser
    from beetsplug.artifactnet.training.timing import in_turns

OPERATORS: Mapping[str, tuple[str, ...]] = {
    "convolutions": ("Conv",),
    "convolutions and dense layers": ("Conv", "Gemm"),
}
"""A transform in 8 bits would lose what lies 48 dB below the loudest bin: all of the cue."""
N_CALIBRATION = 150
N_TIMED = 60


class _Segments(CalibrationDataReader):  # type: ignore[misc]  # untyped in onnxruntime
    """What activations' ranges are measured on."""

    def __init__(self, name: str, segments: Sequence[NDArray[np.float32]]) -> None:
        self._rows = iter([{name: segment} for segment in segments])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._rows, None)


def quantise(
    model: Model, segments: Sequence[NDArray[np.float32]], folder: Path
) -> dict[str, Path]:
    """Write the quantised graphs of a model; return them by what is quantised.

    Args:
        model: One input, audio.
        segments: (1, n_samples) each, to measure the activations' ranges on.
        folder: Where they are written.
    """
    prepared = folder / "prepared.onnx"
    quant_pre_process(str(model.graph), str(prepared), skip_symbolic_shape=True)
    graphs = {}
    for name, operators in OPERATORS.items():
        graphs[name] = folder / f"{len(operators)}.onnx"
        quantize_static(
            str(prepared),
            str(graphs[name]),
            _Segments(model.card.inputs[0].name, segments),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            per_channel=True,
        )
    return graphs


class Graph:
    """A graph on one thread."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._name = self._session.get_inputs()[0].name

    def __call__(self, segment: NDArray[np.float32]) -> float:
        """Return P(AI) of a segment (1, n_samples)."""
        (output,) = self._session.run(None, {self._name: segment})
        return float(np.asarray(output).reshape(-1)[0])


def speed_ratios(plain: Graph, other: Graph, segment: NDArray[np.float32]) -> list[float]:
    """Return how many times faster the other graph is, each pair of runs by itself."""
    calls = [partial(graph, segment) for graph in (plain, other)]
    return [before / after for before, after in zip(*in_turns(calls, N_TIMED), strict=True)]


def table(
    model: Model, dataset: Dataset, rows: Sequence[int], graphs: Mapping[str, Path]
) -> str:
    """Return the table, on these rows of the dataset."""
    plain, thresholds = Graph(model.graph), model.card.thresholds
    expected = np.array([plain(dataset.segments([row])) for row in rows])
    verdicts = [decide(score, thresholds) for score in expected]
    lines = [
        "| quantised | speed | mean shift | largest shift | verdicts changed |",
        "|---|---|---|---|---|",
    ]
    for name, path in graphs.items():
        graph = Graph(path)
        ratio = np.median(speed_ratios(plain, graph, dataset.segments(rows[:1])))
        found = np.array([graph(dataset.segments([row])) for row in rows])
        shifts = np.abs(found - expected)
        n_changed = sum(
            decide(score, thresholds) is not verdict
            for score, verdict in zip(found, verdicts, strict=True)
        )
        lines.append(
            f"| {name} | {ratio:.2f} x | {shifts.mean():.4f} | {shifts.max():.3f} "
            f"| {n_changed} of {len(rows)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table."""
    parser = work_parser("quantise")
    parser.add_argument("--model", default="default", help="name or path, as in the options")
    parser.add_argument("--segments", type=int, default=2_500, help="how many are compared")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments)
    plain = dataset.rows(dataset.clips, plain=True)
    rng = np.random.default_rng(0)
    n_chosen = min(len(plain), N_CALIBRATION + arguments.segments)
    chosen = [int(row) for row in rng.choice(plain, n_chosen, replace=False)]
    n_calibration = min(N_CALIBRATION, n_chosen // 2)
    model = find_model(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        segments = [dataset.segments([row]) for row in chosen[:n_calibration]]
        graphs = quantise(model, segments, Path(folder))
        sys.stdout.write(table(model, dataset, chosen[n_calibration:], graphs))


if __name__ == "__main__":
    main()
