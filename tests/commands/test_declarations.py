"""``beet artifactnet``: declarations in its lines, reading them alone, and signed files."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from beets.exceptions import UserError
from beets.library import Item

from tests.support.beets_library import ArtifactNetHelper, our_tags, said, write_track
from tests.support.faults import failing, needs_faults
from tests.support.signed_files import sign, write_signed
from tests.support.tagged_files import MUREKA, add_artist, add_tag

SUMMARY = re.compile(
    r"(\d+) files? read, (\d+) declared as generated, (\d+) with weaker claims, "
    r"(\d+) missing or unreadable, \d+ files per minute"
)


def summary(line: str) -> tuple[int, ...]:
    """Return read, declared, other and missing of a summary line."""
    match = SUMMARY.fullmatch(line)
    assert match, line
    return tuple(int(number) for number in match.groups())


class DeclarationHelper(ArtifactNetHelper):
    def add_declared(self, title: str = "Declared", verdict: str = "real") -> Item:
        item = self.add_track(title, verdict)
        add_tag(Path(item.filepath), "AIGC", MUREKA)
        return item

    def add_signed(self, suffix: str = "mp3") -> Item:
        path = write_signed(self.lib_path / f"signed.{suffix}")
        return self.add_file(path, title="Signed", artist="Artist", album="Album")


class TestScoring(DeclarationHelper):
    def test_a_declared_track_is_told(self) -> None:
        """Its line has the verdict, the score as the model gave it, and who declared."""
        self.add_declared()
        line, last = self.run_lines("artifactnet")
        item = self.get("Declared")
        assert line == (
            f"ai     {item.ai_score:.4f}  Artist - Album - Declared  (declared by mureka:aigc)"
        )
        assert item.ai_score < 0.5
        assert last.startswith("1 scored, 0 skipped, 1 flagged as ai,")

    def test_declared_no(self) -> None:
        """With ``declared: no`` the score decides, and the claim stays visible."""
        self.configure(declared=False)
        self.add_declared()
        assert len(self.run_lines("artifactnet")) == 1
        item = self.get("Declared")
        assert (item.ai_verdict, item.ai_reason) == ("real", "score")
        assert item.ai_declared
        self.configure(declared=True)
        line = self.run_lines("artifactnet")[0]
        assert line.endswith("  (declared by mureka:aigc)  (was real)")
        assert self.get("Declared").ai_verdict == "ai"


class TestDeclaredOnly(DeclarationHelper):
    def test_reads_without_decoding(self) -> None:
        """Claims and verdicts are stored, no track is scored, and a second run agrees."""
        self.add_declared()
        hint = self.add_track("Hint", "real")
        add_artist(Path(hint.filepath), "Udio")
        self.add_track("Plain", "ai")
        for _ in range(2):
            *lines, last = self.run_lines("artifactnet", "--declared-only")
            assert sorted(lines) == [
                "-      udio:artist  Artist - Album - Hint",
                "ai     mureka:aigc  Artist - Album - Declared",
            ]
            assert summary(last) == (3, 1, 1, 0)
        assert self.n_scored() == 0
        assert self.rows(self.get("Plain")) == {}
        assert self.rows(self.get("Declared")).keys() == {
            *("ai_provenance", "ai_declared", "ai_verdict", "ai_reason")
        }
        assert self.rows(self.get("Hint")) == {"ai_provenance": ("text", "udio:artist")}

    def test_a_broken_file_is_read(self) -> None:
        """A file whose audio is damaged still says what it says; a missing one is counted."""
        item = self.add_declared()
        path = Path(item.filepath)
        path.write_bytes(path.read_bytes()[:-2_000])
        Path(self.add_track("Gone").filepath).unlink()
        *_, last = self.run_lines("artifactnet", "--declared-only")
        assert summary(last) == (1, 1, 0, 1)
        assert "ai_error" not in self.rows(self.get("Gone"))

    @needs_faults
    @pytest.mark.parametrize("at", ["open", "read"])
    @pytest.mark.slow
    def test_what_cannot_be_read_is_kept(self, at: str) -> None:
        """A claim whose file is on a bad sector is not forgotten."""
        self.add_declared()
        self.write_config()
        words = [sys.executable, "-m", "beets", "ai", "--forget-provenance", "title:Declared"]
        subprocess.run(words, check=True, capture_output=True, timeout=100)
        before = self.rows(self.get("Declared"))
        assert "ai_provenance" in before
        environment = failing(self.folder, "Declared", errno.EIO, at=at)
        done = subprocess.run(
            words, env=environment, check=True, capture_output=True, text=True, timeout=100
        )
        assert summary(done.stdout.splitlines()[-1]) == (0, 0, 0, 1)
        assert self.rows(self.get("Declared")) == before

    @pytest.mark.slow
    def test_many_files(self) -> None:
        """More files than one task holds are each read once."""
        path = Path(self.add_declared().filepath)
        for number in range(150):
            self.add_file(path, title=f"Copy {number}")
        last = self.run_lines("artifactnet", "--declared-only", "-q", "-t", "2")[-1]
        assert summary(last) == (151, 151, 0, 0)

    def test_query_pretend_and_album(self) -> None:
        """Queries, ``-a`` and ``-p`` work as for scoring; nothing found is an error."""
        self.add_album_of("real", "real")
        self.add_declared()
        lines = self.run_lines("artifactnet", "--declared-only", "-p", "title:Declared")
        assert lines == ["1 file would be read"]
        assert self.rows(self.get("Declared")) == {}
        last = self.run_lines("artifactnet", "--declared-only", "-a", "album:Album")[-1]
        assert summary(last)[0] == 2
        with pytest.raises(UserError, match=r"no track matches title:Nothing$"):
            self.run_command("artifactnet", "--declared-only", "title:Nothing")

    def test_files_outside_the_library(self) -> None:
        """They are read and printed; nothing of them is stored, so nothing can be forgotten."""
        item = self.add_declared()
        outside = self.folder / "outside"
        path = add_tag(write_track(outside / "a.flac"), "AIGC", MUREKA)
        write_track(outside / "b.flac")
        (outside / "c.mp3").symlink_to("nothing")

        line, claim, last = self.run_lines("ai", "--declared-only", f"{outside}/")

        assert line == f"ai     mureka:aigc  {path}"
        assert claim.startswith("    mureka:aigc (strong)")
        assert summary(last) == (2, 1, 0, 1)
        both = [str(path), str(item.filepath)]
        objects = [
            json.loads(o) for o in self.run_lines("ai", "--declared-only", "--json", *both)
        ]
        assert [(o["id"], o["verdict"], o["score"]) for o in objects] == [
            (None, "ai", None),
            (item.id, "ai", None),
        ]
        assert len(self.lib.items()) == 1
        with pytest.raises(UserError, match=f"--forget-provenance is for .* {path} is none"):
            self.run_command("ai", "--forget-provenance", *both)

    @pytest.mark.parametrize("option", ["--force", "--outdated", "--retry-failed", "--write"])
    def test_options_that_contradict(self, option: str) -> None:
        """An option of scoring beside it is refused."""
        self.add_declared()
        with pytest.raises(UserError, match=f"{option}.* exclude each other: declarations"):
            self.run_command("artifactnet", "--declared-only", option)


class TestForgetting(DeclarationHelper):
    def strip(self, item: Item) -> None:
        import mutagen

        file = mutagen.File(item.filepath)
        file.delete()

    def test_stays_until_forgotten(self) -> None:
        """A claim stays when the file loses it, and goes when it is told to be read anew."""
        item = self.add_declared()
        self.run_command("artifactnet")
        self.strip(item)
        self.run_command("artifactnet", "-f")
        self.run_command("artifactnet", "--declared-only")
        assert self.get("Declared").ai_provenance == "mureka:aigc"
        assert self.get("Declared").ai_verdict == "ai"

        last = self.run_lines("artifactnet", "--forget-provenance", "title:Declared")[-1]

        assert summary(last) == (1, 0, 0, 0)
        item = self.get("Declared")
        assert (item.ai_verdict, item.ai_reason) == ("real", "score")
        assert not {"ai_provenance", "ai_declared"} & self.rows(item).keys()

    def test_reads_anew(self) -> None:
        """What the file says now takes the place of what it said."""
        item = self.add_declared()
        item.ai_provenance = "acme:aigc"
        item.store()
        self.run_command("artifactnet", "--forget-provenance", "title:Declared")
        assert self.get("Declared").ai_provenance == "mureka:aigc"

    def test_a_missing_file_is_not_forgotten(self) -> None:
        """What cannot be read anew stays."""
        item = self.add_declared()
        self.run_command("artifactnet", "--declared-only")
        Path(item.filepath).unlink()
        self.run_command("artifactnet", "--forget-provenance", "title:Declared")
        assert self.get("Declared").ai_provenance == "mureka:aigc"

    def test_needs_a_query(self) -> None:
        """The whole library is not forgotten by a slip."""
        self.add_declared()
        with pytest.raises(UserError, match="needs a query"):
            self.run_command("artifactnet", "--forget-provenance")


class TestSignedFiles(DeclarationHelper):
    @pytest.mark.parametrize("suffix", ["mp3", "flac", "wav", "m4a"])
    def test_kept_free_of_tags(self, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
        """``-w`` leaves a file with a manifest as it is, byte for byte, and says so."""
        path = Path(self.add_signed(suffix).filepath)
        before = path.read_bytes()
        self.run_command("artifactnet", "-w")
        assert path.read_bytes() == before
        assert said(caplog) == [
            f"warning: {path}: no AI_ tags are written, it carries a C2PA manifest "
            f"(keep_signed)"
        ]
        assert self.get("Signed").ai_verdict == "ai"

    def test_written_where_it_is_wanted(self, caplog: pytest.LogCaptureFixture) -> None:
        """With ``keep_signed: no`` tags are written, one line says what that does."""
        self.configure(keep_signed=False)
        path = Path(self.add_signed().filepath)
        self.run_command("artifactnet", "-w")
        assert our_tags(path).keys() == {"AI_SCORE", "AI_VERDICT"}
        assert said(caplog) == [
            f"warning: {path}: writing tags spoils its C2PA manifest; "
            f"what it said stays in ai_provenance"
        ]
        self.run_command("artifactnet", "-f")
        assert self.get("Signed").ai_provenance == "elevenlabs:c2pa"

    def test_other_files_are_written(self, caplog: pytest.LogCaptureFixture) -> None:
        """A file without a manifest, or that lost it since, gets its tags."""
        item = self.add_declared()
        item.ai_provenance = "google:c2pa"
        item.store()
        self.run_command("artifactnet", "-w")
        assert our_tags(Path(item.filepath)).keys() == {"AI_SCORE", "AI_VERDICT"}
        assert said(caplog) == []

    def test_beets_own_writing(self) -> None:
        """``beet write`` with ``write: yes`` writes beets' tags, and none of ours."""
        self.configure(write=True)
        item = self.add_signed()
        self.run_command("artifactnet")
        item = self.get("Signed")
        item.title = "Renamed"
        item.store()
        self.run_command("write")
        path = Path(item.filepath)
        assert our_tags(path) == {}
        assert Item.from_path(item.path).title == "Renamed"

    def test_signed_again(self) -> None:
        """A file that is signed after it was scored keeps both claims."""
        item = self.add_track("Song", "real", name="song.wav")
        self.run_command("artifactnet")
        sign(Path(item.filepath))
        self.run_command("artifactnet", "--declared-only")
        assert self.get("Song").ai_verdict == "ai"
