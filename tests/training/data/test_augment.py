"""What happens to audio on its way into a library."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from beetsplug.artifactnet.training.data.augment import (
    aac,
    library_chain,
    mp3,
    narrow,
    opus,
    vorbis,
)
from tests.support.audio_files import music


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
