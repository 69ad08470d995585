"""Score all hard negatives as files; none may be ``ai``.

    python -m tests.programs.hard_negatives [--seed N] [MUSIC.wav ...]

Hum is laid over each file of human-made music that is named. The last lines count outcomes by
kind, as JSON. The bundled model has learnt from those of seed 0.
"""

from __future__ import annotations

import argparse
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


def main() -> int:
    """Print what became of the signals, and return how many were called ``ai``."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.hard_negatives")
    parser.add_argument("--seed", type=int, default=1, help="of the signals")
    parser.add_argument("--model", default="default", help="name or path")
    parser.add_argument("music", type=Path, nargs="*", help="for hum to be laid over")
    arguments = parser.parse_args()
    detector = Detector(find_model(arguments.model))
    music = [read_waveform(path, SAMPLE_RATE).samples for path in arguments.music]
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.wav"
        for signal in hard_negatives(music, seed=arguments.seed):
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
    sys.exit(min(1, main()))
