"""Scores stay valid whoever writes tags: each plugin of beets that needs nothing else."""

from __future__ import annotations

import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from beets.plugins import BeetsPlugin

from tests.support.beets_library import ArtifactNetHelper, write_track

SUFFIXES = [".mp3", ".flac", ".m4a", ".ogg", ".opus", ".wma", ".aiff"]
PROGRAM = f"#!{sys.executable}\n"


def png_cover(size: int = 300) -> bytes:
    """Return a picture of noise, 90 kB long."""
    noise = np.random.default_rng(0).integers(0, 256, (size, size + 1), np.uint8)
    noise[:, 0] = 0
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(noise.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def plugin_class(name: str) -> type[BeetsPlugin]:
    """Return the class of a plugin; the test is skipped where it is not installed."""
    module = pytest.importorskip(f"beetsplug.{name}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, BeetsPlugin)
        and value.__module__.startswith(module.__name__)
    )


class TestTagWriters(ArtifactNetHelper):
    """A library of one scored track a container, and what plugins do to it."""

    def add_scored(self, *suffixes: str) -> None:
        for suffix in suffixes or SUFFIXES:
            title = suffix.removeprefix(".").upper()
            artist = "Somebody feat. Somebody Else"
            path = write_track(self.lib_path / f"{title}{suffix}", title=title, artist=artist)
            self.add_file(path, artist=artist, album="Album")
        self.run_command("ai", "-q")

    def assert_nothing_is_due(self) -> None:
        n_tracks = len(self.lib.items())
        have = "1 track has a score" if n_tracks == 1 else f"{n_tracks} tracks have a score"
        assert self.run_lines("ai") == [f"nothing to score: {have}"]

    def run_plugin(self, name: str, *args: str, **options: object) -> None:
        """Run a command of a plugin, which says that files have changed."""
        if options:
            self.config[name].set(options)
        before = [path.read_bytes() for path in sorted(self.lib_path.rglob("*.*"))]
        self.register_plugin(plugin_class(name))
        self.run_command(*args)
        after = [path.read_bytes() for path in sorted(self.lib_path.rglob("*.*"))]
        assert before != after

    def test_scrub(self) -> None:
        """It removes all tags before it says that it writes, and art after that."""
        self.add_scored()
        self.run_plugin("scrub", "scrub")
        self.assert_nothing_is_due()

    def test_embedart(self) -> None:
        """A cover longer than any padding."""
        self.add_scored(".mp3", ".flac", ".m4a", ".ogg", ".opus", ".wma")
        cover = self.folder / "cover.png"
        cover.write_bytes(png_cover())
        self.run_plugin("embedart", "embedart", "-y", "-f", str(cover))
        self.assert_nothing_is_due()
        self.run_command("clearart", "-y")
        self.assert_nothing_is_due()

    def test_ftintitle(self) -> None:
        """It writes and stores the artist."""
        self.add_scored()
        self.run_plugin("ftintitle", "ftintitle")
        assert self.get("MP3 feat. Somebody Else").artist == "Somebody"
        self.assert_nothing_is_due()

    def test_zero(self) -> None:
        """It empties fields while beets writes."""
        self.add_scored()
        self.run_plugin("zero", "zero", "title::.", fields=["artist"])
        self.assert_nothing_is_due()

    def test_edit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The user's editor changes every title, and an edit of all fields harms nothing."""
        self.add_scored(".mp3", ".flac")
        editor = self.folder / "editor"
        editor.write_text(
            f"{PROGRAM}import sys, pathlib\n"
            "path = pathlib.Path(sys.argv[1])\n"
            "path.write_text(path.read_text().replace('title: ', 'title: New '))\n"
        )
        editor.chmod(0o755)
        monkeypatch.setenv("VISUAL", str(editor))
        monkeypatch.setenv("EDITOR", str(editor))
        self.io.addinput("a")
        before = self.rows(self.get("MP3"))
        self.run_plugin("edit", "edit", "--all")
        assert self.rows(self.get("New MP3")).keys() == before.keys()
        self.assert_nothing_is_due()

    def test_convert_without_keeping(self) -> None:
        """The converted copy goes elsewhere, and gets its tags there."""
        self.add_scored(".flac")
        elsewhere = self.folder / "elsewhere"
        copy = f"{sys.executable} -c 'import shutil, sys; shutil.copy(*sys.argv[1:])'"
        self.config["convert"].set(
            {
                "dest": str(elsewhere),
                "format": "mp3",
                "formats": {"mp3": {"command": f"{copy} $source $dest", "extension": "mp3"}},
                "embed": False,
            }
        )
        self.register_plugin(plugin_class("convert"))
        self.run_command("convert", "-y", "-f", "mp3")
        assert [path.suffix for path in elsewhere.rglob("*.*")] == [".mp3"]
        self.assert_nothing_is_due()

    @pytest.mark.skipif(not shutil.which("ffmpeg"), reason="its backend is a program")
    def test_replaygain(self) -> None:
        """It writes its tags, and does not store that it did."""
        self.add_scored(".mp3", ".flac", ".ogg")
        self.run_plugin("replaygain", "replaygain", "-w", "-f", backend="ffmpeg", auto=False)
        self.assert_nothing_is_due()

    def test_alternatives(self) -> None:
        """A second collection, of files that get tags of their own."""
        self.add_scored(".flac", ".mp3")
        self.config["alternatives"].set(
            {"phone": {"directory": str(self.folder / "phone"), "formats": "mp3 flac"}}
        )
        self.register_plugin(plugin_class("alternatives"))
        self.run_command("alt", "update", "--create", "phone")
        copies = (self.folder / "phone").rglob("*.*")
        assert sorted(path.suffix for path in copies if path.is_file()) == [".flac", ".mp3"]
        self.assert_nothing_is_due()

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_a_write_that_is_not_stored(self, suffix: str) -> None:
        """replaygain, lyrics, chroma and mbsync write a file, and store the item or not."""
        self.add_scored(suffix)
        (item,) = self.lib.items()
        item.update({"lyrics": "la la\n" * 3_000, "rg_track_gain": -7.5, "acoustid_id": "x"})
        assert item.try_write()
        self.assert_nothing_is_due()
        item.store()
        self.assert_nothing_is_due()

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_other_audio_is_noticed(self, suffix: str) -> None:
        """Whatever wrote tags before, another recording is outdated, tags and all."""
        self.add_scored(suffix)
        (item,) = self.lib.items()
        item.update({"lyrics": "la la\n" * 3_000})
        assert item.try_write()
        self.assert_nothing_is_due()
        write_track(Path(item.filepath), "real", title=str(item.title))
        assert item.try_write()
        item.store()
        assert self.run_lines("ai") == [
            "nothing to score: 1 track has a score, 1 outdated (--outdated)"
        ]
