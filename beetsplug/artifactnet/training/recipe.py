"""Make the bundled model: every step, from the audio to the model folder.

Each step keeps what it made in the work folder and is not repeated, so an interrupted
run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.model_card import Aggregation
from beetsplug.artifactnet.model_store import BUNDLED_MODELS, DEFAULT_MODEL
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training import corpus, debian, evaluate
from beetsplug.artifactnet.training.corpus import Clip, Split
from beetsplug.artifactnet.training.dataset import (
    N_VARIANTS,
    Dataset,
    build_dataset,
    weighted_rows,
    write_manifest,
)
from beetsplug.artifactnet.training.evaluate import Judged
from beetsplug.artifactnet.training.export import Scaled, export_model
from beetsplug.artifactnet.training.network import ArtifactNetwork, counted
from beetsplug.artifactnet.training.pairs import Pairs, build_pairs, fit_pairs
from beetsplug.artifactnet.training.programs import FOLD_MODEL, fold_folder, packages_of
from beetsplug.artifactnet.training.reference import (
    GridReference,
    Reference,
    ScaledReference,
    contrast_features,
    fit_reference,
)
from beetsplug.artifactnet.training.train import (
    Features,
    References,
    TrainConfig,
    cached_features,
    fit_references,
    train,
)

log = logging.getLogger(__name__)

VERSION = "2.1"
CONFIG = TrainConfig(n_segments=16_000)
"""Of every fold's network and of the final one alike: the longer one is trained, the larger its
logits, and one threshold has to fit all.
"""
AI_FPR, UNSURE_FPR = 0.001, 0.05
"""The rates that the thresholds keep to. For ``ai`` a tenth of the 1 % that is promised, which
is to say none of any set: music of other sources scores higher than what a threshold was set
on, and that is the error that must not be made."""
BRANCHES = (
    "per-bin head",
    "comb head",
    "cnn",
    "grid head",
    "coarse head",
    "frame-rate head",
    "empty share",
)
N_BRANCHES = len(BRANCHES)
FUSION = (2.0, 0.2, 0.2, 1.0, 0.25, 0.5, -10.0)
"""Weights of the branches: two for the one that tells most by itself, one for the grids of
decoders, a half for frame rates, a fifth for two that know their training clips too well. The
coarse head, by which the first is confirmed, has a quarter of its own. Round numbers: fitted
ones gained nothing on folds that they were not fitted on. What is empty speaks against: most
narrow-band clips that there are to learn from are generated, and without that weight half of
the real ones would be suspects.
"""
STRATA: Mapping[str, Callable[[Clip], bool]] = {
    "": lambda _: True,
    "_excerpts": lambda clip: clip.is_full_band_excerpt,
}
"""Real music on which the thresholds are to hold, by the suffix of its rates: all of it, and
what most of it is not, full-band music of other than games. Half of all real music is games',
which scores low: where 5 % of all were `unsure`, 11 % of the excerpts were.
"""
_AT_ONCE = 8
"""Segments on which the exported graph and the network are run together to be compared."""
Logits = NDArray[np.float64]
Fuse = Callable[[Logits], Logits]
"""From branches (n, 7) to logits (n,)."""
AGGREGATION: Aggregation = "tercile"
"""What makes a track's score of its segments'. Generated songs bear their decoder's trace in
every segment; human-made ones that are taken for them mostly do so in places."""
RELIABILITY_EDGES = (0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
"""Finer towards both ends, where nearly all scores lie."""


def fuse(branches: Logits, weights: Sequence[float] | Logits = FUSION) -> Logits:
    """Return the logits (n,) of branches (n, 7): the weighted sum of what they count for."""
    return counted(torch.from_numpy(branches)).numpy() @ np.asarray(weights)


def _fuse_without(branches: Logits, branch: int) -> Logits:
    """Return the logits (n,) of branches (n, 7) without one, which stands in no other's way."""
    weights, others = np.array(FUSION), branches.copy()
    weights[branch], others[:, branch] = 0, 1e6
    return fuse(others, weights)


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
    held_out = held_out_report(folds)
    (work / "held-out.json").write_text(json.dumps(held_out, indent=1), encoding="utf-8")
    (work / "held-out.md").write_text(evaluate.markdown(held_out), encoding="utf-8")
    calibrated, tables = make_final(material, folds, held_out, work, arguments.out)
    export_folds(material, folds, calibrated, work)
    tables.append(genre_table(folds, calibrated, debian.read_genres(listed)))
    (work / "calibration.md").write_text("\n".join(tables), encoding="utf-8")
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


