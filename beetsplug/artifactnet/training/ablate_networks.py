"""What each part of the network is worth: the folds trained again without it, by seeds.

``python -m beetsplug.artifactnet.training.ablate_networks --corpus DIR --work DIR``, after
the training, whose crops, features and pairs it uses. Every network has the budget of a
fold, the mean of eight runs 2.6 times as much. Prints a Markdown table: mean and range over the
seeds, of the CNN alone, of all branches together, of these recoded, and of what is found at a
threshold that holds on the folds' real music as the shipped one does. Three more follow:
of the whole with a grid head of other decoders, with heads that were taught no pairs, and
with a frame-rate head that hears one of both spectra alone; with ``--tables`` only those
that are named. What is trained is kept in the work folder, for the second table twelve
decoders of our own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch

    from beetsplug.artifactnet.training import corpus, evaluate
    from beetsplug.artifactnet.training.calibration import (
        AI_FPR,
        real_sets,
        shares_found,
        threshold_on,
    )
    from beetsplug.artifactnet.training.decoders import DECODERS
    from beetsplug.artifactnet.training.evaluate import Logits
    from beetsplug.artifactnet.training.folds import CONFIG, Fold, Material, judge_fold
    from beetsplug.artifactnet.training.frame_rates import MODULATION_BANDS, N_PARTS
    from beetsplug.artifactnet.training.fusion import BRANCHES, Fuse, fuse
    from beetsplug.artifactnet.training.network import NetworkConfig
    from beetsplug.artifactnet.training.pairs import LYRA, build_pairs
    from beetsplug.artifactnet.training.programs import fold_folder, open_dataset, work_parser
    from beetsplug.artifactnet.training.reference import GridReference, contrast_features
    from beetsplug.artifactnet.training.train import (
        Members,
        TrainConfig,
        fit_coarse,
        fit_rates,
        rate_examples,
    )

TABLES = ("networks", "decoders", "pairs", "rates")
VARIANTS: Mapping[str, TrainConfig] = {
    "as shipped": CONFIG,
    "mean of eight runs": replace(CONFIG, members=Members(8)),
    "without mask": replace(CONFIG, network=NetworkConfig(uses_mask=False)),
    "without HPSS": replace(CONFIG, network=NetworkConfig(uses_hpss=False)),
    "with moving and leaving out": replace(
        CONFIG, network=NetworkConfig(block_dropout=0.3, shift_bins=64)
    ),
}
N_LYRA = len(LYRA)
GRIDS = {
    "none": slice(0, 0),
    "Lyra at one rate": slice(0, 1),
    "Lyra at five rates": slice(0, N_LYRA),
    "twelve of our own": slice(N_LYRA, None),
    "both": slice(0, None),
}
"""Of Lyra's grids and then those of our own decoders."""
TAUGHT = {
    (False, False): "neither head",
    (False, True): "frame-rate head",
    (True, False): "coarse head",
    (True, True): "both",
}
"""Which heads heard pairs: the coarse one, the other."""


def _alone(branches: Logits, branch: int) -> Logits:
    """Return one branch's logits (n,) of all (n, 7), whatever it counts for."""
    return branches[:, branch]


Measured = tuple[Fuse, int]
"""What makes a logit of branches, and the variant of the clips."""
CNN_ALONE, RATES_ALONE = (
    partial(_alone, branch=BRANCHES.index(name)) for name in ("cnn", "frame-rate head")
)
_COLUMNS: Mapping[str, Measured] = {
    "CNN alone": (CNN_ALONE, 0),
    "all branches": (fuse, 0),
    "recoded": (fuse, 1),
}
"""Each set in a network's row."""
_FOUND = ("segments that are `ai`", "songs that are `ai`")
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
    if config != CONFIG:
        folder = work / "ablation" / f"{name.replace(' ', '-')}-{seed}"
    return [
        judge_fold(
            material,
            split,
            fold_folder(folder, i),
            config,
            regressions=fold_folder(work, i),
        )
        for i, split in enumerate(splits)
    ]


def measured(folds: Sequence[Fold], fuse_by: Fuse, variant: int = 0) -> list[float]:
    """Return AUC and both rates of full-band clips of one variant, all folds together."""
    judged = [
        clip
        for fold in folds
        for clip in evaluate.full_band(fold.judge(fuse_by(fold.branches), variant))
    ]
    found = evaluate.summary(judged)
    return [found[measure] for measure in evaluate.MEASURES]


def table_row(name: str, seeds: Sequence[Sequence[Fold]]) -> str:
    """Return one line: mean and range over the seeds, of each column."""
    by_seed = np.array([_measures(folds) for folds in seeds])
    cells = [
        f"{column.mean():.3f} ({column.min():.3f} to {column.max():.3f})"
        for column in by_seed.T
    ]
    return f"| {' | '.join([name, str(len(seeds)), *cells])} |"


def _measures(folds: Sequence[Fold]) -> list[float]:
    """Return what stands in the columns of one seed: :data:`_COLUMNS`, :data:`_FOUND`."""
    rates = [r for way in _COLUMNS.values() for r in measured(folds, *way)]
    threshold = threshold_on(real_sets({"": folds}), AI_FPR)
    return [*rates, *shares_found(folds, [threshold])]


