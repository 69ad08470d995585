"""The folds: each trained without some families and sources, and judged on these.

Each step keeps what it made in the fold's folder and is not repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.training import corpus, evaluate
from beetsplug.artifactnet.training.corpus import Clip, Split
from beetsplug.artifactnet.training.dataset import Dataset, weighted_rows
from beetsplug.artifactnet.training.evaluate import Judged, Logits
from beetsplug.artifactnet.training.fusion import BRANCHES, FUSION, N_BRANCHES, fuse
from beetsplug.artifactnet.training.network import ArtifactNetwork
from beetsplug.artifactnet.training.pairs import Pairs, build_pairs, fit_pairs
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

CONFIG = TrainConfig(n_segments=16_000)
"""Of every fold's network and of the final one alike: the longer one is trained, the larger its
logits, and one threshold has to fit all.
"""


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
) -> Fold:
    """Return one fold judged: trained without its families and sources.

    Args:
        material: What to train on and to judge.
        split: Which clips for which.
        folder: Where the network and its logits are kept.
        config: Budget and network.
    """
    fitted = material.regressions(split.train, folder)

    def network() -> ArtifactNetwork:
        return fold_network(material, split, fitted, folder, config)

    fold = judge_split(material, split, fitted, folder / "branches.npy", network)
    fold.reference = _reference_logits(material, split, fold.rows, folder)
    judged = evaluate.full_band(fold.judge(fuse(fold.branches)))
    log.info("%s: %s", folder.name, evaluate.summary(judged))
    return fold


def judge_split(
    material: Material,
    split: Split,
    fitted: Regressions,
    cache: Path,
    network: Callable[[], ArtifactNetwork],
) -> Fold:
    """Return a split's test side with every branch's logits, without the reference's.

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
        np.save(cache, evaluate.branch_logits(network(), dataset.samples[fold.rows]))
    fold.branches = material.with_regressions(np.load(cache), fold.rows, fitted)
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


def fold_network(
    material: Material,
    split: Split,
    fitted: Regressions,
    folder: Path,
    config: TrainConfig = CONFIG,
) -> ArtifactNetwork:
    """Return a split's network, all heads filled, trained on where it is not done.

    Args:
        material: What to train on.
        split: Which clips for what.
        fitted: The regressions that the split's training side came to.
        folder: Where it is kept.
        config: Budget and network.
    """
    network = train(material.dataset, split.train, fitted.references, folder, config)
    network.grid.set(fitted.grids)
    network.coarse.set(fitted.references.coarse)
    network.rates.set(fitted.references.rates)
    network.fusion.copy_(torch.tensor(FUSION))
    return network
