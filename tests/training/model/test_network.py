"""The network as a whole: what an untrained one is, and that ONNX gives the same."""

from __future__ import annotations

import json
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
from beetsplug.artifactnet.training.choices import BRANCHES, SEGMENT_SAMPLES  # noqa: E402
from beetsplug.artifactnet.training.data.augment import narrow  # noqa: E402
from beetsplug.artifactnet.training.model.export import (  # noqa: E402
    Scaled,
    export_model,
    largest_difference,
    odd_segments,
)
from beetsplug.artifactnet.training.model.network import ArtifactNetwork  # noqa: E402
from beetsplug.artifactnet.training.model.weights import (  # noqa: E402
    GridRegressions,
    HeadWeights,
    Regression,
    ScaledRegression,
)
from beetsplug.artifactnet.training.signal.features import (  # noqa: E402
    coarse_features,
    comb_features,
    contrast_features,
    standing_features,
)
from beetsplug.artifactnet.training.signal.frame_rates import (  # noqa: E402
    N_PARTS,
    frame_rates,
    rate_features,
)

GOLDEN = Path(__file__).with_name("seeded_network.json")


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
    made = ArtifactNetwork().eval()
    fitted = head_weights(made, seed)
    made.start_heads(fitted)
    made.set_heads(fitted)
    return made


def head_weights(made: ArtifactNetwork, seed: int = 0) -> HeadWeights:
    """Return random regressions of the sizes of a network's heads."""
    rng = np.random.default_rng(seed)
    n_bins = made.bins.in_features
    bins = Regression(rng.normal(0, 1e-2, n_bins), 0.25)
    coarse = Regression(rng.normal(0, 1e-2, made.coarse.bins.in_features), 0.1)
    rng = np.random.default_rng(1)
    n_grids = made.config.n_grids
    return HeadWeights(
        bins,
        scaled_regression(made.comb.lags.in_features, 1e-1),
        coarse,
        scaled_regression(len(frame_rates()) * N_PARTS, 1e-2),
        GridRegressions(rng.normal(0, 1e-2, (n_grids, n_bins)), rng.normal(0, 0.1, n_grids)),
    )


def scaled_regression(n_features: int, spread: float) -> ScaledRegression:
    """Return a regression on so many features, its weights of that spread."""
    rng = np.random.default_rng(2)
    return ScaledRegression(
        rng.normal(0, spread, n_features),
        -0.5,
        rng.normal(0, 0.1, n_features).astype(np.float32),
        rng.uniform(0.5, 2, n_features).astype(np.float32),
    )


def logits_of(made: ArtifactNetwork, audio: np.ndarray) -> dict[str, np.ndarray]:
    """Return the logits of every branch on segments."""
    with torch.no_grad():
        logits = made.logits(made.spectra(torch.from_numpy(audio)))
    return {name: values.numpy() for name, values in logits.items()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scaled, Path, float]:
    """Return a network, the folder of its model, and how far the two differ."""
    scaled, folder = Scaled(network(), 0.3, 1.5), tmp_path_factory.mktemp("test") / "test"
    card = {"model_id": "test", "version": "1", "licence": "MIT", "aggregation": "tercile"}
    found = export_model(scaled, folder, card, Thresholds(0.5, 0.2), [segments(2)])
    return scaled, folder, found


def test_the_logits_are_those_of_the_branches() -> None:
    """One for each row of the table, in its order."""
    names = [branch.name for branch in BRANCHES]
    assert list(logits_of(network(), segments(1))) == names


def test_an_untrained_network_is_its_regressions() -> None:
    """With the mask at 0.25 everywhere every linear head equals its regression."""
    audio, made = segments(3), network()
    standing, fitted, found = (
        standing_features(audio),
        head_weights(made),
        logits_of(made, audio),
    )
    expected = {
        "per-bin": fitted.bins.logits(standing),
        "comb": fitted.comb.logits(comb_features(standing)),
        "grid": fitted.grids.logits(contrast_features(standing)),
        "coarse": fitted.coarse.logits(coarse_features(audio)),
        "frame-rate": fitted.rates.logits(rate_features(audio, standing)),
    }
    for name, logits in expected.items():
        np.testing.assert_allclose(found[name], logits, atol=2e-3, err_msg=name)


