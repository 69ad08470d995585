"""The training, end to end, on a handful of clips that the test makes."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from threadpoolctl import threadpool_limits  # noqa: E402

from beetsplug.artifactnet.models.store import open_model  # noqa: E402
from beetsplug.artifactnet.scoring.detector import Detector  # noqa: E402
from beetsplug.artifactnet.scoring.segments import SegmentBatch  # noqa: E402
from beetsplug.artifactnet.training import evaluate, recipe  # noqa: E402
from beetsplug.artifactnet.training.augment import (  # noqa: E402
    aac,
    library_chain,
    mp3,
    narrow,
    opus,
    vorbis,
)
from beetsplug.artifactnet.training.calibration import Calibrated  # noqa: E402
from beetsplug.artifactnet.training.corpus import Split, read_manifest  # noqa: E402
from beetsplug.artifactnet.training.dataset import (  # noqa: E402
    Dataset,
    build_dataset,
    sample_weights,
)
from beetsplug.artifactnet.training.folds import Material, judge_fold  # noqa: E402
from beetsplug.artifactnet.training.fusion import fuse  # noqa: E402
from beetsplug.artifactnet.training.pairs import LYRA, Pairs  # noqa: E402
from beetsplug.artifactnet.training.programs import FOLD_MODEL, fold_folder  # noqa: E402
from beetsplug.artifactnet.training.reference import fit_reference  # noqa: E402
from beetsplug.artifactnet.training.train import (  # noqa: E402
    Examples,
    TrainConfig,
    cached_features,
    fit_references,
    train,
)
from tests.support.audio_files import music  # noqa: E402

COLUMNS = (
    *("file", "label", "kind", "generator", "family", "track", "source"),
    *("sample_rate", "skip_s", "seconds"),
)


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a corpus of six clips: the AI ones carry a comb at 172 Hz."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number in range(6):
        label = "ai" if number % 2 else "real"
        samples = music(4.6, seed=number)[:, 0]
        if label == "ai":
            samples[::256] += 0.05
        name = f"{number}.flac"
        soundfile.write(folder / name, samples, 44_100)
        family = f"family {number}" if label == "ai" else "real"
        values = (name, label, label, "", family, f"t{number}", f"s/{number}", 44_100, 0.1, 4.6)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def dataset(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the cached crops of the corpus."""
    return build_dataset(read_manifest(corpus_folder), tmp_path_factory.mktemp("work"))


def test_every_clip_gives_a_plain_crop_and_its_variants(dataset: Dataset) -> None:
    """Six clips give 24 crops, a quarter of them plain, none of them silent."""
    assert len(dataset.crops) == 24
    assert sum(crop.variant == 0 for crop in dataset.crops) == 6
    assert (np.abs(dataset.samples).max(axis=1) > 300).all()


def test_both_classes_are_drawn_alike(dataset: Dataset) -> None:
    """Within a band the two classes have the same weight."""
    rows = np.arange(len(dataset.crops))
    weights = sample_weights(dataset, rows)
    full_band = np.array([crop.is_full_band for crop in dataset.crops])
    ai, real = (weights[full_band & (dataset.labels == label)].sum() for label in (1, 0))
    assert ai == pytest.approx(real)
    assert weights.sum() == pytest.approx(1)


def test_an_interrupted_training_goes_on_where_it_stopped(
    dataset: Dataset, tmp_path: Path
) -> None:
    """In one sitting and in three the network is the same, to the last bit."""
    features = cached_features(dataset, tmp_path)
    references = fit_references(dataset, features, dataset.clips)
    config = TrainConfig(n_segments=12, batch_size=4, checkpoint_steps=1)
    whole = train(dataset, dataset.clips, references, tmp_path / "whole", config)
    parts = tmp_path / "parts"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(_StopsAfter(dataset, 1), dataset.clips, references, parts, config)
    assert len((parts / "log.jsonl").read_text().splitlines()) == 2
    resumed = train(dataset, dataset.clips, references, parts, config)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_network_is_the_same_on_any_number_of_threads(
    dataset: Dataset, tmp_path: Path
) -> None:
    """As the features before it and its logits, to the last bit.

    And whoever called goes on with as many threads as before.
    """
    before = torch.get_num_threads()
    config = TrainConfig(n_segments=4, batch_size=4)
    features, networks, logits = [], [], []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            folder = tmp_path / str(n_threads)
            folder.mkdir()
            features.append(cached_features(dataset, folder))
            references = fit_references(dataset, features[-1], dataset.clips)
            networks.append(train(dataset, dataset.clips, references, folder, config))
            logits.append(evaluate.branch_logits(networks[-1], dataset.samples))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    for name, values in vars(features[0]).items():
        np.testing.assert_array_equal(values, getattr(features[1], name), name)
    for name, value in networks[0].state_dict().items():
        assert torch.equal(value, networks[1].state_dict()[name]), name
    np.testing.assert_array_equal(logits[0], logits[1])


