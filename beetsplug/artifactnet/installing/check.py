"""Trying a model out, step by step: files, hashes, session, contract, a run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.installing.self_test import self_test
from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import SegmentBatch

_N_RUNS = 5
_NOISE_LEVEL = 0.1


def check_model(model: Model, providers: Sequence[str]) -> Iterator[str]:
    """Yield a line for each step that went well.

    Raises:
        ModelError: A step went wrong; the message says what.
    """
    yield f"files: {len(model.card.files)}, {model_bytes(model) / 1e6:,.1f} MB"
    model.verify()
    yield f"hashes: {len(model.card.files)} as the card names them"
    detector = Detector(model, providers)
    session = detector.open()
    yield f"session: {', '.join(session.get_providers())}"
    inputs = [f"{given.name} {given.type} {given.shape}" for given in session.get_inputs()]
    yield f"contract: {', '.join(inputs)} -> {model.card.output_name}"
    yield _run(detector)
    yield from self_test(detector)


def model_bytes(model: Model) -> int:
    """Return the size of a model's files.

    Raises:
        ModelError: One of them is missing.
    """
    total = 0
    for name in model.card.files:
        try:
            total += (model.folder / name).stat().st_size
        except OSError as error:
            raise ModelError(
                f"{model.folder / name}: {error.strerror}; reinstall it"
            ) from error
    return total


def _run(detector: Detector) -> str:
    """Run the model on seeded noise, and return how that went in one line."""
    card = detector.card
    # The first call of a session allocates what the others find.
    detector.probabilities(_noise(card, 0))
    times_s, values = [], []
    for seed in range(_N_RUNS):
        batch = _noise(card, seed)
        started = time.perf_counter()
        values.append(detector.probabilities(batch))
        times_s.append((time.perf_counter() - started) / len(batch.starts_s))
    found = np.concatenate(values)
    n_finite = int(np.isfinite(found).sum())
    if not n_finite:
        raise ModelError(
            f"model {card.label} gave no finite probability in {len(found)} runs on noise"
        )
    return (
        f"run: {statistics.median(times_s) * 1e3:.1f} ms a segment (median of {_N_RUNS}), "
        f"{n_finite} of {len(found)} outputs finite"
    )


def _noise(card: ModelCard, seed: int) -> SegmentBatch:
    """Return what one call of a model takes, made of noise: a segment, or a song's."""
    generator = np.random.default_rng(seed)
    n_segments = (card.max_segments or 1) if card.call == "song" else 1
    samples = tuple(
        np.clip(
            generator.normal(0, _NOISE_LEVEL, (n_segments, given.segment_samples)), -1, 1
        ).astype(np.float32)
        for given in card.inputs
    )
    return SegmentBatch(samples, np.arange(n_segments, dtype=np.float64))
