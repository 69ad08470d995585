"""Numbers and times in words, as every line and page has them."""

from __future__ import annotations

from datetime import datetime


def count_of(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 track``, ``2 tracks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def clock(seconds: float) -> str:
    """Return a place in a track: ``1:18``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def day(seconds: float) -> str:
    """Return a time as its local day: ``2026-11-28``; a question mark for none that can be."""
    return minute(seconds)[: len("2026-11-28")]


def minute(seconds: float) -> str:
    """Return a local time: ``2026-11-28 18:54``; a question mark for none that can be."""
    try:
        return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
    except (OSError, OverflowError, ValueError):
        return "?"
