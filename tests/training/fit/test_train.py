"""Training runs on a handful of clips that the test makes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training.choices import TrainConfig  # noqa: E402
from beetsplug.artifactnet.training.data.crop_features import Features, cached_features  # noqa: E402
from beetsplug.artifactnet.training.data.dataset import Dataset  # noqa: E402
from beetsplug.artifactnet.training.fit.judging import branch_logits  # noqa: E402
from beetsplug.artifactnet.training.fit.regressions import fit_heads  # noqa: E402
from beetsplug.artifactnet.training.fit.train import train  # noqa: E402


def test_an_interrupted_training_goes_on_where_it_stopped(
    dataset: Dataset, features: Features, tmp_path: Path
) -> None:
    """In one sitting and in three the network is the same, to the last bit."""
    heads = fit_heads(dataset, features, dataset.clips)
    config = TrainConfig(n_segments=12, batch_size=4, checkpoint_steps=1)
    whole = train(dataset, dataset.clips, heads, tmp_path / "whole", config)
    parts = tmp_path / "parts"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(_StopsAfter(dataset, 1), dataset.clips, heads, parts, config)
    assert len((parts / "log.jsonl").read_text().splitlines()) == 2
    resumed = train(dataset, dataset.clips, heads, parts, config)
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
            heads = fit_heads(dataset, features[-1], dataset.clips)
            networks.append(train(dataset, dataset.clips, heads, folder, config))
            logits.append(branch_logits(networks[-1], dataset.samples))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    for name, values in vars(features[0]).items():
        np.testing.assert_array_equal(values, getattr(features[1], name), name)
    for name, value in networks[0].state_dict().items():
        assert torch.equal(value, networks[1].state_dict()[name]), name
    np.testing.assert_array_equal(logits[0], logits[1])


def test_real_segments_weigh_more_in_a_run(
    dataset: Dataset, features: Features, tmp_path: Path
) -> None:
    """The per-bin head's loss is weighed, those of comb head and CNN are not."""
    heads = fit_heads(dataset, features, dataset.clips)
    losses = {}
    for weight in (1.0, 16.0):
        config = TrainConfig(n_segments=8, batch_size=8, bin_dropout=0, real_weight=weight)
        folder = tmp_path / f"{weight}"
        train(dataset, dataset.clips, heads, folder, config)
        losses[weight] = json.loads((folder / "log.jsonl").read_text())
    assert losses[1.0]["loss_bins"] != losses[16.0]["loss_bins"]
    assert losses[1.0]["loss_comb"] == losses[16.0]["loss_comb"]
    assert losses[1.0]["loss_cnn"] == losses[16.0]["loss_cnn"]


def test_modules_take_no_part_in_a_run(
    dataset: Dataset, features: Features, tmp_path: Path
) -> None:
    """A clip that is marked as a module changes nothing that is trained."""
    real = next(clip for clip in dataset.clips if not clip.label)
    rest = [clip for clip in dataset.clips if clip is not real]
    clips = tuple(replace(clip, is_module=clip is real) for clip in dataset.clips)
    marked = Dataset(clips, dataset.crops, dataset.samples)
    without = fit_heads(dataset, features, rest)
    config = TrainConfig(n_segments=4, batch_size=4)
    first = train(marked, marked.clips, without, tmp_path / "marked", config)
    second = train(dataset, rest, without, tmp_path / "rest", config)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


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
