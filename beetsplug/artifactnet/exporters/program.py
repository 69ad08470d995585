"""The command line of the exporters."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from beetsplug.artifactnet.exporters.exporter import (
    PublishedDetector,
    disclaimed,
    export_detector,
    load_weights,
)


def _spectttra(variant: str) -> PublishedDetector:
    from beetsplug.artifactnet.exporters import spectttra

    return spectttra.detector(spectttra.VARIANTS[variant])


def _clam() -> PublishedDetector:
    from beetsplug.artifactnet.exporters import clam

    return clam.detector()


DETECTORS: Mapping[str, Callable[[], PublishedDetector]] = {
    "spectttra-alpha-120s": partial(_spectttra, "spectttra-alpha-120s"),
    "spectttra-beta-5s": partial(_spectttra, "spectttra-beta-5s"),
    "clam": _clam,
}
"""Model id -> its network and card, randomly initialised."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Export one detector and print what came out.

    Raises:
        ModelError: The weights cannot be read or do not fit, or ONNX and PyTorch differ.
        ConfigError: The folder cannot be written to.
        ImportError: A package of the ``exporters`` extra is missing.
    """
    options = _parser().parse_args(arguments)
    torch.manual_seed(0)
    detector = DETECTORS[options.detector]()
    if options.random_weights:
        detector = disclaimed(detector)
    else:
        load_weights(detector, options.weights)
    made = export_detector(detector, options.out)
    print(  # noqa: T201
        f"{made.graph}: {made.n_parameters / 1e6:.1f} M parameters, "
        f"{made.size_bytes / 1e6:.1f} MB, {made.seconds:.2f} s a call on one thread, "
        f"at most {made.difference:.1e} from PyTorch"
    )
    print(  # noqa: T201
        f"install it: beet aimodel install {made.graph} --card {made.graph.parent}/card.json"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m beetsplug.artifactnet.exporters",
        description="Turn a published detector's PyTorch weights into an ONNX model.",
    )
    parser.add_argument("detector", choices=DETECTORS)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--weights", type=Path, metavar="FILE", help="a state dict: .bin, .pt or .safetensors"
    )
    source.add_argument(
        "--random-weights",
        action="store_true",
        help="an untrained network, to measure size and speed; its scores mean nothing",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where the model is written"
    )
    return parser
