"""``beet aireport``: what the page, CSV and JSON of a library hold, and where they go."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import soundfile
from beets.exceptions import UserError
from beets.library import Item

from beetsplug.artifactnet.commands.output import JSON_FIELDS
from beetsplug.artifactnet.report.tracks import COLUMNS
from tests.support.audio_files import encode, tone
from tests.support.beets_library import LABEL, ArtifactNetHelper
from tests.support.onnx_models import LEVELS, write_model, write_song_model

HOSTILE = '<script>alert(1)</script> ; "x"\n,=1+1'


class ReportHelper(ArtifactNetHelper):
    """A library, and the report of it."""

    @property
    def page(self) -> Path:
        return self.folder / "out" / "report.html"

    def report(self, *args: str) -> str:
        """Write a page and return it."""
        (line,) = self.run_lines("aireport", "-o", str(self.page), *args)
        assert line.startswith(f"report: {self.page} (")
        return self.page.read_text(encoding="utf-8")

    def rows_of(self, kind: str, *args: str) -> list[dict[str, Any]]:
        """Return the tracks that a format has."""
        text = self.run_with_output("aireport", "--format", kind, *args)
        return json.loads(text) if kind == "json" else [*csv.DictReader(io.StringIO(text))]

    def fails(self, *args: str) -> str:
        with pytest.raises(UserError) as caught:
            self.run_command("aireport", *args)
        message = str(caught.value)
        assert "\n" not in message
        return message

    def add_scored(self, *verdicts: str) -> None:
        for number, verdict in enumerate(verdicts, 1):
            self.add_track(f"Track {number}", verdict)
        self.run_command("ai", "-q")


def test_no_field_is_forgotten() -> None:
    """CSV and JSON have all that ``beet ai --json`` has of a stored track."""
    assert set(JSON_FIELDS) <= set(COLUMNS)


def details(page: str) -> list[str]:
    """Return what a page shows below the rows of suspects, in order."""
    return re.findall(r'<tr role="row" class="detail">(.*?)</tr>', page, re.DOTALL)


class TestTracks(ReportHelper):
    """Which tracks are in it, and what is said of them."""

    def test_a_page(self) -> None:
        """Counts, a row a track with suspects first, and details of suspects alone."""
        self.add_scored("real", "ai", "unsure")
        page = self.report()
        for verdict in ("ai", "unsure", "real"):
            assert f'<li class="{verdict}"><b>1</b> {verdict}</li>' in page
        assert re.findall(r">(Track \d)<", page) == ["Track 2", "Track 3", "Track 1"]
        ai, unsure = details(page)
        assert "the song's score 0.80 reaches the threshold 0.5" in html.unescape(ai)
        assert self.get("Track 2").filepath.as_uri() in ai
        assert self.get("Track 3").filepath.as_uri() in unsure

    @pytest.mark.parametrize("kind", ["csv", "json"])
    def test_rows_for_programs(self, kind: str) -> None:
        """The same tracks, in the library's order; empty where there is no score."""
        self.add_scored("real", "ai")
        new = self.add_track("New")
        new.artist = HOSTILE
        new.store()
        real, ai, unscored = self.rows_of(kind)
        assert [row["title"] for row in (real, ai, unscored)] == ["Track 1", "Track 2", "New"]
        assert float(ai["score"]) == pytest.approx(0.8, abs=0.001)
        assert ai["verdict"] == "ai"
        assert unscored["artist"] == HOSTILE
        for name in ("score", "verdict", "model", "share"):
            assert unscored[name] == ("" if kind == "csv" else None)
        timeline = {"csv": "0.0:0.", "json": [[0.0, pytest.approx(0.8, abs=0.001)]]}
        assert ai["timeline"][: len(timeline[kind])] == timeline[kind]
        assert "reaches the threshold" in str(ai["explanation"])

    @pytest.mark.parametrize(
        "name", ["title", "spotify_artist_id", "ai_evidence", "ai_history"]
    )
    def test_values_that_are_no_text(self, name: str) -> None:
        """What another program wrote in another encoding stops nothing, and is replaced."""
        self.add_scored("ai")
        with closing(sqlite3.connect(os.fsdecode(self.lib.path))) as database, database:
            if name == "title":
                database.execute("UPDATE items SET title = CAST(x'41ff42' AS TEXT)")
            else:
                database.execute(
                    "INSERT INTO item_attributes (entity_id, key, value)"
                    " VALUES (1, ?, CAST(x'41ff42' AS TEXT))",
                    (name,),
                )
        (row,) = self.rows_of("csv")
        assert row["title"] == ("A\ufffdB" if name == "title" else "Track 1")
        assert row["verdict"] == "ai"
        assert "<b>1</b> ai</li>" in self.report("--since", "2020")
        assert '"verdict": "ai"' in self.run_with_output("ai", "--json")

    def test_a_query(self) -> None:
        """It chooses the tracks, for albums too; one that finds nothing is an error."""
        self.add_album_of("ai", "real")
        self.add_track("Single")
        assert len(self.rows_of("json", "title:Single")) == 1
        assert len(self.rows_of("json", "-a", "album:Album")) == 2
        assert self.fails("title:none") == "artifactnet: no track matches title:none"
        assert self.fails("-a", "none") == "artifactnet: no album matches none"

    def test_an_empty_library(self) -> None:
        assert self.fails() == "artifactnet: the library has no tracks"

    def test_nothing_is_scored(self) -> None:
        """The page says so, and so does the line that names it."""
        self.add_track("New")
        (line,) = self.run_lines("aireport", "-o", str(self.page))
        assert line.endswith("(1 track, 0 ai, 0 unsure, 1 not scored (beet ai))")
        assert "<b>1</b> not scored yet" in self.page.read_text(encoding="utf-8")

    def test_what_failed_and_what_decides(self) -> None:
        """Errors, the user's word and its note are shown, and counted."""
        self.add_scored("ai")
        broken = self.lib_path / "broken.flac"
        broken.touch()
        self.add_track("Fine", "real")
        Item(path=str(broken).encode(), title="Broken").add(self.lib)
        self.run_command("ai", "-q")
        self.run_command("modify", "-y", "ai_override=ai", "ai_override_note=heard", "Track 1")
        page = self.report()
        assert "<b>1</b> could not be scored" in page
        assert "<b>1</b> by your own word" in page
        assert "unreadable: empty file" in page
        (detail,) = details(page)
        assert re.search(r"your own word: ai, since [\d-]+: heard", detail)
        assert self.rows_of("json")[0]["override_note"] == "heard"

    def test_hostile_tags(self) -> None:
        """They are text; the file's bytes that are none stay what they are."""
        path = self.lib_path / "caf\udce9 #1?.flac"
        encode(path, tone(LEVELS["ai"], 2.0, 8_000), 8_000)
        self.add_file(path, title=HOSTILE, artist="", album="")
        self.run_command("ai", "-q")
        page = self.report()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt; ; &#34;x&#34; ,=1+1" in page
        assert "caf%E9%20%231%3F.flac#t=" in page or "caf%E9%20%231%3F.flac" in page
        assert self.rows_of("json")[0]["path"] == str(path)
        out = self.folder / "tracks.csv"
        self.run_command("aireport", "--format", "csv", "-o", str(out))
        assert b"caf\xe9 #1?.flac" in out.read_bytes()


