"""Why a track has its verdict, in lines for a terminal."""

from __future__ import annotations

import shutil
import textwrap

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


def wrapped(text: str) -> str:
    """Return a text in lines that are safe to print, for the terminal as wide as it is now."""
    columns = max(_LEAST_COLUMNS, shutil.get_terminal_size().columns)
    # A path that is copied from here keeps its hyphens together.
    wrapper = textwrap.TextWrapper(columns, subsequent_indent=_INDENT, break_on_hyphens=False)
    lines = wrapper.wrap(printable(text))
    return "\n".join(lines)


_LEAST_COLUMNS = 20
_INDENT = " " * 7
