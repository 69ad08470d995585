"""Nothing leaves the machine, nothing is written elsewhere, nothing foreign is loaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.audio_files import encode, music
from tests.support.beets_library import MEMORY, ArtifactNetHelper

pytestmark = pytest.mark.slow

COMMANDS = [
    ("artifactnet", "-f"),
    ("artifactnet", "-f", "-t", "1"),
    ("aimodel", "check"),
    ("aimodel", "list"),
    ("aimodel", "show", "default"),
]
FOREIGN = ("random", "socket", "selectors", "pickle", "numpy", "soundfile", "onnxruntime")
"""Modules that Python, or what a worker loads, would take from the current folder."""
RECORDER = """
import os, sys

class Recorder:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            with open(os.environ["IMPORTED_BY"], "a") as file:
                who = "worker" if "-P" in sys.orig_argv else "main"
                file.write(f"{who} {os.environ.get('ORT_DISABLE_TELEMETRY')}\\n")

sys.meta_path.insert(0, Recorder())
"""
"""A ``sitecustomize`` that notes which process imports onnxruntime, and how."""


STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="needs strace")


def _watched(folder: Path) -> tuple[str, ...]:
    """Return what a command begins with whose system calls are noted in a folder."""
    return ("strace", "-f", "-qq", "-e", "trace=network", "-o", str(folder / "trace"))


def _addresses(folder: Path) -> set[str]:
    """Return the internet addresses of noted calls, and kinds of sockets without one."""
    calls = (folder / "trace").read_text(errors="replace").splitlines()
    found: set[str] = set()
    for call in calls:
        if kinds := re.findall(r"[AP]F_(?:INET6?|NETLINK)", call):
            found.update(
                re.findall(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"', call) or kinds
            )
    return found


class TestPrivacy(ArtifactNetHelper):
    """Commands in processes of their own, with a home of their own."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.place = self.folder / "place"
        self.home, self.temporary = self.place / "home", self.place / "temporary"
        self.current = self.place / "current"
        for folder in (self.home, self.temporary, self.current):
            folder.mkdir(parents=True)
        for title in ("One", "Two"):
            path = self.lib_path / f"{title}.flac"
            self.add_file(encode(path, music(8.0), 44_100), title=title)
        self.configure(model="default")
        self.write_config()

    def run_beet(
        self, *args: str, prefix: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``beet`` in the empty current folder."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_"))}
        return subprocess.run(
            [*prefix, str(Path(sys.executable).with_name("beet")), *args],
            cwd=self.current,
            env={
                **kept,
                "HOME": str(self.home),
                "TMPDIR": str(self.temporary),
                "BEETSDIR": str(self.folder),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_nothing_is_written_elsewhere(self, command: tuple[str, ...]) -> None:
        """The home, the temporary folder and memory hold what they held before."""
        before = _of_multiprocessing()
        done = self.run_beet(*command)
        assert (done.returncode, done.stderr) == (0, "")
        assert list(self.home.rglob("*")) == []
        assert list(self.temporary.rglob("*")) == []
        assert list(self.current.rglob("*")) == []
        assert _of_multiprocessing() == before

    @pytest.mark.parametrize("command", [("aibench",), ("aicalibrate", "--fpr", "0.9")])
    def test_a_benchmark_writes_where_it_is_told(self, command: tuple[str, ...]) -> None:
        """Reports lie in the folder that the user named, nowhere else; nothing is sent."""
        pytest.importorskip("matplotlib")
        pytest.importorskip("sklearn")
        audio = self.place / "audio"
        for verdict in ("ai", "real"):
            (audio / verdict).mkdir(parents=True)
            for number in range(2):
                encode(audio / verdict / f"{number}.flac", music(8.0), 44_100)
        words = (*command, str(audio), "--out", str(self.place / "report"))
        done = self.run_beet(*words, prefix=_watched(self.place) if STRACE else ())
        assert done.returncode == 0, done.stderr
        assert list(self.home.rglob("*")) == []
        assert list(self.temporary.rglob("*")) == []
        assert (self.place / "report").is_dir()
        assert not STRACE or _addresses(self.place) == set()

    @needs_strace
    @pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[2]], ids=" ".join)
    def test_no_process_asks_the_network(self, command: tuple[str, ...]) -> None:
        """The kernel sees no socket of the internet, of any process or library."""
        done = self.run_beet(*command, prefix=_watched(self.place))
        assert done.returncode == 0, done.stderr
        assert _addresses(self.place) == set()

    def test_only_workers_load_onnxruntime(self) -> None:
        """And they switch its telemetry off before they do."""
        site = self.place / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
        notes = self.place / "notes"
        notes.touch()
        for command in COMMANDS:
            done = self.run_beet(*command, PYTHONPATH=str(site), IMPORTED_BY=str(notes))
            assert done.returncode == 0, done.stderr
        assert set(notes.read_text().splitlines()) == {"worker 1"}

    def test_the_current_folder_is_no_place_for_modules(self) -> None:
        """A worker runs no file of the folder that the command was given in."""
        _write_foreign(self.current, self.place / "ran")
        done = self.run_beet("artifactnet", "-f")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith("2 scored")
        assert not (self.place / "ran").exists()


