"""Mixes: two crops at once, generated where the first of them is.

What a decoder leaves in a clip is still there when other music is played over it. So a
regression can be shown the same traces in ever other company, and what it learns of the
company averages out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training import corpus
from beetsplug.artifactnet.training.augment import library_chain
from beetsplug.artifactnet.training.dataset import (
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    Dataset,
    sample_weights,
)
from beetsplug.artifactnet.training.decoders import Samples
from beetsplug.artifactnet.training.frame_rates import rate_features
from beetsplug.artifactnet.training.reference import reference_features

log = logging.getLogger(__name__)

N_MIXES = 9_000
_PART = 500
"""Mixes in a file: an interrupted run goes on with the next."""
_COMPANY_DB = (-12.0, 9.0)
"""Level of the second crop over the first."""
_CODED_SHARE = 0.5
"""Share that goes through a library codec chain."""


@dataclass(frozen=True)
class Mixes:
    """The frame-rate head's features of mixes."""

    rows: NDArray[np.int64]
    """(n, 2), the dataset's rows that are heard in each."""
    rates: NDArray[np.float32]
    """(n, n_rates * n_parts)."""

    def of(self, rows: NDArray[np.int64]) -> Mixes:
        """Return those of which both crops are among these rows."""
        both = np.isin(self.rows, rows).all(1)
        return Mixes(self.rows[both], self.rates[both])


def mix(first: Samples, second: Samples, level_db: float) -> Samples:
    """Return both at once, the second at a level over the first, held below full scale."""
    share = (first.std() + 1e-4) / (second.std() + 1e-4) * 10 ** (level_db / 20)
    both = first + second * np.float32(share)
    return both / np.float32(max(1.0, float(np.abs(both).max())))


def build_mixes(dataset: Dataset, folder: Path, *, n_mixes: int = N_MIXES) -> Mixes:
    """Return the mixes of a dataset, from disk as far as they are there.

    Of crops as they are, drawn like any in training: the second human-made and full-band, the
    first too or generated. Added clips and modules are in none: with their music, which is
    much of a kind, in three quarters of all mixes they taught nothing.

    Args:
        dataset: What to draw from.
        folder: Where they are kept.
        n_mixes: How many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sides = sides_of(dataset)
    parts = []
    for number, start in enumerate(range(0, n_mixes, _PART)):
        path = folder / f"{number:03}.npz"
        if not path.exists():
            rng = np.random.default_rng([17, number])
            rows = _draw(dataset, sides, min(_PART, n_mixes - start), rng)
            _make(dataset, rows, path, rng)
            log.info("made %d of %d mixes", min(start + _PART, n_mixes), n_mixes)
        with np.load(path) as stored:
            parts.append(Mixes(**stored))
    return Mixes(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.rates for part in parts]),
    )


def sides_of(dataset: Dataset) -> NDArray[np.int64]:
    """Return for each crop (n_crops,) whom it may be mixed with: those of the same number.

    So that a fold hears all of a mix or nothing, and so does the final training, which hears
    no calibration source. -1 where it is to be mixed with none.
    """
    kept = [clip for clip in dataset.clips if clip.source != corpus.DEMO_SOURCE]
    calibration = {clip.path for clip in corpus.calibration_clips(kept)}
    used = {clip.path for clip in kept if not (clip.is_added or clip.is_module)}
    side = {
        clip.path: 2 * fold + (clip.path in calibration)
        for fold, split in enumerate(corpus.split_folds(dataset.clips))
        for clip in split.test
        if clip.path in used
    }
    paths = [dataset.clips[crop.clip].path for crop in dataset.crops]
    return np.array([side.get(path, -1) for path in paths])


def _draw(
    dataset: Dataset, sides: NDArray[np.int64], n_mixes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the rows (n_mixes, 2) of both crops of each mix."""
    is_plain = np.array([not crop.variant for crop in dataset.crops])
    is_real = (dataset.labels == 0) & np.array([crop.is_full_band for crop in dataset.crops])
    usable = is_plain & (sides >= 0)
    first_of = np.flatnonzero(usable & (is_real | (dataset.labels == 1)))
    first = rng.choice(first_of, n_mixes, p=sample_weights(dataset, first_of))
    second = np.empty_like(first)
    for side in np.unique(sides[first]):
        second_of = np.flatnonzero(usable & is_real & (sides == side))
        chances = sample_weights(dataset, second_of)
        here = sides[first] == side
        second[here] = rng.choice(second_of, here.sum(), p=chances)
    return np.stack([first, second], 1)


def _make(
    dataset: Dataset, rows: NDArray[np.int64], path: Path, rng: np.random.Generator
) -> None:
    mixed = []
    for first, second in rows:
        level_db = rng.uniform(*_COMPANY_DB)
        both = mix(_segment(dataset, first), _segment(dataset, second), level_db)
        if rng.random() < _CODED_SHARE:
            both = library_chain(both, SAMPLE_RATE, rng)
        mixed.append(both)
    segments = np.stack(mixed)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, rows=rows, rates=rate_features(segments, reference_features(segments)))
    partial.rename(path)


def _segment(dataset: Dataset, row: int) -> Samples:
    return dataset.samples[row, :SEGMENT_SAMPLES].astype(np.float32) / np.float32(32767)
