"""Interrupt ``beet artifactnet`` at random moments, and check how it ends.

    python -m tests.programs.interrupts --tries 200 --seed 0

Each try sends Ctrl-C once, Ctrl-C twice or SIGTERM to a run that has begun to load the plugin,
up to five seconds later. It must leave no traceback, no process and no file, and its summary
must agree with the library. The exit status is 1 where one did not. The modules of beets,
loaded around the plugin, print a traceback when they are interrupted; such tries are counted
apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from beets.library import Item, Library

from tests.programs.speed import pids_of_session
from tests.support.beets_library import write_track

N_TRACKS = 400
LATEST_S = 5.0
ENDS_WITHIN_S = 20.0
STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143}
BEET = """\
import os, signal, sys

class Notice:
    def find_spec(self, name, path=None, target=None):
        if name == "beetsplug.artifactnet":
            open(os.environ["LOADING"], "w").close()

sys.meta_path.insert(0, Notice())
# A shell starts background jobs deaf to Ctrl-C, and their children with them.
signal.signal(signal.SIGINT, signal.default_int_handler)
from beets.ui import main
main()
"""
"""The program ``beet``, which tells when it begins to load the plugin."""


@dataclass(frozen=True)
class Ending:
    """How a try ended."""

    name: str
    """The signal, and how often it was sent."""
    status: int
    problem: str
    """Empty where all was well."""
    is_of_beets: bool = False
    """Whether beets' own start was interrupted, before any code of the plugin."""


class TrackLibrary:
    """A library of short tracks without a score, in a folder."""

    def __init__(self, folder: Path, n_tracks: int) -> None:
        self.folder, self.temporary = folder, folder / "temporary"
        self.temporary.mkdir()
        self.database = folder / "library.db"
        library = Library(str(self.database), str(folder))
        track = write_track(folder / "music" / "track.flac", duration_s=30.0)
        for number in range(n_tracks):
            path = track.with_name(f"{number}.flac")
            path.hardlink_to(track)
            Item(path=os.fsencode(path), title=str(number), length=30.0).add(library)
        library._close()
        config = {
            "plugins": ["artifactnet"],
            "library": str(self.database),
            "directory": str(folder),
            "artifactnet": {"threads": 2},
        }
        (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")

    def reset(self) -> None:
        """Take all scores away."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("DELETE FROM item_attributes WHERE key LIKE 'ai_%'")

    def n_scored(self) -> int:
        """Return how many tracks have a score; the database must be sound."""
        with closing(sqlite3.connect(self.database)) as connection:
            (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
            assert sound == "ok", sound
            query = "SELECT count(*) FROM item_attributes WHERE key = 'ai_score'"
            return int(connection.execute(query).fetchone()[0])

    def start(self) -> subprocess.Popen[str]:
        """Start the command, and return it when it loads the plugin."""
        marker = self.folder / "loading"
        marker.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", BEET, "artifactnet", "-q"],
            env={
                **os.environ,
                "BEETSDIR": str(self.folder),
                "LOADING": str(marker),
                "TMPDIR": str(self.temporary),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while not marker.exists() and process.poll() is None:
            time.sleep(0.01)
        return process


def interrupt(
    library: TrackLibrary, number: signal.Signals, n_times: int, rng: random.Random
) -> Ending:
    """Interrupt a run at a random moment and return how it ended."""
    library.reset()
    process = library.start()
    time.sleep(rng.uniform(0, LATEST_S))
    for _ in range(n_times):
        if process.poll() is None:
            # A terminal sends it to all processes of its foreground group.
            os.killpg(process.pid, number)
        time.sleep(rng.uniform(0, 0.5) if n_times > 1 else 0)
    try:
        output, errors = process.communicate(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        errors += "\nit did not end"
    name = f"{number.name} x {n_times}"
    if "Traceback" in errors and "artifactnet" not in errors:
        return Ending(name, process.returncode, "", is_of_beets=True)
    return Ending(name, process.returncode, _problem(library, process, output, errors))


def _problem(
    library: TrackLibrary, process: subprocess.Popen[str], output: str, errors: str
) -> str:
    ends = time.monotonic() + ENDS_WITHIN_S
    while pids_of_session(process.pid) and time.monotonic() < ends:
        time.sleep(0.05)
    if "Traceback" in errors or "it did not end" in errors or "Exception ignored" in errors:
        return errors
    if pids_of_session(process.pid):
        return "a process is left"
    if left := list(library.temporary.iterdir()):
        return f"left behind: {left[0].name}"
    told = re.search(r"(\d+) scored", output)
    if told is not None and int(told[1]) != library.n_scored():
        return f"{output.splitlines()[-1]!r}, but {library.n_scored()} have a score"
    return ""


def run(folder: Path, n_tries: int, seed: int, *, n_tracks: int = N_TRACKS) -> list[Ending]:
    """Return how so many tries ended."""
    rng = random.Random(seed)
    library = TrackLibrary(folder, n_tracks)
    ways = ((signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1))
    return [interrupt(library, *ways[number % 3], rng) for number in range(n_tries)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        endings = run(Path(folder), options.tries, options.seed)
    for (name, status), count in sorted(Counter((e.name, e.status) for e in endings).items()):
        sys.stdout.write(f"{count:4}  {name}: exit status {status}\n")
    problems = [ending for ending in endings if ending.problem]
    for ending in problems:
        sys.stdout.write(f"WRONG: {ending.name}: {ending.problem}\n")
    n_of_beets = sum(ending.is_of_beets for ending in endings)
    sys.stdout.write(
        f"{len(endings)} tries, {len(problems)} wrong, "
        f"{n_of_beets} tracebacks of beets' own start\n"
    )
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