@dataclass(frozen=True)
class Regressions:
    """The fixed and the starting weights of all linear heads."""

    references: References
    grids: GridReference

    def save(self, path: Path) -> None:
        """Write them as one NumPy archive."""
        parts = {**vars(self.references), "grids": self.grids}
        arrays = {
            f"{part}.{name}": values
            for part, fitted in parts.items()
            for name, values in vars(fitted).items()
        }
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Regressions:
        """Return what :meth:`save` wrote."""
        parts: dict[str, dict[str, Any]] = {}
        with np.load(path) as arrays:
            for key, values in arrays.items():
                part, name = key.split(".")
                parts.setdefault(part, {})[name] = values if values.ndim else float(values)
        references = References(
            Reference(**parts["bins"]),
            ScaledReference(**parts["comb"]),
            Reference(**parts["coarse"]),
            ScaledReference(**parts["rates"]),
        )
        return cls(references, GridReference(**parts["grids"]))


@dataclass(frozen=True)
class Material:
    """What every training draws from."""

    dataset: Dataset
    features: Features
    pairs: list[Pairs]

    @classmethod
    def kept(cls, dataset: Dataset, work: Path, lyra: Path | None = None) -> Material:
        """Return a dataset's, from the work folder where it is there."""
        features = cached_features(dataset, work)
        return cls(dataset, features, build_pairs(dataset, work / "pairs", lyra=lyra))

    def grids(self, clips: Sequence[Clip]) -> GridReference:
        """Return the decoders' regressions on the real ones of these clips."""
        rows, weights = weighted_rows(self.dataset, [c for c in clips if not c.label])
        return fit_pairs(rows, self.features.standing[rows], weights, self.pairs)

    def regressions(self, clips: Sequence[Clip], folder: Path) -> Regressions:
        """Return all regressions fitted to these clips, from the folder when there."""
        path = folder / "regressions.npz"
        if not path.exists():
            references = fit_references(self.dataset, self.features, clips, self.pairs)
            folder.mkdir(parents=True, exist_ok=True)
            Regressions(references, self.grids(clips)).save(path)
        return Regressions.load(path)

    def with_regressions(
        self, branches: Logits, rows: NDArray[np.int64], fitted: Regressions
    ) -> Logits:
        """Return branches' logits with those of grid, coarse and frame-rate head.

        Of their own, as no training changes these heads: the rest need not be judged again
        when one of them is fitted anew.
        """
        contrast = contrast_features(self.features.standing[rows])
        filled = branches.copy()
        filled[:, BRANCHES.index("grid head")] = fitted.grids.logits(contrast)
        coarse = fitted.references.coarse.logits(self.features.coarse[rows])
        filled[:, BRANCHES.index("coarse head")] = coarse
        rates = fitted.references.rates.logits(self.features.rates[rows])
        filled[:, BRANCHES.index("frame-rate head")] = rates
        return filled


class Fold:
    """The held-out clips of one fold and every detector's logits on their crops."""

    def __init__(self, dataset: Dataset, split: Split, rows: NDArray[np.int64]) -> None:
        self.dataset, self.split, self.rows = dataset, split, rows
        self.places = {int(row): place for place, row in enumerate(rows)}
        self.branches: Logits = np.empty((len(rows), N_BRANCHES))
        self.reference: Logits = np.empty(len(rows))

    def judge(
        self, logits: Logits, variant: int = 0, aggregation: Aggregation = "median"
    ) -> list[Judged]:
        """Return the held-out clips with the aggregate of their logits on one variant.

        The median, where clips of one segment are held against tracks of seven: any other
        would favour the one side.
        """
        return evaluate.judge(
            self.dataset,
            self.split.test,
            self._of_rows(logits),
            variant=variant,
            aggregation=aggregation,
        )

    def judge_songs(self, logits: Logits, aggregation: Aggregation) -> list[Judged]:
        """Return the held-out tracks with the aggregate of three segments' logits."""
        of_rows = self._of_rows(logits)
        return evaluate.judge_songs(self.dataset, self.split.test, of_rows, aggregation)

    def _of_rows(self, logits: Logits) -> Callable[[NDArray[np.int64]], Logits]:
        return lambda rows: logits[[self.places[int(row)] for row in rows]]


