"""Workers that open the model ahead of the first file."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.engines import CPU
from beetsplug.artifactnet.scoring.files import DetectorName, prepare, score_files
from beetsplug.artifactnet.workers.local import LocalWorkers
from tests.support.audio_files import encode, tone
from tests.support.onnx_models import load_model, write_model


@pytest.fixture
def workers() -> Iterator[LocalWorkers]:
    two = LocalWorkers(2)
    yield two
    two.close()


@pytest.fixture
def name(tmp_path: Path) -> DetectorName:
    model = load_model(write_model(tmp_path / "model"))
    return DetectorName(model, (CPU,), tmp_path / "artifactnet" / "cache")


def has_open_detector() -> bool:
    """Tell whether this process has one, without making it."""
    module = sys.modules.get("beetsplug.artifactnet.scoring.detector")
    shared = getattr(module, "_shared", [])
    return any(detector._session is not None for detector in shared)


def test_a_name_arrives_as_a_detector(name: DetectorName) -> None:
    """And as the same one each time."""
    first, second = (pickle.loads(pickle.dumps(name)) for _ in range(2))
    assert isinstance(first, Detector)
    assert first is second
    assert first.card == name.card


def test_workers_open_the_model_ahead(name: DetectorName, workers: LocalWorkers) -> None:
    """As many as there are files, and at most as many as there may be."""
    prepare(name, workers, 1)
    assert len(workers._workers) == 1
    prepare(name, workers, 99)
    found = [workers.submit(None, has_open_detector) for _ in range(4)]
    assert all(future.result(timeout=60) for future in found)
    assert len(workers._workers) == 2


def test_nothing_is_prepared_for_nothing(name: DetectorName, workers: LocalWorkers) -> None:
    """Where no file is due no process starts."""
    prepare(name, workers, 0)
    assert workers._workers == []


def test_files_are_scored_as_without(
    name: DetectorName, workers: LocalWorkers, tmp_path: Path
) -> None:
    """Preparing changes no result."""
    paths = [encode(tmp_path / f"{n}.wav", tone(n / 50, 3.0), 44_100) for n in range(1, 4)]
    prepare(name, workers, len(paths))
    found = dict(score_files(paths, name, 7, workers))
    expected = dict(score_files(paths, Detector(name.model), 7, workers))
    assert found == expected
    assert len(found) == 3


def test_a_broken_model_is_told_of_once(name: DetectorName, workers: LocalWorkers) -> None:
    """By the run itself."""
    name.model.graph.write_bytes(b"no model")
    prepare(name, workers, 2)
    with pytest.raises(ModelError, match="sha256"):
        next(score_files([Path("a.wav")], name, 7, workers))
