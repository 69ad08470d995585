"""What stands beside a verdict: a file's own words, its signature, dates, lists of artists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError
from mediafile import MediaFile

from beetsplug.artifactnet.commands.descriptions import Beside
from beetsplug.artifactnet.results import ReleaseTags
from beetsplug.artifactnet.scoring.provenance import read_release
from beetsplug.artifactnet.scoring.provenance.batches import _in_batches
from beetsplug.artifactnet.workers.local import LocalWorkers
from tests.support.audio_files import encode, music
from tests.support.beets_library import ArtifactNetHelper, write_broken, write_track
from tests.support.signed_files import sign, write_signed
from tests.support.tagged_files import MUREKA, SUNO_COMMENT, add_comment, add_tag

ISSUER = "Eleven Labs Inc."
SPOTIFY = "0aBcDeFgHiJkLmNoPqRsTu"
MUSICBRAINZ = "a74b1b7f-71a5-4011-9441-d0b5e4122711"
NAMED = "The Velvet Example (said by the artist to be generated in part)"
LISTED = f"listed by Soul Over AI (souloverai.com), CC BY 4.0: {NAMED}"
OLD = "first released 1997, before 2023: speaks for human"
NOTHING: dict[str, Any] = {"claims": [], "c2pa": None, "release": None, "listed": None}
RECORDER = """
import os, sys

class Recorder:
    def find_spec(self, name, path=None, target=None):
        if name in ("c2pa", "cbor2", "asn1crypto"):
            with open(os.environ["IMPORTED_BY"], "a") as file:
                file.write(f"{name} {'worker' if '-P' in sys.orig_argv else 'main'}\\n")
            if name in os.environ.get("MISSING", ""):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Recorder())
"""
"""A ``sitecustomize`` that notes who imports what, and leaves out what is to be missing."""


class DescriptionHelper(ArtifactNetHelper):
    def setup_beets(self) -> None:
        super().setup_beets()
        self.outside = self.folder / "outside"
        self.outside.mkdir()

    def objects(self, *args: object) -> list[dict[str, Any]]:
        lines = self.run_lines("ai", "--json", *map(str, args))
        return [json.loads(line) for line in lines]

    def below(self, *args: object) -> list[str]:
        """Return the lines that stand below a track's own."""
        lines = self.run_lines("ai", *map(str, args))
        return [line.strip() for line in lines if line.startswith("    ")]

    def beside(self, *args: object) -> dict[str, Any]:
        """Return what the JSON of one track has beside its verdict."""
        (values,) = self.objects(*args)
        return {key: values[key] for key in NOTHING}

    def write_list(self, **ids: str) -> Path:
        entry = {
            "name": "The Velvet Example",
            "disclosure": "partial",
            "markers": ["anonymous"],
            **ids,
        }
        path = self.folder / "artists.json"
        path.write_text(json.dumps([entry]), encoding="utf-8")
        return path


