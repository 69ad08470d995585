"""Measure how fast tracks are scored, beside another version and beside a naive loop.

    python -m tests.programs.speed --folder FOLDER --other VENV/bin/python --pairs 5

Writes music of three to five minutes as MP3, FLAC, Ogg Vorbis, M4A and Opus, 44.1 and 48 kHz,
into the folder, once. Then the version that runs this program and the one installed beside the
other Python take turns on the same files. Each has its own bundled model, or this one has
``--model``. What counts is the ratio of the two, of wall time and of CPU time, whatever else
the machine does meanwhile. The naive loop runs the other version's graph. ``--only NAME``
prints one row; ``--long`` adds files of three hours, ``--many 5000`` the memory of a run over
so many tracks.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    closing,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import onnxruntime
import soundfile
import soxr
from beets.library import Item, Library

from beetsplug.artifactnet import library
from beetsplug.artifactnet.audio import source
from beetsplug.artifactnet.library import Judge
from beetsplug.artifactnet.models import store
from beetsplug.artifactnet.models.card import ModelInput
from beetsplug.artifactnet.results import TrackResult
from beetsplug.artifactnet.scoring import pipeline
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import SegmentBatch, segment_starts
from tests.support.audio_files import Samples, encode, music

KINDS = [
    (suffix, rate)
    for suffix in ("mp3", "flac", "ogg", "m4a", "opus")
    for rate in (44_100, 48_000)
    if (suffix, rate) != ("opus", 44_100)
]
N_FILES = 4 * len(KINDS)
NAIVE = {".mp3", ".flac", ".ogg"}
"""What libsndfile reads well, and so the naive loop: 24 of the files."""
N_IMPORTED = 12
N_SEGMENTS = 7
LONG_S, SHORT_S = 3 * 3_600, 240
LOOK_EVERY_S = 0.1
N_PARTS = 10
POLL_S = 0.005
FIND_PACKAGE = (
    "from importlib.util import find_spec\n"
    "print(find_spec('beetsplug.artifactnet').submodule_search_locations[0])"
)


def write_files(folder: Path) -> list[Path]:
    """Write the tracks that are not there yet and return the paths of all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(N_FILES):
        suffix, rate = KINDS[number % len(KINDS)]
        path = folder / f"{number:02}-{rate}.{suffix}"
        if not path.exists():
            duration_s = 180 + 60 * (number // len(KINDS) % 3)
            unfinished = path.with_stem("unfinished")
            encode(unfinished, music(duration_s, rate, seed=number), rate).rename(path)
        paths.append(path)
    return paths


def write_long(folder: Path, suffix: str, duration_s: int) -> Path:
    """Write a track of any length, a minute of music over and over, and return its path."""
    path = folder / f"{duration_s}-seconds.{suffix}"
    if path.exists():
        return path
    minute = encode(folder / f"minute.{suffix}", music(60, seed=1), 44_100)
    if suffix == "mp3":
        repeat_packets(minute, path, duration_s // 60)
        return path
    if suffix == "m4a":
        # The priming and the short last packet of a minute would be those of no other file.
        encode_in_turn(music(60, n_channels=1, seed=1), path, duration_s // 60)
        return path
    samples, _ = soundfile.read(minute, dtype="float32")
    with soundfile.SoundFile(path, "w", 44_100, 2) as file:
        for _ in range(duration_s // 60):
            file.write(samples)
    return path


def encode_in_turn(samples: Samples, path: Path, n_times: int) -> None:
    """Encode samples over and over as one track of AAC."""
    samples = samples.reshape(1, -1)
    with av.open(path, "w") as file:
        stream = file.add_stream("aac", rate=44_100, layout="mono")
        for turn in range(n_times):
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, turn * samples.shape[1]
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def repeat_packets(source: Path, path: Path, n_times: int) -> None:
    """Write a file's packets over and over, under one header: no need to encode again."""
    with av.open(source) as once, av.open(path, "w") as file:
        stream = file.add_stream_from_template(once.streams.audio[0])
        packets = [packet for packet in once.demux(audio=0) if packet.pts is not None]
        length = sum(int(packet.duration or 0) for packet in packets)
        starts = [int(packet.pts or 0) for packet in packets]
        for turn in range(n_times):
            for packet, start in zip(packets, starts, strict=True):
                packet.pts = packet.dts = start + turn * length
                packet.stream = stream
                file.mux(packet)


# Time.


class Cost(NamedTuple):
    """What something took, seconds."""

    wall_s: float
    cpu_s: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


def now() -> Cost:
    """Return the time, and the CPU time of this process and of those that it has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(time.perf_counter(), sum(each.ru_utime + each.ru_stime for each in used))


def cost_of(function: Callable[[], object]) -> Cost:
    """Call a function and return what that took."""
    before = now()
    function()
    return now() - before


@contextmanager
def timed(owner: Any, name: str, spent_s: dict[str, float]) -> Iterator[None]:
    """Add up the CPU time that a method takes, under its name."""
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def measured(*args: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        try:
            return method(*args, **kwargs)
        finally:
            spent_s[name] += time.process_time() - started

    setattr(owner, name, measured)
    try:
        yield
    finally:
        setattr(owner, name, method)


# The naive loop.


class Naive:
    """What a first attempt does: whole files, and a session as it comes.

    Args:
        graph: The ONNX file.
        given: What it takes.
    """

    def __init__(self, graph: Path, given: ModelInput) -> None:
        self._given = given
        self._session = onnxruntime.InferenceSession(str(graph))

    def probabilities(self, path: Path) -> list[float]:
        """Return P(AI) of each segment."""
        samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)
        if sample_rate != self._given.sample_rate:
            mono = soxr.resample(mono, sample_rate, self._given.sample_rate)
        size = self._given.segment_samples
        found = []
        for start in segment_starts(len(mono), size, N_SEGMENTS):
            segment = mono[None, start : start + size]
            (output, *_) = self._session.run(None, {self._given.name: segment})
            found.append(float(np.asarray(output).reshape(-1)[0]))
        return found


# The command.


@dataclass(frozen=True)
class Version:
    """An installed version of the plugin.

    Args:
        python: The interpreter beside which it is installed.
        model: The option ``model``.
    """

    python: str
    model: str = "default"

    @property
    def graph(self) -> Path:
        """Its bundled model's ONNX file."""
        found = subprocess.run(
            [self.python, "-P", "-c", FIND_PACKAGE], capture_output=True, text=True, check=True
        )
        return Path(found.stdout.strip()) / "models" / "finecomb" / "model.onnx"


class Command:
    """``beet`` on a library of its own.

    Args:
        folder: A new folder for it.
        paths: The tracks of its library.
        version: What runs.
        config: Options beside.
    """

    def __init__(
        self, folder: Path, paths: Sequence[Path], version: Version, **config: object
    ) -> None:
        folder.mkdir()
        self.folder, self._version, self._database = folder, version, folder / "library.db"
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            self.library = Library(str(self._database), str(folder / "music"))
        for path in paths:
            Item.from_path(os.fsencode(path)).add(self.library)
        options = {
            "plugins": ["artifactnet"],
            "library": str(self._database),
            "directory": str(folder / "music"),
            "artifactnet": {"model": version.model},
        }
        (folder / "config.yaml").write_text(json.dumps(options | config), encoding="utf-8")
        self._environment = {
            name: value
            for name, value in os.environ.items()
            # Modules are compiled once, as they are for a user.
            if name != "PYTHONDONTWRITEBYTECODE"
        } | {"BEETSDIR": str(folder), "PYTHONPYCACHEPREFIX": str(folder.parent / "pycache")}
        self.run("ls")
        self._unscored = self._database.read_bytes()

    def forget(self) -> None:
        """Make the library what it was at first."""
        self._database.with_name("library.db-journal").unlink(missing_ok=True)
        self._database.write_bytes(self._unscored)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._version.python, "-P", "-m", "beets", *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> float:
        """Run a command; return the CPU seconds that its processes were seen to use.

        Of those that nobody waits for the system tells nothing afterwards.
        """
        process = self.start(*arguments)
        used_s: dict[int, float] = {}
        while process.poll() is None:
            for pid in pids_of_session(process.pid):
                used_s[pid] = max(used_s.get(pid, 0.0), cpu_s(pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY_S)
        process.communicate()
        if process.returncode:
            raise SystemExit(f"beet {' '.join(arguments)} ended with {process.returncode}")
        return sum(used_s.values())

    def cost(self, *arguments: str) -> Cost:
        """Run a command; return what it took, process start included."""
        before = now()
        seen_s = self.run(*arguments)
        cost = now() - before
        return Cost(cost.wall_s, max(cost.cpu_s, seen_s))

    def first_score_s(self) -> float:
        """Run ``beet artifactnet``; return the seconds until a score is in the library."""
        self.forget()
        started = time.perf_counter()
        process = self.start("artifactnet", "-q")
        while process.poll() is None and not self._has_score():
            time.sleep(POLL_S)
        passed_s = time.perf_counter() - started
        process.terminate()  # a first score is all that is wanted
        process.wait()
        return passed_s

    def _has_score(self) -> bool:
        uri = f"{self._database.as_uri()}?mode=ro"
        sql = "SELECT 1 FROM item_attributes WHERE key = 'ai_score' LIMIT 1"
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as database:
            try:
                return database.execute(sql).fetchone() is not None
            except sqlite3.OperationalError:  # locked
                return False

    def memory_mb(self, *arguments: str) -> list[float]:
        """Run a command; return what all its processes held together, over time."""
        process = self.start(*arguments)
        reader = threading.Thread(target=process.communicate)
        reader.start()
        held = []
        while reader.is_alive():
            held.append(session_mb(process.pid))
            time.sleep(LOOK_EVERY_S)
        return held


def pids_of_session(leader: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            status = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(status[3]) == leader and status[0] != "Z":
                found.append(int(folder.name))
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:
        return 0.0
    return sum(map(int, status.split()[11:13])) / os.sysconf("SC_CLK_TCK")


def session_mb(leader: int) -> float:
    """Return the proportional set size of all processes of a session, in MB."""
    total_kb = 0
    for pid in pids_of_session(leader):
        with suppress(OSError, IndexError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb / 1024


# Rows of the table.


def line(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<44} {value}\n")
    sys.stdout.flush()


def spread(values: list[float], unit: str = "") -> str:
    middle = statistics.median(values)
    return f"{middle:.2f}{unit} ({min(values):.2f} to {max(values):.2f}, {len(values)} times)"


def print_ratios(what: str, pairs: list[tuple[Cost, Cost]]) -> None:
    """Print how many times faster the second of each pair was, in wall and in CPU time."""
    for kind, number in (("wall", 0), ("CPU", 1)):
        ratios = [other[number] / this[number] for other, this in pairs]
        middle_s = statistics.median(this[number] for _, this in pairs)
        line(f"{what}, {kind} time", f"{spread(ratios)}; {middle_s:.2f} s now")


@dataclass(frozen=True)
class Setup:
    """What the rows are made from."""

    paths: list[Path]
    this: Version
    other: Version
    n_pairs: int
    n_mixed: int
    folder: Path
    """For libraries; it goes at the end."""

    @property
    def readable(self) -> list[Path]:
        """The tracks that the naive loop reads."""
        return [path for path in self.paths if path.suffix in NAIVE]

    def command(self, name: str, paths: Sequence[Path], version: Version) -> Command:
        return Command(self.folder / name, paths, version)

    def detector(self) -> Detector:
        return Detector(store.find_model(self.this.model, ()))


def compare_models(setup: Setup) -> None:
    """A song's segments in the other version's graph, one at a time, and in this one's."""
    detector = setup.detector()
    given, path = detector.card.inputs[0], setup.paths[0]
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    mono, size = samples.mean(axis=1), given.segment_samples
    starts = segment_starts(len(mono), size, N_SEGMENTS)
    segments = np.stack([mono[start : start + size] for start in starts])
    batch = SegmentBatch((segments,), np.asarray(starts) / given.sample_rate)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(setup.other.graph), options)
    name = session.get_inputs()[0].name

    def run_other() -> None:
        for segment in segments:
            session.run(None, {name: segment[None]})

    def run_this() -> None:
        detector.findings(batch)

    run_other()
    run_this()
    pairs = [(cost_of(run_other), cost_of(run_this)) for _ in range(4 * setup.n_pairs)]
    print_ratios("a song's segments in the model", pairs)


def compare_mixed(setup: Setup) -> None:
    """``beet artifactnet`` over many files of all kinds, process start included."""
    n_files = setup.n_mixed
    paths = [setup.paths[number % len(setup.paths)] for number in range(n_files)]
    other = setup.command("other-mixed", paths, setup.other)
    this = setup.command("this-mixed", paths, setup.this)
    pairs = []
    for number in range(setup.n_pairs + 1):
        for command in (other, this):
            command.forget()
        pair = tuple(command.cost("artifactnet", "-q") for command in (other, this))
        if number:  # the first warms the disk's cache and compiles modules
            pairs.append((pair[0], pair[1]))
    print_ratios(f"{n_files} mixed files", pairs)
    per_minute = statistics.median(60 * n_files / this.wall_s for _, this in pairs)
    line("songs a minute now", f"{per_minute:.0f}")


def compare_naive(setup: Setup) -> None:
    """The naive loop, in one warm process, and ``beet artifactnet`` on the same files."""
    paths, detector = setup.readable, setup.detector()
    naive = Naive(setup.other.graph, detector.card.inputs[0])
    command = setup.command("naive", paths, setup.this)
    naive.probabilities(paths[0])
    command.run("artifactnet", "-q")
    pairs = []
    for _ in range(setup.n_pairs):
        command.forget()
        by_naive = cost_of(lambda: [naive.probabilities(path) for path in paths])
        pairs.append((by_naive, command.cost("artifactnet", "-q")))
    print_ratios(f"{len(paths)} files, naive loop", pairs)


def compare_starts(setup: Setup) -> None:
    """The time to the first stored score, beyond that of ``beet ls``."""
    for name, version in (("other", setup.other), ("this", setup.this)):
        command = setup.command(f"{name}-start", setup.readable, version)
        command.first_score_s()
        beyond = []
        for _ in range(2 * setup.n_pairs):
            ls_s = command.cost("ls").wall_s
            beyond.append(command.first_score_s() - ls_s)
        line(f"first stored score beyond `beet ls`, {name}", spread(beyond, " s"))


def compare_memory(setup: Setup) -> None:
    """The most that all processes hold together, with two workers."""
    for name, version in (("other", setup.other), ("this", setup.this)):
        command = setup.command(f"{name}-memory", setup.paths, version)
        peaks = []
        for _ in range(setup.n_pairs):
            command.forget()
            peaks.append(max(command.memory_mb("artifactnet", "-q", "-t", "2")))
        line(f"memory (PSS), all processes, {name}", spread(peaks, " MB"))


def compare_import(setup: Setup) -> None:
    """What scoring adds to an import of an album, and what ``replaygain`` adds."""
    if shutil.which("ffmpeg") is None:
        line("import", "not measured: replaygain's ffmpeg backend needs ffmpeg")
        return
    album = setup.folder / "album"
    album.mkdir()
    # Of one kind: replaygain measures no album of several.
    of_a_kind = [path for path in setup.paths if path.suffix == ".mp3"]
    for number in range(N_IMPORTED):
        shutil.copy(of_a_kind[number % len(of_a_kind)], album / f"{number:02}.mp3")
    config = {
        "import": {"copy": False, "write": False},
        "replaygain": {"backend": "ffmpeg", "auto": True},
    }
    plugins: dict[str, list[str]] = {
        "none": [],
        "artifactnet": ["artifactnet"],
        "replaygain": ["replaygain"],
    }
    commands = {
        name: Command(setup.folder / f"import-{name}", [], setup.this, plugins=names, **config)
        for name, names in plugins.items()
    }
    shares: dict[str, list[float]] = defaultdict(list)
    for number in range(setup.n_pairs + 1):
        for command in commands.values():
            command.forget()
        costs = {
            name: command.cost("import", "-A", "-q", str(album))
            for name, command in commands.items()
        }
        added, by_other = (costs[n] - costs["none"] for n in ("artifactnet", "replaygain"))
        if number:
            shares["wall"].append(added.wall_s / by_other.wall_s)
            shares["CPU"].append(added.cpu_s / by_other.cpu_s)
    for kind, values in shares.items():
        line(f"an import of {N_IMPORTED}: added / replaygain, {kind}", spread(values))


def print_shares(setup: Setup) -> None:
    """Print where the CPU time of a run over all files goes."""
    detector, spent_s = setup.detector(), defaultdict[str, float](float)
    command = setup.command("shares", setup.paths, setup.this)
    pipeline.score_file(setup.paths[0], detector, N_SEGMENTS)
    command.run("artifactnet", "-q")
    command.forget()
    whole_s = command.cost("artifactnet", "-q", "-t", "1").cpu_s
    command.forget()
    started = time.process_time()
    with timed(source, "resample", spent_s), timed(Detector, "votes", spent_s):
        results = [pipeline.score_file(p, detector, N_SEGMENTS) for p in setup.paths]
    scoring_s = time.process_time() - started
    stages_s = {
        "decode": scoring_s - sum(spent_s.values()),
        "resample": spent_s["resample"],
        "inference": spent_s["votes"],
        "storing": storing_s(command, results, detector),
    }
    stages_s["start"] = max(0.0, whole_s - sum(stages_s.values()))
    for name, seconds in stages_s.items():
        per_file_ms = 1e3 * seconds / len(setup.paths)
        line(f"share of {name}", f"{seconds / whole_s:.1%}, {per_file_ms:.1f} ms a file")
    print_equality(setup, results)


def storing_s(command: Command, results: list[TrackResult], detector: Detector) -> float:
    """Return the CPU seconds that storing these results takes."""
    judge = Judge(detector.card.label, detector.card.thresholds)
    items = list(command.library.items())
    started = time.process_time()
    for item, result in zip(items, results, strict=True):
        library.store_result(item, result, judge)
    return time.process_time() - started


def print_equality(setup: Setup, results: list[TrackResult]) -> None:
    """Print how many scores a second session repeats to the last bit."""
    detector = setup.detector()
    again = [pipeline.score_file(path, detector, N_SEGMENTS) for path in setup.paths]
    n_equal = sum(
        first.score == second.score for first, second in zip(results, again, strict=True)
    )
    line("scores equal to the last bit in a second run", f"{n_equal} of {len(again)}")


def compare_lengths(setup: Setup, folder: Path) -> None:
    """Print what a track of three hours costs, in tracks of four minutes."""
    detector = setup.detector()
    for suffix in ("flac", "mp3", "m4a"):
        short, long = (write_long(folder, suffix, seconds) for seconds in (SHORT_S, LONG_S))
        costs = []
        for _ in range(setup.n_pairs + 1):
            short_s, long_s = (
                cost_of(lambda: pipeline.score_file(path, detector, N_SEGMENTS)).cpu_s  # noqa: B023
                for path in (short, long)
            )
            costs.append(long_s / short_s)
        line(f"3 hours / 4 minutes, {suffix}", spread(costs[1:]))


def follow_memory(setup: Setup, n_tracks: int) -> None:
    """Print the most memory in each part of a run over many tracks."""
    paths = [setup.paths[number % len(setup.paths)] for number in range(n_tracks)]
    held = setup.command("many", paths, setup.this).memory_mb("artifactnet", "-q")
    peaks = [max(part) for part in np.array_split(held, N_PARTS)]
    line(
        f"most memory in each {1 / N_PARTS:.0%} of {n_tracks} tracks",
        " ".join(f"{peak:.0f}" for peak in peaks) + " MB",
    )


ROWS: dict[str, Callable[[Setup], None]] = {
    "model": compare_models,
    "mixed": compare_mixed,
    "naive": compare_naive,
    "start": compare_starts,
    "memory": compare_memory,
    "import": compare_import,
    "shares": print_shares,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the tracks lie")
    parser.add_argument("--other", default=sys.executable, help="Python of the other version")
    parser.add_argument("--model", default="default", help="this version's option `model`")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--mixed", type=int, default=240, help="files of the row `mixed`")
    parser.add_argument("--only", choices=ROWS, action="append", help="a row; several times")
    parser.add_argument("--long", action="store_true", help="write files of three hours, too")
    parser.add_argument("--many", type=int, default=0, help="memory over so many tracks, too")
    options = parser.parse_args()
    paths = write_files(options.folder)
    this, other = Version(sys.executable, options.model), Version(options.other)
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(paths, this, other, options.pairs, options.mixed, Path(folder))
        for name in options.only or ROWS:
            ROWS[name](setup)
        if options.many:
            follow_memory(setup, options.many)
        if options.long:
            compare_lengths(setup, options.folder)


if __name__ == "__main__":
    main()
