"""What the training reports: of the folds, of the calibration, each as a table."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from beetsplug.artifactnet.benchmark.metrics import Ranking
from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.training.choices import AGGREGATION, BRANCHES
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.fit import judging
from beetsplug.artifactnet.training.fit.calibration import Calibrated, full_band, real
from beetsplug.artifactnet.training.fit.folds import Fold
from beetsplug.artifactnet.training.fit.judging import Judged, ranking
from beetsplug.artifactnet.training.model.fusion import fuse

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


RELIABILITY_EDGES = (0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
"""Finer towards both ends, where nearly all scores lie."""


def branch_table() -> str:
    """Return what each branch counts for."""
    lines = ["| branch | weight | limit | confirmed by |", "|---|---|---|---|"]
    for branch in BRANCHES:
        limit = f"{branch.limit:g}" if math.isfinite(branch.limit) else ""
        cells = [branch.name, f"{branch.weight:g}", limit, branch.confirmed_by]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def held_out_report(folds: Sequence[Fold]) -> dict[str, Any]:
    """Return the figures on families and sources that a fold's training never saw."""
    detectors = {"baseline": [fold.baseline for fold in folds]}
    for place, branch in enumerate(BRANCHES[:-1]):
        detectors[branch.name] = [fold.branches[:, place] for fold in folds]
    detectors["network"] = [fuse(fold.branches) for fold in folds]
    report: dict[str, Any] = {}
    for variant, how in ((0, "as they are"), (1, "through a library codec chain")):
        for name, logits in detectors.items():
            report[f"{name}, {how}"] = _rates(
                [
                    judging.full_band(fold.judge(of_fold, variant))
                    for fold, of_fold in zip(folds, logits, strict=True)
                ]
            )
    for aggregation in get_args(Aggregation):
        songs = [
            fold.judge_songs(of_fold, aggregation)
            for fold, of_fold in zip(folds, detectors["network"], strict=True)
        ]
        if _has_both(itertools.chain(*songs)):
            report[f"network, {aggregation} of three segments"] = _rates(songs)
    return report


def _has_both(judged: Iterable[Judged]) -> bool:
    return len({j.clip.label for j in judged}) > 1


def _rates(folds: Sequence[Sequence[Judged]]) -> dict[str, Any]:
    together = [judged for fold in folds for judged in fold]
    return {
        "all": summary(together),
        # A fold without tracks of both kinds has no curve.
        "folds": [summary(fold) for fold in folds if _has_both(fold)],
        "kinds": by_kind(together),
        "families": by_family(together),
        "generators": by_generator(together),
    }


def summary(judged: Sequence[Judged]) -> dict[str, float]:
    """Return AUC, and TPR at FPR 5 % and 1 %, with the number of tracks on each side."""
    ranks, n_ai = ranking(judged), sum(j.clip.label for j in judged)
    rates = {name: round(value, 4) for name, value in measures(ranks).items()}
    return rates | {"n_ai": n_ai, "n_real": len(judged) - n_ai}


def measures(ranks: Ranking) -> dict[str, float]:
    """Return what tables show of a ranking.

    Raises:
        ValueError: One of the classes is missing.
    """
    if ranks.auroc is None or ranks.tpr_at_fpr_5 is None or ranks.tpr_at_fpr_1 is None:
        raise ValueError("there is no ranking without tracks of both classes")
    return {
        "auc": ranks.auroc,
        "tpr_at_fpr_5": ranks.tpr_at_fpr_5,
        "tpr_at_fpr_1": ranks.tpr_at_fpr_1,
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


_JUDGED = {
    "network": "network, as they are",
    "recoded": "network, through a library codec chain",
    "baseline": "baseline, as they are",
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
        folds: Each real track is in one, judged by a network that was not trained on
            its source.
        calibrated: The thresholds.
        genres: By source; one that is not in it has no row of its own.
    """
    tracks: dict[str, list[Judged]] = {}
    for fold in folds:
        for judged in real(fold, 0):
            genre = genres.get(judged.clip.source, "excerpts of unknown genre")
            tracks.setdefault(genre, []).append(judged)
    lines = ["| genre | sources | tracks | `ai` | `ai` or `unsure` |", "|---|---|---|---|---|"]
    for genre, of_genre in sorted(tracks.items()):
        n_sources = len({judged.clip.source for judged in of_genre})
        flagged = calibrated.flagged(of_genre)
        lines.append(
            f"| {genre} | {n_sources} | {len(of_genre)} | {flagged[0]} | {flagged[1]} |"
        )
    return "\n".join(lines) + "\n"
