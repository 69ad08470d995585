"""The heads: fitted, judged on sources left out, weighed, given thresholds."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training.choices import (
    CLIP_WEIGHT,
    CNN_INVERSE_PENALTY,
    CNN_LIMIT,
    CNN_WEIGHT,
    EMPTY_WEIGHT,
    HARD_SHARE,
    INVERSE_PENALTY,
    ITERATIONS,
    MODULE_WEIGHT,
    N_FFT,
    N_FOLDS,
    NEW_SOURCE_AI,
    NEW_SOURCE_UNSURE,
    PLATFORM_WEIGHT,
    PLATFORMS,
    REAL_WEIGHT,
    RESEARCH_WEIGHT,
    SLOPE_BOUNDS,
    SONG_WEIGHT,
)
from beetsplug.artifactnet.training.fit.rows import Row, Rows
from beetsplug.artifactnet.training.model.weights import (
    CountedRegression,
    Regression,
    Weights,
    counts,
)
from beetsplug.artifactnet.training.signal.pooled import band

Logits = NDArray[np.float64]
Places = NDArray[np.int64]
_COUNT_SCALE = 30.0
"""Of the counts beside standardised features, so that their penalty is next to none."""


def trained_on(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows heads may learn from (n,): all but those of neither class."""
    return np.array([not row.is_neither for row in rows.rows])


def row_weights(rows: Rows, places: Places) -> Logits:
    """Return the weights (n,) of rows: songs and single segments, class, source and track.

    A source weighs the square root of its tracks. Hard negatives weigh :data:`HARD_SHARE` of
    all human rows, each kind the same.
    """
    chosen = [rows.rows[place] for place in places]
    weights = np.zeros(len(places))
    total = SONG_WEIGHT + CLIP_WEIGHT
    for songs, share in ((True, SONG_WEIGHT), (False, CLIP_WEIGHT)):
        of = [i for i, row in enumerate(chosen) if not row.is_hard and is_song(row) == songs]
        if of:
            weights[of] = _stratum_weights([chosen[i] for i in of]) * share / total
    hard = [i for i, row in enumerate(chosen) if row.is_hard]
    if hard:
        shares = _equal_shares([chosen[i].source for i in hard])
        weights[hard] = shares * HARD_SHARE * REAL_WEIGHT / (1 + REAL_WEIGHT)
    return weights


def _stratum_weights(rows: list[Row]) -> Logits:
    labels = np.array([row.label for row in rows])
    groups = [(row.source, row.family) for row in rows]
    tracks: dict[tuple[str, str], set[str]] = {}
    for group, row in zip(groups, rows, strict=True):
        tracks.setdefault(group, set()).add(row.track)
    sizes = {group: groups.count(group) for group in tracks}
    weights = np.array(
        [
            _importance(row) * np.sqrt(len(tracks[group])) / sizes[group]
            for group, row in zip(groups, rows, strict=True)
        ]
    )
    for label, share in ((1, 1.0), (0, REAL_WEIGHT)):
        of = labels == label
        if of.any():
            weights[of] *= share / (1 + REAL_WEIGHT) / weights[of].sum()
    return weights


def _importance(row: Row) -> float:
    if not row.label:
        return MODULE_WEIGHT if row.kind == "module" else 1.0
    return PLATFORM_WEIGHT if row.family in PLATFORMS else RESEARCH_WEIGHT


def _equal_shares(names: list[str]) -> Logits:
    n_names = len(set(names))
    return np.array([1 / n_names / names.count(name) for name in names])


def fit_standing(rows: Rows, places: Places) -> CountedRegression:
    """Return the regression on what stands out, fitted to these rows.

    Its logits have mean 0 and deviation 1 on the human rows, by their weights.
    """
    weights = row_weights(rows, places)
    places, weights = places[weights > 0], weights[weights > 0]
    features = rows.lines[places].astype(np.float32)
    of_count = counts(rows.n_segments[places])
    mean, scale = np.average(features, axis=0, weights=weights), features.std()
    count_mean = np.average(of_count, axis=0, weights=weights)
    given = np.hstack([(features - mean) / scale, (of_count - count_mean) * _COUNT_SCALE])
    fitted = _logistic(given, rows.labels[places], weights, INVERSE_PENALTY)
    raw = fitted.weights[:-2] / scale
    per_count = fitted.weights[-2:] * _COUNT_SCALE
    bias = fitted.bias - raw @ mean - per_count @ count_mean
    logits = features @ raw + of_count @ per_count + bias
    is_human = np.array([not (r.label or r.is_hard) for r in (rows.rows[p] for p in places)])
    middle, spread = _mean_and_deviation(logits[is_human], weights[is_human])
    return CountedRegression(raw / spread, per_count / spread, (bias - middle) / spread)


