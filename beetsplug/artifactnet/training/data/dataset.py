"""The cache that training reads: int16 crops of every clip, plain and augmented.

One crop is 4.2 s at 44.1 kHz, a little more than a segment, so that each epoch sees
another 4 s of it. A clip of the corpus gives one place, a whole track as many as the
detector reads of it. Variant 0 of a place is the file as it is; the others went
through :func:`~beetsplug.artifactnet.training.data.augment.library_chain`.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import AudioError
from beetsplug.artifactnet.scoring.segments import segment_starts
from beetsplug.artifactnet.training.choices import (
    CROP_SAMPLES,
    N_SEGMENTS,
    N_VARIANTS,
    NARROW_RATES_HZ,
    NARROW_SHARE,
    NARROW_WEIGHT,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.data.augment import library_chain, narrow
from beetsplug.artifactnet.training.data.corpus import Clip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Crop:
    """One row of the cache."""

    clip: int
    """Index of its clip in the list that the cache was made of."""
    place: int
    """0 for a corpus clip, 0 to 6 in a whole track."""
    variant: int
    """0 plain, above it augmented."""
    is_full_band: bool


@dataclass(frozen=True)
class Dataset:
    """Clips, and the crops cut from them."""

    clips: tuple[Clip, ...]
    crops: tuple[Crop, ...]
    samples: NDArray[np.int16]
    """(n_crops, CROP_SAMPLES), full scale 32767, memory-mapped."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n_crops,), 1 for AI."""
        return np.array([self.clips[crop.clip].label for crop in self.crops])

    def rows(self, clips: Sequence[Clip], *, plain: bool = False) -> NDArray[np.int64]:
        """Return the rows of these clips, of variant 0 alone where ``plain``."""
        wanted = {clip.path for clip in clips}
        return np.array(
            [
                row
                for row, crop in enumerate(self.crops)
                if self.clips[crop.clip].path in wanted and not (plain and crop.variant)
            ],
            dtype=np.int64,
        )

    def segments(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the segments (n_rows, 176400) at the head of these crops, full scale 1."""
        return np.divide(self.samples[rows, :SEGMENT_SAMPLES], 32767, dtype=np.float32)


def build_dataset(clips: Sequence[Clip], folder: Path, *, workers: int = 2) -> Dataset:
    """Return the cached dataset of these clips, cutting what is not there yet.

    Each clip's crops are one file, so an interrupted run goes on where it stopped. A
    clip that cannot be decoded is left out.

    Raises:
        ValueError: The folder holds a dataset of other clips.
    """
    parts = folder / "crops"
    parts.mkdir(parents=True, exist_ok=True)
    table, index = folder / "crops.npy", folder / "crops.json"
    if not index.exists():
        with ProcessPoolExecutor(workers) as pool:
            done = pool.map(_cut_clip, clips, [parts] * len(clips), chunksize=8)
            for n_done, _ in enumerate(done, 1):
                if n_done % 200 == 0:
                    log.info("cut %d of %d clips", n_done, len(clips))
        _join([clip for clip in clips if _part(clip, parts).exists()], parts, table, index)
    stored = json.loads(index.read_text(encoding="utf-8"))
    by_key = {clip_key(clip): clip for clip in clips}
    if not set(stored["clips"]) <= set(by_key):
        raise ValueError(f"{folder} was made of other clips: remove it")
    kept = tuple(by_key[key] for key in stored["clips"])
    crops = tuple(Crop(*row) for row in stored["crops"])
    return Dataset(kept, crops, np.load(table, mmap_mode="r"))


def clip_key(clip: Clip) -> str:
    """Return what a clip is known by, wherever its folder lies."""
    return f"{clip.source}|{clip.track}|{clip.path.name}"


def _part(clip: Clip, parts: Path) -> Path:
    return parts / f"{zlib.crc32(clip_key(clip).encode()):08x}-{clip.path.stem[:40]}.npz"


def _cut_clip(clip: Clip, parts: Path) -> None:
    part = _part(clip, parts)
    if part.exists():
        return
    rng = np.random.default_rng(zlib.crc32(clip.track.encode()))
    crops, meta = [], []
    try:
        places = _places(clip)
    except AudioError as error:
        log.warning("left out %s: %s", clip.path.name, error)
        return
    for place, plain in enumerate(places):
        for variant in range(N_VARIANTS["track" if clip.is_whole_track else "clip"]):
            samples, is_full_band = plain, clip.is_full_band
            if variant and rng.random() < NARROW_SHARE:
                rate = int(rng.choice(NARROW_RATES_HZ))
                samples = narrow(samples, SAMPLE_RATE, rate)
                is_full_band = False
            if variant:
                samples = library_chain(samples, SAMPLE_RATE, rng)
            crops.append(np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16))
            meta.append((place, variant, is_full_band))
    partial = part.with_suffix(".partial.npz")
    np.savez(partial, crops=np.stack(crops), meta=np.array(meta, dtype=np.int64))
    partial.rename(part)


def _places(clip: Clip) -> list[NDArray[np.float32]]:
    with open_audio(clip.path) as reader:
        n_samples = reader.n_samples(SAMPLE_RATE)
        if clip.is_whole_track:
            starts = segment_starts(n_samples, CROP_SAMPLES, N_SEGMENTS)
        else:
            starts = [min(round(clip.skip_s * SAMPLE_RATE), max(0, n_samples - CROP_SAMPLES))]
        return list(reader.spans(starts, CROP_SAMPLES, SAMPLE_RATE))


def _join(clips: Sequence[Clip], parts: Path, table: Path, index: Path) -> None:
    """Write all parts as one table that can be memory-mapped."""
    rows: list[tuple[int, int, int, bool]] = []
    for number, clip in enumerate(clips):
        with np.load(_part(clip, parts)) as part:
            rows += [(number, int(p), int(v), bool(b)) for p, v, b in part["meta"]]
    shape = (len(rows), CROP_SAMPLES)
    joined = np.lib.format.open_memmap(table, mode="w+", dtype=np.int16, shape=shape)
    row = 0
    for clip in clips:
        with np.load(_part(clip, parts)) as part:
            joined[row : row + len(part["crops"])] = part["crops"]
            row += len(part["crops"])
    joined.flush()
    stored = {"clips": [clip_key(clip) for clip in clips], "crops": rows}
    index.write_text(json.dumps(stored), encoding="utf-8")


def sample_weights(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of drawing each row: classes even within each band.

    A family's or source's share grows with the square root of its size. So no single page
    of demos and no long game score dominates.
    """
    crops = [dataset.crops[row] for row in rows]
    clips = [dataset.clips[crop.clip] for crop in crops]
    groups = [clip.family or clip.source for clip in clips]
    sizes = Counter(groups)
    weights = np.array([1 / math.sqrt(sizes[group]) for group in groups])
    labels = np.array([clip.label for clip in clips])
    full_band = np.array([crop.is_full_band for crop in crops])
    for band in (True, False):
        for label in (0, 1):
            cell = (full_band == band) & (labels == label)
            if cell.any():
                weights[cell] *= (1.0 if band else NARROW_WEIGHT) / weights[cell].sum()
    return weights / weights.sum()


def weighted_rows(
    dataset: Dataset, clips: Sequence[Clip]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of clips and what each weighs in a regression, 1 on average."""
    rows = dataset.rows(clips)
    return rows, sample_weights(dataset, rows) * len(rows)


def write_manifest(clips: Sequence[Clip], path: Path) -> None:
    """Write what a model was trained on: one row a clip, nothing of this machine."""
    columns = ["source", "track", "label", "family", "generator", "sample_rate"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for clip in clips:
            writer.writerow([getattr(clip, column) for column in columns])
