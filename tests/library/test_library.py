"""What is stored of a result, when a score is stale, and what decides a verdict."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beets.library import Album, Item
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet import library
from beetsplug.artifactnet.library import (
    Judge,
    State,
    apply_result,
    examine,
    format_timeline,
    override,
    parse_timeline,
    redecide,
    restamp,
    state,
    store_result,
    update_album,
)
from beetsplug.artifactnet.results import (
    Outcome,
    SegmentScore,
    Thresholds,
    TrackResult,
    TrackScore,
    Verdict,
    parse_claims,
)
from beetsplug.artifactnet.stamp import file_stamp
from tests.support.beets_library import SCORE_FIELDS, ArtifactNetHelper, write_track

JUDGE = Judge("loudness-1.0", Thresholds(ai=0.5, unsure=0.3))
LENIENT = Judge("loudness-1.0", Thresholds(ai=0.9, unsure=0.8))
OTHER = Judge("other-2.0", Thresholds(ai=0.1, unsure=0.1))
FAILURES = [outcome for outcome in Outcome if outcome is not Outcome.SCORED]
UNSEEN = (Outcome.MISSING, Outcome.UNAVAILABLE)
"""Nobody could look at the file: an older score may still be right."""


def scored(
    *probabilities: float, model: str = JUDGE.model, provenance: str = ""
) -> TrackResult:
    """Return the result of a track whose median is the middle one of these."""
    segments = tuple(SegmentScore(4.0 * n, p) for n, p in enumerate(probabilities))
    middle = sorted(probabilities)[len(probabilities) // 2]
    score = TrackScore(middle, segments, 4.0 * len(segments), model)
    return TrackResult(Path("x.flac"), Outcome.SCORED, score, claims=parse_claims(provenance))


def failed(outcome: Outcome) -> TrackResult:
    """Return the result of a file that could not be scored."""
    return TrackResult(Path("x.flac"), outcome, detail="the reason")


class TestApplyResult(ArtifactNetHelper):
    def test_a_score_sets_every_field(self) -> None:
        """A scored item has the score's fields, with the values of the result."""
        item = self.add_track("Song")
        before = time.time()

        apply_result(item, scored(0.1, 0.6, 0.95), JUDGE)
        item.store()

        item = self.get("Song")
        assert self.rows(item).keys() == SCORE_FIELDS
        assert item.ai_score == 0.6
        assert item.ai_verdict == "ai"
        assert item.ai_share == 0.6667
        assert item.ai_segments == 3
        assert item.ai_timeline == "0.0:0.1000 4.0:0.6000 8.0:0.9500"
        assert item.ai_model == "loudness-1.0"
        assert before - 1 <= item.ai_scored <= time.time() + 1
        assert item.ai_file == file_stamp(Path(item.filepath))

    @pytest.mark.parametrize("n_flagged", range(8))
    def test_a_share_of_sevenths_survives_the_database(self, n_flagged: int) -> None:
        """What was just stored is not decided anew, whatever digits SQLite keeps."""
        item = self.add_track("Song")
        probabilities = [0.9] * n_flagged + [0.1] * (7 - n_flagged)

        store_result(item, scored(*probabilities), JUDGE)

        assert not redecide(self.get("Song"), JUDGE)

    def test_the_database_has_no_blob_and_no_null(self) -> None:
        """Every value is one that SQLite and beets read back, though NumPy gave it."""
        item = self.add_track("Song")
        probabilities: Any = np.array([0.25, 0.5, 0.75], np.float32)

        store_result(item, scored(*probabilities, provenance="mureka:aigc-2"), JUDGE)

        rows = self.rows(item)
        assert {kind for kind, _ in rows.values()} <= {"text", "integer", "real"}
        assert float(str(rows["ai_score"][1])) == 0.5
        assert int(str(rows["ai_segments"][1])) == 3
        assert rows["ai_provenance"] == ("text", "mureka:aigc-2")

    @pytest.mark.parametrize("outcome", FAILURES)
    def test_a_failure_leaves_one_field(self, outcome: Outcome) -> None:
        """What could not be scored has the reason, and no score of 0, None or NaN."""
        item = self.add_track("Song")

        store_result(item, failed(outcome), JUDGE)

        assert self.rows(item) == {"ai_error": ("text", f"{outcome.value}: the reason")}

    @pytest.mark.parametrize("outcome", [f for f in FAILURES if f not in UNSEEN])
    def test_a_failure_removes_an_older_score(self, outcome: Outcome) -> None:
        """A score of audio that is no longer there does not stay."""
        item = self.add_track("Song")
        store_result(item, scored(0.9, provenance="mureka:aigc-2"), JUDGE)

        store_result(item, failed(outcome), JUDGE)

        assert self.rows(item).keys() == {"ai_error", "ai_provenance"}

    def test_a_missing_file_keeps_its_score(self) -> None:
        """Where the file is merely away, the score stays beside the error."""
        item = self.add_track("Song")
        store_result(item, scored(0.9), JUDGE)
        before = self.rows(item)

        store_result(item, failed(Outcome.MISSING), JUDGE)

        error = {"ai_error": ("text", "missing: the reason")}
        assert self.rows(item) == {**before, **error}

    def test_a_success_removes_the_error(self) -> None:
        """An error is of the last attempt alone."""
        item = self.add_track("Song")
        store_result(item, failed(Outcome.UNREADABLE), JUDGE)

        store_result(item, scored(0.9), JUDGE)

        assert self.rows(item).keys() == SCORE_FIELDS

    def test_what_was_read_first_is_kept(self) -> None:
        """Claims stay when the file says nothing more, and new ones come behind them."""
        item = self.add_track("Song")
        store_result(item, scored(0.1, provenance="google:c2pa"), JUDGE)

        store_result(item, scored(0.1), JUDGE)
        store_result(item, scored(0.1, provenance="udio:artist,google:c2pa"), JUDGE)

        assert self.get("Song").ai_provenance == "google:c2pa,udio:artist"


