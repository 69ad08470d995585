"""``beet artifactnet``: what it prints, stores and leaves alone, and queries on the result."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from beets.exceptions import UserError
from beetsplug.smartplaylist import SmartPlaylistPlugin

from beetsplug.artifactnet.commands.terminal import Progress
from beetsplug.artifactnet.library import forced
from tests.support.audio_files import encode, tone
from tests.support.beets_library import (
    MODEL,
    ROUNDING,
    SCORE_FIELDS,
    SCORES,
    ArtifactNetHelper,
    our_tags,
    said,
    slow_down,
    write_broken,
    write_track,
)
from tests.support.onnx_models import SAMPLE_RATE, write_model
from tests.support.tagged_files import SUNO_COMMENT

SUMMARY = re.compile(
    r"(\d+) scored, (\d+) skipped, (\d+) flagged as ai, (\d+) unsure, (\d+) failed, "
    r"\d+ songs per minute(.*)"
)


def summary(line: str) -> tuple[int, ...]:
    """Return scored, skipped, flagged, unsure and failed of a summary line."""
    match = SUMMARY.fullmatch(line)
    assert match, line
    return tuple(int(number) for number in match.groups()[:5])


class TestOutput(ArtifactNetHelper):
    def test_default_output(self) -> None:
        """A line for each flagged or unsure track, then one summary line."""
        self.add_track("One", "ai")
        self.add_track("Two", "unsure")
        self.add_track("Three", "real")

        *lines, last = self.run_lines("artifactnet")

        one, two = self.get("One"), self.get("Two")
        assert sorted(lines) == [
            f"ai     {one.ai_score:.4f}  Artist - Album - One",
            f"unsure {two.ai_score:.4f}  Artist - Album - Two",
        ]
        assert summary(last) == (3, 0, 1, 1, 0)
        assert {str(item.ai_model) for item in self.lib.items()} == {MODEL}
        for item, verdict in ((one, "ai"), (two, "unsure"), (self.get("Three"), "real")):
            assert item.ai_score == pytest.approx(SCORES[verdict], abs=ROUNDING)
            assert self.rows(item).keys() == SCORE_FIELDS

    def test_the_second_run_does_nothing(self) -> None:
        """It says so in one line, and changes nothing."""
        item = self.add_track("One")
        self.run_command("artifactnet")
        before = self.rows(item)

        lines = self.run_lines("artifactnet")

        assert lines == ["nothing to score: 1 track has a score"]
        assert self.rows(item) == before

    def test_an_empty_query_result(self) -> None:
        """A query that finds nothing is an error; an empty library is none."""
        assert self.run_lines("ai") == ["nothing to score: the library has no tracks"]
        with pytest.raises(UserError, match="artifactnet: no track matches title:none"):
            self.run_command("ai", "title:none")
        with pytest.raises(UserError, match="artifactnet: no album matches x"):
            self.run_command("ai", "-a", "x")

    def test_skipped_tracks_are_counted(self) -> None:
        """What has a score already is skipped."""
        self.add_track("One")
        self.run_command("artifactnet")
        self.add_track("Two")

        assert summary(self.run_lines("artifactnet")[-1]) == (1, 1, 1, 0, 0)

    def test_a_query_chooses(self) -> None:
        """Only what the query finds is scored; ``ai`` is the command's short name."""
        self.add_track("One")
        self.add_track("Two")

        lines = self.run_lines("ai", "title:Two")

        assert summary(lines[-1]) == (1, 0, 1, 0, 0)
        assert self.rows(self.get("One")) == {}
        assert self.get("Two").ai_verdict == "ai"

    def test_an_album_query_chooses_albums(self) -> None:
        """With ``-a`` the query is one for albums, and their tracks are scored."""
        self.add_album_of("ai", "real")
        self.add_track("Single")

        lines = self.run_lines("artifactnet", "-a", "album:Album")

        assert summary(lines[-1]) == (2, 0, 1, 0, 0)
        assert self.rows(self.get("Single")) == {}
        assert self.get_album().ai_album_flagged == 1

    @pytest.mark.parametrize("where", ["option", "config"])
    def test_quiet_prints_the_summary_alone(self, where: str) -> None:
        """No line for a track with ``-q`` or ``quiet: yes``."""
        self.add_track("One")
        self.configure(quiet=where == "config")

        lines = self.run_lines("artifactnet", *(["-q"] if where == "option" else []))

        assert [summary(line) for line in lines] == [(1, 0, 1, 0, 0)]

    def test_control_characters_are_escaped(self) -> None:
        """A title cannot steer the terminal, and other scripts are shown as they are."""
        self.add_track("Red\x1b[31m\u202e Björk 東京", name="x.flac")

        pretended = self.run_lines("artifactnet", "-p")
        scored = self.run_lines("artifactnet")

        expected = r"Artist - Album - Red\x1b[31m\u202e Björk 東京"
        assert pretended[0] == expected
        assert scored[0].endswith(f"  {expected}")

    def test_a_track_without_a_title(self) -> None:
        """It is called by its file's name."""
        self.add_track("", name="no title.flac")
        assert self.run_lines("artifactnet", "-p")[0] == "Artist - Album - no title.flac"
        assert self.run_lines("artifactnet")[0].endswith("  Artist - Album - no title.flac")

    def test_failures_are_grouped(self, caplog: pytest.LogCaptureFixture) -> None:
        """A line a reason at the end, with an example, whatever the numbers in it."""
        self.add_track("Good")
        for number in range(3):
            path = self.lib_path / f"{number}.flac"
            samples = tone(0.1, 0.2 + number / 10, SAMPLE_RATE)
            self.add_file(encode(path, samples, SAMPLE_RATE), title=f"Short {number}")
        self.add_file(write_broken(self.lib_path / "broken.flac"))

        self.run_command("artifactnet")

        short, broken = said(caplog)
        assert short.startswith(f"warning: not scored: {self.lib_path}/")
        assert short.endswith(" s are needed, and 2 others like it")
        assert broken.startswith(f"warning: not scored: {self.lib_path}/broken.flac: ")
        assert "like it" not in broken

    def test_help(self) -> None:
        """It has the usage with a query, a description, examples, and the sisters."""
        with pytest.raises(SystemExit):
            self.run_command("artifactnet", "--help")
        text = self.io.getoutput()
        assert "artifactnet [options] [QUERY... | PATH...]" in text.splitlines()[0]
        assert "Score how likely tracks are AI-generated." in text
        assert text.count("\n  beet ai ") == 3
        assert "beet aimodel" in text
        assert "beet aibench" in text

    def test_a_line_a_minute(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there is no terminal, ``-v`` tells now and then how far a run is."""
        monkeypatch.setattr(Progress, "_EVERY_S", 0.0)
        self.add_track("One")
        self.add_track("Two", "real")
        self.config["verbose"] = 1
        with caplog.at_level("DEBUG", "beets.artifactnet"):
            self.run_command("artifactnet")
        lines = [r.getMessage() for r in caplog.records if " of 2 tracks, " in r.getMessage()]
        assert lines[0] == "0 of 2 tracks, unknown left"
        assert re.fullmatch(r"2 of 2 tracks, 0:00 left, 1 ai", lines[-1])

    def test_progress_is_for_terminals(self) -> None:
        """Nothing but lines goes to what is no terminal."""
        self.add_track("One")

        assert "\r" not in self.run_with_output("artifactnet")


class TestChoices(ArtifactNetHelper):
    def scored_at(self, title: str) -> float:
        return float(self.get(title).ai_scored)

    @pytest.mark.parametrize("where", ["option", "config"])
    def test_force_scores_again(self, where: str) -> None:
        """``-f`` or ``force: yes`` scores everything that the query finds."""
        self.add_track("One")
        self.run_command("artifactnet")
        before = self.scored_at("One")
        self.configure(force=where == "config")

        lines = self.run_lines("artifactnet", *(["-f"] if where == "option" else []))

        assert summary(lines[-1]) == (1, 0, 1, 0, 0)
        assert self.scored_at("One") > before

    def test_outdated_scores_changed_files(self) -> None:
        """A changed file is reported, and scored again with ``--outdated`` alone."""
        self.add_track("One", "ai")
        self.add_track("Two", "ai")
        self.run_command("artifactnet")
        before = self.scored_at("Two")
        write_track(Path(self.get("One").filepath), "real")

        reported = self.run_lines("artifactnet")
        lines = self.run_lines("artifactnet", "--outdated")

        assert reported == ["nothing to score: 2 tracks have a score, 1 outdated (--outdated)"]
        assert summary(lines[-1]) == (1, 1, 0, 0, 0)
        assert self.get("One").ai_verdict == "real"
        assert self.scored_at("Two") == before

    def test_outdated_scores_with_the_new_model(self) -> None:
        """After a change of the model old scores stay until they are asked to go."""
        self.add_track("One")
        self.run_command("artifactnet")
        folder = write_model(self.folder / "newer", version="2.0")
        self.configure(model=str(folder / "model.onnx"))

        reported = self.run_lines("artifactnet")
        kept = str(self.get("One").ai_model)
        self.run_command("artifactnet", "--outdated")

        assert reported == ["nothing to score: 1 track has a score, 1 outdated (--outdated)"]
        assert (kept, self.get("One").ai_model) == (MODEL, "loudness-2.0+4")

    def test_how_files_are_read(self, caplog: pytest.LogCaptureFixture) -> None:
        """With ``-v`` each file has a line: its decoder, and what was made of its channels."""
        self.add_track("One")
        with caplog.at_level("DEBUG", "beets.artifactnet"):
            self.run_command("artifactnet")
        (line,) = [r.getMessage() for r in caplog.records if "One.flac" in r.getMessage()]
        assert line.endswith("One.flac: libsndfile, mean of channels")

    def test_failures_are_not_tried_again(self, caplog: pytest.LogCaptureFixture) -> None:
        """A failure is warned of, remembered, and tried again with ``--retry-failed``."""
        self.add_track("One")
        path = write_broken(self.lib_path / "broken.flac")
        self.add_file(path)

        first = self.run_lines("artifactnet")
        reported = self.run_lines("artifactnet")
        write_track(path, "real")
        retried = self.run_lines("artifactnet", "--retry-failed")

        assert summary(first[-1]) == (1, 0, 1, 0, 1)
        (warning,) = said(caplog)
        assert warning.startswith(f"warning: not scored: {path}: ")
        assert reported == [
            "nothing to score: 1 track has a score, 1 failed before (--retry-failed)"
        ]
        assert summary(retried[-1]) == (1, 1, 0, 0, 0)
        assert self.rows(self.get("Broken")).keys() == SCORE_FIELDS

    def test_pretend_decodes_and_changes_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """``-p`` lists what would be scored; it does not even look into the files."""
        item = self.add_track("One")
        Path(item.filepath).write_bytes(b"no audio")

        lines = self.run_lines("artifactnet", "-p")

        assert lines == ["Artist - Album - One", "1 track would be scored"]
        assert self.rows(item) == {}
        assert said(caplog) == []

    def test_pretend_with_force(self) -> None:
        """``-p -f`` lists what ``-f`` would score, and notes nothing of a run."""
        self.add_track("One")
        self.run_command("artifactnet", "-q")

        lines = [self.run_lines("artifactnet", "-p", "-f") for _ in range(2)]

        assert lines == [["Artist - Album - One", "1 track would be scored"]] * 2
        assert summary(self.run_lines("artifactnet", "-f")[-1])[:2] == (1, 0)

    def test_pretend_decides_nothing_anew(self) -> None:
        """``-p`` leaves verdicts as they are, though thresholds have changed."""
        self.add_track("One", "ai")
        self.run_command("artifactnet")
        self.configure(ai_threshold=0.9)

        assert self.run_lines("artifactnet", "-p") == ["0 tracks would be scored"]

        assert self.get("One").ai_verdict == "ai"

    def test_every_number_of_threads_gives_the_same(self) -> None:
        """``-t`` changes how fast tracks are scored, not what they get."""
        for number in range(5):
            self.add_track(f"Track {number}", ["ai", "unsure", "real"][number % 3])
        self.run_command("artifactnet", "-t", "1")
        one = [item.ai_timeline for item in self.lib.items()]

        self.run_command("artifactnet", "-f", "-t", "4")

        assert [item.ai_timeline for item in self.lib.items()] == one

    def test_a_negative_number_of_threads_is_refused(self) -> None:
        """The error names the option, the value and what is allowed."""
        with pytest.raises(UserError, match="--threads is -1, it must be 0 or more"):
            self.run_command("artifactnet", "-t", "-1")

    @pytest.mark.parametrize(
        ("config", "option", "is_written"),
        [
            (False, None, False),
            (True, None, True),
            (False, "-w", True),
            (True, "-W", False),
        ],
    )
    def test_write(self, config: bool, option: str | None, is_written: bool) -> None:
        """Tags are written with ``-w`` or ``write: yes``, and never with ``-W``."""
        item = self.add_track("One")
        self.configure(write=config)

        self.run_command("artifactnet", *([option] if option else []))

        score = f"{self.get('One').ai_score:.4f}"
        expected = {"AI_SCORE": score, "AI_VERDICT": "ai"} if is_written else {}
        assert our_tags(Path(item.filepath)) == expected
        assert self.run_lines("artifactnet") == ["nothing to score: 1 track has a score"]

    def test_write_of_what_has_a_score(self) -> None:
        """``-w`` writes the tags of tracks that need no scoring, once, and they stay fresh."""
        items = [self.add_track("One"), self.add_track("Two"), self.add_track("Three")]
        self.run_command("artifactnet")
        Path(items[2].filepath).unlink()

        first = self.run_lines("artifactnet", "-w", "title:One")
        second = self.run_lines("artifactnet", "-w")
        third = self.run_lines("artifactnet", "-w")

        assert first == ["nothing to score: 1 track has a score, 1 written to tags"]
        assert second == ["nothing to score: 3 tracks have a score, 1 written to tags"]
        assert third == ["nothing to score: 3 tracks have a score"]
        for item in items[:2]:
            assert our_tags(Path(item.filepath))["AI_VERDICT"] == "ai"

    def test_what_changed_verdict_is_named(self) -> None:
        """Scored again, a track with another verdict is named with the old one, also real."""
        for number, verdict in enumerate(("ai", "real", "ai"), 1):
            self.add_track(f"Track {number}", verdict)
        self.run_command("artifactnet")
        write_track(Path(self.get("Track 1").filepath), "real")
        write_track(Path(self.get("Track 2").filepath), "unsure")

        *lines, last = self.run_lines("artifactnet", "--outdated")

        one, two = self.get("Track 1"), self.get("Track 2")
        assert sorted(lines) == [
            f"real   {one.ai_score:.4f}  Artist - Album - Track 1  (was ai)",
            f"unsure {two.ai_score:.4f}  Artist - Album - Track 2  (was real)",
        ]
        assert last.endswith(", 2 changed verdict")

    def test_songs_per_minute_count_no_failures(self) -> None:
        """A run whose files all fail scored none a minute."""
        self.add_file(write_broken(self.lib_path / "broken.flac"))
        with pytest.raises(UserError):
            self.run_command("artifactnet")
        assert "0 songs per minute" in self.io.getoutput()

    def test_a_returned_file_loses_its_error(self) -> None:
        """A file that was away and is back is scored, or keeps its score, without an error."""
        scored, unscored = self.add_track("Scored"), self.add_track("Unscored")
        self.run_command("artifactnet", "title:=Scored")
        away = [Path(item.filepath) for item in (scored, unscored)]
        for path in away:
            path.rename(path.with_suffix(".away"))
        with pytest.raises(UserError):
            self.run_command("artifactnet", "-f")
        assert {str(item.ai_error) for item in self.lib.items()} == {"missing: no such file"}
        for path in away:
            path.with_suffix(".away").rename(path)

        lines = self.run_lines("artifactnet")

        assert summary(lines[-1]) == (1, 1, 1, 0, 0)
        assert self.rows(scored).keys() == self.rows(unscored).keys() == SCORE_FIELDS

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"auto_ignore": "year:("}, "artifactnet.auto_ignore: "),
            ({"auto_ignore": "title:'unclosed"}, "artifactnet.auto_ignore: "),
            ({"executor": "dask://localhost:1"}, "no Dask scheduler answers at "),
        ],
    )
    def test_broken_options_are_noticed(
        self, options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also while nothing is due: not first at an import, days later."""
        pytest.importorskip("distributed")
        monkeypatch.setattr("beetsplug.artifactnet.workers.dask._CONNECT_S", 0.2)
        self.add_track("One")
        self.run_command("artifactnet")
        self.configure(**options)
        with pytest.raises(UserError, match=message):
            self.run_command("artifactnet")

    def test_one_writing_does_not_lead_to_another(self) -> None:
        """``-w`` holds for one run: what beets writes afterwards is as configured."""
        self.add_track("One")
        self.add_track("Two")
        self.run_command("artifactnet")
        self.run_command("artifactnet", "-f", "-w", "title:One")

        self.run_command("write", "-f")

        assert our_tags(Path(self.get("Two").filepath)) == {}


class TestFailures(ArtifactNetHelper):
    """What ends the command: one line, exit status 1, and beets works on."""

    def assert_one_line(self, *args: str) -> str:
        done = self.beet(*args)
        assert done.returncode == 1
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: artifactnet: ")
        return line.removeprefix("error: artifactnet: ")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"model": "unheard-of"}, "there is no model 'unheard-of': set `model:` to"),
            ({"segments": "many"}, "artifactnet.segments is 'many', it must be"),
        ],
    )
    def test_a_bad_configuration(self, options: dict[str, object], message: str) -> None:
        """The line says what to do; other commands do not mind."""
        self.add_track("One")
        self.configure(**options)
        self.write_config()

        assert self.assert_one_line("artifactnet").startswith(message)

        listed = self.beet("ls", "-f", "$title")
        assert (listed.returncode, listed.stdout) == (0, "One\n")

    def test_a_broken_model(self) -> None:
        """A model that is not what its card names is not run."""
        self.add_track("One")
        (self.model_folder / "model.onnx").write_bytes(b"no model")
        self.write_config()

        line = self.assert_one_line("artifactnet")

        assert line.startswith("model loudness-1.0: ")
        assert line.endswith("reinstall it")
        assert self.n_scored() == 0

    def test_every_file_failed(self, caplog: pytest.LogCaptureFixture) -> None:
        """The run ends with its summary and an error that gives the number."""
        self.add_file(write_broken(self.lib_path / "broken.flac"))

        with pytest.raises(UserError, match="the file could not be scored"):
            self.run_command("artifactnet")

        assert len(said(caplog)) == 1

    @pytest.mark.parametrize(
        "command",
        [("modify", "-y", "title=Two"), ("write", "-f"), ("ls",), ("move",), ("rm", "-f")],
        ids=" ".join,
    )
    @pytest.mark.parametrize(
        "section", [{"model": "unheard-of"}, {"segments": 0}, "no options"]
    )
    def test_a_bad_section_breaks_no_other_command(
        self, section: object, command: tuple[str, ...]
    ) -> None:
        """Every other command works on scored items whatever the section says."""
        self.add_album_of("ai")
        self.run_command("artifactnet")
        self.config["artifactnet"].set(section)

        self.run_command(*command)

        with pytest.raises(UserError):
            self.run_command("artifactnet")


