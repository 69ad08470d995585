"""Decode thousands of damaged audio files and tell what became of each.

    python -m tests.programs.fuzz --files 5000 --seed 0

Every file is one of our own seeds: one second of synthetic music in some container. A few bytes
are changed, by rules that its number alone decides. A worker process opens and decodes it. The
parent notices when the worker dies of a signal, is silent for too long or holds too much
memory. It also notices an exception that is no ``FileError``. Such files are kept, and the exit
status is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import FileError
from beetsplug.artifactnet.memory import ExcessiveMemoryError
from beetsplug.artifactnet.scoring.provenance import read_claims
from beetsplug.artifactnet.scoring.segments import segment_starts

LIMIT_S = 10.0
"""A file of a second that takes longer hangs."""
LIMIT_MB = 200
"""Memory that one file may take above what an idle worker holds."""
_ADDRESS_SPACE_MB = 4_096
"""Where the system stops a worker before it takes the machine along."""
_SPAN_S = 0.25
_RATES_HZ = (44_100, 16_000)
_READY = "ready"
_EXTREMES = (0, 1, -1, 0x7F, 0x80, 0x7FFF, 0x8000, 0x7FFF_FFFF, 0x8000_0000, 0x7FFF_FFF0)
_NAMES = re.compile(rb"[A-Za-z0-9 ]{4}")
_HEAD_BYTES = 600
OK = "ok"

Mutation = Callable[[random.Random, bytearray], None]


@dataclass(frozen=True)
class Verdict:
    """What became of one file."""

    kind: str
    """``ok``, ``refused``, ``escaped``, ``crashed`` or ``hung``."""
    detail: str = ""
    """Name of the exception, or of the signal."""
    peak_mb: float = 0.0
    """Memory above an idle worker, at its highest."""
    seconds: float = 0.0

    @property
    def is_finding(self) -> bool:
        """Whether it must not happen."""
        return self.kind not in {OK, "refused"} or self.peak_mb > LIMIT_MB


# --- seeds ---------------------------------------------------------------------------


def write_seeds(folder: Path) -> dict[str, list[Path]]:
    """Write one second of music in every container that we can make.

    Returns:
        Container -> its files, mono and stereo.
    """
    from tests.support.audio_files import CONTAINERS, encode, music
    from tests.support.odd_audio import write_dsf, write_with_ffmpeg, write_with_sndfile

    seeds: dict[str, list[Path]] = defaultdict(list)
    short = {n: music(0.6, 22_050, n, seed=n) for n in (1, 2)}
    for n_channels, samples in short.items():
        for name in CONTAINERS:
            rate = 48_000 if name == "opus" else 22_050
            path = folder / f"{name}-{n_channels}"
            seeds[name].append(encode(path, samples, rate, name))
        for major, subtype in _SNDFILE_SEEDS:
            name = f"{major}_{subtype}".lower()
            path = folder / f"{name}-{n_channels}"
            if n_channels == 1 or major not in _MONO:
                seeds[name].append(write_with_sndfile(path, samples, 22_050, major, subtype))
        for form, codec, kind in _FFMPEG_SEEDS:
            name = f"{form}_{codec}"
            path = folder / f"{name}-{n_channels}"
            rate = 48_000 if codec in {"libopus", "ac3"} else 22_050
            if n_channels == 2 or codec != "vorbis":
                seeds[name].append(write_with_ffmpeg(path, samples, rate, form, codec, kind))
    seeds["dsf"].append(write_dsf(folder / "dsf-1", 0.8 * short[1][:3_000]))
    return dict(seeds)


_SNDFILE_SEEDS = [
    ("WAV", "PCM_24"),
    ("WAV", "DOUBLE"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("AIFF", "PCM_24"),
    ("AIFF", "IMA_ADPCM"),
    ("AU", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("VOC", "PCM_16"),
    ("NIST", "PCM_16"),
    ("SDS", "PCM_16"),
    ("PAF", "PCM_16"),
    ("SVX", "PCM_16"),
    ("MAT5", "PCM_16"),
    ("XI", "DPCM_16"),
]
_MONO = {"SDS", "SVX", "XI"}
"""Formats of one channel."""
_FFMPEG_SEEDS = [
    ("matroska", "libopus", ""),
    ("matroska", "flac", "s16"),
    ("matroska", "pcm_s16le", ""),
    ("webm", "libopus", ""),
    ("webm", "vorbis", ""),
    ("ogg", "flac", "s16"),
    ("mp4", "libmp3lame", ""),
    ("mp4", "flac", "s16"),
    ("mov", "pcm_s24le", ""),
    ("caf", "alac", "s16p"),
    ("ac3", "ac3", ""),
    ("mpegts", "aac", ""),
    ("mp2", "mp2", ""),
    ("au", "pcm_s16be", ""),
]


# --- mutations -----------------------------------------------------------------------


def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Return a file with one to four changes; in an Ogg file checksums may be put right.

    Args:
        rng: Decides everything.
        data: The file.
        other: A file of the same container, which parts may be taken from.
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if rng.random() < 0.08:
            at, start = _place(rng, changed), _place(rng, other)
            changed[at:at] = other[start : start + rng.randrange(1, 4_000)]
            continue
        rng.choice(_MUTATIONS)(rng, changed)
        if not changed:
            break
    if rng.random() < 0.6 and changed[:4] == b"OggS":
        mend_ogg(changed)
    return bytes(changed)


def _place(rng: random.Random, data: bytes | bytearray) -> int:
    """Return an offset: half of them within the header."""
    end = min(len(data), _HEAD_BYTES) if rng.random() < 0.5 else len(data)
    return rng.randrange(max(1, end))


def _flip_bits(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 4, 32))):
        data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray) -> None:
    at = _place(rng, data)
    length = min(len(data) - at, rng.choice((1, 2, 4, 8, 64, 1_000)))
    run = (
        bytes([rng.choice((0, 255))]) * length if rng.random() < 0.5 else rng.randbytes(length)
    )
    data[at : at + length] = run


def _truncate(rng: random.Random, data: bytearray) -> None:
    del data[max(1, _place(rng, data)) :]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = _place(rng, data)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 16, 500)))


def _delete(rng: random.Random, data: bytearray) -> None:
    at = _place(rng, data)
    del data[at : at + rng.choice((1, 2, 16, 500))]


def _duplicate(rng: random.Random, data: bytearray) -> None:
    start, at = _place(rng, data), _place(rng, data)
    data[at:at] = data[start : start + rng.choice((4, 100, 5_000))] * rng.choice((1, 1, 2, 8))


def _set_field(rng: random.Random, data: bytearray) -> None:
    """Give a number in the header an extreme value, in either order of bytes."""
    _write_extreme(rng, data, _place(rng, data))


def _set_size(rng: random.Random, data: bytearray) -> None:
    """Give a number beside a four-letter name an extreme value."""
    names = [found.start() for found in _NAMES.finditer(data[:_HEAD_BYTES])]
    names += [found.start() for found in _NAMES.finditer(data[-_HEAD_BYTES:], 0)]
    at = rng.choice(names or [0]) + rng.choice((-4, 4, 8, 12, 16, 20))
    _write_extreme(rng, data, max(0, at))


def _write_extreme(rng: random.Random, data: bytearray, at: int) -> None:
    size = rng.choice((1, 2, 4, 4, 8))
    value = rng.choice((*_EXTREMES, rng.getrandbits(8 * size))) % (1 << 8 * size)
    field = value.to_bytes(size, rng.choice(("little", "big")))
    data[at : at + size] = field[: max(0, len(data) - at)]


_MUTATIONS: list[Mutation] = [
    _flip_bits,
    _overwrite,
    _truncate,
    _insert,
    _delete,
    _duplicate,
    _set_field,
    _set_field,
    _set_size,
]


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFF_FFFF
        table.append(value)
    return table


_CRC = _crc_table()


def mend_ogg(data: bytearray) -> None:
    """Put every page's checksum right: else libogg drops the page unseen (RFC 3533)."""
    starts = [found.start() for found in re.finditer(b"OggS", data)]
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        if end - start < 27:
            continue
        n_lacing = data[start + 26]
        size = 27 + n_lacing + sum(data[start + 27 : start + 27 + n_lacing])
        data[start + 22 : start + 26] = bytes(4)
        checksum = 0
        for byte in data[start : start + size]:
            checksum = (checksum << 8 & 0xFFFF_FFFF) ^ _CRC[checksum >> 24 ^ byte]
        data[start + 22 : start + 26] = checksum.to_bytes(4, "little")


