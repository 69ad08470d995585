"""Verdicts and overrides of whole albums."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import beetsplug.artifactnet
from beetsplug.artifactnet.library import album_verdict
from beetsplug.artifactnet.results import Verdict
from tests.support.beets_library import ArtifactNetHelper, said, write_broken

AI, UNSURE, REAL = Verdict.AI, Verdict.UNSURE, Verdict.REAL


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([AI], AI),
        ([AI, REAL], AI),
        ([AI, REAL, REAL], UNSURE),
        ([AI, None], AI),
        ([AI, None, None], UNSURE),
        ([REAL, REAL], REAL),
        ([REAL, None], UNSURE),
        ([REAL, UNSURE], UNSURE),
        ([UNSURE, UNSURE], UNSURE),
    ],
)
def test_the_verdict_on_an_album(
    verdicts: list[Verdict | None], expected: Verdict | None
) -> None:
    """`ai` from half of the tracks on, `real` where all of them are, else `unsure`."""
    assert album_verdict(verdicts) is expected


class TestAlbums(ArtifactNetHelper):
    def setup_beets(self) -> None:
        super().setup_beets()
        self.album = self.add_album_of("ai", "real", "real")
        self.run_command("artifactnet", "-q")

    def words(self) -> list[str | None]:
        items = [self.get(f"Track {number}") for number in (1, 2, 3)]
        return [item.get("ai_override", None, with_album=False) for item in items]

    def verdicts(self) -> str:
        verdicts = [str(self.get(f"Track {number}").ai_verdict) for number in (1, 2, 3)]
        return " ".join([*verdicts, str(self.get_album().ai_album_verdict)])

    def modify(self, *args: str) -> None:
        self.run_command("modify", "-y", *args)

    def test_notes(self) -> None:
        """An album's note goes to the tracks that take its word; others keep their own."""
        self.modify("title:Track 1", "ai_override=ai", "ai_override_note=sure of it")
        first = self.get("Track 1").ai_override_date
        self.modify("-a", "album:Album", "ai_override=human", "ai_override_note=a friend's")
        items = [self.get(f"Track {number}") for number in (1, 2, 3)]
        notes = [item.get("ai_override_note", with_album=False) for item in items]
        assert notes == ["sure of it", "a friend's", "a friend's"]
        assert self.words() == ["ai", "real", "real"]
        assert items[0].ai_override_date == first <= items[1].ai_override_date
        self.modify("-a", "album:Album", "ai_override!")
        items = [self.get(f"Track {number}") for number in (1, 2, 3)]
        notes = [item.get("ai_override_note") for item in items]
        assert notes == ["sure of it", None, None]
        dates = [item.get("ai_override_date") for item in items]
        assert dates == [first, None, None]

    def test_the_same_word_with_another_note(self) -> None:
        """A track whose own word is the album's keeps its note."""
        self.modify("title:Track 1", "ai_override=human", "ai_override_note=I was there")
        self.modify("-a", "album:Album", "ai_override=human", "ai_override_note=a friend's")
        assert self.get("Track 1").ai_override_note == "I was there"

    def notes(self) -> list[str | None]:
        items = [self.get(f"Track {number}") for number in (1, 2, 3)]
        return [item.get("ai_override_note", None, with_album=False) for item in items]

    def test_an_albums_note_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        """It goes to the tracks that have the album's word and note, and to no other."""
        self.modify("title:Track 1", "ai_override=ai", "ai_override_note=sure of it")
        self.modify("-a", "ai_override=human", "ai_override_note=a friend's")
        self.modify("title:Track 2", "ai_override_note=I was there")
        caplog.clear()

        self.modify("-a", "ai_override_note=a cousin's")
        assert self.notes() == ["sure of it", "I was there", "a cousin's"]
        assert said(caplog) == [
            "info: ai_override of Artist - Album: tracks: 1 changed, 2 keep their own note"
        ]
        self.modify("-a", "ai_override_note=an aunt's")
        assert self.notes() == ["sure of it", "I was there", "an aunt's"]
        assert self.words() == ["ai", "real", "real"]
        self.modify("-a", "ai_override_note!")
        assert self.notes() == ["sure of it", "I was there", None]
        self.modify("-a", "ai_override!")
        assert self.notes() == ["sure of it", None, None]
        assert self.words() == ["ai", None, None]

    def test_an_albums_note_without_a_word(self) -> None:
        """Tracks without a note of their own take it, and the next one."""
        self.modify("title:Track 1", "ai_override_note=hm")
        for note in ("ask the band", "asked the band"):
            self.modify("-a", f"ai_override_note={note}")
            assert self.notes() == ["hm", note, note]
        assert self.words() == [None, None, None]

    def test_a_note_before_its_word(self) -> None:
        """It stays; a word of another colour keeps it, and taking the word back removes it."""
        self.modify("title:Track 1", "ai_override_note=hm")
        assert self.get("Track 1").ai_override_note == "hm"
        self.modify("title:Track 1", "ai_override=human")
        date = self.get("Track 1").ai_override_date
        self.modify("title:Track 1", "ai_override=human", "title=Track 1")
        assert self.get("Track 1").ai_override_date == date
        self.modify("title:Track 1", "ai_override=ai")
        item = self.get("Track 1")
        assert (item.ai_override_note, item.ai_override_date > date) == ("hm", True)
        self.modify("title:Track 1", "ai_override!")
        item = self.get("Track 1")
        assert item.get("ai_override_note") is None
        assert item.get("ai_override_date") is None

    def test_the_summary(self) -> None:
        """Score, flagged, number of scored tracks, and verdict."""
        album = self.get_album()
        assert album.ai_album_scored == 3
        assert album.ai_album_flagged == 1
        assert self.verdicts() == "ai real real unsure"

    def test_failed_tracks_are_not_counted_as_scored(self) -> None:
        """Half of an album without a score is seen."""
        path = write_broken(self.lib_path / "broken.flac")
        self.add_file(path, title="Broken", album_id=self.album.id)
        self.add_track("Single")
        self.run_command("artifactnet")
        assert self.get_album().ai_album_scored == 3
        assert len(self.get_album().items()) == 4

    def test_a_word_on_an_album(self) -> None:
        """Tracks without a word of their own take it, and give it back with it."""
        self.modify("-a", "ai_override=human")
        assert self.words() == ["real", "real", "real"]
        assert self.verdicts() == "real real real real"

        self.modify("-a", "ai_override!")

        assert self.words() == [None, None, None]
        assert self.verdicts() == "ai real real unsure"
        assert not {name for name in self.rows(self.get("Track 1")) if "override" in name}
        assert not {name for name in self.rows(self.get_album()) if "override" in name}

    def test_a_tracks_own_word_stays(self, caplog: pytest.LogCaptureFixture) -> None:
        """The album's is never written over it, nor taken back with the album's."""
        self.modify("ai_override=human", "title:Track 1")

        self.modify("-a", "ai_override=ai")
        assert self.words() == ["real", "ai", "ai"]
        assert self.verdicts() == "real ai ai ai"
        assert said(caplog) == [
            "info: ai_override of Artist - Album: tracks: 2 changed, 1 keep their own word"
        ]

        self.modify("-a", "ai_override=human")
        assert self.words() == ["real", "real", "real"]
        self.modify("-a", "ai_override!")
        assert self.words() == ["real", None, None]
        assert self.verdicts() == "real real real real"

    def test_a_word_given_after_the_albums(self) -> None:
        """A track that is then given another word keeps that."""
        self.modify("-a", "ai_override=ai")
        self.modify("ai_override=human", "title:Track 2")
        assert self.words() == ["ai", "real", "ai"]

        self.modify("-a", "ai_override!")

        assert self.words() == [None, "real", None]

    def test_without_inheriting(self) -> None:
        """`modify -a -I` leaves the tracks alone, and later changes of theirs as well."""
        self.modify("-a", "-I", "ai_override=ai")
        assert self.words() == [None, None, None]
        self.modify("ai_override=human", "title:Track 2")
        assert self.words() == [None, "real", None]

    def test_tracks_added_later(self) -> None:
        """They are not touched."""
        self.modify("-a", "ai_override=ai")
        self.add_track("Track 4", "real", album_id=self.album.id)
        self.run_command("artifactnet")
        item = self.get("Track 4")
        assert item.get("ai_override", None, with_album=False) is None
        assert item.ai_verdict == "real"

    def test_other_changes_of_an_album(self) -> None:
        """They change no word."""
        self.modify("ai_override=human", "title:Track 1")
        self.modify("-a", "ai_override=ai")
        self.modify("-a", "year=1999")
        self.modify("-a", "albumartist=Somebody Else")
        assert self.words() == ["real", "ai", "ai"]

    def test_scoring_changes_no_word(self) -> None:
        """Nor does `beet ai -f`."""
        self.modify("-a", "ai_override=human")
        self.run_command("artifactnet", "-f")
        assert self.words() == ["real", "real", "real"]
        assert self.verdicts() == "real real real real"

    def test_an_album_without_a_name(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is called by its folder."""
        self.album.album = ""
        self.album.store()
        self.modify("-a", "ai_override=human")
        assert said(caplog)[-1].startswith(
            f"info: ai_override of {self.lib_path.name}: tracks:"
        )

    def test_a_large_album(self) -> None:
        """Summed up now and then while its tracks are scored, it is right at the end.

        A summary that a killed run left behind is mended by the next command.
        """
        for number in range(4, 60):
            item = self.add_track(f"Track {number}", "real", album_id=self.album.id)
            item.store()
        self.run_command("artifactnet", "-q")
        expected = self.rows(self.get_album())
        assert self.get_album().ai_album_scored == 59
        assert self.get_album().ai_album_verdict == "unsure"
        album = self.get_album()
        album.update({"ai_album_scored": 40, "ai_album_verdict": "real"})
        album.store(inherit=False)
        assert self.run_lines("ai", "-p")[-1] == "0 tracks would be scored"
        assert self.get_album().ai_album_scored == 40
        assert self.run_lines("ai") == ["nothing to score: 59 tracks have a score"]
        assert self.rows(self.get_album()) == expected


def test_one_place_stores() -> None:
    """A track and its album are stored together: `.store()` is called in one module."""
    package = Path(beetsplug.artifactnet.__file__).parent
    places = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"(?<!\blibrary)\.store\(", path.read_text(encoding="utf-8"))
    }
    assert places == {"library/storing.py"}
