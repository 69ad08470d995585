"""Small neural decoders of our own: real music in, the same music re-synthesised out.

Each leaves in its output what the detector listens for, a comb at multiples of the
frame rate (sample rate / product of strides) and of every layer's rate, on a piece
whose human original is at hand. Where the comb lies is fixed by rate and strides, not
by weights or data, so that a decoder trained for minutes stands for the grid of a big
one. The demo clip is made with the default configuration.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.training.dataset import SAMPLE_RATE, Dataset

log = logging.getLogger(__name__)

Samples = NDArray[np.float32]
Upsampling = Literal["transposed", "subpixel", "nearest", "istft"]
Latent = Literal["tanh", "gaussian", "quantised"]
_MAX_CHANNELS = 192
_KL_WEIGHT = 1e-3
_LEVELS = 4
"""Steps of a quantised latent from 0 to 1 and from 0 to -1."""


@dataclass(frozen=True)
class DecoderConfig:
    """Shape and budget of one autoencoder."""

    strides: tuple[int, ...] = (10, 6, 4)
    """Outermost first. Their product is the hop: 240 samples, 200 frames a second at 48 kHz."""
    upsampling: Upsampling = "transposed"
    latent: Latent = "tanh"
    sample_rate: int = 48_000
    """Hz that it runs at; music is resampled to it and back."""
    channels: int = 24
    n_latents: int = 48
    n_steps: int = 300
    batch_size: int = 8
    crop_samples: int = 14_400
    learning_rate: float = 1e-3
    seed: int = 0

    @property
    def hop(self) -> int:
        """Samples between two frames of the latent."""
        return math.prod(self.strides)

    @property
    def frame_rate(self) -> float:
        """Frames of the latent in a second."""
        return self.sample_rate / self.hop


def _published(strides: tuple[int, ...], sample_rate: int, latent: Latent) -> DecoderConfig:
    return DecoderConfig(
        strides,
        latent=latent,
        sample_rate=sample_rate,
        n_latents=64,
        n_steps=500,
        crop_samples=math.prod(strides) * math.ceil(20_000 / math.prod(strides)),
    )


DECODERS: dict[str, DecoderConfig] = {
    "vae-21": replace(_published((2, 4, 4, 8, 8), 44_100, "gaussian"), seed=1),
    "rvq-86": replace(_published((2, 4, 8, 8), 44_100, "quantised"), seed=2),
    "rvq-50": replace(_published((4, 4, 5, 8), 32_000, "quantised"), seed=3),
    "vae-25": replace(_published((2, 4, 4, 6, 10), 48_000, "gaussian"), seed=4),
    "subpixel-50": replace(
        _published((4, 5, 6, 8), 48_000, "tanh"), upsampling="subpixel", seed=5
    ),
    "nearest-43": replace(
        _published((4, 4, 8, 8), 44_100, "gaussian"), upsampling="nearest", seed=6
    ),
    "istft-75": replace(
        _published((4, 4, 5, 8), 48_000, "quantised"), upsampling="istft", seed=7
    ),
    "vae-12": replace(_published((4, 4, 5, 6, 8), 48_000, "gaussian"), seed=8),
    "subpixel-21": replace(
        _published((4, 8, 8, 8), 44_100, "gaussian"), upsampling="subpixel", seed=9
    ),
    "transposed-63": replace(_published((2, 5, 7, 10), 44_100, "tanh"), seed=10),
    "transposed-38": replace(_published((3, 6, 6, 8), 32_000, "tanh"), seed=11),
    "istft-31": replace(
        _published((3, 4, 7, 12), 32_000, "gaussian"), upsampling="istft", seed=12
    ),
}
"""The decoders of the training pairs, by kind and frames a second.

The first four have rate and strides of decoders in wide use: the VAE of latent
diffusion at 44.1 kHz, a residual-quantised codec at 44.1 and at 32 kHz, a VAE at 48 kHz.
The last six fill gaps among such rates: residual-quantised codecs at 48 and 24 kHz, VAEs of
half the hop and of another rate, a vocoder's hop of 256.
"""


class SubPixel(nn.Module):
    """A convolution to ``stride`` times the channels, laid out in time."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(n_in, n_out * stride, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, n_out, stride * n_frames)."""
        parts = self.conv(x).unflatten(1, (-1, self.stride))
        return parts.transpose(2, 3).flatten(2)


