"""What each part of the network is worth: the folds trained again without it, by seeds.

``python -m beetsplug.artifactnet.training.ablate_networks --corpus DIR --work DIR``, after
the training, whose crops, features and pairs it uses. Every network has the budget of a
fold. Prints a Markdown table: mean and range over the seeds, of the CNN alone and of all
branches together; and two more, of the whole with the first few decoders alone, and with a
frame-rate head that hears one of both spectra alone. What is trained is kept in the work
folder.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch

    from beetsplug.artifactnet.training import corpus, debian, evaluate, recipe
    from beetsplug.artifactnet.training.dataset import build_dataset
    from beetsplug.artifactnet.training.decoders import DECODERS
    from beetsplug.artifactnet.training.frame_rates import MODULATION_BANDS, N_PARTS
    from beetsplug.artifactnet.training.network import NetworkConfig
    from beetsplug.artifactnet.training.pairs import build_pairs
    from beetsplug.artifactnet.training.recipe import (
        BRANCHES,
        FOLD_CONFIG,
        FUSION,
        Fold,
        Material,
        Regressions,
    )
    from beetsplug.artifactnet.training.reference import GridReference
    from beetsplug.artifactnet.training.train import (
        TrainConfig,
        cached_features,
        fit_rates,
        weighted_rows,
    )

VARIANTS: Mapping[str, TrainConfig] = {
    "as shipped": FOLD_CONFIG,
    "without mask": replace(FOLD_CONFIG, network=NetworkConfig(uses_mask=False)),
    "without HPSS": replace(FOLD_CONFIG, network=NetworkConfig(uses_hpss=False)),
    "with moving and leaving out": replace(
        FOLD_CONFIG, network=NetworkConfig(block_dropout=0.3, shift_bins=64)
    ),
}
MEASURES = ("auc", "tpr_at_fpr_5", "tpr_at_fpr_1")
N_DECODERS = (1, 4, 8, len(DECODERS))
CNN_ALONE, RATES_ALONE = (
    tuple(float(name == alone) for name in BRANCHES) for alone in ("cnn", "frame-rate head")
)
RATE_PARTS = {
    "modulations": slice(0, len(MODULATION_BANDS)),
    "lines": slice(len(MODULATION_BANDS), N_PARTS),
    "both": slice(0, N_PARTS),
}
"""What a frame-rate head hears."""


def judge_seed(
    material: Material, name: str, seed: int, work: Path, n_folds: int
) -> list[Fold]:
    """Return the folds as judged by one variant's networks of one seed."""
    config = replace(VARIANTS[name], seed=seed)
    splits = corpus.split_folds(material.dataset.clips)[:n_folds]
    # The recipe's own folds are one of these.
    folder = work
    if config != FOLD_CONFIG:
        folder = work / "ablation" / f"{name.replace(' ', '-')}-{seed}"
    return [
        recipe.judge_fold(
            material, split, folder / f"fold-{i}", config, regressions=work / f"fold-{i}"
        )
        for i, split in enumerate(splits)
    ]


def measured(
    folds: Sequence[Fold], weights: Sequence[float], *, variant: int = 0
) -> list[float]:
    """Return AUC and both rates of full-band clips of one variant, all folds together."""
    judged = [
        clip
        for fold in folds
        for clip in evaluate.full_band(fold.judge(recipe.fuse(fold.branches, weights), variant))
    ]
    found = evaluate.summary(judged)
    return [found[measure] for measure in MEASURES]


def table_row(name: str, seeds: Sequence[Sequence[Fold]]) -> str:
    """Return one line: mean and range over the seeds of the CNN and of the network."""
    cells = [name, str(len(seeds))]
    for weights in (CNN_ALONE, FUSION):
        values = np.array([measured(folds, weights) for folds in seeds])
        cells += [
            f"{column.mean():.3f} ({column.min():.3f} to {column.max():.3f})"
            for column in values.T
        ]
    return f"| {' | '.join(cells)} |"


