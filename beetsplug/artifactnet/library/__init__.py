"""Between beets' items and the engine's results: what is stored, and what is due.

Whatever reads or writes the database waits where another program keeps it locked, and raises a
``LibraryError`` after ten minutes.
"""

from __future__ import annotations

from beetsplug.artifactnet.library.album_summary import album_verdict
from beetsplug.artifactnet.library.entries import Decision
from beetsplug.artifactnet.library.evidence import parse_evidence
from beetsplug.artifactnet.library.explanation import Explanation, explain
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
from beetsplug.artifactnet.library.finished import find_finished, find_scored_file
from beetsplug.artifactnet.library.freshness import State, examine, restamp, state
from beetsplug.artifactnet.library.history import (
    Cause,
    Change,
    changes_of,
    read_histories,
    summary_lines,
)
from beetsplug.artifactnet.library.reviews import (
    ReviewLog,
    Word,
    WordChange,
    last_review,
    put_word,
    take_back,
    word_of,
)
from beetsplug.artifactnet.library.rows import (
    Names,
    find_ids,
    find_unscored,
    read_names,
    read_releases,
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
from beetsplug.artifactnet.library.verdict_overrides import AlbumOverrides
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
