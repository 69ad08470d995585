"""What the recipe hands on from step to step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.models.store import open_model
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import SegmentBatch
from beetsplug.artifactnet.training import recipe
from beetsplug.artifactnet.training.choices import LYRA_FRAME_RATES, TrainConfig
from beetsplug.artifactnet.training.data.corpus import Split
from beetsplug.artifactnet.training.data.crop_features import Features
from beetsplug.artifactnet.training.data.dataset import Dataset
from beetsplug.artifactnet.training.data.pairs import Pairs
from beetsplug.artifactnet.training.fit.calibration import Calibrated
from beetsplug.artifactnet.training.fit.folds import Material, judge_fold
from beetsplug.artifactnet.training.model.fusion import fuse
from beetsplug.artifactnet.training.programs import FOLD_MODEL, fold_folder
from tests.training.fit.made_folds import N_AI, N_REAL, make_fold


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


def test_a_fold_is_a_model_of_its_own(
    dataset: Dataset, features: Features, tmp_path: Path
) -> None:
    """What the plugin scores with it is what the fold was judged by, at the final slope."""
    ai, *others = (clip for clip in dataset.clips if clip.label)
    real, *more = (clip for clip in dataset.clips if not clip.label)
    split = Split((*others, *more), (ai, real))
    rows = dataset.rows(more, plain=True)
    rng = np.random.default_rng(0)
    shape = (len(rows), features.standing.shape[1])
    pairs = [
        Pairs(
            rows=rows,
            standing=rng.uniform(0, 1, shape).astype(np.float32),
            coarse=features.coarse[rows] + np.float32(0.1),
            rates=features.rates[rows] + np.float32(0.1),
        )
        for _ in LYRA_FRAME_RATES
    ]
    material = Material(tmp_path, dataset, features, pairs)
    config = TrainConfig(n_segments=8, batch_size=4)
    fold = judge_fold(material, split, fold_folder(tmp_path, 0), config)
    calibrated = Calibrated(ai=0.4, unsure=-0.6, slope=0.5, rates={})

    recipe.export_folds(material, [fold], calibrated, tmp_path, config)

    folder = fold_folder(tmp_path, 0) / FOLD_MODEL
    model = open_model(folder / "model.onnx")
    assert model.card.label == f"finecomb-{recipe.VERSION}-fold-0"
    assert model.card.thresholds == calibrated.thresholds
    branches = json.loads((folder / "card.json").read_text())["network"]["branches"]
    assert branches[0] == {"name": "per-bin", "weight": 2.0, "confirmed_by": "coarse"}
    batch = SegmentBatch((dataset.segments(fold.rows),), np.zeros(len(fold.rows)))
    expected = [calibrated.score(logit) for logit in fuse(fold.branches)]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(Detector(model).probabilities(batch), expected, atol=1e-5)
