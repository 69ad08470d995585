"""Score thousands of files, many of them faulty, through kills and Ctrl-C; check the result.

    python -m tests.programs.soak --files 2000 --seed 0

``beet artifactnet`` is killed, interrupted and terminated on the way, its workers too, and
then left to end. After that every good file must have been scored, once, and each bad one
must say what is wrong with it. The exit status is 1 where that is not so.

``--kills 50`` kills it at 50 random moments. ``--memory-mb 200`` runs it in a memory cgroup
(version 1) of that size; where none can be made it says so. Files that crash their decoder
or lie on a bad sector need a C compiler; without one they are garbage instead.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from beets.library import Item, Library

from tests.programs.speed import pids_of_session, session_mb
from tests.support.audio_files import encode, music, tone
from tests.support.beets_library import HEARING_BEET
from tests.support.faults import COMPILER, failing
from tests.support.onnx_models import LEVELS, SAMPLE_RATE, write_model

CRASHING, BAD_SECTOR = "crashing", "bad sector"
"""Parts of the paths of such files."""
CGROUPS = Path("/sys/fs/cgroup/memory")
TIME_LIMIT_S = 3
ENDLESS_REPEATS = 20_000
"""Seconds of audio in a file whose decoding takes longer than that."""
ENDS_WITHIN_S = 15.0
STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WAIT_S = 0.02
SUFFIXES = ("flac", "ogg", "mp3", "wav")
FAULTY_EVERY = 5
MAX_HANGING = 3
"""Each costs the time limit."""


@dataclass
class Soak:
    """A library in a folder, and what must become of each of its files."""

    folder: Path
    rng: random.Random
    model: Path | None
    """None: the bundled one."""
    expected: dict[int, str] = field(default_factory=dict)
    """Item id -> beginning of ``ai_error``, empty for a good file."""
    vanishing: list[tuple[int, Path]] = field(default_factory=list)
    """Files that are deleted in the middle of the run."""
    seen: dict[int, str] = field(default_factory=dict)
    """Item id -> ``ai_scored`` when the score was first seen."""
    problems: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    """Of all processes together, over time."""
    cgroup: Path | None = None
    """Where the runs have a memory limit."""

    @property
    def database(self) -> Path:
        return self.folder / "library.db"

    def say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.problems.append(what)
            self.say(f"WRONG: {what}")

    # What there is at the start.

    def write(self, n_files: int) -> None:
        """Write files and the library that names them."""
        (self.folder / "seeds").mkdir()
        seeds = self._seeds()
        library = Library(str(self.database), str(self.folder))
        for number in range(n_files):
            fault = self._fault(number, n_files)
            path = self.folder / "music" / str(number // 100) / f"{number} {fault}\n'é\x1b[31m"
            path.parent.mkdir(parents=True, exist_ok=True)
            path, error = self._place(path, fault, seeds)
            item = Item(path=os.fsencode(path), title=f"{number} {fault}", length=2.0)
            item.add(library)
            self.expected[int(item.id or 0)] = error
            if fault == "vanishing":
                self.vanishing.append((int(item.id or 0), path))
        library._close()
        found = Counter(error.partition(":")[0] or "good" for error in self.expected.values())
        self.say(f"{n_files} files, {dict(found)}, {len(self.vanishing)} to vanish")

    def _fault(self, number: int, n_files: int) -> str:
        """Return what is wrong with a file: one in five has each fault in turn."""
        round_of_faults, place = divmod(number // FAULTY_EVERY, len(FAULTS))
        fault = list(FAULTS)[place]
        if number % FAULTY_EVERY == 1 and number > n_files // 2:
            return "vanishing" if place == 0 else "good"
        if number % FAULTY_EVERY:
            return "good"
        if fault in {CRASHING, BAD_SECTOR} and COMPILER is None:
            return "garbage"
        return "garbage" if fault == "hanging" and round_of_faults >= MAX_HANGING else fault

    def _seeds(self) -> dict[str, Path]:
        """Return a good file of each format, and one that takes long."""
        duration_s = 2.0 if self.model is not None else 8.0
        seeds = {"endless": self.folder / "seeds" / "endless.aac"}
        for suffix in SUFFIXES:
            seeds[suffix] = path = self.folder / "seeds" / f"good.{suffix}"
            rate = SAMPLE_RATE if suffix in {"flac", "wav"} else 44_100
            samples = tone(LEVELS["ai"], duration_s, rate)
            if self.model is None:
                samples = music(duration_s, rate)
            encode(path, samples, rate)
        # AAC in ADTS has no header of its own: its frames can follow one another for hours.
        second = self.folder / "seeds" / "second.aac"
        encode(second, music(1.0), 44_100)
        with seeds["endless"].open("wb") as file:
            for _ in range(ENDLESS_REPEATS):
                file.write(second.read_bytes())
        return seeds

    def _place(self, stem: Path, fault: str, seeds: dict[str, Path]) -> tuple[Path, str]:
        """Make a file with a fault; return its path and what it is to be reported as."""
        suffix = self.rng.choice(SUFFIXES)
        path = stem.with_name(f"{stem.name}.{suffix}")
        if fault in {"good", "vanishing"}:
            shutil.copyfile(seeds[suffix], path)
            return path, ""
        return FAULTS[fault](path, seeds)

    # The run, again and again.

    def start(self) -> subprocess.Popen[str]:
        faults = (
            failing(self.folder, BAD_SECTOR, errno.EIO, crashing=CRASHING) if COMPILER else {}
        )
        command = [sys.executable, "-u", "-c", HEARING_BEET, "artifactnet", "-q"]
        if self.cgroup is not None:
            enter = f'echo $$ > {self.cgroup}/cgroup.procs; exec "$@"'
            command = ["sh", "-c", enter, "sh", *command]
        return subprocess.Popen(
            command,
            env={**os.environ, **faults, "BEETSDIR": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=(self.folder / "errors.txt").open("a"),
            text=True,
            start_new_session=True,
        )

    def configure(self) -> None:
        options: dict[str, object] = {"time_limit": TIME_LIMIT_S, "threads": 2}
        if self.model is not None:
            options["model"] = str(self.model)
        config = {
            "plugins": ["artifactnet"],
            "library": str(self.database),
            "directory": str(self.folder),
            "artifactnet": options,
        }
        (self.folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")

    def run_until(self, n_done: int, number: signal.Signals | None) -> str:
        """Run until so many files are done, then send a signal; return the last line.

        This run does at least one of them. On a busy machine the run before may have done more
        than that, and a signal to a process that has not begun shows nothing. Without a signal
        the run is left to end by itself.
        """
        n_done = max(n_done, self.n_done() + 1)
        process = self.start()
        assert process.stdout is not None
        polls, kills_worker_at = 0, n_done - 1
        while process.poll() is None and (number is None or self.n_done() < n_done):
            # Reading the memory of all processes takes long enough to miss the moment.
            if polls % 10 == 0:
                self.memory_mb.append(session_mb(process.pid))
            polls += 1
            if number is None and self.n_done() >= kills_worker_at:
                kills_worker_at += len(self.expected) // 8 + 1
                self._kill_worker(process.pid)
            time.sleep(WAIT_S)
        if number is not None:
            self.check(process.poll() is None, f"the run ended before {number.name}")
            process.send_signal(number)
        sent = time.monotonic()
        output, _ = process.communicate()
        took_s = time.monotonic() - sent
        self._check_session(process.pid)
        self._check_database()
        name = "the end" if number is None else number.name
        self.say(
            f"{name}: {self.n_done()} done, exit status {process.returncode}, "
            f"ended within {took_s:.1f} s, at most {max(self.memory_mb):.0f} MB so far"
        )
        last = (output.splitlines() or [""])[-1]
        wanted = self._wanted_statuses(number, last)
        self.check(process.returncode in wanted, f"exit status after {name}")
        self.check(took_s < ENDS_WITHIN_S, f"took {took_s:.0f} s to end after {name}")
        if process.returncode in STATUSES.values():
            self.check(last.startswith("interrupted: "), f"no summary after {name}: {last}")
        return last

    def _kill_worker(self, leader: int) -> None:
        """Kill one of a run's workers, as the system does where memory is short."""
        workers = [pid for pid in pids_of_session(leader) if pid != leader]
        if workers:
            with suppress(ProcessLookupError):
                os.kill(self.rng.choice(workers), signal.SIGKILL)

    def _wanted_statuses(self, number: signal.Signals | None, last: str) -> set[int]:
        """Return the exit statuses that are right for a run that ended with this line.

        On a busy machine a run may have done its last file before the signal came.
        """
        if number is signal.SIGKILL:
            return {-signal.SIGKILL}
        if number is not None and self.n_done() < len(self.expected):
            return {STATUSES[number]}
        of_the_end = int(re.match(r"0 scored, .* [1-9]\d* failed,", last) is not None)
        return {of_the_end} if number is None else {of_the_end, STATUSES[number]}

    def _check_session(self, leader: int) -> None:
        """Check that no process of a run is left."""
        ends = time.monotonic() + ENDS_WITHIN_S
        while session_mb(leader) > 0 and time.monotonic() < ends:
            time.sleep(WAIT_S)
        self.check(session_mb(leader) == 0, "a process outlived the run")

    def _check_database(self) -> None:
        """Check that the database is sound and that no score was made a second time."""
        with closing(sqlite3.connect(self.database)) as connection:
            (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
        self.check(sound == "ok", f"database: {sound}")
        for item_id, scored in self.values("ai_scored").items():
            first = self.seen.setdefault(item_id, scored)
            self.check(first == scored, f"item {item_id} was scored twice")

    def values(self, key: str) -> dict[int, str]:
        """Return item id -> value of a flexible attribute."""
        with closing(sqlite3.connect(self.database, timeout=60)) as connection:
            query = "SELECT entity_id, value FROM item_attributes WHERE key = ?"
            return dict(connection.execute(query, (key,)).fetchall())

    def n_done(self) -> int:
        return len(self.values("ai_scored")) + len(self.values("ai_error"))

    def let_files_vanish(self) -> None:
        """Delete the files that are to vanish, those that are done already aside."""
        done = self.values("ai_scored").keys() | self.values("ai_error").keys()
        left = [(item_id, path) for item_id, path in self.vanishing if item_id not in done]
        for item_id, path in left:
            path.unlink()
            self.expected[item_id] = "missing: no such file"
        self.say(f"{len(left)} files deleted")

    def run(self, n_kills: int) -> None:
        """Run, kill, run, kill, delete files, run, interrupt, terminate, run to the end."""
        n_files = len(self.expected)
        self.configure()
        for number in range(1, n_kills + 1):
            self.run_until(2 * number * n_files // (5 * n_kills), signal.SIGKILL)
        self.let_files_vanish()
        self.run_until(3 * n_files // 5, signal.SIGINT)
        self.run_until(7 * n_files // 10, signal.SIGTERM)
        self.say(self.run_until(n_files, None))
        last = self.run_until(n_files, None)
        self.check(last.startswith("nothing to score: "), f"work was left: {last}")
        self.say(last)
        self._check_outcomes()
        self._report_memory()

    def _check_outcomes(self) -> None:
        scores, errors = self.values("ai_score"), self.values("ai_error")
        for item_id, error in self.expected.items():
            found = errors.get(item_id, "")
            right = found.startswith(error) if error else item_id in scores and not found
            self.check(right, f"item {item_id}: wanted {error or 'a score'}, found {found}")
        self.say(f"{len(scores)} scored, {len(errors)} explained:")
        for text, number in Counter(text[:70] for text in errors.values()).most_common():
            self.say(f"  {number:5} {text!r}")

    def _report_memory(self) -> None:
        size = max(1, len(self.memory_mb) // 8)
        parts = [max(self.memory_mb[i : i + size]) for i in range(0, len(self.memory_mb), size)]
        self.say("memory over time, MB: " + " ".join(f"{part:.0f}" for part in parts))


Fault = Callable[[Path, dict[str, Path]], tuple[Path, str]]


def _truncated(path: Path, seeds: dict[str, Path]) -> tuple[Path, str]:
    data = seeds["flac"].read_bytes()
    path = path.with_name(path.name + ".flac")
    path.write_bytes(data[: len(data) // 2])
    return path, "unreadable: "


def _garbage(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    path.write_bytes(random.Random(path.name).randbytes(5_000))
    return path, "unreadable: "


def _empty(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    path.touch()
    return path, "unreadable: "


def _gone(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    return path, "missing: no such file"


def _pipe(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    os.mkfifo(path)
    return path, "unreadable: "


def _folder(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    path.mkdir()
    return path, "unreadable: "


def _dangling(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    path.symlink_to("nowhere")
    return path, "missing: no such file"


def _loop(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    path.symlink_to(path.name)
    return path, "unreadable: "


def _silent(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    path = path.with_name(path.name + ".wav")
    encode(path, tone(0.0, 8.0, SAMPLE_RATE), SAMPLE_RATE)
    return path, "silent: "


def _short(path: Path, _: dict[str, Path]) -> tuple[Path, str]:
    path = path.with_name(path.name + ".wav")
    encode(path, tone(0.1, 0.1, SAMPLE_RATE), SAMPLE_RATE)
    return path, "too_short: "


def _crashing(path: Path, seeds: dict[str, Path]) -> tuple[Path, str]:
    path = path.with_name(f"{path.name} {CRASHING}.flac")
    shutil.copyfile(seeds["flac"], path)
    return path, "unreadable: its worker crashed"


def _bad_sector(path: Path, seeds: dict[str, Path]) -> tuple[Path, str]:
    path = path.with_name(f"{path.name} {BAD_SECTOR}.flac")
    shutil.copyfile(seeds["flac"], path)
    return path, "unavailable: "


def _hanging(path: Path, seeds: dict[str, Path]) -> tuple[Path, str]:
    path = path.with_name(path.name + ".aac")
    path.symlink_to(seeds["endless"])
    return path, "unreadable: not done within the time limit"


FAULTS: dict[str, Fault] = {
    "truncated": _truncated,
    "garbage": _garbage,
    "empty": _empty,
    "gone": _gone,
    "pipe": _pipe,
    "folder": _folder,
    "dangling": _dangling,
    "loop": _loop,
    "silent": _silent,
    "short": _short,
    CRASHING: _crashing,
    BAD_SECTOR: _bad_sector,
    "hanging": _hanging,
}


@contextmanager
def memory_limit(limit_mb: int | None) -> Iterator[Path | None]:
    """Make a memory cgroup of a size, where this machine lets us."""
    if limit_mb is None:
        yield None
        return
    group = CGROUPS / f"soak-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit_mb << 20))
    except OSError as error:
        sys.stdout.write(f"no memory limit here: {error}\n")
        yield None
        return
    try:
        yield group
    finally:
        time.sleep(1)
        group.rmdir()


def soak(
    folder: Path,
    n_files: int,
    seed: int,
    *,
    bundled: bool = False,
    n_kills: int = 2,
    cgroup: Path | None = None,
) -> list[str]:
    """Run it in an empty folder; return what went wrong."""
    model = None if bundled else write_model(folder / "model") / "model.onnx"
    found = Soak(folder, random.Random(seed), model, cgroup=cgroup)
    found.write(n_files)
    found.run(n_kills)
    return found.problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--memory-mb", type=int)
    parser.add_argument("--bundled", action="store_true", help="the model that is shipped")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, memory_limit(options.memory_mb) as cgroup:
        problems = soak(
            Path(folder),
            options.files,
            options.seed,
            bundled=options.bundled,
            n_kills=options.kills,
            cgroup=cgroup,
        )
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
