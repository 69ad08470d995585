"""The model that the wheel ships: what it promises, and that its answers do not drift."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import SegmentBatch
from tests.golden.signals import SIGNALS, probabilities

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "finecomb.json").read_text())


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Return the default model's detector."""
    return Detector(find_model("default"))


@pytest.fixture(scope="module")
def found(detector: Detector) -> dict[str, float]:
    """Return the model's answer to each seeded signal."""
    return probabilities(detector)


def test_the_golden_file_is_of_this_model(detector: Detector) -> None:
    """Golden answers and signals belong to the model's version."""
    assert GOLDEN["model"] == detector.card.label
    assert set(GOLDEN["probabilities"]) == set(SIGNALS)


@pytest.mark.parametrize("signal", SIGNALS)
def test_answers_equal_the_golden_file(signal: str, found: dict[str, float]) -> None:
    """Each seeded signal gets the recorded probability, to 1e-4."""
    assert found[signal] == pytest.approx(GOLDEN["probabilities"][signal], abs=1e-4)


def test_a_batch_gives_each_segment_the_same_answer(detector: Detector) -> None:
    """Several segments in one run of the graph equal one run each, to 1e-6."""
    audio = np.stack([make() for make in SIGNALS.values()])
    session = detector.open()
    (together,) = session.run(["probability"], {"audio": audio})
    alone = detector.probabilities(SegmentBatch((audio,), np.zeros(len(audio))))
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_graph_is_what_its_card_says() -> None:
    """Input audio float32 [batch, 176400], output probability [batch], at most 5 MB."""
    model = find_model("default")
    model.verify()
    assert model.graph.stat().st_size <= 5_000_000
    graph = onnx.load(str(model.graph))
    (audio,), (probability,) = graph.graph.input, graph.graph.output
    shapes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (audio, probability)
    ]
    assert [audio.name, probability.name] == ["audio", "probability"]
    assert shapes == [["batch", 176_400], ["batch"]]
    card = json.loads((model.folder / "card.json").read_text(encoding="utf-8"))
    embedded = json.loads(graph.metadata_props[0].value)
    # How a file is prepared for it was learned after the graph was written.
    added = {"files", "placement", "down_mix", "level", "hum", "evidence"}
    assert embedded == {key: value for key, value in card.items() if key not in added}


def test_a_tracks_level_hardly_matters(detector: Detector) -> None:
    """Six decibels less move no seeded signal by more than 0.1."""
    audio = np.stack([make() for name, make in SIGNALS.items() if name != "silence"])
    loud, quiet = (
        detector.probabilities(SegmentBatch((gain * audio,), np.zeros(len(audio))))
        for gain in (np.float32(1.0), np.float32(0.5))
    )
    assert np.abs(loud - quiet).max() < 0.1


def test_a_segment_is_scored_in_well_under_a_second(detector: Detector) -> None:
    """The fastest of five runs takes less than 0.3 s, on a busy machine too."""
    audio = next(iter(SIGNALS.values()))()[None]
    detector.probabilities(SegmentBatch((audio,), np.zeros(1)))
    took_s = []
    for _ in range(5):
        started = time.perf_counter()
        detector.probabilities(SegmentBatch((audio,), np.zeros(1)))
        took_s.append(time.perf_counter() - started)
    assert min(took_s) < 0.3