def test_a_regression_is_the_same_on_any_number_of_threads() -> None:
    """To the last bit: whoever trains elsewhere starts from the same weights."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (600, 3_000)).astype(np.float32)
    labels = (features[:, :40].sum(1) > 0).astype(np.int64)
    weights = np.ones(len(labels))
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            found.append(fit_reference(features, labels, weights))
    np.testing.assert_array_equal(found[0].weights, found[1].weights)
    assert found[0].bias == found[1].bias


def test_real_examples_weigh_more() -> None:
    """So many times as much as generated ones; all together as before."""
    labels = np.array([0, 1, 0, 1, 1])
    before = Examples(np.zeros((5, 2), np.float32), labels, np.array([1.0, 2.0, 3.0, 0.5, 1.5]))
    after = before.with_heavier_real(4.0)
    np.testing.assert_allclose(after.weights, [1.6, 0.8, 4.8, 0.2, 0.6])
    assert after.weights.sum() == pytest.approx(before.weights.sum())
    np.testing.assert_array_equal(before.with_heavier_real(1.0).weights, before.weights)


def test_a_run_hears_real_segments_by_their_weight(dataset: Dataset, tmp_path: Path) -> None:
    """The per-bin head's loss is weighed, those of comb head and CNN are not."""
    references = fit_references(dataset, cached_features(dataset, tmp_path), dataset.clips)
    losses = {}
    for weight in (1.0, 16.0):
        config = TrainConfig(n_segments=8, batch_size=8, bin_dropout=0, real_weight=weight)
        folder = tmp_path / f"{weight}"
        train(dataset, dataset.clips, references, folder, config)
        losses[weight] = json.loads((folder / "log.jsonl").read_text())
    assert losses[1.0]["loss_bins"] != losses[16.0]["loss_bins"]
    assert losses[1.0]["loss_comb"] == losses[16.0]["loss_comb"]
    assert losses[1.0]["loss_cnn"] == losses[16.0]["loss_cnn"]


def test_a_module_teaches_two_heads_alone(dataset: Dataset, tmp_path: Path) -> None:
    """Marked as a module a clip changes coarse and frame-rate regression, and nothing else."""
    features = cached_features(dataset, tmp_path)
    real = next(clip for clip in dataset.clips if not clip.label)
    rest = [clip for clip in dataset.clips if clip is not real]
    clips = tuple(replace(clip, is_module=clip is real) for clip in dataset.clips)
    marked = Dataset(clips, dataset.crops, dataset.samples)
    with_it = fit_references(marked, features, marked.clips)
    without = fit_references(dataset, features, rest)
    np.testing.assert_array_equal(with_it.bins.weights, without.bins.weights)
    np.testing.assert_array_equal(with_it.comb.weights, without.comb.weights)
    assert np.abs(with_it.coarse.weights - without.coarse.weights).max() > 1e-4
    assert np.abs(with_it.rates.weights - without.rates.weights).max() > 1e-4
    config = TrainConfig(n_segments=4, batch_size=4)
    first = train(marked, marked.clips, without, tmp_path / "marked", config)
    second = train(dataset, rest, without, tmp_path / "rest", config)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_fold_is_a_model_of_its_own(dataset: Dataset, tmp_path: Path) -> None:
    """What the plugin scores with it is what the fold was judged by, at the final slope."""
    ai, *others = (clip for clip in dataset.clips if clip.label)
    real, *more = (clip for clip in dataset.clips if not clip.label)
    split = Split((*others, *more), (ai, real))
    features = cached_features(dataset, tmp_path)
    rows = dataset.rows(more, plain=True)
    rng = np.random.default_rng(0)
    shape = (len(rows), features.standing.shape[1])
    pairs = [
        Pairs(
            rows=rows,
            standing=rng.uniform(0, 1, shape).astype(np.float32),
            coarse=features.coarse[rows] + np.float32(0.1),
            rates=features.rates[rows] + np.float32(0.1),
        )
        for _ in LYRA
    ]
    material = Material(dataset, features, pairs)
    config = TrainConfig(n_segments=8, batch_size=4)
    fold = judge_fold(material, split, fold_folder(tmp_path, 0), config)
    calibrated = Calibrated(ai=0.4, unsure=-0.6, slope=0.5, rates={})

    recipe.export_folds(material, [fold], calibrated, tmp_path, config)

    folder = fold_folder(tmp_path, 0) / FOLD_MODEL
    model = open_model(folder / "model.onnx")
    assert model.card.label == f"finecomb-{recipe.VERSION}-fold-0"
    assert model.card.thresholds == calibrated.thresholds
    batch = SegmentBatch((dataset.segments(fold.rows),), np.zeros(len(fold.rows)))
    expected = [calibrated.score(logit) for logit in fuse(fold.branches)]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(Detector(model).probabilities(batch), expected, atol=1e-5)


