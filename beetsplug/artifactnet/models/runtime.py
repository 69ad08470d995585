"""The one place that loads onnxruntime, with its telemetry switched off, and tract."""

from __future__ import annotations

import os
from types import ModuleType


def load_onnxruntime() -> ModuleType:
    """Return onnxruntime, its telemetry switched off.

    Since 1.29 its wheels for Linux and macOS report their use, and keep an id and a database
    below the home. They do not if this variable is set before they are loaded.

    Raises:
        ImportError: It is not installed, or does not fit this machine.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def load_tract() -> ModuleType:
    """Return tract.

    Raises:
        ImportError: It is not installed.
        OSError: It does not fit this machine.
    """
    import tract

    return tract
