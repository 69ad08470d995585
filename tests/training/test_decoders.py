"""Decoders of our own: that each is an autoencoder, and that pairs are pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training import corpus  # noqa: E402
from beetsplug.artifactnet.training.corpus import Clip  # noqa: E402
from beetsplug.artifactnet.training.dataset import CROP_SAMPLES, Crop, Dataset  # noqa: E402
from beetsplug.artifactnet.training.decoders import (  # noqa: E402
    DECODERS,
    Autoencoder,
    DecoderConfig,
    SubPixel,
    mix_in,
    resynthesise,
    resynthesise_at_rate,
)
from beetsplug.artifactnet.training.lyra import FRAME_SAMPLES  # noqa: E402
from beetsplug.artifactnet.training.network import NetworkConfig  # noqa: E402
from beetsplug.artifactnet.training.pairs import (  # noqa: E402
    LYRA,
    build_pairs,
    decoder_clips,
    fit_pairs,
)
from tests.support.audio_files import music  # noqa: E402

TINY = DecoderConfig(
    strides=(8, 8), channels=4, n_latents=4, n_steps=2, batch_size=2, crop_samples=4_096
)


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


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_gives_back_the_length_it_got(name: str) -> None:
    """At a length that is no multiple of the hop, and finite."""
    config = replace(DECODERS[name], channels=4, n_latents=4)
    samples = music(0.3)[:, 0][: config.hop * 2 + 17]
    again = resynthesise(Autoencoder(config).eval(), samples)
    assert again.shape == samples.shape
    assert np.isfinite(again).all()


def test_the_decoders_cover_the_frame_rates_of_generators() -> None:
    """From 10 to 86 frames a second, four kinds of upsampling, no grid twice."""
    rates = [config.frame_rate for config in DECODERS.values()]
    assert min(rates) < 13
    assert max(rates) > 86
    assert {c.upsampling for c in DECODERS.values()} == {
        *("transposed", "subpixel", "nearest", "istft")
    }
    assert len({(c.sample_rate, c.strides) for c in DECODERS.values()}) == len(DECODERS)


def test_a_sub_pixel_layer_lays_channels_out_in_time() -> None:
    """Sample ``stride * t + k`` of channel ``c`` is channel ``stride * c + k`` of frame t."""
    layer = SubPixel(3, 2, 4)
    frames = torch.randn(1, 3, 5)
    with torch.no_grad():
        inner, out = layer.conv(frames), layer(frames)
    assert out.shape == (1, 2, 20)
    assert out[0, 1, 4 * 3 + 2] == inner[0, 4 * 1 + 2, 3]


def test_a_quantised_latent_has_few_levels_and_passes_gradients() -> None:
    """Quarters from -1 to 1 on the way up, straight through on the way back."""
    model = Autoencoder(replace(TINY, latent="quantised"))
    latents: list[Any] = []
    model.decoder.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0]))
    found, cost = model.reconstruct(torch.randn(1, 1_024))
    quarters = 4 * latents[0].detach()
    torch.testing.assert_close(quarters, quarters.round())
    assert quarters.abs().max() <= 4
    found.square().sum().backward()
    assert float(cost) == 0
    first = next(model.parameters()).grad
    assert first is not None
    assert first.abs().sum() > 0


def test_a_gaussian_latent_costs_something_and_is_fixed_in_use() -> None:
    """Random in training alone."""
    model = Autoencoder(replace(TINY, latent="gaussian"))
    audio = torch.randn(1, 1_024)
    assert not torch.equal(model(audio), model(audio))
    assert float(model.reconstruct(audio)[1]) > 0
    assert torch.equal(model.eval()(audio), model(audio))


def test_what_a_lower_rate_cannot_hold_stays() -> None:
    """Above 16 kHz a decoder at 32 kHz changes nothing; below it does."""
    noise = np.random.default_rng(0).normal(0, 0.1, 44_100).astype(np.float32)
    model = Autoencoder(replace(TINY, sample_rate=32_000)).eval()
    change = np.abs(np.fft.rfft(resynthesise_at_rate(model, noise) - noise))
    assert change[17_000:].mean() < 0.01 * change[:15_000].mean()


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
    """Read back as made; a held-out row's pairs change nothing."""
    (made,) = build_pairs(dataset, tmp_path, {"tiny": TINY}, n_pairs=4)
    (again,) = build_pairs(dataset, tmp_path, {"tiny": TINY}, n_pairs=4)
    np.testing.assert_array_equal(made.standing, again.standing)
    assert {len(of) for of in (made.rows, made.standing, made.coarse, made.rates)} == {4}
    real = np.arange(len(dataset.crops))
    standing = np.random.default_rng(0).uniform(0, 5, (len(real), made.standing.shape[1]))
    held_out = made.rows[0]
    side = real != held_out
    grids = fit_pairs(
        real[side], standing[side].astype(np.float32), np.ones(side.sum()), [made]
    )
    spoilt = replace(made, standing=made.standing.copy())
    spoilt.standing[made.rows == held_out] = 5
    same = fit_pairs(
        real[side], standing[side].astype(np.float32), np.ones(side.sum()), [spoilt]
    )
    np.testing.assert_array_equal(grids.weights, same.weights)


def test_pairs_of_lyra_need_its_networks_until_they_are_there(
    dataset: Dataset, tmp_path: Path
) -> None:
    """A regression for each declared rate; read back as made."""
    pytest.importorskip("ai_edge_litert")
    from tests.training.lyra_networks import write_lyra

    some = {name: LYRA[name] for name in ("lyra-50", "lyra-100")}
    with pytest.raises(FileNotFoundError, match="pairs of Lyra are missing"):
        build_pairs(dataset, tmp_path, some, n_pairs=2)
    write_lyra(tmp_path)
    made = build_pairs(dataset, tmp_path, some, lyra=tmp_path, n_pairs=2)
    assert all(len(pairs.rows) == 2 for pairs in made)
    again = build_pairs(dataset, tmp_path, some)
    np.testing.assert_array_equal(made[1].rates, again[1].rates)
    real = np.unique(np.concatenate([pairs.rows for pairs in made]))
    standing = np.random.default_rng(0).uniform(0, 5, (len(real), made[0].standing.shape[1]))
    grids = fit_pairs(real, standing.astype(np.float32), np.ones(len(real)), made)
    assert len(grids.bias) == 2


def test_lyra_is_declared_at_rates_at_which_it_codes_music() -> None:
    """16 to 34 kHz, no two the same."""
    rates = {frame_rate * FRAME_SAMPLES for frame_rate in LYRA.values()}
    assert len(rates) == len(LYRA) == NetworkConfig().n_grids
    assert min(rates) >= 16_000
    assert max(rates) <= 34_000