class _StopsAfter(Dataset):
    """A dataset whose samples cannot be read after some batches: a run that is stopped."""

    def __init__(self, dataset: Dataset, n_batches: int) -> None:
        samples = _Interrupting(dataset.samples, n_batches * 4)
        super().__init__(dataset.clips, dataset.crops, samples)  # type: ignore[arg-type]


class _Interrupting:
    def __init__(self, samples: np.ndarray, n_reads: int) -> None:
        self.samples, self.n_left = samples, n_reads

    def __getitem__(self, key: tuple[int, slice]) -> np.ndarray:
        if self.n_left == 0:
            raise KeyboardInterrupt
        self.n_left -= 1
        return self.samples[key]


@pytest.mark.parametrize(
    "round_trip",
    [
        lambda x: mp3(x, 44_100, level=0.3),
        lambda x: vorbis(x, 44_100, level=0.3),
        lambda x: opus(x, 44_100, level=0.7),
        lambda x: aac(x, 44_100, bit_rate=128_000),
    ],
    ids=["mp3", "vorbis", "opus", "aac"],
)
def test_a_codec_round_trip_is_still_the_music(round_trip: object) -> None:
    """What comes back correlates with what went in, at the delay that a codec has."""
    samples = music(1.5)[:, 0]
    back = round_trip(samples)  # type: ignore[operator]
    n = min(len(back), len(samples)) // 2
    spectrum = np.fft.rfft(back[:n], 4 * n) * np.conj(np.fft.rfft(samples[:n], 4 * n))
    peak = np.fft.irfft(spectrum).max()
    energy = np.sqrt(np.sum(back[:n] ** 2) * np.sum(samples[:n] ** 2))
    assert peak / energy > 0.9


def test_the_library_chain_keeps_the_length_and_is_seeded() -> None:
    """Same seed, same audio; whatever is drawn, the length stays."""
    samples = music(1.0)[:, 0]
    for seed in range(8):
        once, again = (
            library_chain(samples, 44_100, np.random.default_rng(seed)) for _ in range(2)
        )
        np.testing.assert_array_equal(once, again)
        assert len(once) == len(samples)


def test_narrowing_removes_what_the_band_cannot_hold() -> None:
    """Through 16 kHz nothing is left above 8 kHz."""
    noise = np.random.default_rng(0).normal(0, 0.1, 44_100).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(narrow(noise, 44_100, 16_000)))
    assert spectrum[8_500:].max() < 1e-2 * spectrum[:7_000].mean()


def test_the_threshold_lets_through_what_the_rate_allows() -> None:
    """At 1 % of 300 real tracks three are flagged, at 5 % fifteen, at 0 none."""
    logits = np.random.default_rng(0).permutation(np.arange(300)).astype(float)
    for rate, n_flagged in ((0.01, 3), (0.05, 15), (0.0, 0)):
        threshold = evaluate.threshold_at(list(logits), rate)
        assert int(np.sum(logits >= threshold)) == n_flagged


def test_songs_of_three_segments(dataset: Dataset) -> None:
    """A track is judged by as many segments as are asked for, or not at all."""
    clips = [replace(clip, source="one", track="one") for clip in dataset.clips]
    one_track = replace(dataset, clips=tuple(clips))

    def logits_of(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return rows.astype(np.float64)

    plain = one_track.rows(clips, plain=True)
    (judged,) = evaluate.judge_songs(one_track, clips, logits_of, "mean", n_segments=2)
    assert judged.logit == (plain[0] + plain[-1]) / 2
    n_too_many = len(plain) + 1
    assert not evaluate.judge_songs(one_track, clips, logits_of, "mean", n_segments=n_too_many)
