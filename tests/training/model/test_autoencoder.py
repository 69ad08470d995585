"""The demo's autoencoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beetsplug.artifactnet.training.data.corpus import Clip  # noqa: E402
from beetsplug.artifactnet.training.data.dataset import Crop, Dataset  # noqa: E402
from beetsplug.artifactnet.training.model.autoencoder import (  # noqa: E402
    Autoencoder,
    AutoencoderConfig,
    resynthesise,
    train_autoencoder,
)
from tests.support.audio_files import music  # noqa: E402

TINY = AutoencoderConfig(
    strides=(8, 8), channels=4, n_latents=4, n_steps=12, batch_size=2, crop_samples=4_096
)


def test_the_length_and_the_level_stay() -> None:
    """At a length that is no multiple of the hop."""
    samples = music(0.3)[:, 0][: 64 * 20 + 17]
    again = resynthesise(Autoencoder(TINY).eval(), samples)
    assert again.shape == samples.shape
    assert np.mean(again**2) == pytest.approx(np.mean(samples**2), rel=0.05)


def test_training_lowers_the_error_and_is_kept(tmp_path: Path) -> None:
    """A trained one is nearer to the music than a fresh one, and is read back as it was."""
    samples = np.round(music(1.0)[:, 0] * 32767).astype(np.int16)[None]
    clip = Clip(Path("0.wav"), 0, "", "", "s", "t", 44_100)
    dataset = Dataset((clip,), (Crop(0, 0, 0, is_full_band=True),), samples)
    rows, path = np.zeros(1, np.int64), tmp_path / "new" / "autoencoder.pt"
    made = train_autoencoder(dataset, rows, path, TINY)
    again = train_autoencoder(dataset, rows, path, TINY)
    torch.manual_seed(TINY.seed)
    fresh = Autoencoder(TINY)
    audio = torch.from_numpy(samples[:, :8_192].astype(np.float32) / 32767)
    with torch.no_grad():
        errors = [float((model(audio) - audio).abs().mean()) for model in (made, again, fresh)]
    assert errors[0] == errors[1] < errors[2]
