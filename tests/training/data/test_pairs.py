"""Pairs of real music and its re-synthesis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("ai_edge_litert")

from beetsplug.artifactnet.training.choices import CROP_SAMPLES, LYRA_FRAME_RATES
from beetsplug.artifactnet.training.data import corpus
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.data.dataset import Crop, Dataset
from beetsplug.artifactnet.training.data.lyra import FRAME_SAMPLES
from beetsplug.artifactnet.training.data.pairs import (
    build_pairs,
    decoder_clips,
    mix_in,
)
from beetsplug.artifactnet.training.fit.regressions import fit_pairs
from tests.support.audio_files import music
from tests.training.data.lyra_networks import write_lyra


def clip(number: int, source: str, label: int = 0) -> Clip:
    """Return a full-band clip of its own track."""
    family = "family" if label else ""
    return Clip(Path(f"{number}.wav"), label, family, "", source, f"t{number}", 44_100)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Return eight real crops of eight sources, and one of the demo's source."""
    clips = [clip(i, f"s/{i}") for i in range(8)] + [clip(8, corpus.DEMO_SOURCE)]
    seconds = CROP_SAMPLES / 44_100 + 0.01
    samples = [music(seconds, seed=i)[:CROP_SAMPLES, 0] for i in range(len(clips))]
    crops = tuple(Crop(i, 0, 0, is_full_band=True) for i in range(len(clips)))
    return Dataset(tuple(clips), crops, (np.stack(samples) * 20_000).astype(np.int16))


def test_a_share_of_the_resynthesis_is_that_share_of_the_change() -> None:
    """At 0 the original, at 1 the re-synthesis."""
    a, b = np.zeros(4, np.float32), np.ones(4, np.float32)
    for share in (0.0, 0.3, 1.0):
        np.testing.assert_allclose(mix_in(a, b, share), share)


def test_decoders_hear_neither_demo_nor_calibration_music(dataset: Dataset) -> None:
    """Nor anything that is not real."""
    clips = [*dataset.clips, clip(9, "s/ai", 1)]
    heard = {c.source for c in decoder_clips(clips)}
    kept = [c for c in clips if c.source != corpus.DEMO_SOURCE]
    assert heard.isdisjoint({c.source for c in corpus.calibration_clips(kept)})
    assert heard.isdisjoint({corpus.DEMO_SOURCE, "s/ai"})
    assert heard


def test_pairs_are_kept_and_fitted_on_their_own_side(dataset: Dataset, tmp_path: Path) -> None:
    """Read back as made, without the networks; a held-out row's pairs change nothing."""
    some = {name: LYRA_FRAME_RATES[name] for name in ("lyra-50", "lyra-100")}
    with pytest.raises(FileNotFoundError, match="pairs of Lyra are missing"):
        build_pairs(dataset, tmp_path, some, n_pairs=3)
    write_lyra(tmp_path)
    made = build_pairs(dataset, tmp_path, some, lyra=tmp_path, n_pairs=3)
    again = build_pairs(dataset, tmp_path, some)
    for one, other in zip(made, again, strict=True):
        for name, values in vars(one).items():
            assert len(values) == 3
            np.testing.assert_array_equal(values, getattr(other, name))
    real = np.arange(len(dataset.crops))
    shape = (len(real), made[0].standing.shape[1])
    standing = np.random.default_rng(0).uniform(0, 5, shape).astype(np.float32)
    held_out = made[0].rows[0]
    side = real != held_out
    fitted = fit_pairs(real[side], standing[side], np.ones(side.sum()), made)
    spoilt = replace(made[0], standing=made[0].standing.copy())
    spoilt.standing[made[0].rows == held_out] = 5
    same = fit_pairs(real[side], standing[side], np.ones(side.sum()), [spoilt, made[1]])
    np.testing.assert_array_equal(fitted.weights, same.weights)
    assert len(fitted.bias) == 2


def test_lyra_is_declared_at_rates_at_which_it_codes_music() -> None:
    """16 to 34 kHz, no two the same."""
    rates = {frame_rate * FRAME_SAMPLES for frame_rate in LYRA_FRAME_RATES.values()}
    assert len(rates) == len(LYRA_FRAME_RATES)
    assert min(rates) >= 16_000
    assert max(rates) <= 34_000
