"""Mixes: what is heard in them, and that no fold hears half of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from beetsplug.artifactnet.training import corpus, mixes
from beetsplug.artifactnet.training.corpus import Clip
from beetsplug.artifactnet.training.dataset import CROP_SAMPLES, Crop, Dataset
from beetsplug.artifactnet.training.frame_rates import N_PARTS, frame_rates
from beetsplug.artifactnet.training.mixes import build_mixes, mix
from tests.audio_files import music

N_MIXES = 60


def clip(number: int, family: str = "") -> Clip:
    """Return a clip of its own track and source."""
    path, source = Path(f"{number}.wav"), f"s/{number}"
    return Clip(path, int(bool(family)), family, "", source, f"t{number}", 44_100)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Return real and generated crops of all folds, added ones, a module, and the demo's."""
    clips = [clip(number) for number in range(24)]
    families = ("Suno", "ACE-Step", "YuE", "MusicGen")
    clips += [clip(100 + number, family) for number, family in enumerate(families)]
    clips += [replace(clip(112), is_added=True)]
    clips += [replace(clip(113), is_added=True, is_module=True)]
    clips += [replace(clip(114), sample_rate=24_000)]
    clips += [replace(clip(115), source=corpus.DEMO_SOURCE)]
    seconds = CROP_SAMPLES / 44_100 + 0.01
    plain = np.stack([music(seconds, seed=i)[:CROP_SAMPLES, 0] for i in range(len(clips))])
    crops = tuple(
        Crop(number, 0, variant, clip.is_full_band)
        for variant in (0, 1)
        for number, clip in enumerate(clips)
    )
    return Dataset(tuple(clips), crops, (np.tile(plain, (2, 1)) * 20_000).astype(np.int16))


@pytest.fixture(scope="module")
def made(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> mixes.Mixes:
    """Return its mixes."""
    return build_mixes(dataset, tmp_path_factory.mktemp("mixes"), n_mixes=N_MIXES)


def test_the_second_is_heard_at_its_level() -> None:
    """6 dB over the first is twice its deviation, whatever level it came with."""
    rng = np.random.default_rng(0)
    first, second = (rng.normal(0, s, 50_000).astype(np.float32) for s in (0.02, 0.1))
    both = mix(first, second, 20 * np.log10(2))
    company = both - first
    assert company.std() == pytest.approx(2 * first.std(), rel=0.01)
    assert np.corrcoef(company, second)[0, 1] == pytest.approx(1, abs=1e-3)
    loud = mix(first * 20, second, 0.0)
    assert np.abs(loud).max() == pytest.approx(1)


def test_company_is_human_and_full_band(dataset: Dataset, made: mixes.Mixes) -> None:
    """Crops as the files are; added clips, modules and the demo's source are in none."""
    assert made.rows.shape == (N_MIXES, 2)
    assert made.rates.shape == (N_MIXES, len(frame_rates()) * N_PARTS)
    assert np.isfinite(made.rates).all()
    crops = [[dataset.crops[row] for row in rows] for rows in made.rows]
    assert not any(crop.variant for both in crops for crop in both)
    clips = [[dataset.clips[crop.clip] for crop in both] for both in crops]
    assert not any(c.is_added or c.is_module for both in clips for c in both)
    assert corpus.DEMO_SOURCE not in {c.source for both in clips for c in both}
    assert all(c.is_full_band and not c.label for _, c in clips)
    assert all(c.is_full_band or c.label for c, _ in clips)
    assert 0.3 < np.mean([c.label for c, _ in clips]) < 0.8


def test_every_training_hears_all_of_a_mix_or_nothing(
    dataset: Dataset, made: mixes.Mixes
) -> None:
    """Of no fold's training side, and not of the final one, one crop alone."""
    kept = [clip for clip in dataset.clips if clip.source != corpus.DEMO_SOURCE]
    calibration = {clip.source for clip in corpus.calibration_clips(kept)}
    final = [clip for clip in kept if clip.source not in calibration]
    sides = [split.train for split in corpus.split_folds(dataset.clips)]
    for training in (*sides, final):
        inside = np.isin(made.rows, dataset.rows(training))
        np.testing.assert_array_equal(inside[:, 0], inside[:, 1])
        heard = made.of(dataset.rows(training))
        np.testing.assert_array_equal(heard.rows, made.rows[inside[:, 0]])
        np.testing.assert_array_equal(heard.rates, made.rates[inside[:, 0]])
        assert 0 < len(heard.rows) < N_MIXES


def test_an_interrupted_run_goes_on(
    dataset: Dataset, made: mixes.Mixes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts, each with its own random numbers: what was made stays, the rest follows."""
    monkeypatch.setattr(mixes, "_PART", 4)
    whole = build_mixes(dataset, tmp_path / "whole", n_mixes=8)
    first = build_mixes(dataset, tmp_path / "halves", n_mixes=4)
    both = build_mixes(dataset, tmp_path / "halves", n_mixes=8)
    np.testing.assert_array_equal(whole.rows, both.rows)
    np.testing.assert_array_equal(whole.rates, both.rates)
    np.testing.assert_array_equal(first.rows, both.rows[:4])
    assert not np.array_equal(both.rows[:4], both.rows[4:])
    assert len(made.rows) == N_MIXES
