"""Make the bundled model: every step, from the audio to the model folder.

Each step keeps what it made in the work folder and is not repeated, so an interrupted
run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.models.store import BUNDLED_MODELS, DEFAULT_MODEL
from beetsplug.artifactnet.training.choices import AGGREGATION, TrainConfig, branches_as_dicts
from beetsplug.artifactnet.training.data import corpus, debian
from beetsplug.artifactnet.training.data.corpus import Clip, Split
from beetsplug.artifactnet.training.data.dataset import Dataset, build_dataset, write_manifest
from beetsplug.artifactnet.training.fit.calibration import Calibrated, calibrate
from beetsplug.artifactnet.training.fit.folds import (
    Fold,
    Material,
    fold_network,
    judge_fold,
    judge_split,
)
from beetsplug.artifactnet.training.model.export import Scaled, export_model
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.programs import FOLD_MODEL, fold_folder, packages_of
from beetsplug.artifactnet.training.report import tables

log = logging.getLogger(__name__)
VERSION = "2.1"
_AT_ONCE = 8
"""Segments on which the exported graph and the network are run together to be compared."""


def main() -> None:
    """Run every step that has not been run yet."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    started = time.monotonic()
    work: Path = arguments.work
    packages = packages_of(arguments)
    listed = arguments.corpus / debian.TRAINING_LIST
    debian.fetch_training_packages(arguments.corpus, packages)
    clips = debian.training_clips(arguments.corpus, packages)
    dataset = build_dataset(clips, work, workers=arguments.threads)
    material = Material.kept(dataset, work, arguments.lyra)
    folds = [
        judge_fold(material, split, fold_folder(work, i))
        for i, split in enumerate(corpus.split_folds(dataset.clips))
    ]
    held_out = tables.held_out_report(folds)
    (work / "held-out.json").write_text(json.dumps(held_out, indent=1), encoding="utf-8")
    (work / "held-out.md").write_text(tables.markdown(held_out), encoding="utf-8")
    held, network = judge_final(material, work / "final")
    calibrated = calibrate(held, folds)
    of_families = held_out["network, as they are"]["all"]
    rates = calibrated.rates | {"held_out_families": of_families}
    export_final(network, dataset, calibrated, rates, arguments.out)
    write_manifest(held.split.train, arguments.out / "training-manifest.csv")
    export_folds(material, folds, calibrated, work)
    made = [
        tables.calibration_table(held, folds, calibrated),
        tables.reliability_table(folds, calibrated),
        tables.genre_table(folds, calibrated, debian.read_genres(listed)),
    ]
    (work / "calibration.md").write_text("\n".join(made), encoding="utf-8")
    log.info("done after %.0f minutes", (time.monotonic() - started) / 60)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m beetsplug.artifactnet.training")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="folder with manifest.csv and the clips"
    )
    parser.add_argument("--work", type=Path, required=True, help="caches and checkpoints")
    parser.add_argument(
        "--lyra", type=Path, help="folder of Lyra's TFLite networks (until the pairs are there)"
    )
    parser.add_argument(
        "--debian", type=Path, help="unpacked Debian packages (default: WORK/debian)"
    )
    parser.add_argument(
        "--out", type=Path, default=BUNDLED_MODELS / DEFAULT_MODEL, help="model folder"
    )
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def judge_final(material: Material, folder: Path) -> tuple[Fold, ArtifactNetwork]:
    """Train on everything but the calibration sources and the demo clips' music.

    Returns the calibration tracks as the network judges them, and the network.
    """
    dataset = material.dataset
    clips = [clip for clip in dataset.clips if clip.source != corpus.DEMO_SOURCE]
    calibration = corpus.calibration_clips(clips)
    split = Split(tuple(_without_sources(clips, calibration)), tuple(calibration))
    fitted = material.heads(split.train, folder)
    network = fold_network(material, split, fitted, folder)
    cache = folder / "calibration-branches.npy"
    held = judge_split(material, split, fitted, cache, lambda: network)
    return held, network


def export_final(
    network: ArtifactNetwork,
    dataset: Dataset,
    calibrated: Calibrated,
    rates: Mapping[str, Any],
    out: Path,
) -> None:
    """Write the model folder, after comparing graph and network on every clip.

    Args:
        network: Trained, all heads filled.
        dataset: The clips.
        calibrated: The thresholds, and the slope.
        rates: For the card.
        out: The folder.

    Raises:
        RuntimeError: The graph and the network differ by more than 1e-5.
    """
    card = _card(network, VERSION) | {"error_rates": rates}
    scaled = Scaled(network, calibrated.ai, calibrated.slope)
    segments = first_segments(dataset)
    difference = export_model(scaled, out, card, calibrated.thresholds, segments)
    log.info("exported to %s: %s", out, json.dumps(rates))
    log.info("ONNX and torch differ by %.1e at most", difference)


def first_segments(dataset: Dataset) -> Iterator[NDArray[np.float32]]:
    """Yield one segment of every clip and track, as it is, in batches (n, 176400)."""
    _, rows = np.unique([crop.clip for crop in dataset.crops], return_index=True)
    for first in range(0, len(rows), _AT_ONCE):
        yield dataset.segments(rows[first : first + _AT_ONCE])


def _card(network: ArtifactNetwork, version: str) -> dict[str, Any]:
    return {
        "model_id": DEFAULT_MODEL,
        "version": version,
        "licence": "MIT",
        "aggregation": AGGREGATION,
        "network": network.config.as_dict() | {"branches": branches_as_dicts()},
    }


def export_folds(
    material: Material,
    folds: Sequence[Fold],
    calibrated: Calibrated,
    work: Path,
    config: TrainConfig | None = None,
) -> None:
    """Write each fold's network as a model with the thresholds of the final one.

    To measure a model on families that it was not trained on.

    Args:
        material: What they were trained on.
        folds: Judged.
        calibrated: The thresholds, and the slope.
        work: Where each has its folder.
        config: That they were trained with.
    """
    for number, fold in enumerate(folds):
        folder = fold_folder(work, number)
        fitted = material.heads(fold.split.train, folder)
        network = fold_network(material, fold.split, fitted, folder, config)
        scaled = Scaled(network, calibrated.ai, calibrated.slope)
        card = _card(network, f"{VERSION}-fold-{number}")
        export_model(scaled, folder / FOLD_MODEL, card, calibrated.thresholds)


def _without_sources(clips: Sequence[Clip], held_out: Sequence[Clip]) -> list[Clip]:
    sources = {clip.source for clip in held_out}
    return [clip for clip in clips if clip.source not in sources]
