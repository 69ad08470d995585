"""A worker process that is started again after it crashed, hung or wore out."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from beetsplug.artifactnet.workers.process import (
    CannotStartError,
    Ended,
    WorkerProcess,
    how_it_ended,
)
from beetsplug.artifactnet.workers.trouble import Loss, Lost

T = TypeVar("T")

PREPARING_LIMIT_S = 120.0
"""The longest that a process may take until it can work, seconds."""
_TASKS_PER_PROCESS = 2_000
"""A process is replaced after that many: what a decoder leaks does not add up."""
_LONGEST_STEP_S = 1.0
"""A longer time between two looks at a task is time in which this machine slept."""
_FAULTS = frozenset(
    -getattr(signal, name)
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")
    if hasattr(signal, name)
)
"""Exit codes of a process that its own code ended; other signals come from outside."""


@dataclass(eq=False)
class Task:
    """A function that is to be called, and the future of its result."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    time_limit_s: float | None
    prepare: Callable[[], object] | None = None
    is_fresh: bool = False
    """Whether it is for a process that has done nothing before."""
    is_preparing: bool = False
    future: Future[Any] = field(default_factory=Future)
    ran_s: float = 0.0
    looked_at: float | None = None
    """When its time was counted last; None before its process could work."""
    lost: Lost | None = None
    """Why its process was ended, where that was done on purpose."""

    def count_time(self, now: float) -> bool:
        """Count the time that it ran; tell whether that is beyond its limit."""
        limit_s = PREPARING_LIMIT_S if self.is_preparing else self.time_limit_s
        if self.looked_at is None or limit_s is None:
            return False
        self.ran_s += min(now - self.looked_at, _LONGEST_STEP_S)
        self.looked_at = now
        return self.ran_s > limit_s

    def begin(self, *, is_preparing: bool = False) -> None:
        """Count its time from now on."""
        self.ran_s, self.looked_at = 0.0, time.monotonic()
        self.is_preparing = is_preparing

    def settle(self, value: object) -> None:
        """Give the future its result, an exception its own way; once."""
        with suppress(InvalidStateError):
            if isinstance(value, BaseException):
                self.future.set_exception(value)
            else:
                self.future.set_result(value)


class RestartingWorker:
    """A thread that keeps one process, takes tasks and waits for their results."""

    def __init__(self, next_task: Callable[[RestartingWorker], Task | None]) -> None:
        self._next_task = next_task
        self._process: WorkerProcess | None = None
        self._n_calls = 0
        self._prepared: Callable[[], object] | None = None
        """The preparation that the process has had."""
        self._lock = threading.Lock()
        """Held while the task in hand changes, or its process is ended for it."""
        self._task: Task | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a task."""
        return self._task is None

    def look(self, now: float) -> None:
        """End the process if its task has run beyond the limit."""
        with self._lock:
            task = self._task
            if task is not None and task.lost is None and task.count_time(now):
                self._end(task, _late(task, self._process))

    def give_up(self, future: Future[Any] | None = None) -> None:
        """End the process if it works on this task, or on any."""
        with self._lock:
            task = self._task
            if task is not None and future in (None, task.future):
                self._end(task, Lost("given up", Loss.TIME))

    def _end(self, task: Task, lost: Lost) -> None:
        task.lost = lost
        if self._process is not None:
            self._process.kill()

    def _work(self) -> None:
        while (task := self._next_task(self)) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            with self._lock:
                self._task = task
            result = self._result(task)
            with self._lock:
                self._task = None
                if task.lost is not None:
                    self._let_go()
            task.settle(result)
        self._let_go()

    def _result(self, task: Task) -> object:
        """Return what the task's function returned or raised, or how it was lost."""
        try:
            process = self._started(task)
            result = self._prepare(process, task)
            if result is None:
                task.begin()
                result = task.lost or process.call(task.function, task.args)
        except Ended as ended:
            self._let_go()
            return task.lost or _lost_by(ended)
        except CannotStartError as error:
            return task.lost or Lost(str(error), Loss.SCARCITY)
        except BaseException as error:  # noqa: BLE001 - the future hands it on
            return error
        if isinstance(result, Lost) and result.kind in (Loss.SCARCITY, Loss.EXCESS):
            # What it holds or has leaked is free for the next one.
            self._let_go()
        return result

    def _started(self, task: Task) -> WorkerProcess:
        """Return a process that can work.

        Raises:
            CannotStartError: None can be started.
        """
        is_worn = self._n_calls >= (1 if task.is_fresh else _TASKS_PER_PROCESS)
        if is_worn or (self._process is not None and self._process.is_dead()):
            self._let_go()
        self._n_calls += 1
        if self._process is None:
            self._process = WorkerProcess()
            try:
                self._process.wait_until_ready()
            except Ended as ended:
                self._let_go()
                how = how_it_ended(ended.exit_code)
                raise CannotStartError(f"it ended before it could work, {how}") from None
        return self._process

    def _prepare(self, process: WorkerProcess, task: Task) -> Lost | None:
        """Prepare a process for a task where it is not; return what stood in the way.

        Raises:
            CannotStartError: It ended; the task's item has no part in that.
        """
        if task.prepare is None or task.prepare == self._prepared:
            return None
        task.begin(is_preparing=True)
        try:
            result = process.call(task.prepare, ())
        except Ended as ended:
            self._let_go()
            how = how_it_ended(ended.exit_code)
            raise CannotStartError(f"a worker ended while it got ready, {how}") from None
        if isinstance(result, Lost):
            return result
        self._prepared = task.prepare
        return None

    def _let_go(self) -> None:
        if self._process is not None:
            self._process.close()
        self._process, self._n_calls, self._prepared = None, 0, None


def _late(task: Task, process: WorkerProcess | None) -> Lost:
    if task.is_preparing:
        return Lost(f"a worker is not ready after {PREPARING_LIMIT_S:g} s", Loss.SCARCITY)
    if process is not None and process.waits_for_the_machine():
        return Lost("its disk does not answer", Loss.ACCESS)
    return Lost("not done within the time limit", Loss.TIME)


def _lost_by(ended: Ended) -> Lost:
    how = how_it_ended(ended.exit_code)
    if ended.exit_code in _FAULTS or ended.exit_code >= 0:
        return Lost(f"its worker crashed ({how})", Loss.CRASH)
    return Lost(f"its worker was ended ({how}), as where memory is short", Loss.SCARCITY)
