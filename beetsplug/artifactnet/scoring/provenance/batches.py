"""The claims of many files, read in worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from beetsplug.artifactnet.results import Claim
from beetsplug.artifactnet.scoring.provenance.reader import read_many
from beetsplug.artifactnet.workers import Lost, Workers, run_each

_FILES_PER_TASK = 64
"""Tags take a millisecond; handing a task to a process takes about as long."""

Batch = tuple[int, Sequence[Path]]
"""Place of the first path, and the paths."""


def read_files(
    paths: Sequence[Path], workers: Workers, *, time_limit_s: float | None = None
) -> Iterator[tuple[int, tuple[Claim, ...] | None]]:
    """Yield each file's place in ``paths`` and its claims, as they arrive.

    The claims are None for a file that is not there, cannot be opened, or that its
    worker dies of.

    Args:
        paths: The files.
        workers: Where they are read.
        time_limit_s: Seconds after which a task of up to 64 files is given up, to be
            tried again file by file; None for no limit.
    """
    starts = range(0, len(paths), _FILES_PER_TASK)
    batches: list[Batch] = [(start, paths[start : start + _FILES_PER_TASK]) for start in starts]
    lost: list[Batch] = []
    for (start, batch), results in _run(batches, workers, time_limit_s):
        if results is None:
            lost += [(start + offset, [path]) for offset, path in enumerate(batch)]
        else:
            yield from enumerate(results, start)
    # One of a lost batch's files took the worker down, and the others are innocent.
    for (place, _), results in _run(lost, workers, time_limit_s):
        yield place, results[0] if results else None


def _run(
    batches: Sequence[Batch], workers: Workers, time_limit_s: float | None
) -> Iterator[tuple[Batch, list[tuple[Claim, ...] | None] | None]]:
    found = run_each(
        read_many, (paths for _, paths in batches), workers, time_limit_s=time_limit_s
    )
    for place, _, results in found:
        yield batches[place], None if isinstance(results, Lost) else results
