"""Worker processes: what dies, hangs or is stopped costs no more than it must."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.workers import (
    LOCAL,
    Cancelled,
    Lost,
    close_workers,
    is_executor,
    n_processes,
    run_each,
    shared_workers,
)
from beetsplug.artifactnet.workers.local import LocalWorkers

CRASHED = "its worker crashed (SIGSEGV)"
FOR_EVER_S = 3_600.0


@pytest.fixture
def workers() -> Iterator[LocalWorkers]:
    found = LocalWorkers(2)
    yield found
    found.close()


def import_this_module() -> None:
    """To be called first: on a busy machine the import alone takes a second."""


def double(number: int) -> int:
    return 2 * number


def crash_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return 2 * number


def crash_once(marker: Path) -> str:
    """Die on the first call for a marker, and answer on the second."""
    if not marker.exists():
        marker.touch()
        os._exit(7)
    return "done"


def sleep_a_little(number: int) -> int:
    time.sleep(0.2)
    return number


def leave(status: int) -> None:
    os._exit(status)


def sleep_at_three(number: int) -> int:
    if number == 3:
        time.sleep(FOR_EVER_S)
    return 2 * number


def refuse_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def raise_timeout(_: int) -> None:
    raise TimeoutError("a network file system did")


def own_pid(_: int) -> int:
    # Long enough for the other process to get its share.
    time.sleep(0.05)
    return os.getpid()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except OSError:
        return False
    return state.split()[0] != "Z"


def wait_until_dead(pids: list[int], limit_s: float = 10.0) -> bool:
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        if not any(is_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def pids_in_use(workers: LocalWorkers) -> list[int]:
    found = {pid for _, _, pid in run_each(own_pid, range(8), workers)}
    return [pid for pid in found if isinstance(pid, int)]


def test_every_item_once(workers: LocalWorkers) -> None:
    """Each item comes back with its place and what became of it."""
    found = sorted(run_each(double, range(40), workers))
    assert found == [(place, place, 2 * place) for place in range(40)]


def test_crash_costs_one_item(workers: LocalWorkers) -> None:
    """A native crash loses its own item, after a second attempt, and no other."""
    found = {item: result for _, item, result in run_each(crash_at_three, range(10), workers)}
    lost = found.pop(3)
    assert isinstance(lost, Lost)
    assert str(lost) == CRASHED
    assert found == {number: 2 * number for number in range(10) if number != 3}


def test_death_of_something_else(workers: LocalWorkers, tmp_path: Path) -> None:
    """An item whose worker died once is tried again in another one."""
    found = list(run_each(crash_once, [tmp_path / "a"], workers))
    assert found == [(0, tmp_path / "a", "done")]


@pytest.mark.slow
def test_an_idle_worker_is_killed(workers: LocalWorkers) -> None:
    """Between two runs any worker may die: of another's hunger for memory, for one."""
    for _ in range(2):
        pids = pids_in_use(workers)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert wait_until_dead(pids)
        assert list(run_each(double, [21], workers)) == [(0, 21, 42)]