class TestSound(ReportHelper):
    """What the page plays."""

    def add_tone(self, name: str, container: str = "") -> Path:
        path = self.lib_path / name
        encode(path, tone(LEVELS["ai"], 12.0, 48_000), 48_000, container)
        self.add_file(path, title=name)
        return path

    @pytest.mark.parametrize(
        ("name", "container", "is_linked"),
        [
            ("a.mp3", "mp3", True),
            ("b.m4a", "m4a", True),
            ("c.opus", "opus", True),
            ("d.mp3", "mp3_vbr_no_xing", False),
            ("e.m4a", "alac", False),
            ("f.wma", "wma", False),
        ],
    )
    def test_a_link_or_a_clip(self, name: str, container: str, is_linked: bool) -> None:
        """Files that browsers play are linked to; of others the page has a clip."""
        path = self.add_tone(name, container)
        self.run_command("ai", "-q")
        (detail,) = details(self.report())
        assert (f'src="{path.as_uri()}' in detail) is is_linked
        assert ("data:audio/ogg;base64," in detail) is not is_linked
        assert ("Browsers do not play this file" in detail) is not is_linked

    def test_embedded_clips(self) -> None:
        """With ``--embed`` the page needs no file: ten seconds of what speaks loudest."""
        self.add_tone("a.flac")
        self.run_command("ai", "-q")
        (detail,) = details(self.report("--embed"))
        assert "file:" not in detail
        data = base64.b64decode(re.findall(r"base64,([^#\"]+)", detail)[0])
        samples, rate = soundfile.read(io.BytesIO(data))
        assert len(samples) / rate == pytest.approx(10.0, abs=0.05)
        assert abs(samples).mean() == pytest.approx(LEVELS["ai"], rel=0.1)

    def test_files_that_went_away(self) -> None:
        """One that is gone, or is no audio any more, has a clear place in the page."""
        self.add_scored("ai", "unsure")
        self.get("Track 1").filepath.unlink()
        self.get("Track 2").filepath.write_bytes(b"no audio")
        gone, broken = details(self.report("--embed"))
        assert "The file is not there." in gone
        assert "There is no clip: " in broken
        assert "<audio" not in gone + broken


