"""Score music in every container that real tools write, and compare with the WAV of it.

    apt-get install ffmpeg lame opus-tools vorbis-tools wavpack flac
    python -m tests.programs.containers --folder FOLDER REAL AI

``REAL`` and ``AI`` are folders of music. From each, files are drawn by ``--seed`` and
repeated to ``--seconds``; the WAV of that is encoded and muxed in all the ways below.
Every file must be scored, at the length of the WAV, and get its verdict. Lossy codecs
change the music too, and with it the score: ``--share`` of the verdicts must be the WAV's.
The exit status is 1 where a file is not scored or too many verdicts differ.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import FileError
from beetsplug.artifactnet.models import store
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file

AUDIO = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".wv"}
N_SEGMENTS = 7
LENGTH_TOLERANCE_S = 0.15
FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-y")

Make = Callable[[Path, Path], None]
"""Writes the first path, a WAV, as the second."""


def run(*command: object) -> None:
    """Run a program; what it says is shown only where it fails."""
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')[-400:]}")


def ffmpeg(*options: str) -> Make:
    return lambda wav, path: run(*FFMPEG, "-i", wav, "-map_metadata", "-1", *options, path)


def piped(*options: str) -> Make:
    """Return what FFmpeg writes to a pipe: it cannot go back to put a length in the header."""

    def write(wav: Path, path: Path) -> None:
        with path.open("wb") as file:
            subprocess.run([*FFMPEG, "-i", wav, *options, "-"], stdout=file, check=True)

    return write


def lame(*options: str) -> Make:
    return lambda wav, path: run("lame", "--quiet", *options, wav, path)


def joined(make: Make) -> Make:
    """Return files of one half each, joined byte by byte."""

    def write(wav: Path, path: Path) -> None:
        seconds = duration_s(wav) / 2
        halves = []
        for number in range(2):
            half = path.with_name(f"half-{number}.wav")
            run(*FFMPEG, "-ss", number * seconds, "-t", seconds, "-i", wav, half)
            halves.append(half.with_suffix(path.suffix))
            make(half, halves[-1])
        path.write_bytes(b"".join(half.read_bytes() for half in halves))

    return write


def remuxed(make: Make, suffix: str) -> Make:
    """Return a file muxed once more by FFmpeg, as a downloader or a converter does it."""

    def write(wav: Path, path: Path) -> None:
        first = path.with_suffix(suffix)
        make(wav, first)
        run(*FFMPEG, "-i", first, "-c:a", "copy", path)

    return write


OPUS = ("-c:a", "libopus", "-b:a", "160k")
AAC = ("-c:a", "aac", "-b:a", "256k")
KINDS: dict[str, tuple[str, Make]] = {
    "flac": ("flac", lambda wav, path: run("flac", "-s", "-f", "-8", wav, "-o", path)),
    "flac, piped by FFmpeg": ("flac", piped("-f", "flac")),
    "flac in Ogg": ("oga", lambda wav, path: run("flac", "-s", "-f", "--ogg", wav, "-o", path)),
    "flac in Matroska": ("mka", ffmpeg("-c:a", "flac")),
    "flac in MP4": ("mp4", ffmpeg("-c:a", "flac", "-strict", "-2")),
    "alac": ("m4a", ffmpeg("-c:a", "alac")),
    "alac in CAF": ("caf", ffmpeg("-c:a", "alac")),
    "aiff": ("aiff", ffmpeg()),
    "aiff 24 bit": ("aiff", ffmpeg("-c:a", "pcm_s24be")),
    "au": ("au", ffmpeg()),
    "caf": ("caf", ffmpeg()),
    "w64": ("w64", ffmpeg()),
    "rf64": ("wav", ffmpeg("-rf64", "always")),
    "wav, piped": ("wav", piped("-f", "wav")),
    "wav, float": ("wav", ffmpeg("-c:a", "pcm_f32le")),
    "pcm in Matroska": ("mka", ffmpeg("-c:a", "pcm_s16le")),
    "wavpack": ("wv", lambda wav, path: run("wavpack", "-q", "-y", wav, "-o", path)),
    "wavpack, hybrid": (
        "wv",
        lambda wav, path: run("wavpack", "-q", "-y", "-b512", wav, "-o", path),
    ),
    "wavpack by FFmpeg": ("wv", ffmpeg()),
    "tta": ("tta", ffmpeg()),
    "mp3 V0": ("mp3", lame("-V0")),
    "mp3 320": ("mp3", lame("-b", "320")),
    "mp3 without a tag": ("mp3", lame("-t", "-b", "256")),
    "mp3 V0 without a tag": ("mp3", lame("-t", "-V0")),
    "mp3 by FFmpeg": ("mp3", ffmpeg("-c:a", "libmp3lame", "-q:a", "0")),
    "mp3, piped": ("mp3", piped("-c:a", "libmp3lame", "-b:a", "320k", "-f", "mp3")),
    "mp3s joined": ("mp3", joined(lame("-V0"))),
    "mp3 in Matroska": ("mka", ffmpeg("-c:a", "libmp3lame", "-b:a", "320k")),
    "aac": ("m4a", ffmpeg(*AAC)),
    "aac, ADTS": ("aac", ffmpeg(*AAC)),
    "aac, fragmented": ("mp4", ffmpeg(*AAC, "-movflags", "frag_keyframe+empty_moov")),
    "aac in MPEG-TS": ("ts", ffmpeg(*AAC)),
    "aac in Matroska": ("mka", ffmpeg(*AAC)),
    "opus": (
        "opus",
        lambda wav, path: run("opusenc", "--quiet", "--bitrate", "160", wav, path),
    ),
    "opus by FFmpeg": ("opus", ffmpeg(*OPUS)),
    "opus in WebM": ("webm", ffmpeg(*OPUS)),
    "opus, WebM to Ogg": ("opus", remuxed(ffmpeg(*OPUS), ".webm")),
    "opus chained": ("opus", joined(ffmpeg(*OPUS))),
    "vorbis": ("ogg", lambda wav, path: run("oggenc", "-Q", "-q8", wav, "-o", path)),
    "vorbis in WebM": ("webm", ffmpeg("-c:a", "libvorbis", "-q:a", "8")),
    "vorbis chained": (
        "ogg",
        joined(lambda wav, path: run("oggenc", "-Q", "-q8", wav, "-o", path)),
    ),
    "wma": ("wma", ffmpeg("-c:a", "wmav2", "-b:a", "256k")),
    "ac3": ("ac3", ffmpeg("-c:a", "ac3", "-b:a", "448k")),
    "mp2": ("mp2", ffmpeg("-c:a", "mp2", "-b:a", "384k")),
}
"""Name -> suffix, and what writes it. Opus is of 48 kHz."""


@dataclass(frozen=True)
class Scored:
    """What became of one file."""

    score: float
    verdict: str
    duration_s: float
    decoder: str
    error: str = ""


def duration_s(path: Path) -> float:
    """Return the length of a file, seconds."""
    with open_audio(path) as reader:
        return reader.duration_s


def scored(path: Path, detector: Detector) -> Scored:
    """Return score and verdict of a file, or what is wrong with it."""
    result = score_file(path, detector, N_SEGMENTS)
    if result.score is None:
        return Scored(float("nan"), "", 0.0, "", result.detail or result.outcome.value)
    with open_audio(path) as reader:
        list(reader.spans([0, reader.n_samples(8_000) // 2], 8_000, 8_000))
        decoder = reader.decoder
    thresholds, value = detector.card.thresholds, result.score.probability
    verdict = "ai" if value >= thresholds.ai else "unsure"
    verdict = verdict if value >= thresholds.unsure else "real"
    return Scored(value, verdict, result.score.duration_s, decoder)


def draw(folder: Path, n_files: int, rng: random.Random) -> list[Path]:
    """Return some audio files of a folder, each of another subfolder where there are enough."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in AUDIO:
            by_folder[path.parent].append(path)
    chosen: list[Path] = []
    while len(chosen) < n_files and by_folder:
        for parent in rng.sample(sorted(by_folder), len(by_folder))[: n_files - len(chosen)]:
            chosen.append(by_folder[parent].pop(rng.randrange(len(by_folder[parent]))))
            if not by_folder[parent]:
                del by_folder[parent]
    return chosen


