"""A quantised graph against the one that it was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.models.store import Model, open_model
from beetsplug.artifactnet.training.corpus import Clip
from beetsplug.artifactnet.training.dataset import (
    CROP_SAMPLES,
    SEGMENT_SAMPLES,
    Crop,
    Dataset,
)
from beetsplug.artifactnet.training.quantise import (
    OPERATORS,
    Graph,
    quantise,
    table,
)
from tests.support.onnx_models import write_convolution_model

N_CROPS = 8


@pytest.fixture
def model(tmp_path: Path) -> Model:
    folder = write_convolution_model(tmp_path / "model", SEGMENT_SAMPLES)
    return open_model(folder / "model.onnx")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return eight crops of noise, each louder than the one before."""
    noise = np.random.default_rng(0).normal(0, 1_000, (N_CROPS, CROP_SAMPLES))
    samples = (noise * np.arange(1, N_CROPS + 1)[:, None]).astype(np.int16)
    clip = Clip(tmp_path / "x.flac", 0, "", "", "source", "track", 44_100)
    crops = tuple(Crop(0, place, 0, True) for place in range(N_CROPS))
    return Dataset((clip,), crops, samples)


def test_a_quantised_graph_is_near_the_original(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    """Within what 8 bits can tell, and not the same."""
    segments = [dataset.segments([row]) for row in range(N_CROPS)]
    graphs = quantise(model, segments, tmp_path)
    assert graphs.keys() == OPERATORS.keys()
    expected = np.array([Graph(model.graph)(segment) for segment in segments])
    for path in graphs.values():
        found = np.array([Graph(path)(segment) for segment in segments])
        assert np.abs(found - expected).max() < 0.02
        assert (found != expected).any()


def test_table(model: Model, dataset: Dataset) -> None:
    """One row a way to quantise; the model against itself moves nothing."""
    graphs = {"nothing": model.graph}
    *_, line = table(model, dataset, range(N_CROPS), graphs).splitlines()
    name, speed, mean, largest, changed = (cell.strip() for cell in line.split("|")[1:-1])
    assert (name, mean, largest) == ("nothing", "0.0000", "0.000")
    assert changed == f"0 of {N_CROPS}"
    assert 0.2 < float(speed.removesuffix(" x")) < 5
