"""Storing where the database is locked, full or read-only: nothing half, nothing lost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from beets.exceptions import UserError

from beetsplug.artifactnet import library
from beetsplug.artifactnet.errors import LibraryError
from beetsplug.artifactnet.library import storing
from tests.support.beets_library import SCORE_FIELDS, ArtifactNetHelper

if TYPE_CHECKING:
    from beets.library import Item

WAITING = "the library is locked by another program; waiting for it"
LOCKER = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN " + sys.argv[2])
connection.execute("SELECT * FROM items").fetchone()
print("locked", flush=True)
sys.stdin.read()
"""
"""Another program that keeps a transaction open until its input ends."""
N_TRACKS = 40
SPARE_BYTES = 4_096


@contextmanager
def locked_by_another(path: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Lock a database from another process, until its input is closed or the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.stdin.close()


class TestStoring(ArtifactNetHelper):
    """A library that cannot be written to at the moment, or at all."""

    @property
    def database(self) -> Path:
        return Path(os.fsdecode(self.lib.path))

    def do_not_wait_in_sqlite(self) -> None:
        """Have this process's connection fail at once where the database is locked."""
        self.lib._connection().execute("PRAGMA busy_timeout = 0")

    def add_tracks(self, number: int) -> None:
        for place in range(number):
            self.add_track(f"Track {place}")

    def scored(self) -> list[Item]:
        return [item for item in self.lib.items() if item.ai_score is not None]

    def test_a_lock_is_waited_out(self) -> None:
        """The user is told once; when the other program is done, so is the run."""
        self.add_tracks(3)
        self.write_config(timeout=0.05)
        with locked_by_another(self.database, "IMMEDIATE") as other:
            process = self.start_beet("artifactnet", "-q")
            assert process.stderr is not None
            assert process.stderr.readline() == f"artifactnet: {WAITING}\n"
            assert self.n_scored() == 0
            assert other.stdin is not None
            other.stdin.close()
            output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
        assert output.startswith("3 scored, ")
        assert self.n_scored() == 3

    @pytest.mark.parametrize("kind", ["DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
    def test_a_lock_for_ever(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """After ten minutes, fewer here, it is one line, and the next run can work.

        DEFERRED is a program that reads: it would not stop a change before its commit.
        """
        self.add_tracks(1)
        self.do_not_wait_in_sqlite()
        monkeypatch.setattr(storing, "_LOCKED_FOR_S", 0.2)
        with (
            locked_by_another(self.database, kind),
            pytest.raises(UserError, match=r"locked by another program, .* minutes by now"),
        ):
            self.run_command("artifactnet")
        assert self.n_scored() == 0
        assert self.run_lines("artifactnet")[-1].startswith("1 scored, ")

    @pytest.mark.slow
    def test_a_full_disk(self) -> None:
        """One line and status 1; no result is stored in part; a second run does the rest."""
        self.add_tracks(N_TRACKS)
        self.write_config()
        limit = self.database.stat().st_size + SPARE_BYTES

        process = self.start_beet(
            "artifactnet",
            "-q",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        output, errors = process.communicate(timeout=30)

        assert process.returncode == 1
        assert errors.count("\n") == 1
        assert errors.startswith("error: artifactnet: the library: ")
        n_stored = len(self.scored())
        assert 0 < n_stored < N_TRACKS
        assert output.startswith(f"stopped: {n_stored} scored, ")
        for item in self.scored():
            assert {key for key in item.keys(with_album=False) if key in SCORE_FIELDS} == (
                SCORE_FIELDS
            )
        second = self.start_beet("artifactnet", "-q")
        output, errors = second.communicate(timeout=30)
        assert (second.returncode, errors) == (0, "")
        assert output.startswith(f"{N_TRACKS - n_stored} scored, {n_stored} skipped, ")

    def test_a_read_only_library(self) -> None:
        """It is one line, and what was stored stays."""
        self.add_tracks(1)
        self.run_command("artifactnet")
        self.add_track("New")
        # Root may write to any file: SQLite itself has to refuse.
        self.lib._connection().execute("PRAGMA query_only = ON")
        with pytest.raises(
            UserError, match="the library: attempt to write a readonly database"
        ):
            self.run_command("artifactnet")
        self.lib._connection().execute("PRAGMA query_only = OFF")
        assert self.n_scored() == 1

    def test_an_error_takes_everything_back(self) -> None:
        """Of a change that fails half way nothing is stored, and the lock is free again."""
        self.add_tracks(1)
        (item,) = self.lib.items()

        def fail() -> None:
            with library.writing(self.lib):
                item["ai_score"] = 0.5
                item.store()
                raise LibraryError("on purpose")

        with pytest.raises(LibraryError, match="on purpose"):
            fail()
        assert self.n_scored() == 0
        with library.writing(self.lib):
            item["ai_verdict"] = "ai"
            item.store()
        assert set(self.rows(item)) == {"ai_reason", "ai_verdict"}