CASES: dict[str, tuple[bytes | None, str]] = {
    "empty": (b"", "unreadable: "),
    "no audio": (b"<html>404</html>" * 100, "unreadable: "),
    "away": (None, "missing: no such file"),
}


class TestBadInput(ArtifactNetHelper):
    @pytest.mark.parametrize("case", CASES)
    def test_a_bad_file(self, case: str) -> None:
        """It has no score and an ``ai_error`` that says why; the run goes on."""
        data, error = CASES[case]
        bad = self.add_track("Bad")
        self.add_track("Good")
        Path(bad.filepath).unlink()
        if data is not None:
            Path(bad.filepath).write_bytes(data)

        lines = self.run_lines("artifactnet")

        assert summary(lines[-1]) == (1, 0, 1, 0, 1)
        assert self.rows(bad).keys() == {"ai_error"}
        assert self.get("Bad").ai_error.startswith(error)

    @pytest.mark.parametrize(
        ("level", "duration_s", "error"),
        [(0.1, 0.9, "too_short: "), (0.0, 2.0, "silent: ")],
    )
    def test_audio_without_evidence(self, level: float, duration_s: float, error: str) -> None:
        """What is too short or silent has no score rather than one of 0."""
        path = encode(
            self.lib_path / "x.flac", tone(level, duration_s, SAMPLE_RATE), SAMPLE_RATE
        )
        item = self.add_file(path, title="Bad")
        self.add_track("Good")

        self.run_command("artifactnet")

        assert self.rows(item).keys() == {"ai_error"}
        assert self.get("Bad").ai_error.startswith(error)

    @pytest.mark.parametrize("name", ["日本.flac", "a'b\"c.flac", b"\xff\xfe.flac"])
    def test_names_of_files(self, name: str | bytes) -> None:
        """Names in any script, and such that are no text at all, are scored."""
        source = write_track(self.folder / "source.flac")
        path = self.lib_path / os.fsdecode(name)
        path.write_bytes(source.read_bytes())
        item = self.add_file(path)

        self.run_command("artifactnet")

        assert self.rows(item).keys() == SCORE_FIELDS

    def test_a_suno_comment_is_provenance(self) -> None:
        """What a file says of itself decides the verdict, and has no part in the score."""
        path = write_track(self.lib_path / "x.flac", "real", comments=SUNO_COMMENT)
        self.add_file(path, title="Song")

        self.run_command("artifactnet")

        item = self.get("Song")
        assert (item.ai_provenance, item.ai_verdict) == ("suno:comment", "ai")
        assert item.ai_score == pytest.approx(SCORES["real"], abs=ROUNDING)


