"""Models that are not part of this package but are known to it, and how to get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KnownModel:
    """What is known of a model before any file of it is there."""

    card: Mapping[str, Any]
    """Fields of its card. ``files``, and an output's name that its author does not
    publish, are filled in when it is installed."""
    how: str
    """How a user gets it, in one line."""
    files: tuple[str, ...] = ()
    """Names of the files to download, the graph first; none where it has no address."""
    base_url: str = ""
    """The files' address without their names, at a fixed revision."""
    max_bytes: int = 256 << 20
    """The most that one of them is allowed to take."""
    needs_consent: bool = False
    """Whether its licence must be accepted before it is installed."""

    @property
    def model_id(self) -> str:
        """The id under which it is installed."""
        return str(self.card["model_id"])

    @property
    def is_complete(self) -> bool:
        """Whether the card lacks nothing but what the files themselves say."""
        return "output" in self.card


_HUB = "https://huggingface.co/intrect/artifactnet"
_REVISION = "e915f0dc5962a57536bbe1f78b66adcb48dfae4c"
_HALF = {"ai": 0.5, "unsure": 0.5}
"""The one threshold that is published; nobody has calibrated a second one."""
_EXPORTER = "python -m beetsplug.artifactnet.exporters"

_V94 = KnownModel(
    card={
        "model_id": "artifactnet-v9.4",
        "version": _REVISION[:7],
        "licence": "CC BY-NC 4.0",
        "url": f"{_HUB}/tree/{_REVISION}",
        "notice": (
            "not for commercial use; its author states that patents are pending (KR, PCT)"
        ),
        "architecture": (
            "ArtifactNet (arXiv 2604.16254), by its author: STFT, UNet mask, residual, "
            "HPSS, 7 channels, CNN"
        ),
        "inputs": [{"name": "audio", "sample_rate": 44_100, "segment_samples": 176_400}],
        "output": {"kind": "probability"},
        "thresholds": _HALF,
        "error_rates": {
            "f1": 0.9829,
            "precision": 0.9905,
            "recall": 0.9755,
            "fpr": 0.0149,
            "auc": 0.9974,
            "n_tracks": 2263,
            "source": "arXiv 2604.16254, by its author; not measured here",
        },
    },
    how="beet aimodel install artifactnet-v9.4",
    files=("artifactnet_v94_full.onnx", "artifactnet_v94_full.onnx.data"),
    base_url=f"{_HUB}/resolve/{_REVISION}",
    needs_consent=True,
)
_RAW = KnownModel(
    card={
        "model_id": "artifactnet-raw",
        "version": "1.2",
        "licence": "unpublished: ask its author",
        "notice": "a candidate that its author has not published; patents pending (KR, PCT)",
        "architecture": "ArtifactNet raw candidate 1.2: a song's first 15 segments in one call",
        "inputs": [{"name": "audio_chunks", "sample_rate": 44_100, "segment_samples": 176_400}],
        "output": {"name": "p_ai", "kind": "probability"},
        "call": "song",
        "crop": "start",
        "max_segments": 15,
        "thresholds": _HALF,
    },
    how="beet aimodel install PATH.onnx --card artifactnet-raw, with its author's file",
)


def _peer(model_id: str, licence: str, url: str, architecture: str) -> KnownModel:
    """Return a model that is exported by hand; its exporter writes the rest of its card."""
    return KnownModel(
        card={
            "model_id": model_id,
            "version": "1",
            "licence": licence,
            "url": url,
            "architecture": architecture,
        },
        how=f"from its authors' weights: {_EXPORTER} {model_id} --weights FILE --out DIR",
    )


_MODELS = (
    _V94,
    _RAW,
    _peer(
        "spectttra-alpha-120s",
        "MIT",
        "https://huggingface.co/awsaf49/sonics-spectttra-alpha-120s",
        "SpecTTTra (arXiv 2408.14080): 120 s at 16 kHz, one call a song",
    ),
    _peer(
        "spectttra-beta-5s",
        "MIT",
        "https://huggingface.co/awsaf49/sonics-spectttra-beta-5s",
        "SpecTTTra (arXiv 2408.14080): segments of 5 s at 16 kHz",
    ),
    _peer(
        "clam",
        "none declared by its authors",
        "https://arxiv.org/abs/2512.00621",
        "CLAM (arXiv 2512.00621): MERT at 24 kHz and wav2vec 2.0 at 16 kHz, 90 s",
    ),
)
KNOWN_MODELS: Mapping[str, KnownModel] = {model.model_id: model for model in _MODELS}
"""By id."""
