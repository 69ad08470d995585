"""The table of a family heard from other sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training import sources
from beetsplug.artifactnet.training.corpus import Split
from beetsplug.artifactnet.training.dataset import Dataset
from beetsplug.artifactnet.training.folds import Fold
from tests.training.made_folds import N_AI, make_fold


def of_one_source(fold: Fold, source: str) -> Fold:
    """Return the fold with its AI clips of one source."""
    clips = tuple(
        replace(clip, source=source) if clip.label else clip for clip in fold.dataset.clips
    )
    dataset = Dataset(clips, fold.dataset.crops, fold.dataset.samples)
    other = Fold(dataset, Split((), clips), fold.rows)
    other.branches = fold.branches
    return other


def test_each_source_has_a_row(tmp_path: Path) -> None:
    """One that its network finds, one that it does not; all between; songs once."""
    folds = [
        of_one_source(make_fold(tmp_path, 0), "a/found"),
        of_one_source(make_fold(tmp_path, 1, knowing=()), "b/missed"),
    ]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in sources.table(folds).splitlines()[2:]
    ]
    found, missed, single, songs = rows
    assert [row[0] for row in rows[:2]] == ["a/found", "b/missed"]
    n_clips = sum(clip.is_full_band for clip in folds[0].dataset.clips[-N_AI:])
    assert [int(row[1]) for row in rows] == [n_clips, n_clips, 2 * n_clips, 2 * n_clips]
    assert float(found[2]) > 0.99
    assert float(missed[2]) < 0.65
    assert float(missed[2]) < float(single[2]) < float(found[2])
    assert all(0 <= float(cell) <= 1 for cell in single[2:])
    assert songs[5:] == ["", "", ""]
