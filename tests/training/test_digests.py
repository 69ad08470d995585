"""Digests of what a training left: the same for the same content, and for nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beetsplug.artifactnet.training import digests  # noqa: E402


def fill(work: Path, *, weight: float = 1.0, pair: float = 1.0) -> None:
    """Write a work folder of one step of each kind."""
    (work / "pairs").mkdir(parents=True)
    (work / "fold-0").mkdir()
    np.save(work / "crops.npy", np.arange(600, dtype=np.int16).reshape(300, 2))
    np.savez(work / "pairs" / "lyra-50.npz", rows=np.arange(3), standing=np.full(3, pair))
    average = {"bins.weight": torch.full((2,), weight), "bins.bias": torch.zeros(1)}
    # What a checkpoint holds beside the weights is no part of the result.
    state = {"average": average, "random": torch.rand(4)}
    torch.save(state, work / "fold-0" / "checkpoint.pt")


def test_the_same_content_has_the_same_digests_in_order(tmp_path: Path) -> None:
    """Made twice, at other times and with other random states, all rows agree."""
    for name in ("one", "two"):
        fill(tmp_path / name)
    one, two = (list(digests.digests(tmp_path / name)) for name in ("one", "two"))
    assert one == two
    assert [path for path, _ in one] == [
        "crops.npy",
        "pairs/lyra-50.npz",
        "fold-0/checkpoint.pt",
    ]
    assert {len(found) for _, found in one} == {16}


@pytest.mark.parametrize(
    ("changed", "path"),
    [({"weight": 1.0000001}, "fold-0/checkpoint.pt"), ({"pair": 0.5}, "pairs/lyra-50.npz")],
)
def test_one_changed_value_changes_its_row_alone(
    tmp_path: Path, changed: dict[str, float], path: str
) -> None:
    """The last bit of a weight is enough."""
    fill(tmp_path / "one")
    fill(tmp_path / "two", **changed)
    one, two = (dict(digests.digests(tmp_path / name)) for name in ("one", "two"))
    assert {name for name in one if one[name] != two[name]} == {path}


def test_a_large_array_is_read_to_its_end(tmp_path: Path) -> None:
    """Beyond the first block of rows a value counts as well."""
    array = np.zeros((1_000, 2), np.int16)
    np.save(tmp_path / "a.npy", array)
    array[-1, -1] = 1
    np.save(tmp_path / "b.npy", array)
    assert digests.digest(tmp_path / "a.npy") != digests.digest(tmp_path / "b.npy")


def test_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row for each file that is there."""
    fill(tmp_path / "work")
    monkeypatch.setattr(sys, "argv", ["digests", "--work", str(tmp_path / "work")])
    digests.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["| step | SHA-256 |", "|---|---|"]
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| crops.npy",
        "| pairs/lyra-50.npz",
        "| fold-0/checkpoint.pt",
    ]
