"""The small autoencoder that makes the demo clip: music in, the same re-synthesised out.

Like the decoder of a generator it leaves a comb at multiples of its frame rate, on a piece
whose human original is at hand.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.training.data.dataset import Dataset

log = logging.getLogger(__name__)

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class AutoencoderConfig:
    """Shape and budget."""

    strides: tuple[int, ...] = (10, 6, 4)
    """Outermost first. Their product is the hop: 240 samples, 200 frames a second at 48 kHz."""
    channels: int = 24
    """Of the outermost layer; each further one has twice as many, up to ``max_channels``."""
    max_channels: int = 192
    n_latents: int = 48
    n_steps: int = 600
    batch_size: int = 8
    crop_samples: int = 14_400
    learning_rate: float = 1e-3
    seed: int = 0

    @property
    def hop(self) -> int:
        """Samples between two frames of the latent."""
        return math.prod(self.strides)


class Autoencoder(nn.Module):
    """Strided convolutions down to a latent, transposed ones up again."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.hop = config.hop
        widths = [
            min(config.channels << i, config.max_channels)
            for i in range(len(config.strides) + 1)
        ]
        down: list[nn.Module] = [nn.Conv1d(1, widths[0], 7, padding=3)]
        up: list[nn.Module] = []
        for n_in, n_out, stride in zip(widths, widths[1:], config.strides, strict=False):
            padding = (stride + 1) // 2
            sizes = (stride + 2 * padding, stride, padding)
            down += [nn.ELU(), nn.Conv1d(n_in, n_out, *sizes)]
            up = [nn.ConvTranspose1d(n_out, n_in, *sizes), nn.ELU(), *up]
        self.encoder = nn.Sequential(
            *down, nn.ELU(), nn.Conv1d(widths[-1], config.n_latents, 3, padding=1), nn.Tanh()
        )
        first = nn.Conv1d(config.n_latents, widths[-1], 3, padding=1)
        last = nn.Conv1d(widths[0], 1, 7, padding=3)
        self.decoder = nn.Sequential(first, nn.ELU(), *up, last)

    def forward(self, audio: Tensor) -> Tensor:
        """Return re-synthesised audio (batch, n_samples), of the same length."""
        whole = nn.functional.pad(audio[:, None], (0, -audio.shape[1] % self.hop))
        return self.decoder(self.encoder(whole))[:, 0, : audio.shape[1]]


def spectral_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the L1 distance of log and plain magnitudes at three resolutions."""
    total = torch.zeros(())
    for n_fft in (512, 1024, 2048):
        window = torch.hann_window(n_fft)
        a, b = (
            torch.stft(x, n_fft, n_fft // 4, window=window, return_complex=True).abs() + 1e-5
            for x in (output, target)
        )
        total = total + (a - b).abs().mean() + (a.log() - b.log()).abs().mean()
    return total


def train_autoencoder(
    dataset: Dataset, rows: NDArray[np.int64], path: Path, config: AutoencoderConfig
) -> Autoencoder:
    """Return an autoencoder trained on these rows, from ``path`` when it is there."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = Autoencoder(config)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    for step in range(config.n_steps):
        target = _batch(dataset, rows, config, rng)
        output = model(target)
        loss = spectral_loss(output, target) + (output - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0:
            log.info("%s step %d of %d: loss %.3f", path.stem, step, config.n_steps, loss)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    return model.eval()


def _batch(
    dataset: Dataset,
    rows: NDArray[np.int64],
    config: AutoencoderConfig,
    rng: np.random.Generator,
) -> Tensor:
    last = dataset.samples.shape[1] - config.crop_samples
    starts = rng.integers(0, last, config.batch_size)
    audio = [
        dataset.samples[row, start : start + config.crop_samples]
        for row, start in zip(rng.choice(rows, config.batch_size), starts, strict=True)
    ]
    return torch.from_numpy(np.stack(audio).astype(np.float32) / 32767)


@torch.no_grad()
def resynthesise(model: Autoencoder, samples: Samples) -> Samples:
    """Return a clip (n_samples,) through the autoencoder, at its own length and level."""
    output = model(torch.from_numpy(samples)[None])[0].numpy()
    level = np.sqrt(np.mean(samples**2) / max(float(np.mean(output**2)), 1e-12))
    return np.clip(output * np.float32(level), -1, 1)
