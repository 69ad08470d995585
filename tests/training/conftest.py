"""Torch on one thread, and no module that needs it where it is missing."""

from __future__ import annotations

import importlib.util

import pytest

collect_ignore = (
    []
    if importlib.util.find_spec("torch")
    else [
        "fit/test_heads.py",
        "fit/test_rows.py",
        "model/test_network.py",
        "signal/test_pooled.py",
        "test_recipe.py",
    ]
)
"""What cannot even be imported without torch."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch's threads of several test processes from waiting for each other."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
