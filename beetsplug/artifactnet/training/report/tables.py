"""What the heads find on sources and families left out, as one results file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training.choices import NEITHER_CLASS, PLATFORMS
from beetsplug.artifactnet.training.fit.heads import (
    Judged,
    Logits,
    Thresholds,
    human,
    is_song,
)
from beetsplug.artifactnet.training.fit.rows import Row, Rows

_REPLICATES = 1_000
_LEVELS = (0.025, 0.975)


def results(rows: Rows, judged: Judged, at: Thresholds) -> dict[str, Any]:
    """Return every number of the card: rates by stratum, by platform and of hard negatives.

    Args:
        rows: All.
        judged: By heads that never saw their sources.
        at: The thresholds.
    """
    totals = judged.total()
    return {
        "songs": _stratum(rows, totals, at.song_ai, at.song_unsure, songs=True),
        "single segments": _stratum(rows, totals, at.clip_ai, at.clip_unsure, songs=False),
        "branches": {
            name: ranking(rows, values, songs=songs)
            for name, values, songs in (
                ("standing, songs", judged.standing, True),
                ("standing, single segments", judged.standing, False),
                ("cnn, single segments", judged.cnn, False),
                ("both, songs", totals, True),
                ("both, single segments", totals, False),
            )
        },
        "hard negatives": hard_negatives(rows, totals, at),
        "neither class": neither(rows, totals, at),
        "highest human": highest_human(rows, totals),
    }


def _stratum(
    rows: Rows, totals: Logits, ai: float, unsure: float, *, songs: bool
) -> dict[str, Any]:
    chosen = _human_of(rows, songs=songs)
    generated = {
        family: _generated(rows, songs=songs, family=family)
        for family in sorted({row.family for row in rows.rows if row.label})
    }
    platforms = np.concatenate([generated[f] for f in PLATFORMS if f in generated])
    return {
        "human": {
            "tracks": len({rows.rows[p].track for p in chosen}),
            "sources": len({rows.rows[p].source for p in chosen}),
            "ai": rate_by_source(rows, chosen, totals[chosen] >= ai),
            "unsure or ai": rate_by_source(rows, chosen, totals[chosen] >= unsure),
        },
        "modules": _modules(rows, totals, ai, unsure, songs=songs),
        "platforms": ranking(rows, totals, songs=songs),
        "found": {"platforms": _found(totals[platforms], ai, unsure)}
        | {
            family: _found(totals[places], ai, unsure)
            for family, places in generated.items()
            if len(places)
        },
    }


def _human_of(rows: Rows, *, songs: bool) -> NDArray[np.int64]:
    return human(rows, lambda row: is_song(row) == songs and row.kind != "module")


def _modules(
    rows: Rows, totals: Logits, ai: float, unsure: float, *, songs: bool
) -> dict[str, Any]:
    """Return what human-made tracker modules, left out by source, come to."""
    chosen = human(rows, lambda row: is_song(row) == songs and row.kind == "module")
    return {
        "ai": rate_by_source(rows, chosen, totals[chosen] >= ai),
        "unsure or ai": rate_by_source(rows, chosen, totals[chosen] >= unsure),
    }


def _generated(rows: Rows, *, songs: bool, family: str = "") -> NDArray[np.int64]:
    """Return the places of generated rows, of one family or of all platforms."""
    return np.array(
        [
            place
            for place, row in enumerate(rows.rows)
            if row.label
            and is_song(row) == songs
            and (row.family == family if family else row.family in PLATFORMS)
        ],
        dtype=np.int64,
    )


def _found(totals: Logits, ai: float, unsure: float) -> dict[str, Any]:
    return {
        "n": len(totals),
        "ai": round(float((totals >= ai).mean()), 4),
        "unsure or ai": round(float((totals >= unsure).mean()), 4),
    }


def ranking(rows: Rows, values: Logits, *, songs: bool) -> dict[str, Any]:
    """Return AUC and detection at two false-positive rates, platforms against human rows.

    Human sources count the same; the intervals (95 %) are over sources drawn anew.
    """
    places = _human_of(rows, songs=songs)
    places = places[np.isfinite(values[places])]
    generated = _generated(rows, songs=songs)
    generated = generated[np.isfinite(values[generated])]
    if not (len(places) and len(generated)):
        return {}
    point = _ranked(values[places], values[generated])
    rng = np.random.default_rng(0)
    by_source = [_by_source(rows, of) for of in (places, generated)]
    drawn = np.array(
        [
            _ranked(*(values[_draw(groups, rng)] for groups in by_source))
            for _ in range(_REPLICATES)
        ]
    )
    low, high = np.quantile(drawn, _LEVELS, axis=0)
    names = ("auc", "tpr_at_fpr_5", "tpr_at_fpr_1")
    return {
        "n_human": len(places),
        "n_generated": len(generated),
        **{
            name: [round(float(v), 4) for v in (point[i], low[i], high[i])]
            for i, name in enumerate(names)
        },
    }


def _ranked(real: Logits, generated: Logits) -> tuple[float, float, float]:
    ordered = np.sort(real)
    auc = np.searchsorted(ordered, generated).mean() / len(ordered)
    at = [np.quantile(ordered, 1 - rate, method="higher") for rate in (0.05, 0.01)]
    return float(auc), float((generated > at[0]).mean()), float((generated > at[1]).mean())


def _by_source(rows: Rows, places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    groups: dict[str, list[int]] = {}
    for place in places:
        groups.setdefault(rows.rows[place].source, []).append(int(place))
    return [np.array(group) for group in groups.values()]


def _draw(groups: list[NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])


def rate_by_source(
    rows: Rows, places: NDArray[np.int64], flagged: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the mean over sources of the share of rows flagged, with its interval.

    95 %, over sources drawn anew; where none is flagged, the upper end is that of the rule
    of three on sources.
    """
    shares = [
        float(flagged[np.isin(places, group)].mean()) for group in _by_source(rows, places)
    ]
    if not shares:
        return {}
    rng = np.random.default_rng(0)
    drawn = rng.choice(shares, (_REPLICATES, len(shares))).mean(1)
    low, high = np.quantile(drawn, _LEVELS)
    if not any(shares):
        high = 3 / len(shares)
    values = (float(np.mean(shares)), float(low), float(high))
    return {
        "rate": [round(value, 4) for value in values],
        "rows": f"{int(flagged.sum())} of {len(flagged)}",
        "sources": f"{sum(share > 0 for share in shares)} of {len(shares)}",
    }


