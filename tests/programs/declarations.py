"""How many files of human-made music declare themselves generated: none should.

    python -m tests.programs.declarations FOLDER [FOLDER ...]

reads the declarations in every audio file below the folders, without decoding, in worker
processes. It prints a line for each file that claims anything, then the counts by strength and
the files per minute. The exit status is 1 where a claim is strong.

    python -m tests.programs.declarations --copies 50000 FOLDER

reads the files again and again until there are so many, for the rate alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from beetsplug.artifactnet.results import Claim, Strength
from beetsplug.artifactnet.scoring.provenance.batches import read_files
from beetsplug.artifactnet.workers.executor import n_processes
from beetsplug.artifactnet.workers.local import LocalWorkers

SUFFIXES = {".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma", ".wv"}


def audio_files(folders: Sequence[Path]) -> list[Path]:
    """Return the audio files below the folders, links aside, in order."""
    return sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink()
    )


def strongest(claims: Sequence[Claim]) -> str:
    """Return the strength of the strongest claim, ``none`` for no claim."""
    present = {claim.strength for claim in claims}
    return next((s.value for s in Strength if s in present), "none")


def read(paths: Sequence[Path], workers: LocalWorkers) -> Counter[str]:
    """Read the files, print those that claim anything, and count them by strength."""
    counts: Counter[str] = Counter()
    for place, claims in read_files(paths, workers):
        counts["unreadable" if claims is None else strongest(claims)] += 1
        for claim in claims or ():
            line = f"{claim.strength.value:<6} {claim.word}  {paths[place]}: {claim.text}"
            sys.stdout.write(f"{line}\n")
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--copies", type=int, default=0, help="read until there are so many")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 is one per core")
    options = parser.parse_args(argv)
    paths = audio_files(options.folders)
    if options.copies:
        paths = list(islice(cycle(paths), options.copies))
    workers = LocalWorkers(n_processes(options.workers))
    started = time.monotonic()
    try:
        counts = read(paths, workers)
    finally:
        workers.close()
    taken_s = time.monotonic() - started
    parts = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    rate = len(paths) * 60 / max(taken_s, 1e-9)
    sys.stdout.write(
        f"{len(paths)} files: {parts}; {taken_s:.1f} s, {rate:.0f} files per minute\n"
    )
    return 1 if counts[Strength.STRONG.value] else 0


if __name__ == "__main__":
    sys.exit(main())
