"""The cache of crops."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from beetsplug.artifactnet.training.data.dataset import Dataset, sample_weights


def test_every_clip_gives_a_plain_crop_and_its_variants(dataset: Dataset) -> None:
    """Six clips give 24 crops, a quarter of them plain, none of them silent."""
    assert len(dataset.crops) == 24
    assert sum(crop.variant == 0 for crop in dataset.crops) == 6
    assert (np.abs(dataset.samples).max(axis=1) > 300).all()


def test_both_classes_are_drawn_alike(dataset: Dataset) -> None:
    """Within a band the two classes have the same weight."""
    rows = np.arange(len(dataset.crops))
    weights = sample_weights(dataset, rows)
    full_band = np.array([crop.is_full_band for crop in dataset.crops])
    ai, real = (weights[full_band & (dataset.labels == label)].sum() for label in (1, 0))
    assert ai == pytest.approx(real)
    assert weights.sum() == pytest.approx(1)
