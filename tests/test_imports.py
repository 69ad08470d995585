"""What loading the plugin costs: nothing that scoring needs is imported with it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    *("onnxruntime", "soundfile", "soxr", "av", "requests", "tqdm", "distributed"),
    *("asn1crypto", "c2pa", "cbor2", "jinja2"),
    *("torch", "scipy", "librosa", "onnx", "sklearn", "matplotlib"),
)


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(found.stdout)}


@pytest.fixture(scope="module")
def with_plugin() -> set[str]:
    return modules_after("import beetsplug.artifactnet")


@pytest.mark.parametrize("package", HEAVY)
def test_plugin_is_light(package: str, with_plugin: set[str]) -> None:
    """Loading the plugin does not import what only scoring needs."""
    assert package not in with_plugin


def test_plugin_adds_no_numpy(with_plugin: set[str]) -> None:
    """Loading the plugin imports NumPy only where beets itself does."""
    beets = modules_after("import beets.ui, beets.library")
    assert "numpy" not in with_plugin - beets


def test_detector_is_light() -> None:
    """The detector's module does not import onnxruntime."""
    assert "onnxruntime" not in modules_after("import beetsplug.artifactnet.scoring.detector")


def test_engine_needs_no_torch() -> None:
    """Everything that scores does without torch."""
    assert "torch" not in modules_after("import beetsplug.artifactnet.scoring.pipeline")
