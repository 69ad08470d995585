"""Tracks out of unpacked packages, and what a model makes of them."""

from __future__ import annotations

import csv
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training.data import corpus, debian
from beetsplug.artifactnet.training.report import unseen
from tests.support.audio_files import encode, music

THEME, BOSS = (f"one-data/usr/share/games/one/{name}" for name in ("Theme.ogg", "boss.flac"))
LIST = "package\tversion\tgenre\none-data\t1.0-1\tfolk\ntwo-data\t2:3-4\tchiptune\n"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two unpacked packages: three tracks, one of them in two formats, and an effect."""
    folder = tmp_path_factory.mktemp("packages")
    for name, suffix, duration_s in (
        ("one-data/usr/share/games/one/Theme", "ogg", 31),
        ("one-data/usr/share/games/one/theme", "mp3", 31),
        ("one-data/usr/share/games/one/jump", "ogg", 2),
        ("one-data/usr/share/games/one/boss", "flac", 33),
        ("two-data/usr/share/theme", "ogg", 31),
    ):
        path = folder / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path, music(duration_s, 44_100), 44_100)
    (folder / "one-data/usr/share/broken.ogg").write_bytes(b"OggS" + bytes(100))
    (folder / "list.tsv").write_text(LIST)
    return folder


@pytest.fixture
def folder(packages: Path, tmp_path: Path) -> Path:
    """Return a copy of the packages."""
    return shutil.copytree(packages, tmp_path / "packages")


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
        shutil.copy(folder / THEME, path)
    *listed, added = debian.training_tracks(folder)
    assert [clip.source for clip in listed] == ["debian:one-data"] * 2 + ["debian:two-data"]
    assert added.track == f"{package}:boss (live)"


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


def test_unseen_tracks_are_scored_and_counted(folder: Path) -> None:
    """Every track has a score; the table counts them against both thresholds."""
    scores = unseen.score_tracks(debian.list_tracks(folder), find_model("default"), 2)
    assert {source: len(tracks) for source, tracks in scores.items()} == {
        "debian:one-data": 2,
        "debian:two-data": 1,
    }
    values = [score for tracks in scores.values() for _, score in tracks]
    assert all(0 <= score <= 1 for score in values)
    genres = debian.read_genres(folder / "list.tsv")
    lowest, highest = min(values), max(values)
    thresholds = Thresholds(ai=np.nextafter(highest, 2), unsure=lowest)
    *_, one, two, together = unseen.table(scores, thresholds, genres).splitlines()
    assert one == "| one-data | folk | 2 | 0 | 2 |"
    assert two == "| two-data | chiptune | 1 | 0 | 1 |"
    # Clopper and Pearson's: 1 - 0.025 ** (1 / 3).
    assert together == ("| all | | 3 | 0 (0.0%, 0.0% to 70.8%) | 3 (100.0%, 29.2% to 100.0%) |")
    first, *rest = unseen.highest(scores).splitlines()
    assert first.startswith(f"- {highest:.4f} ")
    assert len(rest) == 2
    # Two segments of a track are others than seven.
    of_two = unseen.score_tracks(debian.list_tracks(folder), find_model("default"), 2, 2)
    assert {source: len(tracks) for source, tracks in of_two.items()} == {
        source: len(tracks) for source, tracks in scores.items()
    }
    assert of_two != scores


def module(n_patterns: int) -> bytes:
    """Return a ProTracker module: one looped square wave, a note at each pattern's start.

    A pattern lasts 64 rows of 6 ticks of 20 ms: 7.68 s.
    """
    samples = bytes([0x40] * 16 + [0xC0] * 16)
    # Name, length in words, fine tune, volume, start and length of the loop in words.
    header = bytes(22) + struct.pack(">HBBHH", len(samples) // 2, 0, 64, 0, len(samples) // 2)
    none = bytes(22) + struct.pack(">HBBHH", 0, 0, 0, 0, 1)
    order = bytes([n_patterns, 127]) + bytes(128)
    period = 428
    note = struct.pack(">HBB", period, 1 << 4, 0)
    return (
        b"test".ljust(20, b"\0")
        + header
        + none * 30
        + order
        + b"M.K."
        + note
        + bytes(1020)
        + samples
    )


@pytest.mark.skipif(shutil.which("openmpt123") is None, reason="needs openmpt123")
def test_a_module_is_rendered_beside_itself(folder: Path) -> None:
    """Five patterns give 38 s of FLAC, which is listed; a Fortran module gives nothing."""
    package = folder / "two-data/usr/share"
    (package / "tune.mod").write_bytes(module(5))
    (package / "solver.mod").write_bytes(b"GFORTRAN module version '15'")
    for _ in range(2):
        debian.render_modules(folder / "list.tsv", folder)
    assert sorted(path.name for path in package.glob("*.flac")) == ["tune.mod.flac"]
    (clip,) = [c for c in debian.list_tracks(folder) if c.track == "two-data:tune.mod"]
    with open_audio(clip.path) as reader:
        assert reader.duration_s == pytest.approx(5 * 7.68, abs=1)
        assert reader.sample_rate == 44_100


def test_a_module_that_plays_at_random_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept of what came out differently the second time; what came alike is."""
    player = folder / "bin/openmpt123"
    player.parent.mkdir()
    # The last arguments: --output FILE -- MODULE. A module's bytes say what it plays.
    player.write_text('#!/bin/sh\nshift $(($# - 4))\ncat "$(cat "$4")" | head -c 99 > "$2"\n')
    player.chmod(0o755)
    monkeypatch.setenv("PATH", str(player.parent), prepend=os.pathsep)
    package = folder / "two-data/usr/share"
    (package / "dice.it").write_text("/dev/urandom")
    (package / "tune.it").write_text("/dev/zero")
    debian.render_modules(folder / "list.tsv", folder)
    assert [path.name for path in package.glob("*.flac")] == ["tune.it.flac"]
    assert (package / "tune.it.flac").read_bytes() == bytes(99)


