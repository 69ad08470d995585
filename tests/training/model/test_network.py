"""The network as a whole: what an untrained one is, and that ONNX gives the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from beetsplug.artifactnet.models.store import find_model  # noqa: E402
from beetsplug.artifactnet.results import Thresholds  # noqa: E402
from beetsplug.artifactnet.scoring.detector import Detector  # noqa: E402
from beetsplug.artifactnet.scoring.segments import SegmentBatch  # noqa: E402
from beetsplug.artifactnet.training.augment import narrow  # noqa: E402
from beetsplug.artifactnet.training.export import Scaled, export_model, largest_difference  # noqa: E402
from beetsplug.artifactnet.training.frame_rates import (  # noqa: E402
    N_PARTS,
    frame_rates,
    rate_features,
)
from beetsplug.artifactnet.training.network import ArtifactNetwork, counted  # noqa: E402
from beetsplug.artifactnet.training.reference import (  # noqa: E402
    GridReference,
    Reference,
    ScaledReference,
    coarse_features,
    comb_features,
    contrast_features,
    standing_features,
)

SEGMENT_SAMPLES = 176_400


def segments(n: int, seed: int = 0) -> np.ndarray:
    """Return noisy chords (n, 176400) whose spectra differ from one another."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(SEGMENT_SAMPLES) / 44_100
    audio = rng.normal(0, 0.02, (n, SEGMENT_SAMPLES))
    tones_hz = rng.uniform(100, 9_000, (n, 12, 1))
    audio += 0.03 * np.sin(2 * np.pi * tones_hz * time_s).sum(1)
    return audio.astype(np.float32)


