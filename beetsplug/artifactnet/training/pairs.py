"""Pairs: real music, and the same through each of our own decoders.

A generator that was never heard has a decoder all the same, and its comb's grid is
fixed by the sample rate and the strides. A pair shows nothing but the decoder: piece,
level, band and place are the same on both sides.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training import corpus
from beetsplug.artifactnet.training.augment import library_chain
from beetsplug.artifactnet.training.corpus import Clip
from beetsplug.artifactnet.training.dataset import SAMPLE_RATE, SEGMENT_SAMPLES, Dataset
from beetsplug.artifactnet.training.decoders import (
    DECODERS,
    DecoderConfig,
    mix_in,
    resynthesise_at_rate,
    train_decoder,
)
from beetsplug.artifactnet.training.reference import (
    GridReference,
    contrast_features,
    fit_grids,
    reference_features,
)

log = logging.getLogger(__name__)

N_PLACES = 120
"""Real crops that each decoder re-synthesises."""
STRENGTHS = (1.0, 0.3)


@dataclass(frozen=True)
class Pairs:
    """What one decoder made of some real crops."""

    rows: NDArray[np.int64]
    """(n,), the dataset's row that each was made of."""
    contrast: NDArray[np.float32]
    """(n, n_bins), their contrast features."""


def decoder_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Return the music for decoders and pairs: none of the calibration's sources."""
    kept = [clip for clip in clips if clip.source != corpus.DEMO_SOURCE]
    held_out = {clip.source for clip in corpus.calibration_clips(kept)}
    return [clip for clip in corpus.decoder_music(kept) if clip.source not in held_out]


def build_pairs(
    dataset: Dataset,
    folder: Path,
    decoders: dict[str, DecoderConfig] | None = None,
    *,
    n_places: int = N_PLACES,
) -> list[Pairs]:
    """Return the pairs of every decoder, from disk where they are there.

    Decoders that are not there are trained first.
    """
    pairs = []
    for name, config in (DECODERS if decoders is None else decoders).items():
        path = folder / f"{name}.npz"
        if not path.exists():
            _make(dataset, path, config, n_places)
        with np.load(path) as stored:
            pairs.append(Pairs(stored["rows"], stored["contrast"]))
    return pairs


def _make(dataset: Dataset, path: Path, config: DecoderConfig, n_places: int) -> None:
    rows = dataset.rows(decoder_clips(dataset.clips), plain=True)
    decoder = train_decoder(dataset, rows, path.with_suffix(".pt"), config)
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    chosen = rng.choice(
        rows, min(n_places, len(rows)), replace=False, p=_by_source(dataset, rows)
    )
    made, made_of = [], []
    for row in chosen:
        original = dataset.samples[row].astype(np.float32) / 32767
        whole = resynthesise_at_rate(decoder, original)
        for strength in STRENGTHS:
            mixed = mix_in(original, whole, strength)
            made += [mixed, library_chain(mixed, SAMPLE_RATE, rng)]
            made_of += [row, row]
    fine = reference_features(np.stack(made)[:, :SEGMENT_SAMPLES])
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, rows=np.array(made_of), contrast=contrast_features(fine))
    partial.rename(path)
    log.info("made the pairs of %s", path.stem)


def _by_source(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance of each row: a source's share grows with the root of its size."""
    sources = [dataset.clips[dataset.crops[row].clip].source for row in rows]
    _, inverse, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(sizes[inverse])
    return weights / weights.sum()


def fit_pairs(
    real_rows: NDArray[np.int64],
    fine: NDArray[np.float32],
    weight: NDArray[np.float64],
    pairs: Sequence[Pairs],
) -> GridReference:
    """Return the regressions of every decoder on these real rows.

    Args:
        real_rows: (n_real,), of the training side; a pair made of any other is left out.
        fine: (n_real, n_bins), their fine structure.
        weight: (n_real,).
        pairs: Of every decoder.
    """
    return fit_grids(
        contrast_features(fine),
        weight,
        [made.contrast[np.isin(made.rows, real_rows)] for made in pairs],
    )
