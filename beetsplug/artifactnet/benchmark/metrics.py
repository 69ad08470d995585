"""Metrics of one detector on labelled tracks, through scikit-learn.

An ``ai`` track is a positive, and a track is flagged at or above a threshold. A track that was
not scored is in no metric, and :class:`Coverage` counts it. The attribute
:attr:`Judgement.with_failures` has the metrics as they were had each failure been an error.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.benchmark.manifest import Label, LabelledTrack, judged_split
from beetsplug.artifactnet.errors import MissingPackageError
from beetsplug.artifactnet.results import Outcome, Thresholds

Labels = Sequence[int] | NDArray[np.int64]
"""1 is ``ai``, 0 is ``real``."""
Scores = Sequence[float] | NDArray[np.float64]
Weights = Sequence[int] | NDArray[np.int64]
"""How often each track counts."""

CALIBRATION_FPR = 0.05
"""False-positive rate that the calibrated threshold keeps to on the calibration split."""


@dataclass(frozen=True)
class ScoredTrack:
    """One track and what a model made of it."""

    track: LabelledTrack
    probability: float | None
    """P(AI) in [0, 1]; None exactly when ``reason`` is set."""
    reason: str = ""
    """Why there is none, as :attr:`TrackResult.reason` says it; empty where there is one."""

    def __post_init__(self) -> None:
        if (self.probability is None) != bool(self.reason):
            raise ValueError(
                f"{self.track.track_id}: probability {self.probability} "
                f"with reason {self.reason!r}"
            )

    @property
    def is_ai(self) -> bool:
        """Whether the label is ``ai``."""
        return self.track.label == "ai"

    @property
    def outcome(self) -> Outcome:
        """The outcome for the file."""
        return Outcome.of_reason(self.reason)

    @property
    def is_missing(self) -> bool:
        """Whether there was no audio to score, which is nothing that a model can fail at."""
        if self.probability is not None:
            return False
        return self.track.path is None or self.outcome is Outcome.MISSING


@dataclass(frozen=True)
class ModelRun:
    """Every track of a manifest as one model scored it."""

    model: str
    """Label of its card: id and version."""
    model_id: str
    thresholds: Thresholds
    """The model's own."""
    tracks: tuple[ScoredTrack, ...]


@dataclass(frozen=True)
class Confusion:
    """How many tracks were flagged rightly and wrongly."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


RANKING = ("auroc", "auprc", "tpr_at_fpr_5", "tpr_at_fpr_1")
"""Metrics without a threshold: the average precision is ``auprc``, and ``tpr_at_fpr_5`` is the
highest TPR at a FPR of at most 5 %."""
DECISIONS = ("f1", "precision", "recall", "balanced_accuracy", "tpr", "fpr")
"""Metrics at a threshold; the TPR is the recall, beside the FPR."""
MAX_FPR = {"tpr_at_fpr_5": 0.05, "tpr_at_fpr_1": 0.01}


@dataclass(frozen=True)
class Coverage:
    """How many of the tracks the metrics stand on."""

    n_tracks: int
    n_scored: int
    n_missing: int
    """Without audio."""
    n_failed: int
    """With audio that could not be scored."""


@dataclass(frozen=True)
class Measured:
    """Every metric of one set of tracks."""

    values: Mapping[str, float | None]
    """By name: those of :data:`RANKING`, and ``own.f1``, ``calibrated.fpr``, ... of each
    threshold. Each is in [0, 1]; None where a label that it needs has no scored track. Where
    nothing is flagged, precision and F1 are 0."""
    confusion: Mapping[str, Confusion]
    """By the threshold's name."""


@dataclass(frozen=True)
class GroupRates:
    """The tracks of one label that share a source or a generator."""

    name: str
    label: Label
    n_tracks: int
    n_scored: int
    mean_probability: float | None
    """None: none was scored."""
    median_probability: float | None
    n_flagged: Mapping[str, int]
    """By the threshold's name."""

    def rate(self, threshold: str) -> float | None:
        """Return the share that is flagged: a TPR of ``ai`` tracks, a FPR of ``real`` ones."""
        return self.n_flagged[threshold] / self.n_scored if self.n_scored else None


@dataclass(frozen=True)
class Judgement:
    """All metrics of one model on one manifest."""

    run: ModelRun
    split: str
    """The split that the metrics are taken from; empty: the tracks without one."""
    tracks: tuple[ScoredTrack, ...]
    """Those of the split, scored or not."""
    thresholds: Mapping[str, float]
    """``own``, and ``calibrated`` where the calibration split gave one."""
    calibration_note: str
    """The basis of the calibrated threshold, or why there is none."""
    coverage: Coverage
    measured: Measured
    with_failures: Measured | None
    """Had each failure been an error; None where nothing failed."""
    diagnosed: Mapping[str, tuple[Coverage, Measured]]
    """The other splits, which decide nothing."""
    sources: tuple[GroupRates, ...]
    generators: tuple[GroupRates, ...]

    @property
    def scored(self) -> tuple[ScoredTrack, ...]:
        """The tracks that the metrics stand on."""
        return scored_only(self.tracks)


