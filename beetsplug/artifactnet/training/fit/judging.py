"""Clips and songs that a detector was not trained on, and how it ranks them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.metrics import Ranking, ScoredTrack, measure
from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.scoring.track import aggregate
from beetsplug.artifactnet.training.choices import SEGMENT_SAMPLES
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.data.dataset import Dataset
from beetsplug.artifactnet.training.model.fusion import Logits
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.signal.features import one_thread


@dataclass(frozen=True)
class Judged:
    """One clip or track and the logit of its segments."""

    clip: Clip
    logit: float


def branch_logits(network: ArtifactNetwork, samples: NDArray[np.int16]) -> Logits:
    """Return (n_segments, n_branches): every branch's logits, in the order of ``BRANCHES``.

    On one thread, so that thresholds come out the same everywhere.
    """
    rows = []
    with torch.no_grad(), one_thread():
        for first in range(0, len(samples), 16):
            audio = samples[first : first + 16, :SEGMENT_SAMPLES].astype(np.float32) / 32767
            logits = network.logits(network.spectra(torch.from_numpy(audio)))
            rows.append(torch.stack([*logits.values()], 1).numpy())
    return np.concatenate(rows).astype(np.float64)


def judge(
    dataset: Dataset,
    clips: Sequence[Clip],
    logits_of: Callable[[NDArray[np.int64]], Logits],
    *,
    variant: int = 0,
    is_full_band: bool | None = None,
    aggregation: Aggregation = "median",
) -> list[Judged]:
    """Return every clip with the aggregate of its logits, on one variant of its crops.

    Where ``is_full_band`` is not None, on those crops alone that carry the whole audible
    band, or on those that do not.
    """
    rows = np.array(
        [
            row
            for row in dataset.rows(clips)
            if dataset.crops[row].variant == variant
            and is_full_band in (None, dataset.crops[row].is_full_band)
        ],
        dtype=np.int64,
    )
    logits = logits_of(rows)
    by_clip: dict[int, list[float]] = {}
    for row, logit in zip(rows, logits, strict=True):
        by_clip.setdefault(dataset.crops[row].clip, []).append(float(logit))
    return [Judged(dataset.clips[i], aggregate(v, aggregation)) for i, v in by_clip.items()]


def song_rows(
    dataset: Dataset, clips: Sequence[Clip], *, n_segments: int = 3
) -> list[tuple[Clip, NDArray[np.int64]]]:
    """Return every full-band track of which there are that many segments, and their rows.

    A track's segments are its excerpts in the corpus, or places spread over it where the
    whole track is at hand: as many for every track of either label.
    """
    by_track: dict[tuple[str, str], list[int]] = {}
    for row in dataset.rows([clip for clip in clips if clip.is_full_band], plain=True):
        clip = dataset.clips[dataset.crops[row].clip]
        by_track.setdefault((clip.source, clip.track), []).append(int(row))
    songs = []
    for rows in by_track.values():
        if len(rows) < n_segments:
            continue
        step = (len(rows) - 1) / (n_segments - 1)
        chosen = np.array([rows[round(i * step)] for i in range(n_segments)])
        songs.append((dataset.clips[dataset.crops[chosen[0]].clip], chosen))
    return songs


def judge_songs(
    dataset: Dataset,
    clips: Sequence[Clip],
    logits_of: Callable[[NDArray[np.int64]], Logits],
    aggregation: Aggregation,
    *,
    n_segments: int = 3,
) -> list[Judged]:
    """Return every song of :func:`song_rows` with the aggregate of its segments' logits."""
    return [
        Judged(clip, aggregate(logits_of(rows).tolist(), aggregation))
        for clip, rows in song_rows(dataset, clips, n_segments=n_segments)
    ]


def full_band(judged: Sequence[Judged]) -> list[Judged]:
    """Return the clips whose file carries the whole audible band."""
    return [j for j in judged if j.clip.is_full_band]


def ranking(judged: Sequence[Judged]) -> Ranking:
    """Return how well the logits rank generated above real ones, by the benchmark's metrics."""
    tracks = [
        ScoredTrack(
            LabelledTrack(str(place), j.clip.path, "ai" if j.clip.label else "real"),
            _in_order(j.logit),
        )
        for place, j in enumerate(judged)
    ]
    return measure(tracks, {}).ranking


def _in_order(logit: float) -> float:
    """Return a number in [0, 1] that keeps the order of logits, as a sigmoid's ends do not."""
    return 0.5 + 0.5 * logit / (1 + abs(logit))
