"""Between beets' items and the engine's results: what is stored, and what is due."""

from __future__ import annotations

from beetsplug.artifactnet.library.entries import Decision, Entry
from beetsplug.artifactnet.library.evidence import Evidence, parse_evidence
from beetsplug.artifactnet.library.explanation import Explanation, Sentence, explain
from beetsplug.artifactnet.library.fields import (
    ALBUM_TYPES,
    ITEM_TYPES,
    Field,
    Row,
    format_timeline,
    item_path,
    own,
    parse_timeline,
    put,
)
from beetsplug.artifactnet.library.freshness import State, examine, restamp, state, was_missing
from beetsplug.artifactnet.library.history import (
    Cause,
    Change,
    changes,
    changes_of,
    read_histories,
    summary_lines,
)
from beetsplug.artifactnet.library.overrides import AlbumOverrides, set_override
from beetsplug.artifactnet.library.rows import (
    find_ids,
    find_unscored,
    read_releases,
    read_row,
    read_rows,
    rows_in_order,
    store_row,
    was_stored_since,
)
from beetsplug.artifactnet.library.storing import (
    AlbumSummaries,
    patiently,
    store,
    store_result,
    sum_up_large_albums,
    take_back_album_values,
    update_album,
    update_album_of,
    writing,
)
from beetsplug.artifactnet.library.tags import has_score_tags, score_tags
from beetsplug.artifactnet.library.types import Refusal, sort_unscored_last, stored_value
from beetsplug.artifactnet.library.verdicts import (
    Reason,
    add_claims,
    album_verdict,
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
    "AlbumOverrides",
    "AlbumSummaries",
    "Cause",
    "Change",
    "Decision",
    "Entry",
    "Evidence",
    "Explanation",
    "Field",
    "Judge",
    "Reason",
    "Refusal",
    "Row",
    "Sentence",
    "State",
    "add_claims",
    "album_verdict",
    "apply_result",
    "carries_manifest",
    "changes",
    "changes_of",
    "claims",
    "examine",
    "explain",
    "find_ids",
    "find_unscored",
    "forget_claims",
    "format_timeline",
    "has_score_tags",
    "is_declared",
    "item_path",
    "override",
    "own",
    "parse_evidence",
    "parse_timeline",
    "patiently",
    "put",
    "read_histories",
    "read_releases",
    "read_row",
    "read_rows",
    "redecide",
    "restamp",
    "rows_in_order",
    "score_tags",
    "set_override",
    "sort_unscored_last",
    "state",
    "store",
    "store_result",
    "store_row",
    "stored_value",
    "sum_up_large_albums",
    "summary_lines",
    "take_back_album_values",
    "update_album",
    "update_album_of",
    "was_missing",
    "was_stored_since",
    "writing",
]