class TestState(ArtifactNetHelper):
    def scored_item(self) -> Item:
        item = self.add_track("Song")
        assert state(item, JUDGE.model) is State.UNSCORED
        store_result(item, scored(0.9), JUDGE)
        return item

    def test_a_score_is_fresh(self) -> None:
        """The same file and the same model: nothing to do."""
        assert state(self.scored_item(), JUDGE.model) is State.FRESH

    def test_a_changed_time_is_no_change(self) -> None:
        """The same audio is the same, whoever touched the file."""
        item = self.scored_item()
        before = str(item.ai_file)
        os.utime(item.filepath, (1, 1))

        assert examine(item, JUDGE.model) == (State.FRESH, True)
        restamp(item)
        assert examine(item, JUDGE.model) == (State.FRESH, False)
        assert item.ai_file != before
        assert item.ai_file.split("-")[2] == before.split("-")[2]

    def test_other_audio_makes_it_stale(self) -> None:
        """Also audio of the same length."""
        item = self.scored_item()
        write_track(Path(item.filepath), "real")

        assert state(item, JUDGE.model) is State.STALE

    def test_the_stamp_is_of_the_file_that_was_read(self) -> None:
        """A file that is replaced while it is being scored is stale when that is stored."""
        item = self.add_track("Song")
        before = file_stamp(Path(item.filepath))
        assert before is not None
        write_track(Path(item.filepath), "real")

        store_result(item, replace(scored(0.9), stamp=before), JUDGE)

        assert state(item, JUDGE.model) is State.STALE

    def test_another_model_makes_it_stale(self) -> None:
        """A score belongs to the model that made it."""
        assert state(self.scored_item(), OTHER.model) is State.STALE

    def test_a_file_that_is_away_stays_fresh(self) -> None:
        """A disk that is not mounted makes no score stale."""
        item = self.scored_item()

        Path(item.filepath).unlink()

        assert state(item, JUDGE.model) is State.FRESH

    def test_a_returned_file_is_due(self) -> None:
        """A file that was missing, and is back, never failed."""
        item = self.add_track("Song")
        store_result(item, failed(Outcome.MISSING), JUDGE)
        assert state(item, JUDGE.model) is State.UNSCORED
        Path(item.filepath).unlink()
        assert state(item, JUDGE.model) is State.FAILED

    def test_a_returned_file_loses_its_error(self) -> None:
        """A scored file that was away for a while has its score, and no error."""
        item = self.scored_item()
        store_result(item, failed(Outcome.MISSING), JUDGE)
        assert examine(item, JUDGE.model) == (State.FRESH, True)

        restamp(item)

        assert "ai_error" not in item.keys(with_album=False)

    def test_a_failure_is_remembered(self) -> None:
        """What failed is not tried again by itself."""
        item = self.add_track("Song")
        store_result(item, failed(Outcome.SILENT), JUDGE)

        assert state(item, JUDGE.model) is State.FAILED

    def test_an_albums_values_are_not_the_tracks(self) -> None:
        """A track without a score is unscored, whatever its album has under that name."""
        album = self.add_album_of("ai")
        album["ai_score"] = 0.9
        album.store(inherit=False)

        item = self.get("Track 1")

        assert item.ai_score is None
        assert state(item, JUDGE.model) is State.UNSCORED