def fit_cnn(rows: Rows, places: Places) -> Regression:
    """Return the regression on the CNN's features, scaled as that on what stands out.

    Single segments as they are, for these are what the features were computed of.
    """
    chosen = np.array([_is_single(rows.rows[place]) for place in places])
    places = places[chosen & rows.has_cnn[places]]
    weights = row_weights(rows, places)
    weights /= weights.sum()
    features = rows.cnn[places]
    mean, scale = features.mean(0), features.std(0) + 1e-3
    fitted = _logistic(
        (features - mean) / scale, rows.labels[places], weights, CNN_INVERSE_PENALTY
    )
    raw = fitted.weights / scale
    bias = fitted.bias - float(raw @ mean)
    is_human = rows.labels[places] == 0
    logits = features @ raw + bias
    middle, spread = _mean_and_deviation(logits[is_human], weights[is_human])
    return Regression(raw / spread, (bias - middle) / spread)


def _is_single(row: Row) -> bool:
    return row.n_segments == 1 and row.variant == 0


def _logistic(
    features: NDArray[np.float32], labels: NDArray[np.int64], weights: Logits, penalty: float
) -> Regression:
    """Return a regression; ``penalty`` is C for weights that sum to 2,000.

    On one thread: with another number the last digits of sums differ.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=penalty, max_iter=ITERATIONS, tol=1e-3)
    with threadpool_limits(1):
        model.fit(features.astype(np.float32), labels, sample_weight=weights * 2_000)
    return Regression(model.coef_[0].astype(np.float64), float(model.intercept_[0]))


def _mean_and_deviation(values: Logits, weights: Logits) -> tuple[float, float]:
    mean = np.average(values, weights=weights)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


@dataclass(frozen=True)
class Judged:
    """Both branches' logits of rows by heads that never saw their source; NaN: none."""

    standing: Logits
    """(n,)."""
    cnn: Logits
    """(n,)."""
    empty: NDArray[np.floating]
    """(n,), share of empty bins."""

    def total(self) -> Logits:
        """Return the sums (n,); where there is no CNN logit it counts as that of the mean."""
        known = np.where(np.isfinite(self.cnn), self.cnn, 0.0)
        sums = self.standing + CNN_WEIGHT * np.minimum(known, CNN_LIMIT)
        return sums - EMPTY_WEIGHT * self.empty


def folds_of(rows: Rows, seed: int = 0) -> Places:
    """Return the fold (n,) in which each row is judged, all rows of a source in one.

    The sources of a family are dealt one by one, so that no fold takes all of them.
    """
    families: dict[str, str] = {}
    for row in rows.rows:
        families[row.source] = max(row.family, families.get(row.source, ""))
    ordered = sorted(families, key=lambda s: (families[s], zlib.crc32(s.encode(), seed)))
    fold = {source: place % N_FOLDS for place, source in enumerate(ordered)}
    return np.array([fold[row.source] for row in rows.rows])


def judge_sources_out(rows: Rows, seed: int = 0) -> Judged:
    """Return every row's logits by heads that learnt from other sources alone."""
    folds, judged = folds_of(rows, seed), _unjudged(rows)
    for fold in range(N_FOLDS):
        _judge(rows, trained_on(rows) & (folds != fold), folds == fold, judged)
    return replace(judged, cnn=with_means_of_sources(rows, judged.cnn))


def with_means_of_sources(rows: Rows, cnn: Logits) -> Logits:
    """Return logits of the CNN (n,), filled where only a song's spectrum is known.

    With the mean over the single segments of the same source and family, if it has any. The
    corpus holds excerpts of most songs that there are spectra of.
    """
    filled, known = cnn.copy(), np.isfinite(cnn)
    groups: dict[tuple[str, str], list[float]] = {}
    for row, logit in zip(rows.rows, cnn, strict=True):
        if np.isfinite(logit) and _is_single(row):
            groups.setdefault((row.source, row.family), []).append(min(logit, CNN_LIMIT))
    for place in np.flatnonzero(~known):
        group = groups.get((rows.rows[place].source, rows.rows[place].family))
        filled[place] = np.mean(group) if group else np.nan
    return filled