def judge_fold(
    material: Material,
    split: Split,
    folder: Path,
    config: TrainConfig = CONFIG,
    regressions: Path | None = None,
) -> Fold:
    """Return one fold judged: trained without its families and sources.

    Args:
        material: What to train on and to judge.
        split: Which clips for which.
        folder: Where the network and its logits are kept.
        config: Budget and network.
        regressions: Folder that holds this split's regressions, if not ``folder``.
    """
    dataset = material.dataset
    fitted = material.regressions(split.train, regressions or folder)
    references = fitted.references
    fold = Fold(dataset, split, dataset.rows(split.test))
    cache = folder / "branches.npy"
    if not cache.exists():
        network = train(dataset, split.train, references, folder, config)
        np.save(cache, evaluate.branch_logits(network, dataset.samples[fold.rows]))
    fold.branches = material.with_regressions(np.load(cache), fold.rows, fitted)
    fold.reference = _reference_logits(material, split, fold.rows, folder)
    judged = evaluate.full_band(fold.judge(fuse(fold.branches)))
    log.info("%s: %s", folder.name, evaluate.summary(judged))
    return fold


def _reference_logits(
    material: Material, split: Split, rows: NDArray[np.int64], folder: Path
) -> Logits:
    """Return the reference's logits (n_rows,), fitted to the split's training side."""
    cache = folder / "reference.npy"
    if not cache.exists():
        dataset, fine = material.dataset, material.features.fine
        training, weights = weighted_rows(dataset, corpus.without_modules(split.train))
        fitted = fit_reference(fine[training], dataset.labels[training], weights)
        np.save(cache, fitted.logits(fine[rows]))
    return np.load(cache)


def held_out_report(folds: Sequence[Fold]) -> dict[str, Any]:
    """Return the figures on families and sources that a fold's training never saw."""
    detectors = {"reference": [fold.reference for fold in folds]}
    for branch, name in enumerate(BRANCHES[:-1]):
        detectors[name] = [fold.branches[:, branch] for fold in folds]
    for branch, name in enumerate(BRANCHES):
        detectors[f"network without {name}"] = [
            _fuse_without(fold.branches, branch) for fold in folds
        ]
    detectors["network"] = [fuse(fold.branches) for fold in folds]
    report: dict[str, Any] = {}
    for variant, how in ((0, "as they are"), (1, "through a library codec chain")):
        for name, logits in detectors.items():
            report[f"{name}, {how}"] = _rates(
                [
                    evaluate.full_band(fold.judge(of_fold, variant))
                    for fold, of_fold in zip(folds, logits, strict=True)
                ]
            )
    for aggregation in get_args(Aggregation):
        report[f"network, {aggregation} of three segments"] = _rates(
            [
                fold.judge_songs(of_fold, aggregation)
                for fold, of_fold in zip(folds, detectors["network"], strict=True)
            ]
        )
    return report


def _rates(folds: Sequence[Sequence[Judged]]) -> dict[str, Any]:
    together = [judged for fold in folds for judged in fold]
    return {
        "all": evaluate.summary(together),
        # A fold without tracks of both kinds has no curve.
        "folds": [
            evaluate.summary(fold) for fold in folds if len({j.clip.label for j in fold}) > 1
        ],
        "kinds": evaluate.by_kind(together),
        "families": evaluate.by_family(together),
        "generators": evaluate.by_generator(together),
    }


