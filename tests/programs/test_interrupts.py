"""A few interrupts at random moments."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.programs.interrupts import run

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_few_interrupts(tmp_path: Path) -> None:
    """Ctrl-C once and twice, and SIGTERM: nothing is left, and no traceback."""
    endings = run(tmp_path, 6, seed=3, n_tracks=150)
    assert [ending for ending in endings if ending.problem] == []
    statuses = {ending.status for ending in endings if not ending.is_of_beets}
    # Before its own command runs, beets ends silently on Ctrl-C, and a signal ends Python.
    assert statuses <= {0, 130, 143, -signal.SIGTERM, -signal.SIGINT}