def test_without_a_player_modules_are_named_as_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No module, no player needed; one that is there is not left out in silence."""
    monkeypatch.setenv("PATH", str(folder))
    debian.render_modules(folder / "list.tsv", folder)
    (folder / "one-data/usr/tune.xm").write_bytes(b"Extended Module: ")
    with pytest.raises(RuntimeError, match="openmpt123 is needed"):
        debian.render_modules(folder / "list.tsv", folder)


def test_modules_come_after_all_other_tracks(folder: Path) -> None:
    """Tracks of the packages of modules are added ones, marked, and the last."""
    names = [
        next(iter(debian.read_genres(packages))).removeprefix("debian:")
        for packages in (debian.ADDED_MODULES_LIST, debian.ADDED_LIST)
    ]
    for name in names:
        (folder / name).mkdir()
        shutil.copy(folder / BOSS, folder / name / "tune.xm.flac")
    *_, added, last = debian.training_tracks(folder)
    assert (last.source, last.is_module) == (f"debian:{names[0]}", True)
    assert (added.source, added.is_module) == (f"debian:{names[1]}", False)


LISTS = (debian.ADDED_LIST, debian.ADDED_MODULES_LIST, unseen.PACKAGES, unseen.MODULES)


@pytest.mark.parametrize(("packages", "at_least"), [*zip(LISTS, (20, 20, 7, 9), strict=True)])
def test_a_list_has_versions_and_genres(packages: Path, at_least: int) -> None:
    """Each package once, and none that made the demo."""
    genres = debian.read_genres(packages)
    rows = packages.read_text(encoding="utf-8").splitlines()
    assert rows[0].split("\t")[:3] == ["package", "version", "genre"]
    assert len(genres) == len(rows) - 1 >= at_least
    assert all(len(row.split("\t")) == 3 and all(row.split("\t")) for row in rows)
    assert corpus.DEMO_SOURCE not in genres


def test_no_unseen_package_was_trained_on() -> None:
    """No list shares a package with another, nor with what the shipped model was trained on."""
    sources = [source for packages in LISTS for source in debian.read_genres(packages)]
    assert len(sources) == len(set(sources))
    unseen_sources = set(debian.read_genres(unseen.PACKAGES)) | set(
        debian.read_genres(unseen.MODULES)
    )
    manifest = find_model("default").folder / "training-manifest.csv"
    with manifest.open(newline="", encoding="utf-8") as file:
        assert unseen_sources.isdisjoint(row["source"] for row in csv.DictReader(file))
