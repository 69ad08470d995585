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
from beetsplug.artifactnet.training.corpus import Clip
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

N_MIXES = 12_000
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

    Of crops as they are; the first drawn like any in training, the second real and
    full-band. Both are of one fold's test side, or the second is of none: a fold hears all
    of a mix or nothing.

    Args:
        dataset: What to draw from.
        folder: Where they are kept.
        n_mixes: How many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sides, weights = sides_of(dataset), sample_weights(dataset, np.arange(len(dataset.crops)))
    parts = []
    for number, start in enumerate(range(0, n_mixes, _PART)):
        path = folder / f"{number:03}.npz"
        if not path.exists():
            _make(dataset, weights, sides, path, min(_PART, n_mixes - start))
            log.info("made %d of %d mixes", min(start + _PART, n_mixes), n_mixes)
        with np.load(path) as stored:
            parts.append(Mixes(**stored))
    return Mixes(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.rates for part in parts]),
    )


def sides_of(dataset: Dataset) -> NDArray[np.int64]:
    """Return for each crop (n_crops,) the fold that it is held out in, -1 for none."""
    splits = corpus.split_folds(dataset.clips)
    side = {clip.path: fold for fold, split in enumerate(splits) for clip in split.test}
    return np.array([side.get(dataset.clips[crop.clip].path, -1) for crop in dataset.crops])


def _make(
    dataset: Dataset,
    weights: NDArray[np.float64],
    sides: NDArray[np.int64],
    path: Path,
    n_mixes: int,
) -> None:
    rng = np.random.default_rng([17, int(path.stem)])
    clips = [dataset.clips[crop.clip] for crop in dataset.crops]
    is_used = np.array(
        [
            not crop.variant and clip.source != corpus.DEMO_SOURCE
            for crop, clip in zip(dataset.crops, clips, strict=True)
        ]
    )
    is_company = is_used & np.array([_is_company(clip) for clip in clips])
    first_of = _chances(weights, is_used)
    second_of = {
        side: _chances(weights, is_company & ((sides == side) | (sides == -1)))
        for side in np.unique(sides)
    }
    rows, mixed = [], []
    for first in rng.choice(len(clips), n_mixes, p=first_of):
        second = rng.choice(len(clips), p=second_of[sides[first]])
        level_db = rng.uniform(*_COMPANY_DB)
        both = mix(_segment(dataset, first), _segment(dataset, second), level_db)
        if rng.random() < _CODED_SHARE:
            both = library_chain(both, SAMPLE_RATE, rng)
        rows.append((first, second))
        mixed.append(both)
    segments = np.stack(mixed)
    partial = path.with_suffix(".partial.npz")
    rates = rate_features(segments, reference_features(segments))
    np.savez(partial, rows=np.array(rows), rates=rates)
    partial.rename(path)


def _segment(dataset: Dataset, row: int) -> Samples:
    return dataset.samples[row, :SEGMENT_SAMPLES].astype(np.float32) / np.float32(32767)


def _is_company(clip: Clip) -> bool:
    """Whether a clip may be the second: human-made, with the whole band, no tracker module."""
    return clip.is_full_band and not (clip.label or clip.is_module)


def _chances(weights: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    chances = np.where(allowed, weights, 0.0)
    return chances / chances.sum()