class TestQueries(ArtifactNetHelper):
    def setup_beets(self) -> None:
        super().setup_beets()
        self.add_album_of("ai", "unsure", "real")
        self.run_command("artifactnet")
        self.add_track("Unscored")

    def titles(self, *query: str) -> list[str]:
        return self.run_lines("ls", "-f", "$title", *query)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (["ai_score:0.7.."], ["Track 1"]),
            (["ai_score:..0.3"], ["Track 3"]),
            (["ai_score:0.3..0.5"], ["Track 2"]),
            (["ai_verdict:ai"], ["Track 1"]),
            (["ai_verdict:real"], ["Track 3"]),
            (["ai_share:1"], ["Track 1"]),
            (["^ai_score:.."], ["Unscored"]),
            (["ai_score:..", "ai_score-"], ["Track 1", "Track 2", "Track 3"]),
            (["ai_score+"], ["Track 3", "Track 2", "Track 1", "Unscored"]),
            (["ai_scored:2020.."], ["Track 1", "Track 2", "Track 3"]),
            ([f"ai_model:={MODEL}"], ["Track 1", "Track 2", "Track 3"]),
        ],
        ids=" ".join,
    )
    def test_queries(self, query: list[str], expected: list[str]) -> None:
        """Ranges, words and sorting work, with unscored tracks in the library."""
        found = self.titles(*query)

        assert (found if "ai_score" in query[-1] else sorted(found)) == expected

    def test_verdicts_sorted_by_score(self) -> None:
        """The most suspect track comes first."""
        path = self.lib_path / "loudest.flac"
        self.add_file(encode(path, tone(0.09, 2.0, SAMPLE_RATE), SAMPLE_RATE), title="Loudest")
        self.run_command("artifactnet")

        assert self.titles("ai_verdict:ai", "ai_score-")[0] == "Loudest"

    @pytest.mark.parametrize(
        ("query", "n_albums"),
        [
            ("ai_album_flagged:1..", 1),
            ("ai_album_flagged:2..", 0),
            ("ai_album_score:0.3..0.5", 1),
            ("^ai_album_score:..", 1),
        ],
    )
    def test_album_queries(self, query: str, n_albums: int) -> None:
        """Albums are found by their number of flagged tracks and their score."""
        self.lib.add_album([self.get("Unscored")])

        assert len(self.run_lines("ls", "-a", query)) == n_albums

    def test_formats(self) -> None:
        """Scores have four digits in formats; of the unscored they are empty."""
        template = "$title %if{$ai_score,$ai_score $ai_verdict,none}"

        lines = self.run_lines("ls", "-f", template, "title+")

        scores = [f"{self.get(f'Track {n}').ai_score:.4f}" for n in (1, 2, 3)]
        assert lines == [
            f"Track 1 {scores[0]} ai",
            f"Track 2 {scores[1]} unsure",
            f"Track 3 {scores[2]} real",
            "Unscored none",
        ]

    def test_fields_are_listed(self) -> None:
        """``beet fields`` shows what there is to query."""
        lines = [line.strip() for line in self.run_lines("fields")]

        assert {"ai_score", "ai_verdict", "ai_album_flagged"} <= set(lines)

    def test_a_smart_playlist_of_suspects(self) -> None:
        """``beet splupdate`` writes the flagged tracks into a playlist, the new one too."""
        self.config["smartplaylist"].set(
            {
                "playlist_dir": str(self.folder),
                "relative_to": str(self.lib_path),
                "playlists": [{"name": "suspects.m3u", "query": "ai_verdict:ai"}],
            }
        )
        self.register_plugin(SmartPlaylistPlugin)
        self.add_track("Suspect", "ai")

        self.run_command("artifactnet", "title:Suspect")
        # By itself, on a change of the database, beets 2.14.1 updates no playlist.
        self.run_command("splupdate")

        playlist = (self.folder / "suspects.m3u").read_text(encoding="utf-8")
        assert sorted(playlist.split("\n")) == ["", "Suspect.flac", "Track 1.flac"]

    def test_a_removed_track_counts_no_more(self) -> None:
        """Removing a flagged track updates its album."""
        self.run_command("remove", "-f", "title:Track 1")

        album = self.get_album()
        assert album.ai_album_flagged == 0
        middle = (SCORES["unsure"] + SCORES["real"]) / 2
        assert album.ai_album_score == pytest.approx(middle, abs=ROUNDING)

    def test_a_removed_album_is_gone(self) -> None:
        """Removing all tracks of an album, or the album, leaves nothing behind."""
        self.run_command("remove", "-f", "-a")

        assert len(self.lib.albums()) == 0
        assert self.titles() == ["Unscored"]


