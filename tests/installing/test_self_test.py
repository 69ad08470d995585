"""The known-answer test of this machine's decoders and engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.installing.self_test import self_test
from beetsplug.artifactnet.models.store import Model, find_model
from beetsplug.artifactnet.scoring.detector import Detector
from tests.support.onnx_models import load_model, write_model


def test_the_bundled_model_gives_its_known_answers(tmp_path: Path) -> None:
    """Each signal in each container gets the recorded answer."""
    lines = list(self_test(Detector(find_model("default")), tmp_path))
    assert len(lines) == 8
    assert all(line.startswith("self-test: ") for line in lines)
    assert lines[-2:] == [
        "self-test: tone in FLAC: no evidence",
        "self-test: silence in WAV: silent",
    ]


def test_another_model_has_no_answers(tmp_path: Path) -> None:
    """Where no answers are known there is nothing to compare."""
    assert not list(self_test(Detector(load_model(write_model(tmp_path))), tmp_path))


def test_a_wrong_answer_is_told(tmp_path: Path) -> None:
    """An engine that computes something else is named in one line, with both answers."""
    folder = write_model(
        tmp_path,
        model_id="finecomb",
        version="3.1",
        sample_rate=44_100,
        segment_samples=176_400,
    )
    model: Model = load_model(folder)
    with pytest.raises(ModelError, match=r"comb in WAV: 0\.\d+, where 0\.2881 is known"):
        list(self_test(Detector(model), tmp_path))
