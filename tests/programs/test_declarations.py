"""The program that counts declarations, on a few files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.declarations import main
from tests.support.tagged_files import MUREKA, add_artist, add_tag, write_song


def test_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file is counted by its strongest claim, and a strong one is a failure."""
    write_song(tmp_path / "plain.wav")
    add_artist(write_song(tmp_path / "hint.mp3"), "Udio")
    assert main([str(tmp_path), "--workers", "1"]) == 0
    add_tag(write_song(tmp_path / "strong.flac"), "AIGC", MUREKA)
    assert main([str(tmp_path), "--workers", "1"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last.startswith("3 files: 1 hint, 1 none, 1 strong; ")
    assert {line.split()[1] for line in lines if not line.startswith("2 files")} == {
        "udio:artist",
        "mureka:aigc",
    }
