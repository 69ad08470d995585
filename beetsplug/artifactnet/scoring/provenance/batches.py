"""The claims of many files, read in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from beetsplug.artifactnet.results import Claim
from beetsplug.artifactnet.scoring.provenance.description import Description, describe_many
from beetsplug.artifactnet.scoring.provenance.reader import read_many
from beetsplug.artifactnet.workers import Lost, Workers, run_each

_FILES_PER_TASK = 64
"""Tags take a millisecond; handing a task to a process takes about as long."""

T = TypeVar("T")

Batch = tuple[int, Sequence[Path]]
"""Place of the first path, and the paths."""


def read_files(
    paths: Sequence[Path],
    workers: Workers,
    *,
    time_limit_s: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, tuple[Claim, ...] | None]]:
    """Yield each file's place in ``paths`` and its claims, as they arrive.

    The claims are None for a file that is not there, cannot be opened, or that its
    worker dies of.

    Args:
        paths: The files.
        workers: Where they are read.
        time_limit_s: Seconds after which a task of up to 64 files is given up, to be
            tried again file by file; None for no limit.
        is_cancelled: Asked several times a second.

    Raises:
        Cancelled: ``is_cancelled`` said so.
        MachineError: The machine is in trouble.
    """
    return _in_batches(read_many, paths, workers, time_limit_s, is_cancelled)


def describe_files(
    paths: Sequence[Path],
    workers: Workers,
    *,
    time_limit_s: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, Description | None]]:
    """Yield each file's place in ``paths`` and its description, as they arrive.

    It is None for a file that is not there, cannot be opened, or that its worker dies of.
    Arguments and errors are those of :func:`read_files`.
    """
    return _in_batches(describe_many, paths, workers, time_limit_s, is_cancelled)


def _in_batches(
    function: Callable[[Sequence[Path]], Sequence[T]],
    paths: Sequence[Path],
    workers: Workers,
    time_limit_s: float | None,
    is_cancelled: Callable[[], bool],
) -> Generator[tuple[int, T | None]]:
    """Yield each file's place and what a function of many files makes of it."""
    starts = range(0, len(paths), _FILES_PER_TASK)
    batches: list[Batch] = [(start, paths[start : start + _FILES_PER_TASK]) for start in starts]
    lost: list[Batch] = []
    for (start, batch), results in _run(function, batches, workers, time_limit_s, is_cancelled):
        if results is None:
            lost += [(start + offset, [path]) for offset, path in enumerate(batch)]
        else:
            yield from enumerate(results, start)
    # One of a lost batch's files took the worker down, and the others are innocent.
    for (place, _), results in _run(function, lost, workers, time_limit_s, is_cancelled):
        yield place, results[0] if results else None


def _run(
    function: Callable[[Sequence[Path]], Sequence[T]],
    batches: Sequence[Batch],
    workers: Workers,
    time_limit_s: float | None,
    is_cancelled: Callable[[], bool],
) -> Iterator[tuple[Batch, Sequence[T] | None]]:
    found = run_each(
        function,
        (paths for _, paths in batches),
        workers,
        time_limit_s=time_limit_s,
        is_cancelled=is_cancelled,
    )
    for place, _, results in found:
        yield batches[place], None if isinstance(results, Lost) else results
