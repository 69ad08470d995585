"""Seeded segments and the bundled model's answers to them.

``python -m tests.golden.signals`` writes the golden file anew, for a new model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import SegmentBatch

Samples = NDArray[np.float32]
SAMPLE_RATE, N_SAMPLES = 44_100, 176_400


def _noise() -> Samples:
    return np.random.default_rng(1).normal(0, 0.05, N_SAMPLES).astype(np.float32)


def _chord() -> Samples:
    time_s = np.arange(N_SAMPLES) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * f * time_s) for f in (220.0, 277.2, 329.6, 440.0)]
    return (0.1 * np.sum(tones, axis=0) + 0.1 * _noise()).astype(np.float32)


def _comb(hop: int) -> Samples:
    """Return noise with a click each ``hop`` samples: lines at multiples of its rate."""
    clicks = np.zeros(N_SAMPLES, np.float32)
    clicks[::hop] = 0.05
    return _noise() + clicks


SIGNALS: dict[str, Callable[[], Samples]] = {
    "noise": _noise,
    "chord": _chord,
    "comb of hop 256": lambda: _comb(256),
    "comb of hop 512": lambda: _comb(512),
    "silence": lambda: np.zeros(N_SAMPLES, np.float32),
}


def probabilities(detector: Detector) -> dict[str, float]:
    """Return the model's probability for each signal, as a song of one segment."""
    return {
        name: float(detector.probabilities(SegmentBatch((make()[None],), np.zeros(1)))[0])
        for name, make in SIGNALS.items()
    }


def main() -> None:
    """Write the golden file of the default model."""
    detector = Detector(find_model("default"))
    golden = {"model": detector.card.label, "probabilities": probabilities(detector)}
    path = Path(__file__).with_name("finecomb.json")
    path.write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
