"""Pairs: real music, and the same through Lyra.

An unknown generator has a decoder all the same, and its comb's grid is fixed by the sample
rate and the strides. The two sides of a pair differ by the decoder alone: piece, level,
band and place are the same.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training.choices import (
    LYRA_FRAME_RATES,
    N_PAIRS,
    PAIR_BITS,
    PAIR_CODED_SHARE,
    PAIR_STRENGTHS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.data import corpus
from beetsplug.artifactnet.training.data.augment import library_chain
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.data.dataset import Dataset
from beetsplug.artifactnet.training.data.lyra import Lyra
from beetsplug.artifactnet.training.signal.features import coarse_features, standing_features
from beetsplug.artifactnet.training.signal.frame_rates import rate_features

log = logging.getLogger(__name__)

Samples = NDArray[np.float32]
Resynthesis = Callable[[Samples, np.random.Generator], Samples]
"""From a clip at 44.1 kHz to the same through a decoder."""


@dataclass(frozen=True)
class Pairs:
    """What one decoder made of some real crops."""

    rows: NDArray[np.int64]
    """(n,), the dataset's row that each was made of."""
    standing: NDArray[np.float32]
    """(n, n_bins), as those of :class:`~.crop_features.Features`."""
    coarse: NDArray[np.float32]
    """(n, n_coarse_bins), likewise."""
    rates: NDArray[np.float32]
    """(n, n_rates * n_parts), likewise."""


def decoder_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Return the music for decoders and pairs: none of the calibration's sources."""
    kept = [clip for clip in clips if clip.source != corpus.DEMO_SOURCE]
    held_out = {clip.source for clip in corpus.calibration_clips(kept)}
    return [clip for clip in corpus.decoder_music(kept) if clip.source not in held_out]


def build_pairs(
    dataset: Dataset,
    folder: Path,
    frame_rates: Mapping[str, float] = LYRA_FRAME_RATES,
    *,
    lyra: Path | None = None,
    n_pairs: int = N_PAIRS,
) -> list[Pairs]:
    """Return the pairs of every frame rate, from disk where they are there.

    Args:
        dataset: What to draw from.
        folder: Where pairs are kept.
        frame_rates: That Lyra is declared to have, frames a second, by name.
        lyra: Folder of Lyra's networks; None where all of its pairs are there.
        n_pairs: Of each.

    Raises:
        FileNotFoundError: Lyra's networks are wanted and not there.
    """
    pairs = []
    for name, frame_rate in frame_rates.items():
        path = folder / f"{name}.npz"
        if not path.exists():
            rows = dataset.rows(decoder_clips(dataset.clips), plain=True)
            _make(dataset, rows, path, _of_lyra(lyra, frame_rate), n_pairs)
        with np.load(path) as stored:
            pairs.append(Pairs(**stored))
    return pairs


def _of_lyra(folder: Path | None, frame_rate: float) -> Resynthesis:
    if folder is None:
        raise FileNotFoundError("pairs of Lyra are missing: name the folder of its networks")
    lyra = Lyra(folder)

    def resynthesise(samples: Samples, rng: np.random.Generator) -> Samples:
        bits = PAIR_BITS[int(rng.integers(len(PAIR_BITS)))]
        return lyra.resynthesise_at_rate(samples, frame_rate, bits)

    return resynthesise


def _make(
    dataset: Dataset,
    rows: NDArray[np.int64],
    path: Path,
    resynthesis: Resynthesis,
    n_pairs: int,
) -> None:
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    n_made = min(n_pairs, len(rows))
    chosen = rng.choice(rows, n_made, replace=False, p=_by_source(dataset, rows))
    made = []
    for row in chosen:
        original = dataset.samples[row].astype(np.float32) / 32767
        whole = resynthesis(original, rng)
        mixed = mix_in(original, whole, PAIR_STRENGTHS[int(rng.integers(len(PAIR_STRENGTHS)))])
        if rng.random() < PAIR_CODED_SHARE:
            mixed = library_chain(mixed, SAMPLE_RATE, rng)
        made.append(mixed)
    segments = np.stack(made)[:, :SEGMENT_SAMPLES]
    standing = standing_features(segments)
    partial = path.with_suffix(".partial.npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        partial,
        rows=chosen,
        standing=standing,
        coarse=coarse_features(segments),
        rates=rate_features(segments, standing),
    )
    partial.rename(path)
    log.info("made the pairs of %s", path.stem)


def mix_in(original: Samples, whole: Samples, strength: float) -> Samples:
    """Return the original with a share of its re-synthesis mixed in.

    A small decoder errs more than its comb is worth; at a share of 0.3 mostly the comb is
    left.
    """
    return original + np.float32(strength) * (whole - original)


def _by_source(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance of each row: a source's share grows with the root of its size."""
    sources = [dataset.clips[dataset.crops[row].clip].source for row in rows]
    _, inverse, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(sizes[inverse])
    return weights / weights.sum()
