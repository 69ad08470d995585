"""The exporters: networks of the published sizes, exported untrained and scoring real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch
from safetensors.torch import save_file

from beetsplug.artifactnet.errors import ConfigError, ModelError
from beetsplug.artifactnet.exporters import program, spectttra
from beetsplug.artifactnet.exporters.exporter import (
    PublishedDetector,
    chords,
    describe_misfit,
    disclaimed,
    export_detector,
    load_weights,
)
from beetsplug.artifactnet.models.card import ModelInput
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from tests.support.audio_files import encode
from tests.support.missing_packages import WITHOUT_TORCH


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Give every network the same random weights, on one thread."""
    n_threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def beta() -> PublishedDetector:
    return spectttra.detector(spectttra.BETA_5S)


def lively(detector: PublishedDetector) -> PublishedDetector:
    """Return it with a steeper last layer, so that its scores leave 0.5."""
    with torch.no_grad():
        for name, tensor in detector.network.named_parameters():
            if name.endswith("classifier.weight"):
                tensor.mul_(20)
    return detector


def n_parameters(detector: PublishedDetector) -> int:
    return sum(tensor.numel() for tensor in detector.network.parameters())


def score(folder: Path, duration_s: int, sample_rate: int) -> TrackResult:
    """Score a file of chords at this rate with the model in a folder, 3 segments a track."""
    samples = chords(sample_rate, duration_s * sample_rate)[:, None]
    track = encode(folder / "track.wav", samples, sample_rate, "wav_float")
    return score_file(track, Detector(find_model(str(folder / "model.onnx"))), 3)


def published_state(detector: PublishedDetector) -> dict[str, torch.Tensor]:
    """Return the detector's tensors under their published names."""
    state = detector.network.state_dict()
    return {detector.published_name(name): tensor.clone() for name, tensor in state.items()}


# SpecTTTra


@pytest.mark.parametrize(
    ("variant", "millions"), [(spectttra.ALPHA_120S, 18.7), (spectttra.BETA_5S, 17.0)]
)
def test_spectttra_has_the_published_size(variant: spectttra.Variant, millions: float) -> None:
    """The authors' table gives 19 and 17 million parameters."""
    assert n_parameters(spectttra.detector(variant)) / 1e6 == pytest.approx(millions, abs=0.05)


def test_spectttra_has_the_published_names(beta: PublishedDetector) -> None:
    state = published_state(beta)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    tokens = "encoder.st_tokenizer"
    block = "encoder.transformer.blocks.11"
    assert (
        shapes.items()
        >= {
            "ft_extractor.audio2melspec.spectrogram.window": (2048,),
            "ft_extractor.audio2melspec.mel_scale.fb": (1025, 128),
            f"{tokens}.temporal_tokenizer.conv1d.weight": (384, 128, 5),
            f"{tokens}.temporal_tokenizer.pos_encoder.pe": (1, 25, 384),
            f"{tokens}.temporal_tokenizer.norm_pre.weight": (384,),
            f"{tokens}.temporal_tokenizer.norm_pre.bias": (384,),
            f"{tokens}.spectral_tokenizer.conv1d.weight": (384, 128, 3),
            f"{tokens}.spectral_tokenizer.pos_encoder.pe": (1, 42, 384),
            f"{block}.norm1.weight": (384,),
            f"{block}.attn.qkv.weight": (1152, 384),
            f"{block}.attn.proj.weight": (384, 384),
            f"{block}.attn.proj.bias": (384,),
            f"{block}.norm2.bias": (384,),
            f"{block}.mlp.fc1.weight": (1025, 384),
            f"{block}.mlp.fc2.weight": (384, 1025),
            "classifier.weight": (1, 384),
            "classifier.bias": (1,),
        }.items()
    )
    # Window and bands, 3 + 1 tensors a tokeniser, 11 a block, the classifier.
    assert len(shapes) == 2 + 2 * 4 + 12 * 11 + 2