def network(seed: int = 0) -> ArtifactNetwork:
    """Return an untrained network whose heads hold known regressions."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    made = ArtifactNetwork().eval()
    n_bins, n_lags = made.bins.in_features, made.comb.lags.in_features
    made.set_heads(
        Reference(rng.normal(0, 1e-2, n_bins), 0.25),
        scaled_reference(n_lags, 1e-1),
    )
    made.coarse.set(Reference(rng.normal(0, 1e-2, made.coarse.bins.in_features), 0.1))
    made.grid.set(grid_reference(made))
    made.rates.set(scaled_reference(len(frame_rates()) * N_PARTS, 1e-2))
    return made


def scaled_reference(n_features: int, spread: float) -> ScaledReference:
    """Return a regression on so many features, its weights of that spread."""
    rng = np.random.default_rng(2)
    return ScaledReference(
        rng.normal(0, spread, n_features),
        -0.5,
        rng.normal(0, 0.1, n_features).astype(np.float32),
        rng.uniform(0.5, 2, n_features).astype(np.float32),
    )


def grid_reference(made: ArtifactNetwork) -> GridReference:
    """Return regressions of as many decoders as a network takes."""
    rng = np.random.default_rng(1)
    n_grids, n_bins = made.config.n_grids, made.bins.in_features
    return GridReference(rng.normal(0, 1e-2, (n_grids, n_bins)), rng.normal(0, 0.1, n_grids))


def test_an_untrained_network_hears_what_the_references_hear() -> None:
    """With the mask at 0.25 everywhere both linear heads equal their regressions."""
    audio, made = segments(3), network()
    standing = standing_features(audio)
    rng = np.random.default_rng(0)
    bin_weights = rng.normal(0, 1e-2, made.bins.in_features)
    with torch.no_grad():
        per_bin, comb, _, grid, coarse, rates, _ = made.all_branches(torch.from_numpy(audio)).T
    np.testing.assert_allclose(per_bin, standing @ bin_weights + 0.25, atol=2e-3)
    weights = made.comb.lags.weight.detach().numpy()[0]
    standard = (comb_features(standing) - made.comb.mean.numpy()) * made.comb.scale.numpy()
    np.testing.assert_allclose(comb, standard @ weights - 0.5, atol=2e-3)
    expected = grid_reference(made).logits(contrast_features(standing))
    np.testing.assert_allclose(grid, expected, atol=2e-3)
    weights = made.coarse.bins.weight.detach().double().numpy()[0]
    np.testing.assert_allclose(coarse, coarse_features(audio) @ weights + 0.1, atol=2e-3)
    expected = scaled_reference(len(frame_rates()) * N_PARTS, 1e-2).logits(
        rate_features(audio, standing)
    )
    np.testing.assert_allclose(rates, expected, atol=2e-3)


def test_no_head_counts_beyond_its_limit() -> None:
    """A comb, grid or frame-rate head or CNN that is sure to the utmost adds what it may."""
    audio, made = torch.from_numpy(segments(2)), network()
    made.fusion.copy_(torch.tensor([1.0, 0.2, 0.2, 0.5, 1.0, 0.5, -10.0]))
    with torch.no_grad():
        made.comb.lags.bias.fill_(100)
        made.cnn.out.bias.fill_(100)
        made.grid.grids.bias.fill_(100)
        made.rates.rises.bias.fill_(100)
        per_bin, comb, cnn, grid, coarse, rates, empty = made.all_branches(audio).T
        assert min(comb.min(), cnn.min(), grid.min(), rates.min()) > 90
        confirmed = torch.minimum(per_bin, coarse)
        expected = confirmed + 0.2 + 0.2 + 0.5 * 4 + coarse + 0.5 * 4 - 10 * empty
        np.testing.assert_allclose(made(audio), expected, atol=1e-5)


def test_one_resolution_confirms_the_other() -> None:
    """The per-bin head counts for no more than the coarse one, the coarse one for itself."""
    branches = torch.zeros(2, 7, dtype=torch.float64)
    branches[:, 0], branches[:, 4] = torch.tensor([5.0, -3.0]), torch.tensor([-1.0, 2.0])
    found = counted(branches)
    assert found[:, 0].tolist() == [-1.0, -3.0]
    assert found[:, 4].tolist() == [-1.0, 2.0]
    assert found.dtype == torch.float64


def test_empty_share_is_what_lies_above_a_cut_off() -> None:
    """A rate of 16 kHz leaves the bins from 8 to 13.5 kHz empty, whatever the level."""
    audio, made = segments(2), network()
    held = np.stack([narrow(row, 44_100, 16_000) for row in (*audio, *(0.1 * audio))])
    with torch.no_grad():
        whole = made.all_branches(torch.from_numpy(audio))[:, -1]
        part = made.all_branches(torch.from_numpy(held))[:, -1]
    np.testing.assert_allclose(whole, 0, atol=1e-6)
    np.testing.assert_allclose(part, (13.5 - 8) / 12.5, atol=0.05)


def test_a_network_takes_as_many_grids_as_it_has_places() -> None:
    """One decoder for five places is a mistake of the caller."""
    made = ArtifactNetwork()
    n_bins = made.bins.in_features
    with pytest.raises(ValueError, match="1 grids for 5 places"):
        made.grid.set(GridReference(np.zeros((1, n_bins)), np.zeros(1)))


def test_a_segments_logit_does_not_depend_on_its_batch() -> None:
    """Scored alone or among others, a segment gets the same logit to 1e-5."""
    audio, made = torch.from_numpy(segments(4)), network()
    with torch.no_grad():
        together = made(audio)
        alone = torch.cat([made(row[None]) for row in audio])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_exported_network_is_a_model_that_the_plugin_scores_with(tmp_path: Path) -> None:
    """Torch and the ONNX graph behind a detector agree to 1e-5, at any batch size."""
    audio, scaled = segments(3), Scaled(network(), 0.3, 1.5)
    card = {"model_id": "test", "version": "1", "licence": "MIT"}
    export_model(scaled, tmp_path / "test", card, Thresholds(0.5, 0.2))
    detector = Detector(find_model("test", [tmp_path]))
    found = detector.probabilities(SegmentBatch((audio,), np.zeros(3)))
    with torch.no_grad():
        expected = scaled(torch.from_numpy(audio)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    session = onnxruntime.InferenceSession(str(tmp_path / "test" / "model.onnx"))
    np.testing.assert_allclose(session.run(None, {"audio": audio})[0], expected, atol=1e-5)


def test_an_export_is_compared_on_what_it_is_given(tmp_path: Path) -> None:
    """It tells the largest difference, and one that is none of the network's is an error."""
    card = {"model_id": "test", "version": "1", "licence": "MIT"}
    made, audio = network(), segments(2)
    found = export_model(Scaled(made, 0.0, 1.0), tmp_path, card, Thresholds(0.5, 0.2), [audio])
    assert 0 < found < 1e-5
    other = Scaled(made, 0.1, 1.0)
    assert largest_difference(other, tmp_path / "model.onnx", [audio]) > 1e-3


def test_the_graph_carries_its_card(tmp_path: Path) -> None:
    """The metadata of the ONNX file holds the card, the file's own hash aside."""
    card = {"model_id": "test", "version": "1", "licence": "MIT", "aggregation": "tercile"}
    export_model(Scaled(network(), 0.0, 1.0), tmp_path, card, Thresholds(0.5, 0.2))
    graph = onnx.load(str(tmp_path / "model.onnx"))
    (prop,) = graph.metadata_props
    assert prop.key == "card"
    assert '"model_id": "test"' in prop.value
    assert '"segment_samples": 176400' in prop.value
    assert '"aggregation": "tercile"' in prop.value