class TestSignatures(DescriptionHelper):
    def sign_a_track(self, suffix: str = "flac") -> Path:
        """Write a track that the model calls real, signed as generated."""
        path = write_track(self.outside / f"signed.{suffix}", "real")
        sign(path)
        return path

    @pytest.mark.parametrize("suffix", ["mp3", "flac", "wav", "m4a"])
    def test_unchanged(self, suffix: str) -> None:
        """Issuer and state stand below the track; unchanged is never called trusted."""
        path = self.sign_a_track(suffix)
        line, claim, signature, last = self.run_lines("ai", str(path))
        assert line.endswith(f"{path}  says of itself: elevenlabs:c2pa")
        assert claim.startswith("    elevenlabs:c2pa (strong)")
        assert signature == f"    signature: {ISSUER}, unchanged, signer not verified"
        assert ", 0 failed, 1 declared as generated, " in last

    def test_changed(self) -> None:
        """A tag that was written since is told, in words and in JSON."""
        path = add_comment(self.sign_a_track(), "hello")
        changed = "file or manifest changed since it was signed"
        assert f"signature: {ISSUER}, {changed}" in self.below(path)
        (values,) = self.objects(path)
        assert (values["verdict"], values["reason"]) == ("ai", "declared")
        assert values["declared"] is True
        assert values["score"] < 0.5
        assert [claim["strength"] for claim in values["claims"]] == ["strong"]
        assert values["c2pa"]["state"] == "changed"
        assert values["c2pa"]["issuer"] == ISSUER
        assert values["c2pa"]["source_type"] == "trainedAlgorithmicMedia"

    def test_a_container_that_cannot_be_looked_into(self) -> None:
        """What is signed in Ogg is named, its state is said to be out of reach."""
        path = write_signed(self.outside / "a.ogg")
        assert self.beside(path)["c2pa"]["state"] == "unsupported"

    def test_a_track_of_the_library(self) -> None:
        """A track that has its score is described as well, by path and by query."""
        path = write_track(self.lib_path / "signed.flac", "real")
        sign(path)
        self.add_file(path, title="Signed")
        self.run_command("ai")
        line = f"signature: {ISSUER}, unchanged, signer not verified"
        assert line in self.below(path)
        for args in ([path], ["title:Signed"]):
            (values,) = self.objects(*args)
            assert values["c2pa"]["state"] == "untrusted"
            assert (values["declared"], values["reason"]) == (True, "declared")

    def test_quiet(self) -> None:
        """``-q`` prints the summary alone."""
        assert len(self.run_lines("ai", "-q", str(self.sign_a_track()))) == 1

    @pytest.mark.slow
    def test_a_file_that_cannot_be_scored(self) -> None:
        """What it declares is shown without a score, beside the reason of the failure."""
        path = write_broken(self.outside / "broken.flac")
        add_tag(path, "AIGC", MUREKA)
        self.write_config()
        done = self.beet("ai", str(path))
        assert done.returncode == 1
        first = done.stdout.splitlines()[0].split(maxsplit=1)
        assert first == ["ai", f"{path}  says of itself: mureka:aigc"]
        assert "not scored: " in done.stderr
        done = self.beet("ai", "--json", str(path))
        values = json.loads(done.stdout)
        assert (values["verdict"], values["score"]) == ("ai", None)
        assert values["error"].startswith("unreadable: ")

    @pytest.mark.parametrize("missing", ["", "c2pa"])
    def test_who_reads(self, missing: str) -> None:
        """Workers alone load the parsers; without the extra the state is unknown."""
        self.write_config()
        site, notes = self.folder / "site", self.folder / "notes"
        site.mkdir()
        (site / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
        environment = {"PYTHONPATH": str(site), "IMPORTED_BY": str(notes), "MISSING": missing}
        path = self.sign_a_track()

        done = subprocess.run(
            [str(Path(sys.executable).with_name("beet")), "ai", str(path)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (done.returncode, done.stderr) == (0, "")
        state = "unknown" if missing else "unchanged, signer not verified"
        assert f"    signature: {ISSUER}, {state}" in done.stdout.splitlines()
        assert set(notes.read_text().splitlines()) == {
            "c2pa worker",
            "cbor2 worker",
            "asn1crypto worker",
        }


class TestOwnWords(DescriptionHelper):
    def test_nothing_to_say(self) -> None:
        """A plain file has its one line, and nothing in JSON."""
        path = write_track(self.outside / "plain.flac")
        assert self.below(path) == []
        assert self.beside(path) == NOTHING

    def test_a_file_that_is_gone(self) -> None:
        """Of a track whose file is not there nothing is claimed, not even that it is silent."""
        item = self.add_track("One")
        self.run_command("ai")
        Path(item.filepath).unlink()
        assert self.below(self.lib_path) == ["what it says of itself cannot be read"]
        assert self.beside("title:One") == {**NOTHING, "claims": None}

    def test_control_characters(self) -> None:
        """What a file says of itself cannot steer a terminal."""
        label = {"Label": "1", "ContentProducer": "A\x1b[31mcme", "ProduceID": "1\n2"}
        path = add_tag(write_track(self.outside / "a.flac"), "AIGC", json.dumps(label))
        output = self.run_with_output("ai", str(path))
        assert "(strong)" in output
        assert "\x1b" not in output
        assert len(output.splitlines()) == 3

    def test_a_folder(self) -> None:
        """More files than one task holds are each described once, whatever the order."""
        source = write_track(self.outside / "0.flac", "real", duration_s=1.0)
        for number in range(1, 70):
            (self.outside / f"{number}.flac").write_bytes(source.read_bytes())
        add_comment(self.outside / "66.flac", SUNO_COMMENT)
        found = {Path(value["path"]).stem: value for value in self.objects(self.outside)}
        assert len(found) == 70
        (claimed,) = (stem for stem, value in found.items() if value["claims"])
        assert claimed == "66"
        assert found["66"]["claims"][0]["claim"] == "suno:comment"


class TestDates(DescriptionHelper):
    def write_dated(self, **tags: Any) -> Path:
        return write_track(self.outside / "dated.mp3", "ai", **tags)

    def test_first_release(self) -> None:
        """A first release before 2023 is named, and decides nothing."""
        path = self.write_dated(original_year=1997, year=2024)
        assert self.below(path) == [OLD]
        (values,) = self.objects(path)
        assert values["release"] == {"year": 1997, "speaks_for": "human"}
        assert (values["verdict"], values["reason"]) == ("ai", "score")

    def test_the_only_year(self) -> None:
        """Where the first release is unknown, that of the file counts."""
        path = self.write_dated(year=2022)
        assert self.below(path) == ["released 2022, before 2023: speaks for human"]

    @pytest.mark.parametrize(
        "tags", [{"year": 2023}, {"original_year": 2024, "year": 2020}, {"year": 12}]
    )
    def test_nothing_is_said(self, tags: dict[str, int]) -> None:
        """Later years, and what is none, say nothing."""
        path = self.write_dated(**tags)
        assert self.below(path) == []
        assert self.beside(path) == NOTHING

    def test_the_library_knows_better(self) -> None:
        """Of a track in the library the library's dates count, not the file's."""
        item = self.add_track("Old", "ai", original_year=1997)
        file = MediaFile(item.filepath)
        file.original_year = 2024
        file.save()
        assert self.below(item.filepath) == [OLD]
        assert self.beside("title:Old")["release"]["year"] == 1997
        assert self.get("Old").ai_verdict == "ai"


class TestLists(DescriptionHelper):
    def test_a_file_outside(self) -> None:
        """The artist's MusicBrainz id finds the entry; verdict and score are as before."""
        path = write_track(self.outside / "a.mp3", "real", mb_artistid=MUSICBRAINZ)
        artists = self.write_list(musicbrainz=MUSICBRAINZ.upper())
        assert self.below("--lists", artists, path) == [LISTED]
        (values,) = self.objects("--lists", artists, path)
        assert values["listed"] == {
            "by": "Soul Over AI (souloverai.com), CC BY 4.0",
            "name": "The Velvet Example",
            "disclosure": "partial",
        }
        assert (values["verdict"], values["reason"]) == ("real", "score")
        assert self.beside(path) == NOTHING

    @pytest.mark.parametrize(
        ("key", "values"),
        [
            ("spotify", {"spotify_artist_id": SPOTIFY}),
            ("musicbrainz", {"mb_artistid": MUSICBRAINZ}),
            ("musicbrainz", {"mb_artistids": ["other", MUSICBRAINZ]}),
        ],
    )
    def test_tracks_of_the_library(self, key: str, values: dict[str, Any]) -> None:
        """The ids that beets stores find the entry, by path and by query with ``--json``."""
        item = self.add_track("One", "real", **values)
        self.add_track("Two", "real", artist_credit="The Velvet Example")
        ids = {"spotify": SPOTIFY, "musicbrainz": MUSICBRAINZ}
        artists = self.write_list(**{key: ids[key]})
        assert self.below("--lists", artists, item.filepath) == [LISTED]
        found = self.objects("--lists", artists)
        names = {v["id"]: v["listed"] and v["listed"]["name"] for v in found}
        assert names == {item.id: "The Velvet Example", self.get("Two").id: None}
        assert self.get("One").ai_verdict == "real"

    @pytest.mark.parametrize("args", [[], ["title:One"], ["-a", "--pretend"]])
    def test_where_it_is_no_option(self, args: list[str]) -> None:
        """A query without ``--json`` has no lines that it could add to."""
        self.add_track("One")
        artists = self.write_list(spotify=SPOTIFY)
        with pytest.raises(UserError, match="--lists goes with files and folders that are"):
            self.run_command("ai", "--lists", str(artists), *args)
        assert self.n_scored() == 0

    @pytest.mark.parametrize("text", ["{}", "[", '[{"name": "A"}]', None])
    def test_a_broken_file(self, text: str | None) -> None:
        """What is no list is one line, and nothing is scored."""
        path = write_track(self.outside / "a.flac")
        artists = self.folder / "artists.json"
        if text is not None:
            artists.write_text(text)
        self.write_config()
        done = self.beet("ai", "--lists", str(artists), str(path))
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: artifactnet: {artists}")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of Unix")
    def test_a_pipe(self) -> None:
        """Nobody writes to it, and nobody waits for it."""
        pipe = self.folder / "artists.json"
        os.mkfifo(pipe)
        path = write_track(self.outside / "a.flac")
        with pytest.raises(UserError, match=r"artists\.json is no file"):
            self.run_command("ai", "--lists", str(pipe), str(path))


class TestSummaries(DescriptionHelper):
    def test_declared_tracks_are_counted(self) -> None:
        """The last line counts tracks that declare themselves, whatever decides."""
        self.configure(declared=False)
        item = self.add_track("One", "real")
        self.add_track("Two", "real")
        add_tag(Path(item.filepath), "AIGC", MUREKA)
        last = self.run_lines("ai")[-1]
        assert last.startswith("2 scored, 0 skipped, 0 flagged as ai, 0 unsure, 0 failed, ")
        assert ", 1 declared as generated, " in last
        assert "declared" not in self.run_lines("ai", "-f", "title:Two")[-1]


def fatal_for_one(paths: Sequence[Path]) -> list[str]:
    """Return the files' names; end the process where one is called ``fatal``."""
    if any(path.name == "fatal" for path in paths):
        os._exit(3)
    return [path.name for path in paths]


@pytest.mark.slow
def test_a_file_that_ends_its_worker() -> None:
    """It costs its own description, and no other of the same batch."""
    paths = [Path("one"), Path("fatal"), *(Path(f"{number}") for number in range(100))]
    workers = LocalWorkers(1)
    found = dict(_in_batches(fatal_for_one, paths, workers, None, lambda: False))
    workers.close()
    assert found == {n: p.name if p.name != "fatal" else None for n, p in enumerate(paths)}


def test_a_description_that_is_lost() -> None:
    """That is said, and nothing is made up in its place."""
    beside = Beside(None, ReleaseTags(original_year=1997))
    assert list(beside.lines()) == ["    what it says of itself cannot be read", f"    {OLD}"]
    assert beside.as_dict() == {
        "claims": None,
        "c2pa": None,
        "release": {"year": 1997, "speaks_for": "human"},
        "listed": None,
    }


def test_music_is_no_evidence(tmp_path: Path) -> None:
    """A file with neither tags nor manifest has no dates and no ids."""
    assert read_release(encode(tmp_path / "a.wav", music(0.1), 8_000)) == ReleaseTags()
    assert read_release(tmp_path / "none.mp3") == ReleaseTags()
    (tmp_path / "b.mp3").write_bytes(b"ID3 no music at all")
    assert read_release(tmp_path / "b.mp3") == ReleaseTags()
