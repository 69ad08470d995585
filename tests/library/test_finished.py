"""Which tracks need no look at all: those alone on which nothing would change."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from beets.library import Item

from beetsplug.artifactnet.library import (
    Judge,
    State,
    examine,
    find_finished,
    find_ids,
    find_scored_file,
    read_rows,
    redecide,
    store_result,
)
from beetsplug.artifactnet.results import (
    Outcome,
    SegmentScore,
    Thresholds,
    TrackResult,
    TrackScore,
)
from tests.support.beets_library import ArtifactNetHelper

JUDGE = Judge("loudness-1.0+3", Thresholds(ai=0.5, unsure=0.3))


class TestFinished(ArtifactNetHelper):
    """A library of tracks that share one file, scored by hand."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.file = self.lib_path / "song.flac"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(b"fLaC" + bytes(range(256)) * 40)

    def add_scored(self, *probabilities: float, judge: Judge = JUDGE) -> Item:
        item = Item(path=os.fsencode(self.file), title=f"Song {len(self.lib.items())}")
        item.add(self.lib)
        segments = tuple(SegmentScore(4.3 * n, p) for n, p in enumerate(probabilities))
        score = TrackScore(float(np.median(probabilities)), segments, 60.0, judge.model)
        store_result(item, TrackResult(self.file, Outcome.SCORED, score), judge)
        return item

    def find(self, judge: Judge = JUDGE) -> set[int]:
        return find_finished(self.lib, find_ids(self.lib, []), judge)

    def find_by_rows(self, judge: Judge) -> set[int]:
        """Return the same as Python finds it, row by row."""
        rows = read_rows(self.lib, find_ids(self.lib, []))
        return {
            row.id
            for row in rows
            if examine(row, judge.model) == (State.FRESH, False) and not redecide(row, judge)
        }

    def execute(self, sql: str, *values: object) -> None:
        """Change the database past beets and the plugin."""
        with closing(sqlite3.connect(os.fsdecode(self.lib.path))) as database, database:
            database.execute(sql, values)

    @pytest.mark.parametrize(
        "judge",
        [
            JUDGE,
            Judge(JUDGE.model, Thresholds(ai=0.612, unsure=0.0417)),
            Judge(JUDGE.model, Thresholds(ai=0.25, unsure=0.25)),
            Judge("other-2.0+3", JUDGE.thresholds),
        ],
    )
    def test_it_is_what_the_rows_say(self, judge: Judge) -> None:
        """Of scores and numbers of segments of all kinds, under old and new thresholds."""
        rng = np.random.default_rng(5)
        for n_segments in range(1, 33):
            self.add_scored(*rng.uniform(0, 1, n_segments).round(4).tolist())
        assert self.find(judge) == self.find_by_rows(judge)

    def test_a_threshold_itself_is_left_to_python(self) -> None:
        item = self.add_scored(0.5)
        assert self.find() == set()
        assert self.find_by_rows(JUDGE) == {item.id}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ai_score", "0.2"),
            ("ai_score", "0,8"),
            ("ai_score", "80%"),
            ("ai_score", "nan"),
            ("ai_verdict", "real"),
            ("ai_reason", "override"),
            ("ai_share", "0.5"),
            ("ai_timeline", "0.0:0.1"),
            ("ai_timeline", '0.0:"'),
            ("ai_model", "loudness-1.0+2"),
            ("ai_file", "1-2-3"),
            ("ai_error", "missing: no such file"),
            ("ai_override", "real"),
            ("ai_override_date", "1795903400.0"),
            ("ai_override_note", "why"),
            ("ai_provenance", "suno:url"),
            ("ai_declared", "1"),
        ],
    )
    def test_whatever_is_odd_is_looked_at(self, name: str, value: str) -> None:
        """Values that scoring did not leave: of another program, or set without the plugin."""
        odd, plain = self.add_scored(0.9, 0.8), self.add_scored(0.9, 0.8)
        assert self.find() == {odd.id, plain.id}
        self.execute(
            "INSERT INTO item_attributes (entity_id, key, value) VALUES (?, ?, ?)",
            *(odd.id, name, value),
        )
        assert self.find() == {plain.id}

    def test_a_field_that_is_gone_is_missed(self) -> None:
        for name in ("ai_score", "ai_share", "ai_reason", "ai_file", "ai_timeline"):
            item = self.add_scored(0.9)
            self.execute(
                "DELETE FROM item_attributes WHERE entity_id = ? AND key = ?", item.id, name
            )
        assert self.find() == set()

    def test_a_file_that_was_scored(self) -> None:
        """One that nothing has touched since, of this model; where there is none, None."""
        assert find_scored_file(self.lib, JUDGE) is None
        self.add_scored(0.9, judge=Judge("other-2.0+3", JUDGE.thresholds))
        assert find_scored_file(self.lib, JUDGE) is None
        self.add_scored(0.9)
        assert find_scored_file(self.lib, JUDGE) == self.file
        os.utime(self.file, ns=(1, 1))
        assert find_scored_file(self.lib, JUDGE) is None

    def test_a_touched_file_is_looked_at(self) -> None:
        """Its audio may be another one; without a file nobody knows."""
        self.add_scored(0.9)
        os.utime(self.file, ns=(1, 1))
        assert self.find() == set()
        Path(self.file).unlink()
        assert self.find() == set()
