"""Runs that score everything again, and how one that was interrupted goes on.

When such a run begins is noted in a file and, when it is done, removed again. What was scored
since then has been done already.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def begin(file: Path, run: dict[str, Any]) -> tuple[float, bool]:
    """Return when a run began, and whether that was an earlier one of the same kind.

    Args:
        file: Where it is noted.
        run: The run that scores again, told by its library, query and model.
    """
    began = interrupted(file, run)
    if began is not None:
        return began, True
    now = time.time()
    # Where it cannot be noted, an interrupted run begins anew.
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**run, "began": now}), encoding="utf-8")
    return now, False


def interrupted(file: Path, run: dict[str, Any]) -> float | None:
    """Return when an interrupted run of this kind began, None where there is none."""
    noted = _read(file)
    began = noted.pop("began", None)
    return began if noted == run and isinstance(began, float) else None


def end(file: Path) -> None:
    """Note that the run is done."""
    with suppress(OSError):
        file.unlink(missing_ok=True)


def _read(file: Path) -> dict[str, Any]:
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}
