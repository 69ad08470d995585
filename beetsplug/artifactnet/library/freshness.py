"""Where an item stands: unscored, scored, outdated or failed."""

from __future__ import annotations

from enum import Enum

from beets.library import Item

from beetsplug.artifactnet.library.fields import Field, Row, item_path, own, put
from beetsplug.artifactnet.results import Outcome
from beetsplug.artifactnet.stamp import Change, change_since, file_stamp


class State(Enum):
    """Where an item stands."""

    UNSCORED = "unscored"
    FRESH = "fresh"
    STALE = "stale"
    """Scored by another model, or the file has changed since."""
    FAILED = "failed"


def state(item: Item | Row, model: str) -> State:
    """Return where an item stands towards a model and pipeline, named as with a score."""
    return examine(item, model)[0]


def examine(item: Item | Row, model: str) -> tuple[State, bool]:
    """Return where an item stands, and whether :func:`restamp` has something to do."""
    error = str(own(item, Field.ERROR) or "")
    if error and error.startswith(f"{Outcome.UNAVAILABLE.value}:"):
        return State.FAILED, False  # with an older score or without
    is_back = bool(error) and was_missing(error) and item_path(item).exists()
    if own(item, Field.SCORE) is None:
        return (State.FAILED if error and not is_back else State.UNSCORED), False
    if own(item, Field.MODEL) != model:
        return State.STALE, False
    change = change_since(_file(item), str(own(item, Field.FILE) or ""))
    if change is Change.AUDIO:
        return State.STALE, False
    return State.FRESH, is_back or change is Change.TAGS


def was_missing(error: str) -> bool:
    """Tell whether an ``ai_error`` says that there was no file."""
    return error.startswith(f"{Outcome.MISSING.value}:")


def _file(item: Item | Row) -> str:
    return item.file if isinstance(item, Row) else str(item.filepath)


def restamp(item: Item | Row) -> None:
    """Bring a fresh item in line with its file: tags were written, or it is back.

    So that the next look at the file needs its size and time alone. Nothing is stored.
    """
    put(item, Field.ERROR, None)
    stamp = file_stamp(_file(item))
    if stamp is not None:
        put(item, Field.FILE, stamp)
