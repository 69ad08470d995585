"""What touches a model's files runs in a worker, and is ended at its limits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.installing import check
from beetsplug.artifactnet.installing.check import check_model, in_worker
from beetsplug.artifactnet.installing.install import install
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.scoring import files
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.engines import CPU
from beetsplug.artifactnet.workers import LOCAL, Cancelled, shared_workers
from tests.support.beets_library import slow_down, write_track
from tests.support.onnx_models import load_model, write_model

resource = pytest.importorskip("resource", reason="Windows has no such limits")


def test_a_worker_does_it() -> None:
    """Another process does the work, and keeps what it holds for the next step."""
    worker = in_worker(os.getpid)
    assert worker != os.getpid()
    assert in_worker(os.getpid) == worker


def test_time_limit() -> None:
    """A step that takes too long is ended with its process; the next one has another."""
    worker = in_worker(os.getpid)
    with pytest.raises(
        ModelError, match=r"^the model is given up: it takes longer than 0\.3 s$"
    ):
        in_worker(time.sleep, 100, time_limit_s=0.3)
    assert in_worker(os.getpid) != worker
    while Path(f"/proc/{worker}").exists():  # until the server of workers has seen its end
        time.sleep(0.01)


def test_memory_limit() -> None:
    """A step that asks for too much memory fails in one line, and limits no later one."""
    with pytest.raises(ModelError, match=r"^the model is given up: it needs too much memory$"):
        in_worker(np.zeros, 1 << 30, memory_bytes=1 << 30)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert in_worker(resource.getrlimit, resource.RLIMIT_DATA, memory_bytes=0) == before


def test_the_machines_memory_is_the_limit() -> None:
    """Unless it is told, a step has three quarters of the machine's memory."""
    soft, _ = in_worker(resource.getrlimit, resource.RLIMIT_DATA)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert total / 2 < soft < total


def test_a_crash() -> None:
    """A step that takes its process down is an error of the model."""
    with pytest.raises(ModelError, match=r"^the model is given up: .*SIGABRT"):
        in_worker(os.abort)


def test_its_own_errors(tmp_path: Path) -> None:
    """What a function finds wrong is told as it says it."""
    folder = write_model(tmp_path)
    (folder / "model.onnx").unlink()
    with pytest.raises(
        ModelError, match=r"^model loudness-1\.0: .*No such file.*reinstall it$"
    ):
        in_worker(Model.verify, load_model(folder))


def test_a_slow_model(tmp_path: Path) -> None:
    """A model whose call takes too long fails that step; those before went well."""
    folder = write_model(tmp_path)
    slow_down(folder, 4_000)
    lines = check_model(load_model(folder), (CPU,), time_limit_s=1.0)
    with pytest.raises(ModelError, match=r"it takes longer than 1 s"):
        list(lines)


@pytest.mark.slow
def test_a_model_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not installed, and stops a run before its first file: no file is to blame."""
    folder = write_model(tmp_path / "slow")
    slow_down(folder, 4_000)
    monkeypatch.setattr(check, "OPENING_LIMIT_S", 2.0)
    monkeypatch.setattr(files, "OPENING_LIMIT_S", 2.0)
    values = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    with pytest.raises(ModelError, match=r"^the model is given up: it takes longer than 2 s$"):
        install(values, folder, "model.onnx", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
    workers = shared_workers(LOCAL, threads=1)
    track = write_track(tmp_path / "track.flac", "ai")
    results = files.score_files([track], Detector(load_model(folder)), 7, workers)
    with pytest.raises(ModelError, match=r"cannot be used: not done within the time limit"):
        list(results)


def test_ctrl_c_is_heard_while_a_model_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: the limit of its time, after which it would be refused, does not matter."""
    folder = write_model(tmp_path / "slow")
    slow_down(folder, 4_000)
    monkeypatch.setattr(files, "OPENING_LIMIT_S", 0.5)
    results = files.score_files(
        [tmp_path / "track.flac"],
        Detector(load_model(folder)),
        7,
        shared_workers(LOCAL, threads=1),
        is_cancelled=lambda: True,
    )
    with pytest.raises(Cancelled):
        list(results)
