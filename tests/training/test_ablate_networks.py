"""The table of what the network's parts are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training import ablate_networks
from beetsplug.artifactnet.training.corpus import Split
from beetsplug.artifactnet.training.decoders import DECODERS
from beetsplug.artifactnet.training.folds import CONFIG, Fold, Material
from beetsplug.artifactnet.training.frame_rates import N_PARTS
from beetsplug.artifactnet.training.fusion import BRANCHES
from beetsplug.artifactnet.training.pairs import Pairs
from beetsplug.artifactnet.training.reference import GridReference
from beetsplug.artifactnet.training.train import Features
from tests.training.made_folds import make_fold

CNN = BRANCHES.index("cnn")


def test_a_row_holds_mean_and_range_over_the_seeds(tmp_path: Path) -> None:
    """A CNN that knows in one seed and not in the other: halfway, from chance to all.

    Recoded it knows nothing, and in that seed neither does the network.
    """
    knows = make_fold(tmp_path, 1, knowing=(CNN,))
    recoded = np.array([crop.variant == 1 for crop in knows.dataset.crops])
    rng = np.random.default_rng(2)
    knows.branches[recoded, CNN] = rng.normal(0, 1, np.count_nonzero(recoded))
    seeds = [[make_fold(tmp_path, 0)], [knows]]
    row = ablate_networks.table_row("without mask", seeds)
    cells = [cell.strip() for cell in row[1:-1].split("|")]
    name, n_seeds, cnn_auc, _, _, network_auc, _, _, recoded_auc, _, _, *found = cells
    assert (name, n_seeds) == ("without mask", "2")
    mean, _, rest = cnn_auc.partition(" (")
    low, high = map(float, rest.rstrip(")").split(" to "))
    assert abs(low - 0.5) < 0.15
    assert high > 0.99
    assert float(mean) == pytest.approx((low + high) / 2, abs=0.001)
    # The CNN's weight is a tenth of the per-bin head's.
    assert float(network_auc.partition(" ")[0]) > 0.75
    lowest = recoded_auc.partition(" (")[2].partition(" to ")[0]
    assert abs(float(lowest) - 0.5) < 0.1
    # By the one that knows all is found, by the CNN, that counts for 1 at most, not all.
    for share in found:
        low, high = map(float, share.partition(" (")[2].rstrip(")").split(" to "))
        assert low < 0.9
        assert high == 1
    empty = np.zeros((0, 1), np.float32)
    nothing = Material(knows.dataset, Features(empty, empty, empty, empty, empty), [])
    head = ablate_networks.network_table(nothing, [], [], tmp_path, 0).splitlines()[0]
    assert len(head.split("|")) == len(row.split("|"))


def test_a_decoder_that_knows_shows_in_the_rows_that_it_is_in(tmp_path: Path) -> None:
    """One of our own alone tells generated clips: with Lyra's grids nobody does."""
    fold = make_fold(tmp_path, 0, knowing=())
    n_crops, n_bins = len(fold.rows), 300
    n_decoders = ablate_networks.N_LYRA + len(DECODERS)
    rng = np.random.default_rng(0)
    fine = rng.normal(0, 1, (n_crops, n_bins)).astype(np.float32)
    fine[fold.dataset.labels == 1, 150] += 60.0
    fold.branches = rng.normal(0, 0.01, (n_crops, len(BRANCHES)))
    material = Material(fold.dataset, Features(fine, fine, fine, fine, fine), [])
    # The local contrast of a line reaches 128 bins: by chance their weights must tell nothing.
    weights = rng.normal(0, 0.001, (n_decoders, n_bins))
    weights[:, 150] = np.arange(n_decoders) == ablate_networks.N_LYRA + 3
    grids = GridReference(weights, np.zeros(n_decoders))
    before = fold.branches.copy()
    table = ablate_networks.decoder_table(material, [fold], [grids]).splitlines()[2:]
    aucs = {row.split("|")[1].strip(): float(row.split("|")[2]) for row in table}
    assert list(aucs) == list(ablate_networks.GRIDS)
    assert min(aucs.pop("twelve of our own"), aucs.pop("both")) > 0.95
    assert max(aucs.values()) < 0.7
    assert np.array_equal(fold.branches, before)


