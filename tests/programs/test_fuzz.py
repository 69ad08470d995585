"""A short run over damaged files, and those that once broke something."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs.fuzz import OK, Worker, fuzz, main, mutate

REGRESSIONS = Path(__file__).parents[1] / "regressions"

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="limits of memory and select are of Unix"
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Return a process that decodes."""
    with Worker() as process:
        yield process


@pytest.mark.slow
def test_short_run(tmp_path: Path) -> None:
    """Damaged files of all containers are decoded or refused, in bounded time and memory."""
    (tmp_path / "seeds").mkdir()
    report = fuzz(228, 7, tmp_path / "seeds", tmp_path / "kept")
    assert report.n_files == 228
    assert len(report.verdicts) > 50
    kinds = {verdict.kind for found in report.verdicts.values() for verdict in found}
    assert {OK, "refused"} <= kinds
    # libsndfile may crash on a Vorbis file forged page by page, and costs that file alone.
    findings = [
        (path, verdict)
        for path, verdict in report.kept
        if not (verdict.kind == "crashed" and path.name.startswith("ogg-"))
    ]
    assert findings == []
    assert f"{'all':20}{228:8}" in report.table()


@pytest.mark.parametrize("path", sorted(REGRESSIONS.iterdir()), ids=lambda path: path.name)
def test_regressions(path: Path, worker: Worker) -> None:
    """What once broke something decodes or is refused."""
    assert path.stat().st_size < 20_000
    verdict = worker.check(path)
    assert verdict.kind in {OK, "refused"}, verdict
    assert verdict.peak_mb < 100


@pytest.mark.parametrize("ends_by", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_worker_outlives_a_crash(
    ends_by: signal.Signals, worker: Worker, tmp_path: Path
) -> None:
    """After a process that ended by a signal the next file gets a new one."""
    (tmp_path / "empty").touch()
    assert worker.check(tmp_path / "empty").detail == "AudioError"
    process = worker._process
    assert process is not None
    # Stopped first: the signal comes while it has the file in hand.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(ends_by)
    process.send_signal(signal.SIGCONT)
    verdict = worker.check(tmp_path / "empty")
    assert (verdict.kind, verdict.detail) == ("crashed", ends_by.name)
    assert worker.check(tmp_path / "empty").detail == "AudioError"


def test_same_seed_same_files() -> None:
    """A file can be made again from its number."""
    data, other = bytes(range(256)) * 8, b"fmt data" * 100
    files = [mutate(random.Random(f"0:{n}"), data, other) for n in range(50)]
    again = [mutate(random.Random(f"0:{n}"), data, other) for n in range(50)]
    assert files == again
    assert len(set(files)) > 45


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints its table; with no time left it decodes nothing."""
    assert main(["--files", "5", "--minutes", "0", "--keep", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("container")
