"""A command on a terminal: what is asked, what is typed, and what is seen."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios


def run_in_terminal(answer: str, *args: str, columns: int = 200) -> tuple[int, str]:
    """Run ``beet``, type an answer; return its exit status and what was seen."""
    ours, theirs = pty.openpty()
    # On a terminal without lines no progress bar has its place.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "beets", *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as beet:
            os.close(theirs)
            os.write(ours, answer.encode())
            seen = _read_all(ours)
            return beet.wait(30), seen
    finally:
        os.close(ours)


def _read_all(descriptor: int) -> str:
    """Return what comes out of a terminal until its other end is closed."""
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(descriptor, 1 << 16)
        except OSError:
            piece = b""
        if not piece:
            return b"".join(pieces).decode().replace("\r\n", "\n")
        pieces.append(piece)
