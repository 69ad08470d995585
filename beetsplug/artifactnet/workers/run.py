"""Running a function over many items in workers: retries, cancelling, trouble."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from beetsplug.artifactnet.errors import MachineError
from beetsplug.artifactnet.memory import with_memory_left
from beetsplug.artifactnet.workers.trouble import Loss, Lost

T = TypeVar("T")
Item = TypeVar("Item")

_WAIT_S = 0.2
"""How long the main thread waits at a time: Ctrl-C is heard between two waits."""
_PER_WORKER = 2
"""Items a worker has at hand: the one that it works on, and the next."""
_SCARCITIES = 3
"""Items in a row that even one worker alone cannot do, before a run stops."""
_IN_A_ROW = 8
"""Items in a row that cannot be read, before one that could be is tried again."""
_FROM_THE_START = 25
"""Items that cannot be read before any could be, before a run stops."""
_MOST_HELD = 8
"""Items in a row that crash or take too long, before one that could be done is tried again."""


class Cancelled(Exception):
    """The run was stopped."""


class Workers(Protocol):
    """Something that calls functions elsewhere."""

    @property
    def n_workers(self) -> int:
        """How many tasks run at the same time."""

    @property
    def is_remote(self) -> bool:
        """Whether they may see other files than this machine."""

    def submit(
        self,
        time_limit_s: float | None,
        function: Callable[..., T],
        *args: Any,
        prepare: Callable[[], object] | None = None,
        is_fresh: bool = False,
    ) -> Future[T | Lost]:
        """Call a function of a module, with arguments that can be pickled.

        Args:
            time_limit_s: After so many seconds of running time it is ended; None lets it
                run.
            function: What to call.
            args: Its arguments.
            prepare: Called first in a process that has not been prepared with it.
            is_fresh: Whether a new process is to do it.
        """

    def check(self) -> None:
        """End what has run beyond its time limit.

        Raises:
            MachineError: Nobody is left who could work.
        """

    def abandon(self, future: Future[Any]) -> None:
        """Take a task back, or end what works on it."""

    def shrink(self) -> bool:
        """Work on one task fewer at a time; tell whether that leaves any."""


def run_each(  # noqa: PLR0913 - options with defaults
    function: Callable[[Item], T],
    items: Iterable[Item],
    workers: Workers,
    *,
    prepare: Callable[[], object] | None = None,
    time_limit_s: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    find_known: Callable[[], Item | None] = lambda: None,
    is_proof: Callable[[T], bool] = lambda _: True,
) -> Generator[tuple[int, Item, T | Lost]]:
    """Yield each item's place, the item, and what the function made of it, as it comes.

    An item whose worker crashes, or that asks for an absurd amount of memory, is tried a second
    time at the end. Then it runs alone, in a new process, and while memory is left. It is
    :class:`Lost` if that happens again. One that meets trouble of the machine is put off, too.
    Where it cannot be read at the end either, and others could be, it is lost. Items that
    crash or take too long may do so because of the machine. After eight in a row one that could
    be done is done again. Where none could be, they stop the run, and fewer are lost at its
    end. Closing the generator ends what runs and drops what waits; no more than two items a
    worker do either.

    Args:
        function: What is done.
        items: To each of these.
        workers: By whom.
        prepare: Called once in each process before its first item; items have no part in
            what goes wrong there, nor does its time count as theirs.
        time_limit_s: For an item, of running time.
        is_cancelled: See below.
        find_known: Finds an item that could be done at an earlier time; asked once, where no
            other can be done. That one is done again, to tell an item's fault from the
            machine's.
        is_proof: Whether a result shows that the machine is in order: that of a file which is
            missing does not.

    Raises:
        Cancelled: ``is_cancelled`` said so, asked several times a second.
        MachineError: The machine is in trouble that no single item explains, or memory,
            file handles or processes were short to the end. Items that were not yielded are
            as they were.
        Exception: What the function raised.
    """
    run = _Run(function, items, workers, prepare, time_limit_s, find_known, is_proof=is_proof)
    with closing(run):
        yield from run.results(is_cancelled)


@dataclass(frozen=True)
class _Task(Generic[Item]):
    place: int
    item: Item
    was_short: bool = False
    """Memory or handles were short, or its worker was ended, at its last try."""
    is_suspect: bool = False
    """It took its worker down, or asked for an absurd amount of memory."""
    is_probe: bool = False
    """It could be done before, and is done again to see whether anything can be."""
    is_last_try: bool = False


class _Run(Generic[Item, T]):
    """One call of :func:`run_each`."""

    def __init__(  # noqa: PLR0913 - as above
        self,
        function: Callable[[Item], T],
        items: Iterable[Item],
        workers: Workers,
        prepare: Callable[[], object] | None,
        time_limit_s: float | None,
        find_known: Callable[[], Item | None],
        *,
        is_proof: Callable[[T], bool],
    ) -> None:
        self._function, self._workers = function, workers
        self._prepare, self._time_limit_s = prepare, time_limit_s
        self._new = (_Task(place, item) for place, item in enumerate(items))
        self._again: deque[_Task[Item]] = deque()
        self._put_off: deque[_Task[Item]] = deque()
        self._waiting: dict[Future[T | Lost], _Task[Item]] = {}
        self._done_before: _Task[Item] | None = None
        self._find_known = find_known
        self._known: _Task[Item] | None = None
        self._is_known_asked_for = False
        self._is_proof = is_proof
        self._held: list[tuple[_Task[Item], Lost]] = []
        """Items that are lost unless it was the machine."""
        self._in_a_row = 0
        """Troubles since something was done."""
        self._n_scarcities = 0
        self._left: Lost | None = None
        """Why an item is left as it is, though all others are done."""

    def results(self, is_cancelled: Callable[[], bool]) -> Iterator[tuple[int, Item, T | Lost]]:
        """Yield what comes, until nothing is left."""
        while self._submit():
            if is_cancelled():
                raise Cancelled
            done, _ = wait(self._waiting, timeout=_WAIT_S, return_when=FIRST_COMPLETED)
            self._workers.check()
            for future in done:
                task = self._waiting.pop(future)
                result = future.result()
                if self._is_final(task, result) and not task.is_probe:
                    yield task.place, task.item, result
                if not isinstance(result, Lost) and self._is_proof(result):
                    yield from self._let_go()
        if self._done_before is None:
            self._refuse_trouble()
        yield from self._let_go()
        if self._left is not None:
            raise MachineError(_advice(self._left))

    def _let_go(self) -> Iterator[tuple[int, Item, Lost]]:
        held, self._held = self._held, []
        for task, lost in held:
            yield task.place, task.item, lost

    def _refuse_trouble(self) -> None:
        for task, lost in self._held:
            if lost.kind.is_trouble:
                raise MachineError(_advice(lost, task.item))

    def close(self) -> None:
        """End what runs and drop what waits."""
        for future in self._waiting:
            self._workers.abandon(future)

    def _submit(self) -> bool:
        """Give the workers as much as they can have; tell whether they have anything."""
        while len(self._waiting) < _PER_WORKER * self._workers.n_workers:
            task = self._next()
            if task is None:
                break
            self._waiting[self._future(task)] = task
        return bool(self._waiting)

    def _future(self, task: _Task[Item]) -> Future[T | Lost]:
        function = self._function
        if task.is_suspect:
            # Where memory is short, libraries crash, too.
            function = partial(with_memory_left, function)
        return self._workers.submit(
            self._time_limit_s,
            function,
            task.item,
            prepare=self._prepare,
            is_fresh=task.is_suspect,
        )

    def _next(self) -> _Task[Item] | None:
        if self._again:
            return self._again.popleft()
        # Where all crash, the whole library is not gone through before any is tried again.
        is_enough = self._done_before is None and len(self._put_off) >= _FROM_THE_START
        task = None if is_enough else next(self._new, None)
        if task is None and self._put_off and not self._waiting:
            # One at a time: what was short before is short no longer.
            return replace(self._put_off.popleft(), is_last_try=True)
        return task

    def _is_final(self, task: _Task[Item], result: T | Lost) -> bool:
        """Take note of a result; tell whether it is the item's last."""
        if not isinstance(result, Lost):
            self._in_a_row = 0
            self._note_proof(task, is_proof=self._is_proof(result))
            return True
        if result.kind.is_trouble:
            return self._is_lost_for_good(task, result)
        if result.kind in (Loss.CRASH, Loss.EXCESS) and not task.is_suspect:
            put_off = self._put_off.appendleft if task.is_probe else self._put_off.append
            put_off(replace(task, is_suspect=True))
            return False
        return self._is_its_own_fault(task, result)

    def _note_proof(self, task: _Task[Item], *, is_proof: bool) -> None:
        if is_proof:
            self._done_before = replace(task, is_probe=True)
        elif task.is_probe:
            # Its file is gone meanwhile, say: it tells nothing any more.
            self._done_before = self._known = None
            self._refuse_many()

    def _refuse_many(self) -> None:
        """Raise where many items are held back, and no other can tell why."""
        if len(self._held) >= _MOST_HELD:
            task, lost = self._held[-1]
            raise MachineError(_advice_on_all(len(self._held), lost, task.item))

    def _is_its_own_fault(self, task: _Task[Item], lost: Lost) -> bool:
        """Hold back an item that crashed or took too long, until another one can be done.

        Raises:
            MachineError: Nothing could be done, and this is no longer chance.
        """
        if task.is_probe:
            raise MachineError(_advice_on_all(len(self._held), lost, task.item))
        self._held.append((task, lost))
        if self._done_before is not None:
            if len(self._held) % _MOST_HELD == 0:
                self._again.append(self._done_before)
        elif not self._tries_known():
            self._refuse_many()
        return False

    def _tries_known(self) -> bool:
        """Do an item again that could be done at an earlier time; tell whether there is one."""
        if not self._is_known_asked_for:
            self._is_known_asked_for = True
            known = self._find_known()
            if known is not None:
                self._known = _Task(-1, known, is_probe=True)
                self._again.append(self._known)
        return self._known is not None

    def _is_lost_for_good(self, task: _Task[Item], lost: Lost) -> bool:
        """Put off an item in trouble; tell whether it was already, and alone is concerned.

        Raises:
            MachineError: Others are concerned too.
        """
        self._in_a_row += 1
        if task.is_probe or self._is_hopeless(lost):
            raise MachineError(_advice(lost, task.item))
        if not task.is_last_try:
            self._put_off.append(task)
        self._probe()
        if task.is_last_try and self._done_before is None:
            if self._tries_known():
                self._put_off.append(task)
                return False
            if not self._put_off:
                raise MachineError(_advice(lost, task.item))
            if lost.kind is not Loss.SCARCITY:
                self._held.append((task, lost))
        if task.is_last_try and lost.kind is Loss.SCARCITY:
            # One worker may be ended by mistake; a second one is a sign.
            if task.was_short:
                self._left = lost
            else:
                self._put_off.append(replace(task, was_short=True))
            return False
        return task.is_last_try and self._done_before is not None

    def _is_hopeless(self, lost: Lost) -> bool:
        if lost.kind is Loss.SCARCITY:
            self._n_scarcities += 1
            # A single worker may be ended by mistake; a second one is a sign.
            is_alone = self._n_scarcities % 2 == 0 and not self._workers.shrink()
            return is_alone and self._in_a_row > _SCARCITIES
        return self._done_before is None and self._in_a_row >= _FROM_THE_START

    def _probe(self) -> None:
        """Try an item again that could be done before, after many in a row that could not."""
        if self._done_before is not None and self._in_a_row % _IN_A_ROW == 0:
            self._again.append(self._done_before)


def _advice(lost: Lost, item: object = None) -> str:
    """Return one line that names the cause of a stop and what to do."""
    if lost.kind is Loss.SCARCITY:
        return (
            f"stopped: {lost.reason}; what was not scored is as it was: free some memory or "
            f"file handles, or set `threads: 1`, and run again"
        )
    return (
        f"stopped: files cannot be read ({_named(item)}{lost.reason}); nothing about them was "
        f"changed: see to the disk, its connection and permissions, and run again"
    )


def _advice_on_all(n_items: int, lost: Lost, item: object) -> str:
    return (
        f"stopped: none of {n_items} files could be scored ({_named(item)}{lost.reason}); "
        f"nothing about them was changed: `beet aimodel check` tries the model; see also the "
        f"option time_limit"
    )


def _named(item: object) -> str:
    return f"{item}: " if isinstance(item, os.PathLike) else ""
