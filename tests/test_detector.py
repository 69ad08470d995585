"""The detector against models whose answers are known by construction."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beetsplug.artifactnet.detector import CPU, Detector, shared_detector
from beetsplug.artifactnet.errors import ConfigError, ModelError
from beetsplug.artifactnet.segments import SegmentBatch
from tests.onnx_models import (
    LEVELS,
    NAN_ABOVE,
    SEGMENT_SAMPLES,
    OutputShape,
    load_model,
    loudness,
    write_model,
)


def batch_of(levels: list[float]) -> SegmentBatch:
    """Return a segment of noise for each level, 0 to 1."""
    rng = np.random.default_rng(len(levels))
    noise = rng.uniform(-1, 1, (len(levels), SEGMENT_SAMPLES))
    samples = (noise * np.array(levels)[:, None]).astype(np.float32)
    return SegmentBatch(samples, np.arange(len(levels), dtype=np.float64))


BATCH = batch_of([0.01, 0.05, 0.1, 0.15, 0.08, 0.02, 0.12])


def expected_of(batch: SegmentBatch) -> NDArray[np.float64]:
    return np.array([loudness(segment) for segment in batch.samples])


def refuse(folder: Path, providers: tuple[str, ...] = (CPU,)) -> str:
    """Return the message that a model is refused with; it is one line."""
    with pytest.raises(ModelError) as caught:
        Detector(load_model(folder), providers).open()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize(
    ("batch", "output_shape"),
    [
        (None, "batch"),
        (None, "batch1"),
        (1, "batch"),
        (1, "batch1"),
        (1, "one"),
        (4, "batch"),
        (4, "batch1"),
        (16, "batch"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contracts(
    kind: Literal["probability", "logit"],
    batch: int | None,
    output_shape: OutputShape,
    dtype: type[np.floating[Any]],
    tmp_path: Path,
) -> None:
    """Any batch size, output shape and type gives one probability a segment."""
    folder = write_model(
        tmp_path, kind=kind, batch=batch, output_shape=output_shape, dtype=dtype
    )
    found = Detector(load_model(folder)).probabilities(BATCH)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected_of(BATCH), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize("batch", [None, 4])
def test_not_finite_is_nan(
    kind: Literal["probability", "logit"], batch: int | None, tmp_path: Path
) -> None:
    """A segment without a finite answer is NaN, and its neighbours keep theirs."""
    folder = write_model(tmp_path, kind=kind, batch=batch, rule="nan_if_hot")
    samples = BATCH.samples.copy()
    samples[[1, 5], 0] = NAN_ABOVE + 0.05
    hot = SegmentBatch(samples, BATCH.starts_s)
    expected = expected_of(hot)
    expected[[1, 5]] = np.nan
    found = Detector(load_model(folder)).probabilities(hot)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_all_nan(kind: Literal["probability", "logit"], tmp_path: Path) -> None:
    """A model that gives only NaN is heard out without a warning."""
    folder = write_model(tmp_path, kind=kind, rule="all_nan")
    found = Detector(load_model(folder)).probabilities(BATCH)
    assert np.isnan(found).all()
    assert len(BATCH.samples) == len(found)


def test_logit_that_claims_probability(tmp_path: Path) -> None:
    """A value outside [0, 1] is refused with a guess at the cause."""
    folder = write_model(
        tmp_path, kind="logit", card={"output": {"name": "score", "kind": "probability"}}
    )
    with pytest.raises(ModelError, match="is it a logit") as caught:
        Detector(load_model(folder)).probabilities(BATCH)
    assert "\n" not in str(caught.value)


def test_probability_out_of_range(tmp_path: Path) -> None:
    """A probability above 1 is refused."""
    folder = write_model(tmp_path, rule="out_of_range")
    with pytest.raises(ModelError, match="gave 8 where its card says probability"):
        Detector(load_model(folder)).probabilities(batch_of([0.5]))


def test_wrong_names(tmp_path: Path) -> None:
    """A card that names another input or output is refused with both names."""
    sizes = {"sample_rate": 8_000, "segment_samples": SEGMENT_SAMPLES}
    folder = write_model(tmp_path / "in", card={"input": {"name": "waveform", **sizes}})
    assert refuse(folder) == (
        "model loudness-1.0 has the inputs audio; its card names waveform"
    )
    output = {"name": "logits", "kind": "probability"}
    folder = write_model(tmp_path / "out", card={"output": output})
    assert refuse(folder) == "model loudness-1.0 has the outputs score; its card names logits"


def test_wrong_segment_length(tmp_path: Path) -> None:
    """A card with another segment length than the graph's is refused with both."""
    wrong = {"name": "audio", "sample_rate": 8_000, "segment_samples": 4_000}
    message = refuse(write_model(tmp_path, card={"input": wrong}))
    assert f"{SEGMENT_SAMPLES}]" in message
    assert "its card says float32 [batch, 4000]" in message


