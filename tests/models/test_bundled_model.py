"""The model that the wheel ships: what it promises, and that its answers do not drift."""

from __future__ import annotations

import json
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


def test_each_segment_is_judged_as_a_song_of_its_own(
    detector: Detector, found: dict[str, float]
) -> None:
    """Several segments in one call get what each gets alone, to 1e-5."""
    audio = np.stack([make() for make in SIGNALS.values()])
    together = detector.findings(SegmentBatch((audio,), np.zeros(len(audio)))).segments
    assert together is not None
    np.testing.assert_allclose(together, list(found.values()), atol=1e-5)


def test_a_song_tells_what_each_branch_found(detector: Detector) -> None:
    """The evidence holds a finite number for each branch that the card names."""
    audio = np.stack([make() for make in SIGNALS.values()])
    evidence = detector.findings(SegmentBatch((audio,), np.zeros(len(audio)))).evidence
    assert tuple(evidence) == detector.card.branches == ("standing", "cnn")
    assert np.isfinite(list(evidence.values())).all()


def test_the_graph_is_what_its_card_says() -> None:
    """Input audio float32 [segments, 176400], four outputs, at most 5 MB."""
    model = find_model("default")
    model.verify()
    assert model.graph.stat().st_size <= 5_000_000
    graph = onnx.load(str(model.graph))
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    assert shapes["audio"] == ["segments", 176_400]
    assert shapes["probability"] == [1]
    assert shapes["segment_probabilities"] == ["segments"]
    assert shapes["evidence"] == [2]
    assert shapes["lines"] == ["segments + 1", 10_240]
    card = json.loads((model.folder / "card.json").read_text(encoding="utf-8"))
    embedded = json.loads(graph.metadata_props[0].value)
    assert embedded == {key: value for key, value in card.items() if key != "files"}


def test_lines_tell_the_spacing_of_a_comb(detector: Detector) -> None:
    """Clicks each 256 samples stand out at multiples of 172 Hz, by the card's width of bins."""
    card = json.loads((find_model("default").folder / "card.json").read_text(encoding="utf-8"))
    name, hz = card["output"]["lines"], card["output"]["lines_hz"]
    audio = SIGNALS["comb of hop 256"]()[None]
    (lines,) = detector.open().run([name], {"audio": audio})
    assert lines.shape == (2, 10_240)
    assert lines.min() >= 0
    at = np.round(np.arange(10, 70) * 44_100 / 256 / hz).astype(int)
    assert lines[0, at].mean() > 1.5 * lines[0].mean()


def test_a_tracks_level_hardly_matters(detector: Detector) -> None:
    """Six decibels less move no seeded signal by more than 0.1."""
    for name, make in SIGNALS.items():
        if name != "silence":
            loud, quiet = (
                detector.probabilities(SegmentBatch(((gain * make())[None],), np.zeros(1)))[0]
                for gain in (np.float32(1.0), np.float32(0.5))
            )
            assert abs(loud - quiet) < 0.1, name
