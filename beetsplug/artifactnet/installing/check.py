"""Trying a model out, step by step: files, hashes, session, contract, a run.

A model's files are read and run in a worker, under limits of time and memory. A graph can loop
for ever or ask for any amount of memory, and Ctrl-C does not stop onnxruntime.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.installing.self_test import self_test
from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.scoring.detector import Detector, noise
from beetsplug.artifactnet.scoring.engines import CPU
from beetsplug.artifactnet.scoring.files import OPENING_LIMIT_S
from beetsplug.artifactnet.workers import LOCAL, Loss, Lost, run_each, shared_workers

T = TypeVar("T")

_N_RUNS = 5
_MEMORY_SHARE = 0.75
"""Of the machine's memory: as much as a step may take."""


def in_worker(
    function: Callable[..., T],
    *args: object,
    time_limit_s: float | None = None,
    memory_bytes: int | None = None,
) -> T:
    """Return what a function of a module gives in a worker of this machine.

    Args:
        function: It may raise a :class:`ModelError`.
        args: Its arguments.
        time_limit_s: When it is ended; None is the limit of opening a model.
        memory_bytes: The most that it may take, where the system can limit that; None is
            three quarters of the machine's, 0 is any amount.

    Raises:
        ModelError: As the function does, or it has reached a limit or crashed.
    """
    limited: Callable[[Callable[[], T]], T] = partial(_limited, memory_bytes)
    task = partial(function, *args)
    time_limit_s = OPENING_LIMIT_S if time_limit_s is None else time_limit_s
    workers = shared_workers(LOCAL, threads=1)
    ((_, _, result),) = run_each(limited, [task], workers, time_limit_s=time_limit_s)
    if isinstance(result, Lost):
        is_late = result.kind is Loss.TIME
        reason = f"it takes longer than {time_limit_s:g} s" if is_late else str(result)
        raise ModelError(f"the model is given up: {reason}")
    return result


def check_model(
    model: Model, providers: Sequence[str], time_limit_s: float | None = None
) -> Iterator[str]:
    """Yield a line for each step that went well.

    Args:
        model: The model.
        providers: onnxruntime's execution providers, in order of preference.
        time_limit_s: Of each step.

    Raises:
        ModelError: A step went wrong; the message says what.
    """
    # Other providers map more of the address space than they use.
    any_amount = None if set(providers) <= {CPU} else 0
    run = partial(in_worker, time_limit_s=time_limit_s, memory_bytes=any_amount)
    yield f"files: {len(model.card.files)}, {model.n_bytes / 1e6:,.1f} MB"
    run(Model.verify, model)
    yield f"hashes: {len(model.card.files)} as the card names them"
    # Its session is built in the worker, which keeps it for the next step.
    detector = Detector(model, providers)
    session, inputs = run(_session_facts, detector)
    yield f"session: {session}"
    yield f"contract: {', '.join(inputs)} -> {model.card.output_name}"
    # The first call of a session allocates what the others find.
    run(_timed_call, detector, 0)
    yield _summary(model.card, [run(_timed_call, detector, seed) for seed in range(_N_RUNS)])
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield from run(self_test, detector, Path(folder))


def _limited(memory_bytes: int | None, function: Callable[[], T]) -> T:
    try:
        with _memory_limit(memory_bytes):
            return function()
    except MemoryError as error:
        raise ModelError("the model is given up: it needs too much memory") from error


@contextmanager
def _memory_limit(n_bytes: int | None) -> Iterator[None]:
    """Bound what this process can allocate, where the system knows such a limit."""
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _memory_share() if n_bytes is None else n_bytes
    limits = [given for given in (wanted, soft, hard) if given > 0]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits, default=soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _memory_share() -> int:
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _MEMORY_SHARE)


def _session_facts(detector: Detector) -> tuple[str, list[str]]:
    """Return the engine and providers in use, and a text for each input."""
    session, notice = detector.open(), detector.provider_notice()
    inputs = [f"{given.name} {given.type} {given.shape}" for given in session.inputs]
    used = f"{session.engine}, {', '.join(session.providers)}"
    return f"{used}; providers: {notice}" if notice else used, inputs


def _timed_call(detector: Detector, seed: int) -> tuple[float, NDArray[np.float64]]:
    """Return the seconds a segment and the probabilities of one call on seeded noise."""
    card = detector.card
    # Of a model that is called once a song: a song's.
    n_segments = (card.max_segments or 1) if card.call == "song" else 1
    batch = noise(card, n_segments, seed)
    detector.open()
    started = time.perf_counter()
    probabilities = detector.probabilities(batch)
    return (time.perf_counter() - started) / len(batch.starts_s), probabilities


def _summary(card: ModelCard, runs: Sequence[tuple[float, NDArray[np.float64]]]) -> str:
    """Return how the runs went in one line."""
    probabilities = np.concatenate([found for _, found in runs])
    n_finite = int(np.isfinite(probabilities).sum())
    if not n_finite:
        raise ModelError(
            f"model {card.label} gave no finite probability in {len(probabilities)} "
            f"runs on noise"
        )
    median_ms = statistics.median(seconds for seconds, _ in runs) * 1e3
    return (
        f"run: {median_ms:.1f} ms a segment (median of {_N_RUNS}), "
        f"{n_finite} of {len(probabilities)} outputs finite"
    )
