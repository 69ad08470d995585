"""How the bundled model is made. Needs the repository: it is not part of the wheel.

``python -m beetsplug.artifactnet.training`` makes it, with the UNet and the CNN of the one
before. What was reduced of each file is kept in the work folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# onnxruntime reads it once, when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from beetsplug.artifactnet.errors import MissingPackageError


@contextmanager
def train_extra() -> Iterator[None]:
    """End the program with one line where an import finds a package missing."""
    try:
        yield
    except ImportError as error:
        package = error.name or str(error)
        sys.exit(f"error: {MissingPackageError(package, 'beets-artifactnet[train]')}")