class TestVerdict(ArtifactNetHelper):
    def item_with(self, result: TrackResult, word: str | None = None) -> Item:
        item = self.add_track("Song")
        if word is not None:
            item["ai_override"] = word
        apply_result(item, result, JUDGE)
        return item

    @pytest.mark.parametrize(
        ("probability", "verdict"),
        [(0.5, "ai"), (0.4999, "unsure"), (0.3, "unsure"), (0.2999, "real")],
    )
    def test_the_thresholds_decide(self, probability: float, verdict: str) -> None:
        """A score at a threshold is above it."""
        assert self.item_with(scored(probability)).ai_verdict == verdict

    def test_changed_thresholds_decide_anew(self) -> None:
        """Verdict and share follow the thresholds; the score does not move."""
        item = self.item_with(scored(0.6, 0.85, 0.95))

        assert redecide(item, LENIENT)

        assert (item.ai_score, item.ai_verdict) == (0.85, "unsure")
        assert item.ai_share == 0.3333
        assert not redecide(item, LENIENT)

    def test_another_models_score_is_left_alone(self) -> None:
        """Thresholds belong to a model: they say nothing of another one's scores."""
        item = self.item_with(scored(0.2))

        assert not redecide(item, OTHER)

        assert (item.ai_verdict, item.ai_share) == ("real", 0.0)

    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            ("ai", Verdict.AI),
            ("real", Verdict.REAL),
            (" Real ", Verdict.REAL),
            ("unsure", None),
            ("maybe", None),
            ("", None),
        ],
    )
    def test_an_override_is_one_of_two_words(self, word: str, expected: Verdict | None) -> None:
        """Anything but ``ai`` and ``real`` is no override."""
        assert override(self.item_with(scored(0.4), word)) is expected

    def test_an_override_beats_the_score(self) -> None:
        """The verdict is the user's word; the score and the word itself stay."""
        item = self.item_with(scored(0.9), "real")

        assert (item.ai_verdict, item.ai_score, item.ai_override) == ("real", 0.9, "real")

    def test_an_override_holds_without_a_score(self) -> None:
        """A file that cannot be scored still has the user's verdict."""
        item = self.item_with(failed(Outcome.SILENT), "ai")
        item.store()

        names = {"ai_error", "ai_override", "ai_override_date", "ai_reason", "ai_verdict"}
        assert self.rows(item).keys() == names
        assert item.ai_verdict == "ai"

    def test_without_the_override_the_score_decides_again(self) -> None:
        """Removing the word brings the model's verdict back, or none for an unscored one."""
        item = self.item_with(scored(0.9), "real")
        unscored = self.add_track("Unscored", ai_override="ai", ai_verdict="ai")

        del item["ai_override"]
        del unscored["ai_override"]

        assert redecide(item, JUDGE)
        assert redecide(unscored, JUDGE)
        assert item.ai_verdict == "ai"
        assert unscored.ai_verdict is None

    @pytest.mark.parametrize("timeline", ["", "garbage", "0.0:7.0"])
    def test_a_spoilt_timeline_costs_the_share_alone(self, timeline: str) -> None:
        """A timeline that somebody edited does not keep the verdict from being decided."""
        item = self.item_with(scored(0.85))
        item["ai_timeline"] = timeline

        assert redecide(item, LENIENT)

        assert item.ai_verdict == "unsure"


