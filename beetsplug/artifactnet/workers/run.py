"""Running a function over many items elsewhere, with retries and cancelling."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")

_WAIT_S = 0.2
"""How long the main thread waits at a time: Ctrl-C is heard between two waits."""
_PER_WORKER = 2
"""Items a worker has at hand: the one that it works on, and the next."""


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
