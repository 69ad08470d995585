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
from beetsplug.artifactnet.library.verdicts import (
    Reason,
    add_claims,
    apply_result,
    carries_manifest,
    claims,
    forget_claims,
    is_declared,
    override,
    redecide,
)
from beetsplug.artifactnet.thresholds import Judge

__all__ = [
    "ALBUM_TYPES",
    "ITEM_TYPES",
    "Field",
    "Judge",
    "Reason",
    "State",
    "add_claims",
    "apply_result",
    "carries_manifest",
    "claims",
    "file_stamp",
    "forget_claims",
    "format_timeline",
    "is_declared",
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