DASK = """
import sys
from pathlib import Path

if __name__ == "__main__":
    import distributed
    from beetsplug.artifactnet.models.store import find_model
    from beetsplug.artifactnet.scoring.detector import Detector
    from beetsplug.artifactnet.scoring.files import score_files
    from beetsplug.artifactnet.workers import close_workers, shared_workers

    with distributed.LocalCluster(n_workers=1, dashboard_address=None) as cluster:
        workers = shared_workers(cluster.scheduler_address.replace("tcp", "dask"), 0)
        detector = Detector(find_model("default"))
        for _, result in score_files([Path(sys.argv[1])], detector, 7, workers):
            print(result.outcome)
        close_workers()
"""
TORCH = """
from beetsplug.artifactnet.exporters import program
program.main(["spectttra-beta-5s", "--random-weights", "--out", "model"])
from beetsplug.artifactnet.training import recipe
"""


def _run_at_home(folder: Path, *args: str) -> str:
    """Return what Python prints in a folder, with an empty home that stays empty."""
    home = folder / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_", "HF_"))}
    done = subprocess.run(
        [*_watched(folder), sys.executable, *args],
        cwd=folder,
        env={**kept, "HOME": str(home), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
    return done.stdout


@needs_strace
def test_a_cluster_of_this_machine_stays_on_it(tmp_path: Path) -> None:
    """Dask's client, scheduler and workers talk to each other, and to nobody else."""
    pytest.importorskip("distributed")
    (tmp_path / "cluster.py").write_text(DASK, encoding="utf-8")
    track = encode(tmp_path / "track.flac", music(8.0), 44_100)
    assert _run_at_home(tmp_path, "cluster.py", str(track)) == "scored\n"
    # Where another cluster has its port, Dask's own page is served on one of any interface.
    own = {"AF_INET", "PF_INET", "0.0.0.0"}
    assert _addresses(tmp_path) - own == {"127.0.0.1"}


@needs_strace
def test_torch_asks_no_network(tmp_path: Path) -> None:
    """Neither the exporters nor the training, nor what they import, open a socket."""
    pytest.importorskip("torch")
    assert _run_at_home(tmp_path, "-c", TORCH).startswith("model/model.onnx: ")
    assert _addresses(tmp_path) == set()


def _write_foreign(folder: Path, marker: Path) -> None:
    for name in FOREIGN:
        text = f"open({str(marker)!r}, 'a').write('{name} ')"
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


RELATIVE = """
import os
from beetsplug.artifactnet.workers.local import LocalWorkers
os.environ["PYTHONPATH"] = os.pathsep.join(["", ".", "folder"])
workers = LocalWorkers(1)
print(workers.submit(None, os.getcwd).result())
workers.close()
"""


def test_a_relative_module_path_is_for_others(tmp_path: Path) -> None:
    """A ``PYTHONPATH`` that means the current folder does not reach a worker."""
    (tmp_path / "current" / "folder").mkdir(parents=True)
    for folder in (tmp_path / "current", tmp_path / "current" / "folder"):
        _write_foreign(folder, tmp_path / "ran")
    done = subprocess.run(
        [sys.executable, "-P", "-c", RELATIVE],
        cwd=tmp_path / "current",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "current")
    assert not (tmp_path / "ran").exists()


def _of_multiprocessing() -> list[str]:
    """Return what Python's shared memory and semaphores have left in memory."""
    if not Path(MEMORY).is_dir():
        return []
    return sorted(
        p.name for p in Path(MEMORY).iterdir() if p.name.startswith(("sem.mp-", "psm_"))
    )