def judge_family_out(rows: Rows, family: str) -> Judged:
    """Return a family's logits by heads that learnt from no source that has any of it."""
    is_family = np.array([row.family == family for row in rows.rows])
    sources = {row.source for row in rows.rows if row.family == family}
    is_near = np.array([row.source in sources for row in rows.rows])
    judged = _unjudged(rows)
    _judge(rows, trained_on(rows) & ~is_near, is_family, judged)
    return replace(judged, cnn=with_means_of_sources(rows, judged.cnn))


def _unjudged(rows: Rows) -> Judged:
    n_rows = len(rows.rows)
    return Judged(np.full(n_rows, np.nan), np.full(n_rows, np.nan), rows.empty)


def _judge(
    rows: Rows, train: NDArray[np.bool_], test: NDArray[np.bool_], judged: Judged
) -> None:
    learnt, places = np.flatnonzero(train), np.flatnonzero(test)
    standing, cnn = fit_standing(rows, learnt), fit_cnn(rows, learnt)
    lines = rows.lines[places].astype(np.float32)
    n_segments, first_bin = rows.n_segments[places], band(N_FFT).start
    judged.standing[places] = standing.best_logits(lines, n_segments, first_bin)
    judged.cnn[places] = cnn.logits(rows.cnn[places])


def threshold_for(rows: Rows, places: Places, totals: Logits, rate: float) -> float:
    """Return the least sum at which a new source has at most that share of tracks above.

    Sources count the same, whatever their number of tracks: what varies is the source.

    Args:
        rows: All.
        places: Human ones, one verdict each.
        totals: (n_places,), their sums.
        rate: Mean over sources of the share of tracks at or above.
    """
    sources = [rows.rows[place].source for place in places]
    shares = _equal_shares(sources)
    order = np.argsort(-totals)
    above = np.cumsum(shares[order])
    n_allowed = int(np.searchsorted(above, rate, side="right"))
    if n_allowed == 0:
        return float(np.nextafter(totals[order[0]], np.inf))
    return float((totals[order[n_allowed - 1]] + totals[order[n_allowed]]) / 2)


@dataclass(frozen=True)
class Thresholds:
    """Sums at which verdicts change, of songs and of single segments."""

    song_ai: float
    song_unsure: float
    clip_ai: float
    clip_unsure: float


def human(rows: Rows, chosen: Callable[[Row], bool]) -> Places:
    """Return the places of human music that ``chosen`` takes, neither class left out."""
    return np.array(
        [
            place
            for place, row in enumerate(rows.rows)
            if not (row.label or row.is_hard or row.is_neither) and chosen(row)
        ],
        dtype=np.int64,
    )


def is_song(row: Row) -> bool:
    """Tell whether a row averages several segments."""
    return row.n_segments > 1


def set_thresholds(rows: Rows, totals: Logits) -> Thresholds:
    """Return thresholds that hold for a new source, of songs and of single segments."""
    strata = [
        human(rows, lambda row: is_song(row) and row.kind != "module"),
        human(rows, lambda row: not is_song(row) and row.kind != "module"),
    ]
    found = [
        threshold_for(rows, places, totals[places], rate)
        for places in strata
        for rate in (NEW_SOURCE_AI, NEW_SOURCE_UNSURE)
    ]
    return Thresholds(*found)


def fitted_slope(rows: Rows, margins: Logits) -> float:
    """Return the slope whose probabilities tell most of the rows' labels.

    Args:
        rows: All; those of neither class and hard negatives play no part.
        margins: (n,), each row's sum minus the threshold that holds for it.
    """
    from scipy.optimize import minimize_scalar

    places = [p for p, row in enumerate(rows.rows) if not (row.is_neither or row.is_hard)]
    signs = np.where(rows.labels[places] == 1, 1.0, -1.0)
    signed = signs * margins[places]

    def loss(slope: float) -> float:
        losses = np.logaddexp(0, -slope * signed)
        return float(sum(losses[signs == sign].mean() for sign in (1.0, -1.0)))

    return round(float(minimize_scalar(loss, bounds=SLOPE_BOUNDS, method="bounded").x), 2)


def fit_weights(rows: Rows, judged: Judged) -> tuple[Weights, Thresholds]:
    """Return all that ships: heads of every row, and what was set on sources left out."""
    places = np.flatnonzero(trained_on(rows))
    totals = judged.total()
    at = set_thresholds(rows, totals)
    threshold = np.where(np.array([is_song(r) for r in rows.rows]), at.song_ai, at.clip_ai)
    weights = Weights(
        fit_standing(rows, places),
        fit_cnn(rows, places),
        at.song_ai,
        at.clip_ai,
        fitted_slope(rows, totals - threshold),
    )
    return weights, at
