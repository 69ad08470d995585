"""The detector against models whose answers are known by construction."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.scoring import files
from beetsplug.artifactnet.scoring.detector import Detector, shared_detector
from beetsplug.artifactnet.scoring.engines import CPU
from beetsplug.artifactnet.scoring.segments import SegmentBatch
from beetsplug.artifactnet.workers import LOCAL, shared_workers
from tests.support.onnx_models import (
    LEVELS,
    NAN_ABOVE,
    SEGMENT_SAMPLES,
    TWO_INPUTS,
    V94_SAMPLES,
    OutputShape,
    change_card,
    checksums,
    inputs_loudness,
    load_model,
    loudness,
    song_loudness,
    write_external_model,
    write_inputs_model,
    write_model,
    write_song_model,
    write_v94_shaped,
)


@pytest.fixture(params=["onnxruntime", "tract"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with both engines; tract is what is left without onnxruntime."""
    name: str = request.param
    if name == "tract":
        pytest.importorskip("tract")
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    return name


def batch_of(levels: list[float]) -> SegmentBatch:
    """Return a segment of noise for each level, 0 to 1."""
    rng = np.random.default_rng(len(levels))
    noise = rng.uniform(-1, 1, (len(levels), SEGMENT_SAMPLES))
    samples = (noise * np.array(levels)[:, None]).astype(np.float32)
    return SegmentBatch((samples,), np.arange(len(levels), dtype=np.float64))


BATCH = batch_of([0.01, 0.05, 0.1, 0.15, 0.08, 0.02, 0.12])


def expected_of(batch: SegmentBatch) -> NDArray[np.float64]:
    return np.array([loudness(segment) for segment in batch.samples[0]])


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
    samples = BATCH.samples[0].copy()
    samples[[1, 5], 0] = NAN_ABOVE + 0.05
    hot = SegmentBatch((samples,), BATCH.starts_s)
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
    assert len(BATCH.starts_s) == len(found)


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no graph at all\n" * 20, "model.onnx is no ONNX file, or a damaged one"),
        # onnxruntime says that there is no graph, tract's file has no input.
        (b"\x08\x08", "model loudness-1.0 "),
    ],
    ids=["text", "no graph in it"],
)
def test_not_onnx(data: bytes, message: str, tmp_path: Path) -> None:
    """A graph that cannot be read is refused in one line."""
    files = {"model.onnx": hashlib.sha256(data).hexdigest()}
    folder = write_model(tmp_path, card={"files": files})
    (folder / "model.onnx").write_bytes(data)
    assert message in refuse(folder)


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


@pytest.mark.parametrize(
    "providers", [("NoSuchProvider",), ("NoSuchProvider", CPU), (CPU, "NoSuchProvider")]
)
def test_missing_provider(providers: tuple[str, ...], tmp_path: Path) -> None:
    """A provider that is not there is named, and the CPU's own scores come out."""
    model = load_model(write_model(tmp_path))
    detector = Detector(model, providers)
    assert detector.missing_providers() == ["NoSuchProvider"]
    expected = Detector(model).probabilities(BATCH)
    np.testing.assert_array_equal(expected, detector.probabilities(BATCH))
    assert Detector(model).missing_providers() == []


def test_nearly_a_probability(tmp_path: Path) -> None:
    """What float32 rounds to a little above 1 is 1."""
    folder = write_model(tmp_path, rule="rounded")
    assert Detector(load_model(folder)).probabilities(batch_of([0.5])).tolist() == [1.0]


@pytest.mark.filterwarnings("error")
def test_extreme_logits(tmp_path: Path) -> None:
    """The largest logits are 0 and 1 without a warning, and those between lie between."""
    values = Detector(load_model(write_model(tmp_path, kind="logit")))._to_probability(
        np.array([-1e308, -800.0, -50.0, 0.0, 50.0, 800.0, 1e308])
    )
    assert values[0] == 0.0
    assert values[3] == 0.5
    assert values[-1] == 1.0
    assert (np.diff(values) >= 0).all()
    assert values[1] < values[2] < 1e-20


