"""The short form in which the evidence of a score is stored, and read back.

An example is ``comb 86.13 Hz 6/7 3.2; standing 4.1; cnn 0.3; silence at 117.9``. The comb comes
with its spacing, the segments that show it, and its height in decibels. The values of the
model's branches follow, and the places of segments that were not judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from beetsplug.artifactnet.results import Comb, Lack, TrackScore, Unjudged

_MOST_CHARS = 4_000
_MOST_UNJUDGED = 64
"""A track that is scored end to end may have hundreds."""
_NO_COMB = "no comb"
_NAME_CHARS = "!#$&'()*+,-./:<=>?@[]^_`{|}~"
"""Of a branch's name, what stands as it is: no space, and no ``;`` as between findings."""
_LARGEST = 999_999.99


@dataclass(frozen=True)
class Evidence:
    """Evidence beside a score; empty for a model that gives none."""

    combs: tuple[Comb, ...] | None = None
    """As :attr:`TrackScore.combs`, to 0.01 Hz and 0.1 dB."""
    branches: Mapping[str, float] = field(default_factory=dict)
    """As :attr:`TrackScore.evidence`, to 0.01."""
    unjudged: tuple[Unjudged, ...] = ()
    """As :attr:`TrackScore.unjudged`, to 0.1 s; the first 64."""


def format_evidence(score: TrackScore) -> str:
    """Return a score's evidence in its short form; empty where there is none."""
    return "; ".join(_parts(score))


def _parts(score: TrackScore) -> Iterator[str]:
    if score.combs is not None:
        yield from map(_comb_part, score.combs) if score.combs else [_NO_COMB]
    for name, value in score.evidence.items():
        # A value that is not finite says nothing.
        if abs(value) <= _LARGEST:
            yield f"{quote(name, safe=_NAME_CHARS)} {value:.2f}"
    for found in score.unjudged[:_MOST_UNJUDGED]:
        yield f"{found.lack.value} at {found.start_s:.1f}"


def _comb_part(comb: Comb) -> str:
    return f"comb {comb.spacing_hz:.2f} Hz {comb.n_segments}/{comb.n_of} {comb.height_db:.1f}"


def parse_evidence(text: str) -> Evidence:
    """Return the evidence that :func:`format_evidence` wrote; of another text nothing."""
    evidence = Evidence()
    if not text or len(text) > _MOST_CHARS:
        return evidence
    for part in text.split("; "):
        matches = ((add, shape.fullmatch(part)) for shape, add in _SHAPES)
        found = next(((add, match) for add, match in matches if match), None)
        if found is None:
            return Evidence()
        add, match = found
        evidence = add(evidence, match)
    return evidence


def _add_comb(evidence: Evidence, match: re.Match[str]) -> Evidence:
    spacing, n_segments, n_of, height = match.groups()
    comb = Comb(float(spacing), float(height), int(n_segments), int(n_of))
    return replace(evidence, combs=(*(evidence.combs or ()), comb))


def _add_no_comb(evidence: Evidence, _: re.Match[str]) -> Evidence:
    return replace(evidence, combs=())


def _add_unjudged(evidence: Evidence, match: re.Match[str]) -> Evidence:
    found = Unjudged(float(match[2]), Lack(match[1]))
    return replace(evidence, unjudged=(*evidence.unjudged, found))


def _add_branch(evidence: Evidence, match: re.Match[str]) -> Evidence:
    branches = {**evidence.branches, unquote(match[1]): float(match[2])}
    return replace(evidence, branches=branches)


_NUMBER = r"[0-9]{1,6}\.[0-9]{1,2}"
_Adder = Callable[[Evidence, re.Match[str]], Evidence]
_SHAPES: tuple[tuple[re.Pattern[str], _Adder], ...] = (
    (re.compile(rf"comb ({_NUMBER}) Hz ([0-9]{{1,5}})/([0-9]{{1,5}}) ({_NUMBER})"), _add_comb),
    (re.compile(_NO_COMB), _add_no_comb),
    (re.compile(rf"({'|'.join(map(re.escape, Lack))}) at ({_NUMBER})"), _add_unjudged),
    (re.compile(rf"([^;\s]{{1,600}}) (-?{_NUMBER})"), _add_branch),
)