def _threshold(row: Row, at: Thresholds) -> float:
    return at.song_ai if is_song(row) else at.clip_ai


def hard_negatives(rows: Rows, totals: Logits, at: Thresholds) -> dict[str, Any]:
    """Return how many of each kind of hard negative are called AI, and the highest sum."""
    kinds: dict[str, list[float]] = {}
    for row, total in zip(rows.rows, totals, strict=True):
        if row.is_hard:
            kinds.setdefault(row.source, []).append(total - _threshold(row, at))
    return {
        kind: {
            "n": len(v),
            "ai": int(sum(m >= 0 for m in v)),
            "highest margin": round(max(v), 2),
        }
        for kind, v in sorted(kinds.items())
    }


def neither(rows: Rows, totals: Logits, at: Thresholds) -> dict[str, Any]:
    """Return how many rows of neither class are called AI, by source."""
    found: Mapping[str, list[bool]] = {source: [] for source in NEITHER_CLASS}
    for row, total in zip(rows.rows, totals, strict=True):
        if row.is_neither:
            found[row.source].append(bool(total >= _threshold(row, at)))
    return {source: f"{sum(v)} of {len(v)}" for source, v in found.items()}


def highest_human(rows: Rows, totals: Logits, n: int = 10) -> dict[str, Any]:
    """Return the human songs and single segments that come nearest to a generated one."""
    found: dict[str, Any] = {}
    for name, songs in (("songs", True), ("single segments", False)):
        places = _human_of(rows, songs=songs)
        top = places[np.argsort(-totals[places])][:n]
        found[name] = [
            f"{rows.rows[p].source} {rows.rows[p].track}: {totals[p]:.2f}" for p in top
        ]
    return found
