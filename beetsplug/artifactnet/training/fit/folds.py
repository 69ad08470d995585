"""The folds: each trained without some families and sources, and judged on these.

Each step keeps what it made in the fold's folder and is not repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.training.choices import BRANCHES, TrainConfig
from beetsplug.artifactnet.training.data.corpus import Clip, Split
from beetsplug.artifactnet.training.data.crop_features import Features, cached_features
from beetsplug.artifactnet.training.data.dataset import Dataset
from beetsplug.artifactnet.training.data.pairs import Pairs, build_pairs
from beetsplug.artifactnet.training.fit import judging
from beetsplug.artifactnet.training.fit.baseline import baseline_logits
from beetsplug.artifactnet.training.fit.judging import Judged
from beetsplug.artifactnet.training.fit.regressions import fit_heads
from beetsplug.artifactnet.training.fit.train import train
from beetsplug.artifactnet.training.model.fusion import Logits, column, fuse
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.model.weights import HeadWeights
from beetsplug.artifactnet.training.signal.features import contrast_features

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """What every training draws from."""

    work: Path
    """Where all is kept that does not belong to one split."""
    dataset: Dataset
    features: Features
    pairs: list[Pairs]

    @classmethod
    def kept(cls, dataset: Dataset, work: Path, lyra: Path | None = None) -> Material:
        """Return a dataset's, from the work folder where it is there."""
        features = cached_features(dataset, work)
        return cls(work, dataset, features, build_pairs(dataset, work / "pairs", lyra=lyra))

    def heads(self, clips: Sequence[Clip], folder: Path) -> HeadWeights:
        """Return all regressions fitted to these clips, from the folder when there."""
        path = folder / "regressions.npz"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fit_heads(self.dataset, self.features, clips, self.pairs).save(path)
        return HeadWeights.load(path)

    def with_heads(
        self, branches: Logits, rows: NDArray[np.int64], fitted: HeadWeights
    ) -> Logits:
        """Return branches' logits with those of grid, coarse and frame-rate head.

        No training changes these heads, so the rest need not be judged again when one of
        them is fitted anew.
        """
        contrast = contrast_features(self.features.standing[rows])
        filled = branches.copy()
        filled[:, column("grid")] = fitted.grids.logits(contrast)
        filled[:, column("coarse")] = fitted.coarse.logits(self.features.coarse[rows])
        filled[:, column("frame-rate")] = fitted.rates.logits(self.features.rates[rows])
        return filled


class Fold:
    """The held-out clips of one fold and every detector's logits on their crops."""

    def __init__(self, dataset: Dataset, split: Split, rows: NDArray[np.int64]) -> None:
        self.dataset, self.split, self.rows = dataset, split, rows
        self.places = {int(row): place for place, row in enumerate(rows)}
        self.branches: Logits = np.empty((len(rows), len(BRANCHES)))
        self.baseline: Logits = np.empty(len(rows))

    def judge(
        self, logits: Logits, variant: int = 0, aggregation: Aggregation = "median"
    ) -> list[Judged]:
        """Return the held-out clips with the aggregate of their logits on one variant.

        The median, where clips of one segment are held against tracks of seven: any other
        would favour the one side.
        """
        return judging.judge(
            self.dataset,
            self.split.test,
            self._of_rows(logits),
            variant=variant,
            aggregation=aggregation,
        )

    def judge_songs(self, logits: Logits, aggregation: Aggregation) -> list[Judged]:
        """Return the held-out tracks with the aggregate of three segments' logits."""
        of_rows = self._of_rows(logits)
        return judging.judge_songs(self.dataset, self.split.test, of_rows, aggregation)

    def _of_rows(self, logits: Logits) -> Callable[[NDArray[np.int64]], Logits]:
        return lambda rows: logits[[self.places[int(row)] for row in rows]]


def judge_fold(
    material: Material,
    split: Split,
    folder: Path,
    config: TrainConfig | None = None,
) -> Fold:
    """Return one fold judged: trained without its families and sources.

    Args:
        material: What to train on and to judge.
        split: Which clips for which.
        folder: Where the network and its logits are kept.
        config: Budget and network.
    """
    fitted = material.heads(split.train, folder)

    def network() -> ArtifactNetwork:
        return fold_network(material, split, fitted, folder, config)

    fold = judge_split(material, split, fitted, folder / "branches.npy", network)
    fold.baseline = baseline_logits(material.dataset, split, fold.rows, material.work, folder)
    judged = judging.full_band(fold.judge(fuse(fold.branches)))
    log.info("%s: %s", folder.name, judging.ranking(judged))
    return fold


def judge_split(
    material: Material,
    split: Split,
    fitted: HeadWeights,
    cache: Path,
    network: Callable[[], ArtifactNetwork],
) -> Fold:
    """Return a split's test side with every branch's logits, without the baseline's.

    Args:
        material: What to judge.
        split: Which clips for what.
        fitted: The regressions that the split's training side came to.
        cache: File of the network's logits, kept there.
        network: Makes what was trained, where the file is not there.
    """
    dataset = material.dataset
    fold = Fold(dataset, split, dataset.rows(split.test))
    if not cache.exists():
        np.save(cache, judging.branch_logits(network(), dataset.samples[fold.rows]))
    fold.branches = material.with_heads(np.load(cache), fold.rows, fitted)
    return fold


def fold_network(
    material: Material,
    split: Split,
    fitted: HeadWeights,
    folder: Path,
    config: TrainConfig | None = None,
) -> ArtifactNetwork:
    """Return a split's network, all heads filled, trained on where it is not done.

    Args:
        material: What to train on.
        split: Which clips for what.
        fitted: The regressions that the split's training side came to.
        folder: Where it is kept.
        config: Budget and network.
    """
    network = train(material.dataset, split.train, fitted, folder, config)
    network.set_heads(fitted)
    return network
