"""Why a track has its verdict, in lines for a terminal."""

from __future__ import annotations

from beets.library import Item

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.terminal import printable


def evidence_lines(item: Item, judge: library.Judge) -> list[str]:
    """Return what speaks for and against a track's verdict, a sentence a line.

    Args:
        item: The track, or a copy of it with what would be stored.
        judge: The model and the thresholds in force.
    """
    sentences = library.explain(item, judge).sentences
    return [printable(f"{one.speaks or '':<5}  {one.text}") for one in sentences]
