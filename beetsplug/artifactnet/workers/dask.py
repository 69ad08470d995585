"""A Dask cluster whose workers see the same files at the same paths."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from beetsplug.artifactnet.errors import ConfigError, MissingPackageError
from beetsplug.artifactnet.workers.run import Lost

if TYPE_CHECKING:
    import distributed

T = TypeVar("T")

_CONNECT_S = 10


class DaskWorkers:
    """A Dask cluster whose workers see the same files at the same paths.

    Dask moves the tasks of a lost worker to another one, and gives up on a task that
    cost it several.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise MissingPackageError("distributed", "beets-artifactnet[dask]") from error
        self._module = distributed
        try:
            self._client: distributed.Client = distributed.Client(
                address, timeout=_CONNECT_S, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"artifactnet.executor: no Dask scheduler answers at {address}"
            ) from error
        self._executor = self._client.get_executor(pure=False)

    @property
    def n_workers(self) -> int:
        """How many tasks run at the same time, of the workers that are there now."""
        return max(1, sum(self._client.nthreads().values()))

    def submit(
        self, time_limit_s: float | None, function: Callable[..., T], *args: Any
    ) -> Future[T]:
        """Run a function on the cluster, which knows no time limit."""
        del time_limit_s
        return self._executor.submit(function, *args)

    def lost(self, error: BaseException) -> Lost | None:
        """Return what was lost where this exception of a future says so, else None."""
        if isinstance(error, self._module.KilledWorker):
            return Lost("every Dask worker that tried it died")
        return None

    def check(self) -> None:
        """Do nothing: the scheduler gives the tasks of lost workers to others."""

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()