class TestPictures(ReportHelper):
    """The spectrum of a suspect, decoded again."""

    def test_a_model_with_lines(self) -> None:
        """A model that gives its lines has them drawn, and the strongest named."""
        folder = write_song_model(self.folder / "song", has_lines=True)
        self.configure(model=str(folder / "model.onnx"))
        self.add_track("Square")
        self.run_command("ai", "-q")
        assert "polyline" not in self.report()
        (detail,) = details(self.report("--pictures"))
        assert '<polyline class="curve" points="0.0,' in detail
        # Square waves have their odd harmonics: places of a comb of the first one.
        assert "the comb, a line every 62.50 Hz." in re.sub(r"\s+", " ", detail)

    def test_a_model_without(self) -> None:
        """There is no picture, and the page says why."""
        self.add_scored("ai")
        (detail,) = details(self.report("--pictures"))
        assert f"There is no spectrum: {LABEL} does not give its lines." in detail


class TestAccusations(ReportHelper):
    """How many false accusations to expect, by what is known of the thresholds."""

    def test_the_cards_rates(self) -> None:
        rates = {"ai": {"rate": [0.01, 0.0, 0.05]}, "unsure or ai": {"rate": [0.1, 0.05, 0.2]}}
        human = {"tracks": 628, "sources": 136, **rates}
        card = {"error_rates": {"songs": {"human": human}}}
        write_model(self.folder / "model", card=card)
        self.add_scored(*["ai"] * 4, *["unsure"] * 6, *["real"] * 10)
        page = self.report()
        assert "Of 20 tracks that the score decides, 4 are ai." in page
        assert (
            "about 0.2 would be flagged by mistake, and at most 1.0 with 95 % confidence"
            in page
        )
        assert "Of 20 tracks that the score decides, 10 are ai or unsure." in page
        assert "at most 4.0 with 95 % confidence" in page
        assert "628 tracks of 136 sources" in page

    def test_ones_own_calibration(self) -> None:
        """What was calibrated and saved comes before the card."""
        self.add_scored(*["real"] * 9)
        out = str(self.folder / "bench")
        self.run_command(
            "aicalibrate", "--real", "", "--fpr", "0.3", "--save", "-y", "--out", out
        )
        assert "9 tracks of your own" in self.report()

    def test_unknown_rates(self) -> None:
        """Of a threshold that nobody measured nothing is claimed."""
        self.add_scored("ai")
        self.configure(ai_threshold=0.6)
        page = self.report()
        assert "ai 0.6 (config), unsure 0.3 (model card)" in page
        assert "nobody has measured this threshold" in page

    def test_another_models_scores(self) -> None:
        self.add_scored("ai")
        write_model(self.folder / "model", version="2.0")
        assert "1 score of other models or versions" in self.report()


