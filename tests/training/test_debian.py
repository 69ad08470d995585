"""Tracks out of unpacked packages, and what a model makes of them."""

from __future__ import annotations

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


def test_no_unheard_package_is_one_of_the_calibration_or_the_demo() -> None:
    """The list has versions and genres, each package once, none that made the demo."""
    genres = debian.read_genres(unheard.PACKAGES)
    rows = unheard.PACKAGES.read_text(encoding="utf-8").splitlines()
    assert rows[0].split("\t")[:3] == ["package", "version", "genre"]
    assert len(genres) == len(rows) - 1 >= 20
    assert all(len(row.split("\t")) == 3 and all(row.split("\t")) for row in rows)
    assert corpus.DEMO_SOURCE not in genres