def make_final(
    material: Material,
    folds: Sequence[Fold],
    held_out: dict[str, Any],
    work: Path,
    out: Path,
) -> tuple[Calibrated, list[str]]:
    """Train on everything but the calibration sources, calibrate on those, export.

    Returns the thresholds and the tables of what they let through.
    """
    dataset = material.dataset
    clips = [clip for clip in dataset.clips if clip.source != corpus.DEMO_SOURCE]
    calibration = corpus.calibration_clips(clips)
    training = _without_sources(clips, calibration)
    fitted = material.regressions(training, work / "final")
    network = train(dataset, training, fitted.references, work / "final", CONFIG)
    complete(network, fitted)
    rows = dataset.rows(calibration)
    cache = work / "final" / "calibration-branches.npy"
    if not cache.exists():
        np.save(cache, evaluate.branch_logits(network, dataset.samples[rows]))
    held = Fold(dataset, Split(tuple(training), tuple(calibration)), rows)
    held.branches = material.with_regressions(np.load(cache), rows, fitted)
    calibrated = calibrate(held, folds)
    rates = calibrated.rates | {"held_out_families": held_out["network, as they are"]["all"]}
    card = _card(network, VERSION) | {"error_rates": rates}
    scaled = Scaled(network, calibrated.ai, calibrated.slope)
    difference = export_model(scaled, out, card, calibrated.thresholds, first_segments(dataset))
    write_manifest(training, out / "training-manifest.csv")
    log.info("exported to %s: %s", out, json.dumps(rates))
    log.info("ONNX and torch differ by %.1e at most", difference)
    return calibrated, [
        calibration_table(held, folds, calibrated),
        reliability_table(folds, calibrated),
        branch_table(held, folds),
    ]


def first_segments(dataset: Dataset) -> Iterator[NDArray[np.float32]]:
    """Yield one segment of every clip and track, as it is, in batches (n, 176400)."""
    _, rows = np.unique([crop.clip for crop in dataset.crops], return_index=True)
    for first in range(0, len(rows), _AT_ONCE):
        yield dataset.segments(rows[first : first + _AT_ONCE])


def complete(network: ArtifactNetwork, fitted: Regressions) -> None:
    """Give a trained network the heads that training leaves alone, and the fusion."""
    network.grid.set(fitted.grids)
    network.coarse.set(fitted.references.coarse)
    network.rates.set(fitted.references.rates)
    network.fusion.copy_(torch.tensor(FUSION))


def _card(network: ArtifactNetwork, version: str) -> dict[str, Any]:
    return {
        "model_id": DEFAULT_MODEL,
        "version": version,
        "licence": "MIT",
        "aggregation": AGGREGATION,
        "network": network.config.as_dict(),
    }


def fold_network(
    material: Material, split: Split, folder: Path, config: TrainConfig = CONFIG
) -> ArtifactNetwork:
    """Return the network that judged a fold, all heads filled, from the folder when there.

    Args:
        material: What it was trained on.
        split: Which clips for what.
        folder: Where it is kept.
        config: That it was trained with.
    """
    fitted = material.regressions(split.train, folder)
    network = train(material.dataset, split.train, fitted.references, folder, config)
    complete(network, fitted)
    return network


def export_folds(
    material: Material,
    folds: Sequence[Fold],
    calibrated: Calibrated,
    work: Path,
    config: TrainConfig = CONFIG,
) -> None:
    """Write each fold's network as a model with the thresholds of the final one.

    For programs that ask what happens to files of families that a model never heard.

    Args:
        material: What they were trained on.
        folds: Judged.
        calibrated: The thresholds, and the slope.
        work: Where each has its folder.
        config: That they were trained with.
    """
    for number, fold in enumerate(folds):
        folder = fold_folder(work, number)
        network = fold_network(material, fold.split, folder, config)
        scaled = Scaled(network, calibrated.ai, calibrated.slope)
        card = _card(network, f"{VERSION}-fold-{number}")
        export_model(scaled, folder / FOLD_MODEL, card, calibrated.thresholds)


@dataclass(frozen=True)
class Calibrated:
    """The thresholds, as logits, and what they let through."""

    ai: float
    unsure: float
    slope: float
    """Logits of the exported model's probabilities per logit of the network."""
    rates: dict[str, Any]

    @property
    def thresholds(self) -> Thresholds:
        """The same as the exported model's probabilities."""
        return Thresholds(ai=0.5, unsure=round(self.score(self.unsure), 4))

    def score(self, logit: float) -> float:
        """Return the exported model's probability for a logit of the network."""
        return evaluate.probability(logit, self.ai, self.slope)


