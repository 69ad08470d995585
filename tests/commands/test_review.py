"""``beet aireview``: what is shown, decided, played and taken back, on a real terminal."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from beets.exceptions import UserError
from beets.library import Album, Item

from beetsplug.artifactnet import library
from beetsplug.artifactnet.library import Judge, ReviewLog, Word, WordChange
from beetsplug.artifactnet.results import (
    Claim,
    Outcome,
    SegmentScore,
    Thresholds,
    TrackResult,
    TrackScore,
)
from tests.support.audio_files import tone
from tests.support.beets_library import MODEL, ArtifactNetHelper, write_track
from tests.support.terminal import Terminal, beet_in_terminal

PROMPT = "q quit?"
JUDGE = Judge(MODEL, Thresholds(ai=0.5, unsure=0.3))
NO_FILE = Path("/nonexistent/song.flac")
OWN_FIELDS = ("ai_override", "ai_override_note", "ai_override_date", "ai_override_from")


class ReviewHelper(ArtifactNetHelper):
    """A library of tracks that were scored, without files."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.write_config(play={"command": "true"})

    def add_scored(
        self, title: str, *probabilities: float, path: Path = NO_FILE, **values: Any
    ) -> Item:
        """Add a track whose segments, 10 s apart, have these probabilities."""
        values = {"artist": "Artist", "album": "Album", **values}
        item = Item(path=os.fsencode(path), title=title, **values)
        item.add(self.lib)
        segments = tuple(SegmentScore(10.0 * n, p) for n, p in enumerate(probabilities))
        score = TrackScore(float(np.median(probabilities)), segments, 60.0, MODEL)
        library.store_result(item, TrackResult(path, Outcome.SCORED, score), JUDGE)
        return item

    def add_unscored(self, title: str, path: Path) -> Item:
        """Add a track that declares itself generated, and has no score."""
        item = Item(path=os.fsencode(path), title=title, artist="Artist", album="Album")
        item.add(self.lib)
        library.add_claims(item, [Claim("suno", "url")])
        library.redecide(item, JUDGE)
        library.store(item)
        return item

    def add_scored_album(self, n_ai: int, n_real: int = 0) -> Album:
        scores = [0.9] * n_ai + [0.1] * n_real
        items = [self.add_scored(f"Track {n}", p) for n, p in enumerate(scores, 1)]
        return self.lib.add_album(items)

    def review(self, *answers: tuple[str, str] | str, args: tuple[str, ...] = ()) -> str:
        """Review with these keys, each with its prompt where it is not the usual one."""
        with beet_in_terminal("aireview", *args) as terminal:
            for answer in answers:
                prompt, keys = (PROMPT, answer) if isinstance(answer, str) else answer
                terminal.answer(prompt, keys)
            assert terminal.end() == 0, terminal.seen
        assert "Traceback" not in terminal.seen
        return terminal.seen

    def words(self) -> dict[str, Any]:
        """Return title -> the user's word, of the tracks that have one."""
        found = {str(item.title): item.get("ai_override") for item in self.lib.items()}
        return {title: word for title, word in found.items() if word is not None}

    def listed(self, *query: str) -> list[str]:
        return self.run_lines("ls", "-f", "$title", *query)


