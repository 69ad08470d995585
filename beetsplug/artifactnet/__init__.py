"""beets-artifactnet: how likely is each track of a beets library AI-generated?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING


def _is_worker() -> bool:
    """Tell whether Python's multiprocessing started this process, and nobody loaded beets.

    Such a process scores files and needs none, and loading beets takes longer than all
    that it needs. Its command line is ``python -c 'from multiprocessing. ...'``.
    """
    is_child = any(word.startswith("from multiprocessing.") for word in sys.orig_argv)
    return is_child and "beets" not in sys.modules


if TYPE_CHECKING or not _is_worker():
    from beetsplug.artifactnet.plugin import ArtifactNetPlugin

__all__ = ["ArtifactNetPlugin"]
