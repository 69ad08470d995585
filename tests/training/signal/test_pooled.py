"""What stands out of the mean of many frames, against SciPy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from beetsplug.artifactnet.training.choices import (
    CLIP_DB,
    N_SEGMENTS,
    SPEED_MARGIN_CLIP,
    SPEED_MARGIN_SONG,
    SPEED_REACH,
    SPEED_STEP,
)
from beetsplug.artifactnet.training.signal.pooled import (
    at_speeds,
    audible_frames,
    mean_frames,
    speed_margin,
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


FIRST_BIN, N_BINS, SPACING = 743, 9_288, 148.6
"""The band of the model, and 200 Hz in its bins."""


def _comb(spacing: float) -> np.ndarray:
    """Return lines two bins wide at the multiples of a spacing, in bins: (n_bins,)."""
    bins = np.arange(FIRST_BIN, FIRST_BIN + N_BINS)
    away = bins - spacing * np.rint(bins / spacing)
    return np.exp(-0.5 * np.square(away)).astype(np.float32)


@pytest.mark.parametrize("percent", [-1.5, -1.0, -0.47, 0.23, 0.5, 1.31])
def test_weights_move_along_with_the_lines_of_a_song_at_another_speed(percent: float) -> None:
    """The comb of 200 Hz weighs as much where the song was played a little faster or slower."""
    weights = _comb(SPACING)
    moved, unit = at_speeds(torch.from_numpy(weights), FIRST_BIN)
    other = _comb(SPACING * (1 + percent / 100))
    sums = other @ (moved * unit).numpy()
    assert sums.max() > 0.8 * (weights @ weights)
    assert weights @ other < 0.4 * (weights @ weights)
    n_steps = round(SPEED_REACH / SPEED_STEP)
    percents = [step * SPEED_STEP * 100 for step in range(-n_steps, n_steps + 1) if step]
    assert percents[int(sums.argmax())] == pytest.approx(percent, abs=SPEED_STEP * 100)


def test_weights_at_other_speeds_are_whole_numbers_of_a_byte() -> None:
    moved, _ = at_speeds(torch.from_numpy(RNG.normal(0, 1, 500).astype(np.float32)), 743)
    assert moved.abs().max() == 127
    np.testing.assert_array_equal(moved, moved.numpy().astype(np.int8))


def test_no_weight_lies_beyond_the_lines() -> None:
    """Of a song played faster, the lowest bins hold what the model never weighed."""
    moved, unit = at_speeds(torch.ones(200), FIRST_BIN)
    slow, fast = (moved * unit)[:, 0], (moved * unit)[:, -1]
    assert slow[-9:].tolist() == [0] * 9  # 943 bins, 1.5 % of it are 14
    assert fast[:9].tolist() == [0] * 9
    assert slow[100] == fast[100] == 1


def test_another_speed_needs_more_where_there_is_less_to_judge_by() -> None:
    margins = speed_margin(torch.tensor([1 / 21, 1 / N_SEGMENTS, 1 / 3, 1.0])).tolist()
    assert margins[0] == margins[1] == pytest.approx(SPEED_MARGIN_SONG)
    assert margins[1] < margins[2] < margins[3] == pytest.approx(SPEED_MARGIN_CLIP)