def write_wav(source: Path, wav: Path, seconds: float) -> None:
    """Write a source as 16-bit stereo WAV of 44.1 kHz, over and over up to a length."""
    once = wav.with_name("once.wav")
    run(*FFMPEG, "-i", source, "-ar", "44100", "-ac", "2", once)
    run(*FFMPEG, "-stream_loop", "-1", "-i", once, "-t", seconds, "-c:a", "pcm_s16le", wav)


@dataclass(frozen=True)
class Row:
    """All files of one kind."""

    kind: str
    pairs: list[tuple[Scored, Scored]]
    """The WAV's and its own, of each source."""

    @property
    def n_lost(self) -> int:
        return sum(
            bool(own.error) or abs(own.duration_s - wav.duration_s) > LENGTH_TOLERANCE_S
            for wav, own in self.pairs
        )

    @property
    def n_equal(self) -> int:
        return sum(own.verdict == wav.verdict for wav, own in self.pairs)

    def __str__(self) -> str:
        shifts = [abs(own.score - wav.score) for wav, own in self.pairs if not own.error]
        decoders = ", ".join(sorted({own.decoder for _, own in self.pairs if own.decoder}))
        equal = f"{self.n_equal} of {len(self.pairs)}"
        return (
            f"{self.kind:26} lost {self.n_lost:2}  verdicts {equal:9}"
            f"  score moved {np.median(shifts or [np.nan]):.4f}, at most "
            f"{max(shifts, default=np.nan):.4f}  {decoders}"
        )