def test_not_onnx(tmp_path: Path) -> None:
    """A graph that onnxruntime does not read is refused in one line."""
    data = b"no graph at all\n" * 20
    files = {"model.onnx": hashlib.sha256(data).hexdigest()}
    folder = write_model(tmp_path, card={"files": files})
    (folder / "model.onnx").write_bytes(data)
    assert refuse(folder).startswith("model loudness-1.0 cannot be loaded: ")


def test_missing_file(tmp_path: Path) -> None:
    """A missing graph is named."""
    folder = write_model(tmp_path)
    (folder / "model.onnx").unlink()
    expected = f"{folder / 'model.onnx'}: No such file or directory; reinstall it"
    assert refuse(folder) == f"model loudness-1.0: {expected}"


def test_changed_file(tmp_path: Path) -> None:
    """A graph with another checksum than the card's is refused."""
    folder = write_model(tmp_path)
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "is not the file that its card names" in refuse(folder)


def test_changed_second_file(tmp_path: Path) -> None:
    """Every file on the card is checked, not the graph alone."""
    folder = write_model(tmp_path)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["weights.bin"] = hashlib.sha256(b"weights").hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "weights.bin").write_bytes(b"other weights")
    assert "weights.bin is not the file" in refuse(folder)


def test_unknown_provider(tmp_path: Path) -> None:
    """A provider that is not installed is an error of the configuration."""
    detector = Detector(load_model(write_model(tmp_path)), ("NoSuchProvider",))
    with pytest.raises(ConfigError, match=f"NoSuchProvider is not installed.*{CPU}"):
        detector.open()


@pytest.mark.parametrize("batch", [None, 4])
def test_threads_agree(batch: int | None, tmp_path: Path) -> None:
    """Four threads on one unopened detector get bit-equal answers."""
    detector = Detector(load_model(write_model(tmp_path, batch=batch)))
    expected = Detector(load_model(tmp_path)).probabilities(BATCH)
    with ThreadPoolExecutor(4) as executor:
        jobs = [executor.submit(detector.probabilities, BATCH) for _ in range(32)]
        for job in jobs:
            np.testing.assert_array_equal(expected, job.result())


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(cuts=st.sets(st.integers(1, 6)), batch=st.sampled_from([None, 1, 4, 16]))
def test_grouping_does_not_matter(cuts: set[int], batch: int | None, tmp_path: Path) -> None:
    """Segments give bit-equal answers however they are grouped."""
    folder = tmp_path / str(batch)
    if not folder.exists():
        write_model(folder, batch=batch)
    detector = shared_detector(load_model(folder), (CPU,))
    expected = detector.probabilities(BATCH)
    groups = zip(
        np.split(BATCH.samples, sorted(cuts)),
        np.split(BATCH.starts_s, sorted(cuts)),
        strict=True,
    )
    found = [detector.probabilities(SegmentBatch(*group)) for group in groups]
    np.testing.assert_array_equal(expected, np.concatenate(found))


def test_levels_give_their_verdict(tmp_path: Path) -> None:
    """The levels that other tests rely on lie on the right side of the card's thresholds."""
    detector = Detector(load_model(write_model(tmp_path)))
    limits = detector.card.thresholds
    samples = np.repeat(
        np.array(list(LEVELS.values()), np.float32)[:, None], SEGMENT_SAMPLES, 1
    )
    ai, unsure, real = detector.probabilities(SegmentBatch(samples, np.arange(3.0)))
    assert ai > limits.ai > unsure > limits.unsure > real


def test_onnxruntime_comes_on_first_use(tmp_path: Path) -> None:
    """Importing and building a detector does not import onnxruntime; opening it does."""
    folder = write_model(tmp_path)
    code = f"""
import sys
from pathlib import Path
from beetsplug.artifactnet.detector import Detector
from beetsplug.artifactnet.model_store import Model, read_card
folder = Path({str(folder)!r})
detector = Detector(Model(read_card(folder / "card.json"), folder))
before = "onnxruntime" in sys.modules
detector.open()
print(before, "onnxruntime" in sys.modules)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "True"]


def test_shared_detector(tmp_path: Path) -> None:
    """One model and one set of providers share one detector; another model has its own."""
    one = load_model(write_model(tmp_path / "one"))
    other = load_model(write_model(tmp_path / "other", version="2.0"))
    shared = shared_detector(one, (CPU,))
    assert shared is shared_detector(load_model(tmp_path / "one"), (CPU,))
    assert shared is not shared_detector(other, (CPU,))
    assert shared_detector(other, (CPU,)) is not shared_detector(other, ("NoSuchProvider",))
