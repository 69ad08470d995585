"""Tracks out of unpacked packages, and what a model makes of them."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from beetsplug.artifactnet.model_store import find_model
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training import corpus, debian, unheard
from tests.audio_files import encode, music

LIST = "package\tversion\tgenre\none-data\t1.0-1\tfolk\ntwo-data\t2:3-4\tchiptune\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two unpacked packages: three tracks, one of them in two formats, and an effect."""
    for name, suffix, duration_s in (
        ("one-data/usr/share/games/one/Theme", "ogg", 31),
        ("one-data/usr/share/games/one/theme", "mp3", 31),
        ("one-data/usr/share/games/one/jump", "ogg", 2),
        ("one-data/usr/share/games/one/boss", "flac", 33),
        ("two-data/usr/share/theme", "ogg", 31),
    ):
        path = tmp_path / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path, music(duration_s, 44_100), 44_100)
    (tmp_path / "one-data/usr/share/broken.ogg").write_bytes(b"OggS" + bytes(100))
    (tmp_path / "list.tsv").write_text(LIST)
    return tmp_path


def test_a_track_is_listed_once_and_an_effect_never(folder: Path) -> None:
    """One piece in two formats is one track; what is short or unreadable is none."""
    clips = debian.list_tracks(folder)
    assert sorted((clip.source, clip.track) for clip in clips) == [
        ("debian:one-data", "one-data:boss"),
        ("debian:one-data", "one-data:theme"),
        ("debian:two-data", "two-data:theme"),
    ]
    assert {(clip.label, clip.family, clip.sample_rate) for clip in clips} == {(0, "", 44_100)}


def test_added_tracks_come_last_and_bring_no_title_twice(folder: Path) -> None:
    """A title that a listed package has is left out of an added one, however it is spelt."""
    package = next(iter(debian.read_genres(debian.ADDED_LIST))).removeprefix("debian:")
    for name in ("The-Me", "Boss (live)"):
        path = folder / package / f"{name}.ogg"
        path.parent.mkdir(exist_ok=True)
        encode(path, music(31, 44_100), 44_100)
    *listed, added = debian.training_tracks(folder)
    assert [clip.source for clip in listed] == ["debian:one-data"] * 2 + ["debian:two-data"]
    assert not any(clip.is_added for clip in listed)
    assert (added.track, added.is_added) == (f"{package}:boss (live)", True)


def test_audio_inside_archives_is_unpacked_and_nothing_else(folder: Path) -> None:
    """A game's own archive gives its music, and no other file."""
    package = folder / "two-data/usr"
    for name in ("data.pk3", "more.zip"):
        with zipfile.ZipFile(package / name, "w") as archive:
            archive.write(package / "share/theme.ogg", f"music/{name}.ogg")
            archive.writestr("maps/one.txt", "a map")
    debian.unpack_archives(folder)
    tracks = {clip.track for clip in debian.list_tracks(folder)}
    assert {"two-data:data.pk3", "two-data:more.zip"} <= tracks
    assert not list(folder.rglob("one.txt"))


def test_what_is_unpacked_is_not_fetched_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the tools a run goes on where all is there, and else names one."""
    monkeypatch.setenv("PATH", str(folder))
    debian.fetch_packages(folder / "list.tsv", folder)
    (folder / "list.tsv").write_text(LIST + "three-data\t1\tfolk\n")
    with pytest.raises(RuntimeError, match="apt-get is needed"):
        debian.fetch_packages(folder / "list.tsv", folder)


def test_unheard_tracks_are_scored_and_counted(folder: Path) -> None:
    """Every track has a score; the table counts them against both thresholds."""
    scores = unheard.score_tracks(debian.list_tracks(folder), find_model("default"), 2)
    assert {source: len(tracks) for source, tracks in scores.items()} == {
        "debian:one-data": 2,
        "debian:two-data": 1,
    }
    values = [score for tracks in scores.values() for _, score in tracks]
    assert all(0 <= score <= 1 for score in values)
    genres = debian.read_genres(folder / "list.tsv")
    lowest, highest = min(values), max(values)
    thresholds = Thresholds(ai=np.nextafter(highest, 2), unsure=lowest)
    *_, one, two, together = unheard.table(scores, thresholds, genres).splitlines()
    assert one == "| one-data | folk | 2 | 0 | 2 |"
    assert two == "| two-data | chiptune | 1 | 0 | 1 |"
    # Clopper and Pearson's: 1 - 0.025 ** (1 / 3).
    assert together == ("| all | | 3 | 0 (0.0%, 0.0% to 70.8%) | 3 (100.0%, 29.2% to 100.0%) |")
    first, *rest = unheard.highest(scores).splitlines()
    assert first.startswith(f"- {highest:.4f} ")
    assert len(rest) == 2


@pytest.mark.parametrize("packages", [unheard.PACKAGES, debian.ADDED_LIST])
def test_a_list_has_versions_and_genres(packages: Path) -> None:
    """Each package once, and none that made the demo."""
    genres = debian.read_genres(packages)
    rows = packages.read_text(encoding="utf-8").splitlines()
    assert rows[0].split("\t")[:3] == ["package", "version", "genre"]
    assert len(genres) == len(rows) - 1 >= 20
    assert all(len(row.split("\t")) == 3 and all(row.split("\t")) for row in rows)
    assert corpus.DEMO_SOURCE not in genres


def test_no_unheard_package_was_heard() -> None:
    """Neither the added packages nor what the shipped model was trained on."""
    unheard_sources = set(debian.read_genres(unheard.PACKAGES))
    assert unheard_sources.isdisjoint(debian.read_genres(debian.ADDED_LIST))
    heard = find_model("default").folder / "training-manifest.csv"
    with heard.open(newline="", encoding="utf-8") as file:
        assert unheard_sources.isdisjoint(row["source"] for row in csv.DictReader(file))