class TestVerdicts(ArtifactNetHelper):
    def setup_beets(self) -> None:
        super().setup_beets()
        self.add_album_of("ai", "unsure", "real")
        self.run_command("artifactnet")

    def verdicts(self) -> list[str]:
        return [str(self.get(f"Track {n}").ai_verdict) for n in (1, 2, 3)]

    def n_flagged(self) -> int:
        return int(self.get_album().ai_album_flagged)

    def test_an_override_decides_at_once(self) -> None:
        """``beet modify ai_override=...`` changes verdict and album, and back again."""
        self.run_command("modify", "-y", "ai_override=real", "title:Track 1")
        overridden = (self.verdicts(), self.n_flagged())

        self.run_command("modify", "-y", "ai_override!", "title:Track 1")

        assert overridden == (["real", "unsure", "real"], 0)
        assert (self.verdicts(), self.n_flagged()) == (["ai", "unsure", "real"], 1)

    def test_an_override_outlives_scoring(self) -> None:
        """Scoring again gives a new score and leaves the user's word alone."""
        self.run_command("modify", "-y", "ai_override=ai", "title:Track 3")

        self.run_command("artifactnet", "-f")

        item = self.get("Track 3")
        assert (item.ai_override, item.ai_verdict) == ("ai", "ai")
        assert item.ai_score == pytest.approx(SCORES["real"], abs=ROUNDING)
        assert self.n_flagged() == 2

    def test_an_override_of_an_album(self) -> None:
        """``beet modify -a`` decides for all tracks of an album."""
        self.run_command("modify", "-y", "-a", "ai_override=ai")

        assert (self.verdicts(), self.n_flagged()) == (["ai", "ai", "ai"], 3)

    def test_an_unscored_track_can_be_overridden(self) -> None:
        """The user's word needs no score, and its removal leaves none."""
        item = self.add_track("Unscored")

        self.run_command("modify", "-y", "ai_override=ai", "title:Unscored")
        overridden = str(self.get("Unscored").ai_verdict)
        self.run_command("modify", "-y", "ai_override!", "title:Unscored")

        assert overridden == "ai"
        assert self.rows(item) == {}

    def test_changed_thresholds_need_no_audio(self) -> None:
        """Verdicts and albums follow the options, with the audio files gone."""
        for item in self.lib.items():
            Path(item.filepath).unlink()
        before = [item.ai_score for item in self.lib.items()]
        self.configure(ai_threshold=0.35)

        lines = self.run_lines("artifactnet")

        score = self.get("Track 2").ai_score
        assert lines == [
            f"ai     {score:.4f}  Artist - Album - Track 2  (was unsure)",
            "nothing to score: 3 tracks have a score, 1 changed verdict, "
            "thresholds: ai 0.35 (config), unsure 0.3 (model card)",
        ]
        assert (self.verdicts(), self.n_flagged()) == (["ai", "ai", "real"], 2)
        assert [item.ai_score for item in self.lib.items()] == before
        assert self.get("Track 2").ai_share == 1.0

    def test_a_spoilt_timeline_does_not_stop_the_command(self) -> None:
        """Somebody's edit of a field is no reason for a traceback."""
        item = self.get("Track 1")
        item["ai_timeline"] = "garbage"
        item.store()
        self.configure(ai_threshold=0.95, unsure_threshold=0.9)

        lines = self.run_lines("artifactnet")

        assert lines[-1] == (
            "nothing to score: 3 tracks have a score, 2 changed verdict, "
            "thresholds: ai 0.95 (config), unsure 0.9 (config)"
        )
        assert self.verdicts() == ["real", "real", "real"]


