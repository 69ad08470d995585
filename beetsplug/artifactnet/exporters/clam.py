"""CLAM (arXiv 2512.00621): two pre-trained encoders and a head that joins them, as ONNX.

MERT takes the track at 24 kHz and stands for the instruments. Wav2vec 2.0 takes it at 16 kHz
and stands for the voice. A learnt cross-aggregation lets each stream's embedding take in the
other's, and a classifier reads both.

What is certain is the encoders: HuBERT base and wav2vec 2.0 base, 188.7 M parameters of
the 194 M that are reported. ``transformers``' own classes hold them; no code is fetched.
The paper does not give the head's inner sizes, and the authors' weights are not published.
The head here is a reading of that description, with as many parameters as are left. Weights
of another head do not fit and are refused by name.

A state dict for it has three prefixes. With the public encoders, and a head trained on
their embeddings::

    mert = HubertModel.from_pretrained("m-a-p/MERT-v1-95M")        # CC BY-NC 4.0
    voice = Wav2Vec2Model.from_pretrained("facebook/wav2vec2-base")  # Apache-2.0
    parts = {"mert": mert, "wav2vec2": voice, "head": head}
    torch.save(
        {f"{part}.{name}": tensor
         for part, module in parts.items()
         for name, tensor in module.state_dict().items()},
        "clam.pt",
    )

where ``head`` is a :class:`CrossAggregation`. Each encoder's embedding is the mean over
time of its last layer, of audio with zero mean and unit variance, as both were trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from beetsplug.artifactnet.exporters.exporter import PublishedDetector
from beetsplug.artifactnet.models.card import ModelInput

MUSIC_RATE, VOICE_RATE = 24_000, 16_000
"""Hz, of MERT and of wav2vec 2.0."""
DURATION_S = 90
N_LAYERS = 12
_EMBEDDING, _WIDTH = 768, 960
_ATTENTION = "artifactnet_blocks"
_QUERY_ROWS = 512


def attend_in_blocks(
    module: nn.Module,  # noqa: ARG001
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    scaling: float,
    **_: object,
) -> tuple[Tensor, None]:
    """Full attention, a block of queries at a time.

    The weights of 6,749 frames to each other would take 2.2 GB a layer at once.

    Args:
        module: The layer, as ``transformers`` hands it over.
        query: (batch, n_heads, n_frames, width).
        key: As the query.
        value: As the query.
        attention_mask: Always absent: every call is full.
        scaling: Of the query.

    Returns:
        (batch, n_frames, n_heads, width), and no weights.
    """
    rows = [
        torch.softmax((block * scaling) @ key.transpose(2, 3), dim=3) @ value
        for block in query.split(_QUERY_ROWS, dim=2)
    ]
    return torch.cat(rows, dim=2).transpose(1, 2), None


AttentionInterface.register(_ATTENTION, attend_in_blocks)


class CrossAggregation(nn.Module):
    """Two embeddings to one logit; each is first completed by the other."""

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        self.music = nn.Linear(_EMBEDDING, width)
        self.music_norm = nn.LayerNorm(width)
        self.voice = nn.Linear(_EMBEDDING, width)
        self.voice_norm = nn.LayerNorm(width)
        self.to_music = nn.Linear(width, width)
        self.to_voice = nn.Linear(width, width)
        self.joint = nn.Linear(2 * width, width)
        self.classifier = nn.Linear(width, 1)

    def forward(self, music: Tensor, voice: Tensor) -> Tensor:
        """Return logits of P(AI) (batch,) of embeddings (batch, 768) each."""
        music = nn.functional.gelu(self.music_norm(self.music(music)))
        voice = nn.functional.gelu(self.voice_norm(self.voice(voice)))
        both = torch.cat([music + self.to_music(voice), voice + self.to_voice(music)], dim=1)
        return self.classifier(nn.functional.gelu(self.joint(both)))[:, 0]


class Clam(nn.Module):
    """Two waveforms of the same seconds to a logit.

    Args:
        n_layers: Transformer layers of each encoder.
    """

    def __init__(self, n_layers: int = N_LAYERS) -> None:
        super().__init__()
        settings: dict[str, Any] = {
            "num_hidden_layers": n_layers,
            "attn_implementation": _ATTENTION,
            "apply_spec_augment": False,
        }
        # All other defaults are the base sizes, which MERT-v1-95M shares with HuBERT.
        self.mert = HubertModel(HubertConfig(**settings))
        self.wav2vec2 = Wav2Vec2Model(Wav2Vec2Config(**settings))
        self.head = CrossAggregation()

    def forward(self, music: Tensor, voice: Tensor) -> Tensor:
        """Return logits of P(AI) (batch,).

        Args:
            music: (batch, n_samples) at 24 kHz.
            voice: (batch, n_samples) at 16 kHz.
        """
        return self.head(_embed(self.mert, music), _embed(self.wav2vec2, voice))


def _embed(encoder: nn.Module, audio: Tensor) -> Tensor:
    centred = audio - audio.mean(1, keepdim=True)
    variance = (centred * centred).mean(1, keepdim=True)
    frames = encoder(centred / torch.sqrt(variance + 1e-7)).last_hidden_state
    return frames.mean(1)


def fuse_weight_norm(network: nn.Module) -> None:
    """Replace the encoders' weight normalisation by the weights that it gives."""
    for encoder in ("mert", "wav2vec2"):
        convolution = network.get_submodule(f"{encoder}.encoder.pos_conv_embed.conv")
        nn.utils.parametrize.remove_parametrizations(convolution, "weight")


def detector(duration_s: int = DURATION_S, n_layers: int = N_LAYERS) -> PublishedDetector:
    """Return a randomly initialised CLAM and its card.

    Args:
        duration_s: Length of a call; the published system takes 90 s.
        n_layers: Transformer layers of each encoder; the published ones have 12.
    """
    card = {
        "model_id": "clam",
        "version": "1",
        "licence": "none declared by CLAM's authors; MERT-v1-95M is CC BY-NC 4.0",
        "url": "https://arxiv.org/abs/2512.00621",
        "notice": "no licence to use CLAM's weights is known: ask their authors",
        "architecture": (
            "CLAM (arXiv 2512.00621): MERT at 24 kHz and wav2vec 2.0 at 16 kHz, "
            f"{duration_s} s, joined by a cross-aggregation head"
        ),
        "crop": "centre",
        "max_segments": 1,
        "padding": "zero",
        "aggregation": "median",
        # Nothing is known of a threshold other than the one that it is reported at.
        "thresholds": {"ai": 0.5, "unsure": 0.5},
        "error_rates": {
            "threshold": 0.5,
            "f1": 0.7576,
            "precision": 0.6674,
            "recall": 0.8761,
            "fpr": 0.6926,
            "auc": 0.7031,
            "n_tracks": 2263,
            "source": "arXiv 2604.16254, ArtifactBench v0.9, test; not measured here",
        },
    }
    inputs = (
        ModelInput("music", MUSIC_RATE, MUSIC_RATE * duration_s),
        ModelInput("voice", VOICE_RATE, VOICE_RATE * duration_s),
    )
    return PublishedDetector(
        Clam(n_layers),
        inputs,
        card,
        prepare=fuse_weight_norm,
        has_free_batch=False,
        has_external_data=True,
    )