@pytest.mark.slow
def test_workers_that_are_killed_at_work(workers: LocalWorkers) -> None:
    """What a killed worker had in hand is done by another one, in the same run."""
    pids = pids_in_use(workers)
    results = run_each(sleep_a_little, range(12), workers)
    found = [next(results)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert sorted([*found, *results]) == [(n, n, n) for n in range(12)]


def test_a_stopped_worker() -> None:
    """A worker that somebody stopped is no fault of its item, and is replaced."""
    workers = LocalWorkers(1)
    list(run_each(double, range(1), workers, prepare=import_this_module))
    (pid,) = pids_in_use(workers)
    os.kill(pid, signal.SIGSTOP)
    found = sorted(
        run_each(double, range(5), workers, prepare=import_this_module, time_limit_s=1.0)
    )
    assert found == [(n, n, 2 * n) for n in range(5)]
    workers.close()
    assert wait_until_dead([pid])


def test_exit_status_is_told(workers: LocalWorkers) -> None:
    """A worker that leaves is reported with its exit status."""
    ((_, _, lost),) = run_each(leave, [9], workers)
    assert str(lost) == "its worker crashed (exit status 9)"


def test_time_limit(workers: LocalWorkers) -> None:
    """What hangs is ended at the limit; the rest is done meanwhile."""
    results = run_each(
        sleep_at_three, range(10), workers, prepare=import_this_module, time_limit_s=1.0
    )
    found = {item: result for _, item, result in results}
    assert str(found.pop(3)) == "not done within the time limit"
    assert found == {number: 2 * number for number in range(10) if number != 3}


def test_no_result_is_lost_on_an_error(workers: LocalWorkers) -> None:
    """What the function raises comes out as it is, and the workers work on."""
    with pytest.raises(ValueError, match="three"):
        list(run_each(refuse_three, range(10), workers))
    assert list(run_each(double, [21], workers)) == [(0, 21, 42)]


def test_closing_ends_what_runs(workers: LocalWorkers) -> None:
    """Closing the generator neither waits for what runs nor starts what waits."""
    results = run_each(sleep_at_three, [1, 3, 3, 3, 3], workers)
    assert next(results) == (0, 1, 2)
    results.close()
    assert list(run_each(double, [21], workers)) == [(0, 21, 42)]


def test_cancelling(workers: LocalWorkers) -> None:
    """A run that is cancelled says so within a moment."""
    with pytest.raises(Cancelled):
        list(run_each(sleep_at_three, [3], workers, is_cancelled=lambda: True))


def test_items_are_taken_as_they_are_needed(workers: LocalWorkers) -> None:
    """No more than two items a worker are under way: a library is not held in memory."""
    taken = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results = run_each(double, items(), workers)
    next(results)
    assert len(taken) <= 2 * workers.n_workers
    results.close()


def test_processes_are_kept(workers: LocalWorkers) -> None:
    """Two runs use the same processes, none of them this one."""
    first = {pid for _, _, pid in run_each(own_pid, range(12), workers)}
    second = {pid for _, _, pid in run_each(own_pid, range(12), workers)}
    assert first == second
    assert len(first) == 2
    assert os.getpid() not in first


def test_closing_ends_the_processes() -> None:
    """Closed workers leave no process behind."""
    workers = LocalWorkers(2)
    pids = [int(str(pid)) for _, _, pid in run_each(own_pid, range(8), workers)]
    workers.close()
    assert wait_until_dead(pids)


def test_shared_workers() -> None:
    """The process has one set of workers, for one number of processes."""
    first = shared_workers(LOCAL, 1)
    assert shared_workers(LOCAL, 1) is first
    assert first.n_workers == 1
    other = shared_workers(LOCAL, 2)
    assert other is not first
    assert list(run_each(double, [4], other)) == [(0, 4, 8)]
    close_workers()
    assert shared_workers(LOCAL, 2) is not other
    close_workers()


def test_number_of_processes() -> None:
    """0 is one for each core that this process may use."""
    assert n_processes(3) == 3
    assert n_processes(0) == len(os.sched_getaffinity(0))


@pytest.mark.slow
def test_no_scheduler_answers() -> None:
    """A Dask address without a scheduler is one line."""
    pytest.importorskip("distributed")
    with pytest.raises(
        ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9$"
    ):
        shared_workers("dask://127.0.0.1:9", 0)


@pytest.mark.parametrize("value", ["local", "dask://nas:8786", "dask://[::1]:8786"])
def test_executor(value: str) -> None:
    assert is_executor(value)


SCRIPT = """
import signal, sys
from beetsplug.artifactnet.workers import run_each, shared_workers
from tests.workers.test_local import own_pid, sleep_at_three

if __name__ == "__main__":
    # A shell starts background jobs deaf to Ctrl-C, and their children with them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    workers = shared_workers("local", 2)
    pids = {pid for _, _, pid in run_each(own_pid, range(8), workers)}
    print(*pids, flush=True)
    if sys.argv[1] == "hang":
        list(run_each(sleep_at_three, [3, 3], workers))
    if sys.argv[1] == "raise":
        raise RuntimeError("on purpose")
"""


def start_script(folder: Path, how: str) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, str(script), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
    )


def pids_of(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


@pytest.mark.parametrize(("how", "status"), [("end", 0), ("raise", 1)])
@pytest.mark.slow
def test_nothing_is_left_behind(how: str, status: int, tmp_path: Path) -> None:
    """A process that ends, or ends by an exception, ends its workers and does not hang."""
    process = start_script(tmp_path, how)
    pids = pids_of(process)
    assert len(pids) == 2
    assert process.wait(timeout=20) == status
    assert wait_until_dead(pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.slow
def test_workers_do_not_outlive_their_master(number: signal.Signals, tmp_path: Path) -> None:
    """Workers whose master was killed end when they notice, in the middle of work or not."""
    process = start_script(tmp_path, "hang")
    pids = pids_of(process)
    time.sleep(0.3)
    process.send_signal(number)
    process.wait(timeout=20)
    assert wait_until_dead(pids)


@pytest.mark.slow
def test_ctrl_c_is_for_the_master(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group; the workers print nothing, the master ends."""
    process = start_script(tmp_path, "hang")
    pids = pids_of(process)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode != 0
    assert stderr.count("KeyboardInterrupt") == 1
    assert wait_until_dead(pids)


def beets_modules(_: int) -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "beets"]


def test_a_worker_loads_no_beets(workers: LocalWorkers) -> None:
    """What scores files is not slowed down by what only the plugin needs."""
    assert "beets" in sys.modules
    assert workers.submit(None, beets_modules, 0).result() == []


UNGUARDED = """
from pathlib import Path
from beetsplug.artifactnet.workers.local import LocalWorkers
print("started")
workers = LocalWorkers(1)
print(workers.submit(None, Path, "scored").result())
workers.close()
"""


@pytest.mark.parametrize("how", ["a file", "standard input"])
def test_a_script_without_a_main_guard(how: str, tmp_path: Path) -> None:
    """A worker does not run the script that started it."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED, encoding="utf-8")
    command = [sys.executable, str(script) if how == "a file" else "-"]
    done = subprocess.run(
        command, input=UNGUARDED, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["started", "scored"]
