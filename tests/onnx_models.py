"""Model folders for tests: real ONNX graphs whose output is known by construction.

The default model measures loudness: its probability is the mean absolute sample of a
segment times :data:`GAIN`, at most 1. A square wave of ±0.05 therefore scores 0.5.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from beetsplug.artifactnet.model_store import Model, read_card

GAIN = 10.0
AI_THRESHOLD, UNSURE_THRESHOLD = 0.5, 0.3
LEVELS = {"ai": 0.08, "unsure": 0.04, "real": 0.01}
"""Verdict -> level of a square wave that the loudness model gives it."""
NAN_ABOVE = 0.9
"""The rule ``nan_if_hot`` answers NaN for a segment whose first sample is above this."""
SAMPLE_RATE, SEGMENT_SAMPLES = 8_000, 8_000

Rule = Literal["loudness", "nan_if_hot", "all_nan", "out_of_range"]
OutputShape = Literal["batch", "batch1", "one"]


def loudness(segment: NDArray[np.float32]) -> float:
    """Return what the loudness model gives for a segment."""
    return float(min(1.0, GAIN * float(np.abs(segment.astype(np.float64)).mean())))


def write_model(
    folder: Path,
    *,
    kind: Literal["probability", "logit"] = "probability",
    batch: int | None = None,
    dtype: type[np.floating[Any]] = np.float32,
    output_shape: OutputShape = "batch",
    rule: Rule = "loudness",
    model_id: str = "loudness",
    version: str = "1.0",
    sample_rate: int = SAMPLE_RATE,
    segment_samples: int = SEGMENT_SAMPLES,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write ``model.onnx`` and a matching ``card.json``, and return the folder.

    Args:
        folder: Made where it is missing.
        kind: What the output is; a logit model gives the logit of the probability.
        batch: The graph's fixed batch size; ``None`` takes any.
        dtype: Of the output.
        output_shape: [batch], [batch, 1], or [1], which needs a batch of one.
        rule: What the probability is made of.
        model_id: As on the card.
        version: As on the card.
        sample_rate: Hz.
        segment_samples: Length of a segment.
        card: Fields that replace the card's own, to make it wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [*_rule_nodes(rule), *_output_nodes(kind, output_shape, dtype)],
        "loudness",
        [
            helper.make_tensor_value_info(
                "audio", TensorProto.FLOAT, [batch or "batch", segment_samples]
            )
        ],
        [
            helper.make_tensor_value_info(
                "score", _onnx_type(dtype), _shape(batch, output_shape)
            )
        ],
        [_constant(name, value) for name, value in _CONSTANTS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    values: dict[str, Any] = {
        "model_id": model_id,
        "version": version,
        "licence": "MIT",
        "files": {"model.onnx": hashlib.sha256(data).hexdigest()},
        "input": {
            "name": "audio",
            "sample_rate": sample_rate,
            "segment_samples": segment_samples,
        },
        "output": {"name": "score", "kind": kind},
        "thresholds": {"ai": AI_THRESHOLD, "unsure": UNSURE_THRESHOLD},
    }
    (folder / "card.json").write_text(json.dumps({**values, **(card or {})}), encoding="utf-8")
    return folder


def load_model(folder: Path) -> Model:
    """Return the model in a folder that :func:`write_model` wrote."""
    return Model(read_card(folder / "card.json"), folder)


_CONSTANTS: dict[str, NDArray[Any]] = {
    "gain": np.array([GAIN], np.float32),
    "zero": np.array([0.0], np.float32),
    "one": np.array([1.0], np.float32),
    "hot": np.array([NAN_ABOVE], np.float32),
    "nan": np.array([np.nan], np.float32),
    "far": np.array([7.0], np.float32),
    "row": np.array([-1], np.int64),
    "column": np.array([-1, 1], np.int64),
    "begin": np.array([0], np.int64),
    "end": np.array([1], np.int64),
    "axis": np.array([1], np.int64),
}


def _constant(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _rule_nodes(rule: Rule) -> list[onnx.NodeProto]:
    """Return the nodes from ``audio`` to ``probability``, float32 [batch]."""
    nodes = [
        helper.make_node("Abs", ["audio"], ["absolute"]),
        helper.make_node("ReduceMean", ["absolute"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["scaled"]),
        helper.make_node("Min", ["scaled", "one"], ["loudness"]),
    ]
    if rule == "loudness":
        return [*nodes, helper.make_node("Identity", ["loudness"], ["probability"])]
    if rule == "nan_if_hot":
        return [
            *nodes,
            helper.make_node("Slice", ["audio", "begin", "end", "axis"], ["first"]),
            helper.make_node("Reshape", ["first", "row"], ["start"]),
            helper.make_node("Greater", ["start", "hot"], ["is_hot"]),
            helper.make_node("Where", ["is_hot", "nan", "loudness"], ["probability"]),
        ]
    if rule == "all_nan":
        return [*nodes, helper.make_node("Add", ["loudness", "nan"], ["probability"])]
    return [*nodes, helper.make_node("Add", ["loudness", "far"], ["probability"])]


def _output_nodes(
    kind: str, output_shape: OutputShape, dtype: type[np.floating[Any]]
) -> list[onnx.NodeProto]:
    """Return the nodes from ``probability`` to ``score`` in its kind, shape and type."""
    nodes = [helper.make_node("Identity", ["probability"], ["answer"])]
    if kind == "logit":
        nodes = [
            helper.make_node("Sub", ["one", "probability"], ["rest"]),
            helper.make_node("Div", ["probability", "rest"], ["odds"]),
            helper.make_node("Log", ["odds"], ["answer"]),
        ]
    shape = "column" if output_shape == "batch1" else "row"
    return [
        *nodes,
        helper.make_node("Reshape", ["answer", shape], ["shaped"]),
        helper.make_node("Cast", ["shaped"], ["score"], to=_onnx_type(dtype)),
    ]


def _onnx_type(dtype: type[np.floating[Any]]) -> int:
    return int(TensorProto.DOUBLE if dtype is np.float64 else TensorProto.FLOAT)


def _shape(batch: int | None, output_shape: OutputShape) -> list[int | str]:
    if output_shape == "one":
        return [1]
    rows: list[int | str] = [batch or "batch"]
    return [*rows, 1] if output_shape == "batch1" else rows
