"""What the programs have in common that come after the training.

Not all of them need torch.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from beetsplug.artifactnet.training.data import debian
from beetsplug.artifactnet.training.data.dataset import Dataset, build_dataset

FOLD_MODEL = "model"
"""Folder, in a fold's own, of its exported model."""


def work_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of ``python -m beetsplug.artifactnet.training.NAME``."""
    parser = argparse.ArgumentParser(prog=f"python -m beetsplug.artifactnet.training.{name}")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--debian", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def fold_folder(work: Path, number: int) -> Path:
    """Return where a fold's network is kept."""
    return work / f"fold-{number}"


def packages_of(arguments: argparse.Namespace) -> Path:
    """Return the folder of the unpacked Debian packages."""
    return Path(arguments.debian or arguments.work / "debian")


def open_dataset(arguments: argparse.Namespace) -> Dataset:
    """Set up logging, and return the dataset that the training left."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    clips = debian.training_clips(arguments.corpus, packages_of(arguments))
    return build_dataset(clips, arguments.work, workers=arguments.threads)
