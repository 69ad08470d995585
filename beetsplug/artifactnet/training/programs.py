"""What the programs that come after the training have in common."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from beetsplug.artifactnet.training import debian
from beetsplug.artifactnet.training.dataset import Dataset, build_dataset


def work_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of ``python -m beetsplug.artifactnet.training.NAME``."""
    parser = argparse.ArgumentParser(prog=f"python -m beetsplug.artifactnet.training.{name}")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--debian", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def packages_of(arguments: argparse.Namespace) -> Path:
    """Return the folder of the unpacked Debian packages."""
    return Path(arguments.debian or arguments.work / "debian")


def open_dataset(arguments: argparse.Namespace) -> Dataset:
    """Set up logging and threads, and return the dataset that the training left."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    clips = debian.training_clips(arguments.corpus, packages_of(arguments))
    return build_dataset(clips, arguments.work, workers=arguments.threads)
