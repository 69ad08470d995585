"""Make the bundled model: every step, from the audio to the model folder.

Each step keeps what it made in the work folder and is not repeated, so an interrupted
run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.model_store import BUNDLED_MODELS, DEFAULT_MODEL
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training import corpus, debian, evaluate
from beetsplug.artifactnet.training.corpus import Clip, Split
from beetsplug.artifactnet.training.dataset import Dataset, build_dataset, write_manifest
from beetsplug.artifactnet.training.evaluate import Fusion, Judged
from beetsplug.artifactnet.training.export import Scaled, export_model
from beetsplug.artifactnet.training.pairs import Pairs, build_pairs, fit_pairs
from beetsplug.artifactnet.training.reference import GridReference
from beetsplug.artifactnet.training.train import (
    Features,
    References,
    TrainConfig,
    cached_features,
    fit_references,
    sample_weights,
    train,
)

log = logging.getLogger(__name__)

VERSION = "1.1"
FOLD_CONFIG = TrainConfig(n_segments=16_000)
FINAL_CONFIG = TrainConfig(n_segments=64_000)
AI_FPR, UNSURE_FPR = 0.01, 0.05
BRANCHES = ("per-bin head", "comb head", "cnn", "grid head", "coarse head")
N_BRANCHES = len(BRANCHES)
SONG_AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "mean": statistics.fmean,
    "maximum": max,
}
Logits = NDArray[np.float64]


def main() -> None:
    """Run every step that has not been run yet."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    started = time.monotonic()
    work: Path = arguments.work
    packages = arguments.debian or work / "debian"
    debian.fetch_packages(arguments.corpus, packages)
    clips = corpus.read_manifest(arguments.corpus) + debian.list_tracks(packages)
    dataset = build_dataset(clips, work, workers=arguments.threads)
    features = cached_features(dataset, work)
    pairs = build_pairs(dataset, work / "pairs")
    material = Material(dataset, features, pairs)
    folds = [
        judge_fold(material, split, work / f"fold-{i}")
        for i, split in enumerate(corpus.split_folds(dataset.clips))
    ]
    held_out = held_out_report(folds)
    (work / "held-out.json").write_text(json.dumps(held_out, indent=1), encoding="utf-8")
    (work / "held-out.md").write_text(evaluate.markdown(held_out), encoding="utf-8")
    fusion = fit_fusion(folds)
    log.info("fusion weights: %s", np.round(fusion.weights, 3).tolist())
    make_final(material, folds, fusion, held_out, work, arguments.out)
    log.info("done after %.0f minutes", (time.monotonic() - started) / 60)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m beetsplug.artifactnet.training")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="folder with manifest.csv and the clips"
    )
    parser.add_argument("--work", type=Path, required=True, help="caches and checkpoints")
    parser.add_argument(
        "--debian", type=Path, help="unpacked Debian packages (default: WORK/debian)"
    )
    parser.add_argument(
        "--out", type=Path, default=BUNDLED_MODELS / DEFAULT_MODEL, help="model folder"
    )
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


@dataclass(frozen=True)
class Material:
    """What every training draws from."""

    dataset: Dataset
    features: Features
    pairs: list[Pairs]

    def grids(self, clips: Sequence[Clip]) -> GridReference:
        """Return the regressions of our own decoders on the real ones of these clips."""
        rows = self.dataset.rows([clip for clip in clips if not clip.label])
        weights = sample_weights(self.dataset, rows) * len(rows)
        return fit_pairs(rows, self.features.fine[rows], weights, self.pairs)


class Fold:
    """The held-out clips of one fold and every detector's logits on their crops."""

    def __init__(self, dataset: Dataset, split: Split, rows: NDArray[np.int64]) -> None:
        self.dataset, self.split, self.rows = dataset, split, rows
        self.places = {int(row): place for place, row in enumerate(rows)}
        self.branches: Logits = np.empty((len(rows), N_BRANCHES))
        self.reference: Logits = np.empty(len(rows))

    def judge(self, logits: Logits, variant: int = 0) -> list[Judged]:
        """Return the held-out clips with their median logits on one variant."""
        of_rows = self._of_rows(logits)
        return evaluate.judge(self.dataset, self.split.test, of_rows, variant=variant)

    def judge_songs(
        self, logits: Logits, aggregate: Callable[[Sequence[float]], float]
    ) -> list[Judged]:
        """Return the held-out tracks with the aggregate of three segments' logits."""
        of_rows = self._of_rows(logits)
        return evaluate.judge_songs(self.dataset, self.split.test, of_rows, aggregate)

    def _of_rows(self, logits: Logits) -> Callable[[NDArray[np.int64]], Logits]:
        return lambda rows: logits[[self.places[int(row)] for row in rows]]

    def song_branches(self) -> Logits:
        """Return (n_clips, n_branches): each branch's median logit, full-band clips alone."""
        judged = [evaluate.full_band(self.judge(b)) for b in self.branches.T]
        return np.array([[j.logit for j in branch] for branch in judged]).T

    def song_labels(self) -> NDArray[np.int64]:
        """Return (n_clips,), in the order of :meth:`song_branches`."""
        judged = evaluate.full_band(self.judge(self.branches[:, 0]))
        return np.array([j.clip.label for j in judged])


