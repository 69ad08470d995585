"""Dates and lists of artists: named beside a verdict, and never more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.scoring.provenance import describe_release, read_artists

SPOTIFY = "0aBcDeFgHiJkLmNoPqRsTu"
MUSICBRAINZ = "A74B1B7F-71A5-4011-9441-D0B5E4122711"


@pytest.mark.parametrize("year", [0, -5, 97, 1859, 2023, 2026, 9999])
def test_years_that_say_nothing(year: int) -> None:
    """Unknown years, and those since generators sing, say nothing."""
    assert describe_release(year) == ""


@pytest.mark.parametrize("year", [1860, 1997, 2022])
def test_years_before_generators(year: int) -> None:
    """A first release before 2023 speaks for human."""
    assert describe_release(year) == f"first released {year}, before 2023: speaks for human"


@pytest.mark.parametrize(
    ("original_year", "year", "text"),
    [
        (0, 1999, "released 1999, before 2023: speaks for human"),
        (1999, 2025, "first released 1999, before 2023: speaks for human"),
        (2024, 1999, ""),
        (97, 2022, "released 2022, before 2023: speaks for human"),
        (0, 2023, ""),
    ],
)
def test_two_years(original_year: int, year: int, text: str) -> None:
    """The year of this release counts where that of the first one is unknown."""
    assert describe_release(original_year, year) == text


def entry(**values: object) -> dict[str, object]:
    """Return an artist as Soul Over AI has it."""
    return {
        "id": "1",
        "name": "The Velvet Example",
        "disclosure": "partial",
        "markers": ["anonymous"],
        "spotify": SPOTIFY,
        "apple": "123",
        **values,
    }


def write_list(folder: Path, content: object) -> Path:
    path = folder / "artists.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_an_artist_by_id(tmp_path: Path) -> None:
    """An id of either service finds the artist, who is named with the list's credit."""
    other = entry(name="B", spotify=None, musicbrainz=MUSICBRAINZ, disclosure="none")
    artists = read_artists(write_list(tmp_path, [entry(), other]))
    found = artists.find(["", "other", f" {SPOTIFY} "])
    assert found is not None
    assert found.line(artists.source) == (
        "listed by Soul Over AI (souloverai.com), CC BY 4.0: The Velvet Example "
        "(said by the artist to be generated in part)"
    )
    by_musicbrainz = artists.find([MUSICBRAINZ.lower()])
    assert by_musicbrainz is not None
    assert by_musicbrainz.name == "B"


@pytest.mark.parametrize("one", ["", "The Velvet Example", "123", SPOTIFY.swapcase(), "1"])
def test_names_and_other_ids_find_nobody(one: str, tmp_path: Path) -> None:
    """A name alone, a row's number and an id in another case are not the artist."""
    assert read_artists(write_list(tmp_path, [entry()])).find([one]) is None


def test_other_lists(tmp_path: Path) -> None:
    """A list of one's own is credited by its file's name; incomplete entries are left out."""
    content = [{"name": "A", "spotify": SPOTIFY}, {"name": 1}, "x", {"spotify": "y"}, entry()]
    artists = read_artists(write_list(tmp_path, content))
    found = artists.find([SPOTIFY])
    assert found is not None
    assert artists.source == "artists.json"
    assert read_artists(write_list(tmp_path, [])).find([SPOTIFY]) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "must be an array"),
        ("[", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('[{"name": "A"}]', "no entry has a name and an id"),
        ("\xff", "is not valid JSON"),
    ],
)
def test_files_that_are_no_list(text: str, message: str, tmp_path: Path) -> None:
    """What cannot be a list is said in one line."""
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message):
        read_artists(path)


def test_no_file(tmp_path: Path) -> None:
    """A list that is not there is said in one line."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_artists(tmp_path / "x.json")
