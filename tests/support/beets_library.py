"""A real beets library on disk with the plugin loaded and a model whose scores are known."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import mutagen
import numpy as np
import onnx
import onnx.checker
import onnx.helper
import onnx.numpy_helper
import pytest
from beets.library import Album, Item
from beets.test.helper import ImportHelper, IOMixin, PluginTestHelper, TestHelper
from mediafile import MediaFile

from tests.support.audio_files import encode, tone
from tests.support.onnx_models import LEVELS, SAMPLE_RATE, write_model

LABEL = "loudness-1.0"
"""Label of the model that every test library is scored with."""
MODEL = f"{LABEL}+4"
"""Model and pipeline, as they are stored with a score."""
SCORES = {verdict: 10 * level for verdict, level in LEVELS.items()}
"""Verdict -> score of a track that :func:`write_track` wrote for it."""
MEMORY = "/dev/shm"
"""Where Linux keeps files in memory."""
HEARING_BEET = """\
import signal
from beets.ui import main

# A shell starts background jobs deaf to Ctrl-C, and their children with them.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The program ``beet``, started so that it can be interrupted."""
ROUNDING = 1e-3
"""How far 16-bit audio takes a score from that."""
SCORE_FIELDS = {
    "ai_score",
    "ai_verdict",
    "ai_reason",
    "ai_share",
    "ai_segments",
    "ai_timeline",
    "ai_model",
    "ai_scored",
    "ai_file",
}
"""What a scored item has, no more and no less."""


