"""How long one segment takes on one thread.

``python -m beetsplug.artifactnet.training.report.timing``, with names or paths of models behind
``--models`` to let them take turns, as what else a machine does changes from second to
second. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from beetsplug.artifactnet.models.store import Model, find_model
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import SegmentBatch

_N_WARMING = 3


def segment_times(models: Sequence[Model], n_rounds: int) -> list[list[float]]:
    """Return the milliseconds that each model took for one segment, a number a round.

    The segment is noise: a network takes as long whatever it hears.

    Args:
        models: They take turns.
        n_rounds: How many times.

    Raises:
        ModelError: One is broken.
    """
    rng = np.random.default_rng(0)
    runs = []
    for model in models:
        noise = tuple(
            rng.normal(0, 0.1, (1, each.segment_samples)).astype(np.float32)
            for each in model.card.inputs
        )
        runs.append((Detector(model), SegmentBatch(noise, np.zeros(1))))
    calls = [partial(detector.probabilities, batch) for detector, batch in runs]
    return [[1_000 * seconds for seconds in taken] for taken in in_turns(calls, n_rounds)]


def in_turns(calls: Sequence[Callable[[], object]], n_rounds: int) -> list[list[float]]:
    """Return the seconds that each call took, a number a round, once all are warm."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(_N_WARMING + n_rounds):
        for taken, call in zip(times, calls, strict=True):
            started = time.perf_counter()
            call()
            if number >= _N_WARMING:
                taken.append(time.perf_counter() - started)
    return times


def table(models: Sequence[Model], times: Sequence[Sequence[float]]) -> str:
    """Return a row for each model."""
    lines = ["| model | ms a segment: least | median | 95 of 100 below |", "|---|---|---|---|"]
    for model, taken in zip(models, times, strict=True):
        cells = [f"{found:.1f}" for found in np.percentile(taken, [0, 50, 95])]
        lines.append(f"| {model.card.label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m beetsplug.artifactnet.training.report.timing"
    )
    parser.add_argument("--models", nargs="+", default=["default"], help="names or paths")
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    models = [find_model(name) for name in arguments.models]
    sys.stdout.write(table(models, segment_times(models, arguments.rounds)))


if __name__ == "__main__":
    main()