def judge(run: ModelRun) -> Judgement:
    """Return every metric of one run.

    The calibrated threshold comes from the calibration split alone and the metrics from
    the split that :func:`~.manifest.judged_split` names.
    """
    by_split: dict[str, list[ScoredTrack]] = {}
    for scored in run.tracks:
        by_split.setdefault(scored.track.split, []).append(scored)
    split = judged_split(scored.track for scored in run.tracks)
    tracks = by_split.pop(split, [])
    thresholds = {"own": run.thresholds.ai}
    calibrated, note = _calibrated(by_split.get("calibration", []))
    if calibrated is not None:
        thresholds["calibrated"] = calibrated
    coverage = cover(tracks)
    return Judgement(
        run=run,
        split=split,
        tracks=tuple(tracks),
        thresholds=thresholds,
        calibration_note=note,
        coverage=coverage,
        measured=measure(tracks, thresholds),
        with_failures=_measure_with_failures(tracks, thresholds) if coverage.n_failed else None,
        diagnosed={
            name: (cover(others), measure(others, thresholds))
            for name, others in sorted(by_split.items())
        },
        sources=_group(tracks, thresholds, lambda track: track.source),
        generators=_group(tracks, thresholds, lambda track: track.generator),
    )


def scored_only(tracks: Iterable[ScoredTrack]) -> tuple[ScoredTrack, ...]:
    """Return the tracks that have a probability."""
    return tuple(scored for scored in tracks if scored.probability is not None)


def cover(tracks: Sequence[ScoredTrack]) -> Coverage:
    """Return how many of these tracks were scored, were missing, and failed."""
    n_scored = len(scored_only(tracks))
    n_missing = sum(scored.is_missing for scored in tracks)
    return Coverage(len(tracks), n_scored, n_missing, len(tracks) - n_scored - n_missing)


def calibrate(tracks: Iterable[ScoredTrack], max_fpr: float = CALIBRATION_FPR) -> float | None:
    """Return the threshold with the highest TPR at a FPR of at most ``max_fpr``.

    Of thresholds with the same TPR it is the lowest. Only probabilities that some track
    has are thresholds.

    Args:
        tracks: The calibration split; unscored ones are left out.
        max_fpr: In [0, 1].

    Returns:
        None where a label has no scored track, or where every probability flags too
        many real tracks.
    """
    labels, probabilities = columns(tracks)
    if not _has_both(labels):
        return None
    fpr, tpr, thresholds = roc_points(labels, probabilities)
    # The first point flags nothing, at an infinite threshold.
    allowed = [
        (-rate, float(threshold))
        for share, rate, threshold in zip(fpr[1:], tpr[1:], thresholds[1:], strict=True)
        if share <= max_fpr
    ]
    return min(allowed)[1] if allowed else None


def _calibrated(tracks: Sequence[ScoredTrack]) -> tuple[float | None, str]:
    if not tracks:
        return None, "There is no calibration split, so no threshold was calibrated."
    scored = scored_only(tracks)
    n_real = sum(not track.is_ai for track in scored)
    wanted = f"{100 * CALIBRATION_FPR:g} %"
    if n_real in {0, len(scored)}:
        return None, (
            "No threshold was calibrated: the calibration split has "
            f"{len(scored) - n_real} scored 'ai' and {n_real} scored 'real' tracks."
        )
    threshold = calibrate(scored)
    if threshold is None:
        return None, (
            f"No threshold was calibrated: on the calibration split each one flags more "
            f"than {wanted} of the {n_real} real tracks."
        )
    return threshold, (
        f"Calibrated on the calibration split alone ({len(scored) - n_real} 'ai' and "
        f"{n_real} 'real' tracks): the highest TPR with a FPR of at most {wanted}."
    )


def measure(tracks: Iterable[ScoredTrack], thresholds: Mapping[str, float]) -> Measured:
    """Return every metric of the scored ones among these tracks."""
    return measure_scores(*columns(tracks), thresholds)


def _measure_with_failures(
    tracks: Iterable[ScoredTrack], thresholds: Mapping[str, float]
) -> Measured:
    """Return the metrics with each failed track on the wrong end of the ranking."""
    labels, ranks = [], []
    for scored in tracks:
        if scored.is_missing:
            continue
        labels.append(int(scored.is_ai))
        # Outside [0, 1], so beyond every score and every threshold.
        wrong = -1.0 if scored.is_ai else 2.0
        ranks.append(wrong if scored.probability is None else scored.probability)
    return measure_scores(labels, ranks, thresholds)