class TestAReview(ReviewHelper):
    def test_ten_tracks_with_undo(self) -> None:
        """Every key does what it says, every decision is stored, and all is taken back."""
        for n in range(1, 11):
            self.add_scored(f"Song {n}", 0.4 if n == 3 else 0.9)
        before = [self.rows(item) for item in self.lib.items()]
        self.add_scored("Human", 0.1)

        seen = self.review(
            *("h", "a", "s", "n"),
            ("decision:", "they play it live"),
            *("h", "x", "h", "u", "a", "s", "u", "u", "h", "h"),
            *("a", "a", "h", "q"),
        )

        assert "[1/10] ai     0.9000  Artist - Album - Song 1" in seen
        assert "[3/10] unsure 0.4000  Artist - Album - Song 3" in seen
        assert "file: /nonexistent/song.flac  (no such file)" in seen
        assert "the song's score 0.90 reaches the threshold 0.5" in seen
        assert "Type a letter and Enter." in seen
        assert seen.splitlines()[-1] == (
            "reviewed: 3 ai, 5 human, 1 skipped, 1 not looked at; "
            "`beet aireview --undo` takes it back"
        )
        assert self.words() == {
            **{f"Song {n}": "real" for n in (1, 4, 5, 6, 9)},
            **{f"Song {n}": "ai" for n in (2, 7, 8)},
        }
        item = self.get("Song 4")
        assert (item.ai_verdict, item.ai_reason) == ("real", "override")
        assert item.ai_override_note == "they play it live"
        assert item.ai_override_date == pytest.approx(time.time(), abs=120)
        assert len(self.listed("ai_override::.")) == 8
        assert self.listed("ai_override_note::live") == ["Song 4"]

        (line,) = self.run_lines("aireview", "--undo")
        assert line.startswith("taken back: 8 decisions of the review of 20")
        after = [self.rows(item) for item in self.lib.items()][:10]
        assert [_without_history(row) for row in after] == list(map(_without_history, before))
        with pytest.raises(UserError, match="there is no review to take back"):
            self.run_command("aireview", "--undo")

    def test_a_whole_album(self) -> None:
        """Tracks without a word get it, real ones too; undo takes it from all of them."""
        album = self.add_scored_album(3, n_real=1)
        self.run_command("modify", "-y", "ai_override=ai", "title:=Track 3")
        self.add_scored("Other", 0.9, album="Other")

        ask = "c cancel?"
        seen = self.review("A", (ask, "c"), "Ah", "u", "A", (ask, "h"), "A", "q")

        assert "3 tracks without a word of yours on Artist - Album" in seen
        assert "the track belongs to no album" in seen
        assert self.words() == {
            "Track 1": "real",
            "Track 2": "real",
            "Track 3": "ai",
            "Track 4": "real",
        }
        assert seen.splitlines()[-1].startswith("reviewed: 3 human, 1 not looked at; ")
        album.load()
        assert album.ai_album_flagged == 1

        self.run_command("aireview", "--undo")
        assert self.words() == {"Track 3": "ai"}

    def test_deciding_again(self) -> None:
        """``--all`` shows what was decided; undo gives the older word back, with its date."""
        item = self.add_scored("Song", 0.9)
        date = time.time() - 86_400.0
        library.put_word(item, Word("real", "an older note", date), JUDGE)

        seen = self.review("n", ("decision:", "on second thoughts"), "a", args=("--all",))

        assert "your own word: human" in seen
        assert "an older note" in seen
        assert self.get("Song").ai_override_note == "on second thoughts"
        self.run_command("aireview", "--undo")
        item = self.get("Song")
        assert (item.ai_override, item.ai_override_note) == ("real", "an older note")
        assert item.ai_override_date == pytest.approx(date, abs=0.01)

    def test_in_the_order_of_the_query(self) -> None:
        """The most likely first, and with ``--all`` what was never scored last."""
        self.add_file(write_track(self.folder / "new.flac"), title="New", artist="Artist")
        self.add_scored("Low", 0.6)
        self.add_scored("High", 0.9)
        seen = self.review("s", "s", "s", args=("--all", "ai_score-"))
        assert re.findall(r"\[\d/3\] (.*\S)", seen) == [
            "ai     0.9000  Artist - Album - High",
            "ai     0.6000  Artist - Album - Low",
            "-              Artist -  - New",
        ]
        assert "it is not scored yet" in seen

    def test_names_steer_nothing(self) -> None:
        """Whatever tags, paths and notes hold, on a terminal that gets narrower."""
        self.add_scored("\x1b[2J\n\u202etitle " + "x" * 100, 0.9, album="\x1b]0;a\x07")
        self.add_scored("Song", 0.9, path=Path("/music/\x1b[31m\n.flac"))
        with beet_in_terminal("aireview", columns=80) as terminal:
            terminal.answer(PROMPT, "n")
            terminal.answer("decision:", "a\tnote")
            terminal.resize(30)
            terminal.answer(PROMPT, "h")
            terminal.answer(PROMPT, "q")
            assert terminal.end() == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(terminal.seen)
        narrow = terminal.seen[terminal.seen.index("[2/2]") :].splitlines()[1:-2]
        assert max(map(len, narrow)) <= 30 + len("q")
        (item,) = self.lib.items("ai_override::.")
        assert item.ai_override_note == "a\\tnote"


def _without_history(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "ai_history"}


