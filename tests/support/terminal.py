"""A command on a terminal: what is asked, what is typed, and what is seen."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect

_LIMIT_S = 30
_STYLE = r"(?:\x1b\[[0-9;?]*[a-zA-Z])"


class Terminal:
    """``beet`` on a terminal of its own.

    Args:
        args: Those of the command.
        columns: Width of the terminal.
    """

    def __init__(self, *args: str, columns: int = 200) -> None:
        self._seen = io.StringIO()
        self._beet = pexpect.spawn(
            sys.executable,
            ["-m", "beets", *args],
            # On a terminal without lines no progress bar has its place.
            dimensions=(24, columns),
            timeout=_LIMIT_S,
            encoding="utf-8",
        )
        self._beet.logfile_read = self._seen
        # Keys are typed when they are asked for; the usual pause of 50 ms is for passwords.
        self._beet.delaybeforesend = None

    @property
    def styled(self) -> str:
        """All that was shown so far, what was typed included, with its colours."""
        return self._seen.getvalue().replace("\r\n", "\n")

    @property
    def seen(self) -> str:
        """All that was shown so far, what was typed included, without colours."""
        return re.sub(_STYLE, "", self.styled)

    def wait_for(self, text: str) -> None:
        """Wait until a text is shown that was not waited for before, in whatever colours."""
        self._beet.expect(f"{_STYLE}*".join(map(re.escape, text)))

    def send(self, keys: str) -> None:
        """Type keys."""
        self._beet.send(keys)

    def answer(self, prompt: str, keys: str) -> None:
        """Wait for a prompt, and type keys and Enter."""
        self.wait_for(prompt)
        self.send(f"{keys}\n")

    def press_ctrl_c(self) -> None:
        """Interrupt."""
        self._beet.sendintr()

    def resize(self, columns: int) -> None:
        """Make the terminal wider or narrower."""
        self._beet.setwinsize(24, columns)

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        self._beet.expect(pexpect.EOF)
        status = self._beet.wait()
        return int(status)

    def close(self) -> None:
        """End what still runs."""
        self._beet.close(force=True)


@contextmanager
def beet_in_terminal(*args: str, columns: int = 200) -> Iterator[Terminal]:
    """Run ``beet`` on a terminal, and end it at the end of the block."""
    terminal = Terminal(*args, columns=columns)
    try:
        yield terminal
    finally:
        terminal.close()


def run_in_terminal(answer: str, *args: str, columns: int = 200) -> tuple[int, str]:
    """Run ``beet``, type an answer; return its exit status and what was seen."""
    with beet_in_terminal(*args, columns=columns) as terminal:
        terminal.send(answer)
        return terminal.end(), terminal.seen
