"""The training's programs where the ``train`` extra is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT_TORCH = """\
import runpy, sys

class NoTorch:
    def find_spec(self, name, *_):
        if name == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("program", ["training", "training.report.demo"])
def test_a_missing_package_is_one_line_that_names_the_extra(program: str) -> None:
    """Without torch a program ends with status 1 and says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, f"beetsplug.artifactnet.{program}", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the package ")
    assert line.endswith("is missing: pip install 'beets-artifactnet[train]'")
