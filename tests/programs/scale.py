"""Measure what large libraries cost, against another build of the plugin.

    python -m tests.programs.scale --folder FOLDER --other VENV/bin/python

Three libraries are made for each build, from one track that the build itself has scored. One
has 50,000 scored tracks with nothing to do, one 5 due among 20,000. One has 3,000 due tracks,
in one album and in albums of ten. Both builds take turns; what counts are the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support.audio_files import encode, music

CLIP_S = 4.2
SCORED_AT_ONCE = 1_000
N_LISTED = 50_000
N_WITH_DUE, N_DUE = 20_000, 5
N_IN_ALBUM, N_IN_SMALL_ALBUM = 3_000, 10


BEET = """\
import atexit, json, os, resource
from beets.ui import main

def note():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with open(os.environ["USAGE"], "w") as file:
        json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)

atexit.register(note)
main()
"""
"""The program ``beet``, which notes what it used itself: a parent learns of it with workers."""


@dataclass(frozen=True)
class Cost:
    """What one run of a command cost, the process that owns the library alone."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    first_line_s: float


@dataclass(frozen=True)
class Build:
    """A Python environment with beets and a version of the plugin."""

    name: str
    python: str

    def run(self, folder: Path, *args: str) -> Cost:
        """Run ``beet`` on the library in a folder."""
        began = time.monotonic()
        first_line_s = 0.0
        process = subprocess.Popen(
            [self.python, "-u", "-c", BEET, *args],
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "BEETSDIR": str(folder),
                "OMP_NUM_THREADS": "1",
                "USAGE": str(folder / "usage.json"),
            },
            cwd=folder,
        )
        assert process.stdout is not None
        for line in process.stdout:
            first_line_s = first_line_s or time.monotonic() - began
            last = line
        if status := process.wait():
            raise SystemExit(f"{self.name}: {args} ended with status {status}: {last!r}")
        cpu_s, peak_kb = json.loads((folder / "usage.json").read_text(encoding="utf-8"))
        return Cost(
            wall_s=time.monotonic() - began,
            cpu_s=cpu_s,
            peak_mb=peak_kb / 1024,
            first_line_s=first_line_s,
        )


def write_library(
    build: Build, folder: Path, n_scored: int, n_due: int, per_album: int
) -> None:
    """Make a library of copies of one track, which the build scores itself.

    Args:
        build: The build that scores it.
        folder: Where the library goes; what is there is kept.
        n_scored: Number of tracks with a score.
        n_due: Number of tracks without.
        per_album: Tracks an album.
    """
    if (folder / "library.db").exists():
        return
    music_folder = folder / "music"
    music_folder.mkdir(parents=True)
    clip = encode(folder / "clip.wav", music(CLIP_S, seed=1), 44_100)
    config = {
        "directory": str(music_folder),
        "library": str(folder / "library.db"),
        "plugins": ["artifactnet"],
        "create_backup_before_migrations": False,
        "artifactnet": {"segments": 1, "threads": 1},
        "import": {"copy": False, "write": False},
    }
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    build.run(folder, "import", "-q", "-A", str(clip))
    with closing(sqlite3.connect(folder / "library.db")) as database:
        _multiply(database, clip, music_folder, n_scored, n_due, per_album)


def _multiply(
    database: sqlite3.Connection,
    clip: Path,
    folder: Path,
    n_scored: int,
    n_due: int,
    per_album: int,
) -> None:
    """Replace the one item of a library by as many as are wanted."""
    item, album = (_row(database, table) for table in ("items", "albums"))
    attributes = database.execute(
        "SELECT key, value FROM item_attributes WHERE entity_id = ?", (item["id"],)
    ).fetchall()
    for table in ("items", "albums", "item_attributes"):
        database.execute(f"DELETE FROM {table}")
    number = n_scored + n_due
    for start in range(0, number, SCORED_AT_ONCE):
        rows = range(start, min(start + SCORED_AT_ONCE, number))
        paths = [folder / f"{place // SCORED_AT_ONCE}" / f"{place}.wav" for place in rows]
        paths[0].parent.mkdir(exist_ok=True)
        for place, path in zip(rows, paths, strict=True):
            os.link(clip, path)
            album_id = place // per_album + 1
            path_bytes = os.fsencode(path.relative_to(folder))
            title = {"id": place + 1, "title": f"Track {place}", "path": path_bytes}
            _insert(database, "items", {**item, **title, "album_id": album_id})
            if place % per_album == 0:
                name = {"id": album_id, "album": f"Album {album_id}"}
                _insert(database, "albums", {**album, **name})
            if place < n_scored:
                database.executemany(
                    "INSERT INTO item_attributes (entity_id, key, value) VALUES (?, ?, ?)",
                    [(place + 1, key, value) for key, value in attributes],
                )
    database.commit()


