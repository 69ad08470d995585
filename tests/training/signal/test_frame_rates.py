"""Combs of frame rates: what stands where in both spectra, and against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from beetsplug.artifactnet.training.signal import frame_rates  # noqa: E402
from beetsplug.artifactnet.training.signal.features import standing_features  # noqa: E402
from beetsplug.artifactnet.training.signal.frame_rates import (  # noqa: E402
    N_PARTS,
    ModulationSpectrum,
    line_combs,
    modulation_combs,
    modulation_features,
    rate_features,
)

N_SAMPLES = 176_400
BIN_HZ = 44_100 / 32 / 8_192
N_BANDS = 4

Array = NDArray[np.float32]


def noise(seed: int = 0) -> Array:
    """Return four seconds of white noise, -20 dB."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(N_SAMPLES)).astype(np.float32)


def uneven_frames(hop: int) -> Array:
    """Return noise in frames of ``hop`` samples, each eighth of them of a level of its own."""
    levels = np.random.default_rng(1).uniform(0.5, 1.5, 8)
    eighth = 8 * (np.arange(N_SAMPLES) % hop) // hop
    return noise() * levels[eighth].astype(np.float32)


def features_of(audio: Array) -> Array:
    """Return the features (n_rates, n_parts) of one segment."""
    found = rate_features(audio[None], standing_features(audio[None]))
    return found.reshape(-1, N_PARTS)


@pytest.mark.parametrize(
    ("sample_rate", "hop"),
    [(44_100, 2_048), (44_100, 768), (48_000, 1_920), (32_000, 640), (24_000, 320)],
)
def test_rates_of_decoders_in_use_are_there(sample_rate: int, hop: int) -> None:
    """Hops of published codecs and VAEs are products of small strides."""
    assert round(sample_rate / hop, 4) in frame_rates.frame_rates()


def test_rates_keep_to_their_range_and_to_small_strides() -> None:
    """Rising, from 12 to 112 Hz; a hop with a factor of 11 is nobody's."""
    rates = frame_rates.frame_rates()
    assert list(rates) == sorted(set(rates))
    assert rates[0] >= 12
    assert rates[-1] <= 112
    assert round(44_100 / (11 * 64), 4) not in rates


def test_modulation_spectrum_is_numpys() -> None:
    """Short STFT, log power, transform of each bin's level, mean over a band: in float64."""
    audio = uneven_frames(882)
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), 128)[::32]
    cells = np.fft.rfft(frames * np.hanning(129)[:-1])[:, 3:40:2].T
    levels = np.log(np.abs(cells) ** 2 + 3e-10 * 128)
    levels = np.clip(levels - levels.mean(1, keepdims=True), -4, 4)
    levels *= np.hanning(len(frames) + 1)[:-1]
    power = np.abs(np.fft.rfft(levels, 8_192)[:, :4_096]) ** 2
    bands = np.stack([part.mean(0) for part in np.split(power, np.cumsum([5, 5, 5]))])
    in_db = 10 * np.log10(bands + 1e-3)
    padded = np.pad(in_db, ((0, 0), (24, 24)), mode="edge")
    ground = np.stack([np.convolve(row, np.full(49, 1 / 49), "valid") for row in padded])
    expected = np.clip(in_db - ground, -4, 6)
    found = ModulationSpectrum(N_SAMPLES)(torch.from_numpy(audio)[None])
    np.testing.assert_allclose(found[0], expected, atol=2e-3)


def test_modulation_spectrum_is_the_features() -> None:
    """What the network computes is what its regression was fitted to."""
    audio = np.stack([noise(), uneven_frames(512), np.zeros(N_SAMPLES, np.float32)])
    found = ModulationSpectrum(N_SAMPLES)(torch.from_numpy(audio))
    np.testing.assert_allclose(found, modulation_features(audio), atol=1e-3)
    np.testing.assert_array_equal(found[2], 0)
    as_int16 = modulation_features(np.round(audio[:2] * 32767).astype(np.int16))
    np.testing.assert_allclose(found[:2], as_int16, atol=0.05)


def test_a_segment_too_long_for_the_transform_is_refused() -> None:
    """Six seconds have more frames than there are points."""
    with pytest.raises(ValueError, match="frames are more than 8192"):
        ModulationSpectrum(6 * 44_100 + 64)


def test_a_level_that_rises_and_falls_is_a_line_in_every_band() -> None:
    """Noise whose level follows a sine of 50 Hz has its highest modulation there."""
    time_s = np.arange(N_SAMPLES) / 44_100
    audio = noise() * (1 + 0.3 * np.sin(2 * np.pi * 50 * time_s)).astype(np.float32)
    found = modulation_features(audio[None])[0].numpy()
    assert found.shape == (N_BANDS, 4_096)
    np.testing.assert_array_equal(found[:, round(50 / BIN_HZ)], 6.0)
    assert found.mean(0).argmax() * BIN_HZ == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize("hop", [576, 768, 882, 2_048])
def test_uneven_frames_show_at_their_rate(hop: int) -> None:
    """Of all rates the decoder's own, or a whole multiple of it, stands out most."""
    found = features_of(uneven_frames(hop))[:, :N_BANDS].sum(1)
    rates = np.array(frame_rates.frame_rates())
    highest = rates[found.argmax()] * hop / 44_100
    assert highest == pytest.approx(round(highest), abs=2e-3)
    assert found.max() > 5 * np.median(np.abs(found))


def test_lines_show_at_their_rate() -> None:
    """Weak tones at multiples of 50 Hz: that rate has the most of both halves' lines."""
    time_s = np.arange(N_SAMPLES) / 44_100
    phases = np.random.default_rng(3).uniform(0, 2 * np.pi, 270)
    tones = sum(
        np.sin(2 * np.pi * 50 * m * time_s + phase) for m, phase in enumerate(phases, 1)
    )
    found = features_of(noise() + np.float32(1e-3) * tones.astype(np.float32))
    rates = frame_rates.frame_rates()
    for half in (N_BANDS, N_BANDS + 1):
        assert rates[found[:, half].argmax()] == 50.0


def test_combs_weigh_no_spectrum_without_lines() -> None:
    """Of length 1 each; a comb of lines has a mean of 0, so the level does not count."""
    for combs in (modulation_combs(), line_combs()):
        np.testing.assert_allclose((combs**2).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(line_combs().mean(1), 0, atol=1e-6)


def test_level_leaves_the_features_as_they_are() -> None:
    """A fifth of the amplitude is still far above the floor: the same to a tenth of a dB."""
    audio = uneven_frames(1_024)
    found, softer = (modulation_features(gain * audio[None])[0] for gain in (1.0, 0.2))
    assert float((found - softer).abs().max()) < 0.1
