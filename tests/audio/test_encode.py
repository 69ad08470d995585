"""Real encoders: length, place and bit rate of what they write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.audio.encode import Encoding, encode
from beetsplug.artifactnet.benchmark.transport.encodings import ENCODINGS
from tests.support.audio_files import music

NAMES = [encoding.name for encoding in ENCODINGS]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=NAMES)
@pytest.mark.parametrize(("sample_rate", "n_channels"), [(44_100, 2), (8_000, 1)])
def test_length_and_place_are_kept(
    encoding: Encoding, sample_rate: int, n_channels: int, tmp_path: Path
) -> None:
    """Decoded again it is as long as before, and no sample has moved."""
    samples = music(1.0, sample_rate, n_channels)
    path = tmp_path / f"x{encoding.suffix}"

    encode(path, samples, sample_rate, encoding)

    with open_audio(path) as reader:
        back = next(reader.spans([0], reader.n_samples(sample_rate), sample_rate))
    mono = samples.mean(axis=1)
    assert len(back) == len(mono)
    inner = slice(1_500, -1_500)
    likeness = [
        float(np.dot(mono[inner], np.roll(back, shift)[inner])) for shift in range(-600, 601)
    ]
    assert int(np.argmax(likeness)) - 600 == 0
    error = float(np.sqrt(np.mean((back - mono) ** 2)))
    assert error < (1e-4 if encoding.bit_rate is None else 0.05)


def test_bit_rates(tmp_path: Path) -> None:
    """Each codec is held to its 128 and 64 kb/s for both channels together."""
    samples = music(4.0)
    for encoding in ENCODINGS:
        if encoding.bit_rate is not None:
            path = tmp_path / f"x{encoding.suffix}"
            encode(path, samples, 44_100, encoding)
            bit_rate = path.stat().st_size * 8 / 4.0
            assert 0.75 < bit_rate / encoding.bit_rate < 1.3, encoding.name
