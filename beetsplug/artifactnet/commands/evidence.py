"""Why a track has its verdict, in lines for a terminal."""

from __future__ import annotations

import os
import sys
import textwrap

from beets.library import Item

from beetsplug.artifactnet import library
from beetsplug.artifactnet.commands.terminal import printable
from beetsplug.artifactnet.results import Sentence

_SIDES = {"ai": "for ai: ", "human": "for a human: ", None: ""}


def sentence_line(sentence: Sentence) -> str:
    """Return a sentence with the side that it speaks for: ``for ai: a comb of lines ...``."""
    return f"{_SIDES[sentence.speaks_for]}{sentence.text}"


def evidence_lines(item: Item, judge: library.Judge) -> list[str]:
    """Return what speaks for and against a track's verdict, a sentence a line.

    Args:
        item: The track, or a copy of it with the values that would be stored.
        judge: The model and the thresholds in force.
    """
    return [sentence_line(sentence) for sentence in library.explain(item, judge).sentences]


def wrapped(text: str, indent: int = 0) -> str:
    """Return a text in lines that are safe to print, for the terminal as wide as it is now.

    Args:
        text: One paragraph.
        indent: Columns that are left free before it.
    """
    wrapper = textwrap.TextWrapper(
        max(_LEAST_COLUMNS, _columns()),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + _HANGING),
        # A path that is copied from here keeps its hyphens together.
        break_on_hyphens=False,
    )
    return "\n".join(wrapper.wrap(printable(text)))


def _columns() -> int:
    """Return the terminal's width now; an exported COLUMNS is of another time."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


_COLUMNS = 80
"""Where the width is not known."""
_LEAST_COLUMNS = 24
_HANGING = 4
