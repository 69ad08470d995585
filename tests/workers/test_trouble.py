"""Trouble of the machine: no item is lost to it while others can be done."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beetsplug.artifactnet.errors import MachineError
from beetsplug.artifactnet.workers import Loss, Lost, run_each, trouble_of
from beetsplug.artifactnet.workers.local import LocalWorkers
from tests.workers.test_local import double, pids_in_use

SCARCITY = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
ACCESS = (errno.EIO, errno.ESTALE, errno.EACCES, errno.ENODEV, errno.ETIMEDOUT)


@pytest.fixture
def workers() -> Iterator[LocalWorkers]:
    found = LocalWorkers(2)
    yield found
    found.close()


def fail_on_negative(number: int) -> int:
    """Fail with the error of this number, where it is negative."""
    if number < 0:
        raise OSError(-number, os.strerror(-number))
    return number


def fail_while(marker: Path) -> str:
    """Fail as without a disk, while the marker is there."""
    if marker.exists():
        raise OSError(errno.ENODEV, "no disk")
    return "done"


def fail_or_take_away(item: tuple[Path, bool]) -> str:
    """Fail while the marker is there, unless this item takes it away."""
    marker, takes_away = item
    if takes_away:
        marker.unlink()
    return fail_while(marker)


def eat_memory(number: int) -> int:
    if number < 0:
        raise MemoryError
    return number


def end_worker(number: int) -> int:
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def results(numbers: list[int], workers: LocalWorkers) -> dict[int, object]:
    return {item: result for _, item, result in run_each(fail_on_negative, numbers, workers)}


@pytest.mark.parametrize("code", [*SCARCITY, *ACCESS])
def test_a_lone_item_in_trouble(code: int, workers: LocalWorkers) -> None:
    """It is lost alone, at the end, and is not called faulty."""
    found = results([1, 2, -code, 3, 4], workers)
    lost = found.pop(-code)
    assert isinstance(lost, Lost)
    assert lost.kind.is_trouble
    assert str(lost) == os.strerror(code)
    assert found == {number: number for number in (1, 2, 3, 4)}


@pytest.mark.parametrize("code", [*SCARCITY, *ACCESS])
def test_all_in_trouble(code: int, workers: LocalWorkers) -> None:
    """Nothing is lost: the run stops with one line that names the cause."""
    with pytest.raises(MachineError, match=f"stopped: .*{os.strerror(code)}") as stop:
        results([-code] * 60, workers)
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("n_items", [1, 2, 7])
def test_a_few_that_are_all(n_items: int, workers: LocalWorkers) -> None:
    """Where nothing else could be done, nobody can say that the items are to blame."""
    with pytest.raises(MachineError):
        results([-errno.EIO] * n_items, workers)


def test_a_folder_without_permission(workers: LocalWorkers) -> None:
    """Many in a row are lost, and no run stops, while those done before can be done again."""
    numbers = [1, 2, *[-errno.EACCES] * 40, 3, 4]
    found = list(run_each(fail_on_negative, numbers, workers))
    assert sorted(place for place, _, _ in found) == list(range(len(numbers)))
    lost = [result for _, _, result in found if isinstance(result, Lost)]
    assert len(lost) == 40
    assert {each.kind for each in lost} == {Loss.ACCESS}


def test_a_disk_that_goes_away(tmp_path: Path, workers: LocalWorkers) -> None:
    """Those done before cannot be done again either: the run stops, and loses nothing."""
    marker = tmp_path / "away"
    run = run_each(fail_while, [marker] * 50, workers)
    found = [next(run) for _ in range(5)]
    marker.touch()
    with pytest.raises(MachineError, match="no disk"):
        found.extend(run)
    assert {result for _, _, result in found} == {"done"}


def test_a_disk_that_comes_back(tmp_path: Path, workers: LocalWorkers) -> None:
    """What was put off is done in the end."""
    marker = tmp_path / "away"
    marker.touch()
    items = [(marker, number == 12) for number in range(20)]
    found = list(run_each(fail_or_take_away, items, workers))
    assert sorted(place for place, _, _ in found) == list(range(20))
    assert {result for _, _, result in found} == {"done"}


def test_fewer_workers(workers: LocalWorkers) -> None:
    """Where memory is short a run goes on with fewer workers."""
    numbers = [1, -1, 2, -2, *range(10, 20)]
    found = {item: result for _, item, result in run_each(eat_memory, numbers, workers)}
    assert workers.n_workers == 1
    assert {number for number, result in found.items() if isinstance(result, Lost)} == {-1, -2}
    assert len(pids_in_use(workers)) == 1


def test_workers_that_are_ended(workers: LocalWorkers) -> None:
    """One that is killed each time, as where memory is short, is no fault of its item."""
    numbers = [1, 2, -1, *range(10, 16)]
    found = {item: result for _, item, result in run_each(end_worker, numbers, workers)}
    lost = found.pop(-1)
    assert isinstance(lost, Lost)
    assert lost.kind is Loss.SCARCITY
    assert "SIGKILL" in str(lost)
    assert len(found) == 8
    with pytest.raises(MachineError, match=r"stopped: .*SIGKILL.*run again"):
        list(run_each(end_worker, [-1] * 20, workers))


def test_no_process_can_be_started(
    workers: LocalWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one line, and no item is lost."""
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(MachineError, match="no worker process can be started"):
        list(run_each(double, range(5), workers))


def test_a_process_that_cannot_work(
    workers: LocalWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before it takes anything: one line, and no item is lost."""
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(MachineError, match="it ended before it could work, exit status 1"):
        list(run_each(double, range(5), workers))


@pytest.mark.parametrize(
    "error", [ValueError("x"), IndexError(), OSError("no number"), FileNotFoundError(2, "x")]
)
def test_what_is_no_trouble(error: Exception) -> None:
    assert trouble_of(error) is None


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_time_in_which_nobody_ran(workers: LocalWorkers) -> None:
    """A machine that slept in the middle of an item has not used up the item's time."""
    future = workers.submit(2.0, nap, 3.0)
    workers.check()
    time.sleep(2.5)  # as a laptop: nobody looks meanwhile
    workers.check()
    assert future.result(timeout=30) == 3.0