class TestChanges(ReportHelper):
    """What ``--since`` shows."""

    def test_changes(self) -> None:
        """A changed verdict is named, what was before the date is not."""
        self.add_scored("ai", "real")
        time.sleep(1.1)  # histories have whole seconds
        self.run_command("modify", "-y", "ai_override=human", "Track 1")
        page = self.report("--since", "-1d")
        assert "1 track changed verdict (your own word)" in page
        assert re.search(r"ai 0\.[78]\d+ \u2192 real 0\.[78]", page)
        assert "Nothing changed." in self.report("--since", "2100")
        assert "Changes since" not in self.report()

    def test_no_date(self) -> None:
        self.add_track("New")
        for word in ("yesterday", "-99999999y", "-999999d", "0001"):
            assert f"--since is '{word}', it must be a date" in self.fails("--since", word)


class TestFiles(ReportHelper):
    """Where a report goes."""

    def test_the_current_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page without a name is ``aireport.html`` there, and is replaced by the next."""
        monkeypatch.chdir(self.folder)
        self.add_track("New")
        for _ in range(2):
            self.run_command("aireport", "-q")
        assert (self.folder / "aireport.html").is_file()
        assert not list(self.folder.glob(".*.partial"))

    @pytest.mark.parametrize("kind", ["html", "csv", "json"])
    def test_other_files_are_kept(self, kind: str) -> None:
        """A file that no report was written to is replaced with ``--overwrite`` alone."""
        self.add_track("New")
        path = self.folder / f"notes.{kind}"
        path.write_text("my notes")
        args = ("--format", kind, "-o", str(path))
        assert "is there and is no report" in self.fails(*args)
        assert path.read_text() == "my notes"
        self.run_command("aireport", "--overwrite", *args)
        self.run_command("aireport", *args)
        assert "New" in path.read_text()

    def test_no_place_for_a_file(self) -> None:
        self.add_track("New")
        (self.folder / "file").touch()
        assert "is a folder" in self.fails("-o", str(self.folder))
        assert "cannot be written" in self.fails("-o", str(self.folder / "file" / "x.html"))

    def test_what_is_no_file(self) -> None:
        """A pipe is neither read nor replaced, nor is a device."""
        self.add_track("New")
        os.mkfifo(pipe := self.folder / "pipe")
        for options in ((), ("--overwrite",), ("--format", "csv")):
            assert "is no file" in self.fails("-o", str(pipe), *options)
        assert pipe.is_fifo()

    def test_a_link(self) -> None:
        """It stays one: the report lies where it leads to."""
        self.add_track("New")
        (link := self.folder / "link.html").symlink_to(self.folder / "page.html")
        for _ in range(2):
            self.run_command("aireport", "-q", "-o", str(link))
        assert link.is_symlink()
        assert (self.folder / "page.html").is_file()

    def test_standard_output(self) -> None:
        self.add_track("New")
        for kind, start in (("html", "<!doctype html>"), ("csv", "path,"), ("json", "[")):
            output = self.run_with_output("aireport", "--format", kind, "-o", "-")
            assert output.lower().startswith(start)

    def test_contradictions(self) -> None:
        for option in (["--since", "-1d"], ["--embed"], ["--pictures"]):
            message = self.fails("--format", "csv", *option)
            assert message == (
                f"artifactnet: {option[0]} goes with a page, not with --format csv"
            )
