"""Pairs: real music, and the same through Lyra.

A generator that was never heard has a decoder all the same, and its comb's grid is
fixed by the sample rate and the strides. A pair shows nothing but the decoder: piece,
level, band and place are the same on both sides.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training import corpus
from beetsplug.artifactnet.training.augment import library_chain
from beetsplug.artifactnet.training.corpus import Clip
from beetsplug.artifactnet.training.dataset import SAMPLE_RATE, SEGMENT_SAMPLES, Dataset
from beetsplug.artifactnet.training.frame_rates import rate_features
from beetsplug.artifactnet.training.lyra import BITS, Lyra
from beetsplug.artifactnet.training.reference import (
    GridReference,
    coarse_features,
    contrast_features,
    fit_grids,
    standing_features,
)

log = logging.getLogger(__name__)

N_PAIRS = 480
"""Real crops that each decoder re-synthesises, one pair of each: what counts is how many pieces
of music it is heard with."""
STRENGTHS = (1.0, 0.3)
_CODED_SHARE = 0.5
"""Share of pairs that go through a library codec chain."""
_LYRA_BITS = (None, None, *BITS)
"""Two fifths without the quantiser: the comb is the decoder's."""
LYRA = {
    "lyra-50": 50.0,
    "lyra-69": 44_100 / 640,
    "lyra-75": 75.0,
    "lyra-86": 44_100 / 512,
    "lyra-100": 100.0,
}
"""Frames a second that Lyra is declared to have: what the shipped model learns from. The grids
are those of Lyra's own hop at 16, 22.05, 24 and 32 kHz, and of a hop of 512 at 44.1 kHz."""
Samples = NDArray[np.float32]
Resynthesis = Callable[[Samples, np.random.Generator], Samples]
"""From a clip at 44.1 kHz to the same through a decoder."""


@dataclass(frozen=True)
class Pairs:
    """What one decoder made of some real crops."""

    rows: NDArray[np.int64]
    """(n,), the dataset's row that each was made of."""
    standing: NDArray[np.float32]
    """(n, n_bins), as those of :class:`~.train.Features`."""
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
    frame_rates: Mapping[str, float] = LYRA,
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
        bits = _LYRA_BITS[int(rng.integers(len(_LYRA_BITS)))]
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
        mixed = mix_in(original, whole, STRENGTHS[int(rng.integers(len(STRENGTHS)))])
        if rng.random() < _CODED_SHARE:
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

    A small decoder errs more than its comb is worth; at a share of 0.3 the comb is what
    is left to hear.
    """
    return original + np.float32(strength) * (whole - original)


def _by_source(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance of each row: a source's share grows with the root of its size."""
    sources = [dataset.clips[dataset.crops[row].clip].source for row in rows]
    _, inverse, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(sizes[inverse])
    return weights / weights.sum()


def fit_pairs(
    real_rows: NDArray[np.int64],
    standing: NDArray[np.float32],
    weight: NDArray[np.float64],
    pairs: Sequence[Pairs],
) -> GridReference:
    """Return the regressions of every decoder on these real rows.

    Args:
        real_rows: (n_real,), of the training side; a pair made of any other is left out.
        standing: (n_real, n_bins), as those of :class:`~.train.Features`.
        weight: (n_real,).
        pairs: Of every decoder; a pair made of any other row is left out.
    """
    return fit_grids(
        contrast_features(standing),
        weight,
        [contrast_features(made.standing[np.isin(made.rows, real_rows)]) for made in pairs],
    )
