"""The fields as other commands of beets see them: empty where unscored, and not for editing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from beets.exceptions import UserError
from beets.test.helper import AutotagImportHelper
from beetsplug.edit import EditPlugin
from beetsplug.export import ExportPlugin
from beetsplug.info import InfoPlugin
from beetsplug.smartplaylist import SmartPlaylistPlugin

from beetsplug.artifactnet.library import ITEM_TYPES, Refusal
from tests.support.beets_library import SCORE_FIELDS, ArtifactNetHelper, write_track

SHOWN = sorted(SCORE_FIELDS | {"ai_error", "ai_provenance"})


class TestUnscored(ArtifactNetHelper):
    """A scored track, and one that nobody has scored."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.add_track("Scored")
        self.run_command("ai", "-q")
        self.add_track("Unscored")

    def export(self, form: str) -> str:
        self.register_plugin(ExportPlugin)
        keys = ",".join(["title", *SHOWN])
        return self.run_with_output("export", "-l", "-f", form, "-i", keys, "title+")

    def assert_empty(self, scored: dict[str, Any], unscored: dict[str, Any]) -> None:
        assert scored["title"] == "Scored"
        assert scored["ai_score"] == f"{self.get('Scored').ai_score:.4f}"
        assert scored["ai_verdict"] == "ai"
        assert scored["ai_scored"].startswith("2")
        assert unscored["title"] == "Unscored"
        assert {unscored[name] or "" for name in SHOWN} == {""}

    def test_json(self) -> None:
        """`beet export -f json`."""
        scored, unscored = json.loads(self.export("json"))
        self.assert_empty(scored, unscored)

    def test_csv(self) -> None:
        """`beet export -f csv`."""
        scored, unscored = csv.DictReader(io.StringIO(self.export("csv")))
        self.assert_empty(scored, unscored)

    def test_xml(self) -> None:
        """`beet export -f xml`."""
        tracks = ElementTree.fromstring(self.export("xml")).iter("track")
        scored, unscored = ({field.tag: field.text for field in track} for track in tracks)
        self.assert_empty(scored, unscored)

    def test_all_keys_as_csv(self) -> None:
        """A table of all fields has the same columns for every track."""
        self.register_plugin(ExportPlugin)
        text = self.run_with_output("export", "-l", "-f", "csv", "title+")
        scored, unscored = csv.DictReader(io.StringIO(text))
        self.assert_empty(scored, unscored)

    def test_info(self) -> None:
        """`beet info -l`."""
        self.register_plugin(InfoPlugin)
        lines = self.run_lines("info", "-l", "title:Unscored")
        values = dict(line.strip().partition(":")[::2] for line in lines if ":" in line)
        assert {values.get(name, "").strip() for name in SHOWN} == {""}

    @pytest.mark.parametrize("name", SHOWN)
    def test_a_format(self, name: str) -> None:
        """`beet ls -f`, which shows the name of a field that beets does not know."""
        lines = self.run_lines("ls", "-f", f"<${name}>", "title:=Unscored")
        assert lines == ["<>"]

    @pytest.mark.parametrize("name", ["ai_score", "ai_scored", "ai_segments", "ai_share"])
    @pytest.mark.parametrize("direction", "+-")
    def test_sorted_last(self, name: str, direction: str) -> None:
        """An unscored track comes last in either direction, also behind another sort."""
        self.add_track("Also unscored")
        titles = self.run_lines("ls", "-f", "$title", f"{name}{direction}")
        assert titles[0] == "Scored"
        titles = self.run_lines("ls", "-f", "$title", f"{name}{direction}", "title+")
        assert titles == ["Scored", "Also unscored", "Unscored"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("ai_score:..", ["Scored"]),
            ("^ai_score:..", ["Unscored"]),
            ("ai_score:..0.5", []),
            ("ai_score:0", []),
            ("ai_scored:..2000", []),
            ("ai_scored:2020..", ["Scored"]),
            ("ai_segments:0..0", []),
            ("ai_segments:1..", ["Scored"]),
            ("ai_score::.", ["Scored"]),
            ("^ai_verdict:=ai", ["Unscored"]),
        ],
    )
    def test_queries(self, query: str, expected: list[str]) -> None:
        """No range and no date finds it, and the query for what has no score does."""
        assert self.run_lines("ls", "-f", "$title", query) == expected

    def test_smart_playlists(self) -> None:
        """A list of what is unlikely to be AI-generated holds no unscored track."""
        self.config["smartplaylist"].set(
            {
                "playlist_dir": str(self.folder),
                "relative_to": str(self.lib_path),
                "playlists": [
                    {"name": "low.m3u", "query": "ai_score:..0.9 ai_score+"},
                    {"name": "none.m3u", "query": "^ai_score:.."},
                ],
            }
        )
        self.register_plugin(SmartPlaylistPlugin)
        self.run_command("splupdate")
        assert (self.folder / "low.m3u").read_text().split() == ["Scored.flac"]
        assert (self.folder / "none.m3u").read_text().split() == ["Unscored.flac"]

    def test_web(self) -> None:
        """The web plugin's JSON has no field of ours for it."""
        web = pytest.importorskip("beetsplug.web")
        web.app.config.update(lib=self.lib, INCLUDE_PATHS=False, READONLY=True)
        items = web.app.test_client().get("/item/").get_json()["items"]
        scored, unscored = sorted(items, key=lambda item: item["title"])
        assert scored["ai_score"] == self.get("Scored").ai_score
        assert not {name for name in unscored if name.startswith("ai_")}

    def test_every_field_but_the_users_word_is_empty(self) -> None:
        """A format that names a field of an unscored track prints nothing for it."""
        names = sorted(set(ITEM_TYPES) - {"ai_override", "ai_override_note"})
        template = " ".join(f"<${name}>" for name in names)
        lines = self.run_lines("ls", "-f", template, "title:Unscored")
        assert lines == [" ".join(["<>"] * len(names))]

    def test_albums(self) -> None:
        """Fields of albums are as empty."""
        self.lib.add_album([self.get("Unscored")])
        names = ["ai_album_score", "ai_album_flagged", "ai_album_scored", "ai_album_verdict"]
        template = " ".join(f"<${name}>" for name in names)
        assert self.run_lines("ls", "-a", "-f", template) == ["<> <> <> <>"]

    def test_a_spoilt_database_is_readable(self) -> None:
        """Values that are no numbers, from an older version or by hand, are no values."""
        with self.lib.transaction() as transaction:
            for name in ("ai_score", "ai_segments", "ai_scored"):
                transaction.mutate(
                    "UPDATE item_attributes SET value = 'soon' WHERE key = ?", (name,)
                )
        assert self.run_lines("ls", "-f", "<$ai_score$ai_segments$ai_scored>", "ai_score+") == [
            "<>",
            "<>",
        ]


