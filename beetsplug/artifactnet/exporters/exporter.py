"""From a detector's network to a model folder: weights in, ONNX and card out."""

from __future__ import annotations

import json
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.errors import ConfigError, ModelError
from beetsplug.artifactnet.models.card import CARD_FILE, ModelInput
from beetsplug.artifactnet.models.files import sha256_of
from beetsplug.artifactnet.models.runtime import load_onnxruntime

GRAPH, DATA = "model.onnx", "model.onnx.data"
TOLERANCE = 1e-4
"""Logits of PyTorch and ONNX may differ by this much."""
_OPSET = 17
_OUTPUT = "logit"
_N_NAMES = 3
"""So many tensors are named in a message; the others are counted."""


@dataclass(frozen=True)
class PublishedDetector:
    """A network, how it is fed, and what its card says beyond that."""

    network: nn.Module
    """Takes a float32 (batch, segment_samples) per input; gives logits (batch,)."""
    inputs: tuple[ModelInput, ...]
    card: Mapping[str, Any]
    published_name: Callable[[str], str] = str
    """Name of a tensor here -> its name in the published state dict."""
    prepare: Callable[[nn.Module], None] = lambda _: None
    """Called once the weights are in, before the export."""
    has_free_batch: bool = True
    """Whether one call may hold several segments."""
    has_external_data: bool = False
    """Whether the weights lie in a file of their own."""


@dataclass(frozen=True)
class Exported:
    """The result of an export."""

    graph: Path
    n_parameters: int
    size_bytes: int
    """Of the graph and its external data."""
    seconds: float
    """Of one call of batch 1 on one thread."""
    difference: float
    """Largest difference between a logit of PyTorch and of ONNX."""


def disclaimed(detector: PublishedDetector) -> PublishedDetector:
    """Return the detector with a card that says that it was never trained."""
    card = {
        **detector.card,
        "model_id": f"{detector.card['model_id']}-untrained",
        "licence": "MIT",
        "notice": "randomly initialised: its scores mean nothing",
        "error_rates": {},
    }
    return replace(detector, card=card)


def load_weights(detector: PublishedDetector, path: Path) -> None:
    """Fill the detector's network from a state dict; every name and shape must fit.

    Args:
        detector: Its network is changed.
        path: Written by ``torch.save`` or safetensors.

    Raises:
        ModelError: The file cannot be read, holds no state dict, or another one.
    """
    found = read_state(path)
    expected = {
        detector.published_name(name): (name, tensor)
        for name, tensor in detector.network.state_dict().items()
    }
    shapes = {name: tensor.shape for name, (_, tensor) in expected.items()}
    misfit = describe_misfit(shapes, {name: tensor.shape for name, tensor in found.items()})
    if misfit:
        raise ModelError(f"{path} does not fit {detector.card['model_id']}: {misfit}")
    own = {name: found[published] for published, (name, _) in expected.items()}
    detector.network.load_state_dict(own, strict=True)


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name; code in the file is never run.

    Raises:
        ModelError: The file cannot be read or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            values: object = load_file(path)
        else:
            values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except (
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path} holds no PyTorch weights: {reason}") from error
    if not isinstance(values, Mapping) or not all(map(torch.is_tensor, values.values())):
        raise ModelError(f"{path} holds no state dict: it must map names to tensors")
    return dict(values)


def describe_misfit(
    expected: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]]
) -> str:
    """Return in one line what keeps tensors from fitting; empty where all fit.

    Args:
        expected: Name -> shape.
        found: Name -> shape.
    """
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    changed = [
        f"{name} has shape {tuple(found[name])}, not {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    parts = [
        f"{len(names)} {what} ({_few(names)})"
        for what, names in (("missing", missing), ("unknown", unknown))
        if names
    ]
    return "; ".join([*parts, *([_few(changed)] if changed else [])])


def _few(names: Sequence[str]) -> str:
    more = [f"{len(names) - _N_NAMES} more"] if len(names) > _N_NAMES else []
    return ", ".join([*names[:_N_NAMES], *more])


