"""What each step of a training left, as digests: where two machines part ways.

``python -m beetsplug.artifactnet.training.digests --work DIR``, after the training, prints a
Markdown table of SHA-256 digests, shortened, of arrays and weights as they are in memory, so
that no date in an archive counts. Steps stand in the order in which they are made: the first
row that differs is where to look.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch

_SHOWN = 16
"""Hexadecimal digits of a digest."""
_BLOCK_ROWS = 256
_STEPS = (
    "crops.json",
    "crops.npy",
    "features-*.npy",
    "pairs/*.npz",
    "fold-*/regressions.npz",
    "fold-*/checkpoint.pt",
    "fold-*/branches.npy",
    "final/regressions.npz",
    "final/checkpoint.pt",
    "final/calibration-branches.npy",
)


def digests(work: Path) -> Iterator[tuple[str, str]]:
    """Yield the path, relative to the work folder, and the digest of all that is there."""
    for pattern in _STEPS:
        for path in sorted(work.glob(pattern)):
            yield path.relative_to(work).as_posix(), digest(path)


def digest(path: Path) -> str:
    """Return the shortened digest of what one file holds.

    Args:
        path: A NumPy array or archive, a checkpoint of the training, or any other file.
    """
    found = hashlib.sha256()
    for part in _parts(path):
        found.update(part)
    return found.hexdigest()[:_SHOWN]


def _parts(path: Path) -> Iterator[bytes]:
    if path.suffix == ".npy":
        array = np.load(path, mmap_mode="r")
        for first in range(0, len(array), _BLOCK_ROWS):
            yield array[first : first + _BLOCK_ROWS].tobytes()
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in sorted(arrays):
                yield name.encode()
                yield arrays[name].tobytes()
    elif path.suffix == ".pt":
        # What became of the training, and not what it took to get there.
        weights = torch.load(path, weights_only=True)["average"]
        for name in sorted(weights):
            yield name.encode()
            yield weights[name].numpy().tobytes()
    else:
        yield path.read_bytes()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m beetsplug.artifactnet.training.digests")
    parser.add_argument("--work", type=Path, required=True)
    work: Path = parser.parse_args().work
    rows = [f"| {path} | `{found}` |" for path, found in digests(work)]
    sys.stdout.write("\n".join(["| step | SHA-256 |", "|---|---|", *rows]) + "\n")


if __name__ == "__main__":
    main()
