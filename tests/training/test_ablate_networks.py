"""The table of what the network's parts are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training import ablate_networks
from beetsplug.artifactnet.training.decoders import DECODERS
from beetsplug.artifactnet.training.frame_rates import N_PARTS
from beetsplug.artifactnet.training.recipe import (
    BRANCHES,
    FOLD_CONFIG,
    Fold,
    Material,
    Regressions,
)
from beetsplug.artifactnet.training.reference import GridReference, Reference, ScaledReference
from beetsplug.artifactnet.training.train import Features, References
from tests.training.test_recipe import make_fold

CNN = BRANCHES.index("cnn")


def test_a_row_holds_mean_and_range_over_the_seeds(tmp_path: Path) -> None:
    """A CNN that knows in one seed and not in the other: halfway, from chance to all."""
    seeds = [[make_fold(tmp_path, 0)], [make_fold(tmp_path, 1, knowing=(CNN,))]]
    row = ablate_networks.table_row("without mask", seeds)
    name, n_seeds, cnn_auc, *_, network_auc, _, _ = [c.strip() for c in row[1:-1].split("|")]
    assert (name, n_seeds) == ("without mask", "2")
    mean, _, rest = cnn_auc.partition(" (")
    low, high = map(float, rest.rstrip(")").split(" to "))
    assert abs(low - 0.5) < 0.15
    assert high > 0.99
    assert float(mean) == pytest.approx((low + high) / 2, abs=0.001)
    # Of the network's weights the CNN's is a fifth of the coarse head's.
    assert float(network_auc.partition(" ")[0]) > 0.75


def test_a_decoder_that_knows_shows_in_the_rows_from_its_own_on(tmp_path: Path) -> None:
    """The sixth decoder alone tells generated clips: with one or four nobody does."""
    fold = make_fold(tmp_path, 0, knowing=())
    n_crops, n_bins, n_decoders = len(fold.rows), 300, len(DECODERS)
    rng = np.random.default_rng(0)
    fine = rng.normal(0, 1, (n_crops, n_bins)).astype(np.float32)
    fine[fold.dataset.labels == 1, 150] += 60.0
    material = Material(fold.dataset, Features(fine, fine, fine, fine), [])
    weights = rng.normal(0, 0.01, (n_decoders, n_bins))
    weights[:, 150] = np.arange(n_decoders) == 5
    silent = Reference(np.zeros(n_bins), 0.0)
    scaled = ScaledReference(
        np.zeros(n_bins), 0.0, np.zeros(n_bins, "f4"), np.ones(n_bins, "f4")
    )
    references = References(silent, scaled, silent, scaled)
    fitted = Regressions(references, GridReference(weights, np.zeros(n_decoders)))
    before = fold.branches.copy()
    table = ablate_networks.decoder_table(material, [fold], [fitted]).splitlines()[2:]
    aucs = {int(row.split("|")[1]): float(row.split("|")[2]) for row in table}
    assert list(aucs) == [1, 4, 8, n_decoders]
    assert max(aucs[1], aucs[4]) < 0.7
    # The grid head counts for no more than its limit, and the others are noise.
    assert min(aucs[8], aucs[n_decoders]) > 0.95
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
    features = Features(fine, fine, fine, rates.reshape(len(rates), -1))
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
    assert ablate_networks.VARIANTS["as shipped"] == FOLD_CONFIG
    for name, config in ablate_networks.VARIANTS.items():
        assert config.n_segments == FOLD_CONFIG.n_segments
        assert (config == FOLD_CONFIG) == (name == "as shipped")
