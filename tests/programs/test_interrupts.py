"""A few interrupts at random moments."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.programs.interrupts import run


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_few_interrupts(tmp_path: Path) -> None:
    """Ctrl-C once and twice, and SIGTERM: nothing is left, and no traceback."""
    endings = run(tmp_path, 6, seed=3, n_tracks=150)
    assert [ending for ending in endings if ending.problem] == []
    assert {ending.status for ending in endings} <= {0, 130, 143}
