"""Where an item stands: unscored, scored, outdated or failed."""

from __future__ import annotations

from enum import Enum

from beets.library import Item

from beetsplug.artifactnet.library.fields import Field, Row, item_path, own, put
from beetsplug.artifactnet.results import Outcome
from beetsplug.artifactnet.stamp import file_stamp, holds_same_audio, is_current


class State(Enum):
    """Where an item stands."""

    UNSCORED = "unscored"
    FRESH = "fresh"
    STALE = "stale"
    """Scored by another model, or the file has changed since."""
    FAILED = "failed"


def state(item: Item | Row, model: str) -> State:
    """Return where an item stands towards the model of this label."""
    if own(item, Field.SCORE) is None:
        return State.UNSCORED if _is_due_again(item) else State.FAILED
    same_model = own(item, Field.MODEL) == model
    stamp = str(own(item, Field.FILE) or "")
    is_fresh = same_model and holds_same_audio(item_path(item), stamp)
    return State.FRESH if is_fresh else State.STALE


def _is_due_again(item: Item | Row) -> bool:
    """Tell whether an item without a score never failed, or its missing file is back."""
    error = str(own(item, Field.ERROR) or "")
    return not error or (was_missing(error) and item_path(item).exists())


def was_missing(error: str) -> bool:
    """Tell whether an ``ai_error`` says that there was no file."""
    return error.startswith(f"{Outcome.MISSING.value}:")


def restamp(item: Item | Row) -> bool:
    """Bring a fresh item's stamp in line with tags that were written since its scoring.

    So that the next look at the file needs its size and time alone. An error of the time
    when the file was away goes, too. Nothing is stored.

    Returns:
        Whether the item was changed.
    """
    path = item_path(item)
    is_back = was_missing(str(own(item, Field.ERROR) or "")) and path.exists()
    changed = put(item, Field.ERROR, None) if is_back else False
    if not is_current(path, str(own(item, Field.FILE) or "")):
        stamp = file_stamp(path)
        changed = (stamp is not None and put(item, Field.FILE, stamp)) or changed
    return changed