class TestPlaying(ReviewHelper):
    def test_the_loudest_segment(self) -> None:
        """The player gets a WAV file of where the highest probability is, cut in a worker."""
        quiet, loud = tone(0.01, 20.0, 8000), tone(0.5, 4.0, 8000)
        path = self.folder / "song.flac"
        soundfile.write(path, np.concatenate([quiet, loud, quiet]), 8000)
        self.add_scored("Song", 0.6, 0.7, 0.95, 0.8, path=path)
        self.add_scored("Gone", 0.9)
        self.add_unscored("Declared", path)
        copied = self.folder / "played.wav"
        # The first excerpt is kept.
        script = (
            f"import os, shutil, sys; "
            f"os.path.exists({str(copied)!r}) or shutil.copy(sys.argv[1], {str(copied)!r})"
        )
        self.play_with(f'{sys.executable} -c "{script}" $args $playlist')

        seen = self.review("p", "s", "p", "s", "p", "q")

        assert "playing 0:00 to 0:10; Ctrl-C ends it" in seen
        assert "playing 0:17 to 0:27, around the segment at 0:20 (0.95)" in seen
        assert "nothing to play: no such file" in seen
        samples, rate = soundfile.read(copied)
        assert len(samples) == 10 * rate
        loudness = [float(np.median(np.abs(part))) for part in np.split(samples, 10)]
        assert [value > 0.1 for value in loudness] == [False] * 3 + [True] * 4 + [False] * 3

    @pytest.mark.slow
    def test_players_that_fail(self) -> None:
        """One line names the player and what to do; Ctrl-C ends the player alone."""
        path = self.folder / "song.flac"
        soundfile.write(path, tone(0.5, 2.0, 8000), 8000)
        self.add_scored("Song", 0.9, path=path)
        self.play_with(f"{sys.executable} -c 'import time; print(1 + 41); time.sleep(60)'")
        with beet_in_terminal("aireview") as terminal:
            terminal.answer(PROMPT, "p")
            terminal.wait_for("42")
            terminal.press_ctrl_c()
            self.play_with("no-such-player --quiet")
            terminal.answer(PROMPT, "h")
            assert terminal.end() == 0
        assert self.words() == {"Song": "real"}
        self.run_command("aireview", "--undo")
        seen = self.review("p", "q")
        assert "no-such-player does not start: " in seen
        assert "`play: command:` in beets' configuration names your player" in seen

    def play_with(self, command: str) -> None:
        self.write_config(play={"command": command})


class TestMeanwhile(ReviewHelper):
    """Another program uses the library while a review waits for a key."""

    def test_other_programs(self) -> None:
        """Nothing of theirs is overwritten, and what is gone is passed over."""
        for n in range(1, 5):
            self.add_scored(f"Song {n}", 0.9)
        with beet_in_terminal("aireview") as terminal:
            terminal.wait_for(PROMPT)
            self.run_command("modify", "-y", "ai_override=ai", "title:=Song 1")
            self.run_command("rm", "-f", "title:=Song 3")
            terminal.send("h\n")
            terminal.answer("[2/4]", "")
            terminal.answer(PROMPT, "h")
            terminal.answer("[4/4]", "")
            terminal.wait_for(PROMPT)
            self.run_command("modify", "-y", "ai_override=ai", "title:=Song 2")
            terminal.send("u\n")
            terminal.answer("[4/4]", "q")
            assert terminal.end() == 0
        seen = terminal.seen
        assert "another program has changed the track meanwhile" in seen
        assert seen.count("a track was removed or decided on meanwhile; it is passed over") >= 2
        assert "taken back: 0 decisions, 1 changed meanwhile and left as they are" in seen
        assert self.words() == {"Song 1": "ai", "Song 2": "ai"}

    def test_undo_leaves_later_words_alone(self) -> None:
        """``--undo`` takes back what is still the review's, and counts the rest."""
        for n in range(1, 4):
            self.add_scored(f"Song {n}", 0.9)
        self.review("h", "h", "h")
        self.run_command("modify", "-y", "ai_override=ai", "title:=Song 1")
        self.run_command("rm", "-f", "title:=Song 2")
        (line,) = self.run_lines("aireview", "--undo")
        assert line.startswith("taken back: 1 decision of the review of ")
        assert line.endswith(", 2 changed since and left as they are")
        assert self.words() == {"Song 1": "ai"}


AT_EACH = [("", PROMPT), ("n", "decision:"), ("A", "cancel?")]
"""Key and the prompt that it leads to."""