def calibrate(held: Fold, folds: Sequence[Fold], fuse_by: Fuse = fuse) -> Calibrated:
    """Return the thresholds that keep to both rates on every set of real music there is.

    On the calibration sources, which the final network never heard, and on those of each
    fold, judged by its own network; as they are, and recoded, every variant of them: a library
    holds either, and one codec lifts a track that another lowers; and of each of these on each
    of :data:`STRATA`. The highest of the thresholds is taken. The slope is fitted to the folds'
    full-band clips, as they are and recoded as well.

    Args:
        held: The calibration tracks, judged by the final network.
        folds: Judged by their own.
        fuse_by: What makes a logit of branches.
    """
    sets = _real_sets(held, folds, fuse_by)
    ai, unsure = (
        max(evaluate.threshold_at(logits, fpr) for logits in sets.values())
        for fpr in (AI_FPR, UNSURE_FPR)
    )
    judged = _real(held, 0, fuse_by)
    rates: dict[str, Any] = {
        "calibration_tracks": len(judged),
        "calibration_sources": len({j.clip.source for j in judged}),
    }
    for name, logits in sets.items():
        for verdict, threshold in (("ai", ai), ("unsure", unsure)):
            rate = float(np.mean(np.array(logits) >= threshold))
            rates[f"false_positive_rate_{verdict}{name}"] = round(rate, 4)
    either = [
        judged
        for fold in folds
        for variant in (0, 1)
        for judged in _full_band(fold, variant, fuse_by)
    ]
    slope = evaluate.fitted_slope(either, ai)
    return Calibrated(ai, unsure, slope, rates)


def _real_sets(held: Fold, folds: Sequence[Fold], fuse_by: Fuse) -> dict[str, list[float]]:
    """Return the logits of every set that the thresholds are to hold on, by its suffix."""
    sets: dict[str, list[float]] = {}
    for of, group in (("", [held]), ("_folds", folds)):
        for variant in range(max(N_VARIANTS.values())):
            how = ("", "_recoded")[variant] if variant < 2 else f"_recoded_{variant}"
            judged = [j for fold in group for j in _real(fold, variant, fuse_by)]
            for stratum, chosen in STRATA.items():
                logits = [j.logit for j in judged if chosen(j.clip)]
                if logits:
                    sets[how + of + stratum] = logits
    return sets


def _full_band(fold: Fold, variant: int = 0, fuse_by: Fuse = fuse) -> list[Judged]:
    """Return a fold's full-band clips as the plugin scores them."""
    return evaluate.full_band(fold.judge(fuse_by(fold.branches), variant, AGGREGATION))


def _real(fold: Fold, variant: int, fuse_by: Fuse = fuse) -> list[Judged]:
    """Return the real ones as the plugin scores them."""
    found = fold.judge(fuse_by(fold.branches), variant, AGGREGATION)
    return [judged for judged in found if not judged.clip.label]


def calibration_table(held: Fold, folds: Sequence[Fold], calibrated: Calibrated) -> str:
    """Return who is flagged: calibration tracks by kind and format, and the folds' clips."""
    parts: dict[str, list[Judged]] = {"calibration tracks": []}
    for judged in _real(held, 0):
        for part in _calibration_parts(judged.clip):
            parts.setdefault(part, []).append(judged)
    for fold in folds:
        for judged in _full_band(fold):
            clip = judged.clip
            kinds = ["AI clips of one segment" if clip.label else "real"]
            if not clip.label and clip.is_full_band_excerpt:
                kinds.append("real excerpts")
            for kind in kinds:
                parts.setdefault(f"held-out folds, full-band, {kind}", []).append(judged)
        for judged in fold.judge_songs(fuse(fold.branches), AGGREGATION):
            if judged.clip.label:
                parts.setdefault("held-out folds, AI songs of three segments", []).append(
                    judged
                )
    lines = ["| tracks | number | `ai` | `ai` or `unsure` |", "|---|---|---|---|"]
    for part, tracks in parts.items():
        flagged = [
            sum(judged.logit >= threshold for judged in tracks)
            for threshold in (calibrated.ai, calibrated.unsure)
        ]
        lines.append(f"| {part} | {len(tracks)} | {flagged[0]} | {flagged[1]} |")
    return "\n".join(lines) + "\n"