def decoder_table(
    material: Material, folds: Sequence[Fold], fitted: Sequence[GridReference]
) -> str:
    """Return a Markdown table: these folds with a grid head of other decoders.

    Args:
        material: What the folds draw from.
        folds: Judged; left as they are.
        fitted: The regressions of each fold, of Lyra's grids and then our own decoders'.
    """
    lines = _head("decoders", "as they are", "recoded")
    contrasts = [contrast_features(material.features.standing[fold.rows]) for fold in folds]
    for name, chosen in GRIDS.items():
        some = []
        for fold, contrast, grids in zip(folds, contrasts, fitted, strict=True):
            few = GridReference(grids.weights[chosen], grids.bias[chosen])
            logits = few.logits(contrast) if len(few.bias) else np.zeros(len(contrast))
            some.append(_with(fold, {"grid head": logits}))
        lines.append(_row(name, some, (fuse, 0), (fuse, 1)))
    return "\n".join(lines)


def teaching_table(material: Material, folds: Sequence[Fold]) -> str:
    """Return a Markdown table: these folds with two heads that were taught less.

    Args:
        material: What the folds draw from.
        folds: Judged; left as they are.
    """
    lines = _head("taught pairs", "as they are", "recoded")
    taught = [
        {heard: _taught(material, fold, heard) for heard in (False, True)} for fold in folds
    ]
    for (of_coarse, of_rates), name in TAUGHT.items():
        some = [
            _with(
                fold,
                {
                    "coarse head": by_heard[of_coarse][0],
                    "frame-rate head": by_heard[of_rates][1],
                },
            )
            for fold, by_heard in zip(folds, taught, strict=True)
        ]
        lines.append(_row(name, some, (fuse, 0), (fuse, 1)))
    return "\n".join(lines)


def _taught(material: Material, fold: Fold, heard: bool) -> tuple[Logits, Logits]:
    """Return the logits of coarse and frame-rate head, with pairs heard or without."""
    features, clips = material.features, fold.split.train
    pairs = material.pairs if heard else []
    coarse = fit_coarse(fold.dataset, features, clips, pairs)
    rates = fit_rates(rate_examples(fold.dataset, features, clips, pairs))
    return coarse.logits(features.coarse[fold.rows]), rates.logits(features.rates[fold.rows])


def rate_table(material: Material, folds: Sequence[Fold]) -> str:
    """Return a Markdown table: these folds with a frame-rate head of each part alone.

    Args:
        material: What the folds draw from.
        folds: Judged; left as they are.
    """
    lines = _head("frame-rate head", "alone", "all branches")
    for name, part in RATE_PARTS.items():
        some = [_with_rates(material, fold, part) for fold in folds]
        lines.append(_row(name, some, (RATES_ALONE, 0), (fuse, 0)))
    return "\n".join(lines)


def _with_rates(material: Material, fold: Fold, part: slice) -> Fold:
    def part_of(features: NDArray[np.float32]) -> NDArray[np.float32]:
        by_part = features.reshape(len(features), -1, N_PARTS)
        return by_part[:, :, part].reshape(len(features), -1)

    examples = rate_examples(fold.dataset, material.features, fold.split.train, material.pairs)
    fitted = fit_rates(replace(examples, features=part_of(examples.features)))
    logits = fitted.logits(part_of(material.features.rates[fold.rows]))
    return _with(fold, {"frame-rate head": logits})


def _with(fold: Fold, branches: Mapping[str, Logits]) -> Fold:
    """Return a fold with other logits of some branches."""
    other = Fold(fold.dataset, fold.split, fold.rows)
    other.branches = fold.branches.copy()
    for name, logits in branches.items():
        other.branches[:, BRANCHES.index(name)] = logits
    return other


def _head(
    name: str, *sets: str, before: Sequence[str] = (), after: Sequence[str] = ()
) -> list[str]:
    measures = [f"{of}: AUC | TPR at FPR 5 % | TPR at FPR 1 %" for of in sets]
    row = f"| {' | '.join([name, *before, *measures, *after])} |"
    return [row, "|---" * (row.count("|") - 1) + "|"]


def _row(name: str, folds: Sequence[Fold], *sets: Measured) -> str:
    """Return one line: what :func:`measured` finds of each set."""
    rates = [rate for fuse_by, variant in sets for rate in measured(folds, fuse_by, variant)]
    return f"| {name} | {' | '.join(f'{rate:.3f}' for rate in rates)} |"


def network_table(
    material: Material,
    variants: Sequence[str],
    seeds: Sequence[int],
    work: Path,
    n_folds: int,
) -> str:
    """Return a Markdown table: a row for each of :data:`VARIANTS` that is named.

    Trains what is not there yet.
    """
    lines = _head("network", *_COLUMNS, before=("seeds",), after=_FOUND)
    for name in variants:
        judged = [judge_seed(material, name, seed, work, n_folds) for seed in seeds]
        lines.append(table_row(name, judged))
    return "\n".join(lines)


def main() -> None:
    """Train what is not there yet and print the tables."""
    parser = work_parser("ablate_networks")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=4, help="only the first so many")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset, work = open_dataset(arguments), arguments.work
    material = Material.kept(dataset, work)
    n_folds: int = arguments.folds

    @cache
    def shipped() -> list[Fold]:
        return judge_seed(material, "as shipped", CONFIG.seed, work, n_folds)

    def decoders() -> str:
        of_our_own = build_pairs(dataset, work / "pairs", DECODERS)
        both = replace(material, pairs=[*material.pairs, *of_our_own])
        folds = shipped()
        return decoder_table(material, folds, [both.grids(fold.split.train) for fold in folds])

    makers: Mapping[str, Callable[[], str]] = {
        "networks": lambda: network_table(
            material, arguments.variants, arguments.seeds, work, n_folds
        ),
        "decoders": decoders,
        "pairs": lambda: teaching_table(material, shipped()),
        "rates": lambda: rate_table(material, shipped()),
    }
    tables = [makers[name]() for name in arguments.tables]
    sys.stdout.write("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