class TestCtrlC(ReviewHelper):
    def interrupt(self, terminal: Terminal) -> str:
        terminal.press_ctrl_c()
        assert terminal.end() == 130
        assert "Traceback" not in terminal.seen
        return terminal.seen.splitlines()[-1]

    @pytest.mark.parametrize(
        ("key", "prompt"), [("", PROMPT), ("n", "decision:"), ("A", "cancel?")]
    )
    def test_at_each_prompt(self, key: str, prompt: str) -> None:
        """What was decided is stored and can be taken back; the rest is as it was."""
        self.add_scored_album(3)
        with beet_in_terminal("aireview") as terminal:
            terminal.answer(PROMPT, "a")
            if key:
                terminal.answer(PROMPT, key)
            terminal.wait_for(prompt)
            line = self.interrupt(terminal)
        assert line == (
            "interrupted: reviewed: 1 ai, 2 not looked at; `beet aireview --undo` takes it back"
        )
        assert self.words() == {"Track 1": "ai"}
        self.run_command("aireview", "--undo")
        assert self.words() == {}

    def test_ctrl_d_is_enough(self) -> None:
        """The end of the input is `q`."""
        self.add_scored("Song", 0.9)
        with beet_in_terminal("aireview") as terminal:
            terminal.wait_for(PROMPT)
            terminal.send("\x04")
            assert terminal.end() == 0
        assert terminal.seen.splitlines()[-1] == "reviewed: none decided, 1 not looked at"


