"""``import_action``: what an import asks, and what becomes of flagged tracks."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError
from beets.importer import ImportSession, ImportTask
from beets.library import Item
from beets.plugins import BeetsPlugin
from beets.test.helper import AutotagImportHelper
from beetsplug.badfiles import BadFiles

from tests.support.beets_library import (
    ROUNDING,
    SCORES,
    ArtifactNetHelper,
    said,
    write_broken,
    write_track,
)
from tests.support.tagged_files import MUREKA, add_tag
from tests.support.terminal import beet_in_terminal

PROMPT = "[I]mport as it is"


class ActionHelper(AutotagImportHelper, ArtifactNetHelper):
    """Imports of albums whose tracks have known verdicts."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.configure(import_action="ask")

    def write_album(self, name: str, *verdicts: str) -> list[Path]:
        return [
            write_track(
                self.import_path / name / f"{n}.flac",
                verdict,
                title=f"{name} {n}",
                artist="Tag Artist",
                album=f"Tag {name}",
                track=n,
            )
            for n, verdict in enumerate(verdicts, 1)
        ]

    def beet_import(self, *args: str, answers: str = "", **options: Any) -> str:
        """Import as-is unless options say otherwise; return what was printed."""
        self.config["import"].set({"autotag": False, "timid": True, **options})
        for answer in answers:
            self.io.addinput(answer)
        return self.run_with_output("import", *args, str(self.import_path))

    def imported(self) -> set[str]:
        return {str(item.title) for item in self.lib.items()}


WAYS: dict[str, dict[str, Any]] = {
    "as-is": {"autotag": False},
    "autotag": {"autotag": True},
    "as-is singletons": {"autotag": False, "singletons": True},
    "singletons": {"autotag": True, "singletons": True},
    "grouped": {"autotag": True, "group_albums": True},
    "as-is grouped": {"autotag": False, "group_albums": True},
}


@pytest.mark.parametrize("way", WAYS)
class TestEveryWay(ActionHelper):
    """Flagged and clean albums, or tracks, whatever the way of the import."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.write_album("D Good", "real")

    @pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "sequential"])
    def test_asked(self, way: str, threaded: bool) -> None:
        """Skipped, imported as it is, imported as human, and not asked for."""
        (skipped,) = self.write_album("A Skip", "ai")
        for name in ("B Import", "C Human"):
            self.write_album(name, "ai")
        before = skipped.read_bytes()
        self.config["threaded"] = threaded
        options = WAYS[way]
        # beets' own stub finds a match for each task; U takes the tags as they are.
        answers = "SIUHUU" if options["autotag"] else "SIH"

        seen = self.beet_import(answers=answers, **options)

        assert seen.count(PROMPT) == 3
        assert self.imported() == {"B Import 1", "C Human 1", "D Good 1"}
        assert skipped.read_bytes() == before
        assert self.get("D Good 1").ai_verdict == "real"
        item = self.get("B Import 1")
        assert item.ai_score == pytest.approx(SCORES["ai"], abs=ROUNDING)
        assert (item.ai_verdict, item.ai_reason) == ("ai", "score")
        assert f"ai     {item.ai_score:.4f}  " in seen
        self.assert_is_human(self.get("C Human 1"))

    def assert_is_human(self, item: Item) -> None:
        """The user's word is stored with its date and a note, and decides."""
        assert (item.ai_override, item.ai_verdict, item.ai_reason) == (
            "real",
            "real",
            "override",
        )
        assert item.ai_override_note == f"decided at import, score {item.ai_score:.4f}"
        assert item.ai_override_date == pytest.approx(item.ai_scored, abs=60)

    def test_left_by_itself(self, way: str, caplog: pytest.LogCaptureFixture) -> None:
        """With ``skip`` nothing is asked, and a line says what stays."""
        (path,) = self.write_album("A Skip", "ai")
        self.configure(import_action="skip")
        options = WAYS[way]
        seen = self.beet_import(answers="U" if options["autotag"] else "", **options)
        assert PROMPT not in seen
        assert self.imported() == {"D Good 1"}
        (line,) = [line for line in said(caplog) if "skipped" in line]
        assert str(path.parent) in line


