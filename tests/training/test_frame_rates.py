"""Combs of frame rates: which there are, and what stands on them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from beetsplug.artifactnet.training import frame_rates  # noqa: E402
from beetsplug.artifactnet.training.frame_rates import (  # noqa: E402
    N_PARTS,
    line_combs,
    rate_features,
)
from beetsplug.artifactnet.training.reference import standing_features  # noqa: E402

N_SAMPLES = 176_400

Array = NDArray[np.float32]


def noise(seed: int = 0) -> Array:
    """Return four seconds of white noise, -20 dB."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(N_SAMPLES)).astype(np.float32)


def features_of(audio: Array) -> Array:
    """Return the features (n_rates, n_parts) of one segment."""
    found = rate_features(standing_features(audio[None]))
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


def with_tones(rate_hz: float, *, amplitude: float = 1e-3) -> Array:
    """Return noise and weak tones at all multiples of a frame rate."""
    time_s = np.arange(N_SAMPLES) / 44_100
    n_tones = int(13_500 / rate_hz)
    phases = np.random.default_rng(3).uniform(0, 2 * np.pi, n_tones)
    tones = sum(
        np.sin(2 * np.pi * rate_hz * m * time_s + phase) for m, phase in enumerate(phases, 1)
    )
    return noise() + np.float32(amplitude) * np.asarray(tones, np.float32)


@pytest.mark.parametrize("rate_hz", [50.0, 75.0, 86.1328])
def test_lines_show_at_their_rate(rate_hz: float) -> None:
    """Weak tones at multiples of a rate: it has the most of both halves' lines."""
    found = features_of(with_tones(rate_hz))
    rates = frame_rates.frame_rates()
    for half in range(N_PARTS):
        assert rates[found[:, half].argmax()] == rate_hz


def test_combs_weigh_no_spectrum_without_lines() -> None:
    """Of length 1 each, and of mean 0: the level does not count."""
    combs = line_combs()
    np.testing.assert_allclose((combs**2).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(combs.mean(1), 0, atol=1e-6)


def test_level_leaves_the_features_as_they_are() -> None:
    """A fifth of the amplitude is still far above the floor: the same to a hundredth."""
    audio = with_tones(50.0)
    found, softer = (features_of(np.float32(gain) * audio) for gain in (1.0, 0.2))
    assert np.abs(found).max() > 1
    np.testing.assert_allclose(found, softer, atol=0.01)
