"""A corpus of six clips, its crops and their features, made once."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile

from tests.support.audio_files import music

if TYPE_CHECKING:
    from beetsplug.artifactnet.training.data.crop_features import Features
    from beetsplug.artifactnet.training.data.dataset import Dataset

collect_ignore = (
    []
    if importlib.util.find_spec("torch")
    else [
        "fit/test_song_heads.py",
        "fit/test_song_rows.py",
        "model/test_song_network.py",
        "signal/test_pooled.py",
        "test_song_recipe.py",
    ]
)
"""What cannot even be imported without torch."""

COLUMNS = (
    *("file", "label", "kind", "generator", "family", "track", "source"),
    *("sample_rate", "skip_s", "seconds"),
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch's threads of several test processes from waiting for each other."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a corpus of six clips: the AI ones carry a comb at 172 Hz."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number in range(6):
        label = "ai" if number % 2 else "real"
        samples = music(4.6, seed=number)[:, 0]
        if label == "ai":
            samples[::256] += 0.05
        name = f"{number}.flac"
        soundfile.write(folder / name, samples, 44_100)
        family = f"family {number}" if label == "ai" else "real"
        values = (name, label, label, "", family, f"t{number}", f"s/{number}", 44_100, 0.1, 4.6)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def dataset(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the cached crops of the corpus."""
    from beetsplug.artifactnet.training.data.corpus import read_manifest
    from beetsplug.artifactnet.training.data.dataset import build_dataset

    return build_dataset(read_manifest(corpus_folder), tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def features(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Features:
    """Return the features of these crops."""
    from beetsplug.artifactnet.training.data.crop_features import cached_features

    return cached_features(dataset, tmp_path_factory.mktemp("features"))