def measure_scores(
    labels: Labels,
    scores: Scores,
    thresholds: Mapping[str, float],
    weights: Weights | None = None,
) -> Measured:
    """Return every metric of these scores.

    Args:
        labels: (n_tracks,); 1 is ``ai``, 0 is ``real``.
        scores: (n_tracks,), any numbers that rank the tracks.
        thresholds: By name.
        weights: (n_tracks,), whole numbers: how often each track counts; None: once.
    """
    values = _ranking(labels, scores, weights)
    confusion = {
        name: _confusion(labels, scores, threshold, weights)
        for name, threshold in thresholds.items()
    }
    for name, found in confusion.items():
        values |= {f"{name}.{metric}": value for metric, value in _decisions(found).items()}
    return Measured(values, confusion)


def columns(tracks: Iterable[ScoredTrack]) -> tuple[list[int], list[float]]:
    """Return labels (1 is ``ai``) and probabilities of the scored ones among these tracks."""
    pairs = [(int(s.is_ai), s.probability) for s in tracks if s.probability is not None]
    return [label for label, _ in pairs], [probability for _, probability in pairs]


def _has_both(labels: Labels) -> bool:
    return 0 < sum(labels) < len(labels)


def roc_points(
    labels: Labels, scores: Scores, weights: Weights | None = None
) -> tuple[list[float], list[float], list[float]]:
    """Return FPR, TPR and threshold of each point of the ROC, from none flagged to all.

    Args:
        labels: (n_tracks,); 1 is ``ai``, 0 is ``real``; both are there.
        scores: (n_tracks,).
        weights: (n_tracks,), how often each track counts; None: once.
    """
    fpr, tpr, thresholds = _sklearn_metrics().roc_curve(
        labels, scores, sample_weight=weights, drop_intermediate=False
    )
    return fpr.tolist(), tpr.tolist(), thresholds.tolist()


def _ranking(
    labels: Labels, scores: Scores, weights: Weights | None
) -> dict[str, float | None]:
    if not _has_both(labels):
        return dict.fromkeys(RANKING)
    sklearn = _sklearn_metrics()
    fpr, tpr, _ = roc_points(labels, scores, weights)
    return {
        "auroc": float(sklearn.auc(fpr, tpr)),
        "auprc": float(sklearn.average_precision_score(labels, scores, sample_weight=weights)),
        # Nothing is interpolated: a threshold flags all tracks of one score, or none of them.
        **{
            name: max(rate for share, rate in zip(fpr, tpr, strict=True) if share <= limit)
            for name, limit in MAX_FPR.items()
        },
    }


def _decisions(found: Confusion) -> dict[str, float | None]:
    tp, fp = found.true_positives, found.false_positives
    recall = _rate(tp, tp + found.false_negatives)
    fpr = _rate(fp, fp + found.true_negatives)
    values = {"recall": recall, "tpr": recall, "fpr": fpr}
    if recall is not None:
        values["f1"] = 2 * tp / (2 * tp + fp + found.false_negatives)
    if recall is not None and fpr is not None:
        values["precision"] = _rate(tp, tp + fp) or 0.0
        values["balanced_accuracy"] = (recall + 1 - fpr) / 2
    return {name: values.get(name) for name in DECISIONS}


def _confusion(
    labels: Labels, scores: Scores, threshold: float, weights: Weights | None
) -> Confusion:
    flags = np.asarray(scores, np.float64) >= threshold
    cells = 2 * np.asarray(labels, np.int64) + flags
    tn, fp, fn, tp = np.bincount(cells, weights, minlength=4).astype(int).tolist()
    return Confusion(tp, fp, tn, fn)


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _group(
    tracks: Iterable[ScoredTrack],
    thresholds: Mapping[str, float],
    name_of: Callable[[LabelledTrack], str],
) -> tuple[GroupRates, ...]:
    """Return the groups that have a name, ``ai`` before ``real``, then by name."""
    groups: dict[tuple[Label, str], list[ScoredTrack]] = {}
    for scored in tracks:
        name = name_of(scored.track)
        if name:
            groups.setdefault((scored.track.label, name), []).append(scored)
    return tuple(
        _rates(name, label, groups[label, name], thresholds) for label, name in sorted(groups)
    )


def _rates(
    name: str, label: Label, tracks: Sequence[ScoredTrack], thresholds: Mapping[str, float]
) -> GroupRates:
    _, probabilities = columns(tracks)
    return GroupRates(
        name=name,
        label=label,
        n_tracks=len(tracks),
        n_scored=len(probabilities),
        mean_probability=statistics.fmean(probabilities) if probabilities else None,
        median_probability=statistics.median(probabilities) if probabilities else None,
        n_flagged={
            threshold: sum(probability >= value for probability in probabilities)
            for threshold, value in thresholds.items()
        },
    )


def _sklearn_metrics() -> ModuleType:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise MissingPackageError("scikit-learn", "beets-artifactnet[bench]") from error
    return metrics
