"""Measure how fast tracks are scored, against a naive loop, and where the time goes.

    python -m tests.programs.speed --folder /tmp/speed --files 24 --rounds 3

Writes music of three to four minutes as MP3, FLAC and Ogg Vorbis, 44.1 and 48 kHz, into
the folder, once. The naive loop and ``beet artifactnet`` then take turns on the same
files, with the same model; what counts is the ratio of the two, whatever else the
machine does meanwhile. ``--long`` adds files of three hours, ``--many 5000`` a run over so
many tracks, the same ones again and again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

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
from beetsplug.artifactnet.results import TrackResult
from beetsplug.artifactnet.scoring import pipeline
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.segments import segment_starts
from tests.support.audio_files import encode, music

KINDS = [(suffix, rate) for suffix in ("mp3", "flac", "ogg") for rate in (44_100, 48_000)]
N_SEGMENTS = 7
LONG_S, SHORT_S = 3 * 3_600, 240
N_STARTS = 15
N_COPIES = 10
"""How often the tracks are in the larger library, in which the start counts less."""
MEMORY_EVERY_S = 0.1
N_PARTS = 10


def write_files(folder: Path, n_files: int) -> list[Path]:
    """Write the tracks that are not there yet and return the paths of all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(n_files):
        suffix, rate = KINDS[number % len(KINDS)]
        path = folder / f"{number:02}-{rate}.{suffix}"
        if not path.exists():
            duration_s = 180 + 60 * (number // len(KINDS) % 4) / 3
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
    samples, _ = soundfile.read(minute, dtype="float32")
    with soundfile.SoundFile(path, "w", 44_100, 2) as file:
        for _ in range(duration_s // 60):
            file.write(samples)
    return path


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


# The naive loop.


class Naive:
    """What a first attempt does: whole files, and a session as it comes."""

    def __init__(self, model: store.Model) -> None:
        self._given = model.card.inputs[0]
        self._session = onnxruntime.InferenceSession(str(model.graph))
        (self._output,) = self._session.get_outputs()

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
            (output,) = self._session.run([self._output.name], {self._given.name: segment})
            found.append(float(np.asarray(output).reshape(-1)[0]))
        return found


# The command.


class Command:
    """``beet`` on a library of its own."""

    def __init__(self, folder: Path, paths: list[Path]) -> None:
        self.folder = folder
        self.library = Library(str(folder / "library.db"), str(folder / "music"))
        for path in paths:
            Item.from_path(os.fsencode(path)).add(self.library)
        config = {"plugins": ["artifactnet"], "library": str(folder / "library.db")}
        (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
        self._environment = {
            name: value
            for name, value in os.environ.items()
            # Modules are compiled once, as they are for a user.
            if name != "PYTHONDONTWRITEBYTECODE"
        } | {"BEETSDIR": str(folder), "PYTHONPYCACHEPREFIX": str(folder / "pycache")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "beets", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def seconds(self, *arguments: str) -> float:
        """Run a command; return how long it took, process start included."""
        started = time.perf_counter()
        process = self.start(*arguments)
        process.communicate()
        if process.returncode:
            raise SystemExit(f"beet {' '.join(arguments)} ended with {process.returncode}")
        return time.perf_counter() - started

    def memory_mb(self, *arguments: str) -> list[float]:
        """Run a command; return what all its processes held together, over time."""
        process = self.start(*arguments)
        reader = threading.Thread(target=process.communicate)
        reader.start()
        held = []
        while reader.is_alive():
            held.append(session_mb(process.pid))
            time.sleep(MEMORY_EVERY_S)
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


def session_mb(leader: int) -> float:
    """Return the proportional set size of all processes of a session, in MB."""
    total_kb = 0
    for pid in pids_of_session(leader):
        with suppress(OSError, IndexError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb / 1024


# Where the time goes.


@contextmanager
def timed(owner: Any, name: str, spent_s: dict[str, float]) -> Iterator[None]:
    """Add up the time that a method takes, under its name."""
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def measured(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            spent_s[name] += time.perf_counter() - started

    setattr(owner, name, measured)
    try:
        yield
    finally:
        setattr(owner, name, method)


def one_thread(paths: list[Path], detector: Detector) -> tuple[dict[str, float], Results]:
    """Score on this thread; return the seconds of each stage, and the results."""
    spent_s: dict[str, float] = defaultdict(float)
    started = time.perf_counter()
    with (
        timed(source, "resample", spent_s),
        timed(Detector, "probabilities", spent_s),
    ):
        results = [pipeline.score_file(path, detector, N_SEGMENTS) for path in paths]
    total_s = time.perf_counter() - started
    resample_s, inference_s = spent_s["resample"], spent_s["probabilities"]
    stages_s = {
        "decode": total_s - resample_s - inference_s,
        "resample": resample_s,
        "inference": inference_s,
    }
    return stages_s, results


Results = list[TrackResult]


def store_s(command: Command, results: Results, judge: Judge) -> float:
    """Return the seconds that storing these results takes."""
    items = list(command.library.items())
    started = time.perf_counter()
    for item, result in zip(items, results, strict=True):
        library.store_result(item, result, judge)
    return time.perf_counter() - started


# What is printed.


def line(what: str, value: str) -> None:
    sys.stdout.write(f"{what:<44} {value}\n")
    sys.stdout.flush()


def spread(values: list[float], unit: str = "") -> str:
    middle = statistics.median(values)
    return f"{middle:.2f}{unit} ({min(values):.2f} to {max(values):.2f}, {len(values)} times)"


def compare_speed(paths: list[Path], command: Command, n_rounds: int) -> None:
    """Print the ratio to the naive loop, the efficiency, and the stages' shares."""
    model = store.find_model("default", ())
    naive, detector = Naive(model), Detector(model)
    judge = Judge(model.card.label, model.card.thresholds)
    n_cores = len(os.sched_getaffinity(0))
    naive.probabilities(paths[0])
    pipeline.score_file(paths[0], detector, N_SEGMENTS)
    command.seconds("artifactnet", "-f", "-q")
    ratios, efficiencies = [], []
    for _ in range(n_rounds):
        started = time.perf_counter()
        expected = [naive.probabilities(path) for path in paths]
        naive_s = time.perf_counter() - started
        beet_s = command.seconds("artifactnet", "-f", "-q")
        stages_s, results = one_thread(paths, detector)
        ratios.append(naive_s / beet_s)
        efficiencies.append(beet_s * n_cores / sum(stages_s.values()))
    stages_s["store"] = store_s(command, results, judge)
    total_s = sum(stages_s.values())
    line("files", f"{len(paths)}, {n_cores} cores, model {model.card.label}")
    line("naive loop, songs per minute, last round", f"{60 * len(paths) / naive_s:.0f}")
    line("beet artifactnet, songs per minute, last round", f"{60 * len(paths) / beet_s:.0f}")
    line("ratio", spread(ratios))
    line("wall time x cores / one thread's stages", spread(efficiencies))
    for name, seconds in stages_s.items():
        per_file_ms = 1e3 * seconds / len(paths)
        line(f"share of {name}", f"{seconds / total_s:.1%}, {per_file_ms:.1f} ms a file")
    for rate in (44_100, 48_000):
        print_equality(rate, paths, expected, results)


def print_equality(
    rate: int, paths: list[Path], expected: list[list[float]], results: Results
) -> None:
    """Print how many segments of files of a rate have the naive loop's very probability."""
    pairs = [
        (wanted, segment.probability)
        for path, row, result in zip(paths, expected, results, strict=True)
        if f"-{rate}." in path.name and result.score is not None
        for wanted, segment in zip(row, result.score.segments, strict=True)
    ]
    n_equal = sum(wanted == found for wanted, found in pairs)
    largest = max(abs(wanted - found) for wanted, found in pairs)
    line(
        f"equal segments, {rate} Hz", f"{n_equal} of {len(pairs)}, others within {largest:.1e}"
    )


def compare_large(paths: list[Path], folder: Path, n_rounds: int) -> None:
    """Print the efficiency once more, with the same tracks several times in a library."""
    folder.mkdir()
    command = Command(folder, paths * N_COPIES)
    detector = Detector(store.find_model("default", ()))
    n_cores = len(os.sched_getaffinity(0))
    one_thread(paths, detector)
    efficiencies = []
    for _ in range(n_rounds):
        before_s = sum(one_thread(paths, detector)[0].values())
        beet_s = command.seconds("artifactnet", "-f", "-q")
        after_s = sum(one_thread(paths, detector)[0].values())
        alone_s = N_COPIES * (before_s + after_s) / 2
        efficiencies.append(beet_s * n_cores / alone_s)
    line(f"the same, {N_COPIES * len(paths)} tracks", spread(efficiencies))
    n_minute = 60 * N_COPIES * len(paths) / beet_s
    line("beet artifactnet, songs per minute, last round", f"{n_minute:.0f}")


def compare_starts(command: Command) -> None:
    """Print what a start costs: nothing to do, and the plugin in other commands."""
    bare = command.folder / "bare.yaml"
    bare.write_text(json.dumps({"plugins": []}), encoding="utf-8")
    idle, loads_ms = [], []
    command.seconds("version")
    for _ in range(N_STARTS):
        version_s = command.seconds("version")
        idle.append(command.seconds("artifactnet") / version_s)
        without_s = command.seconds("-c", str(bare), "-P", "artifactnet", "version")
        loads_ms.append(1e3 * (version_s - without_s))
    line("beet artifactnet, nothing to do / beet version", spread(idle))
    line("plugin loaded in another command", spread(loads_ms, " ms"))


def compare_lengths(folder: Path) -> None:
    """Print what a track of three hours costs, in tracks of four minutes."""
    detector = Detector(store.find_model("default", ()))
    for suffix in ("flac", "mp3"):
        paths = [write_long(folder, suffix, seconds) for seconds in (SHORT_S, LONG_S)]
        one_thread(paths, detector)
        ratios = []
        for _ in range(5):
            short_s, long_s = (sum(one_thread([p], detector)[0].values()) for p in paths)
            ratios.append(long_s / short_s)
        line(f"3 hours / 4 minutes, {suffix}", spread(ratios))


def follow_memory(paths: list[Path], folder: Path, n_tracks: int) -> None:
    """Print the most memory in each part of a run over many tracks."""
    folder.mkdir()
    command = Command(folder, [paths[i % len(paths)] for i in range(n_tracks)])
    held = command.memory_mb("ai", "-q")
    peaks = [max(part) for part in np.array_split(held, N_PARTS)]
    line(
        f"most memory in each {1 / N_PARTS:.0%} of {n_tracks} tracks",
        " ".join(f"{peak:.0f}" for peak in peaks) + " MB",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the tracks lie")
    parser.add_argument("--files", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true", help="write files of three hours, too")
    parser.add_argument("--many", type=int, default=0, help="memory over so many tracks, too")
    options = parser.parse_args()
    paths = write_files(options.folder, options.files)
    with tempfile.TemporaryDirectory() as folder:
        command = Command(Path(folder), paths)
        compare_speed(paths, command, options.rounds)
        compare_large(paths, Path(folder) / "large", options.rounds)
        peak_mb = max(command.memory_mb("ai", "-f", "-q"))
        line("most memory (Pss, all processes)", f"{peak_mb:.0f} MB")
        compare_starts(command)
        if options.many:
            follow_memory(paths, Path(folder) / "many", options.many)
    if options.long:
        compare_lengths(options.folder)


if __name__ == "__main__":
    main()
