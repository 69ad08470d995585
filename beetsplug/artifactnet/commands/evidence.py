"""Why a track has its verdict, in lines for a terminal."""

from __future__ import annotations

from beets.library import Item

from beetsplug.artifactnet import library
from beetsplug.artifactnet.library import Field


def evidence_lines(item: Item) -> list[str]:
    """Return what speaks for and against a track's verdict, a sentence a line."""
    return [f"share {library.own(item, Field.SHARE)}"]
