"""Between beets' items and the engine's results: what is stored, and what is due."""

from __future__ import annotations

from beetsplug.artifactnet.library.fields import (
    ALBUM_TYPES,
    ITEM_TYPES,
    Field,
    format_timeline,
    item_path,
    own,
    parse_timeline,
)
from beetsplug.artifactnet.library.freshness import State, file_stamp, restamp, state
from beetsplug.artifactnet.library.storing import (
    patiently,
    store,
    store_result,
    update_album,
    update_album_of,
    writing,
)
from beetsplug.artifactnet.library.verdicts import apply_result, override, redecide
from beetsplug.artifactnet.thresholds import Judge

__all__ = [
    "ALBUM_TYPES",
    "ITEM_TYPES",
    "Field",
    "Judge",
    "State",
    "apply_result",
    "file_stamp",
    "format_timeline",
    "item_path",
    "override",
    "own",
    "parse_timeline",
    "patiently",
    "redecide",
    "restamp",
    "state",
    "store",
    "store_result",
    "update_album",
    "update_album_of",
    "writing",
]
