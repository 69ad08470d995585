"""Published figures that a measured column may stand beside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedColumn:
    """Metrics of one detector as a paper reports them, at a threshold of 0.5."""

    detector: str
    weights: str
    """Their number, in words."""
    f1: float
    precision: float
    recall: float
    fpr: float
    auroc: float


PAPER_URL = "https://arxiv.org/abs/2604.16254"
PAPER_TRACKS = "2,263 test tracks of ArtifactBench v0.9, threshold 0.5"
PAPER = (
    PublishedColumn("ArtifactNet v9.4", "4.2 M", 0.9829, 0.9905, 0.9755, 0.0149, 0.9974),
    PublishedColumn("CLAM", "194 M", 0.7576, 0.6674, 0.8761, 0.6926, 0.7031),
    PublishedColumn("SpecTTTra", "19 M", 0.7713, 0.8519, 0.7046, 0.1943, 0.8460),
)
"""The headline table of the ArtifactNet paper."""
