"""The training's programs where the ``train`` extra is not installed."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.missing_packages import WITHOUT_TORCH


def test_a_missing_package_is_one_line_that_names_the_extra() -> None:
    """Without torch the training ends with status 1 and says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "beetsplug.artifactnet.training", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the package ")
    assert line.endswith("is missing: pip install 'beets-artifactnet[train]'")


def test_onnxruntime_is_imported_with_its_telemetry_off() -> None:
    """It reads the variable once."""
    code = (
        "import os, beetsplug.artifactnet.training; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    kept = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept
    )
    assert done.stdout == "1\n"
