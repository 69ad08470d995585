"""The quick start where onnxruntime, soxr and libsndfile are not installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.missing_packages import WITHOUT_ENGINES

DEMO = Path(__file__).parent.parent / "docs" / "demo"
ROUNDING = 1e-4
"""How far another engine, decoder and resampler may take a score."""

pytest.importorskip("tract")


class Machine:
    """A folder with the quick start's files, and ``beet`` run in it.

    Args:
        folder: Empty.
        lacks: A ``sitecustomize`` that takes packages away; empty for none.
    """

    def __init__(self, folder: Path, lacks: str = "") -> None:
        self._folder = folder
        shutil.copytree(DEMO, folder / "docs" / "demo")
        (folder / ".demo").mkdir()
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(lacks, encoding="utf-8")
        self._environment = {"PYTHONPATH": str(site), "BEETSDIR": "docs/demo"}

    def beet(self, *args: str, exit_status: int = 0) -> str:
        """Return what a command prints, standard error behind it."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("beet")), *args],
            cwd=self._folder,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == exit_status, done.stderr
        return done.stdout + done.stderr

    def quick_start(self) -> dict[str, tuple[float, str]]:
        """Import the clips as the README does, and return each title's score and verdict."""
        self.beet("import", "--quiet", "--noautotag", "--singletons", "docs/demo")
        return self.stored()

    def stored(self) -> dict[str, tuple[float, str]]:
        lines = self.beet("ls", "-f", "$title|$ai_score|$ai_verdict").splitlines()
        rows = [line.split("|") for line in lines]
        return {title: (float(score), verdict) for title, score, verdict in rows}

    def configure(self, line: str) -> None:
        """Add a line to the configuration."""
        with (self._folder / "docs" / "demo" / "config.yaml").open("a") as file:
            file.write(f"{line}\n")


@pytest.mark.slow
def test_the_quick_start_without_them(tmp_path: Path) -> None:
    """Verdicts are the same, and scores within 1e-4, at import and by the command."""
    full = Machine(tmp_path / "full").quick_start()
    assert {verdict for _, verdict in full.values()} == {"ai", "real"}
    bare = Machine(tmp_path / "bare", WITHOUT_ENGINES)
    imported = bare.quick_start()
    assert imported.keys() == full.keys()
    for title, (score, verdict) in imported.items():
        assert score == pytest.approx(full[title][0], abs=ROUNDING)
        assert verdict == full[title][1]
    assert "2 scored, 0 skipped, 1 flagged as ai" in bare.beet("ai", "-f")
    assert bare.stored() == imported


@pytest.mark.slow
def test_check_names_the_engine(tmp_path: Path) -> None:
    """Every step goes well with tract and FFmpeg alone, known answers included."""
    lines = Machine(tmp_path / "bare", WITHOUT_ENGINES).beet("aimodel", "check").splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert re.fullmatch(r"ok session: tract [\d.]+, CPUExecutionProvider", lines[3])
    assert len([line for line in lines if "self-test" in line]) == 8


@pytest.mark.slow
def test_providers_are_without_effect(tmp_path: Path) -> None:
    """The option that names onnxruntime's providers gets one warning."""
    machine = Machine(tmp_path / "bare", WITHOUT_ENGINES)
    machine.configure("artifactnet: {providers: [CUDAExecutionProvider]}")
    found = machine.beet("ai", "docs/demo/human.ogg")
    assert found.count("providers: without effect: tract is the engine here") == 1
    assert "1 scored" in found


@pytest.mark.slow
def test_no_engine_at_all(tmp_path: Path) -> None:
    """One line says what to install."""
    lacks = WITHOUT_ENGINES.replace('{"onnxruntime",', '{"onnxruntime", "tract",')
    machine = Machine(tmp_path / "bare", lacks)
    lines = machine.beet("ai", "docs/demo/human.ogg", exit_status=1).splitlines()
    assert len(lines) == 1
    assert "nothing is installed that runs models: install onnxruntime, or tract" in lines[0]


def test_the_page_names_what_to_install() -> None:
    """The command for such systems has every dependency that has a wheel there."""
    root = DEMO.parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed = {re.split("[>=]", given)[0] for given in project["dependencies"]}
    page = (root / "docs" / "installing.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    pip install --only-binary :all: (.*)$", page, re.MULTILINE)
    assert set(command.split()) == needed - {"onnxruntime", "soxr", "soundfile"} | {
        "tract==0.23.9"
    }
