"""Where files are scored: processes of this machine, or a Dask cluster.

A decoder that crashes or hangs takes its process with it, and with the process no more
than the one file. The process that owns the database decodes nothing.
"""

from __future__ import annotations

from beetsplug.artifactnet.workers.executor import (
    LOCAL,
    close_workers,
    is_executor,
    n_processes,
    shared_workers,
)
from beetsplug.artifactnet.workers.restarting import PREPARING_LIMIT_S
from beetsplug.artifactnet.workers.run import Cancelled, Workers, run_each
from beetsplug.artifactnet.workers.trouble import Loss, Lost, trouble_of

__all__ = [
    "LOCAL",
    "PREPARING_LIMIT_S",
    "Cancelled",
    "Loss",
    "Lost",
    "Workers",
    "close_workers",
    "is_executor",
    "n_processes",
    "run_each",
    "shared_workers",
    "trouble_of",
]