def mutants(
    seeds: dict[str, list[Path]], n_files: int, seed: int
) -> Iterator[tuple[str, int, bytes]]:
    """Yield container, number and bytes of each file, the containers in turn."""
    names = sorted(seeds)
    loaded = {name: [path.read_bytes() for path in seeds[name]] for name in names}
    for number in range(n_files):
        name = names[number % len(names)]
        # A string's hash differs from one process to the next; random's seeding does not.
        rng = random.Random(f"{seed}:{name}:{number}")
        yield name, number, mutate(rng, rng.choice(loaded[name]), rng.choice(loaded[name]))


# --- the worker ----------------------------------------------------------------------


def decode(path: Path) -> None:
    """Do what scoring does with a file before the model: claims, header, spans.

    Raises:
        FileError: It is not whole audio.
    """
    read_claims(path)
    for sample_rate in _RATES_HZ:
        with open_audio(path) as reader:
            length = round(_SPAN_S * sample_rate)
            starts = segment_starts(reader.n_samples(sample_rate), length, 7)
            for span in reader.spans(starts, length, sample_rate):
                if len(span) != length or span.dtype != "float32" or abs(span).max() > 1:
                    raise AssertionError("a span of the wrong length, type or range")


def _work() -> None:
    """Decode the files named on standard input, a line of JSON each."""
    import resource

    ceiling = _ADDRESS_SPACE_MB << 20
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Decoders print on descriptor 1 and 2; the answers go where they cannot.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import av
    import mutagen
    import soundfile
    import soxr

    loaded = {module.__name__ for module in (av, mutagen, soundfile, soxr)}
    answers.write(f"{_READY} {len(loaded)}\n")
    answers.flush()
    for line in sys.stdin:
        kind, detail = OK, ""
        _forget_peak()
        idle_mb = _peak_mb()
        try:
            decode(Path(line.rstrip("\n")))
        except FileError as error:
            kind, detail = "refused", type(error).__name__
        except ExcessiveMemoryError as error:
            # With memory left: it costs the file, after a second attempt in a new process.
            kind, detail = "refused", type(error).__name__
        except BaseException as error:  # noqa: BLE001 - what escapes is what we look for
            kind, detail = "escaped", f"{type(error).__name__}: {error}"
        peak_mb = max(0.0, _peak_mb() - idle_mb)
        answers.write(json.dumps([kind, detail, peak_mb]) + "\n")
        answers.flush()


