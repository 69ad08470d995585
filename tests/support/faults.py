"""A disk that fails, by a small library that stands between a program and the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "programs" / "faults.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")

needs_faults = pytest.mark.skipif(
    COMPILER is None or not sys.platform.startswith("linux"),
    reason="faults of a disk need a C compiler and Linux",
)


def failing(
    folder: Path, part: str, code: int, *, at: str = "open", crashing: str = ""
) -> dict[str, str]:
    """Return the environment of a program for which some files cannot be read.

    Args:
        folder: Where the library is built.
        part: Of the paths of these files.
        code: The error's number.
        at: ``open`` or ``read``.
        crashing: Part of the paths that end whichever process opens them.
    """
    library = folder / "faults.so"
    if not library.exists():
        assert COMPILER is not None
        subprocess.run(
            [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"],
            check=True,
        )
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAULT_PATH": part,
        "FAULT_ERRNO": str(code),
        "FAULT_AT": at,
        **({"FAULT_SIGNAL_PATH": crashing} if crashing else {}),
    }
