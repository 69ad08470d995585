"""A song's score from its segments: their logits aggregated, or one mean spectrum.

``python -m beetsplug.artifactnet.training.report.songs`` with ``--corpus`` and ``--work``,
after the training. Songs of three segments, each judged by the network of the fold that was
trained without its family and source. Prints a Markdown table: one row for each
aggregation, and one for the mean spectrum of all segments, judged as one segment's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch

    from beetsplug.artifactnet.training.data import corpus
    from beetsplug.artifactnet.training.fit import judging
    from beetsplug.artifactnet.training.fit.folds import (
        Fold,
        Material,
        fold_network,
        judge_fold,
    )
    from beetsplug.artifactnet.training.fit.judging import Judged
    from beetsplug.artifactnet.training.model.fusion import fuse
    from beetsplug.artifactnet.training.model.network import ArtifactNetwork
    from beetsplug.artifactnet.training.programs import fold_folder, open_dataset, work_parser
    from beetsplug.artifactnet.training.report.tables import summary
    from beetsplug.artifactnet.training.signal.features import one_thread

ONE_SPECTRUM = "one spectrum of all"


def song_logit(network: ArtifactNetwork, segments: NDArray[np.float32]) -> float:
    """Return the logit of segments (n, 176400), whose spectra are averaged before."""
    with torch.no_grad():
        spectra = network.spectra(torch.from_numpy(segments)).joined()
        return float(network.fusion(network.logits(spectra)))


def judge_joined(network: ArtifactNetwork, fold: Fold) -> list[Judged]:
    """Return the fold's held-out songs by :func:`song_logit` of their segments."""
    with one_thread():
        return [
            Judged(clip, song_logit(network, fold.dataset.segments(rows)))
            for clip, rows in judging.song_rows(fold.dataset, fold.split.test)
        ]


def table(folds: Sequence[Fold], networks: Sequence[ArtifactNetwork]) -> str:
    """Return a Markdown table: a row each way to make a song's score, all folds together.

    Args:
        folds: Judged.
        networks: That judged them.
    """
    lines = [
        "| song's score | AI, real | AUC | TPR at FPR 5 % | TPR at FPR 1 % "
        "| above all real ones |",
        "|---|---|---|---|---|---|",
    ]
    for aggregation in get_args(Aggregation):
        judged = [
            song
            for fold in folds
            for song in fold.judge_songs(fuse(fold.branches), aggregation)
        ]
        lines.append(_row(aggregation, judged))
    joined = [
        song
        for fold, network in zip(folds, networks, strict=True)
        for song in judge_joined(network, fold)
    ]
    lines.append(_row(ONE_SPECTRUM, joined))
    return "\n".join(lines)


def _row(name: str, judged: Sequence[Judged]) -> str:
    found = summary(judged)
    highest = max(song.logit for song in judged if not song.clip.label)
    above = np.mean([song.logit > highest for song in judged if song.clip.label])
    rates = [found[measure] for measure in ("auc", "tpr_at_fpr_5", "tpr_at_fpr_1")]
    cells = [f"{rate:.3f}" for rate in [*rates, above]]
    return f"| {name} | {found['n_ai']}, {found['n_real']} | {' | '.join(cells)} |"


def main() -> None:
    """Judge the folds' songs and print the table."""
    arguments = work_parser("report.songs").parse_args()
    torch.set_num_threads(arguments.threads)
    dataset, work = open_dataset(arguments), arguments.work
    material = Material.kept(dataset, work)
    folds, networks = [], []
    for number, split in enumerate(corpus.split_folds(dataset.clips)):
        folder = fold_folder(work, number)
        folds.append(judge_fold(material, split, folder))
        fitted = material.heads(split.train, folder)
        networks.append(fold_network(material, split, fitted, folder))
    sys.stdout.write(table(folds, networks) + "\n")


if __name__ == "__main__":
    main()