def judge_fold(material: Material, split: Split, folder: Path) -> Fold:
    """Return one fold judged: trained without its families and sources."""
    dataset, features = material.dataset, material.features
    references = fit_references(dataset, features, split.train)
    fold = Fold(dataset, split, dataset.rows(split.test))
    cache = folder / "branches.npy"
    if not cache.exists():
        network = train(dataset, split.train, references, folder, FOLD_CONFIG)
        network.set_grids(material.grids(split.train))
        np.save(cache, evaluate.branch_logits(network, dataset.samples[fold.rows]))
    fold.branches = np.load(cache)
    fold.reference = references.bins.logits(features.fine[fold.rows])
    judged = evaluate.full_band(fold.judge(fold.branches.sum(1)))
    log.info("%s, branches unweighted: %s", folder.name, evaluate.summary(judged))
    return fold


def fit_fusion(
    folds: Sequence[Fold], branches: Sequence[int] = tuple(range(N_BRANCHES))
) -> Fusion:
    """Return the fusion of some of the branches, fitted on the songs of these folds."""
    return evaluate.fit_fusion(
        np.concatenate([fold.song_branches()[:, list(branches)] for fold in folds]),
        np.concatenate([fold.song_labels() for fold in folds]),
    )


def cross_fitted(
    folds: Sequence[Fold], branches: Sequence[int] = tuple(range(N_BRANCHES))
) -> dict[int, Logits]:
    """Return the fused logits of every fold's crops, by the place of the fold.

    A fold's weights are fitted on the other folds, so that nothing of a judged clip is
    in what judges it.
    """
    return {
        place: fit_fusion([f for f in folds if f is not fold], branches).logits(
            fold.branches[:, list(branches)]
        )
        for place, fold in enumerate(folds)
    }


def held_out_report(folds: Sequence[Fold]) -> dict[str, Any]:
    """Return the figures on families and sources that a fold's training never saw."""
    detectors: dict[str, dict[int, Logits]] = {
        "reference": {place: fold.reference for place, fold in enumerate(folds)}
    }
    for branch, name in enumerate(BRANCHES):
        detectors[name] = {i: fold.branches[:, branch] for i, fold in enumerate(folds)}
    for branch, name in enumerate(BRANCHES):
        rest = [other for other in range(N_BRANCHES) if other != branch]
        detectors[f"network without {name}"] = cross_fitted(folds, rest)
    detectors["network"] = cross_fitted(folds)
    report: dict[str, Any] = {}
    for variant, how in ((0, "as they are"), (1, "through a library codec chain")):
        for name, logits in detectors.items():
            report[f"{name}, {how}"] = _rates(
                [
                    evaluate.full_band(fold.judge(logits[place], variant))
                    for place, fold in enumerate(folds)
                ]
            )
    for name, aggregate in SONG_AGGREGATES.items():
        report[f"network, {name} of three segments"] = _rates(
            [
                fold.judge_songs(detectors["network"][place], aggregate)
                for place, fold in enumerate(folds)
            ]
        )
    return report


def _rates(folds: Sequence[Sequence[Judged]]) -> dict[str, Any]:
    together = [judged for fold in folds for judged in fold]
    return {
        "all": evaluate.summary(together),
        "folds": [evaluate.summary(fold) for fold in folds],
        "families": evaluate.by_family(together),
    }