def export_detector(detector: PublishedDetector, folder: Path) -> Exported:
    """Write ``model.onnx``, its external data if any, and ``card.json``.

    Nothing is left in the folder unless the graph gives what PyTorch gives.

    Args:
        detector: With its weights in.
        folder: Made where it is missing; a model in it is replaced.

    Raises:
        ModelError: Logits of graph and network differ by more than ``TOLERANCE``.
        ConfigError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = _export(detector, Path(work))
            for path in Path(work).iterdir():
                path.replace(folder / path.name)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror or error}") from error
    return replace(made, graph=folder / GRAPH)


def _export(detector: PublishedDetector, folder: Path) -> Exported:
    network = detector.network.eval()
    n_parameters = sum(tensor.numel() for tensor in network.parameters())
    detector.prepare(network)
    card = {
        **detector.card,
        "inputs": [asdict(one) for one in detector.inputs],
        "output": {"name": _OUTPUT, "kind": "logit"},
    }
    graph = folder / GRAPH
    _write_graph(detector, graph, card)
    paths = [graph, *([folder / DATA] if detector.has_external_data else [])]
    card["files"] = {path.name: sha256_of(path) for path in paths}
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    difference, seconds = _compare(detector, graph)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{card['model_id']}: ONNX and PyTorch differ by {difference:.1e}, "
            f"more than {TOLERANCE:.0e}; nothing was written"
        )
    size_bytes = sum(path.stat().st_size for path in paths)
    return Exported(graph, n_parameters, size_bytes, seconds, difference)


def _write_graph(detector: PublishedDetector, path: Path, card: Mapping[str, Any]) -> None:
    import onnx

    names = [one.name for one in detector.inputs]
    free = (
        {name: {0: "batch"} for name in [*names, _OUTPUT]} if detector.has_free_batch else None
    )
    # Without no_grad, tracing keeps what every layer would need for its gradient.
    with torch.no_grad(), warnings.catch_warnings():
        # It tells of every constant that it leaves unfolded.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            detector.network,
            tuple(torch.zeros(1, one.segment_samples) for one in detector.inputs),
            str(path),
            input_names=names,
            output_names=[_OUTPUT],
            dynamic_axes=free,
            opset_version=_OPSET,
            dynamo=False,
        )
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, {"card": json.dumps(card, sort_keys=True)})
    onnx.save(
        graph,
        str(path),
        save_as_external_data=detector.has_external_data,
        all_tensors_to_one_file=True,
        location=DATA,
    )
    onnx.checker.check_model(str(path))


def _compare(detector: PublishedDetector, graph: Path) -> tuple[float, float]:
    """Return the largest difference of the logits of one signal, and ONNX' seconds."""
    onnxruntime = load_onnxruntime()
    audio = {one.name: _filled(one)[None] for one in detector.inputs}
    with torch.no_grad():
        expected = detector.network(*map(torch.from_numpy, audio.values())).numpy()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(graph), options, providers=["CPUExecutionProvider"]
    )
    began = time.perf_counter()
    (found,) = session.run([_OUTPUT], audio)
    seconds = time.perf_counter() - began
    return float(np.abs(found - expected).max()), seconds


def _filled(spec: ModelInput) -> NDArray[np.float32]:
    """Return chords, then the zeros that fill a track which is too short."""
    audio = chords(spec.sample_rate, spec.segment_samples)
    audio[spec.segment_samples * 2 // 3 :] = 0
    return audio


def chords(sample_rate: int, n_samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Return tones that change every second, over noise: float32 (n_samples,).

    The tones are the same at every rate, as they are when one track feeds two inputs.

    Args:
        sample_rate: Hz.
        n_samples: At least one.
        seed: Of the tones and the noise.
    """
    rng = np.random.default_rng(seed)
    n_seconds = -(-n_samples // sample_rate)
    tones_hz = rng.uniform(100, 6_000, (n_seconds, 6))
    time_s = np.arange(sample_rate) / sample_rate
    seconds = [np.sin(2 * np.pi * hz[:, None] * time_s).sum(0) for hz in tones_hz]
    audio = 0.05 * np.concatenate(seconds)[:n_samples]
    return (audio + 0.01 * rng.standard_normal(n_samples)).astype(np.float32)
