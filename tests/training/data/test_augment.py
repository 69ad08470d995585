"""What happens to audio on its way into a library."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from beetsplug.artifactnet.training.data.augment import (
    aac,
    library_chain,
    mp3,
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
