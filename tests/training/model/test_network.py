"""The network: one song a call, the same in torch, onnxruntime and tract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soxr
import torch
import tract
from numpy.typing import NDArray

from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.training.choices import (
    CLIP_DB,
    N_SEGMENTS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    NetworkConfig,
)
from beetsplug.artifactnet.training.fit.rows import song_features
from beetsplug.artifactnet.training.model.bundled_stages import load_stages
from beetsplug.artifactnet.training.model.export import largest_difference, write_graph
from beetsplug.artifactnet.training.model.in_turn import take_in_turn
from beetsplug.artifactnet.training.model.network import ArtifactNetwork, Features
from beetsplug.artifactnet.training.model.weights import (
    CountedRegression,
    Regression,
    Weights,
)

TINY = NetworkConfig(
    n_fft=2048,
    hop_length=1024,
    n_bins=1024,
    mask_channels=(2, 3, 4),
    cnn_channels=(4, 4, 4, 4),
    n_pooled_bands=2,
)
OUTPUTS = ("probability", "segment_probabilities", "evidence", "lines")


def _network(seed: int = 0) -> ArtifactNetwork:
    """Return a tiny network with seeded weights in every layer, in eval mode."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = ArtifactNetwork(TINY)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    torch.nn.init.normal_(network.mask.head.weight, std=0.5)
    n_bins, n_features = len(network.standing.weight), network.cnn.n_features
    network.set(
        Weights(
            CountedRegression(rng.normal(0, 0.02, n_bins), np.array([0.3, -0.7]), -0.2),
            Regression(rng.normal(0, 0.1, n_features), 0.1),
            song_threshold=0.3,
            clip_threshold=0.6,
            slope=1.5,
        )
    )
    return network.eval()


def _song(n_segments: int, seed: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.05, (n_segments, SEGMENT_SAMPLES))
    clicks = np.arange(SEGMENT_SAMPLES) % 441 == 0
    return (noise + 0.1 * clicks).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> ArtifactNetwork:
    return _network()