class TestProcess(ArtifactNetHelper):
    """A process of its own: exit status, pipes, a terminal, Ctrl-C."""

    N_TRACKS = 6

    def add_tracks(self) -> None:
        for number in range(self.N_TRACKS):
            self.add_track(f"Track {number}")

    def test_a_pipe_gets_no_progress(self) -> None:
        """A run whose output is no terminal prints lines alone, and ends with 0."""
        self.add_tracks()
        self.write_config()

        done = self.beet("artifactnet")

        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == self.N_TRACKS + 1
        assert "\r" not in done.stdout

    @pytest.mark.slow
    def test_all_failed_and_bad_option_exit_with_1(self) -> None:
        """What went wrong altogether is seen by the calling script."""
        self.add_file(write_broken(self.lib_path / "broken.flac"))
        self.write_config()

        failed = self.beet("artifactnet")
        refused = self.beet("artifactnet", "-t", "-1")

        assert failed.returncode == refused.returncode == 1
        assert failed.stderr.splitlines()[-1] == (
            "error: artifactnet: the file could not be scored"
        )
        assert summary(failed.stdout.strip()) == (0, 0, 0, 0, 1)
        assert refused.stderr == ("error: artifactnet: --threads is -1, it must be 0 or more\n")

    @pytest.mark.parametrize("columns", [0, 30, 120])
    @pytest.mark.slow
    def test_a_terminal_gets_progress(self, columns: int) -> None:
        """A bar shows what is done and flagged and how long the rest takes, and goes."""
        pty = pytest.importorskip("pty")
        termios = pytest.importorskip("termios")
        self.add_tracks()
        # So that the bar has time to move.
        slow_down(self.model_folder, 600)
        self.write_config()
        leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, columns))

        process = self.start_beet(
            "artifactnet", stdin=follower, stdout=follower, stderr=follower
        )
        os.close(follower)
        shown = b""
        while part := _read(leader):
            shown += part
        os.close(leader)

        assert process.wait(timeout=30) == 0
        text = shown.decode()
        bars = re.findall(r"\rscoring[^\r\n]*", text)
        assert bars[0].startswith("\rscoring   0%|")
        assert max(map(len, bars)) <= (columns or 80) + 1
        if columns > 80:
            assert re.search(r" [1-6]/6 \[.* left, .* (tracks/s|s/track), \d ai\]", text)
        # The last one is blanked out before the summary.
        assert SUMMARY.search(text.splitlines()[-1].rpartition("\r")[2])
        lines = [line.rpartition("\r")[2] for line in text.splitlines()]
        assert sum("Artist - Album - Track" in line for line in lines) == self.N_TRACKS

    @pytest.mark.slow
    def test_ctrl_c_keeps_what_is_done(self) -> None:
        """The run ends with 130 within seconds; a second one scores the rest."""
        quick = str(self.model_folder / "model.onnx")
        slow = write_model(self.folder / "slow")
        slow_down(slow)
        self.add_tracks()
        self.configure(model=str(slow / "model.onnx"), threads=1, segments=2)
        self.write_config()
        process = self.start_beet("artifactnet")
        assert process.stdout is not None
        first = process.stdout.readline()

        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        output, errors = process.communicate(timeout=30)

        assert first.startswith("ai ")
        assert time.monotonic() - sent < 10
        assert (process.returncode, errors) == (130, "")
        n_done = self.n_scored()
        assert 1 <= n_done < self.N_TRACKS
        interrupted = output.splitlines()[-1]
        assert interrupted.startswith("interrupted: ")
        assert summary(interrupted.removeprefix("interrupted: "))[0] == n_done
        self.configure(model=quick)
        rest = self.run_lines("artifactnet")
        assert summary(rest[-1])[:2] == (self.N_TRACKS - n_done, n_done)

    @pytest.mark.slow
    def test_an_interrupted_force_goes_on(self) -> None:
        """A second ``-f`` scores the rest; a third one begins anew."""
        self.add_tracks()
        self.run_command("artifactnet", "-q")
        quick = str(self.model_folder / "model.onnx")
        slow = write_model(self.folder / "slow")
        slow_down(slow)
        self.configure(model=str(slow / "model.onnx"), threads=1, segments=2)
        self.write_config()
        process = self.start_beet("artifactnet", "-f")
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        n_done = summary(output.splitlines()[-1].removeprefix("interrupted: "))[0]
        self.configure(model=quick)
        self.write_config()
        pretended = self.beet("artifactnet", "-f", "-p").stdout.splitlines()

        second, third = (self.beet("artifactnet", "-f") for _ in range(2))

        assert 1 <= n_done < self.N_TRACKS
        assert len(pretended) == self.N_TRACKS - n_done + 1
        assert "going on with --force where it was interrupted" in second.stderr
        assert summary(second.stdout.splitlines()[-1])[:2] == (self.N_TRACKS - n_done, n_done)
        assert third.stderr == ""
        assert summary(third.stdout.splitlines()[-1])[:2] == (self.N_TRACKS, 0)

    def test_another_force_does_not_go_on(self) -> None:
        """What was interrupted was another query's: this one begins at its beginning."""
        self.add_tracks()
        self.run_command("artifactnet", "-q")
        forced.begin(
            self.folder / "artifactnet" / "forced.json",
            {"library": str(self.lib.path), "query": ["x"], "album": False, "model": MODEL},
        )
        assert summary(self.run_lines("artifactnet", "-f")[-1])[:2] == (self.N_TRACKS, 0)

    @pytest.mark.slow
    def test_two_at_once(self) -> None:
        """Two runs on one library share the work: what the other has stored is left out."""
        slow_down(self.model_folder, 1_000)
        n_tracks = 14
        for number in range(n_tracks):
            self.add_track(f"Track {number}")
        self.configure(threads=1, segments=2)
        self.write_config()

        runs = [self.start_beet("artifactnet") for _ in range(2)]
        outputs = [run.communicate(timeout=90) for run in runs]

        assert [run.returncode for run in runs] == [0, 0]
        assert [errors for _, errors in outputs] == ["", ""]
        lasts = [output.splitlines()[-1] for output, _ in outputs]
        scored = [summary(last)[0] for last in lasts]
        assert sum(scored) == self.n_scored() == n_tracks
        passed_over = re.findall(r"(\d+) scored by another run meanwhile", " ".join(lasts))
        assert sum(map(int, passed_over)) == n_tracks
        assert all(scored)

    @pytest.mark.slow
    def test_a_track_that_was_removed_meanwhile(self) -> None:
        """A run goes on when another process removes a track that it has yet to score."""
        slow_down(self.model_folder)
        self.add_tracks()
        self.configure(threads=1, segments=2)
        self.write_config()
        process = self.start_beet("artifactnet")
        assert process.stdout is not None
        process.stdout.readline()

        self.get(f"Track {self.N_TRACKS - 1}").remove()
        output, errors = process.communicate(timeout=60)

        assert (process.returncode, errors) == (0, "")
        assert summary(output.splitlines()[-1])[0] == self.N_TRACKS - 1
        assert len(self.lib.items()) == self.n_scored() == self.N_TRACKS - 1


def _read(descriptor: int) -> bytes:
    """Return what a terminal shows next, nothing once its program has ended."""
    try:
        return os.read(descriptor, 4096)
    except OSError:  # how Linux says it
        return b""
