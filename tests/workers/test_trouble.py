"""Trouble of the machine: no item is lost to it while others can be done."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from beetsplug.artifactnet.errors import MachineError
from beetsplug.artifactnet.memory import ExcessiveMemoryError
from beetsplug.artifactnet.workers import Loss, Lost, restarting, run_each, trouble_of
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


def ask_for_too_much(item: tuple[Path, int]) -> int:
    """Fail as a file that asks for an absurd amount of memory; once, where the number is 0."""
    notes, number = item
    is_first = not notes.exists()
    with notes.open("a") as file:
        file.write(f"{os.getpid()} {number}\n")
    if number < 0 or (number == 0 and is_first):
        raise ExcessiveMemoryError
    return number


def results(numbers: list[int], workers: LocalWorkers) -> dict[int, object]:
    return {item: result for _, item, result in run_each(fail_on_negative, numbers, workers)}


@pytest.mark.parametrize("code", ACCESS)
def test_a_lone_item_in_trouble(code: int, workers: LocalWorkers) -> None:
    """It is lost alone, at the end, and is not called faulty."""
    found = results([1, 2, -code, 3, 4], workers)
    lost = found.pop(-code)
    assert isinstance(lost, Lost)
    assert lost.kind.is_trouble
    assert str(lost) == os.strerror(code)
    assert found == {number: number for number in (1, 2, 3, 4)}


def until_stopped(
    function: Callable[[int], int], numbers: list[int], workers: LocalWorkers, **options: Any
) -> tuple[dict[int, int | Lost], str]:
    """Return what could be done before a run stopped, and why it did."""
    found = {}
    try:
        for _, item, result in run_each(function, numbers, workers, **options):
            found[item] = result  # noqa: PERF403 - it stops on the way
    except MachineError as stop:
        return found, str(stop)
    raise AssertionError("it did not stop")


@pytest.mark.parametrize("code", SCARCITY)
def test_a_lone_item_for_which_there_is_too_little(code: int, workers: LocalWorkers) -> None:
    """It is left as it was: the machine is short, and the run says so when all is done."""
    found, why = until_stopped(fail_on_negative, [1, 2, -code, 3, 4], workers)
    assert found == {number: number for number in (1, 2, 3, 4)}
    assert why.startswith(f"stopped: {os.strerror(code)}; what was not scored is as it was")


@pytest.mark.parametrize("code", [*SCARCITY, *ACCESS])
@pytest.mark.slow
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


def ask_too_much(number: int) -> int:
    if number < 0:
        raise ExcessiveMemoryError
    return number


def test_a_few_items_that_are_all_at_fault(workers: LocalWorkers) -> None:
    """Seven alone may be as bad as they look."""
    found = list(run_each(ask_too_much, [-1] * 7, workers))
    assert sorted(place for place, _, _ in found) == list(range(7))
    assert all(isinstance(result, Lost) for _, _, result in found)


def test_all_items_at_fault(workers: LocalWorkers) -> None:
    """Of more, not one of which can be done, the machine is to blame, and none is lost."""
    found, why = until_stopped(ask_too_much, [-1] * 20, workers)
    assert found == {}
    assert why.startswith("stopped: none of 8 files could be scored (asks for more memory")


def test_one_item_that_can_be_done(workers: LocalWorkers) -> None:
    """It shows, wherever it stands, that the others are to blame."""
    found = list(run_each(ask_too_much, [*[-1] * 9, 1], workers))
    assert sum(isinstance(result, Lost) for _, _, result in found) == 9


@pytest.mark.parametrize("n_items", [1, 9])
def test_an_item_that_could_be_done_before(n_items: int, workers: LocalWorkers) -> None:
    """It is done once more where no other can be, and tells who is to blame; nobody sees it."""
    found = list(run_each(ask_too_much, [-1] * n_items, workers, find_known=lambda: 7))
    assert [item for _, item, _ in found] == [-1] * n_items
    assert all(isinstance(result, Lost) for _, _, result in found)
    with pytest.raises(MachineError, match="could be scored"):
        list(run_each(ask_too_much, [-1] * n_items, workers, find_known=lambda: -7))


def test_a_bad_sector_beside_an_item_that_could_be_done_before(workers: LocalWorkers) -> None:
    """The one item that is due cannot be read; as another one can, the run does not stop."""
    items = [-errno.EIO, -errno.EIO]
    found = list(run_each(fail_on_negative, items, workers, find_known=lambda: 7))
    assert [str(result) for _, _, result in found] == [os.strerror(errno.EIO)] * 2
    with pytest.raises(MachineError, match=os.strerror(errno.ESTALE)):
        list(run_each(fail_on_negative, items, workers, find_known=lambda: -errno.ESTALE))


def is_no_zero(number: object) -> bool:
    return number != 0


def test_a_result_that_proves_nothing(workers: LocalWorkers) -> None:
    """A file that is missing, say: the others may all be good, and are not lost."""
    found, why = until_stopped(ask_too_much, [0, *[-1] * 9, 0], workers, is_proof=is_no_zero)
    assert found == {0: 0}
    assert why.startswith("stopped: none of 8 files")
    with pytest.raises(MachineError, match="none of 8 files"):
        list(
            run_each(ask_too_much, [-1] * 9, workers, find_known=lambda: 0, is_proof=is_no_zero)
        )


def is_going_out(item: tuple[Path, int]) -> int:
    """Fail on everything once an item has taken the marker away."""
    marker, number = item
    if number < 0:
        marker.unlink(missing_ok=True)
    return ask_too_much(number if marker.exists() else -1)


def test_from_an_item_on_nothing_can_be_done(tmp_path: Path, workers: LocalWorkers) -> None:
    """As where a graphics card fails on the way: one that could be done tells, none is lost."""
    marker = tmp_path / "marker"
    marker.touch()
    items = [(marker, number) for number in (1, 2, 3, -1, *range(4, 40))]
    found: dict[int, int | Lost] = {}
    with pytest.raises(MachineError, match="none of 8 files could be scored"):
        found.update(
            (n, result) for _, (_, n), result in run_each(is_going_out, items, workers)
        )
    assert not any(isinstance(result, Lost) for result in found.values())


def test_where_all_crash_few_are_tried(tmp_path: Path, workers: LocalWorkers) -> None:
    """A model that crashes with each of a large library is told of after some of it."""
    notes = tmp_path / "notes"
    with pytest.raises(MachineError, match="none of 8 files could be scored"):
        list(run_each(ask_for_too_much, [(notes, -1)] * 500, workers))
    assert len(notes.read_text().splitlines()) < 50


def fail_at_first(item: tuple[Path, str]) -> str:
    """Fail as without a disk: ``sometimes`` until its second try, ``never`` always."""
    folder, name = item
    note = folder / name
    note.write_text(note.read_text() + "x" if note.exists() else "x")
    if name == "never" or len(note.read_text()) < 2:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return name


def test_none_is_dropped_without_a_word(tmp_path: Path) -> None:
    """The first to be tried again fails, the second one can be done: the first has a result."""
    items = [(tmp_path, "never"), (tmp_path, "sometimes")]
    with closing(LocalWorkers(1)) as worker:
        run = run_each(fail_at_first, items, worker)
        found = {name: result for _, (_, name), result in run}
    assert found.pop("sometimes") == "sometimes"
    assert str(found.pop("never")) == os.strerror(errno.EIO)


def read_nothing(path: Path) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO), path.name)


def test_the_item_is_named(tmp_path: Path, workers: LocalWorkers) -> None:
    """A file that stops a run by itself is named in its line."""
    path = tmp_path / "song.flac"
    with pytest.raises(MachineError, match=re.escape(f"({path}: {os.strerror(errno.EIO)})")):
        list(run_each(read_nothing, [path], workers))


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


@pytest.mark.slow
def test_fewer_workers(workers: LocalWorkers) -> None:
    """Where memory is short a run goes on with fewer workers."""
    numbers = [1, -1, 2, -2, *range(10, 20)]
    found, why = until_stopped(eat_memory, numbers, workers)
    assert found == {number: number for number in numbers if number > 0}
    assert why.startswith("stopped: out of memory")
    assert workers.n_workers == 1
    assert len(pids_in_use(workers)) == 1


@pytest.mark.slow
def test_workers_that_are_ended(workers: LocalWorkers) -> None:
    """One that is killed each time, as where memory is short, is no fault of its item."""
    found, why = until_stopped(end_worker, [1, 2, -1, *range(10, 16)], workers)
    assert set(found) == {1, 2, *range(10, 16)}
    assert "SIGKILL" in why
    with pytest.raises(MachineError, match=r"stopped: .*SIGKILL.*run again"):
        list(run_each(end_worker, [-1] * 20, workers))


def test_absurd_amounts_of_memory(tmp_path: Path, workers: LocalWorkers) -> None:
    """Who asks for one twice is to blame; the second time it is alone, in a new process."""
    notes = tmp_path / "notes"
    items = [(notes, number) for number in (-1, 1, 2, 3, 4)]
    found = {item[1]: result for _, item, result in run_each(ask_for_too_much, items, workers)}
    lost = found.pop(-1)
    assert isinstance(lost, Lost)
    assert (lost.kind, lost.kind.is_trouble) == (Loss.EXCESS, False)
    assert found == {number: number for number in (1, 2, 3, 4)}
    *others, (last_pid, last) = [line.split() for line in notes.read_text().splitlines()]
    assert (last, len(others)) == ("-1", 5)
    assert last_pid not in {pid for pid, _ in others}


def test_an_absurd_amount_of_memory_by_mistake(tmp_path: Path, workers: LocalWorkers) -> None:
    """Where the second attempt goes well nobody is to blame."""
    items = [(tmp_path / "notes", 0)]
    assert [result for *_, result in run_each(ask_for_too_much, items, workers)] == [0]


LITTLE_MEMORY = """
import os, resource
from beetsplug.artifactnet.errors import MachineError
from beetsplug.artifactnet.workers import run_each
from beetsplug.artifactnet.workers.local import LocalWorkers
from tests.workers.test_trouble import abort
resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
workers = LocalWorkers(1)
try:
    for _, item, result in run_each(abort, [1, -1, 2], workers):
        print(item, result)
