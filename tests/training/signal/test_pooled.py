"""What stands out of the mean of many frames, against SciPy and NumPy."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from beetsplug.artifactnet.training.choices import CLIP_DB
from beetsplug.artifactnet.training.signal.pooled import (
    audible_frames,
    mean_frames,
    standing,
    standing_lines,
)

RNG = np.random.default_rng(0)


def test_standing_is_what_rises_above_the_mean_of_17_bins() -> None:
    levels = RNG.normal(0, 10, (2, 3, 200)).astype(np.float32)
    expected = np.maximum(levels - uniform_filter1d(levels, 17, axis=2, mode="nearest"), 0)
    np.testing.assert_allclose(standing(torch.from_numpy(levels)), expected, atol=1e-4)


def test_lines_rise_above_the_lowest_of_three_bins() -> None:
    means = 5 * RNG.random((4, 100)).astype(np.float32)
    lowest = minimum_filter1d(means, 3, axis=1, mode="nearest")
    expected = np.minimum(means - lowest, CLIP_DB)
    assert (expected == CLIP_DB).any()
    np.testing.assert_array_equal(standing_lines(torch.from_numpy(means)), expected)


def test_the_song_is_the_mean_of_all_frames_that_count() -> None:
    values = RNG.random((3, 5, 10)).astype(np.float32)
    frames = np.array([[1, 1, 0, 1, 0], [0] * 5, [1] * 5], np.float32)
    found = mean_frames(torch.from_numpy(values), torch.from_numpy(frames)).numpy()
    kept = frames.astype(bool)
    np.testing.assert_allclose(found[0], values[kept].mean(0), rtol=1e-5)
    np.testing.assert_allclose(found[1], values[0][kept[0]].mean(0), rtol=1e-5)
    assert not found[2].any()  # no frame of the second segment counts


def test_frames_below_minus_60_db_do_not_count() -> None:
    audio = np.zeros((1, 40), np.float32)
    audio[0, 5], audio[0, 33] = 2e-3, 5e-4
    frames = audible_frames(torch.from_numpy(audio), n_fft=8, hop_length=4)
    expected = [np.abs(audio[0, i : i + 8]).max() >= 1e-3 for i in range(0, 33, 4)]
    assert frames[0].bool().tolist() == expected
    assert any(expected)
    assert not all(expected)