def _calibration_parts(clip: Clip) -> list[str]:
    """Return the rows of the calibration table that a calibration track counts in."""
    kind = "game music" if clip.is_whole_track else "excerpts"
    band = "full-band" if clip.is_full_band else "narrow-band"
    parts = ["calibration tracks", kind, clip.path.suffix.lstrip(".").upper(), band]
    if clip.is_full_band_excerpt:
        parts.append("full-band excerpts")
    return parts


def branch_table(held: Fold, folds: Sequence[Fold]) -> str:
    """Return what is flagged of the folds' generated clips and songs without each branch.

    The thresholds are set anew for each row, in the same way.
    """
    ways: dict[str, Fuse] = {"all": fuse}
    for branch, name in enumerate(BRANCHES):
        ways[f"without {name}"] = partial(_fuse_without, branch=branch)
    lines = [
        "| branches | segments: `ai` | `ai` or `unsure` | songs of three: `ai` "
        "| `ai` or `unsure` |",
        "|---|---|---|---|---|",
    ]
    for name, fuse_by in ways.items():
        calibrated = calibrate(held, folds, fuse_by)
        segments = [j for fold in folds for j in _full_band(fold, fuse_by=fuse_by)]
        songs = [
            j for fold in folds for j in fold.judge_songs(fuse_by(fold.branches), AGGREGATION)
        ]
        cells = [
            f"{np.mean([j.logit >= least for j in judged if j.clip.label]):.1%}"
            for judged in (segments, songs)
            for least in (calibrated.ai, calibrated.unsure)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def reliability_table(folds: Sequence[Fold], calibrated: Calibrated) -> str:
    """Return how many held-out full-band clips got each score, and what it was worth.

    A score is what the final model would give for the fold's logit. The last column is
    the share of generated clips if there were as many of both kinds.
    """
    judged = [clip for fold in folds for clip in _full_band(fold)]
    labels = np.array([clip.clip.label for clip in judged])
    scores = np.array([calibrated.score(clip.logit) for clip in judged])
    lines = [
        "| score | generated | human-made | generated, of equal numbers |",
        "|---|---|---|---|",
    ]
    for low, high in itertools.pairwise(RELIABILITY_EDGES):
        inside = (scores >= low) & ((scores < high) | (high == RELIABILITY_EDGES[-1]))
        n_ai, n_real = (int(np.sum(inside & (labels == label))) for label in (1, 0))
        if not n_ai + n_real:
            continue
        share_ai, share_real = n_ai / np.sum(labels == 1), n_real / np.sum(labels == 0)
        worth = f"{share_ai / (share_ai + share_real):.1%}"
        lines.append(f"| {low:g} to {high:g} | {n_ai} | {n_real} | {worth} |")
    return "\n".join(lines) + "\n"


def genre_table(
    folds: Sequence[Fold], calibrated: Calibrated, genres: Mapping[str, str]
) -> str:
    """Return how many held-out real tracks of each genre are flagged.

    Args:
        folds: Each real track is in one, judged by a network that heard nothing from
            its source.
        calibrated: The thresholds.
        genres: By source; one that is not in it has no row of its own.
    """
    tracks: dict[str, list[Judged]] = {}
    for fold in folds:
        for judged in _real(fold, 0):
            genre = genres.get(judged.clip.source, "excerpts, of genres not told")
            tracks.setdefault(genre, []).append(judged)
    lines = ["| genre | sources | tracks | `ai` | `ai` or `unsure` |", "|---|---|---|---|---|"]
    for genre, of_genre in sorted(tracks.items()):
        n_sources = len({judged.clip.source for judged in of_genre})
        flagged = [
            sum(judged.logit >= threshold for judged in of_genre)
            for threshold in (calibrated.ai, calibrated.unsure)
        ]
        lines.append(
            f"| {genre} | {n_sources} | {len(of_genre)} | {flagged[0]} | {flagged[1]} |"
        )
    return "\n".join(lines) + "\n"


def _without_sources(clips: list[Clip], held_out: list[Clip]) -> list[Clip]:
    sources = {clip.source for clip in held_out}
    return [clip for clip in clips if clip.source not in sources]
