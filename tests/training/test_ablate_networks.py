"""The table of what the network's parts are worth."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training import ablate_networks
from beetsplug.artifactnet.training.recipe import BRANCHES, FOLD_CONFIG
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


def test_variants_differ_from_what_is_shipped_in_one_thing() -> None:
    """The budget is the same for all, and the first is the recipe's own."""
    assert ablate_networks.VARIANTS["as shipped"] == FOLD_CONFIG
    for name, config in ablate_networks.VARIANTS.items():
        assert config.n_segments == FOLD_CONFIG.n_segments
        assert (config == FOLD_CONFIG) == (name == "as shipped")