def two_inputs() -> SegmentBatch:
    rng = np.random.default_rng(5)
    lengths = [length for _, length in TWO_INPUTS.values()]
    samples = tuple(
        rng.uniform(-0.1, 0.1, (3, length)).astype(np.float32)
        * np.array([[0.2], [1.0], [0.5]], np.float32)
        for length in lengths
    )
    return SegmentBatch(samples, np.arange(3.0))


@pytest.mark.parametrize("batches", [(None, None), (1, 1), (4, 4), (None, 2)])
@pytest.mark.parametrize("is_swapped", [False, True])
def test_several_inputs(
    batches: tuple[int | None, ...], is_swapped: bool, tmp_path: Path
) -> None:
    """Each input gets its own samples by name, in whatever order the card has them."""
    folder = write_inputs_model(tmp_path, batches=batches)
    batch = two_inputs()
    expected = [inputs_loudness(segments) for segments in zip(*batch.samples, strict=True)]
    if is_swapped:
        card = json.loads((folder / "card.json").read_text())
        change_card(folder, inputs=card["inputs"][::-1])
        batch = SegmentBatch(batch.samples[::-1], batch.starts_s)
    found = Detector(load_model(folder)).probabilities(batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_song_in_one_call(tmp_path: Path) -> None:
    """All segments of a song are heard together, and none of them alone."""
    detector = Detector(load_model(write_song_model(tmp_path)))
    found = detector.probabilities(BATCH)
    assert found.tolist() == [pytest.approx(song_loudness(BATCH.samples[0]), abs=1e-6)]
    alone = [song_loudness(segment[None]) for segment in BATCH.samples[0]]
    assert min(abs(found[0] - np.array(alone))) > 0.01
    assert abs(found[0] - np.median(alone)) > 0.01


def test_a_song_model_tells_of_segments_and_branches(tmp_path: Path) -> None:
    """Three outputs of one call: the song, its segments, what each branch found."""
    detector = Detector(load_model(write_song_model(tmp_path, is_telling=True)))
    found = detector.findings(BATCH)
    sizes = np.abs(BATCH.samples[0])
    assert found.probabilities.tolist() == detector.probabilities(BATCH).tolist()
    assert found.segments is not None
    np.testing.assert_allclose(found.segments, sizes.mean(1), atol=1e-6)
    assert found.evidence == {
        "mean": pytest.approx(sizes.mean(), abs=1e-6),
        "peak": pytest.approx(sizes.max(), abs=1e-6),
    }


def test_a_song_model_that_tells_nothing_more(tmp_path: Path) -> None:
    """Without the two outputs there are no segments' probabilities and no evidence."""
    found = Detector(load_model(write_song_model(tmp_path))).findings(BATCH)
    assert found.segments is None
    assert found.evidence == {}


@pytest.mark.parametrize("field", ["segments", "evidence"])
def test_an_output_that_the_graph_lacks(field: str, tmp_path: Path) -> None:
    """A card that names an output of segments or evidence needs a graph that has it."""
    folder = write_song_model(tmp_path, is_telling=True)
    card = json.loads((folder / "card.json").read_text())
    change_card(folder, output=card["output"] | {field: "no_such"})
    assert refuse(folder).endswith("; its card names no_such")


def test_a_song_of_one_segment(tmp_path: Path) -> None:
    """A graph that takes one segment suits a song that has no more than one."""
    detector = Detector(load_model(write_song_model(tmp_path, batch=1, max_segments=1)))
    one = batch_of([0.05])
    expected = pytest.approx(song_loudness(one.samples[0]), abs=1e-6)
    assert detector.probabilities(one).tolist() == [expected]


def test_song_model_with_many_answers(tmp_path: Path) -> None:
    """A model that gives more than one answer for a song is refused."""
    detector = Detector(load_model(write_song_model(tmp_path, n_outputs=3)))
    with pytest.raises(ModelError, match=r"^model song-1\.0 gave 3 values in a call for 1$"):
        detector.probabilities(BATCH)


@pytest.mark.parametrize("batch", [1, 4])
def test_song_model_of_a_fixed_size(batch: int, tmp_path: Path) -> None:
    """A song has any number of segments, so a graph of a fixed number is refused."""
    assert refuse(write_song_model(tmp_path, batch=batch)) == (
        f"model song-1.0 takes {batch} segments at a time; "
        f"one that is called once a song must take any number"
    )


def test_inputs_of_different_batches(tmp_path: Path) -> None:
    """Inputs that take different numbers of segments are refused."""
    message = refuse(write_inputs_model(tmp_path, batches=(1, 4)))
    assert message == "model inputs-1.0 has inputs of different batch sizes"


def test_wrong_inputs(tmp_path: Path) -> None:
    """A card with fewer inputs, or another length of one, is refused with both."""
    folder = write_inputs_model(tmp_path)
    fine, coarse = json.loads((folder / "card.json").read_text())["inputs"]
    change_card(folder, inputs=[fine])
    assert refuse(folder) == (
        "model inputs-1.0 has the inputs fine, coarse; its card names fine"
    )
    # Twice the rate and twice the samples are the same seconds.
    change_card(
        folder, inputs=[fine, {**coarse, "sample_rate": 32_000, "segment_samples": 32_000}]
    )
    assert refuse(folder) == (
        "model inputs-1.0 takes tensor(float) ['batch', 16000] as coarse; "
        "its card says float32 [batch, 32000]"
    )


@pytest.mark.parametrize(
    ("onnx_type", "shape"),
    [
        (TensorProto.DOUBLE, ["batch", SEGMENT_SAMPLES]),
        (TensorProto.FLOAT16, ["batch", SEGMENT_SAMPLES]),
        (TensorProto.FLOAT, [SEGMENT_SAMPLES]),
        (TensorProto.FLOAT, ["batch", 1, SEGMENT_SAMPLES]),
    ],
)
def test_wrong_type_or_rank(onnx_type: int, shape: list[int | str], tmp_path: Path) -> None:
    """An input that is not float32 [batch, samples] is refused with what it is."""
    message = refuse(replace_graph(tmp_path, "Identity", onnx_type, shape))
    assert message.startswith("model loudness-1.0 takes tensor(")
    assert message.endswith(f"as audio; its card says float32 [batch, {SEGMENT_SAMPLES}]")


def test_a_batch_that_fills_the_memory(tmp_path: Path) -> None:
    """A graph that takes more segments at once than a card may ask for is refused."""
    message = refuse(write_model(tmp_path, batch=20_000))
    assert message.startswith("model loudness-1.0 takes 20000 segments at a time: more than ")


def test_opening_has_a_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not opened in time stops a run before its first file."""
    folder = write_model(tmp_path)
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(1 << 30)  # no block of it is on the disk, but hashing takes its time
    sha256 = checksums(folder, "model.onnx")
    change_card(folder, files={**sha256, "weights.bin": "0" * 64})
    monkeypatch.setattr(files, "OPENING_LIMIT_S", 0.05)
    workers = shared_workers(LOCAL, threads=1)
    with pytest.raises(ModelError, match=r"^model loudness-1\.0 cannot be used: .*limit"):
        files.open_detectors([Detector(load_model(folder))], workers)


def replace_graph(
    folder: Path, operator: str, onnx_type: int, shape: list[int | str], domain: str = ""
) -> Path:
    """Write a model of one node; its card is that of the loudness model."""
    write_model(folder)
    audio = helper.make_tensor_value_info("audio", onnx_type, shape)
    score = helper.make_tensor_value_info("score", onnx_type, None)
    node = helper.make_node(operator, ["audio"], ["score"], domain=domain)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own.domain", 1)]
    graph = helper.make_graph([node], "one", [audio], [score])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    change_card(folder, files=checksums(folder, "model.onnx"))
    return folder


def test_free_segment_length(tmp_path: Path) -> None:
    """A graph that takes any number of samples takes those of the card."""
    folder = replace_graph(tmp_path, "Identity", TensorProto.FLOAT, ["batch", "samples"])
    detector = Detector(load_model(folder))
    detector.open()
    with pytest.raises(ModelError, match=f"gave {SEGMENT_SAMPLES} values in a call for 1"):
        detector.probabilities(batch_of([0.1]))


def test_custom_operator(tmp_path: Path) -> None:
    """A graph with an operator that onnxruntime lacks is refused in one line."""
    shape: list[int | str] = ["batch", SEGMENT_SAMPLES]
    folder = replace_graph(tmp_path, "Magic", TensorProto.FLOAT, shape, "own.domain")
    message = refuse(folder)
    assert message.startswith("model loudness-1.0 cannot be loaded: ")
    assert "Magic" in message or "own.domain" in message


def test_external_data(tmp_path: Path) -> None:
    """External data beside the model are read, and only where the card names them."""
    named = load_model(write_external_model(tmp_path / "named"))
    np.testing.assert_allclose(
        Detector(named).probabilities(BATCH), expected_of(BATCH), atol=1e-5
    )
    message = refuse(write_external_model(tmp_path / "unnamed", is_named=False))
    assert "needs 'weights.bin', which its card does not name" in message


def test_the_official_shape(tmp_path: Path) -> None:
    """A model in the shape of the official one gives a probability a segment."""
    folder = write_model(
        tmp_path,
        sample_rate=44_100,
        segment_samples=V94_SAMPLES,
        card={"output": {"name": "p_ai", "kind": "probability"}},
    )
    change_card(folder, files=checksums(folder, *write_v94_shaped(folder)))
    noise = np.random.default_rng(4).uniform(-0.1, 0.1, (2, V94_SAMPLES)).astype(np.float32)
    batch = SegmentBatch((noise,), np.array([0.0, 4.0]))
    found = Detector(load_model(folder)).probabilities(batch)
    np.testing.assert_allclose(found, expected_of(batch), atol=1e-5)


def test_processes_agree(engine: str, tmp_path: Path) -> None:
    """Another process gets bit-equal answers from a detector that was sent to it."""
    detector = Detector(load_model(write_model(tmp_path, kind="logit")))
    (tmp_path / "work").write_bytes(pickle.dumps((detector, BATCH)))
    missing = "onnxruntime" if engine == "tract" else "tract"
    code = (
        f"import pickle, sys; sys.modules[{missing!r}] = None; "
        "detector, batch = pickle.load(open(sys.argv[1], 'rb')); "
        "print(detector.probabilities(batch).tobytes().hex())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "work")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == detector.probabilities(BATCH).tobytes().hex()


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
        np.split(BATCH.samples[0], sorted(cuts)),
        np.split(BATCH.starts_s, sorted(cuts)),
        strict=True,
    )
    found = [
        detector.probabilities(SegmentBatch((samples,), starts_s))
        for samples, starts_s in groups
    ]
    np.testing.assert_array_equal(expected, np.concatenate(found))


def test_levels_give_their_verdict(tmp_path: Path) -> None:
    """The levels that other tests rely on lie on the right side of the card's thresholds."""
    detector = Detector(load_model(write_model(tmp_path)))
    limits = detector.card.thresholds
    samples = np.repeat(
        np.array(list(LEVELS.values()), np.float32)[:, None], SEGMENT_SAMPLES, 1
    )
    ai, unsure, real = detector.probabilities(SegmentBatch((samples,), np.arange(3.0)))
    assert ai > limits.ai > unsure > limits.unsure > real


def test_onnxruntime_comes_on_first_use(tmp_path: Path) -> None:
    """Importing and building a detector does not import onnxruntime; opening it does."""
    folder = write_model(tmp_path)
    code = f"""
import sys
from pathlib import Path
from beetsplug.artifactnet.scoring import files
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.models.card import read_card
from beetsplug.artifactnet.models.store import Model
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


@pytest.mark.parametrize("write", [write_model, write_song_model, write_inputs_model])
def test_engines_agree(
    write: Any, engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Answers are those of onnxruntime within 1e-5, for songs of any number of segments."""
    folder = write(tmp_path)
    detector = Detector(load_model(folder))
    assert detector.open().engine.startswith(f"{engine} ")
    found = detector.probabilities(two_inputs() if write is write_inputs_model else BATCH)
    monkeypatch.undo()
    reference = Detector(load_model(folder))
    assert reference.open().engine.startswith("onnxruntime ")
    batch = two_inputs() if write is write_inputs_model else BATCH
    np.testing.assert_allclose(found, reference.probabilities(batch), rtol=0, atol=1e-5)


def test_songs_of_many_lengths(tmp_path: Path) -> None:
    """Each number of segments has its answer, those that come again too."""
    detector = Detector(load_model(write_song_model(tmp_path)))
    for n_segments in (1, 2, 3, 4, 5, 6, 7, 1, 7):
        samples = BATCH.samples[0][:n_segments]
        batch = SegmentBatch((samples,), BATCH.starts_s[:n_segments])
        found = detector.probabilities(batch)
        assert found.tolist() == [pytest.approx(song_loudness(samples), abs=1e-6)]


def test_any_layout_of_the_samples(tmp_path: Path) -> None:
    """Strided and big-endian samples are the numbers that they are."""
    detector = Detector(load_model(write_model(tmp_path)))
    expected = detector.probabilities(BATCH)
    wide = np.repeat(BATCH.samples[0], 2, axis=1)[:, ::2]
    for samples in (wide, BATCH.samples[0].astype(">f4")):
        found = detector.probabilities(SegmentBatch((samples,), BATCH.starts_s))
        np.testing.assert_array_equal(expected, found)


def test_reasons_are_short(tmp_path: Path) -> None:
    """An engine's reason is one line of at most 200 characters."""
    folder = write_inputs_model(tmp_path)
    model = onnx.load(str(folder / "model.onnx"))
    model.graph.node[0].op_type = "Unheard" * 100
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    change_card(folder, files=checksums(folder, "model.onnx"))
    what, _, reason = refuse(folder).partition(": ")
    assert what == "model inputs-1.0 cannot be loaded"
    assert 0 < len(reason) <= 200


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("Celu", ["gate"], ["unused"], alpha=0.5), "Celu"),
        (helper.make_node("GlobalLpPool", ["gate"], ["unused"]), "GlobalLpPool"),
        (
            helper.make_node(
                "RNN", ["gate", "gate", "gate"], ["unused"], hidden_size=1, direction="reverse"
            ),
            "reverse RNN",
        ),
    ],
    ids=["Celu", "GlobalLpPool", "reverse RNN"],
)
def test_operators_that_tract_computes_otherwise(
    engine: str, tmp_path: Path, node: onnx.NodeProto, words: str
) -> None:
    """A model with an operator that tract gets wrong is refused there, and runs elsewhere."""
    folder = write_model(tmp_path)
    model = onnx.load(str(folder / "model.onnx"))
    model.graph.initializer.append(
        numpy_helper.from_array(np.full((1, 1, 1), 0.5, np.float32), "gate")
    )
    model.graph.node.append(node)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    change_card(folder, files=checksums(folder, "model.onnx"))
    if engine == "tract":
        message = f"tract computes {words} wrongly: this model needs onnxruntime"
        assert message in refuse(folder)
    else:
        assert len(Detector(load_model(folder)).probabilities(BATCH)) == len(BATCH.samples[0])


def test_a_model_that_changes_later(engine: str, tmp_path: Path) -> None:
    """What tract loads again for another number of segments is compared again."""
    detector = Detector(load_model(write_song_model(tmp_path)))
    detector.open()
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"\0")
    if engine == "onnxruntime":
        assert len(detector.probabilities(BATCH)) == 1
        return
    with pytest.raises(ModelError, match="is not the file that its card names"):
        detector.probabilities(BATCH)


def test_provider_notice(engine: str, tmp_path: Path) -> None:
    """A provider without effect is told in one line, the default is not."""
    model = load_model(write_model(tmp_path))
    assert not Detector(model).provider_notice()
    notice = Detector(model, ("NoSuchProvider",)).provider_notice()
    if engine == "tract":
        assert notice == ("without effect: tract is the engine here, and it uses the CPU alone")
    else:
        assert notice == "NoSuchProvider cannot be used here; the CPU does their work"


def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where neither engine is installed a line says which to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "tract", None)
    message = refuse(write_model(tmp_path))
    assert message.startswith(
        "nothing is installed that runs models: install onnxruntime, "
        "or tract where it has no wheel ("
    )
