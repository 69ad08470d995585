"""From a network to a model folder: one ONNX file with four outputs, and its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training.choices import (
    BRANCHES,
    N_FFT,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.model.in_turn import take_in_turn
from beetsplug.artifactnet.training.model.network import ArtifactNetwork, Output

if TYPE_CHECKING:
    import onnx

_OPSET = 17
_GRAPH, _CARD = "model.onnx", "card.json"
MAX_DIFFERENCE = 1e-5
"""Of a probability, between the ONNX graph and the network."""
MAX_SEGMENTS = 32
"""Of a song."""


def export_model(
    network: ArtifactNetwork,
    folder: Path,
    card: Mapping[str, Any],
    thresholds: Thresholds,
    songs: Iterable[NDArray[np.float32]] = (),
) -> float:
    """Write ``model.onnx`` and ``card.json``; the card is in the graph's metadata too.

    Args:
        network: All heads filled.
        folder: Where to.
        card: What the two have no other source for.
        thresholds: Of the card.
        songs: (n_segments, 176400) each, on which graph and network are compared, beside
            noise, a tone, clicks and silence.

    Returns:
        The largest difference of any output between the graph and the network.

    Raises:
        RuntimeError: It is more than ``MAX_DIFFERENCE`` of a probability.
    """
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _GRAPH
    write_graph(network, path)
    full = {**card, **_contract(), "thresholds": vars(thresholds)}
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, {"card": json.dumps(full, sort_keys=True)})
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))
    full["files"] = {_GRAPH: hashlib.sha256(path.read_bytes()).hexdigest()}
    (folder / _CARD).write_text(json.dumps(full, indent=2) + "\n", encoding="utf-8")
    worst = largest_difference(network, path, chain([odd_segments()], songs))
    if worst > MAX_DIFFERENCE:
        raise RuntimeError(f"{path} and the network differ by {worst:.1e}")
    return worst


def write_graph(network: ArtifactNetwork, path: Path) -> None:
    """Write a network as an ONNX file that takes any number of segments."""
    import onnx

    torch.onnx.export(
        network.eval(),
        (torch.zeros(2, SEGMENT_SAMPLES),),
        str(path),
        input_names=["audio"],
        output_names=list(Output._fields),
        dynamic_axes={
            "audio": {0: "segments"},
            "segment_probabilities": {0: "segments"},
            "lines": {0: "segments + 1"},
        },
        opset_version=_OPSET,
        dynamo=False,
    )
    graph = onnx.load(str(path))
    n_bins = network.config.n_bins
    sizes = {"probability": 1, "evidence": len(BRANCHES), "lines": n_bins}
    for output in graph.graph.output:
        # The exporter does not see which sizes are the same whatever the song.
        *_, last = output.type.tensor_type.shape.dim
        if output.name in sizes:
            last.Clear()
            last.dim_value = sizes[output.name]
    _store_as_bytes(graph.graph, "standing.moved.")
    onnx.save(take_in_turn(graph), str(path))


def _store_as_bytes(graph: onnx.GraphProto, prefix: str) -> None:
    """Store tensors of whole numbers as int8, turned into float32 at each call.

    A Cast would be done at loading: then they take four times the memory for good.
    """
    from onnx import helper, numpy_helper

    scale = numpy_helper.from_array(np.ones((), np.float32), f"{prefix}scale")
    for tensor in [found for found in graph.initializer if found.name.startswith(prefix)]:
        name, values = tensor.name, numpy_helper.to_array(tensor).astype(np.int8)
        tensor.CopyFrom(numpy_helper.from_array(values, f"{name}.bytes"))
        taken = [tensor.name, scale.name]
        graph.node.insert(0, helper.make_node("DequantizeLinear", taken, [name], name))
    graph.initializer.append(scale)


def _contract() -> dict[str, Any]:
    probability, segments, evidence, lines = Output._fields
    return {
        "call": "song",
        "max_segments": MAX_SEGMENTS,
        "placement": "audible",
        "down_mix": "audible",
        "level": "raised",
        "hum": "removed",
        "evidence": "needed",
        "input": {
            "name": "audio",
            "sample_rate": SAMPLE_RATE,
            "segment_samples": SEGMENT_SAMPLES,
        },
        "output": {
            "name": probability,
            "kind": "probability",
            "segments": segments,
            "evidence": evidence,
            "branches": list(BRANCHES),
            "lines": lines,
            "lines_hz": SAMPLE_RATE / N_FFT,
        },
    }


def odd_segments() -> NDArray[np.float32]:
    """Return noise, a tone, clicks and silence (4, 176400).

    The tone lies over hiss at -40 dB. Around one in digital silence there is nothing but
    float32's own rounding, and no two orders of adding up agree on that.
    """
    rng = np.random.default_rng(0)
    time_s = np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE
    return np.stack(
        [
            0.1 * rng.standard_normal(SEGMENT_SAMPLES),
            0.5 * np.sin(2 * np.pi * 440 * time_s)
            + 1e-2 * rng.standard_normal(SEGMENT_SAMPLES),
            (np.arange(SEGMENT_SAMPLES) % 256 == 0).astype(float),
            np.zeros(SEGMENT_SAMPLES),
        ]
    ).astype(np.float32)


@torch.no_grad()
def largest_difference(
    network: ArtifactNetwork, path: Path, songs: Iterable[NDArray[np.float32]]
) -> float:
    """Return how far a graph's probabilities lie from the network's, at most."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    names = list(Output._fields[:2])
    for song in songs:
        found = session.run(names, {"audio": song})
        expected = network(torch.from_numpy(song))
        pairs = zip(found, expected, strict=False)
        worst = max([worst, *(float(np.abs(a - b.numpy()).max()) for a, b in pairs)])
    return worst
