"""From rows to a model folder that the plugin's own detector opens and runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.results import Thresholds as CardThresholds
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import SegmentBatch
from beetsplug.artifactnet.training import recipe
from beetsplug.artifactnet.training.choices import (
    BRANCHES,
    N_SEGMENTS,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.fit import heads
from beetsplug.artifactnet.training.fit.rows import Row, Rows
from beetsplug.artifactnet.training.model.export import MAX_SEGMENTS, export_model
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.report.tables import results
from tests.support.onnx_models import load_model


def _rows(n_bins: int, n_features: int) -> Rows:
    rng = np.random.default_rng(0)
    rows = tuple(
        Row(s % 2, "Suno" if s % 2 else "", f"source/{s}", f"{s}:{t}", n_segments, "clip")
        for s in range(16)
        for t in range(2)
        for n_segments in (1, N_SEGMENTS)
    )
    labels = np.array([row.label for row in rows])[:, None]
    lines = rng.random((len(rows), n_bins)) * 0.3 + labels * (np.arange(n_bins) % 50 == 0)
    cnn = rng.normal(0, 1, (len(rows), n_features)) + labels * (np.arange(n_features) < 5)
    empty = np.zeros(len(rows))
    return Rows(rows, lines.astype(np.float16), cnn.astype(np.float32), empty)


def test_a_model_folder_that_the_plugin_runs(tmp_path: Path) -> None:
    network = ArtifactNetwork().eval()
    rows = _rows(len(network.standing.weight), network.cnn.n_features)
    judged = heads.judge_sources_out(rows)
    weights, at = heads.fit_weights(rows, judged)
    found = results(rows, judged, at)
    network.set(weights)
    unsure = recipe.unsure_score(at, weights.slope)
    card = recipe.card_of(network, found)
    export_model(network, tmp_path, card, CardThresholds(ai=0.5, unsure=unsure))

    detector = Detector(load_model(tmp_path))
    assert detector.card.label == f"finecomb-{recipe.VERSION}"
    assert (detector.card.call, detector.card.max_segments) == ("song", MAX_SEGMENTS)
    assert 0 < detector.card.thresholds.unsure <= 0.5
    song = np.random.default_rng(1).normal(0, 0.05, (3, SEGMENT_SAMPLES)).astype(np.float32)
    told = detector.findings(SegmentBatch((song,), np.arange(3.0)))
    assert told.probabilities.shape == (1,)
    assert told.segments is not None
    assert told.segments.shape == (3,)
    assert tuple(told.evidence) == BRANCHES


def test_unsure_begins_where_either_kind_needs_it() -> None:
    at = heads.Thresholds(song_ai=2.0, song_unsure=1.0, clip_ai=3.0, clip_unsure=2.5)
    assert recipe.unsure_score(at, 1.0) == pytest.approx(1 / (1 + np.exp(0.5)), abs=1e-4)
