"""The regressions of the linear heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from threadpoolctl import threadpool_limits

from beetsplug.artifactnet.training.data.corpus import Split
from beetsplug.artifactnet.training.data.crop_features import Features
from beetsplug.artifactnet.training.data.dataset import Dataset
from beetsplug.artifactnet.training.fit.baseline import baseline_logits
from beetsplug.artifactnet.training.fit.regressions import Examples, fit_heads, fit_regression


def test_a_regression_is_the_same_on_any_number_of_threads() -> None:
    """To the last bit: whoever trains elsewhere starts from the same weights."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (600, 3_000)).astype(np.float32)
    labels = (features[:, :40].sum(1) > 0).astype(np.int64)
    weights = np.ones(len(labels))
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            found.append(fit_regression(features, labels, weights))
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


def test_two_heads_alone_learn_from_modules(dataset: Dataset, features: Features) -> None:
    """Marked as a module a clip changes coarse and frame-rate regression, and nothing else."""
    real = next(clip for clip in dataset.clips if not clip.label)
    rest = [clip for clip in dataset.clips if clip is not real]
    clips = tuple(replace(clip, is_module=clip is real) for clip in dataset.clips)
    marked = Dataset(clips, dataset.crops, dataset.samples)
    with_it = fit_heads(marked, features, marked.clips)
    without = fit_heads(dataset, features, rest)
    np.testing.assert_array_equal(with_it.bins.weights, without.bins.weights)
    np.testing.assert_array_equal(with_it.comb.weights, without.comb.weights)
    assert np.abs(with_it.coarse.weights - without.coarse.weights).max() > 1e-4
    assert np.abs(with_it.rates.weights - without.rates.weights).max() > 1e-4


def test_a_baseline_is_kept_and_tells_its_own_clips(dataset: Dataset, tmp_path: Path) -> None:
    """Of the clips that it was fitted to, generated ones lie above human-made ones."""
    split, rows = Split(dataset.clips, dataset.clips), np.arange(len(dataset.crops))
    found = baseline_logits(dataset, split, rows, tmp_path, tmp_path)
    assert found[dataset.labels == 1].mean() > found[dataset.labels == 0].mean() + 0.1
    no_samples = replace(dataset, samples=dataset.samples[:0])
    again = baseline_logits(no_samples, split, rows, tmp_path, tmp_path)
    np.testing.assert_array_equal(found, again)
