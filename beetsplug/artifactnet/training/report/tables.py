"""What the training reports: of the folds, of the calibration, each as a table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.training import evaluate
from beetsplug.artifactnet.training.calibration import (
    AGGREGATION,
    Calibrated,
    full_band,
    real,
)
from beetsplug.artifactnet.training.corpus import Clip
from beetsplug.artifactnet.training.evaluate import Judged
from beetsplug.artifactnet.training.folds import Fold
from beetsplug.artifactnet.training.fusion import BRANCHES, fuse

RELIABILITY_EDGES = (0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
"""Finer towards both ends, where nearly all scores lie."""


def held_out_report(folds: Sequence[Fold]) -> dict[str, Any]:
    """Return the figures on families and sources that a fold's training never saw."""
    detectors = {"reference": [fold.reference for fold in folds]}
    for branch, name in enumerate(BRANCHES[:-1]):
        detectors[name] = [fold.branches[:, branch] for fold in folds]
    detectors["network"] = [fuse(fold.branches) for fold in folds]
    report: dict[str, Any] = {}
    for variant, how in ((0, "as they are"), (1, "through a library codec chain")):
        for name, logits in detectors.items():
            report[f"{name}, {how}"] = _rates(
                [
                    evaluate.full_band(fold.judge(of_fold, variant))
                    for fold, of_fold in zip(folds, logits, strict=True)
                ]
            )
    for aggregation in get_args(Aggregation):
        report[f"network, {aggregation} of three segments"] = _rates(
            [
                fold.judge_songs(of_fold, aggregation)
                for fold, of_fold in zip(folds, detectors["network"], strict=True)
            ]
        )
    return report


def _rates(folds: Sequence[Sequence[Judged]]) -> dict[str, Any]:
    together = [judged for fold in folds for judged in fold]
    return {
        "all": evaluate.summary(together),
        # A fold without tracks of both kinds has no curve.
        "folds": [
            evaluate.summary(fold) for fold in folds if len({j.clip.label for j in fold}) > 1
        ],
        "kinds": evaluate.by_kind(together),
        "families": evaluate.by_family(together),
        "generators": evaluate.by_generator(together),
    }


def calibration_table(held: Fold, folds: Sequence[Fold], calibrated: Calibrated) -> str:
    """Return who is flagged: calibration tracks by kind and format, and the folds' clips."""
    parts: dict[str, list[Judged]] = {"calibration tracks": []}
    for judged in real(held, 0):
        for part in _calibration_parts(judged.clip):
            parts.setdefault(part, []).append(judged)
    for fold in folds:
        for judged in full_band(fold):
            clip = judged.clip
            kinds = ["AI clips of one segment" if clip.label else "real"]
            if not clip.label and clip.is_full_band_excerpt:
                kinds.append("real excerpts")
            for kind in kinds:
                parts.setdefault(f"held-out folds, full-band, {kind}", []).append(judged)
        for judged in fold.judge_songs(fuse(fold.branches), AGGREGATION):
            if judged.clip.label:
                parts.setdefault("held-out folds, AI songs of three segments", []).append(
                    judged
                )
    lines = ["| tracks | number | `ai` | `ai` or `unsure` |", "|---|---|---|---|"]
    for part, tracks in parts.items():
        flagged = calibrated.flagged(tracks)
        lines.append(f"| {part} | {len(tracks)} | {flagged[0]} | {flagged[1]} |")
    return "\n".join(lines) + "\n"


def _calibration_parts(clip: Clip) -> list[str]:
    """Return the rows of the calibration table that a calibration track counts in."""
    kind = "game music" if clip.is_whole_track else "excerpts"
    band = "full-band" if clip.is_full_band else "narrow-band"
    parts = ["calibration tracks", kind, clip.path.suffix.lstrip(".").upper(), band]
    if clip.is_full_band_excerpt:
        parts.append("full-band excerpts")
    return parts


def reliability_table(folds: Sequence[Fold], calibrated: Calibrated) -> str:
    """Return how many held-out full-band clips got each score, and what it was worth.

    A score is what the final model would give for the fold's logit. The last column is
    the share of generated clips if there were as many of both kinds.
    """
    judged = [clip for fold in folds for clip in full_band(fold)]
    labels = np.array([clip.clip.label for clip in judged])
    scores = np.array([calibrated.score(clip.logit) for clip in judged])
    lines = [
        "| score | generated | human-made | generated, of equal numbers |",
        "|---|---|---|---|",
    ]
    for low, high in itertools.pairwise(RELIABILITY_EDGES):
        inside = (scores >= low) & ((scores < high) | (high == RELIABILITY_EDGES[-1]))
        n_ai, n_real = (int(np.sum(inside & (labels == label))) for label in (1, 0))
        if not n_ai + n_real:
            continue
        share_ai, share_real = n_ai / np.sum(labels == 1), n_real / np.sum(labels == 0)
        worth = f"{share_ai / (share_ai + share_real):.1%}"
        lines.append(f"| {low:g} to {high:g} | {n_ai} | {n_real} | {worth} |")
    return "\n".join(lines) + "\n"


def genre_table(
    folds: Sequence[Fold], calibrated: Calibrated, genres: Mapping[str, str]
) -> str:
    """Return how many held-out real tracks of each genre are flagged.

    Args:
        folds: Each real track is in one, judged by a network that heard nothing from
            its source.
        calibrated: The thresholds.
        genres: By source; one that is not in it has no row of its own.
    """
    tracks: dict[str, list[Judged]] = {}
    for fold in folds:
        for judged in real(fold, 0):
            genre = genres.get(judged.clip.source, "excerpts, of genres not told")
            tracks.setdefault(genre, []).append(judged)
    lines = ["| genre | sources | tracks | `ai` | `ai` or `unsure` |", "|---|---|---|---|---|"]
    for genre, of_genre in sorted(tracks.items()):
        n_sources = len({judged.clip.source for judged in of_genre})
        flagged = calibrated.flagged(of_genre)
        lines.append(
            f"| {genre} | {n_sources} | {len(of_genre)} | {flagged[0]} | {flagged[1]} |"
        )
    return "\n".join(lines) + "\n"
