"""What the recipe hands on from step to step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training import recipe
from tests.training.made_folds import N_AI, N_REAL, make_fold


def test_graph_and_network_are_compared_on_every_clip(tmp_path: Path) -> None:
    """One segment of each, its first place as it is, whatever else there is of it."""
    fold = make_fold(tmp_path, 0)
    samples = np.array(
        [
            [crop.clip] if (crop.place, crop.variant) == (0, 0) else [-1]
            for crop in fold.dataset.crops
        ],
        dtype=np.int16,
    )
    batches = list(recipe.first_segments(replace(fold.dataset, samples=samples)))
    found = np.concatenate(batches) * 32767
    assert np.round(found[:, 0]).tolist() == list(range(N_REAL + N_AI))
    assert max(len(batch) for batch in batches) < N_REAL
