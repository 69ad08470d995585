"""The short version of the soak: kills, Ctrl-C and every fault, over a few dozen files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.programs.soak import FAULTS, FAULTY_EVERY, soak

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_short_soak(tmp_path: Path) -> None:
    """Every good file is scored once, every bad one explained, no process is left."""
    assert soak(tmp_path, FAULTY_EVERY * len(FAULTS), seed=1) == []