class TestPartOfAnAlbum(ActionHelper):
    """An album of which some tracks are flagged."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.sources = self.write_album("Mixed", "ai", "real", "unsure")

    @pytest.mark.parametrize("autotag", [True, False])
    def test_flagged_tracks_alone_are_left(self, autotag: bool) -> None:
        """The others are imported, matched as beets matched the whole album."""
        answers = "FA" if autotag else "F"
        self.beet_import(answers=answers, autotag=autotag, copy=False, move=True)
        word = "Applied Track" if autotag else "Mixed"
        assert self.imported() == {f"{word} 2", f"{word} 3"}
        assert [path.exists() for path in self.sources] == [True, False, False]
        assert self.get_album().ai_album_scored == 2

    @pytest.mark.parametrize("autotag", [True, False])
    def test_left_by_themselves(self, autotag: bool, caplog: pytest.LogCaptureFixture) -> None:
        """``skip`` says how many of how many, of what, and where they are."""
        self.configure(import_action="skip")
        log = self.folder / "import.log"
        self.beet_import(answers="A" if autotag else "", autotag=autotag, log=str(log))
        assert len(self.lib.items()) == 2
        folder = self.sources[0].parent
        assert said(caplog)[0] == (
            f"warning: skipped, flagged as ai: 1 of 3 tracks of Tag Artist - Tag Mixed, "
            f"in {folder}"
        )
        assert f"skip {self.sources[0]}" in log.read_text()

    def test_a_whole_album_is_skipped(self) -> None:
        """Beets' own word: nothing of it is imported, and beets' log of the import says so."""
        log = self.folder / "import.log"
        self.beet_import(answers="S", log=str(log))
        assert self.imported() == set()
        assert f"skip {self.sources[0].parent}\n" in log.read_text()

    def test_of_many_tracks_some_are_shown(self) -> None:
        """An album of many flagged tracks does not fill the terminal."""
        self.write_album("Another", *["ai"] * 7)
        seen = self.beet_import(answers="SS")
        assert "Flagged as AI-generated: 7 of 7 tracks of Tag Artist - Tag Another" in seen
        assert seen.count("the song's score 0.80 reaches the threshold 0.5") == 5 + 1
        assert "  and 2 more tracks\n" in seen

    def test_human_is_said_of_every_suspect(self) -> None:
        """What is unsure about the album is human as well, and what is real needs no word."""
        self.beet_import(answers="H")
        words = {
            str(item.title): self.rows(item).get("ai_override") for item in self.lib.items()
        }
        assert words == {
            "Mixed 1": ("text", "real"),
            "Mixed 2": None,
            "Mixed 3": ("text", "real"),
        }
        assert self.get_album().ai_album_flagged == 0

    def test_tracks_of_an_album_are_not_asked_for_again(self) -> None:
        """Who imports it, and then as tracks, has answered."""
        seen = self.beet_import(answers="ITUUU", autotag=True)
        assert seen.count(PROMPT) == 1
        assert len(self.lib.items()) == 3
        assert len(self.lib.albums()) == 0

    def test_left_tracks_stay_left(self) -> None:
        """Also where the rest is imported as tracks."""
        self.beet_import(answers="FTUU", autotag=True)
        assert self.imported() == {"Mixed 2", "Mixed 3"}

    def test_after_a_rescan(self) -> None:
        """A directory that is read again is not asked for again, nor scored."""
        seen = self.beet_import(answers="HRU", autotag=True)
        assert seen.count(PROMPT) == 1
        assert self.get("Mixed 1").ai_override == "real"

    def test_no_unsure_track_is_asked_for(self) -> None:
        """Unsure is not flagged."""
        self.sources[0].unlink()
        assert PROMPT not in self.beet_import()
        assert len(self.lib.items()) == 2


class TestScoredOnce(ActionHelper):
    """What is scored before the choice is what is stored."""

    @pytest.mark.parametrize("autotag", [True, False])
    @pytest.mark.parametrize("threaded", [True, False])
    def test_the_early_score_is_stored(self, autotag: bool, threaded: bool) -> None:
        """A file that could not be scored a second time has its score."""
        (path,) = self.write_album("Bad", "ai")
        self.config["threaded"] = threaded
        self.register_plugin(_spoiler(path))
        self.beet_import(answers="IU" if autotag else "I", autotag=autotag)
        item = self.get("Bad 1")
        assert item.ai_score == pytest.approx(SCORES["ai"], abs=ROUNDING)
        assert "ai_error" not in self.rows(item)

    def test_a_replaced_file_is_scored_as_it_is(self) -> None:
        """The score is of the file that is imported."""
        (path,) = self.write_album("Bad", "ai")
        self.register_plugin(_at_the_prompt(lambda: write_track(path, "real", title="Bad 1")))
        self.beet_import(answers="IU", autotag=True)
        assert self.get("Bad 1").ai_verdict == "real"


def _spoiler(path: Path) -> type[BeetsPlugin]:
    """Return a plugin that spoils a file's audio once it was scored, unnoticed."""

    def spoil() -> None:
        status = path.stat()
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2].ljust(len(data), b"\0"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return _at_the_prompt(spoil)


def _at_the_prompt(act: Callable[[], object]) -> type[BeetsPlugin]:
    """Return a plugin that does something between our question and the import."""

    class Actor(BeetsPlugin):
        def __init__(self) -> None:
            super().__init__("actor")
            self.listeners["import_task_choice"].append(self.act)
            self.early_import_stages = [self.act_asis]

        def act(self, **_: object) -> None:
            act()

        def act_asis(self, session: ImportSession, _task: ImportTask) -> None:
            if not session.config["autotag"].get(bool):
                act()

    return Actor


class TestOptions(ActionHelper):
    def test_quiet_is_as_report(self) -> None:
        """Nobody is asked with ``-q``; flagged tracks are named at the end."""
        self.write_album("Bad", "ai")
        seen = self.beet_import("-q", timid=False)
        assert PROMPT not in seen
        assert (
            seen.splitlines()[-1]
            == "1 track imported: 1 scored, 1 flagged as ai, 0 unsure, 0 failed"
        )

    def test_quiet_skips(self, caplog: pytest.LogCaptureFixture) -> None:
        """``skip`` needs nobody, and says what stays."""
        self.configure(import_action="skip", quiet=True)
        (path,) = self.write_album("Bad", "ai")
        self.beet_import("-q", "-s", timid=False)
        assert self.imported() == set()
        assert said(caplog) == [f"warning: skipped, flagged as ai: {path}"]

    def test_failures_are_not_flagged(self) -> None:
        """A file that cannot be scored is imported, and has its error."""
        write_broken(self.import_path / "album" / "9.flac")
        assert PROMPT not in self.beet_import()
        assert self.get("Broken").ai_error.startswith("unreadable: ")

    @pytest.mark.parametrize("action", ["ask", "skip"])
    def test_a_missing_model(self, action: str, caplog: pytest.LogCaptureFixture) -> None:
        """One line, and the import goes on as with ``report``."""
        self.write_album("Bad", "ai")
        self.write_album("Worse", "ai")
        self.configure(import_action=action)
        (self.model_folder / "model.onnx").unlink()
        assert PROMPT not in self.beet_import()
        assert self.imported() == {"Bad 1", "Worse 1"}
        (line,) = said(caplog)
        assert line.startswith("error: nothing is scored in this import: model ")

    def test_a_broken_section(self, caplog: pytest.LogCaptureFixture) -> None:
        """The same for a value that is none of the three."""
        self.write_album("Bad", "ai")
        self.configure(import_action="delete")
        self.beet_import()
        assert said(caplog) == [
            "error: nothing is scored in this import: artifactnet.import_action is 'delete', "
            "it must be report, ask or skip"
        ]
        assert self.imported() == {"Bad 1"}

    def test_declarations_alone(self) -> None:
        """With ``auto: no`` a file that declares itself generated is asked for."""
        self.configure(auto=False)
        (path,) = self.write_album("Bad", "real")
        add_tag(path, "AIGC", MUREKA)
        seen = self.beet_import(answers="I")
        assert "the file declares: " in seen
        assert self.get("Bad 1").ai_reason == "declared"
        assert "ai_score" not in self.rows(self.get("Bad 1"))

    def test_exempt_items_are_not_asked_for(self) -> None:
        """``auto_ignore`` keeps them from being scored, before the choice as after it."""
        self.write_album("Bad", "ai")
        self.configure(auto_ignore="title::Bad")
        assert PROMPT not in self.beet_import()
        assert self.rows(self.get("Bad 1")) == {}

    def test_abort(self) -> None:
        """As at beets' own prompts: the import ends, and what was not chosen stays."""
        self.write_album("Bad", "ai")
        self.write_album("Worse", "ai")
        seen = self.beet_import(answers="B")
        assert seen.count(PROMPT) == 1
        assert self.imported() == set()

    def test_pretend_asks_nothing(self) -> None:
        """``--pretend`` lists files."""
        self.write_album("Bad", "ai")
        assert PROMPT not in self.beet_import("--pretend")

    def test_nobody_to_ask(self) -> None:
        """Without input it is one line, as beets has it."""
        self.write_album("Bad", "ai")
        self.write_config()
        no_input = {"stdin": subprocess.DEVNULL}
        process = self.start_beet("import", "-A", str(self.import_path), **no_input)
        _, errors = process.communicate(timeout=60)
        assert errors.splitlines()[-1] == "error: stdin stream ended while input required"
        assert process.returncode == 1
        assert self.imported() == set()


class TestAsBeetsUsersKnowIt(ActionHelper):
    def setup_beets(self) -> None:
        super().setup_beets()
        self.sources = self.write_album("Bad", "ai")

    def test_what_the_library_has_is_not_asked_for(self) -> None:
        """Neither with ``-L``, nor where its files are imported again."""
        self.beet_import(answers="I")
        for args in (["-L"], ["-C", str(self.lib_path)]):
            self.config["import"].set({"autotag": False})
            assert PROMPT not in self.run_with_output("import", *args)
            assert self.get("Bad 1").ai_verdict == "ai"

    @pytest.mark.parametrize(("later", "n_asked"), [(False, 0), (True, 1)])
    def test_incremental(self, later: bool, n_asked: int) -> None:
        """A skipped album comes again where beets' ``incremental_skip_later`` says so."""
        options = {"incremental": True, "incremental_skip_later": later}
        self.beet_import(answers="S", **options)
        seen = self.beet_import(answers="S", **options)
        assert seen.count(PROMPT) == n_asked

    def test_resume(self) -> None:
        """An import that was ended goes on behind what was skipped."""
        self.write_album("Worse", "ai")
        self.config["threaded"] = False
        self.beet_import(answers="SB", resume=True)
        seen = self.beet_import(answers="I", resume=True)
        assert seen.count(PROMPT) == 1
        assert self.imported() == {"Worse 1"}

    def test_duplicates(self) -> None:
        """The question about flagged tracks comes first, and then that about duplicates."""
        self.beet_import(answers="I")
        seen = self.beet_import(answers="IS")
        assert seen.index(PROMPT) < seen.index("Old: 1 items")
        assert len(self.lib.items()) == 1
        self.beet_import(answers="IK")
        assert [item.ai_verdict for item in self.lib.items()] == ["ai", "ai"]

    def test_a_closed_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nobody can be asked nothing is imported."""
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(UserError, match="no standard input to ask on"):
            self.beet_import()
        assert not self.imported()

    @pytest.mark.parametrize("action", ["ask", "skip"])
    def test_replaced_duplicates(self, action: str, caplog: pytest.LogCaptureFixture) -> None:
        """What is left out replaces nothing: its old copy stays, with the user's word."""
        self.write_album("Mixed", "ai", "real")
        self.configure(import_action="report")
        self.beet_import()
        self.run_command("modify", "-y", "ai_override=human", "title:=Mixed 1")
        old = self.get("Mixed 1")
        self.configure(import_action=action)
        self.beet_import(answers="SF" if action == "ask" else "", duplicate_action="remove")
        now = self.lib.get_item(int(old.id or 0))
        assert now is not None
        assert now.ai_override == "real"
        assert now.filepath.is_file()
        assert "old copies are kept, flagged tracks were left out" in "".join(said(caplog))

    def test_merged_duplicates(self) -> None:
        """A merged album is not asked for again, and keeps its scores."""
        self.beet_import(answers="I")
        seen = self.beet_import(answers="IUMU", autotag=True)
        assert seen.count(PROMPT) == 1
        assert [item.ai_verdict for item in self.lib.items()] == ["ai", "ai"]

    @pytest.mark.parametrize("move", [True, False])
    def test_an_archive_stays(self, move: bool) -> None:
        """Of what is skipped out of an archive, the archive is kept."""
        archive = self.folder / "bad.tar"
        with tarfile.open(archive, "w") as file:
            file.add(self.sources[0], "Bad/1.flac")
        self.config["import"].set({"autotag": False, "move": move, "copy": not move})
        self.io.addinput("S")
        assert PROMPT in self.run_with_output("import", str(archive))
        assert archive.is_file()
        assert self.imported() == set()

    @pytest.mark.parametrize("answers", ["S", "IS", "ICU"])
    def test_beside_badfiles(self, answers: str) -> None:
        """Both ask, ours first; what is skipped at one is not asked for by the other."""
        self.config["badfiles"].set({"check_on_import": True, "commands": {"flac": "false"}})
        self.register_plugin(BadFiles)
        seen = self.beet_import(answers=answers, autotag=True)
        assert ("What would you like to do?" in seen) == (answers != "S")
        assert self.imported() == ({"Bad 1"} if answers == "ICU" else set())


@pytest.mark.slow
class TestOnATerminal(ActionHelper):
    """``beet import`` as it is used, with the keys that are typed."""

    def test_a_session(self) -> None:
        """Each album is shown with its evidence; names of files and tags steer nothing."""
        self.write_album("Bad", "ai", "real")
        self.write_album("Hostile", "ai", "ai")
        write_track(
            self.import_path / "Hostile" / "x\x1b[2J.flac",
            "ai",
            title="\x1b[2J\nname \u202e",
            artist="Tag Artist",
            album="Tag Hostile",
        )
        self.write_config()
        with beet_in_terminal("import", str(self.import_path), columns=60) as terminal:
            terminal.answer("aBort?", "h")
            terminal.answer("aBort?", "u")  # beets' own prompt: nothing was found
            terminal.answer("aBort?", "s")
            assert terminal.end() == 0
        seen = terminal.seen
        assert "Flagged as AI-generated: 1 of 2 tracks of Tag Artist - Tag Bad" in seen
        assert "for ai: the song's score 0.80 reaches the threshold 0.5" in seen
        assert "marked as human: 1 track" in seen
        assert "\\x1b[2J" in seen
        assert not {"\x1b", "\u202e"} & set(seen)
        assert "Traceback" not in seen
        assert self.imported() == {"Bad 1", "Bad 2"}
        assert self.get("Bad 1").ai_verdict == "real"

    @pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "sequential"])
    def test_ctrl_c(self, threaded: bool) -> None:
        """As at beets' own prompts: with threads it ends with the next Enter."""
        self.write_album("Bad", "ai")
        self.write_album("Worse", "ai")
        self.write_config(threaded=threaded)
        with beet_in_terminal("import", "-A", str(self.import_path)) as terminal:
            terminal.wait_for("aBort?")
            terminal.press_ctrl_c()
            if threaded:
                # beets waits for its threads, and looks once a second.
                time.sleep(1.5)
                terminal.send("\n")
            assert terminal.end() == 0
        assert terminal.seen.count(PROMPT) == 1
        assert "Traceback" not in terminal.seen
        assert self.imported() == set()


class TestQuarantine(ActionHelper):
    """The recipe: flagged tracks under a path of their own, and `beet move` afterwards."""

    def test_paths_follow_the_verdict(self) -> None:
        """A flagged track is put apart at import, and comes back when it is human after all."""
        self.configure(import_action="report")
        self.config["paths"].set({"ai_verdict:=ai": "Quarantine/$title", "default": "$title"})
        # beets reads them once for a library.
        vars(self.lib).pop("path_formats", None)
        self.write_album("Bad", "ai", "real")
        self.beet_import()
        assert self.files() == {"Quarantine/Bad 1.flac", "Bad 2.flac"}

        self.run_command("modify", "-y", "ai_override=human", "title:=Bad 1")
        self.run_command("move", "ai_verdict:=real")
        assert self.files() == {"Bad 1.flac", "Bad 2.flac"}

        self.run_command("modify", "-y", "ai_override=ai", "title:=Bad 2")
        self.run_command("move", "ai_verdict:=ai")
        assert self.files() == {"Bad 1.flac", "Quarantine/Bad 2.flac"}

    def files(self) -> set[str]:
        return {str(path.relative_to(self.lib_path)) for path in self.lib_path.rglob("*.flac")}
