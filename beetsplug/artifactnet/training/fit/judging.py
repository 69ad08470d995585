"""How good a detector is on clips that it never heard, and where its thresholds lie."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.scoring.track import aggregate
from beetsplug.artifactnet.training.corpus import Clip
from beetsplug.artifactnet.training.dataset import SEGMENT_SAMPLES, Dataset
from beetsplug.artifactnet.training.network import ArtifactNetwork
from beetsplug.artifactnet.training.reference import one_thread

Logits = NDArray[np.float64]
SELECTION_FAMILIES = (
    "Suno",
    "ACE-Step",
    "YuE",
    "MusicGen",
    "Stable Audio",
    "DITTO (Adobe)",
)
"""The worst of these at FPR 1 % decides between two ways to build the detector."""
FULL_SONG_FAMILIES = ("ACE-Step", "Suno", "YuE")
"""Generators of whole songs, which is what lies in libraries."""
NEURAL_CODEC_FAMILIES = ("DAC", "MuCodec")
"""Of these there is human-made music alone, through the codec; other families have such clips
beside generated ones."""


@dataclass(frozen=True)
class Judged:
    """One clip or track and the logit that its segments came to."""

    clip: Clip
    logit: float


def branch_logits(network: ArtifactNetwork, samples: NDArray[np.int16]) -> Logits:
    """Return (n_segments, 7): what every branch gives, as the network orders them.

    On one thread, so that thresholds come out the same everywhere.
    """
    rows = []
    with torch.no_grad(), one_thread():
        for first in range(0, len(samples), 16):
            audio = samples[first : first + 16, :SEGMENT_SAMPLES].astype(np.float32) / 32767
            rows.append(network.all_branches(torch.from_numpy(audio)).numpy())
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
    whole track is at hand: as many for every track, whatever its label.
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


def threshold_at(real_logits: Sequence[float], false_positive_rate: float) -> float:
    """Return the lowest threshold at which at most that share of real tracks is flagged.

    A track is flagged at or above the threshold; it lies halfway between the last
    track that may be flagged and the first that may not.
    """
    ordered = np.sort(np.asarray(real_logits))[::-1]
    n_allowed = math.floor(false_positive_rate * len(ordered))
    if n_allowed == 0:
        return float(np.nextafter(ordered[0], np.inf))
    return float((ordered[n_allowed - 1] + ordered[n_allowed]) / 2)


MEASURES = ("auc", "tpr_at_fpr_5", "tpr_at_fpr_1")
"""Of :func:`summary`, as tables show them."""


def summary(judged: Sequence[Judged]) -> dict[str, float]:
    """Return AUC, and TPR at FPR 5 % and 1 %, with the number of tracks on each side."""
    from sklearn.metrics import roc_auc_score

    labels = np.array([j.clip.label for j in judged])
    logits = np.array([j.logit for j in judged])
    real = logits[labels == 0]
    return {
        "auc": round(float(roc_auc_score(labels, logits)), 4),
        "tpr_at_fpr_5": round(
            float(np.mean(logits[labels == 1] >= threshold_at(real, 0.05))), 4
        ),
        "tpr_at_fpr_1": round(
            float(np.mean(logits[labels == 1] >= threshold_at(real, 0.01))), 4
        ),
        "n_ai": int(np.sum(labels == 1)),
        "n_real": int(np.sum(labels == 0)),
    }


def by_family(judged: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Return each AI family against all real tracks of the same list."""
    return by_group(judged, lambda clip: clip.family)


def by_generator(judged: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Return each generator of a family that has several, as :func:`by_family` does."""
    pairs = {(j.clip.family, j.clip.generator) for j in judged if j.clip.label}
    sizes = Counter(family for family, _ in pairs)
    several = [j for j in judged if not j.clip.label or sizes[j.clip.family] > 1]
    return by_group(several, lambda clip: f"{clip.family}, {clip.generator}")


def by_kind(judged: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Return each kind of generator, as :func:`by_family` does."""
    return by_group(judged, lambda clip: _kind(clip.family))


def _kind(family: str) -> str:
    if family in FULL_SONG_FAMILIES:
        return "full songs"
    return "neural codecs" if family in NEURAL_CODEC_FAMILIES else "short demos"


def by_group(
    judged: Sequence[Judged], group_of: Callable[[Clip], str]
) -> dict[str, dict[str, float]]:
    """Return each group of AI clips against all real tracks of the same list."""
    real = [j for j in judged if not j.clip.label]
    groups: dict[str, list[Judged]] = {}
    for j in judged:
        if j.clip.label:
            groups.setdefault(group_of(j.clip), []).append(j)
    return {group: summary([*real, *groups[group]]) for group in sorted(groups)}


def full_band(judged: Sequence[Judged]) -> list[Judged]:
    """Return the clips whose file carries the whole audible band."""
    return [j for j in judged if j.clip.is_full_band]


def probability(logit: float, threshold: float, slope: float) -> float:
    """Return the probability that the exported model gives for a logit."""
    return 1 / (1 + math.exp(-slope * (logit - threshold)))


def fitted_slope(judged: Sequence[Judged], threshold: float) -> float:
    """Return the slope at which :func:`probability` tells most of these clips' labels.

    The least log loss, both labels counting the same. The threshold is where it is for
    another reason, so a score is no probability at any slope; it is as near as it can be.
    """
    from scipy.optimize import minimize_scalar

    signs = np.array([1 if j.clip.label else -1 for j in judged])
    margins = signs * np.array([j.logit - threshold for j in judged])

    def loss(slope: float) -> float:
        losses = np.logaddexp(0, -slope * margins)
        return float(sum(losses[signs == sign].mean() for sign in (1, -1)))

    return round(float(minimize_scalar(loss, bounds=(0.05, 5), method="bounded").x), 2)


_JUDGED = {
    "network": "network, as they are",
    "recoded": "network, through a library codec chain",
    "reference": "reference, as they are",
}
"""The columns of :func:`markdown`'s tables of groups, and what each is in the report."""


def markdown(report: Mapping[str, Any]) -> str:
    """Return a held-out report as tables: detectors, then kinds, families and generators."""
    lines = [
        "| detector | AUC | TPR at FPR 5 % | TPR at FPR 1 % | AUC of each fold "
        "| worst family at FPR 1 % |",
        "|---|---|---|---|---|---|",
    ]
    for name, part in report.items():
        whole, families = part["all"], part["families"]
        folds = ", ".join(f"{fold['auc']:.3f}" for fold in part["folds"])
        judged = [family for family in SELECTION_FAMILIES if family in families]
        worst = min(judged or families, key=lambda name: families[name]["tpr_at_fpr_1"])
        lines.append(
            f"| {name} | {whole['auc']:.3f} | {whole['tpr_at_fpr_5']:.3f} "
            f"| {whole['tpr_at_fpr_1']:.3f} | {folds} "
            f"| {worst} {families[worst]['tpr_at_fpr_1']:.2f} |"
        )
    shown = {name: report[key] for name, key in _JUDGED.items()}
    titles = {"kinds": "kind", "families": "held-out family", "generators": "of these"}
    for group, title in titles.items():
        lines += ["", f"| {title} | clips | {' | '.join(shown)} |"]
        lines.append("|---" * (2 + len(shown)) + "|")
        for name, rates in shown["network"][group].items():
            cells = [_three(part[group][name]) for part in shown.values()]
            lines.append(f"| {name} | {rates['n_ai']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _three(rates: Mapping[str, float]) -> str:
    return f"{rates['auc']:.3f} / {rates['tpr_at_fpr_5']:.2f} / {rates['tpr_at_fpr_1']:.2f}"
