"""The history of tracks: what is noted, when, why, and that nobody inherits it."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing

import pytest
from beets.library import Library
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet import library
from beetsplug.artifactnet.engine import make_engine
from beetsplug.artifactnet.library import (
    Cause,
    Change,
    Decision,
    Judge,
    Word,
    summary_lines,
)
from beetsplug.artifactnet.library.entries import (
    MOST_ENTRIES,
    Entry,
    format_entries,
    parse_entries,
)
from beetsplug.artifactnet.plugin import ArtifactNetPlugin
from beetsplug.artifactnet.results import Verdict
from tests.support.beets_library import MODEL, ArtifactNetHelper, slow_down, write_broken
from tests.support.onnx_models import write_model


def changes(lib: Library, since: float = 0.0, query: Sequence[str] = ()) -> list[Change]:
    """Return what changed of the tracks that a query finds, track by track, oldest first."""
    histories = library.read_histories(lib, library.find_ids(lib, query), since)
    return [
        change
        for item_id, entries in histories.items()
        for change in library.changes_of(item_id, entries, since)
    ]


WORDS = st.text(min_size=1, max_size=20).filter(lambda word: word != "-")
DECISIONS = st.builds(
    Decision,
    verdict=st.none() | st.sampled_from([verdict.value for verdict in Verdict]),
    score=st.none() | st.integers(0, 10_000).map(lambda n: n / 10_000),
    reason=st.none() | WORDS,
    model=st.none() | WORDS,
)
ENTRIES = st.builds(Entry, date=st.integers(0, 4_000_000_000).map(float), decision=DECISIONS)


@given(st.lists(ENTRIES, max_size=MOST_ENTRIES))
def test_round_trip(entries: list[Entry]) -> None:
    """What was written is read back, whatever models are called."""
    assert list(parse_entries(format_entries(entries))) == entries


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse_entries(text)


def test_entries_that_are_none_are_left_out() -> None:
    good = "2026-11-28T18:54:05Z ai 0.9712 score m-1.0+2"
    assert len(parse_entries(f"x; {good}; 2026-02-30T00:00:00Z ai - - -; {good[:-9]}")) == 1


class TestHistory(ArtifactNetHelper):
    def history(self, title: str) -> list[tuple[str | None, str | None]]:
        """Return verdict and reason of each entry, oldest first."""
        text = self.get(title).get("ai_history") or ""
        return [(e.decision.verdict, e.decision.reason) for e in parse_entries(text)]

    def causes(self) -> list[str]:
        return [change.cause.value for change in changes(self.lib)]

    def judge(self) -> Judge:
        plugin = ArtifactNetPlugin()
        return make_engine(plugin.settings()).judge

    def test_a_score(self) -> None:
        """Date, verdict, score, reason and model; scored again without a change adds none."""
        self.add_track("One", "ai")
        before = int(time.time())
        self.run_command("artifactnet")
        self.run_command("artifactnet", "-f")
        (change,) = changes(self.lib)
        item = self.get("One")
        assert before <= change.date <= time.time()
        assert change.after == Decision("ai", round(item.ai_score, 4), "score", MODEL)
        assert (change.before, change.cause) == (Decision(), Cause.SCORED)
        assert change.item_id == item.id

    def test_a_word_of_the_user(self) -> None:
        """Given, changed, taken back: one entry each, by `beet modify`."""
        self.add_track("One", "ai")
        self.run_command("artifactnet")
        for word in ("ai_override=human", "title=One", "ai_override=ai", "ai_override!"):
            self.run_command("modify", "-y", "title:One", word)
        assert self.history("One") == [
            ("ai", "score"),
            ("real", "override"),
            ("ai", "override"),
            ("ai", "score"),
        ]
        assert self.causes() == ["scored"] + 3 * ["your own word"]

    def test_a_word_and_undo(self) -> None:
        """Word, note and date are stored at once, and taken back together."""
        self.add_track("One", "ai")
        self.run_command("artifactnet")
        library.put_word(self.get("One"), Word("real", "my own demo"), self.judge())
        item = self.get("One")
        assert (item.ai_verdict, item.ai_override_note) == ("real", "my own demo")
        assert abs(item.ai_override_date - time.time()) < 60
        library.put_word(item, Word(), self.judge())
        item = self.get("One")
        assert item.ai_verdict == "ai"
        assert not {"ai_override", "ai_override_note", "ai_override_date"} & {*item.keys()}
        assert self.causes() == ["scored", "your own word", "your own word"]

    def test_other_thresholds(self) -> None:
        self.add_track("One", "unsure")
        self.run_command("artifactnet")
        self.configure(ai_threshold=0.35)
        self.run_command("artifactnet")
        assert self.causes() == ["scored", "other thresholds"]

    def test_another_model(self) -> None:
        """The summary names both versions, and counts a track once."""
        for number in range(3):
            self.add_track(f"Track {number}", "unsure")
        self.run_command("artifactnet")
        card = {"thresholds": {"ai": 0.2, "unsure": 0.1}}
        write_model(self.model_folder, version="2.0", card=card)
        self.run_command("artifactnet", "--outdated")
        found = changes(self.lib)
        assert [change.cause for change in found] == 3 * [Cause.SCORED, Cause.MODEL]
        assert summary_lines(found) == ["3 tracks changed verdict between loudness 1.0 and 2.0"]

    def test_a_failure_and_a_success(self) -> None:
        """A file that fails has no score in its history, and why stands there."""
        path = write_broken(self.lib_path / "broken.flac")
        self.add_file(path, title="Broken")
        self.add_track("Whole", "real")
        self.run_command("artifactnet")
        assert self.history("Broken") == [(None, "unreadable")]
        (change, _) = changes(self.lib)
        assert (change.cause, change.after.score) == (Cause.FAILED, None)

    def test_a_library_from_before(self) -> None:
        """The history of a score without one begins with that score, at its date."""
        self.add_track("One", "ai")
        self.run_command("artifactnet")
        item = self.get("One")
        scored, score = item.ai_scored, round(item.ai_score, 4)
        with closing(sqlite3.connect(os.fsdecode(self.lib.path))) as connection:
            connection.execute("DELETE FROM item_attributes WHERE key = 'ai_history'")
            connection.commit()
        self.run_command("modify", "-y", "title:One", "ai_override=human")
        first, second = parse_entries(self.get("One").ai_history)
        assert first == Entry(int(scored), Decision("ai", score, "score", MODEL))
        assert second.decision.verdict == "real"

    def test_a_query_and_a_date(self) -> None:
        """They choose among the changes."""
        self.add_track("One", "ai")
        self.add_track("Two", "real")
        self.run_command("artifactnet")
        assert len(changes(self.lib, query=["title:Two"])) == 1
        assert changes(self.lib, time.time() + 10) == []
        assert len(changes(self.lib, time.time() - 60)) == 2
        today = time.strftime("ai_history:%Y-%m", time.gmtime())
        assert self.run_lines("ls", "-f", "$title", today) == ["One", "Two"]

    def test_its_size_is_bounded(self) -> None:
        """The newest entries are kept."""
        item = self.add_track("One", "ai")
        words = ["ai", "real"] * MOST_ENTRIES
        for word in words:
            library.put_word(item, Word(word), self.judge())
        assert len(self.history("One")) == MOST_ENTRIES
        assert self.history("One")[-1] == ("real", "override")
        assert len(self.get("One").ai_history) < 100 * MOST_ENTRIES

    @pytest.mark.parametrize("is_loaded", [True, False], ids=["plugin", "no plugin"])
    def test_a_new_track_inherits_nothing(self, *, is_loaded: bool) -> None:
        """Beets gives the id of a removed track to the next one, at the same path, too."""
        self.add_track("One", "ai")
        self.run_command("artifactnet")
        item = self.get("One")
        item_id = item.id
        if not is_loaded:
            self.unload_plugins()
        item.remove()
        new = self.add_track("One", "real")
        assert new.id == item_id
        assert new.get("ai_history") is None
        assert changes(self.lib) == []

    def test_a_moved_track_keeps_it(self) -> None:
        self.add_track("One", "ai")
        self.run_command("artifactnet")
        item = self.get("One")
        item.move()
        item.store()
        assert self.history("One") == [("ai", "score")]
        assert [change.item_id for change in changes(self.lib)] == [item.id]

    def test_two_writers(self) -> None:
        """What another program noted in the meantime is not lost."""
        self.add_track("One", "ai")
        self.run_command("artifactnet")
        first, second = self.get("One"), self.get("One")
        library.put_word(first, Word("real"), self.judge())
        second["ai_score"] = 0.5
        library.store(second)
        entries = parse_entries(self.get("One").ai_history)
        assert [entry.decision.reason for entry in entries] == ["score", *2 * ["override"]]
        assert entries[-1].decision.score == 0.5

    @pytest.mark.slow
    def test_a_process_that_is_killed(self) -> None:
        """Score and history are stored together, or neither is."""
        for number in range(12):
            self.add_track(f"Track {number}", "ai")
        slow_down(self.model_folder)
        self.write_config()
        process = self.start_beet("artifactnet", "-t", "1")
        deadline = time.monotonic() + 60
        while self.n_scored() < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        items = list(self.lib.items())
        scored = {item.id for item in items if item.get("ai_score") is not None}
        noted = {item.id for item in items if item.get("ai_history") is not None}
        assert 2 <= len(scored) < 12
        assert scored == noted


def change(before: Decision, after: Decision, item_id: int = 1) -> Change:
    return Change(item_id, before=before, after=after, date=0.0)


def test_the_summary() -> None:
    """Verdicts alone count, by cause; a track counts once a cause; other models are named."""
    real, ai = Decision("real", 0.1, "score", "a-1+2"), Decision("ai", 0.9, "score", "b-1+2")
    word = Decision("real", 0.9, "override", "b-1+2")
    found = [
        change(Decision(), real),
        change(real, ai),
        change(real, ai, 2),
        change(ai, word),
        change(word, ai),
        change(ai, Decision("ai", 0.8, "score", "b-1+2")),
    ]
    assert summary_lines(found) == [
        "2 tracks changed verdict between a 1 and b 1",
        "1 track changed verdict (your own word)",
    ]
    assert summary_lines([]) == []


def test_causes() -> None:
    """A declaration that comes and goes is a cause of its own."""
    score = Decision("real", 0.1, "score", "a-1")
    declared = Decision("ai", 0.1, "declared", "a-1")
    assert change(score, declared).cause is Cause.DECLARED
    assert change(declared, score).cause is Cause.DECLARED
    assert change(score, Decision()).cause is Cause.REMOVED
    assert change(score, Decision("real", 0.2, "score", "a-1")).cause is Cause.AGAIN