class InverseSTFT(nn.Module):
    """The last layer of a decoder that works at its frame rate: spectra to audio."""

    window: Tensor

    def __init__(self, n_in: int, hop: int) -> None:
        super().__init__()
        self.hop, self.n_fft = hop, 2 * hop
        self.conv = nn.Conv1d(n_in, self.n_fft + 2, 1)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 1, hop * n_frames)."""
        # One frame more, as the transform starts and ends in the middle of one.
        spectra = self.conv(nn.functional.pad(x, (0, 1), mode="replicate"))
        level, phase = spectra.chunk(2, 1)
        cells = torch.polar(level.clamp(max=6.0).exp(), phase)
        audio = torch.istft(
            cells, self.n_fft, self.hop, window=self.window, length=self.hop * x.shape[2]
        )
        return audio[:, None]


def _upsample(n_in: int, n_out: int, stride: int, how: Upsampling) -> nn.Module:
    if how == "subpixel":
        return SubPixel(n_in, n_out, stride)
    if how == "nearest":
        return nn.Sequential(
            nn.Upsample(scale_factor=stride), nn.Conv1d(n_in, n_out, 7, padding=3)
        )
    padding = (stride + 1) // 2
    return nn.ConvTranspose1d(n_in, n_out, stride + 2 * padding, stride, padding)


class Autoencoder(nn.Module):
    """Strided convolutions down to a latent, and up again as the configuration says."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config, self.hop = config, config.hop
        widths = [
            min(config.channels << i, _MAX_CHANNELS) for i in range(len(config.strides) + 1)
        ]
        down: list[nn.Module] = [nn.Conv1d(1, widths[0], 7, padding=3)]
        up: list[nn.Module] = []
        for n_in, n_out, stride in zip(widths, widths[1:], config.strides, strict=False):
            padding = (stride + 1) // 2
            down += [
                nn.ELU(),
                nn.Conv1d(n_in, n_out, stride + 2 * padding, stride, padding),
            ]
            if config.upsampling == "istft":
                up = [nn.Conv1d(widths[-1], widths[-1], 3, padding=1), nn.ELU(), *up]
            else:
                up = [_upsample(n_out, n_in, stride, config.upsampling), nn.ELU(), *up]
        n_codes = config.n_latents * (2 if config.latent == "gaussian" else 1)
        self.encoder = nn.Sequential(
            *down, nn.ELU(), nn.Conv1d(widths[-1], n_codes, 3, padding=1)
        )
        first = nn.Conv1d(config.n_latents, widths[-1], 3, padding=1)
        last = (
            InverseSTFT(widths[-1], config.hop)
            if config.upsampling == "istft"
            else nn.Conv1d(widths[0], 1, 7, padding=3)
        )
        self.decoder = nn.Sequential(first, nn.ELU(), *up, last)

    def forward(self, audio: Tensor) -> Tensor:
        """Return re-synthesised audio (batch, n_samples), of the same length."""
        return self.reconstruct(audio)[0]

    def reconstruct(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Return re-synthesised audio (batch, n_samples), and what its latent costs."""
        whole = nn.functional.pad(audio[:, None], (0, -audio.shape[1] % self.hop))
        latent, cost = self._latent(self.encoder(whole))
        return self.decoder(latent)[:, 0, : audio.shape[1]], cost

    def _latent(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        cost = codes.new_zeros(())
        if self.config.latent == "gaussian":
            mean, log_variance = codes.chunk(2, 1)
            log_variance = log_variance.clamp(-12.0, 4.0)
            cost = (mean.square() + log_variance.exp() - log_variance - 1).mean() / 2
            if self.training:
                mean = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            return mean, _KL_WEIGHT * cost
        latent = torch.tanh(codes)
        if self.config.latent == "quantised":
            rounded = torch.round(latent * _LEVELS) / _LEVELS
            latent = latent + (rounded - latent).detach()
        return latent, cost


def spectral_loss(found: Tensor, expected: Tensor) -> Tensor:
    """Return the L1 distance of log and plain magnitudes at three resolutions."""
    total = torch.zeros(())
    for n_fft in (512, 1024, 2048):
        window = torch.hann_window(n_fft)
        a, b = (
            torch.stft(x, n_fft, n_fft // 4, window=window, return_complex=True).abs() + 1e-5
            for x in (found, expected)
        )
        total = total + (a - b).abs().mean() + (a.log() - b.log()).abs().mean()
    return total


def train_decoder(
    dataset: Dataset, rows: NDArray[np.int64], path: Path, config: DecoderConfig | None = None
) -> Autoencoder:
    """Return an autoencoder trained on these rows, from ``path`` when it is there.

    It learns from samples at the dataset's own rate, whatever rate it will run at: music
    fills its band either way.
    """
    config = config or DecoderConfig()
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = Autoencoder(config)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    for step in range(config.n_steps):
        last = dataset.samples.shape[1] - config.crop_samples
        starts = rng.integers(0, last, config.batch_size)
        audio = np.stack(
            [
                dataset.samples[row, start : start + config.crop_samples]
                for row, start in zip(rng.choice(rows, config.batch_size), starts, strict=True)
            ]
        )
        expected = torch.from_numpy(audio.astype(np.float32) / 32767)
        found, cost = model.reconstruct(expected)
        loss = spectral_loss(found, expected) + (found - expected).abs().mean() + cost
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0:
            log.info(
                "%s step %d of %d: loss %.3f", path.stem, step, config.n_steps, loss.item()
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    return model.eval()


@torch.no_grad()
def resynthesise(model: Autoencoder, samples: Samples) -> Samples:
    """Return a clip (n_samples,) through the autoencoder, at its own length and level."""
    found = model(torch.from_numpy(samples)[None])[0].numpy()
    level = np.sqrt(np.mean(samples**2) / max(float(np.mean(found**2)), 1e-12))
    return np.clip(found * np.float32(level), -1, 1)


def at_rate(
    resynthesise: Callable[[Samples], Samples], samples: Samples, sample_rate: int
) -> Samples:
    """Return a clip (n_samples,) at 44.1 kHz re-synthesised at another rate.

    What that rate cannot hold stays as it was, so that no cut-off tells the pair apart.
    """
    down = soxr.resample(samples, SAMPLE_RATE, sample_rate)
    change = soxr.resample(resynthesise(down) - down, sample_rate, SAMPLE_RATE)
    change = np.pad(change, (0, max(0, len(samples) - len(change))))[: len(samples)]
    return np.clip(samples + change, -1, 1)


def resynthesise_at_rate(model: Autoencoder, samples: Samples) -> Samples:
    """Return a clip (n_samples,) at 44.1 kHz through an autoencoder of its own rate."""
    return at_rate(partial(resynthesise, model), samples, model.config.sample_rate)


def mix_in(original: Samples, whole: Samples, strength: float) -> Samples:
    """Return the original with a share of its re-synthesis mixed in.

    A decoder of our own errs more than its comb is worth; at a share of 0.3 the comb
    is what is left to hear.
    """
    return original + np.float32(strength) * (whole - original)