except MachineError as error:
    print(error)
workers.close()
"""


def abort(number: int) -> int:
    if number < 0:
        os.abort()
    return number


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory that is kept")
@pytest.mark.slow
def test_a_crash_while_memory_is_short() -> None:
    """It is nobody's fault: libraries crash where they get no memory."""
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    assert lines == ["1 1", "2 2"]
    assert last.startswith("stopped: ")
    assert last.endswith("and run again")


def import_what_is_broken(number: int) -> int:
    raise ImportError(f"lib{number}.so: failed to map segment from shared object")


def test_a_library_that_cannot_be_loaded(workers: LocalWorkers) -> None:
    """It says nothing of an item."""
    found, why = until_stopped(import_what_is_broken, [1, 2, 3], workers)
    assert found == {}
    assert "a library cannot be loaded: lib" in why


def get_ready_slowly() -> None:
    """Of this module, so that its import on a busy machine is part of getting ready."""
    time.sleep(1.0)


def test_getting_ready_is_no_part_of_an_item(workers: LocalWorkers) -> None:
    """Neither its time nor its failure counts as an item's."""
    run = run_each(double, range(6), workers, prepare=get_ready_slowly, time_limit_s=0.7)
    assert {result for *_, result in run} == {0, 2, 4, 6, 8, 10}
    with pytest.raises(MachineError, match="a worker ended while it got ready, SIGABRT"):
        list(run_each(double, range(6), workers, prepare=os.abort))


def test_getting_ready_takes_too_long(
    workers: LocalWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarting, "PREPARING_LIMIT_S", 0.3)
    with pytest.raises(MachineError, match=r"a worker is not ready after 0\.3 s"):
        list(run_each(double, range(3), workers, prepare=partial(time.sleep, 50)))


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


@pytest.mark.slow
def test_time_in_which_nobody_ran(workers: LocalWorkers) -> None:
    """A machine that slept in the middle of an item has not used up the item's time."""
    future = workers.submit(2.0, nap, 3.0)
    workers.check()
    time.sleep(2.5)  # as a laptop: nobody looks meanwhile
    workers.check()
    assert future.result(timeout=30) == 3.0
