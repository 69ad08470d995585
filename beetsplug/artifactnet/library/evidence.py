"""The short form in which the evidence of a score is stored, and read back.

An example is ``comb 86.13 Hz 6/7 3.2; standing 4.1; cnn 0.3; silence at 117.9``. The comb comes
with its spacing, the segments that show it, and its height in decibels. The values of the
model's branches follow, and the places of segments that were not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
        for comb in score.combs:
            shown = f"{comb.n_segments}/{comb.n_of} {comb.height_db:.1f}"
            yield f"comb {comb.spacing_hz:.2f} Hz {shown}"
        if not score.combs:
            yield _NO_COMB
    for name, value in score.evidence.items():
        # A value that is not finite says nothing.
        if abs(value) <= _LARGEST:
            yield f"{quote(name, safe=_NAME_CHARS)} {value:.2f}"
    for found in score.unjudged[:_MOST_UNJUDGED]:
        yield f"{found.lack.value} at {found.start_s:.1f}"


def parse_evidence(text: str) -> Evidence:
    """Return the evidence that :func:`format_evidence` wrote; of another text nothing."""
    if not text or len(text) > _MOST_CHARS:
        return Evidence()
    combs: tuple[Comb, ...] | None = None
    branches, unjudged = {}, []
    for part in text.split("; "):
        if found := _COMB.fullmatch(part):
            spacing, n_segments, n_of, height = found.groups()
            comb = Comb(float(spacing), float(height), int(n_segments), int(n_of))
            combs = (*(combs or ()), comb)
        elif part == _NO_COMB:
            combs = ()
        elif found := _UNJUDGED.fullmatch(part):
            unjudged.append(Unjudged(float(found[2]), Lack(found[1])))
        elif found := _BRANCH.fullmatch(part):
            branches[unquote(found[1])] = float(found[2])
        else:
            return Evidence()
    return Evidence(combs, branches, tuple(unjudged))


_NUMBER = r"[0-9]{1,6}\.[0-9]{1,2}"
_COMB = re.compile(rf"comb ({_NUMBER}) Hz ([0-9]{{1,5}})/([0-9]{{1,5}}) ({_NUMBER})")
_UNJUDGED = re.compile(rf"({'|'.join(map(re.escape, Lack))}) at ({_NUMBER})")
_BRANCH = re.compile(rf"([^;\s]{{1,600}}) (-?{_NUMBER})")