def test_log_mel_is_what_librosa_gives() -> None:
    audio = chords(16_000, 80_000)
    power = librosa.feature.melspectrogram(
        y=audio, sr=16_000, n_fft=2048, hop_length=512, pad_mode="reflect",
        n_mels=128, fmin=20, fmax=8000, htk=True, norm=None,
    )  # fmt: skip
    level_db = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80)
    expected = (level_db - level_db.mean()) / level_db.std(ddof=1)
    found = spectttra.LogMel()(torch.from_numpy(audio)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_log_mel_hears_each_segment_by_itself() -> None:
    """A loud segment in the batch moves neither floor nor mean of a quiet one."""
    quiet = torch.from_numpy(0.001 * chords(16_000, 16_000))
    both = torch.stack([quiet, torch.from_numpy(chords(16_000, 16_000, seed=1))])
    mel = spectttra.LogMel()
    torch.testing.assert_close(mel(both)[:1], mel(quiet[None]))


def test_beta_scores_segments_of_a_track(tmp_path: Path, beta: PublishedDetector) -> None:
    """Three segments, each with what PyTorch gives for the same five seconds."""
    made = export_detector(lively(beta), tmp_path)
    assert made.difference < 1e-4
    result = score(tmp_path, 16, 16_000)
    assert result.score is not None
    assert [segment.start_s for segment in result.score.segments] == [0, 5.5, 11]
    audio = chords(16_000, 16 * 16_000)
    segments = np.stack([audio[start : start + 80_000] for start in (0, 88_000, 176_000)])
    with torch.no_grad():
        expected = torch.sigmoid(beta.network(torch.from_numpy(segments))).tolist()
    found = [segment.probability for segment in result.score.segments]
    assert found == pytest.approx(expected, abs=1e-4)
    assert result.score.probability == pytest.approx(np.median(expected), abs=1e-4)
    assert max(expected) - min(expected) > 1e-3


def test_alpha_scores_a_short_track_in_one_call(tmp_path: Path) -> None:
    """Eight seconds are filled with zeros to the length of a call, here a fifth of 120 s."""
    variant = replace(spectttra.ALPHA_120S, duration_s=24, n_frames=744)
    detector = lively(spectttra.detector(variant))
    assert export_detector(detector, tmp_path).difference < 1e-4
    result = score(tmp_path, 8, 16_000)
    padded = np.zeros((1, 24 * 16_000), np.float32)
    padded[0, : 8 * 16_000] = chords(16_000, 8 * 16_000)
    with torch.no_grad():
        expected = float(torch.sigmoid(detector.network(torch.from_numpy(padded)))[0])
    assert result.outcome is Outcome.SCORED
    assert result.score is not None
    assert [one.probability for one in result.score.segments] == [
        pytest.approx(expected, abs=1e-4)
    ]


# CLAM


def test_clam_hears_two_inputs_at_their_own_rates(tmp_path: Path) -> None:
    """One layer of twelve on two seconds; all of it on ninety takes minutes."""
    pytest.importorskip("transformers")
    from beetsplug.artifactnet.exporters import clam

    detector = lively(clam.detector(duration_s=2, n_layers=1))
    made = export_detector(detector, tmp_path)
    assert made.difference < 1e-4
    card = find_model(str(tmp_path / "model.onnx")).card
    assert [(one.name, one.sample_rate, one.segment_s) for one in card.inputs] == [
        ("music", 24_000, 2),
        ("voice", 16_000, 2),
    ]
    assert list(card.files) == ["model.onnx", "model.onnx.data"]
    assert (tmp_path / "model.onnx").stat().st_size < 2e6
    result = score(tmp_path, 3, 48_000)
    assert result.outcome is Outcome.SCORED
    assert result.score is not None
    assert [one.start_s for one in result.score.segments] == [0.5]
    samples = chords(48_000, 3 * 48_000)
    waveforms = [
        soxr.resample(samples, 48_000, rate)[None, rate // 2 : 5 * rate // 2]
        for rate in (24_000, 16_000)
    ]
    with torch.no_grad():
        expected = float(torch.sigmoid(detector.network(*map(torch.from_numpy, waveforms)))[0])
    # The reader resamples in spans, whose edges differ a little.
    assert result.score.probability == pytest.approx(expected, abs=1e-3)


def test_clam_has_the_published_size() -> None:
    """194 million parameters, 188.7 of them in the encoders; on no device."""
    pytest.importorskip("transformers")
    from beetsplug.artifactnet.exporters import clam

    with torch.device("meta"):
        network = clam.Clam()
    encoders = [*network.mert.parameters(), *network.wav2vec2.parameters()]
    n_encoders = sum(tensor.numel() for tensor in encoders)
    n_all = sum(tensor.numel() for tensor in network.parameters())
    assert (round(n_encoders / 1e5), round(n_all / 1e6)) == (1887, 194)


def test_clam_is_loaded_from_three_prefixes(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from beetsplug.artifactnet.exporters import clam

    detector = clam.detector(duration_s=2, n_layers=1)
    state = published_state(detector)
    assert {name.partition(".")[0] for name in state} == {"mert", "wav2vec2", "head"}
    assert state["head.joint.weight"].shape == (960, 1920)
    torch.save({name: tensor + 1 for name, tensor in state.items()}, tmp_path / "clam.pt")
    load_weights(detector, tmp_path / "clam.pt")
    for name, tensor in published_state(detector).items():
        torch.testing.assert_close(tensor, state[name] + 1)
    head = {name: tensor for name, tensor in state.items() if name.startswith("head.")}
    torch.save(head, tmp_path / "head.pt")
    with pytest.raises(ModelError, match=r"head\.pt does not fit clam: 70 missing \(mert\."):
        load_weights(detector, tmp_path / "head.pt")


def test_attention_in_blocks_is_full_attention() -> None:
    pytest.importorskip("transformers")
    from beetsplug.artifactnet.exporters import clam

    query, key, value = torch.randn(3, 1, 2, 1100, 8)
    found, _ = clam.attend_in_blocks(torch.nn.Identity(), query, key, value, None, 8**-0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(found, expected.transpose(1, 2))


# Weights


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_weights_arrive_where_they_belong(
    tmp_path: Path, beta: PublishedDetector, suffix: str
) -> None:
    state = published_state(beta)
    path = tmp_path / f"pytorch_model{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    torch.manual_seed(1)
    other = spectttra.detector(spectttra.BETA_5S)
    name = "classifier.weight"
    assert not torch.equal(published_state(other)[name], state[name])
    load_weights(other, path)
    loaded = published_state(other)
    assert [name for name in state if not torch.equal(loaded[name], state[name])] == []


def without_bias(state: dict[str, torch.Tensor]) -> None:
    del state["classifier.bias"]


def with_more(state: dict[str, torch.Tensor]) -> None:
    state["classifier.scale"] = torch.ones(1)


def with_other_clips(state: dict[str, torch.Tensor]) -> None:
    state["encoder.st_tokenizer.spectral_tokenizer.pos_encoder.pe"] = torch.zeros(1, 128, 384)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without_bias, "1 missing (classifier.bias)"),
        (with_more, "1 unknown (classifier.scale)"),
        (
            with_other_clips,
            "encoder.st_tokenizer.spectral_tokenizer.pos_encoder.pe "
            "has shape (1, 128, 384), not (1, 42, 384)",
        ),
    ],
)
def test_other_weights_are_refused_in_one_line(
    tmp_path: Path,
    beta: PublishedDetector,
    change: Callable[[dict[str, torch.Tensor]], None],
    problem: str,
) -> None:
    state = published_state(beta)
    before = published_state(beta)["classifier.weight"]
    change(state)
    path = tmp_path / "model.pt"
    torch.save({name: tensor + 1 for name, tensor in state.items()}, path)
    with pytest.raises(ModelError) as caught:
        load_weights(beta, path)
    assert str(caught.value) == f"{path} does not fit spectttra-beta-5s: {problem}"
    assert torch.equal(published_state(beta)["classifier.weight"], before)


@pytest.mark.parametrize("name", ["model.bin", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_broken_file_is_one_line(
    tmp_path: Path, beta: PublishedDetector, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match="holds no PyTorch weights: ") as caught:
        load_weights(beta, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.bin", "model.safetensors"])
def test_a_missing_file_is_one_line(tmp_path: Path, beta: PublishedDetector, name: str) -> None:
    with pytest.raises(ModelError, match=r"No such file or directory"):
        load_weights(beta, tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {}}])
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, beta: PublishedDetector, content: object
) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save(content, path)
    with pytest.raises(ModelError, match="holds no state dict"):
        load_weights(beta, path)


SHAPES = st.dictionaries(
    st.text("ab.", min_size=1, max_size=4), st.tuples(st.integers(1, 3)), max_size=6
)


@given(SHAPES, SHAPES)
def test_only_equal_shapes_fit(
    expected: dict[str, tuple[int]], found: dict[str, tuple[int]]
) -> None:
    line = describe_misfit(expected, found)
    assert (line == "") == (expected == found)
    assert "\n" not in line


# Export


class Restless(torch.nn.Module):
    """Never gives the same logit twice."""

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return audio.mean(1) + torch.rand(audio.shape[0])


def test_a_graph_that_differs_is_not_written(tmp_path: Path, beta: PublishedDetector) -> None:
    detector = replace(
        beta,
        network=Restless(),
        inputs=(ModelInput("audio", 100, 100),),
        has_free_batch=False,
    )
    with pytest.raises(ModelError, match="ONNX and PyTorch differ by"):
        export_detector(detector, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, beta: PublishedDetector
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file: File exists"):
        export_detector(beta, tmp_path / "file")


def test_an_untrained_network_says_so(beta: PublishedDetector) -> None:
    card = disclaimed(beta).card
    assert card["model_id"] == "spectttra-beta-5s-untrained"
    assert card["notice"] == "randomly initialised: its scores mean nothing"
    assert card["error_rates"] == {}


def test_the_program_exports_weights(
    tmp_path: Path, beta: PublishedDetector, capsys: pytest.CaptureFixture[str]
) -> None:
    """The card is valid, and the same as the one in the graph but for the hashes."""
    import onnx

    torch.save(published_state(beta), tmp_path / "pytorch_model.bin")
    out = tmp_path / "model"
    program.main(
        ["spectttra-beta-5s", "--weights", f"{tmp_path}/pytorch_model.bin", "--out", f"{out}"]
    )
    assert "17.0 M parameters" in capsys.readouterr().out
    model = find_model(str(out / "model.onnx"))
    model.verify()
    card = json.loads((out / "card.json").read_text())
    del card["files"]
    properties = onnx.load(str(out / "model.onnx")).metadata_props
    (inside,) = [json.loads(one.value) for one in properties if one.key == "card"]
    assert inside == card
    assert (model.card.model_id, model.card.licence) == ("spectttra-beta-5s", "MIT")


def test_a_missing_package_is_one_line_that_names_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "beetsplug.artifactnet.exporters", "-h"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the package torch is missing: pip install 'beets-artifactnet[exporters]'\n"
    )


def constants_with(**environment: str) -> list[str]:
    """Return what the hub client makes of its settings, the exporters imported before."""
    code = (
        "import os, beetsplug.artifactnet.exporters, huggingface_hub.constants as hub;"
        "print(hub.HF_HUB_DISABLE_TELEMETRY, hub.HF_HUB_OFFLINE,"
        " os.environ['DO_NOT_TRACK'], os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    names = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK")
    kept = {k: v for k, v in os.environ.items() if k not in (*names, "ORT_DISABLE_TELEMETRY")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=kept | environment,
    )
    return done.stdout.split()


def test_no_package_tells_anyone_that_it_is_used() -> None:
    """The hub client stays offline and silent; a setting of the user's own is kept."""
    pytest.importorskip("huggingface_hub")
    assert constants_with() == ["True", "True", "1", "1"]
    assert constants_with(HF_HUB_OFFLINE="0")[1] == "False"
