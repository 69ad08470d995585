"""Score all hard negatives as files; none may be ``ai``.

    python -m tests.programs.hard_negatives [MUSIC.wav ...]

Hum is laid over each file of human-made music that is named. The last lines count outcomes by
kind, as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import soundfile

from beetsplug.artifactnet.audio import read_waveform
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.training.data.hard_negatives import SAMPLE_RATE, hard_negatives


def main(paths: list[str]) -> int:
    """Print what became of the signals, and return how many were called ``ai``."""
    detector = Detector(find_model("default"))
    music = [read_waveform(Path(path), SAMPLE_RATE).samples for path in paths]
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.wav"
        for signal in hard_negatives(music):
            soundfile.write(path, signal.make(), SAMPLE_RATE, subtype="PCM_16")
            result = score_file(path, detector, 7)
            word: str = result.outcome
            if result.score is not None:
                word = detector.card.thresholds.verdict(result.score.probability)
                if word != Verdict.REAL:
                    print(f"{word} {result.score.probability:.4f} {signal.name}")  # noqa: T201
            outcomes[signal.kind][str(word)] += 1
    print(json.dumps(outcomes, indent=1))  # noqa: T201
    return sum(of[Verdict.AI.value] for of in outcomes.values())


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