def test_weights_are_read_back_as_saved(tmp_path: Path) -> None:
    """Every array of every head."""
    fitted = head_weights(network())
    fitted.save(tmp_path / "heads.npz")
    again = HeadWeights.load(tmp_path / "heads.npz")
    for head, regression in vars(fitted).items():
        for name, values in vars(regression).items():
            np.testing.assert_array_equal(values, getattr(getattr(again, head), name))


def test_a_seeded_network_stays_what_it_was(exported: tuple[Scaled, Path, float]) -> None:
    """Branches, logits and the exported graph's output are those of the network behind 2.1."""
    known = json.loads(GOLDEN.read_text())
    audio = np.concatenate([segments(3), odd_segments()])
    scaled, folder, _ = exported
    found = np.stack([*logits_of(scaled.network, audio).values()], 1)
    np.testing.assert_allclose(found, known["branches"], atol=1e-4)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    probabilities = session.run(None, {"audio": audio})[0]
    np.testing.assert_allclose(probabilities, known["probabilities"], atol=1e-5)


def test_empty_share_is_what_lies_above_a_cut_off() -> None:
    """A rate of 16 kHz leaves the bins from 8 to 13.5 kHz empty, whatever the level."""
    audio, made = segments(2), network()
    held = np.stack([narrow(row, 44_100, 16_000) for row in (*audio, *(0.1 * audio))])
    whole, part = (logits_of(made, some)["empty share"] for some in (audio, held))
    np.testing.assert_allclose(whole, 0, atol=1e-6)
    np.testing.assert_allclose(part, (13.5 - 8) / 12.5, atol=0.05)


def test_a_network_takes_as_many_grids_as_it_has_places() -> None:
    """One decoder for five places is a mistake of the caller."""
    made = ArtifactNetwork()
    n_bins = made.bins.in_features
    with pytest.raises(ValueError, match="1 grids for 5 places"):
        made.grid.set(GridRegressions(np.zeros((1, n_bins)), np.zeros(1)))


def test_a_segments_logit_does_not_depend_on_its_batch() -> None:
    """Scored alone or among others, a segment gets the same logit to 1e-5."""
    audio, made = torch.from_numpy(segments(4)), network()
    with torch.no_grad():
        together = made(audio)
        alone = torch.cat([made(row[None]) for row in audio])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_exported_network_is_a_model_that_the_plugin_scores_with(
    exported: tuple[Scaled, Path, float],
) -> None:
    """Torch and the ONNX graph behind a detector agree to 1e-5, at any batch size."""
    scaled, folder, difference = exported
    audio = segments(3)
    detector = Detector(find_model("test", [folder.parent]))
    found = detector.probabilities(SegmentBatch((audio,), np.zeros(3)))
    with torch.no_grad():
        expected = scaled(torch.from_numpy(audio)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert 0 < difference < 1e-5
    other = Scaled(scaled.network, 0.1, 1.0)
    assert largest_difference(other, folder / "model.onnx", [audio]) > 1e-3


def test_the_graph_carries_its_card(exported: tuple[Scaled, Path, float]) -> None:
    """The metadata of the ONNX file holds the card, the file's own hash aside."""
    graph = onnx.load(str(exported[1] / "model.onnx"))
    (prop,) = graph.metadata_props
    card = json.loads(prop.value)
    assert prop.key == "card"
    assert (card["model_id"], card["aggregation"]) == ("test", "tercile")
    assert card["input"]["segment_samples"] == SEGMENT_SAMPLES
    assert "files" not in card
