"""``beet ai PATH``: files and folders, in the library or not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError

from tests.support.beets_library import (
    MODEL,
    ROUNDING,
    SCORES,
    ArtifactNetHelper,
    our_tags,
    write_broken,
    write_track,
)

SUNO_ID = "0123abcd-4567-89ab-cdef-0123456789ab"


class TestPaths(ArtifactNetHelper):
    def setup_beets(self) -> None:
        super().setup_beets()
        self.outside = self.folder / "outside"

    def objects(self, *args: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run_lines("ai", "--json", *args)]

    def test_a_file_outside_the_library(self) -> None:
        """It is scored and printed, and nothing of it is stored or written."""
        path = write_track(
            self.outside / "x.flac",
            comments=f"made with suno; created=2025-05-01T00:00:00Z; id={SUNO_ID}",
        )
        before = path.read_bytes()

        with pytest.raises(UserError, match=f"--write is for .*, and {path} is none"):
            self.run_command("ai", "-w", str(path))
        line, claim, last = self.run_lines("ai", str(path))

        verdict, score, rest = line.split(maxsplit=2)
        assert verdict == "ai"
        assert float(score) == pytest.approx(SCORES["ai"], abs=ROUNDING)
        assert rest == f"{path}  says of itself: suno:comment"
        assert claim.startswith("    suno:comment (strong): made with suno; ")
        assert last.startswith("1 scored, none stored, 1 flagged as ai, 0 unsure, 0 failed")
        assert len(self.lib.items()) == 0
        assert (path.read_bytes(), our_tags(path)) == (before, {})

    def test_a_folder(self) -> None:
        """All audio below it is scored, human-made music is named, too."""
        for name, verdict in (("a/1.flac", "ai"), ("a/2.mp3", "real"), ("b/3.ogg", "unsure")):
            write_track(self.outside / name, verdict)
        (self.outside / "cover.jpg").write_bytes(b"no audio")

        *lines, last = self.run_lines("ai", str(self.outside))

        assert sorted(line.split()[0] for line in lines) == ["ai", "real", "unsure"]
        assert last.startswith("3 scored, none stored, 1 flagged as ai, 1 unsure, 0 failed")

    def test_a_track_of_the_library(self) -> None:
        """A path in the library is its track: scored when due, stored, printed."""
        item = self.add_track("One")
        other = write_track(self.lib_path / "other.flac", "real")
        self.add_track("Two")

        lines = self.run_lines("ai", str(item.filepath), str(other))

        assert self.get("One").ai_verdict == "ai"
        assert self.rows(self.get("Two")) == {}
        assert sum(line.endswith(f"  {item.filepath}") for line in lines) == 1
        assert sum(line.endswith(f"  {other}") for line in lines) == 1
        assert len(self.lib.items()) == 2
        again = self.run_lines("ai", str(item.filepath))
        assert again[0] == "nothing to score: 1 track has a score"
        assert again[1].endswith(f"  {item.filepath}")

    @pytest.mark.parametrize("above", [0, 1])
    def test_the_folder_of_the_library(self, above: int) -> None:
        """The tracks in it are the library's, as they are in a folder above it."""
        item = self.add_track("One")
        other = write_track(self.lib_path / "other.flac", "real")

        lines = self.run_lines("ai", str([self.lib_path, self.lib_path.parent][above]))

        assert self.get("One").ai_verdict == "ai"
        assert sum(line.endswith(f"  {item.filepath}") for line in lines) == 1
        assert sum(line.endswith(f"  {other}") for line in lines) == 1
        assert lines[-1].startswith("1 scored, none stored")

    def test_writing_tags(self) -> None:
        """Those of the library's tracks are written, and the line of the others says so."""
        item = self.add_track("One")
        other = write_track(self.lib_path / "other.flac")
        last = self.run_lines("ai", "-w", str(item.filepath), str(other))[-1]
        assert last.startswith("1 scored, none stored or written, ")
        assert our_tags(Path(item.filepath)) != {}
        assert our_tags(other) == {}

    def test_the_current_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file's name needs no separator; a folder's does: it may be a word of a title."""
        write_track(self.outside / "demo" / "x.flac")
        write_track(self.outside / "y.flac")
        self.add_track("demo")
        monkeypatch.chdir(self.outside)

        assert self.run_lines("ai", "y.flac")[-1].startswith("1 scored, none stored")
        assert self.run_lines("ai", ".")[-1].startswith("2 scored, none stored")
        assert self.run_lines("ai", "demo/")[-1].startswith("1 scored, none stored")
        assert self.run_lines("ai", "demo")[-1].startswith("1 scored, 0 skipped")
        (self.outside / "demo").rename("music")
        with pytest.raises(UserError, match="matches music; for the folder write music/"):
            self.run_command("ai", "music")
        with pytest.raises(UserError, match=r"no album matches music/$"):
            self.run_command("ai", "-a", "music/")

    @pytest.mark.parametrize("name", ["日本.flac", "a b'c\".flac", "-x.flac", b"\xff\xfe.flac"])
    def test_names(self, name: str | bytes) -> None:
        """Names in any script, and such that are no text, are printed on one line."""
        source = write_track(self.folder / "source.flac")
        self.outside.mkdir()
        path = self.outside / os.fsdecode(name)
        path.write_bytes(source.read_bytes())

        lines = self.run_lines("ai", str(self.outside))
        (found,) = self.objects(str(self.outside))

        assert len(lines) == 2
        assert found["path"] == os.fsdecode(os.fsencode(path))

    def test_failures(self) -> None:
        """What cannot be scored is said with its reason; status 1 where all of it is."""
        broken = write_broken(self.outside / "broken.flac")
        self.write_config()

        done = self.beet("ai", str(broken))

        assert done.returncode == 1
        first, last = done.stderr.splitlines()
        assert first.startswith(f"artifactnet: not scored: {broken}: ")
        assert last == "error: artifactnet: the file could not be scored"

    def test_mixed(self) -> None:
        """Paths and queries do not mix, and the line names the word that is no path."""
        path = write_track(self.outside / "x.flac")
        with pytest.raises(UserError, match="do not mix: artist:x is no file or folder"):
            self.run_command("ai", str(path), "artist:x")

    @pytest.mark.parametrize(
        ("arg", "hint"),
        [
            ("/no/such/file", "; there is no file /no/such/file"),
            ("misspelt.flac", "; there is no file misspelt.flac"),
            (f"{'x' * 300}.mp3", f"; there is no file {'x' * 300}.mp3"),
            ("title:misspelt.flac", ""),
            ("misspelt", ""),
        ],
    )
    def test_nothing_is_no_success(self, arg: str, hint: str) -> None:
        """What is neither a path nor found by a query ends with status 1 and says so."""
        self.add_track("One")
        self.write_config()

        done = self.beet("ai", arg)

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error: artifactnet: no track matches {arg}{hint}\n"

    def test_a_folder_without_audio(self) -> None:
        """That is said, too."""
        self.outside.mkdir()
        with pytest.raises(UserError, match="artifactnet: no audio in "):
            self.run_command("ai", str(self.outside))

    def test_pretend(self) -> None:
        """``-p`` lists files and tracks, and scores none."""
        path = write_track(self.outside / "x.flac")
        item = self.add_track("One")
        lines = self.run_lines("ai", "-p", str(path), str(item.filepath))
        assert lines == [
            "Artist - Album - One",
            "1 track would be scored",
            str(path),
            "1 file outside the library would be scored",
        ]
        assert self.rows(item) == {}

    def test_json_of_files(self) -> None:
        """One object a line, and nothing else on stdout."""
        good = write_track(self.outside / "good.flac", "real")
        broken = write_broken(self.outside / "broken.flac")

        found = {value["path"]: value for value in self.objects(str(self.outside))}

        assert found.keys() == {str(good), str(broken)}
        value = found[str(good)]
        assert value["verdict"] == "real"
        assert value["score"] == pytest.approx(SCORES["real"], abs=ROUNDING)
        assert (value["id"], value["model"], value["error"]) == (None, MODEL, None)
        assert value["timeline"][0][0] == 0.0
        assert len(value["timeline"]) == value["segments"]
        failed = found[str(broken)]
        assert (failed["verdict"], failed["score"], failed["timeline"]) == (None, None, [])
        assert failed["error"].startswith("unreadable: ")

    def test_json_of_tracks(self) -> None:
        """What a query finds, after scoring what is due, in the query's order."""
        one, two = self.add_track("One", "real"), self.add_track("Two", "ai")

        found = self.objects("ai_score-", "title::.")

        assert [value["id"] for value in found] == [one.id, two.id]
        assert [value["id"] for value in self.objects("ai_score-")] == [two.id, one.id]
        assert [value["verdict"] for value in self.objects()] == ["real", "ai"]
        assert found[0]["path"] == str(Path(one.filepath))
        self.run_command("modify", "-y", "ai_override=human", "title:Two")
        (value,) = self.objects("title:Two")
        assert (value["verdict"], value["override"]) == ("real", "real")
