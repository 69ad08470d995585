"""Keeping what C libraries print away from the terminal.

libmpg123 prints to descriptor 2 whenever a frame is damaged, or misses what lies before
the place that was sought. PyAV writes a traceback to standard error where FFmpeg meets a
second exception before the first was raised.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def quiet_stderr(target: int | None = None) -> int | None:
    """Send all that this process writes to descriptor 2 somewhere else, for good.

    Meant for a process that decodes files, at its start: C libraries and Python's own
    ``sys.stderr`` write there alike.

    Args:
        target: Open descriptor that takes it, a file's or a pipe's; None: nobody does.

    Returns:
        A descriptor of what was descriptor 2 before, which programs started later do not
        inherit; None where the process had none.
    """
    with suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:
        before = None
    taken = os.open(os.devnull, os.O_WRONLY) if target is None else target
    if taken != 2:
        os.dup2(taken, 2)
        if target is None:
            os.close(taken)
    return before
