"""Which workers the option ``executor`` names, and the process's own of them."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from beetsplug.artifactnet.workers.local import LocalWorkers
from beetsplug.artifactnet.workers.run import Workers

if TYPE_CHECKING:
    from beetsplug.artifactnet.workers.dask import DaskWorkers

LOCAL = "local"
DASK_SCHEME = "dask"

_shared: dict[tuple[str, int], LocalWorkers | DaskWorkers] = {}
_lock = threading.RLock()
"""Held while they change: an import asks for them in two threads."""


def shared_workers(executor: str, threads: int) -> Workers:
    """Return the process's workers, started on the first call.

    Args:
        executor: ``local``, or the address of a Dask scheduler, ``dask://HOST:PORT``.
        threads: Processes of ``local``; 0 is one per core.

    Raises:
        ConfigError: No scheduler answers there.
        MissingPackageError: The extra ``dask`` is not installed.
    """
    key = (executor, 0) if executor != LOCAL else (LOCAL, n_processes(threads))
    with _lock:
        if key not in _shared:
            close_workers()
            _shared[key] = LocalWorkers(key[1]) if executor == LOCAL else _dask(executor)
        return _shared[key]


def _dask(executor: str) -> DaskWorkers:
    from beetsplug.artifactnet.workers.dask import DaskWorkers

    return DaskWorkers(f"tcp://{urlsplit(executor).netloc}")


@atexit.register
def _close_at_exit() -> None:
    if threading.current_thread() is threading.main_thread():
        # There is nothing left to interrupt, and Python would print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    close_workers()


def close_workers() -> None:
    """End the process's workers; the next call of :func:`shared_workers` starts others."""
    with _lock:
        while _shared:
            _, workers = _shared.popitem()
            workers.close()


def n_processes(threads: int) -> int:
    """Return the number of processes for the option ``threads``: 0 is one per core."""
    if threads > 0:
        return threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_executor(value: Any) -> bool:
    """Tell whether a value can be the option ``executor``."""
    if value == LOCAL:
        return True
    try:
        parts = urlsplit(value)
        return bool(parts.scheme == DASK_SCHEME and parts.hostname and parts.port)
    except (AttributeError, TypeError, ValueError):
        return False
