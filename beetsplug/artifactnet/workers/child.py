"""The program of a worker process: functions come in, results go out."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from beetsplug.artifactnet.errors import ArtifactNetError
from beetsplug.artifactnet.memory import is_memory_left
from beetsplug.artifactnet.workers.trouble import Lost, trouble_of

READY = b"ready"
_HEADER = struct.Struct(">Q")
_OOM_SCORE = b"1000"
"""Linux ends the process with the highest score first: a worker, not what started it."""


def write_frame(file: BinaryIO, value: bytes) -> None:
    """Write one message, its length first."""
    file.write(_HEADER.pack(len(value)) + value)
    file.flush()


def read_frame(file: BinaryIO) -> bytes | None:
    """Return the next message, None where the other end is gone."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (size,) = _HEADER.unpack(header)
    value = file.read(size)
    return value if len(value) == size else None


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Return what a function returns; trouble of the machine comes back as a value.

    Raises:
        Exception: Any other one that the function raises.
    """
    try:
        return function(*args)
    except Exception as error:
        trouble = _trouble(error)
        if trouble is None:
            raise
        return trouble


def _trouble(error: BaseException) -> Lost | None:
    """Return what an exception says of the machine; without memory any one says that."""
    trouble = trouble_of(error)
    if trouble is None and not isinstance(error, ArtifactNetError) and not is_memory_left():
        return trouble_of(MemoryError())
    return trouble


def main() -> None:
    """Work for the process at the other end of standard input and output until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _offer_to_be_ended_first()
    tasks, results = _take_over_pipes()
    write_frame(results, READY)
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, messages), daemon=True).start()
    while True:
        write_frame(results, _answer(messages.get()))


def _listen(tasks: BinaryIO, messages: queue.SimpleQueue[bytes]) -> None:
    """Pass messages on; end this process with the other one, in the middle of a file or not."""
    while (message := read_frame(tasks)) is not None:
        messages.put(message)
    os._exit(0)


def _answer(message: bytes) -> bytes:
    try:
        function, args = pickle.loads(message)  # noqa: S301 - from the process that started this
        answer: tuple[bool, Any] = True, call(function, *args)
    except BaseException as error:  # noqa: BLE001 - it is for the other process to judge
        # Reading the message imports what is called, and that may be in trouble as well.
        trouble = _trouble(error)
        answer = (False, error) if trouble is None else (True, trouble)
    try:
        return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - what cannot travel is told in words
        return _in_words(answer[1], error)


def _in_words(value: object, error: Exception) -> bytes:
    trouble = trouble_of(error)
    if trouble is not None:
        return pickle.dumps((True, trouble))
    return pickle.dumps((False, RuntimeError(f"{type(value).__name__}: {value}"[:500])))


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes of standard input and output, which nobody else can use any more.

    What a library prints goes where standard error goes.
    """
    tasks = os.fdopen(os.dup(0), "rb")
    results = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return tasks, results


def _offer_to_be_ended_first() -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(_OOM_SCORE)