def decoder_table(
    material: Material, folds: Sequence[Fold], fitted: Sequence[Regressions]
) -> str:
    """Return a Markdown table: these folds with the first so many of the decoders.

    Args:
        material: What the folds draw from.
        folds: Judged; left as they are.
        fitted: The regressions of each fold, of all decoders.
    """
    lines = [
        "| decoders | AUC | TPR at FPR 5 % | TPR at FPR 1 % | recoded: AUC | TPR at FPR 5 % "
        "| TPR at FPR 1 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for n_decoders in N_DECODERS:
        some = [
            _with_decoders(material, fold, regressions, n_decoders)
            for fold, regressions in zip(folds, fitted, strict=True)
        ]
        rates = [rate for variant in (0, 1) for rate in measured(some, FUSION, variant=variant)]
        cells = " | ".join(f"{rate:.3f}" for rate in rates)
        lines.append(f"| {n_decoders} | {cells} |")
    return "\n".join(lines)


def _with_decoders(
    material: Material, fold: Fold, fitted: Regressions, n_decoders: int
) -> Fold:
    grids = fitted.grids
    first = GridReference(grids.weights[:n_decoders], grids.bias[:n_decoders])
    other = Fold(fold.dataset, fold.split, fold.rows)
    other.branches = material.with_regressions(
        fold.branches, fold.rows, replace(fitted, grids=first)
    )
    return other


def rate_table(material: Material, folds: Sequence[Fold]) -> str:
    """Return a Markdown table: these folds with a frame-rate head of each part alone.

    Args:
        material: What the folds draw from.
        folds: Judged; left as they are.
    """
    lines = [
        "| frame-rate head | alone: AUC | TPR at FPR 5 % | TPR at FPR 1 % "
        "| all branches: AUC | TPR at FPR 5 % | TPR at FPR 1 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, part in RATE_PARTS.items():
        some = [_with_rates(material, fold, part) for fold in folds]
        rates = [rate for weights in (RATES_ALONE, FUSION) for rate in measured(some, weights)]
        lines.append(f"| {name} | {' | '.join(f'{rate:.3f}' for rate in rates)} |")
    return "\n".join(lines)


def _with_rates(material: Material, fold: Fold, part: slice) -> Fold:
    rates = material.features.rates
    some = rates.reshape(len(rates), -1, N_PARTS)[:, :, part].reshape(len(rates), -1)
    rows, weights = weighted_rows(fold.dataset, fold.split.train)
    fitted = fit_rates(some[rows], fold.dataset.labels[rows], weights)
    other = Fold(fold.dataset, fold.split, fold.rows)
    other.branches = fold.branches.copy()
    other.branches[:, BRANCHES.index("frame-rate head")] = fitted.logits(some[fold.rows])
    return other


def main() -> None:
    """Train what is not there yet and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m beetsplug.artifactnet.training.ablate_networks"
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--debian", type=Path)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=4, help="only the first so many")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    packages = arguments.debian or work / "debian"
    clips = debian.training_clips(arguments.corpus, packages)
    dataset = build_dataset(clips, work)
    pairs = build_pairs(dataset, work / "pairs")
    material = Material(dataset, cached_features(dataset, work), pairs)
    lines = [
        "| network | seeds | CNN alone: AUC | TPR at FPR 5 % | TPR at FPR 1 % "
        "| all branches: AUC | TPR at FPR 5 % | TPR at FPR 1 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in arguments.variants:
        seeds = [
            judge_seed(material, name, seed, work, arguments.folds) for seed in arguments.seeds
        ]
        lines.append(table_row(name, seeds))
    folds = judge_seed(material, "as shipped", FOLD_CONFIG.seed, work, arguments.folds)
    fitted = [
        material.regressions(fold.split.train, work / f"fold-{i}")
        for i, fold in enumerate(folds)
    ]
    tables = [
        "\n".join(lines),
        decoder_table(material, folds, fitted),
        rate_table(material, folds),
    ]
    sys.stdout.write("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
