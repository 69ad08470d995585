"""One worker process: starting it, talking to it, ending it."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from beetsplug.artifactnet.workers.child import READY, read_frame, write_frame

log = logging.getLogger("beetsplug.artifactnet")

_BOOTSTRAP = """
import sys, types
package = types.ModuleType("beetsplug")
package.__path__ = [sys.argv[1]]
package.is_of_a_worker = True
sys.modules["beetsplug"] = package
from beetsplug.artifactnet.workers.child import main
main()
"""
"""The plugin may lie where beets' ``pluginpath`` points and Python does not look."""
_PACKAGES = str(Path(__file__).resolve().parents[2])
_SWITCHES = {
    # onnxruntime 1.29 and newer otherwise reports its use, and keeps a file below the home.
    "ORT_DISABLE_TELEMETRY": "1",
    # Each worker computes on one thread; a pool of more takes memory alone.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_LINE_CHARS = 200
_LAST_MOMENT_S = 2.0


class Ended(Exception):
    """The process is gone.

    Args:
        exit_code: Its exit status, or the negative number of the signal that ended it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class CannotStartError(Exception):
    """There is no process to work."""


class WorkerProcess:
    """A Python of its own that calls functions for this one.

    It neither runs the program that started it nor looks for modules in the current
    folder (``-P``). A terminal's Ctrl-C does not reach it: it has a process group of its
    own, and ends when its standard input does.

    Raises:
        CannotStartError: The system starts none.
    """

    def __init__(self) -> None:
        is_verbose = log.isEnabledFor(logging.DEBUG)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very Python
                [*_interpreter(), "-c", _BOOTSTRAP, _PACKAGES],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if is_verbose else subprocess.DEVNULL,
                env={**os.environ, **_import_path(), **_SWITCHES},
                **_own_group(),
            )
        except (OSError, ValueError) as error:
            raise CannotStartError(f"no worker process can be started: {error}") from error
        self._tasks = cast("BinaryIO", self._process.stdin)
        self._results = cast("BinaryIO", self._process.stdout)
        if is_verbose:
            errors = cast("BinaryIO", self._process.stderr)
            threading.Thread(target=_tell, args=(errors,), daemon=True).start()

    def wait_until_ready(self) -> None:
        """Return when it can work.

        Raises:
            Ended: It ended instead.
        """
        if self._read() != READY:
            raise self._ended()

    def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what a function returns there.

        Raises:
            Ended: It ended before it answered.
            Exception: What the function raised.
        """
        message = pickle.dumps((function, args), pickle.HIGHEST_PROTOCOL)
        try:
            write_frame(self._tasks, message)
        except (OSError, ValueError):
            raise self._ended() from None
        answer = self._read()
        if answer is None:
            raise self._ended()
        is_value, value = pickle.loads(answer)  # noqa: S301 - from the process started here
        if not is_value:
            raise value
        return value

    def is_dead(self) -> bool:
        """Tell whether it ended by itself or by another's signal."""
        return self._process.poll() is not None

    def waits_for_the_machine(self) -> bool:
        """Tell whether a disk or somebody's signal holds it up, where Linux can say so."""
        try:
            status = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] in {"D", "T", "t"}

    def kill(self) -> None:
        """End it at once."""
        with suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """End it and let go of its pipes."""
        self.kill()
        self._process.wait()
        for pipe in (self._tasks, self._results):
            with suppress(OSError):
                pipe.close()

    def _read(self) -> bytes | None:
        try:
            return read_frame(self._results)
        except (OSError, ValueError):
            return None

    def _ended(self) -> Ended:
        """Return how it ended; one that lives on with its pipes closed is ended."""
        try:
            exit_code = self._process.wait(timeout=_LAST_MOMENT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            exit_code = self._process.wait()
        return Ended(exit_code)


def _tell(errors: BinaryIO) -> None:
    """Log what libraries print in a worker, a line at a time."""
    for line in errors:
        text = line.decode("utf-8", "backslashreplace").strip()[:_LINE_CHARS]
        log.debug("worker: %s", text.encode("unicode_escape").decode("ascii"))


def how_it_ended(exit_code: int) -> str:
    """Return the name of the signal that ended a process, or its exit status."""
    if exit_code >= 0:
        return f"exit status {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def _interpreter() -> list[str]:
    """Return this Python, with those of its switches that concern where modules lie."""
    flags = [(sys.flags.ignore_environment, "-E"), (sys.flags.no_user_site, "-s")]
    return [sys.executable, "-P", *(switch for is_set, switch in flags if is_set)]


def _import_path() -> dict[str, str]:
    """Return ``PYTHONPATH`` without what stands for the current folder."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [folder for folder in folders if Path(folder).is_absolute()]
    return {"PYTHONPATH": os.pathsep.join(kept)} if "PYTHONPATH" in os.environ else {}


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}