def write_track(
    path: Path, verdict: str = "ai", duration_s: float = 2.0, **tags: object
) -> Path:
    """Write a track that the model gives this verdict, with tags, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # WMA and AAC have no 8 kHz worth testing; FLAC and WAV are smallest with it.
    sample_rate = SAMPLE_RATE if path.suffix in {".flac", ".wav"} else 48_000
    encode(path, tone(LEVELS[verdict], duration_s, sample_rate), sample_rate)
    if tags:
        file = MediaFile(path)
        file.update(tags)
        file.save()
    return path


def write_broken(path: Path) -> Path:
    """Write a FLAC file that ends before its first frame: header and tags, no audio."""
    write_track(path, title="Broken", artist="Tag Artist", album="Tag Album", track=9)
    data = path.read_bytes()
    position, is_last = 4, False
    while not is_last:
        is_last = bool(data[position] & 0x80)
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    path.write_bytes(data[:position])
    return path


def slow_down(folder: Path, size: int = 1_500) -> None:
    """Make a model of :func:`write_model` busy for some tenths of a second a segment.

    Products of large matrices, times zero, are added to its output.
    """
    path = folder / "model.onnx"
    model = onnx.load(path)
    (output,) = (node for node in model.graph.node if "score" in node.output)
    output.output[:] = ["quick_score"]
    make = onnx.helper.make_node
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([size, size], np.int64), "matrix_shape")
    )
    model.graph.node.extend(
        [
            make("Expand", ["mean", "matrix_shape"], ["matrix"]),
            make("MatMul", ["matrix", "matrix"], ["square"]),
            make("MatMul", ["square", "matrix"], ["cube"]),
            make("MatMul", ["cube", "matrix"], ["product"]),
            make("ReduceMean", ["product"], ["busy"], keepdims=0),
            make("Mul", ["busy", "zero"], ["nothing"]),
            make("Add", ["quick_score", "nothing"], ["score"]),
        ]
    )
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    path.write_bytes(data)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["files"] = {path.name: hashlib.sha256(data).hexdigest()}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


def our_tags(path: Path) -> dict[str, str]:
    """Return the tags of ours in a file, by upper-case name, whatever its format."""
    file = mutagen.File(path)
    found = {}
    for key, value in dict(file.tags or {}).items():
        name = str(key).rpartition(":")[2].upper()
        if name.startswith("AI_"):
            content = getattr(value, "text", value)
            first = content[0] if isinstance(content, list) else content
            found[name] = first.decode() if isinstance(first, bytes) else str(first)
    return found


def _is_ours(key: str) -> bool:
    return key.startswith("ai_") and key != "ai_history"


class ArtifactNetHelper(IOMixin, ImportHelper, PluginTestHelper):
    """Base of the test classes; beets' helpers do the rest."""

    plugin: ClassVar[str] = "artifactnet"
    db_on_disk: ClassVar[bool] = True
    """Import stages run in threads, and each thread has its own connection."""

    @property
    def folder(self) -> Path:
        """The test's own folder, by the name that this beets has for it."""
        name = "temp_path" if hasattr(TestHelper, "temp_path") else "temp_dir_path"
        folder: Path = getattr(self, name)
        return folder

    def create_temp_dir(self, **kwargs: Any) -> str:
        """Return a folder in memory where there is one: SQLite waits for disks."""
        in_memory = MEMORY if os.access(MEMORY, os.W_OK) else None
        return super().create_temp_dir(dir=in_memory, **kwargs)

    def setup_beets(self) -> None:
        super().setup_beets()
        self.config["verbose"] = 0
        self.options: dict[str, Any] = {}
        self.model_folder = write_model(self.folder / "model")
        # One worker: a second one costs each process that a test starts half a second.
        self.configure(model=str(self.model_folder / "model.onnx"), threads=1)

    def configure(self, **options: object) -> None:
        """Set options of the section ``artifactnet``."""
        self.options.update(options)
        for name, value in options.items():
            self.config["artifactnet"][name].set(value)

    # Tracks.

    def add_track(
        self, title: str, verdict: str = "ai", name: str = "", **values: object
    ) -> Item:
        """Add an unscored item with a file of its own to the library."""
        path = write_track(self.lib_path / (name or f"{title}.flac"), verdict)
        return self.add_file(path, title=title, artist="Artist", album="Album", **values)

    def add_file(self, path: Path, **values: object) -> Item:
        """Add a file where it is."""
        item = Item.from_path(os.fsencode(path))
        item.update(values)
        item.add(self.lib)
        return item

    def add_album_of(self, *verdicts: str) -> Album:
        """Add an album with a track a verdict: ``Track 1``, ``Track 2`` and so on."""
        tracks = enumerate(verdicts, 1)
        return self.lib.add_album([self.add_track(f"Track {n}", v) for n, v in tracks])

    def get(self, title: str) -> Item:
        """Return the item of this title as it is in the database now."""
        item = self.lib.items(f'title:="{title}"').get()
        assert item is not None
        return item

    def get_album(self) -> Album:
        """Return the one album as it is in the database now."""
        (album,) = self.lib.albums()
        return album

    def rows(self, item: Item | Album) -> dict[str, tuple[str, object]]:
        """Return our fields but the history as SQLite has them: (type, value)."""
        table = "album_attributes" if isinstance(item, Album) else "item_attributes"
        with closing(sqlite3.connect(os.fsdecode(self.lib.path))) as connection:
            rows = connection.execute(
                f"SELECT key, typeof(value), value FROM {table} WHERE entity_id = ?",
                (item.id,),
            ).fetchall()
        return {key: (kind, value) for key, kind, value in rows if _is_ours(key)}

    def n_scored(self) -> int:
        """Return how many items have a score, straight from the database."""
        with closing(sqlite3.connect(os.fsdecode(self.lib.path))) as connection:
            query = "SELECT count(*) FROM item_attributes WHERE key = 'ai_score'"
            return int(connection.execute(query).fetchone()[0])

    # Commands.

    def run_lines(self, *args: str) -> list[str]:
        """Run a command in this process and return the lines it printed."""
        return self.run_with_output(*args).splitlines()

    def write_config(self, **sections: object) -> None:
        """Write what a process of its own needs to work on the same library."""
        config = {
            "directory": str(self.lib_path),
            "library": os.fsdecode(self.lib.path),
            "plugins": ["artifactnet"],
            "artifactnet": self.options,
            **sections,
        }
        # JSON is YAML, too.
        (self.folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")

    def beet(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own, output to pipes."""
        return subprocess.run(
            [sys.executable, "-m", "beets", *args],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start_beet(self, *args: str, **files: Any) -> subprocess.Popen[str]:
        """Start a command that hears Ctrl-C, its output in pipes unless said otherwise."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **files}
        return subprocess.Popen(
            [sys.executable, "-u", "-c", HEARING_BEET, *args], text=True, **pipes
        )


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the plugin logged for the user to see, warnings and errors."""
    return [f"{r.levelname.lower()}: {r.getMessage()}" for r in _ours(caplog.records)]


def _ours(records: Iterable[Any]) -> Iterable[Any]:
    return (r for r in records if r.name == "beets.artifactnet" and r.levelname != "DEBUG")
