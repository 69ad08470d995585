"""Model folders for tests: real ONNX graphs whose output is known by construction.

The default model measures loudness: its probability is the mean absolute sample of a
segment times :data:`GAIN`, at most 1. A square wave of ±0.05 therefore scores 0.5.
The others keep to the contracts of known systems: several inputs, one call a song,
external data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from beetsplug.artifactnet.models.card import read_card
from beetsplug.artifactnet.models.store import Model

GAIN = 10.0
AI_THRESHOLD, UNSURE_THRESHOLD = 0.5, 0.3
LEVELS = {"ai": 0.08, "unsure": 0.04, "real": 0.01}
"""Verdict -> level of a square wave that the loudness model gives it."""
NAN_ABOVE = 0.9
"""The rule ``nan_if_hot`` answers NaN for a segment whose first sample is above this."""
SAMPLE_RATE, SEGMENT_SAMPLES = 8_000, 8_000

Rule = Literal["loudness", "nan_if_hot", "all_nan", "out_of_range", "rounded"]
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
    graph = helper.make_graph(
        [*_rule_nodes(rule), *_output_nodes(kind, output_shape, dtype)],
        "loudness",
        [_value("audio", [batch or "batch", segment_samples])],
        [_value("score", _shape(batch, output_shape), _onnx_type(dtype))],
        [_constant(name, value) for name, value in _CONSTANTS.items()],
    )
    values: dict[str, Any] = {
        "model_id": model_id,
        "version": version,
        "input": {
            "name": "audio",
            "sample_rate": sample_rate,
            "segment_samples": segment_samples,
        },
        "output": {"name": "score", "kind": kind},
    }
    return _save(folder, graph, {**values, **(card or {})})


def write_convolution_model(folder: Path, segment_samples: int, *, seed: int = 0) -> Path:
    """Write a convolution and a dense layer of random weights, and return the folder."""
    rng = np.random.default_rng(seed)
    kernels = rng.normal(0, 0.1, (4, 1, 64)).astype(np.float32)
    weights = rng.normal(0, 2.0, (4, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["audio", "one"], ["row"]),
            helper.make_node("Conv", ["row", "kernels"], ["found"], strides=[64]),
            helper.make_node("Relu", ["found"], ["kept"]),
            helper.make_node("ReduceMean", ["kept"], ["pooled"], axes=[2], keepdims=0),
            helper.make_node("Gemm", ["pooled", "weights"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["score"]),
        ],
        "convolution",
        [_value("audio", ["batch", segment_samples])],
        [_value("score", ["batch", 1])],
        [
            _constant("one", np.array([1], dtype=np.int64)),
            _constant("kernels", kernels),
            _constant("weights", weights),
        ],
    )
    values: dict[str, Any] = {
        "model_id": "convolution",
        "version": "1.0",
        "input": {
            "name": "audio",
            "sample_rate": SAMPLE_RATE,
            "segment_samples": segment_samples,
        },
        "output": {"name": "score", "kind": "probability"},
    }
    return _save(folder, graph, values)


def song_loudness(segments: NDArray[np.float32]) -> float:
    """Return what the song model gives for all segments of a song, (n, length).

    The loudest sample of the song is the measure, so no segment can be judged alone.
    """
    sizes = np.abs(segments.astype(np.float64))
    return float("nan") if sizes.max() > NAN_ABOVE else float(sizes.mean() / sizes.max())


def write_song_model(
    folder: Path,
    *,
    max_segments: int = 15,
    batch: int | None = None,
    n_outputs: int = 1,
    is_telling: bool = False,
    has_lines: bool = False,
    sample_rate: int = SAMPLE_RATE,
    segment_samples: int = SEGMENT_SAMPLES,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write a model that hears a whole song in one call: ``p_ai`` float64 [1].

    Args:
        folder: Made where it is missing.
        max_segments: As on the card.
        batch: The graph's fixed number of segments; ``None`` takes any.
        n_outputs: How often the answer is given; more than once breaks the contract.
        is_telling: Whether there are two more outputs: ``of_segments``, each segment's
            :func:`loudness` over ``GAIN``, and ``found``, the song's mean and its peak.
        has_lines: Whether there is another output, ``lines``: how far each of 2,049 bins
            stands above the mean of 17 in the mean power of a segment's frames.
        sample_rate: Hz.
        segment_samples: Length of a segment.
        card: Fields that replace the card's own.
    """
    nodes = [
        helper.make_node("Abs", ["audio_chunks"], ["absolute"]),
        helper.make_node("ReduceMean", ["absolute"], ["mean"], keepdims=0),
        helper.make_node("ReduceMax", ["absolute"], ["peak"], keepdims=0),
        helper.make_node("Div", ["mean", "peak"], ["relative"]),
        helper.make_node("Greater", ["peak", "hot"], ["is_hot"]),
        helper.make_node("Where", ["is_hot", "nan", "relative"], ["answer"]),
        helper.make_node("Concat", ["answer"] * n_outputs, ["answers"], axis=0),
        helper.make_node("Cast", ["answers"], ["p_ai"], to=TensorProto.DOUBLE),
    ]
    outputs = [_value("p_ai", [n_outputs], TensorProto.DOUBLE)]
    if is_telling:
        nodes += [
            helper.make_node("ReduceMean", ["absolute"], ["of_segments"], axes=[1], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "first"], ["mean_row"]),
            helper.make_node("Unsqueeze", ["peak", "first"], ["peak_row"]),
            helper.make_node("Concat", ["mean_row", "peak_row"], ["found"], axis=0),
        ]
        outputs += [_value("of_segments", ["n_segments"]), _value("found", [2])]
    constants = [_constant(name, _CONSTANTS[name]) for name in ("hot", "nan")]
    if is_telling:
        constants.append(_constant("first", np.array([0], dtype=np.int64)))
    if has_lines:
        nodes += _line_nodes()
        outputs.append(_value("lines", ["n_rows", LINES_FFT // 2 + 1]))
        constants += [_constant(name, value) for name, value in _LINE_CONSTANTS.items()]
    graph = helper.make_graph(
        nodes,
        "song",
        [_value("audio_chunks", [batch or "n_segments", segment_samples])],
        outputs,
        constants,
    )
    telling = {"segments": "of_segments", "evidence": "found", "branches": ["mean", "peak"]}
    with_lines = {"lines": "lines", "lines_hz": sample_rate / LINES_FFT}
    values: dict[str, Any] = {
        "model_id": "song",
        "input": {
            "name": "audio_chunks",
            "sample_rate": sample_rate,
            "segment_samples": segment_samples,
        },
        "output": {"name": "p_ai", "kind": "probability"}
        | (telling if is_telling else {})
        | (with_lines if has_lines else {}),
        "call": "song",
        "max_segments": max_segments,
    }
    return _save(folder, graph, {**values, **(card or {})})


LINES_FFT = 4_096
"""Samples of a frame whose lines the song model gives."""
_LINE_CONSTANTS: dict[str, NDArray[Any]] = {
    "step": np.array(976, np.int64),
    "length": np.array(LINES_FFT, np.int64),
    "window": np.hanning(LINES_FFT).astype(np.float32),
    "last": np.array([2], np.int64),
    "second": np.array([1], np.int64),
    "floor": np.array([1e-6], np.float32),
    "bel": np.array([10 / np.log(10)], np.float32),
    "most": np.array(3.0, np.float32),
    "nothing": np.array(0.0, np.float32),
}


def _line_nodes() -> list[onnx.NodeProto]:
    """Return the nodes from ``audio_chunks`` to ``lines``, float32 [1 + n_segments, n_bins]."""
    make = helper.make_node
    return [
        make("Unsqueeze", ["audio_chunks", "last"], ["mono"]),
        make("STFT", ["mono", "step", "window", "length"], ["spectrum"]),
        make("ReduceSumSquare", ["spectrum"], ["power"], axes=[3], keepdims=0),
        make("ReduceMean", ["power"], ["of_frames"], axes=[1], keepdims=1),
        make("Add", ["of_frames", "floor"], ["floored"]),
        make("Log", ["floored"], ["log"]),
        make("Mul", ["log", "bel"], ["levels"]),
        make(
            "AveragePool",
            ["levels"],
            ["ground"],
            kernel_shape=[17],
            pads=[8, 8],
            count_include_pad=0,
        ),
        make("Sub", ["levels", "ground"], ["above"]),
        make("Clip", ["above", "nothing", "most"], ["standing"]),
        make("ReduceMean", ["standing"], ["of_song"], axes=[0], keepdims=1),
        make("Concat", ["of_song", "standing"], ["rows"], axis=0),
        make("Squeeze", ["rows", "second"], ["lines"]),
    ]


TWO_INPUTS = {"fine": (24_000, 24_000), "coarse": (16_000, 16_000)}
"""Name -> sample rate in Hz and segment length of the model with two inputs: 1 s each."""


def inputs_loudness(segments: Sequence[NDArray[np.float32]]) -> float:
    """Return what the model with several inputs gives for one segment of each.

    Each input counts one more than the one before, so that none stands for another.
    """
    means = [np.abs(segment.astype(np.float64)).mean() for segment in segments]
    weights = np.arange(1, len(means) + 1) / sum(range(1, len(means) + 1))
    return float(min(1.0, GAIN * float(weights @ np.array(means))))


def write_inputs_model(
    folder: Path,
    *,
    inputs: Mapping[str, tuple[int, int]] = TWO_INPUTS,
    batches: Sequence[int | None] = (None, None),
    max_segments: int = 3,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write a model that hears a segment at several rates at once: ``score`` float32 [batch].

    Args:
        folder: Made where it is missing.
        inputs: Name -> sample rate in Hz and segment length.
        batches: The fixed batch size of each input; ``None`` takes any.
        max_segments: As on the card.
        card: Fields that replace the card's own.
    """
    total = sum(range(1, len(inputs) + 1))
    nodes, constants = [], [_constant("one", _CONSTANTS["one"])]
    for place, name in enumerate(inputs):
        nodes += [
            helper.make_node("Abs", [name], [f"absolute_{name}"]),
            helper.make_node(
                "ReduceMean", [f"absolute_{name}"], [f"mean_{name}"], axes=[1], keepdims=0
            ),
            helper.make_node("Mul", [f"mean_{name}", f"weight_{name}"], [f"part_{name}"]),
        ]
        weight = np.array([GAIN * (place + 1) / total], np.float32)
        constants.append(_constant(f"weight_{name}", weight))
    nodes += [
        helper.make_node("Sum", [f"part_{name}" for name in inputs], ["sum"]),
        helper.make_node("Min", ["sum", "one"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "inputs",
        [
            _value(name, [batch or "batch", length])
            for (name, (_, length)), batch in zip(inputs.items(), batches, strict=True)
        ],
        [_value("score", ["batch"])],
        constants,
    )
    values: dict[str, Any] = {
        "model_id": "inputs",
        "inputs": [
            {"name": name, "sample_rate": rate, "segment_samples": length}
            for name, (rate, length) in inputs.items()
        ],
        "output": {"name": "score", "kind": "probability"},
        "max_segments": max_segments,
    }
    return _save(folder, graph, {**values, **(card or {})})


V94_GRAPH, V94_DATA = "artifactnet_v94_full.onnx", "artifactnet_v94_full.onnx.data"
V94_SAMPLES = 176_400


def write_v94_shaped(folder: Path, output_name: str = "p_ai") -> tuple[str, str]:
    """Write a graph and its external data in the shape of the official v9.4, without a card.

    It hears ``audio`` float32 ["batch", 176400] and gives the loudness of a segment as
    :func:`loudness` does, in float32 [batch, 1].

    Returns:
        The names of the two files: graph, data (705,600 bytes).
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Unlike bytes all over: a piece that is lost or moved is seen.
    ripple = np.random.default_rng(94).uniform(0.5, 1.5, V94_SAMPLES).astype(np.float32)
    window = _constant("window", ripple)
    gain = _constant("gain", np.array([GAIN], np.float32))
    nodes = [
        # Weighted and weighted back: the answer is loudness, the data needed all the same.
        helper.make_node("Mul", ["audio", "window"], ["weighted"]),
        helper.make_node("Div", ["weighted", "window"], ["plain"]),
        helper.make_node("Abs", ["plain"], ["absolute"]),
        helper.make_node("ReduceMean", ["absolute"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "gain"], ["scaled"]),
        helper.make_node("Min", ["scaled", "one"], [output_name]),
    ]
    graph = helper.make_graph(
        nodes,
        "v94",
        [_value("audio", ["batch", V94_SAMPLES])],
        [_value(output_name, ["batch", 1])],
        [window, gain, _constant("one", _CONSTANTS["one"])],
    )
    model = _to_model(graph)
    (folder / V94_DATA).write_bytes(move_out(model, V94_DATA, "window"))
    (folder / V94_GRAPH).write_bytes(model.SerializeToString())
    return V94_GRAPH, V94_DATA


def move_out(model: onnx.ModelProto, location: str, name: str = "gain") -> bytes:
    """Make an initializer external data at ``location``, and return its bytes."""
    (tensor,) = [given for given in model.graph.initializer if given.name == name]
    data = bytes(tensor.raw_data)
    external_data_helper.set_external_data(tensor, location, offset=0, length=len(data))
    tensor.ClearField("raw_data")
    return data


def write_external_model(
    folder: Path, location: str = "weights.bin", *, is_named: bool = True
) -> Path:
    """Write the loudness model with its gain in external data.

    Args:
        folder: Made where it is missing.
        location: As in the graph; the data are written there, where that is possible.
        is_named: Whether the card names the data.
    """
    write_model(folder)
    path = folder / "model.onnx"
    model = onnx.load(str(path))
    data = move_out(model, location)
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    (folder / location).write_bytes(data)
    path.write_bytes(model.SerializeToString())
    named = [location] if is_named else []
    change_card(folder, files=checksums(folder, "model.onnx", *named))
    return folder


def checksums(folder: Path, *names: str) -> dict[str, str]:
    """Return the field ``files`` of a card."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def change_card(folder: Path, **fields: object) -> None:
    """Replace fields of the card in a folder."""
    path = folder / "card.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, **fields}), encoding="utf-8")


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
    "nearly_nothing": np.array([2.5e-7], np.float32),
    "row": np.array([-1], np.int64),
    "column": np.array([-1, 1], np.int64),
    "begin": np.array([0], np.int64),
    "end": np.array([1], np.int64),
    "axis": np.array([1], np.int64),
}


def _save(folder: Path, graph: onnx.GraphProto, card: dict[str, Any]) -> Path:
    """Write a graph as ``model.onnx`` with its card, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = _to_model(graph)
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    values: dict[str, Any] = {
        "version": "1.0",
        "licence": "MIT",
        "files": checksums(folder, "model.onnx"),
        "thresholds": {"ai": AI_THRESHOLD, "unsure": UNSURE_THRESHOLD},
    }
    (folder / "card.json").write_text(json.dumps({**values, **card}), encoding="utf-8")
    return folder


def _to_model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _value(
    name: str, shape: Sequence[int | str], onnx_type: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx_type, shape)


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
    by = "far" if rule == "out_of_range" else "nearly_nothing"
    return [*nodes, helper.make_node("Add", ["loudness", by], ["probability"])]


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
