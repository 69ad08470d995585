"""What a real run loads: each process no more than its files need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.audio_files import encode, music
from tests.support.beets_library import ArtifactNetHelper

RECORDER = """
import os, sys

class Recorder:
    def find_spec(self, name, path=None, target=None):
        if "." not in name:
            who = "worker" if "-P" in sys.orig_argv else "main"
            with open(os.environ["IMPORTED_BY"], "a") as file:
                file.write(f"{who} {name}\\n")

sys.meta_path.insert(0, Recorder())
"""
"""A ``sitecustomize`` that notes which process imports what."""
SCORING = {"onnxruntime", "soundfile", "soxr", "av"}
"""Not NumPy: beets itself loads it."""
NEEDED = {
    "flac-44100": {"soundfile"},
    "flac-48000": {"soundfile", "soxr"},
    "m4a-44100": {"soundfile", "av"},
}
"""File -> decoders and resamplers; libsndfile is asked first whatever the suffix."""


class TestLazyImports(ArtifactNetHelper):
    """``beet artifactnet`` in processes of its own."""

    def modules(self, *args: str) -> dict[str, set[str]]:
        """Return what the processes of a command import, by ``main`` and ``worker``."""
        site = self.folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
        notes = self.folder / "notes"
        self.write_config()
        done = subprocess.run(
            [sys.executable, "-m", "beets", *args],
            cwd=self.folder,
            env={
                **os.environ,
                "BEETSDIR": str(self.folder),
                "PYTHONPATH": str(site),
                "IMPORTED_BY": str(notes),
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, set[str]] = {"main": set(), "worker": set()}
        for line in notes.read_text(encoding="utf-8").splitlines():
            who, name = line.split()
            found[who].add(name)
        return found

    @pytest.mark.parametrize("kind", NEEDED)
    @pytest.mark.slow
    def test_a_run(self, kind: str) -> None:
        """``beet`` loads nothing that scores; a worker no decoder that no file needs."""
        suffix, _, rate = kind.partition("-")
        path = encode(Path(self.lib_path) / f"One.{suffix}", music(8.0, int(rate)), int(rate))
        self.add_file(path, title="One")
        self.configure(model="default")
        found = self.modules("artifactnet")
        assert found["main"] & {*SCORING, "distributed"} == set()
        assert found["worker"] & SCORING == {"onnxruntime", *NEEDED[kind]}
        assert found["worker"] & {"beets", "mediafile", "distributed", "requests"} == set()

    def test_nothing_to_do(self) -> None:
        """No worker starts."""
        self.configure(model="default")
        found = self.modules("artifactnet")
        assert found["main"] & {*SCORING, "distributed"} == set()
        assert found["worker"] == set()

    def test_an_import_that_only_looks(self) -> None:
        """No worker starts for ``beet import --pretend``."""
        path = self.folder / "new" / "One.flac"
        path.parent.mkdir()
        encode(path, music(8.0), 44_100)
        self.configure(model="default")
        found = self.modules("import", "-A", "--pretend", str(path.parent))
        assert found["main"] & SCORING == set()
        assert found["worker"] == set()
