"""Ctrl-C and SIGTERM: heard at once or at the next safe place, and never twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The user, or whatever watches over this process, wants it to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_status = 128 + number
        """As a shell gives it: 130 after Ctrl-C, 143 after SIGTERM."""


class _Interrupts:
    """What becomes of signals while a command runs.

    A first one raises :class:`Interrupted`, or is kept for :meth:`is_pending` where an
    exception out of nowhere would leave something half done. Later ones are ignored: the
    command is ending by then.
    """

    def __init__(self) -> None:
        self._is_deferred = False
        self._pending: int | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear signals; elsewhere than on the main thread, leave them as they are.

        Where one was heard they stay ignored, so that nothing disturbs the end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._pending = None
        before = [signal.signal(number, self._hear) for number in _SIGNALS]
        try:
            yield
        finally:
            if self._pending is None:
                for number, handler in zip(_SIGNALS, before, strict=True):
                    signal.signal(number, handler or signal.SIG_DFL)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep a signal for :meth:`is_pending`, and raise it in the end.

        Raises:
            Interrupted: There was one.
        """
        self._is_deferred = True
        try:
            yield
        except Exception:
            if self._pending is None:
                raise
        finally:
            self._is_deferred = False
        if self._pending is not None:
            raise Interrupted(self._pending)

    @contextmanager
    def left_to_others(self) -> Iterator[None]:
        """Leave Ctrl-C to a program that shares the terminal, and pay no heed to it."""
        before = signal.signal(signal.SIGINT, _ignore)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def is_pending(self) -> bool:
        """Tell whether a signal has come."""
        return self._pending is not None

    def _hear(self, number: int, _: FrameType | None) -> None:
        self._pending = number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        if not self._is_deferred:
            raise Interrupted(number)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; unlike SIG_IGN, the programs that are started do not inherit it."""


interrupts = _Interrupts()
"""Those of this process: signals are heard on its main thread alone."""