def test_what_pairs_teach_shows_in_the_rows_of_each_head(tmp_path: Path) -> None:
    """Of two traces, that no generated crop to learn from bears, each is one head's."""
    fold = make_fold(tmp_path, 0, knowing=())
    clips, dataset = fold.split.test, fold.dataset
    split = Split(clips[::2], clips[1::2])
    fold = Fold(dataset, split, dataset.rows(split.test))
    heard, labels = dataset.rows(split.train), dataset.labels
    rng = np.random.default_rng(0)
    fold.branches = rng.normal(0, 0.001, (len(fold.rows), len(BRANCHES)))
    coarse, rates = (
        rng.normal(0, 0.01, (len(dataset.crops), 3)).astype(np.float32) for _ in range(2)
    )
    unheard = fold.rows[labels[fold.rows] == 1]
    # To go by the crops alone either speaks for human music.
    coarse[heard, 0] -= 0.1 * labels[heard]
    rates[heard, 1] -= 0.1 * labels[heard]
    is_first = np.array([dataset.crops[row].clip // 2 % 2 == 0 for row in unheard])
    coarse[unheard[is_first], 0] += 6
    rates[unheard[~is_first], 1] += 6
    trace = np.zeros((len(heard), 3), np.float32)
    trace[:, 0] = 6
    pairs = Pairs(heard, trace, trace, trace[:, [1, 0, 2]])
    material = Material(dataset, Features(coarse, coarse, coarse, coarse, rates), [pairs])
    before = fold.branches.copy()
    table = ablate_networks.teaching_table(material, [fold]).splitlines()[2:]
    aucs = {row.split("|")[1].strip(): float(row.split("|")[2]) for row in table}
    assert list(aucs) == ["neither head", "frame-rate head", "coarse head", "both"]
    for one in ("frame-rate head", "coarse head"):
        assert aucs["neither head"] + 0.05 < aucs[one] < aucs["both"] - 0.05
    assert aucs["both"] > 0.95
    assert np.array_equal(fold.branches, before)


def test_a_part_that_knows_shows_in_its_own_row(tmp_path: Path) -> None:
    """Where lines alone tell generated clips, a head of modulations knows nothing."""
    fold = make_fold(tmp_path, 0, knowing=())
    held = replace(fold.split, train=fold.split.test)
    fold = Fold(fold.dataset, held, fold.rows)
    rng = np.random.default_rng(0)
    fold.branches = rng.normal(0, 0.01, (len(fold.rows), len(BRANCHES)))
    rates = rng.normal(0, 1, (len(fold.rows), 5, N_PARTS)).astype(np.float32)
    rates[fold.dataset.labels == 1, 2, 4] += 8
    fine = np.zeros((len(rates), 1), np.float32)
    features = Features(fine, fine, fine, fine, rates.reshape(len(rates), -1))
    before = fold.branches.copy()
    table = ablate_networks.rate_table(Material(fold.dataset, features, []), [fold])
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    alone = {row[0]: float(row[1]) for row in rows}
    assert list(alone) == ["modulations", "lines", "both"]
    assert alone["modulations"] < 0.75
    assert min(alone["lines"], alone["both"]) > 0.99
    assert float(rows[1][4]) > 0.99
    assert np.array_equal(fold.branches, before)


def test_variants_differ_from_what_is_shipped_in_one_thing() -> None:
    """The budget is the same for all, and the first is the recipe's own."""
    assert ablate_networks.VARIANTS["as shipped"] == CONFIG
    for name, config in ablate_networks.VARIANTS.items():
        assert config.n_segments == CONFIG.n_segments
        assert (config == CONFIG) == (name == "as shipped")