class TestNothingToAsk(ReviewHelper):
    def test_no_terminal(self) -> None:
        """One line says how to decide without one."""
        self.add_scored("Song", 0.9)
        done = self.beet("aireview")
        assert done.returncode == 1
        assert done.stderr == (
            "error: artifactnet: 1 track to review, and no terminal to ask on; "
            "`beet modify ai_override=human QUERY` decides without asking\n"
        )

    def test_no_suspects(self) -> None:
        """A query that finds none of them says so; one that finds nothing fails."""
        self.add_scored("Song", 0.1)
        assert self.run_lines("aireview") == ["nothing to review: no suspects among 1 track"]
        assert self.run_lines("aireview", "title:Song") == [
            "nothing to review: no suspects among 1 track; "
            "--all walks through them all the same"
        ]
        with pytest.raises(UserError, match="no track matches title:Other"):
            self.run_command("aireview", "title:Other")

    def test_failures_are_no_suspects(self) -> None:
        """A file that could not be scored is not asked for."""
        item = self.add_scored("Song", 0.9)
        library.store_result(item, TrackResult(NO_FILE, Outcome.SILENT, detail="x"), JUDGE)
        assert self.run_lines("aireview") == ["nothing to review: no suspects among 1 track"]

    def test_undo_of_another_library(self) -> None:
        """It is named, and the file stays."""
        self.add_scored("Song", 0.9)
        change = {"item_id": 1, "before": {}, "after": {"override": "ai"}}
        head = {"library": "/other.db", "began": 1.0}
        file = self.write_review(f"{json.dumps(head)}\n{json.dumps({'changes': [change]})}\n")
        with pytest.raises(UserError, match=r"the last review was of the library /other\.db"):
            self.run_command("aireview", "--undo")
        assert file.exists()

    @pytest.mark.parametrize("text", ["", "{", "[]\n", '{"library": 1}\n{"dropped": 1}\n'])
    def test_a_broken_file(self, text: str) -> None:
        """It is named; without it the review before can be taken back."""
        self.add_scored("Song", 0.9)
        self.review("h")
        file = self.write_review(text, "2999-01-01")
        with pytest.raises(UserError, match=f"the last review is damaged: {file}; without it"):
            self.run_command("aireview", "--undo")
        file.unlink()
        self.run_command("aireview", "--undo")
        assert self.words() == {}

    def test_a_review_that_was_taken_back_at_once(self) -> None:
        """Nothing is left of it: the one before is the last."""
        for number in (1, 2, 3):
            self.add_scored(f"Song {number}", 0.9)
        self.review("h", "q")
        self.review("h", "u", "q")
        (line,) = self.run_lines("aireview", "--undo")
        assert line.startswith("taken back: 1 decision of the review of 20")
        assert self.words() == {}

    def test_taken_back_by_another_program_meanwhile(self) -> None:
        """Its own undo has nothing to do then, and leaves no file that stands for a review."""
        for number in (1, 2, 3):
            self.add_scored(f"Song {number}", 0.9)
        self.review("h", "q")
        with beet_in_terminal("aireview") as terminal:
            terminal.answer(PROMPT, "a")
            terminal.wait_for("[2/2]")
            self.run_command("aireview", "--undo")
            terminal.answer(PROMPT, "u")
            terminal.answer(PROMPT, "q")
            assert terminal.end() == 0
        assert self.words() == {"Song 1": "real"}
        self.run_command("aireview", "--undo")
        assert self.words() == {}

    def test_undo_without_a_model(self) -> None:
        """The words are taken back; the verdicts follow when there is a model again."""
        self.add_scored("Song", 0.9)
        self.review("h")
        assert self.words() == {"Song": "real"}
        self.configure(model=str(self.folder / "none.onnx"))
        assert self.run_lines("aireview", "--undo")[-1].startswith("taken back: 1 decision")
        assert self.words() == {}
        self.configure(model=str(self.model_folder / "model.onnx"))
        self.run_command("ai")
        assert self.listed("ai_verdict:=ai") == ["Song"]

    def test_two_at_once(self) -> None:
        """Each is taken back by itself, the one that began last first."""
        for number in (1, 2, 3):
            self.add_scored(f"Song {number}", 0.9)
        with (
            beet_in_terminal("aireview", "title:Song 1") as first,
            beet_in_terminal("aireview", "title:Song 2", ",", "title:Song 3") as second,
        ):
            first.wait_for(PROMPT)
            second.answer(PROMPT, "h")
            first.send("a\n")
            assert first.end() == 0
            second.answer(PROMPT, "a")
            assert second.end() == 0
        assert self.words() == {"Song 1": "ai", "Song 2": "real", "Song 3": "ai"}
        self.run_command("aireview", "--undo")
        left = self.words()
        assert left in ({"Song 1": "ai"}, {"Song 2": "real", "Song 3": "ai"})
        self.run_command("aireview", "--undo")
        assert self.words() == {}
        with pytest.raises(UserError, match="there is no review to take back"):
            self.run_command("aireview", "--undo")

    def test_the_last_ten_are_kept(self) -> None:
        folder, change = self.folder / "reviews", WordChange(1, Word(), Word("ai"))
        for began in range(12):
            ReviewLog(folder, "x.db", float(began)).add([change])
        names = sorted(path.name for path in folder.iterdir())
        assert len(names) == 10
        assert names[0] == "1970-01-01T000002.000000.jsonl"

    def test_undo_takes_no_query(self) -> None:
        with pytest.raises(UserError, match="without a query"):
            self.run_command("aireview", "--undo", "title:Song")

    def test_a_folder_that_cannot_be_written(self) -> None:
        """A review that cannot be noted goes on, and says so once."""
        (self.folder / "artifactnet").mkdir()
        (self.folder / "artifactnet" / "reviews").touch()
        self.add_scored("Song 1", 0.9)
        self.add_scored("Song 2", 0.9)
        seen = self.review("h", "h")
        assert seen.count("`aireview --undo` will not take this review back: ") == 1
        assert seen.splitlines()[-1] == "reviewed: 2 human"
        assert len(self.words()) == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"item_id": 2**80},
            {"item_id": 0},
            {"before": {"override": "fake"}},
            {"before": {"override": "ai", "note": ["x"]}},
            {"before": {"override": "ai", "note": "\ud800"}},
            {"before": {"override": "ai", "date": "yesterday"}},
            {"before": {"override": "ai", "date": 1e300}},
        ],
    )
    def test_an_edited_file(self, change: dict[str, object]) -> None:
        """What cannot be stored is never taken from it."""
        self.add_scored("Song", 0.9)
        head = {"library": str(self.lib_path / "x"), "began": 0.0}
        whole = {"item_id": 1, "before": {}, "after": {}, **change}
        self.write_review(f"{json.dumps(head)}\n{json.dumps({'changes': [whole]})}\n")
        with pytest.raises(UserError, match="the last review is damaged"):
            self.run_command("aireview", "--undo")

    def write_review(self, text: str, day: str = "2026-11-28") -> Path:
        file = self.folder / "artifactnet" / "reviews" / f"{day}T220000.000000.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


class TestQueries(ReviewHelper):
    def test_contradictions(self) -> None:
        """The recipe lists where the user and the model do not agree, either way."""
        for title, score, word in (
            ("Human, says the user", 0.9, "human"),
            ("Human, say both", 0.1, "human"),
            ("AI, says the user", 0.1, "ai"),
            ("AI, say both", 0.9, "ai"),
            ("Unsure", 0.4, "ai"),
            ("Undecided", 0.9, None),
        ):
            self.add_scored(title, score)
            if word:
                self.run_command("modify", "-y", f"ai_override={word}", f"title:={title}")
        query = "ai_override:=real ai_score:0.5.. , ai_override:=ai ai_score:..0.5"
        assert sorted(self.listed(*query.split())) == [
            "AI, says the user",
            "Human, says the user",
            "Unsure",
        ]
