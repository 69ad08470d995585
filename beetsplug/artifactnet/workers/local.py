"""Processes of this machine that score files; one that dies is replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from beetsplug.artifactnet.workers.run import Lost

if sys.platform == "win32":
    from multiprocessing.context import SpawnContext as StartContext
    from multiprocessing.context import SpawnProcess as StartProcess
else:
    from multiprocessing.context import ForkServerContext as StartContext
    from multiprocessing.context import ForkServerProcess as StartProcess

if TYPE_CHECKING:
    import pebble

T = TypeVar("T")

_FILES_PER_PROCESS = 2_000
"""A process is replaced after that many: what a decoder leaks does not add up."""
_PRELOADED = (
    "beetsplug.artifactnet.scoring.pipeline",
    "beetsplug.artifactnet.workers.local",
    "onnxruntime",
    "pebble.pool.process",
)
_CLOSE_S = 3.0
_STALL_S = 30.0
"""How long a task may stay queued while a worker is idle; one starts in a second or two."""
_CRASH_ATTEMPTS = 2
"""A worker may die of something else than its file, of a lack of memory for one."""
_BROKEN_ATTEMPTS = 5
"""Where nobody can say whose worker died, an innocent file must have better chances."""
_starting = threading.Lock()
"""Held while ``__main__`` is out of sight."""


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
