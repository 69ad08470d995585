"""``beet import`` and declarations: read before anything writes, kept, decided, told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mutagen
import pytest
from beets.library import Item
from beets.test.helper import AutotagImportHelper
from beetsplug.convert import ConvertPlugin
from beetsplug.scrub import ScrubPlugin

from tests.support.beets_library import ArtifactNetHelper, said, write_track
from tests.support.signed_files import add_object, store_of
from tests.support.tagged_files import MUREKA, add_artist, add_tag

TAGS: dict[str, Any] = {"artist": "Tag Artist", "album": "Tag Album"}


class TestImport(AutotagImportHelper, ArtifactNetHelper):
    def setup_beets(self) -> None:
        super().setup_beets()
        self.album_path = self.import_path / "album"

    def write_declared(self, number: int = 1) -> Path:
        """Write a track that a model calls real and that carries a manifest and a label."""
        path = write_track(
            self.album_path / f"{number}.flac",
            "real",
            title=f"Tag Track {number}",
            track=number,
            **TAGS,
        )
        add_tag(path, "AIGC", MUREKA)
        return add_object(path, store_of(None, self.folder))

    def beet_import(self, *args: str, n_matches: int = 0, **options: Any) -> list[str]:
        self.config["import"].set({"timid": True, **options})
        for _ in range(n_matches):
            self.io.addinput("A")
        flags = [] if n_matches else ["-A"]
        return self.run_lines("import", *flags, *args, str(self.import_path))

    def the_item(self) -> Item:
        (item,) = self.lib.items()
        return item

    def assert_declared(self) -> None:
        item = self.the_item()
        assert set(str(item.ai_provenance).split(",")) == {"elevenlabs:c2pa", "mureka:aigc"}
        assert item.ai_declared
        assert (item.ai_verdict, item.ai_reason) == ("ai", "declared")

    @pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "sequential"])
    @pytest.mark.parametrize("autotag", [True, False], ids=["autotagged", "as-is"])
    @pytest.mark.parametrize("singletons", [True, False], ids=["singletons", "album"])
    def test_every_way(self, singletons: bool, autotag: bool, threaded: bool) -> None:
        """Whatever the way of the import, claims are stored beside the score."""
        self.write_declared()
        self.config["threaded"] = threaded
        self.beet_import(*(["-s"] if singletons else []), n_matches=int(autotag))
        self.assert_declared()
        assert self.the_item().ai_score < 0.5

    @pytest.mark.parametrize("options", [{"auto": False}, {"auto_ignore": "title::."}])
    def test_without_scoring(
        self, options: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Claims are read and decide where nothing is scored, and are told once."""
        self.configure(**options)
        self.write_declared()
        self.beet_import()
        self.assert_declared()
        assert "ai_score" not in self.rows(self.the_item())
        (line,) = said(caplog)
        assert line.startswith("warning: ai, declared by elevenlabs:c2pa,mureka:aigc: ")

    def test_a_broken_model_does_not_matter(self) -> None:
        """Claims decide without a model."""
        self.configure(auto=False, model="none-such")
        self.write_declared()
        self.beet_import()
        self.assert_declared()

    def test_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """A scored track that declares itself has one line, and a plain one none."""
        self.write_declared(1)
        write_track(self.album_path / "2.flac", "real", title="Plain", track=2, **TAGS)
        self.beet_import()
        line, album = said(caplog)
        assert "declared by" in line
        assert album == (
            "warning: Tag Artist - Tag Album: 2 scored, 1 flagged as ai, 0 unsure, 0 failed, "
            "1 declared as generated"
        )

    @pytest.mark.parametrize("quiet", ["plugin", "import"])
    def test_quiet(self, quiet: str, caplog: pytest.LogCaptureFixture) -> None:
        """A quiet import says nothing on the way; at its end beets' own kind names tracks."""
        if quiet == "plugin":
            self.configure(quiet=True)
        self.write_declared()
        flags = ["-q"] if quiet == "import" else []
        lines = self.beet_import(*flags, timid=quiet != "import")
        assert said(caplog) == []
        self.assert_declared()
        if quiet == "import":
            line, last = lines
            assert "Tag Track 1  (declared by " in line
            assert last == (
                "1 track imported: 1 scored, 1 flagged as ai, 0 unsure, 0 failed, "
                "1 declared as generated"
            )

    def test_a_quiet_import_without_scoring(self) -> None:
        """With ``auto: no`` the end of a quiet import names what declares itself, too."""
        self.configure(auto=False)
        self.write_declared(1)
        write_track(self.album_path / "2.flac", "ai", title="Plain", track=2, **TAGS)
        line, last = self.beet_import("-q", timid=False)
        assert line.split()[0] == "ai"
        assert "Tag Track 1  (declared by " in line
        assert last == "1 track declared as generated, none scored"

    def test_declared_no(self, caplog: pytest.LogCaptureFixture) -> None:
        """With ``declared: no`` claims are stored and told, and the score decides."""
        self.configure(declared=False)
        self.write_declared()
        self.beet_import()
        item = self.the_item()
        assert (item.ai_verdict, item.ai_reason) == ("real", "score")
        assert item.ai_declared
        line, album = said(caplog)
        assert line.startswith("warning: not judged, declared by ")
        assert album.endswith(" 0 flagged as ai, 0 unsure, 0 failed, 1 declared as generated")

    def test_hints_decide_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """An artist called Udio is noted, and that is all."""
        path = write_track(self.album_path / "1.flac", "real", title="Tag Track 1", **TAGS)
        add_artist(path, "Udio")
        self.beet_import()
        item = self.the_item()
        assert (item.ai_provenance, item.ai_verdict) == ("udio:artist", "real")
        assert "ai_declared" not in self.rows(item)
        (line,) = said(caplog)
        assert line.endswith(": 1 scored, 0 flagged as ai, 0 unsure, 0 failed")

    @pytest.mark.parametrize("auto", [True, False])
    def test_scrub(self, auto: bool) -> None:
        """What ``scrub`` takes out of the files was read before."""
        self.configure(auto=auto)
        self.register_plugin(ScrubPlugin)
        path = self.write_declared()
        self.beet_import(n_matches=1, move=True)
        assert not path.exists()
        assert "AIGC" not in (mutagen.File(self.the_item().filepath).tags or {})
        self.assert_declared()

    def test_convert(self) -> None:
        """What ``convert`` loses was read before, also where its stage comes first."""
        silent = write_track(self.folder / "converted.mp3", "real", title="Tag Track 1", **TAGS)
        script = self.folder / "convert.py"
        script.write_text("import shutil, sys; shutil.copyfile(*sys.argv[1:])")
        command = f"{sys.executable} {script} {silent} $dest"
        self.config["convert"].set(
            {
                "auto": True,
                "format": "mp3",
                "formats": {"mp3": {"command": command, "extension": "mp3"}},
            }
        )
        self.write_declared()
        self.register_plugin(ConvertPlugin)
        self.beet_import()
        assert Path(self.the_item().filepath).suffix == ".mp3"
        self.assert_declared()

    def test_reimport(self) -> None:
        """A library import of a file that lost its marks keeps what it said first."""
        self.write_declared()
        self.beet_import()
        file: Any = mutagen.File(self.the_item().filepath)
        file.delete()
        self.config["import"].set({"timid": True})
        self.run_command("import", "-A", "-L", "title::.")
        self.assert_declared()

    def test_group_albums(self) -> None:
        """Tasks that are split into albums keep what was read for them."""
        self.write_declared()
        self.beet_import("-g")
        self.assert_declared()