def make_final(
    material: Material,
    folds: Sequence[Fold],
    fusion: Fusion,
    held_out: dict[str, Any],
    work: Path,
    out: Path,
) -> None:
    """Train on everything but the calibration sources, calibrate on those, export."""
    dataset, features = material.dataset, material.features
    clips = [clip for clip in dataset.clips if clip.source != corpus.DEMO_SOURCE]
    calibration = corpus.calibration_clips(clips)
    training = _without_sources(clips, calibration)
    references: References = fit_references(dataset, features, training)
    network = train(dataset, training, references, work / "final", FINAL_CONFIG)
    network.set_grids(material.grids(training))
    network.fusion.copy_(torch.tensor(fusion.weights, dtype=torch.float32))
    rows = dataset.rows(calibration)
    cache = work / "final" / "calibration-branches.npy"
    if not cache.exists():
        np.save(cache, evaluate.branch_logits(network, dataset.samples[rows]))
    held = Fold(dataset, Split(tuple(training), tuple(calibration)), rows)
    held.branches = np.load(cache)
    calibrated = calibrate(held, folds, fusion)
    (work / "calibration.md").write_text(
        calibration_table(held, fusion, calibrated), encoding="utf-8"
    )
    rates = calibrated.rates | {"held_out_families": held_out["network, as they are"]["all"]}
    card = {
        "model_id": DEFAULT_MODEL,
        "version": VERSION,
        "licence": "MIT",
        "error_rates": rates,
        "network": network.config.as_dict(),
    }
    export_model(Scaled(network, calibrated.ai, 1.0), out, card, calibrated.thresholds)
    write_manifest(training, out / "training-manifest.csv")
    log.info("exported to %s: %s", out, json.dumps(rates))


@dataclass(frozen=True)
class Calibrated:
    """The thresholds, as logits, and what they let through."""

    ai: float
    unsure: float
    rates: dict[str, Any]

    @property
    def thresholds(self) -> Thresholds:
        """The same as the exported model's probabilities."""
        return Thresholds(ai=0.5, unsure=round(evaluate.probability(self.unsure, self.ai), 4))


def calibrate(held: Fold, folds: Sequence[Fold], fusion: Fusion) -> Calibrated:
    """Return the thresholds that keep to both rates on every set of real music there is.

    On the calibration sources, which the final network never heard, and on those of each
    fold, judged by its own network; as they are, and recoded: a library holds either.
    The highest of the four thresholds is taken.
    """
    sets = [
        (name, variant, [j.logit for fold in group for j in _real(fold, fusion, variant)])
        for name, group in (("calibration", [held]), ("folds", folds))
        for variant in (0, 1)
    ]
    ai, unsure = (
        max(evaluate.threshold_at(logits, fpr) for _, _, logits in sets)
        for fpr in (AI_FPR, UNSURE_FPR)
    )
    judged = _real(held, fusion, 0)
    rates: dict[str, Any] = {
        "calibration_tracks": len(judged),
        "calibration_sources": len({j.clip.source for j in judged}),
    }
    for name, variant, logits in sets:
        suffix = ("_recoded" if variant else "") + ("_folds" if name == "folds" else "")
        for verdict, threshold in (("ai", ai), ("unsure", unsure)):
            rate = float(np.mean(np.array(logits) >= threshold))
            rates[f"false_positive_rate_{verdict}{suffix}"] = round(rate, 4)
    return Calibrated(ai, unsure, rates)


def _real(fold: Fold, fusion: Fusion, variant: int) -> list[Judged]:
    logits = fold.branches @ fusion.weights
    return [judged for judged in fold.judge(logits, variant) if not judged.clip.label]


def calibration_table(held: Fold, fusion: Fusion, calibrated: Calibrated) -> str:
    """Return who is flagged among the calibration tracks, by kind of music and format."""
    parts: dict[str, list[Judged]] = {"all": []}
    for judged in _real(held, fusion, 0):
        clip = judged.clip
        kind = "game music" if clip.source.startswith("debian:") else "excerpts"
        band = "full-band" if clip.is_full_band else "narrow-band"
        for part in ("all", kind, clip.path.suffix.lstrip(".").upper(), band):
            parts.setdefault(part, []).append(judged)
    lines = ["| tracks | number | `ai` | `ai` or `unsure` |", "|---|---|---|---|"]
    for part, tracks in parts.items():
        flagged = [
            sum(judged.logit >= threshold for judged in tracks)
            for threshold in (calibrated.ai, calibrated.unsure)
        ]
        lines.append(f"| {part} | {len(tracks)} | {flagged[0]} | {flagged[1]} |")
    return "\n".join(lines) + "\n"


def _without_sources(clips: list[Clip], held_out: list[Clip]) -> list[Clip]:
    sources = {clip.source for clip in held_out}
    return [clip for clip in clips if clip.source not in sources]
