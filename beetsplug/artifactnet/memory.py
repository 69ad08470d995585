"""Whether memory is short, or a file asks for an absurd amount of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Item = TypeVar("Item")

ENOUGH_BYTES = 256 << 20
"""More than reading any good file takes beyond what a worker holds."""


class ExcessiveMemoryError(MemoryError):
    """A file asks for an absurd amount of memory: there is more left than a good one takes."""


def is_memory_left(n_bytes: int = ENOUGH_BYTES) -> bool:
    """Tell whether this process could have so much more memory; none of it is used."""
    try:
        import numpy as np

        np.empty(n_bytes, np.uint8)
    except Exception:  # noqa: BLE001 - without memory an import fails in any way
        return False
    return True


def refuse_without_memory(error: Exception) -> None:
    """Take what went wrong for a lack of memory where little is left.

    Libraries report that in many words, or take it for a fault of their input.

    Args:
        error: What went wrong.

    Raises:
        MemoryError: Little is left.
    """
    if not is_memory_left():
        raise MemoryError from error


def with_memory_left(function: Callable[[Item], T], item: Item) -> T:
    """Return what a function makes of an item, where there is memory to do it.

    Raises:
        MemoryError: There is not.
    """
    if not is_memory_left():
        raise MemoryError
    return function(item)


@contextmanager
def excess_told_apart() -> Iterator[None]:
    """Tell a file that asks for an absurd amount of memory from a machine that has none.

    A header can claim any size, and libraries ask for it before they read on.

    Raises:
        ExcessiveMemoryError: There is memory left, so the file is to blame.
        MemoryError: There is none.
    """
    try:
        yield
    except MemoryError as error:
        if is_memory_left():
            raise ExcessiveMemoryError(*error.args) from error
        raise