def _forget_peak() -> None:
    """Make Linux count the peak of memory from here on."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_mb() -> float:
    """Return the most memory held since :func:`_forget_peak`, in MB (2**20 bytes)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


class Worker:
    """A process that decodes, started anew when a file takes it down."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = b""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def check(self, path: Path) -> Verdict:
        """Return what becomes of a file."""
        process = self._process or self._start()
        started = time.monotonic()
        assert process.stdin is not None
        # Where the process is gone already, no answer comes and says so.
        with suppress(BrokenPipeError):
            process.stdin.write(os.fsencode(path) + b"\n")
            process.stdin.flush()
        answer = self._line(self._limit_s)
        seconds = time.monotonic() - started
        if answer is None:
            self._stop()
            return Verdict("hung", f"> {self._limit_s:g} s", seconds=seconds)
        if not answer:
            code = process.wait()
            self._stop()
            name = signal.Signals(-code).name if code < 0 else f"exit {code}"
            return Verdict("crashed", name, seconds=seconds)
        kind, detail, peak_mb = json.loads(answer)
        return Verdict(kind, detail, peak_mb, seconds)

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.programs.fuzz", "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
        )
        self._answers = b""
        if not (self._line(60) or b"").startswith(_READY.encode()):
            raise RuntimeError("the worker does not start")
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _line(self, limit_s: float) -> bytes | None:
        """Return the next answer, empty where the worker died, ``None`` where it is late."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        end = time.monotonic() + limit_s
        while b"\n" not in self._answers:
            ready, _, _ = select.select([descriptor], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            found = os.read(descriptor, 1 << 16)
            if not found:
                return b""
            self._answers += found
        line, _, self._answers = self._answers.partition(b"\n")
        return line


# --- the run -------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """All verdicts of a run."""

    verdicts: dict[str, list[Verdict]]
    """Container -> one for each of its files."""
    kept: list[tuple[Path, Verdict]]
    """The findings."""

    @property
    def n_files(self) -> int:
        """How many files were decoded."""
        return sum(map(len, self.verdicts.values()))

    def table(self) -> str:
        """Return one line for each container, and one for all."""
        everything = list(chain.from_iterable(self.verdicts.values()))
        rows = [*sorted(self.verdicts.items()), ("all", everything)]
        lines = [_row("container", "files", "ok", "crashed", "hung", "escaped", "MB", "s")]
        for name, verdicts in rows:
            kinds = Counter(verdict.kind for verdict in verdicts)
            refused = Counter(v.detail for v in verdicts if v.kind == "refused")
            line = _row(
                name,
                len(verdicts),
                kinds[OK],
                kinds["crashed"],
                kinds["hung"],
                kinds["escaped"],
                f"{max((v.peak_mb for v in verdicts), default=0):.0f}",
                f"{max((v.seconds for v in verdicts), default=0):.1f}",
            )
            lines.append(line + "".join(f"  {k} {n}" for k, n in refused.most_common()))
        return "\n".join(lines)


def _row(name: str, *cells: object) -> str:
    return f"{name:20}" + "".join(f"{cell!s:>8}" for cell in cells)


def fuzz(
    n_files: int, seed: int, folder: Path, keep: Path, minutes: float | None = None
) -> Report:
    """Decode mutated files and keep what must not happen.

    Args:
        n_files: How many.
        seed: Another one gives other files.
        folder: For the seeds and the file at hand.
        keep: For the findings.
        minutes: Time after which no further file is begun.
    """
    end = None if minutes is None else time.monotonic() + 60 * minutes
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    kept: list[tuple[Path, Verdict]] = []
    with Worker() as worker:
        for name, number, data in mutants(write_seeds(folder), n_files, seed):
            if end is not None and time.monotonic() > end:
                break
            path = folder / f"{name}-{seed}-{number}.bin"
            path.write_bytes(data)
            verdict = worker.check(path)
            verdicts[name].append(verdict)
            if verdict.is_finding:
                keep.mkdir(parents=True, exist_ok=True)
                kept.append((keep / path.name, verdict))
                (keep / path.name).write_bytes(data)
            path.unlink()
    return Report(dict(verdicts), kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit status is 1 where there are findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="begin no file after this time")
    parser.add_argument("--keep", type=Path, help="folder for what must not happen")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.worker:
        _work()
        return 0
    keep = chosen.keep or Path(tempfile.mkdtemp(prefix="fuzz-findings-"))
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(chosen.files, chosen.seed, Path(folder), keep, chosen.minutes)
    sys.stdout.write(report.table() + "\n")
    for path, verdict in report.kept:
        sys.stdout.write(f"{verdict.kind} {verdict.detail} {verdict.peak_mb:.0f} MB {path}\n")
    return 1 if report.kept else 0


if __name__ == "__main__":
    sys.exit(main())
