"""Processes of this machine that score files; one that ends is replaced.

The standard library's pools, and those built on it, do not serve here. They start Python with
the current folder first on its module path, and need shared memory and sockets in a temporary
folder. They count the time that a laptop slept as time that a task ran.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from beetsplug.artifactnet.errors import MachineError
from beetsplug.artifactnet.workers.restarting import RestartingWorker, Task
from beetsplug.artifactnet.workers.trouble import Lost

T = TypeVar("T")

_CLOSE_S = 3.0


class LocalWorkers:
    """Processes of this machine, started as there is work for them.

    Args:
        n_workers: How many at most.
    """

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._workers: list[RestartingWorker] = []
        self._tasks: deque[Task] = deque()
        self._changed = threading.Condition()
        """Held while workers or tasks change."""

    @property
    def n_workers(self) -> int:
        """How many tasks run at the same time."""
        return self._n_workers

    @property
    def is_remote(self) -> bool:
        """Whether they may see other files than this machine: they do not."""
        return False

    def submit(
        self,
        time_limit_s: float | None,
        function: Callable[..., T],
        *args: Any,
        prepare: Callable[[], object] | None = None,
        is_fresh: bool = False,
    ) -> Future[T | Lost]:
        """Call a function in a process.

        Args:
            time_limit_s: After so many seconds of running time the process is ended; time
                in which this machine slept does not count. None: it may run for ever.
            function: One of a module, or something else that can be pickled.
            args: Its arguments.
            prepare: Called before in a process that has not yet; what goes wrong there is
                trouble of the machine.
            is_fresh: Whether the process is to be a new one.

        Raises:
            MachineError: No worker can be started.

        Returns:
            Its result, or a :class:`Lost` where there is none; or the future raises what
            the function raised.
        """
        task = Task(function, args, time_limit_s, prepare, is_fresh)
        with self._changed:
            self._tasks.append(task)
            n_idle = sum(worker.is_idle for worker in self._workers)
            if n_idle < len(self._tasks) and len(self._workers) < self._n_workers:
                self._add_worker()
            self._changed.notify()
        return task.future

    def _add_worker(self) -> None:
        """Start a thread that keeps a process.

        Raises:
            MachineError: There is none so far, and the system starts none.
        """
        try:
            self._workers.append(RestartingWorker(self._next_task))
        except RuntimeError as error:
            if not self._workers:
                raise MachineError(f"no worker can be started: {error}") from error

    def _next_task(self, worker: RestartingWorker) -> Task | None:
        """Wait for a task; None where the worker is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or worker not in self._workers)
            return self._tasks.popleft() if worker in self._workers else None

    def check(self) -> None:
        """End the processes whose task has run beyond its time limit."""
        now = time.monotonic()
        for worker in self._workers:
            worker.look(now)

    def abandon(self, future: Future[Any]) -> None:
        """Take a task back, or end the process that works on it."""
        if not future.cancel():
            for worker in self._workers:
                worker.give_up(future)

    def shrink(self) -> bool:
        """Work with one process fewer from now on; tell whether that leaves any."""
        with self._changed:
            if self._n_workers == 1:
                return False
            self._n_workers -= 1
            if len(self._workers) > self._n_workers:
                idle = [worker for worker in self._workers if worker.is_idle]
                self._workers.remove((idle or self._workers)[-1])
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """End all processes."""
        with self._changed:
            workers, self._workers = self._workers, []
            self._changed.notify_all()
        for worker in workers:
            worker.give_up()
        for worker in workers:
            worker.thread.join(_CLOSE_S)
