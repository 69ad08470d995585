"""``beet ai --explain``: what it prints of tracks and of files, and that it changes nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beets.exceptions import UserError

from beetsplug.artifactnet import library
from beetsplug.artifactnet.library import Field
from tests.support.audio_files import encode
from tests.support.beets_library import (
    LABEL,
    ArtifactNetHelper,
    our_tags,
    write_broken,
    write_track,
)
from tests.support.onnx_models import SAMPLE_RATE, write_song_model

TODAY = time.strftime("%Y-%m-%d")
SUNO = "made with suno; created=2025-05-01T00:00:00Z; id=0123abcd-4567-89ab-cdef-0123456789ab"


class TestTracks(ArtifactNetHelper):
    def explain(self, *args: str) -> list[str]:
        return [line.strip() for line in self.run_lines("ai", "--explain", *args)]

    def test_a_scored_track(self) -> None:
        """Verdict and track, then a sentence a line, then its history."""
        self.add_track("One", "ai", original_year=1994)
        self.run_command("artifactnet", "-q")
        before = self.rows(self.get("One"))
        first, score, year, history = self.explain("title:One")
        assert first == "ai     0.7999  Artist - Album - One"
        assert score.startswith("for ai: the song's score 0.80 reaches the threshold 0.5")
        assert year == "for a human: first released 1994, before 2023"
        assert history.startswith(f"{TODAY} ")
        assert history.endswith(f"  ai 0.7999 by {LABEL} (scored)")
        assert self.rows(self.get("One")) == before

    def test_a_word_of_the_user(self) -> None:
        """It comes first, with its date and note; the history has the change."""
        self.add_track("One", "ai")
        self.run_command("artifactnet", "-q")
        note = "ai_override_note=my demo"
        self.run_command("modify", "-y", "title:One", "ai_override=human", note)
        lines = self.explain("title:One")
        assert lines[1] == f"for a human: your own word: human, since {TODAY}: my demo"
        assert lines[-1].endswith(
            f"  real 0.7999 by {LABEL}, before ai 0.7999 by {LABEL} (your own word)"
        )

    def test_tracks_without_a_score(self) -> None:
        """An unscored one is told how to be scored, and nothing is scored."""
        self.add_track("New", "ai")
        self.add_file(write_broken(self.lib_path / "broken.flac"), title="Broken")
        with pytest.raises(UserError, match="could not be scored"):
            self.run_command("artifactnet", "-q", "title:Broken")
        new = self.get("New")
        assert self.explain("title:New") == [
            "-              Artist - Album - New",
            f"it is not scored yet (beet ai id:{new.id})",
        ]
        _, error, history = self.explain("title:Broken")
        assert error.startswith("it could not be scored: unreadable (")
        assert history.endswith("  no verdict (could not be scored)")
        assert self.n_scored() == 0

    def test_the_numbers(self) -> None:
        self.add_track("One", "ai")
        self.run_command("artifactnet", "-q")
        assert not any(line.startswith("model ") for line in self.explain())
        numbers = self.explain("--numbers")
        assert "score 0.7999, thresholds: ai 0.5, unsure 0.3" in numbers
        assert any(line.startswith(f"model {LABEL}") for line in numbers)

    def test_quiet_is_a_line_a_track(self) -> None:
        self.add_track("One", "ai")
        self.add_track("Two", "real")
        self.run_command("artifactnet", "-q")
        one, two = self.explain("-q")
        assert one.startswith(
            "ai     0.7999  Artist - Album - One: the song's score 0.80 reaches"
        )
        assert two.startswith(
            "real   0.1001  Artist - Album - Two: the song's score 0.10 is below"
        )

    def test_json(self) -> None:
        """The explanation beside the fields; numbers where they are asked for."""
        self.add_track("One", "ai")
        self.run_command("artifactnet", "-q")
        for more in ([], ["--numbers"]):
            (line,) = self.run_lines("ai", "--explain", "--json", *more)
            values: dict[str, Any] = json.loads(line)
            assert values["verdict"] == "ai"
            assert values["explanation"][0]["speaks_for"] == "ai"
            (change,) = values["history"]
            assert (change["cause"], change["verdict"]) == ("scored", "ai")
            assert ("numbers" in values) == bool(more)

    def test_an_album(self) -> None:
        self.add_album_of("ai", "real")
        self.run_command("artifactnet", "-q")
        heads = [line for line in self.explain("-a", "album:Album") if "Track " in line]
        assert [head.split()[0] for head in heads] == ["ai", "real"]

    def test_hostile_texts_stay_on_their_line(self) -> None:
        """Titles, notes and fields cannot steer the terminal."""
        self.add_track("One", "ai")
        self.run_command("artifactnet", "-q")
        item = self.get("One")
        item["title"] = "a\x1b[2Jb\nc"
        item["ai_override"] = "real"
        item["ai_override_note"] = "n\x1b]0;x\x07\nai 1.0"
        item["ai_evidence"] = "\x1b[2J"
        item.store()
        output = self.run_with_output("ai", "--explain")
        assert "\x1b" not in output
        assert "\x07" not in output
        assert "a\\x1b[2Jb\\nc" in output

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["--numbers"], "--numbers goes with --explain"),
            (["--explain", "-f"], "goes with -a, -q"),
            (["--explain", "--outdated"], "goes with -a, -q"),
            (["--explain", "--retry-failed"], "goes with -a, -q"),
            (["--explain", "-p"], "goes with -a, -q"),
            (["--explain", "-w"], "goes with -a, -q"),
            (["--explain", "--declared-only"], "goes with -a, -q"),
            (["--explain", "artist:Nobody"], "no track matches artist:Nobody"),
        ],
    )
    def test_what_does_not_go_together(self, args: list[str], message: str) -> None:
        with pytest.raises(UserError, match=message):
            self.run_command("ai", *args)


class TestPaths(ArtifactNetHelper):
    def test_a_file_outside_the_library(self) -> None:
        """It is scored and explained, and nothing of it is stored or written."""
        path = write_track(self.folder / "x.flac", comments=SUNO, original_year=2001)
        before = path.read_bytes()
        lines = [line.strip() for line in self.run_lines("ai", "--explain", str(path))]
        assert lines[0] == f"ai     0.7999  {path}"
        assert lines[1] == "for ai: the file declares: Suno (its comment)"
        assert lines[2].startswith("for ai: the song's score 0.80 reaches the threshold 0.5")
        assert lines[3] == "for a human: first released 2001, before 2023"
        assert lines[4].startswith("1 scored, none stored")
        assert len(self.lib.items()) == 0
        assert (path.read_bytes(), our_tags(path)) == (before, {})

    def test_a_track_of_the_library(self) -> None:
        """It is explained from what is stored, and is not scored."""
        item = self.add_track("One", "ai")
        first, unscored = self.run_lines("ai", "--explain", str(item.filepath))
        assert first.endswith("Artist - Album - One")
        assert "not scored yet" in unscored
        assert self.n_scored() == 0

    def test_a_broken_file(self) -> None:
        write_track(self.folder / "out" / "a.flac", "real")
        path = write_broken(self.folder / "out" / "b.flac")
        lines = [line.strip() for line in self.run_lines("ai", "--explain", str(path.parent))]
        assert f"-              {path}" in lines
        assert any(line.startswith("it could not be scored: unreadable (") for line in lines)

    def test_a_quiet_file(self) -> None:
        """It has its line, with the option `quiet` as well."""
        path = write_track(self.folder / "x.flac")
        line, _ = self.run_lines("ai", "--explain", "-q", str(path))
        assert line.startswith(f"ai     0.7999  {path}: the song's score 0.80 reaches")
        self.configure(quiet=True)
        assert len(self.run_lines("ai", "--explain", str(path))) == 3

    def test_json_of_a_file(self) -> None:
        path = write_track(self.folder / "x.flac")
        (line,) = self.run_lines("ai", "--explain", "--json", str(path))
        values = json.loads(line)
        assert (values["id"], values["history"]) == (None, [])
        assert values["explanation"][0]["speaks_for"] == "ai"


class TestCombs(ArtifactNetHelper):
    """A model that gives its lines, from the file to the sentence."""

    def setup_beets(self) -> None:
        super().setup_beets()
        folder = write_song_model(
            self.folder / "song", has_lines=True, is_telling=True, max_segments=7
        )
        self.configure(model=str(folder / "model.onnx"))

    def write(self, name: str, spacing_hz: float) -> Path:
        samples = np.random.default_rng(0).normal(0, 0.05, 8 * SAMPLE_RATE)
        seconds = np.arange(len(samples)) / SAMPLE_RATE
        for hz in np.arange(spacing_hz, 3_900, spacing_hz) if spacing_hz else ():
            samples += 0.004 * np.cos(2 * np.pi * hz * seconds + hz)
        path = self.lib_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path, samples[:, None].astype(np.float32), SAMPLE_RATE)
        return path

    def test_it_is_stored_and_told(self) -> None:
        """The sentence names the spacing that the file has, and where there is none, that."""
        self.add_file(self.write("comb.flac", 86.13), title="Comb")
        self.add_file(self.write("noise.flac", 0.0), title="Noise")
        self.run_command("artifactnet", "-q")
        evidence = str(self.get("Comb").ai_evidence)
        assert evidence.startswith("comb 86.1")
        assert "; mean 0.0" in evidence
        assert str(self.get("Noise").ai_evidence).startswith("no comb; ")
        (comb,) = library.parse_evidence(evidence).combs or ()
        assert comb.spacing_hz == pytest.approx(86.13, abs=0.05)
        lines = self.run_lines("ai", "--explain", "title:Comb")
        assert "    for ai: a comb of lines 86.1 Hz apart in 7 of 7 segments" in lines
        lines = self.run_lines("ai", "--explain", "title:Noise")
        assert "    no comb of lines at equal distances stands out" in lines

    def test_it_goes_with_the_score(self) -> None:
        """A failure, and a model without evidence, leave none behind."""
        path = self.write("comb.flac", 86.13)
        self.add_file(path, title="Comb")
        self.run_command("artifactnet", "-q")
        assert Field.EVIDENCE in self.rows(self.get("Comb"))
        self.configure(model=str(self.model_folder / "model.onnx"))
        self.run_command("artifactnet", "-q", "--outdated")
        rows = self.rows(self.get("Comb"))
        assert Field.SCORE in rows
        assert Field.EVIDENCE not in rows


class TestDamagedFields(ArtifactNetHelper):
    """What somebody wrote into the database by hand."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.item = self.add_track("One", "ai")
        self.run_command("artifactnet", "-q")

    def damage(self, name: str, value: str | float) -> None:
        with self.lib.transaction() as transaction:
            transaction.mutate(
                "UPDATE item_attributes SET value = ? WHERE entity_id = ? AND key = ?",
                (value, self.item.id, name),
            )

    @pytest.mark.parametrize("value", [float("inf"), float("-inf"), "nan", "1e999", "x"])
    def test_a_score_that_is_no_number(self, value: str | float) -> None:
        """It is none, for people and for programs: JSON knows neither NaN nor infinity."""
        self.damage(Field.SCORE, value)
        assert any(line.strip().startswith("it is not scored yet") for line in self.explain())
        for command in (["ai", "--explain", "--json"], ["aireport", "--format", "json"]):
            (track,) = json.loads(
                "[" + self.run_with_output(*command).strip().strip("[]") + "]",
                parse_constant=pytest.fail,
            )
            assert track["score"] is None

    @pytest.mark.parametrize("value", [float("inf"), "1e300", 253_402_300_800.0, -5.0])
    def test_a_time_that_is_none(self, value: str | float) -> None:
        """The track can be stored, and its history has what changes from now on."""
        self.damage(Field.SCORED, value)
        self.damage(Field.HISTORY, "")
        assert self.run_lines("ls", "-f", "<$ai_scored>", "ai_scored:2020..") == []
        assert self.run_lines("ls", "-f", "<$ai_scored>") == ["<>"]
        self.run_command("modify", "-y", "title:One", "ai_override=human")
        assert self.explain()[-1].strip().startswith(f"{TODAY} ")

    def test_a_segment_that_begins_beyond_all_numbers(self) -> None:
        """Such a timeline is none."""
        self.damage(Field.TIMELINE, f"{'9' * 400}.0:0.5")
        assert "score 0.7999" in self.run_with_output("ai", "--explain", "--numbers")

    def test_a_history_at_the_end_of_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """East of Greenwich its last day lies beyond the last year."""
        self.damage(Field.HISTORY, "9999-12-31T23:59:59Z real 0.1000 override m")
        monkeypatch.setenv("TZ", "JST-9")
        time.tzset()
        try:
            lines = self.explain()
            page = self.folder / "page.html"
            self.run_command("aireport", "-q", "--since", "1970", "-o", str(page))
        finally:
            monkeypatch.undo()
            time.tzset()
        assert any(line.strip().startswith("?  real") for line in lines)
        assert "your own word" in page.read_text(encoding="utf-8")

    def explain(self) -> list[str]:
        return self.run_lines("ai", "--explain")