def compare(sources: Sequence[Path], folder: Path, seconds: float) -> list[Row]:
    """Encode each source in each way and score it; files are removed as they are done."""
    detector = Detector(store.find_model("default", ()))
    pairs: dict[str, list[tuple[Scored, Scored]]] = defaultdict(list)
    for number, source in enumerate(sources):
        work = folder / str(number)
        work.mkdir(parents=True, exist_ok=True)
        wav = work / "source.wav"
        write_wav(source, wav, seconds)
        expected = scored(wav, detector)
        print_line(f"{source}: {expected.score:.4f} {expected.verdict}{expected.error}")
        for kind, (suffix, make) in KINDS.items():
            path = work / f"{kind.replace(' ', '-')}.{suffix}"
            make(wav, path)
            own = scored(path, detector)
            pairs[kind].append((expected, own))
            if own.error or own.verdict != expected.verdict:
                print_line(f"    {kind}: {own.score:.4f} {own.verdict}{own.error}")
        shutil.rmtree(work)
    return [Row(kind, found) for kind, found in pairs.items()]


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit status is 1 where something is lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "music", type=Path, nargs="+", help="folders, equally many files of each"
    )
    parser.add_argument("--folder", type=Path, required=True, help="for the encoded files")
    parser.add_argument("--sources", type=int, default=20, help="of all folders together")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--share", type=float, default=0.98, help="of equal verdicts, at least")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    n_each = -(-options.sources // len(options.music))
    sources = [path for folder in options.music for path in draw(folder, n_each, rng)]
    try:
        rows = compare(sources, options.folder, options.seconds)
    except (FileError, RuntimeError) as error:
        print_line(str(error))
        return 1
    n_files = sum(len(row.pairs) for row in rows)
    n_lost, n_equal = sum(row.n_lost for row in rows), sum(row.n_equal for row in rows)
    for row in rows:
        print_line(str(row))
    print_line(
        f"{len(rows)} kinds, {n_files} files, {n_lost} lost, verdicts of the WAV "
        f"{n_equal} of {n_files} ({n_equal / n_files:.1%})"
    )
    return int(n_lost > 0 or n_equal < options.share * n_files)


if __name__ == "__main__":
    sys.exit(main())
