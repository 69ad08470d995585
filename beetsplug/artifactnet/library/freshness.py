"""Where an item stands: unscored, scored, outdated or failed."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from beets.library import Item

from beetsplug.artifactnet.library.fields import Field, item_path, own, put
from beetsplug.artifactnet.results import Outcome


class State(Enum):
    """Where an item stands."""

    UNSCORED = "unscored"
    FRESH = "fresh"
    STALE = "stale"
    """Scored by another model, or the file has changed since."""
    FAILED = "failed"


def file_stamp(path: Path) -> str | None:
    """Return a file's size and time of change in one word, None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}"


def state(item: Item, model: str) -> State:
    """Return where an item stands towards the model of this label."""
    error = str(own(item, Field.ERROR) or "")
    if error.startswith(f"{Outcome.UNAVAILABLE.value}:"):
        return State.FAILED  # with an older score or without
    if own(item, Field.SCORE) is None:
        return State.FAILED if error else State.UNSCORED
    stamp = file_stamp(item_path(item))
    same_file = stamp is None or stamp == own(item, Field.FILE)
    # A file that is not there has not changed: its disk may be unmounted.
    return State.FRESH if same_file and own(item, Field.MODEL) == model else State.STALE


def restamp(item: Item, path: Path) -> bool:
    """Note that beets itself changed a scored item's file; tell whether that was news."""
    if own(item, Field.SCORE) is None:
        return False
    return put(item, Field.FILE, file_stamp(path))
