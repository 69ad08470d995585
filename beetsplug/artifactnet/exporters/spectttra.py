"""SpecTTTra, the detector of SONICS (arXiv 2408.14080), as one ONNX graph.

A log-mel spectrogram is cut twice, into clips of time and into clips of frequency. Each clip
becomes a token, and a transformer reads both kinds side by side. Cutting the two axes apart
keeps the tokens few, so that two minutes fit into one call.

Sizes and tensor names are the published ones (MIT), so that the authors'
``pytorch_model.bin`` loads as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.exporters.exporter import PublishedDetector
from beetsplug.artifactnet.models.card import ModelInput

SAMPLE_RATE = 16_000
"""Hz."""
N_FFT, HOP_LENGTH, N_MELS = 2048, 512, 128
_LOW_HZ, _HIGH_HZ = 20.0, 8_000.0
_RANGE_DB = 80.0
_EMBEDDING, _N_HEADS, _N_BLOCKS, _HIDDEN = 384, 6, 12, 1025
"""The hidden layer is 2.67 embeddings wide."""

# Read in order; each replaces a piece of a name here by the published one.
_PUBLISHED_NAMES = {
    "mel.window": "ft_extractor.audio2melspec.spectrogram.window",
    "mel.filters": "ft_extractor.audio2melspec.mel_scale.fb",
    "temporal.": "encoder.st_tokenizer.temporal_tokenizer.",
    "spectral.": "encoder.st_tokenizer.spectral_tokenizer.",
    ".embed.": ".conv1d.",
    ".positions": ".pos_encoder.pe",
    ".norm.": ".norm_pre.",
    "blocks.": "encoder.transformer.blocks.",
    ".qkv.": ".attn.qkv.",
    ".merge.": ".attn.proj.",
    ".widen.": ".mlp.fc1.",
    ".narrow.": ".mlp.fc2.",
}


@dataclass(frozen=True)
class Variant:
    """The sizes in which one published SpecTTTra differs from another."""

    model_id: str
    duration_s: int
    n_frames: int
    """The spectrogram is stretched to so many frames."""
    time_clip: int
    """Frames in a temporal token."""
    mel_clip: int
    """Mel bands in a spectral token."""

    @property
    def segment_samples(self) -> int:
        """Samples of one call."""
        return self.duration_s * SAMPLE_RATE


ALPHA_120S = Variant("spectttra-alpha-120s", 120, 3744, time_clip=3, mel_clip=1)
BETA_5S = Variant("spectttra-beta-5s", 5, 128, time_clip=5, mel_clip=3)
VARIANTS = {variant.model_id: variant for variant in (ALPHA_120S, BETA_5S)}

_ERROR_RATES: dict[str, dict[str, Any]] = {
    ALPHA_120S.model_id: {
        "threshold": 0.5,
        "f1": 0.7713,
        "precision": 0.8519,
        "recall": 0.7046,
        "fpr": 0.1943,
        "auc": 0.846,
        "n_tracks": 2263,
        "source": "arXiv 2604.16254, ArtifactBench v0.9, test; not measured here",
    },
    BETA_5S.model_id: {
        "threshold": 0.5,
        "f1": 0.563,
        "n_tracks": 2224,
        "source": "ArtifactBench v1.1, test, by its author; not measured here",
    },
}


class LogMel(nn.Module):
    """Log-mel spectrogram with zero mean and unit variance, in plain convolutions.

    What torchaudio's ``MelSpectrogram`` and ``AmplitudeToDB`` give with the published
    settings: Hann window, centred, reflect-padded, power, HTK bands, the top 80 dB.
    """

    window: Tensor
    filters: Tensor
    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        hann = np.hanning(N_FFT + 1)[:-1]
        self.register_buffer("window", torch.tensor(hann, dtype=torch.float32))
        filters = torch.tensor(mel_filters(), dtype=torch.float32)
        self.register_buffer("filters", filters)
        angles = 2 * np.pi * np.outer(np.arange(N_FFT // 2 + 1), np.arange(N_FFT)) / N_FFT
        basis = np.concatenate([np.cos(angles), np.sin(angles)])[:, None]
        self.register_buffer(
            "basis", torch.tensor(basis, dtype=torch.float32), persistent=False
        )

    def forward(self, audio: Tensor) -> Tensor:
        """Return (batch, 128, n_samples // 512 + 1) of (batch, n_samples)."""
        half = N_FFT // 2
        padded = nn.functional.pad(audio[:, None], (half, half), mode="reflect")
        parts = nn.functional.conv1d(padded, self.basis * self.window, stride=HOP_LENGTH)
        re, im = parts[:, : half + 1], parts[:, half + 1 :]
        power = self.filters.T @ (re * re + im * im)
        level_db = 10 * torch.log10(power.clamp(min=1e-10))
        # Each segment has its own ceiling, whatever else is in the batch.
        ceiling_db = level_db.amax((1, 2), keepdim=True)
        level_db = torch.maximum(level_db, ceiling_db - _RANGE_DB)
        centred = level_db - _mean(level_db)
        n_cells = centred.shape[1] * centred.shape[2]
        variance = _mean(centred * centred) * (n_cells / (n_cells - 1))
        return centred / (torch.sqrt(variance) + 1e-6)


def _mean(cells: Tensor) -> Tensor:
    """Return (batch, 1, 1) of (batch, n_bands, n_frames).

    It is taken in two steps. A float32 sum of half a million cells, most of them the same in a
    track filled with zeros, drifts off in the third digit.
    """
    return cells.mean(2, keepdim=True).mean(1, keepdim=True)


def mel_filters() -> NDArray[np.float64]:
    """Return triangles of height 1 on the HTK mel scale: (1025, 128).

    S. Young et al., The HTK Book, section 5.4: mel = 2595 log10(1 + Hz / 700).
    """
    low_mel, high_mel = (2595 * math.log10(1 + hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    edges_mel = np.linspace(low_mel, high_mel, N_MELS + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)[:, None]
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling))


class Tokens(nn.Module):
    """Clips along one axis of a spectrogram, each made a token.

    Args:
        n_across: Size of the axis that is not cut.
        n_along: Size of the axis that is cut.
        clip: Cells of a clip; what is left over at the end is dropped.
    """

    def __init__(self, n_across: int, n_along: int, clip: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(n_across, _EMBEDDING, clip, stride=clip, bias=False)
        positions = torch.randn(1, n_along // clip, _EMBEDDING) * 0.02
        self.positions = nn.Parameter(positions)
        self.norm = nn.LayerNorm(_EMBEDDING, eps=1e-6)

    def forward(self, cells: Tensor) -> Tensor:
        """Return (batch, n_along // clip, 384) of (batch, n_across, n_along)."""
        tokens = nn.functional.gelu(self.embed(cells)).transpose(1, 2)
        return self.norm(tokens + self.positions)


class Block(nn.Module):
    """Pre-norm transformer block: self-attention, then a two-layer perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_EMBEDDING)
        self.qkv = nn.Linear(_EMBEDDING, 3 * _EMBEDDING, bias=False)
        self.merge = nn.Linear(_EMBEDDING, _EMBEDDING)
        self.norm2 = nn.LayerNorm(_EMBEDDING)
        self.widen = nn.Linear(_EMBEDDING, _HIDDEN)
        self.narrow = nn.Linear(_HIDDEN, _EMBEDDING)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (batch, n_tokens, 384) of the same shape."""
        tokens = tokens + self.merge(self._attend(self.norm1(tokens)))
        hidden = nn.functional.gelu(self.widen(self.norm2(tokens)))
        return tokens + self.narrow(hidden)

    def _attend(self, tokens: Tensor) -> Tensor:
        width = _EMBEDDING // _N_HEADS
        heads = self.qkv(tokens).unflatten(2, (3, _N_HEADS, width)).permute(2, 0, 3, 1, 4)
        query, key, value = heads[0], heads[1], heads[2]
        weights = torch.softmax((query * width**-0.5) @ key.transpose(2, 3), dim=3)
        return (weights @ value).transpose(1, 2).flatten(2)


class SpecTTTra(nn.Module):
    """Waveform to logit: log-mel spectrogram, two kinds of tokens, transformer, mean."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.n_frames = variant.n_frames
        self.mel = LogMel()
        self.temporal = Tokens(N_MELS, variant.n_frames, variant.time_clip)
        self.spectral = Tokens(variant.n_frames, N_MELS, variant.mel_clip)
        self.blocks = nn.ModuleList(Block() for _ in range(_N_BLOCKS))
        self.classifier = nn.Linear(_EMBEDDING, 1)

    def forward(self, audio: Tensor) -> Tensor:
        """Return logits of P(AI) (batch,) of segments (batch, segment_samples)."""
        image = self.mel(audio)[:, None]
        size = (N_MELS, self.n_frames)
        cells = nn.functional.interpolate(image, size, mode="bilinear")[:, 0]
        tokens = torch.cat([self.temporal(cells), self.spectral(cells.transpose(1, 2))], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.classifier(tokens.mean(1))[:, 0]


def published_name(name: str) -> str:
    """Return what the authors' state dict calls a tensor of :class:`SpecTTTra`."""
    for here, there in _PUBLISHED_NAMES.items():
        name = name.replace(here, there)
    return name


def detector(variant: Variant) -> PublishedDetector:
    """Return a randomly initialised SpecTTTra and its card."""
    is_alpha = variant.model_id == ALPHA_120S.model_id
    crop = {"crop": "centre", "max_segments": 1} if is_alpha else {"crop": "even"}
    card = {
        "model_id": variant.model_id,
        "version": "1",
        "licence": "MIT",
        "url": f"https://huggingface.co/awsaf49/sonics-{variant.model_id}",
        "architecture": (
            f"SpecTTTra (arXiv 2408.14080): log-mel spectrogram of {variant.duration_s} s, "
            "temporal and spectral tokens, 12 transformer blocks"
        ),
        **crop,
        "padding": "zero",
        "aggregation": "median",
        # Nothing is known of a threshold other than the one that the authors use.
        "thresholds": {"ai": 0.5, "unsure": 0.5},
        "error_rates": _ERROR_RATES[variant.model_id],
    }
    waveform = ModelInput("audio", SAMPLE_RATE, variant.segment_samples)
    return PublishedDetector(SpecTTTra(variant), (waveform,), card, published_name)
