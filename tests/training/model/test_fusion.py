"""What the branches count for."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beetsplug.artifactnet.training.choices import BRANCHES, Branch  # noqa: E402
from beetsplug.artifactnet.training.model.fusion import Fusion, column, fuse  # noqa: E402


def test_by_hand() -> None:
    """No branch counts beyond its limit, none beyond the one that confirms it."""
    fusion = Fusion(
        (
            Branch("a", weight=2.0, confirmed_by="c"),
            Branch("b", weight=0.5, limit=4.0),
            Branch("c", weight=1.0),
        )
    )
    logits = {
        "a": torch.tensor([5.0, -3.0]),
        "b": torch.tensor([100.0, -100.0]),
        "c": torch.tensor([-1.0, 2.0]),
    }
    expected = [2 * -1 + 0.5 * 4 - 1, 2 * -3 + 0.5 * -100 + 2]
    np.testing.assert_allclose(fusion(logits), expected)
    assert not fusion.state_dict()


def test_a_branch_is_confirmed_by_one_that_is_there() -> None:
    """A misspelt name is a mistake that is told at once."""
    with pytest.raises(ValueError, match="a is confirmed by b"):
        Fusion((Branch("a", weight=1.0, confirmed_by="b"),))


def test_arrays_are_fused_as_tensors_are() -> None:
    """In the order of the table, in float64."""
    branches = np.random.default_rng(0).normal(0, 5, (20, len(BRANCHES)))
    logits = {b.name: torch.from_numpy(branches[:, column(b.name)]) for b in BRANCHES}
    found = fuse(branches)
    np.testing.assert_array_equal(found, Fusion()(logits))
    assert found.dtype == np.float64
