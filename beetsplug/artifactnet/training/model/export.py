"""From a trained network to a model folder: one self-describing ONNX file and its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training.choices import SAMPLE_RATE, SEGMENT_SAMPLES
from beetsplug.artifactnet.training.model.network import ArtifactNetwork

_OPSET = 17
_GRAPH, _CARD = "model.onnx", "card.json"
MAX_DIFFERENCE = 1e-5
"""Of a probability, between the ONNX graph and the network."""


class Scaled(nn.Module):
    """A network whose ``ai`` threshold lies at a probability of 0.5.

    Args:
        network: Gives logits.
        threshold: The logit at which a track is called AI.
        slope: Probability logits per logit; it leaves verdicts as they are.
    """

    def __init__(self, network: ArtifactNetwork, threshold: float, slope: float) -> None:
        super().__init__()
        self.network, self.threshold, self.slope = network, threshold, slope

    def forward(self, audio: Tensor) -> Tensor:
        """Return P(AI) (batch,) of segments (batch, 176400)."""
        return torch.sigmoid((self.network(audio) - self.threshold) * self.slope)


def export_model(
    model: Scaled,
    folder: Path,
    card: Mapping[str, Any],
    thresholds: Thresholds,
    batches: Iterable[NDArray[np.float32]] = (),
) -> float:
    """Write ``model.onnx`` and ``card.json``; the card is in the graph's metadata too.

    Args:
        model: What to export.
        folder: Where to.
        card: What the two have no other source for.
        thresholds: Of the card.
        batches: (n, 176400) each, on which graph and network are compared, beside
            :func:`odd_segments`.

    Returns:
        The largest difference of a probability between the ONNX graph and the network.

    Raises:
        RuntimeError: It is more than :data:`MAX_DIFFERENCE`.
    """
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _GRAPH
    torch.onnx.export(
        model.eval(),
        (torch.zeros(1, SEGMENT_SAMPLES),),
        str(path),
        input_names=["audio"],
        output_names=["probability"],
        dynamic_axes={"audio": {0: "batch"}, "probability": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    full = {
        **card,
        "input": {
            "name": "audio",
            "sample_rate": SAMPLE_RATE,
            "segment_samples": SEGMENT_SAMPLES,
        },
        "output": {"name": "probability", "kind": "probability"},
        "thresholds": {"ai": thresholds.ai, "unsure": thresholds.unsure},
    }
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, {"card": json.dumps(full, sort_keys=True)})
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))
    full["files"] = {_GRAPH: hashlib.sha256(path.read_bytes()).hexdigest()}
    (folder / _CARD).write_text(json.dumps(full, indent=2) + "\n", encoding="utf-8")
    worst = largest_difference(model, path, chain([odd_segments()], batches))
    if worst > MAX_DIFFERENCE:
        raise RuntimeError(f"{path} and the network differ by {worst:.1e}")
    return worst


def odd_segments() -> NDArray[np.float32]:
    """Return noise, a tone, clicks and silence (4, 176400).

    The tone lies over hiss at -40 dB: around one in digital silence there is nothing
    but float32's own rounding, and no two orders of adding up agree on that.
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
    model: Scaled, path: Path, batches: Iterable[NDArray[np.float32]]
) -> float:
    """Return how far a graph's probabilities lie from the network's, at most.

    Args:
        model: What the graph was made of.
        path: The graph.
        batches: Segments, (n, 176400) each, as many as are to be run at once.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in batches:
        (found,) = session.run(["probability"], {"audio": batch})
        expected = model(torch.from_numpy(batch)).numpy()
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst
