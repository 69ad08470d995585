"""``beet import`` with the plugin: what is scored, said, written, and left alone."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import mutagen
import pytest
from beets import plugins
from beets.library import Item
from beets.test.helper import AutotagImportHelper
from beetsplug.scrub import ScrubPlugin
from mediafile import MediaFile

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

OPERATIONS: dict[str, dict[str, bool]] = {
    "copy": {"copy": True, "move": False},
    "move": {"copy": False, "move": True},
    "in place": {"copy": False, "move": False},
}


class ImportHelper(AutotagImportHelper, ArtifactNetHelper):
    """Imports through the command, with matches that beets' own stub finds."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.album_path = self.import_path / "album"

    def write_tracks(self, *verdicts: str, suffix: str = ".flac") -> list[Path]:
        """Write an album to import, with a track a verdict."""
        return [
            write_track(
                self.album_path / f"track_{n}{suffix}",
                verdict,
                title=f"Tag Track {n}",
                artist="Tag Artist",
                album="Tag Album",
                track=n,
            )
            for n, verdict in enumerate(verdicts, 1)
        ]

    def beet_import(self, *args: str, n_matches: int = 0, **options: Any) -> list[str]:
        """Import the folder, as-is unless matches are to be applied; return what it said."""
        self.config["import"].set({"timid": True, **options})
        for _ in range(n_matches):
            self.io.addinput("A")
        flags = [] if n_matches else ["-A"]
        return self.run_lines("import", *flags, *args, str(self.import_path))

    def assert_nothing_is_due(self, n_tracks: int) -> None:
        """The command finds every score there and of the file as it now is."""
        expected = [f"nothing to score: {n_tracks} tracks have a score"]
        assert self.run_lines("artifactnet") == expected


class TestEveryWay(ImportHelper):
    @pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "sequential"])
    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("autotag", [True, False], ids=["autotagged", "as-is"])
    @pytest.mark.parametrize("singletons", [True, False], ids=["singletons", "album"])
    def test_every_track_is_scored(
        self, singletons: bool, autotag: bool, operation: str, threaded: bool
    ) -> None:
        """Whatever the way of the import, tracks are scored, fresh, and where they belong."""
        sources = self.write_tracks("ai", "real")
        before = [path.read_bytes() for path in sources]
        self.config["threaded"] = threaded

        self.beet_import(
            *(["-s"] if singletons else []),
            n_matches=(2 if singletons else 1) if autotag else 0,
            **OPERATIONS[operation],
        )

        items = sorted(self.lib.items(), key=lambda item: str(item.title))
        assert [item.ai_verdict for item in items] == ["ai", "real"]
        for item, verdict in zip(items, ("ai", "real"), strict=True):
            assert item.ai_score == pytest.approx(SCORES[verdict], abs=ROUNDING)
            assert item.ai_model == MODEL
            assert self.rows(item).keys() == SCORE_FIELDS
        self.assert_files(items, sources, operation)
        self.assert_album(singletons)
        self.assert_nothing_is_due(2)
        assert [our_tags(Path(item.filepath)) for item in items] == [{}, {}]
        if operation == "copy":
            assert [path.read_bytes() for path in sources] == before
        applied = "Applied" if autotag else "Tag"
        assert {str(item.artist) for item in items} == {f"{applied} Artist"}

    def assert_files(self, items: list[Item], sources: list[Path], operation: str) -> None:
        paths = [Path(item.filepath) for item in items]
        assert all(path.is_file() for path in paths)
        if operation == "in place":
            assert paths == sources
        else:
            assert all(path.is_relative_to(self.lib_path) for path in paths)
        assert all(path.exists() != (operation == "move") for path in sources)

    def assert_album(self, singletons: bool) -> None:
        if singletons:
            assert list(self.lib.albums()) == []
        else:
            album = self.get_album()
            assert album.ai_album_flagged == 1
            middle = (SCORES["ai"] + SCORES["real"]) / 2
            assert album.ai_album_score == pytest.approx(middle, abs=ROUNDING)

    @pytest.mark.parametrize("operation", ["link", "hardlink"])
    def test_linked_files_are_scored(self, operation: str) -> None:
        """A link to a file, symbolic or hard, is as fresh as the file."""
        self.write_tracks("ai", "real")

        self.beet_import(copy=False, move=False, **{operation: True})

        assert [item.ai_verdict for item in self.lib.items()] == ["ai", "real"]
        self.assert_nothing_is_due(2)


class TestOptions(ImportHelper):
    def test_auto_no_scores_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """With ``auto: no`` an import leaves scoring to the command."""
        self.write_tracks("ai")
        self.configure(auto=False)

        self.beet_import()

        assert self.rows(self.get("Tag Track 1")) == {}
        assert said(caplog) == []

    def test_auto_ignore_exempts(self) -> None:
        """Items that the query matches are not scored at import."""
        self.write_tracks("ai", "ai")
        self.configure(auto_ignore='title:="Tag Track 1"')

        self.beet_import()

        assert self.rows(self.get("Tag Track 1")) == {}
        assert self.get("Tag Track 2").ai_verdict == "ai"

    @pytest.mark.parametrize("query", ["title:'unclosed", "year:soon"])
    def test_an_invalid_auto_ignore_is_one_error(
        self, query: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The import goes on without scores, and names the option once."""
        self.write_tracks("ai", "ai")
        self.configure(auto_ignore=query)

        self.beet_import("-s")

        assert len(self.lib.items()) == 2
        assert self.n_scored() == 0
        (line,) = said(caplog)
        assert line.startswith(
            "error: nothing is scored in this import: artifactnet.auto_ignore: "
        )

    def test_a_bad_option_is_one_error(self, caplog: pytest.LogCaptureFixture) -> None:
        """An import with a broken section goes on, and says what is wrong with it once."""
        self.write_tracks("ai", "ai")
        self.configure(auto="sometimes")

        self.beet_import("-s")

        assert len(self.lib.items()) == 2
        assert said(caplog) == [
            "error: nothing is scored in this import: "
            "artifactnet.auto is 'sometimes', it must be yes or no"
        ]

    def test_a_section_without_options_is_one_error(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A section that is no mapping keeps neither the import nor its tags from going on."""
        self.write_tracks("ai")
        self.config["artifactnet"].set("yes please")

        self.beet_import(n_matches=1)

        (item,) = self.lib.items()
        assert MediaFile(Path(item.filepath)).title == "Applied Track 1"
        (line,) = said(caplog)
        assert line.startswith(
            "error: nothing is scored in this import: the section artifactnet"
        )

    def test_a_missing_model_is_one_error(self, caplog: pytest.LogCaptureFixture) -> None:
        """The import goes on without scores, its files where they belong."""
        self.write_tracks("ai", "ai")
        (self.model_folder / "model.onnx").unlink()

        self.beet_import("-s")

        paths = [Path(item.filepath) for item in self.lib.items()]
        assert len(paths) == 2
        assert all(path.is_file() and path.is_relative_to(self.lib_path) for path in paths)
        (line,) = said(caplog)
        assert line.startswith("error: nothing is scored in this import: model loudness-1.0: ")
        assert self.n_scored() == 0

    def test_the_next_import_tries_again(self, caplog: pytest.LogCaptureFixture) -> None:
        """A broken model ends the scoring of one import, and not of the next."""
        self.write_tracks("ai")
        model = self.model_folder / "model.onnx"
        model.rename(self.folder / "away.onnx")
        self.beet_import()
        (self.folder / "away.onnx").rename(model)

        self.beet_import(duplicate_action="keep")

        assert self.n_scored() == 1
        assert len([line for line in said(caplog) if line.startswith("error")]) == 1

    def test_flagged_tracks_are_named(self, caplog: pytest.LogCaptureFixture) -> None:
        """An import has a line for a flagged track and one for its album."""
        self.write_tracks("ai", "unsure", "real")

        self.beet_import()

        ai, unsure = (self.get(f"Tag Track {n}") for n in (1, 2))
        # In the order in which they are done.
        assert sorted(said(caplog)) == [
            "warning: Tag Artist - Tag Album: 3 scored, 1 flagged as ai, 1 unsure, 0 failed",
            f"warning: ai {ai.ai_score:.4f} Tag Artist - Tag Album - Tag Track 1",
            f"warning: unsure {unsure.ai_score:.4f} Tag Artist - Tag Album - Tag Track 2",
        ]

    def test_quiet_names_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """With our ``quiet: yes`` there is no line on any verdict."""
        self.write_tracks("ai", "unsure")
        self.configure(quiet=True)

        lines = self.beet_import("-q", timid=False)

        assert (said(caplog), lines) == ([], [])
        assert self.n_scored() == 2

    @pytest.mark.parametrize("singletons", [True, False])
    def test_a_quiet_import_says_so_at_its_end(
        self, singletons: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With ``beet import -q`` flagged tracks are named when all is done, for cron."""
        self.write_tracks("ai", "unsure", "real")
        write_broken(self.album_path / "track_9.flac")

        flags = ["-q", "-s"] if singletons else ["-q"]
        *lines, failure, last = self.beet_import(*flags, timid=False)

        assert said(caplog) == []
        ai, unsure = (self.get(f"Tag Track {n}") for n in (1, 2))
        assert sorted(lines) == [
            f"ai     {ai.ai_score:.4f}  Tag Artist - Tag Album - Tag Track 1",
            f"unsure {unsure.ai_score:.4f}  Tag Artist - Tag Album - Tag Track 2",
        ]
        assert failure.startswith("not scored: ")
        assert last == "4 tracks imported: 3 scored, 1 flagged as ai, 1 unsure, 1 failed"

    def test_a_quiet_import_of_human_music_says_nothing(self) -> None:
        """No news is no mail."""
        self.write_tracks("real", "real")

        assert self.beet_import("-q", timid=False) == []

    def test_pretend_scores_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """``import --pretend`` lists files, and neither imports nor scores."""
        self.write_tracks("ai")

        self.beet_import("--pretend")

        assert len(self.lib.items()) == 0
        assert said(caplog) == []


class TestBadFiles(ImportHelper):
    @pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "sequential"])
    def test_a_broken_file_does_not_stop_the_import(
        self, threaded: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It has an ``ai_error`` and a warning; the rest of its album is scored."""
        self.write_tracks("real", "real")
        broken = write_broken(self.album_path / "track_9.flac")
        self.config["threaded"] = threaded

        self.beet_import()

        item = self.get("Broken")
        assert self.rows(item).keys() == {"ai_error"}
        assert item.ai_error.startswith("unreadable: ")
        assert self.n_scored() == 2
        assert Path(item.filepath).is_relative_to(self.lib_path)
        line, last = said(caplog)
        assert line.startswith(f"warning: not scored: {broken}: ")
        assert last.endswith(": 2 scored, 0 flagged as ai, 0 unsure, 1 failed")
        assert self.get_album().ai_album_flagged == 0

    def test_control_characters_do_not_reach_the_terminal(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A file's name in a warning cannot steer a terminal."""
        write_broken(self.album_path / "x\x1b[31m\nwarning: ai\u202e.flac")

        self.beet_import()

        line, _ = said(caplog)
        assert line.startswith("warning: not scored: ")
        assert r"x\x1b[31m\nwarning: ai\u202e.flac" in line


class TestReimport(ImportHelper):
    def reimport(self, *args: str) -> None:
        self.config["import"]["singletons"].set(False)
        self.run_command("import", "-A", "-C", *args, str(self.lib_path))

    def test_a_replaced_file_is_scored_again(self) -> None:
        """A reimport finds other audio at a path and scores it."""
        self.write_tracks("ai", "ai")
        self.beet_import()
        path = Path(self.get("Tag Track 1").filepath)
        write_track(path, "real", title="Tag Track 1", artist="Tag Artist", album="Tag Album")

        self.reimport()

        assert self.get("Tag Track 1").ai_verdict == "real"
        assert self.get_album().ai_album_flagged == 1
        self.assert_nothing_is_due(2)

    def test_what_has_not_changed_is_not_scored_again(self) -> None:
        """A reimport keeps scores of files that are the same, and the user's word."""
        self.write_tracks("ai")
        self.beet_import()
        self.run_command("modify", "-y", "ai_override=real")
        before = self.rows(self.get("Tag Track 1"))

        self.reimport()

        assert self.rows(self.get("Tag Track 1")) == before

    @pytest.mark.parametrize("auto", [True, False])
    def test_an_albums_values_stay_the_albums(self, auto: bool) -> None:
        """What beets hands down to tracks on a reimport is taken from them again."""
        self.write_tracks("ai", "real")
        self.beet_import()
        before = self.rows(self.get_album())
        self.configure(auto=auto)

        self.reimport()

        assert self.rows(self.get_album()) == before
        keys = [self.rows(item).keys() for item in self.lib.items()]
        assert keys == [SCORE_FIELDS, SCORE_FIELDS]

    def test_a_failure_is_tried_again(self) -> None:
        """A file that failed is scored when it is imported again, repaired."""
        write_broken(self.album_path / "track_9.flac")
        self.beet_import()
        path = Path(self.get("Broken").filepath)
        write_track(path, "ai", title="Broken", artist="Tag Artist", album="Tag Album")

        self.reimport()

        assert self.rows(self.get("Broken")).keys() == SCORE_FIELDS

    def test_singletons_imported_as_an_album_are_summed_up(self) -> None:
        """An album made of tracks that were scored before has its values at once."""
        self.write_tracks("ai", "ai")
        self.beet_import("-s")

        self.reimport()

        assert self.get_album().ai_album_flagged == 2

    def test_force_scores_again(self) -> None:
        """With ``force: yes`` an import scores what has a fresh score, too."""
        self.write_tracks("ai")
        self.beet_import()
        before = float(self.get("Tag Track 1").ai_scored)
        self.configure(force=True)

        self.reimport()

        assert float(self.get("Tag Track 1").ai_scored) > before


TAG_KEYS = {
    ".mp3": ("TXXX:AI_SCORE", "TXXX:AI_VERDICT"),
    ".aiff": ("TXXX:AI_SCORE", "TXXX:AI_VERDICT"),
    ".m4a": ("----:com.apple.iTunes:AI_SCORE", "----:com.apple.iTunes:AI_VERDICT"),
    ".flac": ("ai_score", "ai_verdict"),
    ".ogg": ("ai_score", "ai_verdict"),
    ".opus": ("ai_score", "ai_verdict"),
    ".wma": ("AI_SCORE", "AI_VERDICT"),
}


class TestTags(ImportHelper):
    @pytest.mark.parametrize("suffix", TAG_KEYS)
    def test_write_exports_to_tags(self, suffix: str) -> None:
        """With ``write: yes`` an import that writes tags writes score and verdict, too."""
        sources = self.write_tracks("ai", "real", suffix=suffix)
        before = [source.read_bytes() for source in sources]
        self.configure(write=True)

        self.beet_import(n_matches=1)

        items = [self.get("Applied Track 1"), self.get("Applied Track 2")]
        for item, verdict in zip(items, ("ai", "real"), strict=True):
            expected = {"AI_SCORE": f"{item.ai_score:.4f}", "AI_VERDICT": verdict}
            assert our_tags(Path(item.filepath)) == expected
        item, path = items[0], Path(items[0].filepath)
        assert set(TAG_KEYS[suffix]) <= set(mutagen.File(path).tags.keys())
        assert MediaFile(path).ai_score == pytest.approx(item.ai_score, abs=5e-5)
        assert [source.read_bytes() for source in sources] == before
        self.assert_nothing_is_due(2)
        self.assert_score_survives_update(path, item.ai_score)

    def assert_score_survives_update(self, path: Path, score: float) -> None:
        """The database is the truth: ``beet update`` takes nothing back from tags."""
        file = MediaFile(path)
        file.update({"ai_score": 0.01, "comments": "changed elsewhere"})
        file.save()
        later = time.time() + 5
        os.utime(path, (later, later))
        self.run_command("update")
        assert self.get("Applied Track 1").comments == "changed elsewhere"
        assert self.get("Applied Track 1").ai_score == score

    def test_update_leaves_unscored_tracks_unscored(self) -> None:
        """A tag of ours in a file that was never scored makes no score."""
        item = self.add_track("Song")
        path = write_track(Path(item.filepath), title="Song", comments="changed elsewhere")
        file = mutagen.File(path)
        file["AI_SCORE"] = "0.9"
        file.save()

        self.run_command("update")

        assert self.get("Song").comments == "changed elsewhere"
        assert self.rows(item) == {}

    def test_as_is_imports_write_nothing(self) -> None:
        """An import without matches writes no tags, ours included."""
        self.write_tracks("ai")
        self.configure(write=True)

        self.beet_import()

        assert our_tags(Path(self.get("Tag Track 1").filepath)) == {}
        assert self.n_scored() == 1

    def test_an_unscored_track_gets_no_tag(self) -> None:
        """What could not be scored has neither tag."""
        write_broken(self.album_path / "track_9.flac")
        self.configure(write=True)

        self.beet_import(n_matches=1)

        (item,) = self.lib.items()
        assert MediaFile(Path(item.filepath)).title == "Applied Track 1"
        assert our_tags(Path(item.filepath)) == {}


class TestFreshness(ImportHelper):
    """After an import beets itself may change files; others may not."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.write_tracks("ai", "real")

    @pytest.mark.parametrize(
        "command",
        [
            ("write", "-f"),
            ("modify", "-y", "artist=Somebody Else"),
            ("modify", "-y", "-a", "album=Another Album"),
            ("move",),
            ("move", "-d", "elsewhere"),
            ("update",),
        ],
        ids=" ".join,
    )
    def test_beets_own_changes_keep_scores_fresh(self, command: tuple[str, ...]) -> None:
        """Writing tags and moving files is no change of the audio."""
        self.beet_import()
        if "elsewhere" in command:
            elsewhere = self.folder / "elsewhere"
            elsewhere.mkdir()
            command = (*command[:-1], str(elsewhere))

        self.run_command(*command)

        self.assert_nothing_is_due(2)

    def test_an_album_is_fresh_once_it_is_imported(self) -> None:
        """Scores need not wait for the import to end: it may be interrupted before."""
        session = self.setup_importer(autotag=False, copy=True)

        session.run()  # unlike the command it says nothing of its end

        self.assert_nothing_is_due(2)

    def test_other_plugins_may_change_files_at_import(self) -> None:
        """What ``scrub`` does to the files of an import makes no score stale."""
        self.register_plugin(ScrubPlugin)
        self.beet_import(n_matches=1)

        self.assert_nothing_is_due(2)

    def test_filetote_at_import(self) -> None:
        """It moves what lies beside the music, and leaves the music alone."""
        filetote = pytest.importorskip("beetsplug.filetote")
        (self.album_path / "notes.txt").write_text("notes")
        self.config["filetote"]["extensions"].set(".txt")
        self.register_plugin(filetote.FiletotePlugin)
        # It reads its configuration when beets has loaded all plugins.
        plugins.send("pluginload")
        self.beet_import(n_matches=1)

        self.assert_nothing_is_due(2)

    def test_writing_to_a_copy_is_no_change(self) -> None:
        """Tags that go into another file than the item's leave its score fresh."""
        self.beet_import()
        item = self.get("Tag Track 1")
        copy = Path(shutil.copy2(item.filepath, self.folder / "copy.flac"))

        item.write(os.fsencode(copy), {"comments": "much longer than the padding" * 1_000})
        item.store()

        self.assert_nothing_is_due(2)

    def test_writing_to_a_changed_file_keeps_it_stale(self) -> None:
        """Tags that beets writes do not pass a replaced file off as the scored one."""
        self.beet_import()
        item = self.get("Tag Track 1")
        write_track(Path(item.filepath), "real")

        self.run_command("write", "-f")

        assert self.run_lines("artifactnet") == [
            "nothing to score: 2 tracks have a score, 1 outdated (--outdated)"
        ]

    def test_a_write_that_failed_vouches_for_nothing(self) -> None:
        """A file that was replaced after a failed write is stale, the next write or not."""
        self.beet_import()
        item = self.get("Tag Track 1")
        path = Path(item.filepath)
        good = path.read_bytes()
        times = path.stat()
        path.write_bytes(b"x" * len(good))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert not item.try_write()
        write_track(path, "real")

        assert item.try_write()
        item.store()

        assert self.run_lines("artifactnet") == [
            "nothing to score: 2 tracks have a score, 1 outdated (--outdated)"
        ]

    def test_other_programs_may_write_tags(self) -> None:
        """A file whose time or tags another program changed holds the same audio."""
        self.beet_import()
        later = time.time() + 5
        os.utime(self.get("Tag Track 1").filepath, (later, later))
        file = mutagen.File(self.get("Tag Track 2").filepath)
        file["comment"] = "x" * 30_000
        file.save()

        self.assert_nothing_is_due(2)

    def test_replacing_makes_a_score_stale(self) -> None:
        """``--outdated`` scores the new audio."""
        self.beet_import()
        shutil.copy(self.get("Tag Track 2").filepath, Path(self.get("Tag Track 1").filepath))

        self.run_command("artifactnet", "--outdated")

        assert self.get("Tag Track 1").ai_verdict == "real"


class TestCtrlC(ImportHelper):
    N_TRACKS = 12

    @pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "sequential"])
    @pytest.mark.slow
    def test_an_import_ends_soon(self, threaded: bool) -> None:
        """Ctrl-C ends an import within seconds, and leaves a library that opens."""
        slow_down(self.model_folder)
        self.write_tracks(*["ai"] * self.N_TRACKS)
        self.configure(segments=3)
        self.write_config(threaded=threaded)
        process = self.start_beet("import", "-A", str(self.import_path))
        assert process.stderr is not None
        for line in process.stderr:
            if " ai 0." in line:
                break

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

        assert "Traceback" not in errors
        listed = self.beet("ls", "ai_score:0.7..")
        assert listed.returncode == 0
        assert 1 <= len(listed.stdout.splitlines()) < self.N_TRACKS