class TestAlbum(ArtifactNetHelper):
    def score(self, title: str, result: TrackResult) -> None:
        store_result(self.get(title), result, JUDGE)

    def test_an_album_sums_up_its_tracks(self) -> None:
        """It has the median of its tracks' scores and the number of flagged ones."""
        self.add_album_of("ai", "ai", "real", "real")

        self.score("Track 1", scored(0.9))
        self.score("Track 2", scored(0.6))
        self.score("Track 3", scored(0.1))
        self.score("Track 4", failed(Outcome.SILENT))

        album = self.get_album()
        assert (album.ai_album_score, album.ai_album_flagged) == (0.6, 2)
        assert {kind for kind, _ in self.rows(album).values()} <= {"text", "integer", "real"}

    def test_the_tracks_values_are_their_own(self) -> None:
        """The album's values are written over no track's, and into none."""
        self.add_album_of("ai", "real")

        self.score("Track 1", scored(0.9))
        self.score("Track 2", scored(0.1))

        items = [self.get("Track 1"), self.get("Track 2")]
        assert [item.ai_score for item in items] == [0.9, 0.1]
        assert [self.rows(item).keys() for item in items] == [SCORE_FIELDS, SCORE_FIELDS]

    def test_an_album_of_failures_has_no_values(self) -> None:
        """Absent means unscored for albums as well."""
        album = self.add_album_of("ai")

        self.score("Track 1", failed(Outcome.UNREADABLE))

        assert self.rows(album) == {}

    def test_the_last_score_takes_the_albums_values_with_it(self) -> None:
        """Values of an album whose tracks have lost their scores are removed."""
        album = self.add_album_of("ai")
        self.score("Track 1", scored(0.9))
        assert self.rows(album).keys() == {
            "ai_album_score",
            "ai_album_flagged",
            "ai_album_scored",
            "ai_album_verdict",
        }

        self.score("Track 1", failed(Outcome.UNREADABLE))

        assert self.rows(album) == {}

    def test_nothing_new_is_not_stored(self) -> None:
        """An album that is up to date is not written again."""
        self.add_album_of("ai")
        self.score("Track 1", scored(0.9))
        revision = self.lib.revision

        update_album(self.get_album())

        assert self.lib.revision == revision

    def test_an_override_counts(self) -> None:
        """A track that the user calls real is not flagged, and its score still counts."""
        album = self.add_album_of("ai")
        item = self.get("Track 1")
        item["ai_override"] = "real"

        store_result(item, scored(0.9), JUDGE)

        album = self.get_album()
        assert (album.ai_album_score, album.ai_album_flagged) == (0.9, 0)


def test_every_field_has_a_type() -> None:
    """A field without a type could not be searched by range."""
    names = {value for name, value in vars(library.Field).items() if name.isupper()}

    assert names - {library.Field.OF_A_SCORE} == {*library.ITEM_TYPES, *library.ALBUM_TYPES}
    assert set(library.ALBUM_TYPES) & Album._fields.keys() == set()


segment_scores = st.builds(
    SegmentScore,
    st.floats(min_value=0, max_value=100_000),
    st.floats(min_value=0, max_value=1),
)


@given(st.lists(segment_scores))
def test_a_timeline_is_read_back(segments: list[SegmentScore]) -> None:
    """Format and parse give the same segments, to 0.1 s and 0.0001."""
    found = parse_timeline(format_timeline(segments))

    assert len(found) == len(segments)
    for one, other in zip(found, segments, strict=True):
        assert one.start_s == pytest.approx(other.start_s, abs=0.0501, rel=1e-12)
        assert one.probability == pytest.approx(other.probability, abs=0.0000501)
    assert format_timeline(found) == format_timeline(segments)


@pytest.mark.parametrize(
    "text", ["0.0", "0.0:1.0001", "0:0.5:1", "-1.0:0.5", "0.0:nan", "0:0.50:0.5"]
)
def test_a_timeline_that_is_none_is_refused(text: str) -> None:
    """The error shows the word that is wrong."""
    with pytest.raises(ValueError, match="is not START:PROBABILITY") as caught:
        parse_timeline(f"0.0:0.5 {text}")

    assert repr(text) in str(caught.value)
