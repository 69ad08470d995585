"""Folds of tracks whose branches are known, for all that judges by branches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beetsplug.artifactnet.training.choices import BRANCHES
from beetsplug.artifactnet.training.data.corpus import Clip, Split
from beetsplug.artifactnet.training.data.dataset import Crop, Dataset
from beetsplug.artifactnet.training.fit.folds import Fold
from beetsplug.artifactnet.training.model.fusion import column

N_REAL, N_AI, N_PLACES, N_VARIANTS = 400, 30, 3, 2
COARSE, EMPTY = column("coarse"), column("empty share")


def make_fold(
    folder: Path,
    seed: int,
    *,
    knowing: tuple[int, ...] = (COARSE,),
    n_variants: int = N_VARIANTS,
) -> Fold:
    """Return a fold of tracks whose branches are noise, but for those that know."""
    rng = np.random.default_rng(seed)
    clips = tuple(
        Clip(
            path=folder / f"{seed}-{number}.{'ogg' if number % 2 else 'flac'}",
            label=int(number >= N_REAL),
            family="Suno" if number >= N_REAL else "",
            generator=f"suno-{number % 3}" if number >= N_REAL else "",
            source=f"{'debian:' if number % 4 else ''}source {number % 10}",
            track=f"track {number}",
            sample_rate=44_100 if number % 8 else 22_050,
        )
        for number in range(N_REAL + N_AI)
    )
    crops = tuple(
        Crop(number, place, variant, clip.is_full_band)
        for number, clip in enumerate(clips)
        for place in range(N_PLACES)
        for variant in range(n_variants)
    )
    samples = np.zeros((len(crops), 1), dtype=np.int16)
    dataset = Dataset(clips, crops, samples)
    fold = Fold(dataset, Split((), clips), np.arange(len(crops)))
    labels = dataset.labels
    fold.branches = rng.normal(0, 1, (len(crops), len(BRANCHES)))
    fold.branches[:, EMPTY] = 0.0
    for branch in knowing:
        fold.branches[:, branch] += 32.0 * labels
    fold.baseline = rng.normal(0, 1, len(crops)) + 2.0 * labels
    return fold


def is_excerpt(clip: Clip) -> bool:
    """Return whether a clip of :func:`make_fold` is full-band and of no package."""
    return clip.sample_rate >= 44_100 and not clip.source.startswith("debian:")