OWNED = sorted(set(ITEM_TYPES) - {"ai_override", "ai_override_note"})


class TestEdits(ArtifactNetHelper):
    """What the user may say of a track, and what only scoring does."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.item = self.add_track("Song")
        self.run_command("ai", "-q")
        self.before = self.rows(self.item)

    @pytest.mark.parametrize(
        ("word", "stored"),
        [
            ("human", "real"),
            ("Human", "real"),
            (" HUMAN ", "real"),
            ("real", "real"),
            ("Real", "real"),
            ("ai", "ai"),
            ("AI", "ai"),
        ],
    )
    def test_a_word(self, word: str, stored: str) -> None:
        """`human` is what people say, `real` what the verdict is called."""
        self.run_command("modify", "-y", f"ai_override={word}")
        item = self.get("Song")
        assert (item.ai_override, item.ai_verdict) == (stored, stored)

    @pytest.mark.parametrize("word", ["fake", "unsure", "yes", "no", "0", "humans", ""])
    def test_another_word(self, word: str) -> None:
        """The error names the words that count, and nothing is changed."""
        with pytest.raises(UserError, match=r"ai_override is .* human \(or real\) or ai"):
            self.run_command("modify", "-y", f"ai_override={word}")
        assert self.rows(self.item) == self.before

    @pytest.mark.parametrize("name", OWNED)
    @pytest.mark.parametrize("value", ["0,8", "80%", "nan", "abc", "0.5", "fake", "inf"])
    def test_a_field_of_scoring(self, name: str, value: str) -> None:
        """One line says what to do instead, and nothing is changed."""
        with pytest.raises(UserError, match="ai_override=human or ai_override=ai"):
            self.run_command("modify", "-y", f"{name}={value}")
        assert self.rows(self.item) == self.before

    @pytest.mark.slow
    def test_a_process_of_its_own(self) -> None:
        """The refusal is one line on stderr and status 1, for albums as well."""
        self.lib.add_album([self.item])
        self.write_config()
        for args in (["ai_override=fake"], ["ai_verdict=real"], ["-a", "ai_override=fake"]):
            done = self.beet("modify", "-y", *args)
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert line.startswith("error: artifactnet: ")

    def test_words_in_the_database(self) -> None:
        """A word that another way brought there counts as it would have here."""
        self.item["ai_override"] = "Human"
        self.item.store()
        assert self.get("Song").ai_verdict == "real"

    def test_an_edit_of_a_score(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`beet edit` refuses it, too."""
        editor = self.folder / "editor"
        editor.write_text("#!/bin/sh\nsed -i s/loudness-1.0/mine/ $1\n")
        editor.chmod(0o755)
        monkeypatch.setenv("VISUAL", str(editor))
        self.register_plugin(EditPlugin)
        with pytest.raises(UserError, match=r"mine\+4' cannot be set"):
            self.run_command("edit", "--all")
        assert self.rows(self.item) == self.before


