"""A Dask cluster whose workers see the same files at the same paths."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from beetsplug.artifactnet.errors import ConfigError, MachineError, MissingPackageError
from beetsplug.artifactnet.workers.child import call
from beetsplug.artifactnet.workers.trouble import Loss, Lost

if TYPE_CHECKING:
    import distributed

T = TypeVar("T")

_CONNECT_S = 10
_OF_DASK = ("dask.", "distributed.", "tornado.")
_WITHOUT_WORKERS_S = 120.0
"""How long a cluster may be without a worker; one that crashed takes seconds to start anew."""


class _DaskFuture(Future[T]):
    """What a task on the cluster comes to, in our own words."""

    def __init__(self, task: Future[Any]) -> None:
        super().__init__()
        self._task = task

    def cancel(self) -> bool:
        """Take the task back."""
        self._task.cancel()
        return super().cancel()


class DaskWorkers:
    """A Dask cluster; its workers need this plugin too, of the same version.

    Dask moves the tasks of a lost worker to another one, and gives up on a task that
    cost it several.

    Args:
        address: Of the scheduler, ``tcp://HOST:PORT``.
        without_workers_s: Seconds for which the cluster may be without a worker.

    Raises:
        ConfigError: No scheduler answers there.
        MissingPackageError: The package distributed is not installed.
    """

    def __init__(self, address: str, *, without_workers_s: float = _WITHOUT_WORKERS_S) -> None:
        try:
            import distributed
        except ImportError as error:
            raise MissingPackageError("distributed", "beets-artifactnet[dask]") from error
        # It would report a scheduler that goes away with a traceback; here that is one line.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._killed = distributed.KilledWorker
        self._address, self._without_workers_s = address, without_workers_s
        try:
            self._client: distributed.Client = distributed.Client(
                address, timeout=_CONNECT_S, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"artifactnet.executor: no Dask scheduler answers at {address}"
            ) from error
        self._executor = self._client.get_executor(pure=False)
        self._seen_at = time.monotonic()
        """When there was a worker last."""

    @property
    def n_workers(self) -> int:
        """How many tasks run at the same time, of the workers that are there now."""
        return max(1, self._n_threads())

    def _n_threads(self) -> int:
        """Return how many threads the workers have that the scheduler knows.

        Raises:
            MachineError: The scheduler is gone.
        """
        try:
            return sum(self._client.nthreads().values())
        except Exception as error:  # Dask and tornado have a dozen for it
            raise self._gone() from error

    @property
    def is_remote(self) -> bool:
        """Whether they may see other files than this machine: they may."""
        return True

    def submit(
        self,
        time_limit_s: float | None,
        function: Callable[..., T],
        *args: Any,
        prepare: Callable[[], object] | None = None,
        is_fresh: bool = False,
    ) -> Future[T | Lost]:
        """Call a function on the cluster, which knows no time limit and no processes."""
        del time_limit_s, prepare, is_fresh
        try:
            task = self._executor.submit(call, function, *args)
        except Exception as error:
            raise self._gone() from error
        result: _DaskFuture[T | Lost] = _DaskFuture(task)
        task.add_done_callback(lambda _: self._settle(result, task))
        return result

    def _settle(self, result: Future[Any], task: Future[Any]) -> None:
        with suppress(InvalidStateError):
            # Dask cancels what it has when its scheduler goes.
            error = CancelledError() if task.cancelled() else task.exception()
            if error is None:
                result.set_result(task.result())
            elif isinstance(error, self._killed):
                result.set_result(Lost("every Dask worker that tried it died", Loss.TIME))
            else:
                result.set_exception(self._in_our_words(error))

    def _in_our_words(self, error: BaseException) -> BaseException:
        if isinstance(error, ImportError):
            return ConfigError(f"artifactnet.executor: a Dask worker misses a package: {error}")
        if isinstance(error, CancelledError) or type(error).__module__.startswith(_OF_DASK):
            return self._gone()
        return error

    def check(self) -> None:
        """Do nothing while there are workers: the scheduler replaces lost ones.

        Raises:
            MachineError: The scheduler is gone, or there has been no worker for long.
        """
        if self._client.status not in {"running", "connecting"}:
            raise self._gone()
        if self._n_threads():
            self._seen_at = time.monotonic()
        elif time.monotonic() - self._seen_at > self._without_workers_s:
            raise MachineError(
                f"the Dask scheduler at {self._address} has had no worker for "
                f"{self._without_workers_s:g} s: start one with `dask worker`, and run again"
            )

    def abandon(self, future: Future[Any]) -> None:
        """Take a task back."""
        future.cancel()

    def shrink(self) -> bool:
        """Leave the number of workers to the cluster."""
        return False

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()

    def _gone(self) -> MachineError:
        return MachineError(
            f"the Dask scheduler at {self._address} does not answer any more; "
            f"what was not scored is as it was: start it, and run again"
        )
