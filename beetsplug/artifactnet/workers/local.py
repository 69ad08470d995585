"""Where files are scored: processes of this machine, or a Dask cluster.

A decoder that crashes or hangs takes its process with it, and with the process no more
than the one file. The process that owns the database decodes nothing.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from beetsplug.artifactnet.errors import ConfigError, MissingPackageError

if sys.platform == "win32":
    from multiprocessing.context import SpawnContext as StartContext
    from multiprocessing.context import SpawnProcess as StartProcess
else:
    from multiprocessing.context import ForkServerContext as StartContext
    from multiprocessing.context import ForkServerProcess as StartProcess

if TYPE_CHECKING:
    import distributed
    import pebble

T = TypeVar("T")
Item = TypeVar("Item")

LOCAL = "local"
DASK_SCHEME = "dask"
_FILES_PER_PROCESS = 2_000
"""A process is replaced after that many: what a decoder leaks does not add up."""
_PRELOADED = (
    "beetsplug.artifactnet.pipeline",
    "beetsplug.artifactnet.workers",
    "onnxruntime",
    "pebble.pool.process",
)
_CONNECT_S = 10
_CLOSE_S = 3.0
_WAIT_S = 0.2
"""How long the main thread waits at a time: Ctrl-C is heard between two waits."""
_STALL_S = 30.0
"""How long work may wait for a worker that has none; one that starts takes a second or two."""
_PER_WORKER = 2
"""Items a worker has at hand: the one that it works on, and the next."""
_CRASH_ATTEMPTS = 2
"""A worker may die of something else than its file, of a lack of memory for one."""
_BROKEN_ATTEMPTS = 5
"""Where nobody can say whose worker died, an innocent file must have better chances."""


class Cancelled(Exception):
    """The run was stopped."""


@dataclass(frozen=True)
class Lost:
    """What there is in place of a result where a worker did not come back with one."""

    reason: str
    attempts: int = 1
    """How often the item is tried before this is its result."""

    def __str__(self) -> str:
        return self.reason


class Workers(Protocol):
    """Something that runs functions elsewhere."""

    @property
    def n_workers(self) -> int:
        """How many tasks run at the same time."""

    def submit(
        self, time_limit_s: float | None, function: Callable[..., T], *args: Any
    ) -> Future[T]:
        """Run a function of a module, with arguments that can be pickled.

        Args:
            time_limit_s: After so many seconds it is ended; None lets it run.
            function: What to run.
            args: Its arguments.
        """

    def lost(self, error: BaseException) -> Lost | None:
        """Return what was lost where this exception of a future says so, else None."""

    def check(self) -> None:
        """Let those futures fail that nobody works for any more."""


def run_each(
    function: Callable[[Item], T],
    items: Iterable[Item],
    workers: Workers,
    *,
    time_limit_s: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, Item, T | Lost]]:
    """Yield each item's place, the item, and what the function made of it, as it comes.

    An item whose worker dies is tried a second time. Closing the generator ends what
    runs and drops what waits; no more than two items a worker do either.

    Raises:
        Cancelled: ``is_cancelled`` said so, asked several times a second.
        Exception: What the function raised.
    """
    waiting: dict[Future[T], tuple[int, Item, int]] = {}
    queue = ((place, item, 1) for place, item in enumerate(items))
    again: deque[tuple[int, Item, int]] = deque()
    try:
        while True:
            while len(waiting) < _PER_WORKER * workers.n_workers:
                task = again.popleft() if again else next(queue, None)
                if task is None:
                    break
                waiting[workers.submit(time_limit_s, function, task[1])] = task
            if not waiting:
                return
            if is_cancelled():
                raise Cancelled
            done, _ = wait(waiting, timeout=_WAIT_S, return_when=FIRST_COMPLETED)
            workers.check()
            for future in done:
                place, item, attempt = waiting.pop(future)
                result = _result(future, workers)
                if isinstance(result, Lost) and attempt < result.attempts:
                    again.append((place, item, attempt + 1))
                else:
                    yield place, item, result
    finally:
        for future in waiting:
            future.cancel()


def _result(future: Future[T], workers: Workers) -> T | Lost:
    try:
        return future.result()
    except Exception as error:
        lost = workers.lost(error)
        if lost is None:
            raise
        return lost


class LocalWorkers:
    """Processes of this machine; one that dies is replaced.

    Args:
        n_workers: How many.
        stall_s: Seconds after which work that waits for a worker which has none is taken
            for lost.
    """

    def __init__(self, n_workers: int, *, stall_s: float = _STALL_S) -> None:
        self._n_workers, self._stall_s = n_workers, stall_s
        self._pool = _Pool(n_workers)
        self._is_closed = False

    @property
    def n_workers(self) -> int:
        """How many tasks run at the same time."""
        return self._n_workers

    def submit(
        self, time_limit_s: float | None, function: Callable[..., T], *args: Any
    ) -> Future[T]:
        """Run a function in a process; cancelling its future ends the process."""
        self.check()
        return self._pool.submit(time_limit_s, function, *args)

    def lost(self, error: BaseException) -> Lost | None:
        """Return what was lost where this exception of a future says so, else None."""
        from concurrent.futures.process import BrokenProcessPool

        from pebble import ProcessExpired

        if isinstance(error, ProcessExpired):
            reason = f"its decoder crashed ({_how_it_ended(error.exitcode)})"
            return Lost(reason, _CRASH_ATTEMPTS)
        if isinstance(error, BrokenProcessPool):
            return Lost("its worker died again and again", _BROKEN_ATTEMPTS)
        if isinstance(error, TimeoutError | FutureTimeoutError):
            return Lost("not done within the time limit")
        return None

    def check(self) -> None:
        """Replace the pool if it is broken or stalled; what it had still to do fails.

        A process that dies with nothing to do leaves the whole pool out of order. One that
        dies with what it was asked for in its hands, before it said so, takes that with it,
        and the lock that it held: nobody else will do it, and no time limit runs for it.
        """
        if self._is_closed:
            return
        if self._pool.is_broken() or self._pool.waits_s() > self._stall_s:
            broken, self._pool = self._pool, _Pool(self._n_workers)
            broken.give_up()

    def close(self) -> None:
        """End all processes."""
        self._is_closed = True
        self._pool.close()


class _PoolFuture(Future[T]):
    """What a pool's own future comes to, unless it is given up before.

    The pool's own is left to the pool, whose threads end with a traceback where somebody
    else has settled it.
    """

    def __init__(self, future: Future[T]) -> None:
        super().__init__()
        self._future = future
        future.add_done_callback(self._take)

    def running(self) -> bool:
        """Tell whether a process works on it."""
        return not self.done() and self._future.running()

    def cancel(self) -> bool:
        """Take it back, or end the process that works on it."""
        return self._future.cancel()

    def give_up(self) -> None:
        """Fail as what a broken pool had to do fails."""
        from concurrent.futures.process import BrokenProcessPool

        with suppress(InvalidStateError):
            self.set_exception(BrokenProcessPool("the pool broke"))

    def _take(self, future: Future[T]) -> None:
        with suppress(InvalidStateError):
            if future.cancelled():
                super().cancel()
                self.set_running_or_notify_cancel()
            elif error := future.exception():
                self.set_exception(error)
            else:
                self.set_result(future.result())


class _Pool:
    """A pool of processes, until it breaks or is closed."""

    def __init__(self, n_workers: int) -> None:
        context = _context()

        from pebble import ProcessPool

        self._pool: pebble.ProcessPool = ProcessPool(
            max_workers=n_workers,
            max_tasks=_FILES_PER_PROCESS,
            initializer=_start_worker,
            context=context,
        )
        self._n_workers = n_workers
        self._futures: set[_PoolFuture[Any]] = set()
        self._waiting: frozenset[_PoolFuture[Any]] = frozenset()
        self._waits_since = time.monotonic()
        self._closing = threading.Event()
        # Started now: there are no new threads any more when Python exits.
        self._closer = threading.Thread(target=self._close, daemon=True)
        self._closer.start()

    def submit(
        self, time_limit_s: float | None, function: Callable[..., T], *args: Any
    ) -> Future[T]:
        future = _PoolFuture(
            self._pool.schedule(function, args=list(args), timeout=time_limit_s)
        )
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def is_broken(self) -> bool:
        return not self._pool.active

    def waits_s(self) -> float:
        """Return for how many seconds the same tasks wait although a worker has none."""
        undone = [future for future in list(self._futures) if not future.done()]
        waiting = frozenset(future for future in undone if not future.running())
        if len(undone) - len(waiting) >= self._n_workers:
            waiting = frozenset()
        if waiting != self._waiting:
            self._waiting, self._waits_since = waiting, time.monotonic()
        return time.monotonic() - self._waits_since if waiting else 0.0

    def give_up(self) -> None:
        """Let what is not done fail, and end what runs."""
        self._pool.stop()
        self._closing.set()
        for future in list(self._futures):
            future.give_up()

    def close(self) -> None:
        """End all processes."""
        self._pool.stop()
        self._closing.set()
        # Ctrl-C may have hit this thread in the middle of waking one of the pool's, which
        # then sleeps for ever. The processes have ended by then; the rest are daemons.
        self._closer.join(_CLOSE_S)

    def _close(self) -> None:
        self._closing.wait()
        self._pool.join()


class WorkerProcess(StartProcess):
    """A process that does not import the program that started it.

    Nothing of that program is needed there: it would cost the time to load beets, and a
    script without a main guard, or one read from standard input, would start workers of
    its own in each worker.
    """

    def start(self) -> None:
        """Start the process."""
        with _starting:
            program = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = program


class WorkerContext(StartContext):
    """How worker processes are started.

    Not by forking this one: an import runs in several threads, and what another of them
    holds at that moment would stay locked for ever. The server is forked from before it
    has any thread, so a new process costs little time and shares its memory. Windows has
    no fork; there each process loads everything.
    """

    Process = WorkerProcess


def _context() -> WorkerContext:
    context = WorkerContext()
    if sys.platform != "win32":
        from multiprocessing.forkserver import ensure_running

        context.set_forkserver_preload(list(_PRELOADED))
        # It loads what it forks while this process still loads the rest.
        ensure_running()
    return context


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; it is for the process that people talk to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_master, daemon=True).start()


def _end_with_master() -> None:
    """End this process when the one that started it ends, in the middle of a file or not."""
    master = multiprocessing.parent_process()
    if master is not None:
        master.join()
        os._exit(1)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        try:
            return signal.Signals(-exit_code).name
        except ValueError:
            return f"signal {-exit_code}"
    return f"exit status {exit_code}"


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


_starting = threading.Lock()
"""Held while ``__main__`` is out of sight."""
_shared: dict[tuple[str, int], LocalWorkers | DaskWorkers] = {}


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
    if key not in _shared:
        close_workers()
        _shared[key] = (
            LocalWorkers(key[1]) if executor == LOCAL else DaskWorkers(_tcp(executor))
        )
    return _shared[key]


@atexit.register
def close_workers() -> None:
    """End the process's workers; the next call of :func:`shared_workers` starts others."""
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


def _tcp(executor: str) -> str:
    return f"tcp://{urlsplit(executor).netloc}"