class TestImportSet(AutotagImportHelper, ArtifactNetHelper):
    """`beet import --set` and the option `set_fields`."""

    def beet_import(self, **fields: str) -> None:
        for number in (1, 2):
            write_track(
                self.import_path / "album" / f"track_{number}.flac",
                title=f"Song {number}",
                album="Album",
                artist="Artist",
                genre="fake",
            )
        self.config["import"]["set_fields"].set(fields)
        self.config["import"]["autotag"].set(False)
        self.run_command("import", "-A", str(self.import_path))

    def test_a_word(self) -> None:
        """A good word is set, and decides at once."""
        self.beet_import(ai_override="Human")
        assert [item.ai_verdict for item in self.lib.items()] == ["real", "real"]
        assert [item.ai_override for item in self.lib.items()] == ["real", "real"]
        assert self.get_album().ai_album_verdict == "real"

    @pytest.mark.parametrize("field", ["ai_override", "ai_score", "ai_verdict"])
    def test_another_value_is_refused_before_the_import(self, field: str) -> None:
        """Nothing is imported, not even half."""
        with pytest.raises(UserError, match="artifactnet: "):
            self.beet_import(**{field: "fake"})
        assert len(self.lib.items()) == 0
        assert len(list(self.import_path.rglob("*.flac"))) == 2
        assert Refusal.ends_the_command

    def test_a_template_cannot_stop_an_import(self, caplog: pytest.LogCaptureFixture) -> None:
        """What is known only with each track is left out, with a warning."""
        self.beet_import(ai_override="$title", ai_score="$title")
        assert len(self.lib.items()) == 2
        assert self.n_scored() == 2
        assert all(
            Path(item.filepath).is_relative_to(self.lib_path) for item in self.lib.items()
        )
        assert [item.ai_verdict for item in self.lib.items()] == ["ai", "ai"]
        assert "ai_override is 'Song 1', it must be human (or real) or ai;" in caplog.text
        assert "left out" in caplog.text
        assert Refusal.ends_the_command
