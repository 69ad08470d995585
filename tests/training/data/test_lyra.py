"""Lyra's frames, rates and bits, with networks that the test makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("ai_edge_litert")

from beetsplug.artifactnet.training.data.lyra import FRAME_SAMPLES, Lyra
from tests.support.audio_files import music
from tests.training.data.lyra_networks import N_QUANTIZERS, write_lyra


@pytest.fixture(scope="module")
def lyra(tmp_path_factory: pytest.TempPathFactory) -> Lyra:
    """Return a codec whose encoder remembers."""
    folder = tmp_path_factory.mktemp("lyra")
    write_lyra(folder)
    return Lyra(folder)


def remembered(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what encoder and decoder make of samples: each frame and a quarter of the last."""
    frames = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
    memory, found = np.zeros(FRAME_SAMPLES, np.float32), []
    for frame in frames:
        memory = 0.5 * frame + 0.25 * memory
        found.append(2 * memory)
    return np.concatenate(found)[: len(samples)]


def test_every_clip_starts_without_a_memory(lyra: Lyra) -> None:
    """Frame by frame what the networks give, the length kept; twice the same."""
    samples = np.random.default_rng(0).normal(0, 0.1, 1_000).astype(np.float32)
    for _ in range(2):
        found = lyra.resynthesise(samples)
        assert found.shape == samples.shape
        np.testing.assert_allclose(found, remembered(samples), atol=1e-6)


@pytest.mark.parametrize("bits", [64, 120, 184])
def test_bits_are_a_number_of_quantisers(lyra: Lyra, bits: int) -> None:
    """Four bits each."""
    samples = np.random.default_rng(1).normal(0, 0.1, 960).astype(np.float32)
    share = bits / 4 / N_QUANTIZERS
    found = lyra.resynthesise(samples, bits)
    np.testing.assert_allclose(found, share * remembered(samples), atol=1e-6)


def test_a_declared_frame_rate_is_the_distance_of_the_frames(lyra: Lyra) -> None:
    """A click comes back a quarter as loud after one frame of 1 / 75 s, whatever the rate."""
    samples = np.zeros(44_100, np.float32)
    samples[10_000] = 0.5
    change = lyra.resynthesise_at_rate(samples, 75.0) - samples
    echo = 10_000 + 44_100 // 75
    assert np.abs(change).argmax() == echo
    assert np.abs(np.delete(change, np.s_[echo - 100 : echo + 100])).max() < 0.02


def test_what_a_declared_rate_cannot_hold_stays(lyra: Lyra) -> None:
    """At 50 frames a second, 16 kHz, nothing changes above 8 kHz."""
    samples = music(1.0)[:44_100, 0]
    change = np.abs(np.fft.rfft(lyra.resynthesise_at_rate(samples, 50.0) - samples))
    assert change[9_000:].max() < 1e-3 * change[:7_000].max()


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    """Before anything is coded."""
    with pytest.raises(FileNotFoundError, match=r"soundstream_encoder\.tflite"):
        Lyra(tmp_path)
