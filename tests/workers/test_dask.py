"""Scoring on a Dask cluster of real worker processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from beetsplug.artifactnet.errors import MachineError
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.files import check_sight, score_files
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.workers import Lost, close_workers, run_each, shared_workers
from beetsplug.artifactnet.workers.dask import DaskWorkers
from tests.support.beets_library import SCORES, ArtifactNetHelper, write_broken, write_track
from tests.support.onnx_models import load_model, write_model
from tests.workers.test_local import leave, own_pid

pytestmark = pytest.mark.slow

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

N_TRACKS = 24


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster of two worker processes, as the option ``executor`` has it."""
    # Each further failure costs the start of a worker.
    few = dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with (
        few,
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
    ):
        yield cluster.scheduler_address.replace("tcp://", "dask://")
        close_workers()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    # Dask reports each worker that these tests kill.
    caplog.set_level("CRITICAL", logger="distributed")


def test_same_scores(address: str, tmp_path: Path) -> None:
    """The cluster's results are those of this process, each at its place."""
    detector = Detector(load_model(write_model(tmp_path / "model")))
    paths = [write_track(tmp_path / f"{n}.flac", "ai" if n % 2 else "real") for n in range(6)]
    paths += [write_broken(tmp_path / "broken.flac"), tmp_path / "missing.flac"]
    found = dict(score_files(paths, detector, 7, shared_workers(address, 0)))
    assert [found[place] for place in range(len(paths))] == [
        score_file(path, detector, 7) for path in paths
    ]


def test_lost_worker(address: str, tmp_path: Path) -> None:
    """What a killed worker had at hand is done by another one."""
    workers = shared_workers(address, 0)
    detector = Detector(load_model(write_model(tmp_path / "model")))
    paths = [write_track(tmp_path / f"{n}.flac") for n in range(N_TRACKS)]
    pids = {int(str(pid)) for _, _, pid in run_each(own_pid, range(12), workers)}
    assert len(pids) == 2
    victim = pids.pop()
    found: dict[int, Any] = {}
    score = partial(score_file, detector=detector, count=7)
    for place, _, result in run_each(score, paths, workers):
        found[place] = result
        if len(found) == 4:
            os.kill(victim, signal.SIGKILL)
    assert sorted(found) == list(range(N_TRACKS))
    assert {result.outcome for result in found.values()} == {Outcome.SCORED}


def test_task_that_kills_workers(address: str) -> None:
    """A file that costs several workers is given up, and said to have done so."""
    ((_, _, lost),) = run_each(leave, [1], shared_workers(address, 0))
    assert isinstance(lost, Lost)
    assert str(lost) == "every Dask worker that tried it died"


class TestCommand(ArtifactNetHelper):
    """``beet artifactnet`` with ``executor``."""

    @pytest.fixture(autouse=True)
    def _cluster(self, address: str) -> None:
        self.address = address

    def test_results_are_stored_here(self) -> None:
        """The cluster scores, this process stores."""
        self.add_track("One")
        self.add_track("Two", verdict="real")
        self.configure(executor=self.address)
        self.run_command("artifactnet")
        assert self.get("One").ai_score == pytest.approx(SCORES["ai"], abs=1e-3)
        assert self.get("Two").ai_verdict == "real"


def test_files_that_the_cluster_does_not_see(address: str, tmp_path: Path) -> None:
    """Missing is only what this machine does not find either."""
    detector = Detector(load_model(write_model(tmp_path / "model")))
    track = write_track(tmp_path / "here.flac")
    score = partial(lose_sight, detector=detector, count=7)
    run = run_each(score, [track], shared_workers(address, 0))
    ((_, _, result),) = run
    assert isinstance(result, TrackResult)
    assert result.outcome is Outcome.MISSING
    with pytest.raises(MachineError, match=r"a worker does not find .*, which is here"):
        check_sight(result, shared_workers(address, 0))


def lose_sight(path: Path, detector: Detector, count: int) -> TrackResult:
    """Score what a worker finds where it has mounted nothing."""
    found = score_file(path.with_name("elsewhere") / path.name, detector, count)
    return replace(found, path=path)


def wait_here(_: int) -> None:
    time.sleep(60)


class TestCluster:
    """What becomes of a run when the cluster goes."""

    def test_a_scheduler_that_goes(self) -> None:
        """It is one line, and nothing waits for ever."""
        with distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            workers = DaskWorkers(cluster.scheduler_address)
            threading.Timer(1.5, cluster.close).start()
            with pytest.raises(MachineError, match=r"does not answer any more; .* run again"):
                list(run_each(wait_here, range(4), workers))
            workers.close()

    def test_a_scheduler_without_workers(self) -> None:
        """A run waits for one for a while, and then says what to do."""
        with distributed.LocalCluster(
            n_workers=0, processes=True, dashboard_address=None
        ) as cluster:
            workers = DaskWorkers(cluster.scheduler_address, without_workers_s=1.0)
            with pytest.raises(MachineError, match="has had no worker for 1 s: start one"):
                list(run_each(own_pid, range(4), workers))
            workers.close()
