"""beets-artifactnet: how likely is each track of a beets library AI-generated?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING


def _is_worker() -> bool:
    """Tell whether this is a worker process, which scores files and needs no beets.

    Loading beets takes longer than all that a worker needs.
    """
    return getattr(sys.modules["beetsplug"], "is_of_a_worker", False)


if TYPE_CHECKING or not _is_worker():
    from beetsplug.artifactnet.plugin import ArtifactNetPlugin

__all__ = ["ArtifactNetPlugin"]