@pytest.fixture(scope="module")
def graph(network: ArtifactNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_graph(network, path)
    return path


@torch.no_grad()
def _found(network: ArtifactNetwork, song: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [value.numpy() for value in network(torch.from_numpy(song))]


@pytest.mark.parametrize("n_segments", [1, 3, 9])
def test_onnxruntime_gives_what_torch_gives(
    network: ArtifactNetwork, graph: Path, n_segments: int
) -> None:
    song = _song(n_segments)
    song[0, : SEGMENT_SAMPLES // 2] = 0  # half a segment of silence
    session = onnxruntime.InferenceSession(str(graph))
    found = session.run(list(OUTPUTS), {"audio": song})
    assert [len(values) for values in found] == [1, n_segments, 2, 1 + n_segments]
    for values, expected in zip(found, _found(network, song), strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize("n_segments", [1, 3])
def test_tract_gives_what_torch_gives(
    network: ArtifactNetwork, graph: Path, n_segments: int
) -> None:
    """A number of segments that is fixed when the graph is loaded is enough for tract."""
    song = _song(n_segments)
    model = tract.onnx().load(str(graph))
    model.set_input_fact(0, f"{n_segments},{SEGMENT_SAMPLES},f32")
    found = [value.to_numpy() for value in model.into_model().into_runnable().run([song])]
    for values, expected in zip(found, _found(network, song), strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-5)


def test_a_file_holds_the_weights_at_other_speeds_in_a_byte_each(graph: Path) -> None:
    tensors = {tensor.name: tensor for tensor in onnx.load(str(graph)).graph.initializer}
    moved = [tensors[f"standing.moved.{part}.bytes"] for part in range(10)]
    assert {tensor.data_type for tensor in moved} == {onnx.TensorProto.INT8}
    n_bins, n_speeds = moved[0].dims[0], sum(tensor.dims[1] for tensor in moved)
    assert n_speeds == 150
    assert sum(len(tensor.raw_data) for tensor in moved) == n_bins * n_speeds


@pytest.mark.parametrize("percent", [0, -1, -0.47, 0.5, 1.25])
def test_a_comb_is_found_in_a_song_that_was_played_faster_or_slower(percent: float) -> None:
    """Lines 200 Hz apart, moved by resampling the audio, weigh nearly what they did before."""
    network = ArtifactNetwork().eval()
    rng = np.random.default_rng(0)
    time_s = np.arange(N_SEGMENTS * (SEGMENT_SAMPLES + 4_000)) / SAMPLE_RATE
    lines = sum(np.sin(2 * np.pi * hz * time_s + hz) for hz in range(1_000, 13_400, 200))
    noise = rng.normal(0, 0.05, len(time_s))
    made = noise + 1e-3 * lines

    def features(audio: NDArray[np.floating]) -> Features:
        song = audio.astype(np.float32)[: N_SEGMENTS * SEGMENT_SAMPLES]
        return song_features(song.reshape(N_SEGMENTS, -1), network)

    def lines_of(found: Features) -> NDArray[np.float32]:
        return found.lines[:1, network.band].numpy()

    comb, ground = (lines_of(features(audio)) for audio in (made, noise))
    weights = (comb - ground)[0] * 10 / np.square(comb - ground).sum(dtype=np.float64)
    head = CountedRegression(weights, np.zeros(2), 0.0)
    network.standing.set(head)
    found = features(soxr.resample(made, SAMPLE_RATE * (1 + percent / 100), SAMPLE_RATE))
    share = found.share[:1]
    with torch.no_grad():
        best = float(network.standing(torch.from_numpy(lines_of(found)), share))
    own, nothing = (float(one[0] @ weights) for one in (lines_of(found), ground))
    if percent:
        assert own - nothing < 1  # of 10
        assert best - nothing > 6
    else:
        assert best == pytest.approx(own, rel=1e-5)
    n_segments = np.array([N_SEGMENTS])
    told = head.best_logits(lines_of(found), n_segments, network.band.start)
    assert told[0] == pytest.approx(best, rel=1e-4)


def test_a_song_of_one_segment_is_judged_as_that_segment(network: ArtifactNetwork) -> None:
    probability, segments, *_ = _found(network, _song(1))
    np.testing.assert_allclose(probability, segments, atol=1e-6)


def test_each_segment_is_judged_as_a_song_of_its_own(network: ArtifactNetwork) -> None:
    song = np.concatenate([_song(1, seed) for seed in (1, 2, 3)])
    _, together, *_ = _found(network, song)
    alone = [float(_found(network, segment[None])[0][0]) for segment in song]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_order_of_segments_is_of_no_account(network: ArtifactNetwork) -> None:
    song = np.concatenate([_song(1, seed) for seed in (1, 2, 3)])
    forth, back = _found(network, song), _found(network, song[::-1].copy())
    np.testing.assert_allclose(forth[0], back[0], atol=1e-6)
    np.testing.assert_allclose(forth[1], back[1][::-1], atol=1e-6)


def test_silent_segments_take_no_part(network: ArtifactNetwork) -> None:
    song = _song(2)
    silence = np.zeros((3, SEGMENT_SAMPLES), np.float32)
    spoken, evidence = (_found(network, song)[i] for i in (0, 2))
    found = _found(network, np.concatenate([song, silence]))
    np.testing.assert_allclose(found[0], spoken, atol=1e-6)
    np.testing.assert_allclose(found[2], evidence, atol=1e-5)


def test_silence_is_no_evidence(network: ArtifactNetwork) -> None:
    silence = np.zeros((2, SEGMENT_SAMPLES), np.float32)
    probability, segments, *_ = _found(network, silence)
    assert probability.tolist() == [0.0]
    assert segments.tolist() == [0.0, 0.0]


def test_empty_bins_speak_against(network: ArtifactNetwork) -> None:
    """Of a song that is cut off low, the share of bins above the cut is counted."""
    spectrum = np.fft.rfft(_song(1)[0])
    spectrum[len(spectrum) // 4 :] = 0  # 5.5 kHz of 22
    low = np.fft.irfft(spectrum, SEGMENT_SAMPLES).astype(np.float32)[None]
    with torch.no_grad():
        full, cut = (network.features(torch.from_numpy(s)).empty[0] for s in (_song(1), low))
    assert float(full) == 0
    assert float(cut) == pytest.approx((13.5 - 5.5) / 12.5, abs=0.02)


def test_the_threshold_lies_at_a_probability_of_a_half(network: ArtifactNetwork) -> None:
    shares = torch.tensor([1.0, 1 / N_SEGMENTS, 1 / 21, 1 / 3])
    found = network.threshold(shares).numpy()
    np.testing.assert_allclose(found[:3], [0.6, 0.3, 0.3], atol=1e-6)
    assert 0.3 < found[3] < 0.6


def test_what_stands_out_by_chance_shrinks_with_the_number_of_segments() -> None:
    """The evidence of seven segments of noise varies less than that of one."""
    network = _network()

    def evidence(seed: int, n_segments: int) -> float:
        noise = np.random.default_rng(seed).normal(0, 0.05, (n_segments, SEGMENT_SAMPLES))
        return float(_found(network, noise.astype(np.float32))[2][0])

    one, seven = (np.std([evidence(seed, n) for seed in range(5)]) for n in (1, 7))
    assert seven < one


def test_lines_are_of_the_song_and_of_each_segment(network: ArtifactNetwork) -> None:
    """The bin of a tone stands out of all of them, by no more than counts."""
    song, place = _song(2), 300
    hz = place * SAMPLE_RATE / TINY.n_fft
    song[1] += 0.05 * np.sin(2 * np.pi * hz * np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE)
    *_, lines = _found(network, song.astype(np.float32))
    assert lines.min() >= 0
    assert lines[0, place] == lines[2, place] == lines.max() == CLIP_DB
    assert lines[1, place] < 1
    *_, alone = _found(network, _song(1))
    np.testing.assert_array_equal(alone[0], alone[1])


def test_less_than_a_segment_needs_more(network: ArtifactNetwork) -> None:
    """Where half of a single segment is silent, the threshold lies higher."""
    found = network.threshold(torch.tensor([1.0, 2.0])).numpy()
    assert found[1] > found[0]


def test_stages_of_a_graph_are_those_it_was_made_of(
    network: ArtifactNetwork, graph: Path
) -> None:
    other = _network(seed=5)
    assert largest_difference(other, graph, [_song(2)]) > 1e-5
    load_stages(other.mask, other.cnn, graph)
    other.standing.load_state_dict(network.standing.state_dict())
    other.of_cnn.load_state_dict(network.of_cnn.state_dict())
    assert largest_difference(other, graph, [_song(2)]) < 1e-5


@pytest.mark.parametrize("name", ["exported", "bundled"])
def test_segments_are_taken_in_turn(name: str, graph: Path) -> None:
    """One segment's working memory suffices for a song, and each segment stands for itself."""
    path = graph if name == "exported" else find_model("default").graph
    model = onnx.load(str(path))
    assert [node.op_type for node in model.graph.node].count("Scan") == 1
    assert take_in_turn(model) is model
    session = onnxruntime.InferenceSession(str(path))
    song = _song(3)
    (together,) = session.run(["segment_probabilities"], {"audio": song})
    alone = [session.run(["segment_probabilities"], {"audio": s[None]})[0] for s in song]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_a_graph_without_the_stages_is_refused(
    network: ArtifactNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "line.onnx"
    torch.onnx.export(torch.nn.Linear(2, 1), (torch.zeros(1, 2),), str(path), dynamo=False)
    with pytest.raises(ValueError, match="0 layers"):
        load_stages(network.mask, network.cnn, path)