def _row(database: sqlite3.Connection, table: str) -> dict[str, object]:
    cursor = database.execute(f"SELECT * FROM {table} LIMIT 1")
    (values,) = cursor.fetchall()
    return dict(zip((column[0] for column in cursor.description), values, strict=True))


def _insert(database: sqlite3.Connection, table: str, values: dict[str, object]) -> None:
    marks = ", ".join("?" * len(values))
    names = ", ".join(values)
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", (*values.values(),))


def forget_scores(folder: Path, n_kept: int) -> None:
    """Remove all that scoring stored, but of the first tracks."""
    with closing(sqlite3.connect(folder / "library.db")) as database:
        database.execute("DELETE FROM item_attributes WHERE entity_id > ?", (n_kept,))
        database.execute("DELETE FROM album_attributes")
        database.commit()


def measure(builds: list[Build], root: Path, rounds: int) -> Iterator[str]:
    """Yield what was measured, a line each."""
    yield from _nothing_to_do(builds, root, rounds)
    yield from _few_due(builds, root, rounds)
    yield from _large_album(builds, root)


def _nothing_to_do(builds: list[Build], root: Path, rounds: int) -> Iterator[str]:
    costs: dict[str, list[Cost]] = {build.name: [] for build in builds}
    for build in builds:
        folder = root / build.name / "listed"
        write_library(build, folder, N_LISTED, 0, 12)
        build.run(folder, "ai")
    for _ in range(rounds):
        for build in builds:
            costs[build.name].append(build.run(root / build.name / "listed", "ai"))
    walls = {name: statistics.median(c.wall_s for c in costs[name]) for name in costs}
    cpus = {name: statistics.median(c.cpu_s for c in costs[name]) for name in costs}
    peaks = {name: max(c.peak_mb for c in costs[name]) for name in costs}
    for name in costs:
        yield (
            f"{N_LISTED} scored, {name}: {walls[name]:.2f} s, {cpus[name]:.2f} s of CPU, "
            f"{peaks[name]:.0f} MB"
        )
    yield from _ratio("time", [walls[build.name] for build in builds])
    yield from _ratio("CPU time", [cpus[build.name] for build in builds])
    yield from _ratio("memory", [peaks[build.name] for build in builds])


def _few_due(builds: list[Build], root: Path, rounds: int) -> Iterator[str]:
    for build in builds:
        firsts = {}
        for n_scored in (0, N_WITH_DUE):
            folder = root / build.name / f"due-{n_scored}"
            write_library(build, folder, n_scored, N_DUE, 12)
            build.run(folder, "ai")
            times = []
            for _ in range(rounds):
                forget_scores(folder, n_scored)
                times.append(build.run(folder, "ai", "-q").first_line_s)
            firsts[n_scored] = statistics.median(times)
        yield (
            f"{N_DUE} due, {build.name}: {firsts[0]:.2f} s until the run's summary alone, "
            f"{firsts[N_WITH_DUE]:.2f} s among {N_WITH_DUE} scored: "
            f"{firsts[N_WITH_DUE] - firsts[0]:.2f} s more"
        )


def _large_album(builds: list[Build], root: Path) -> Iterator[str]:
    for build in builds:
        per_track = []
        for per_album in (N_IN_SMALL_ALBUM, N_IN_ALBUM):
            folder = root / build.name / f"albums-of-{per_album}"
            write_library(build, folder, 0, N_IN_ALBUM, per_album)
            forget_scores(folder, 0)
            cost = build.run(folder, "ai", "-q")
            per_track.append(1_000 * cost.cpu_s / N_IN_ALBUM)
        small, large = per_track
        yield (
            f"{N_IN_ALBUM} due, {build.name}: {small:.2f} ms of the main process a track in "
            f"albums of {N_IN_SMALL_ALBUM}, {large:.2f} ms in one album: "
            f"{large / small:.2f} times"
        )


def _ratio(what: str, values: list[float]) -> Iterator[str]:
    if len(values) == 2:
        yield f"  {what}: {values[0] / values[1]:.3f} of the other build's"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, required=True, help="for the libraries")
    parser.add_argument("--other", help="Python of another build, to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--anew", action="store_true", help="make the libraries again")
    options = parser.parse_args()
    if options.anew:
        shutil.rmtree(options.folder, ignore_errors=True)
    builds = [Build("this", sys.executable)]
    if options.other:
        builds.append(Build("other", options.other))
    for line in measure(builds, options.folder, options.rounds):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
