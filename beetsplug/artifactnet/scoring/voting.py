"""The votes of a track's segments: what a model says of each that can be judged.

A vote against the music is looked at twice: mains hum is taken out of its segment, which is
then scored again, and a segment without evidence loses its vote. A vote for the music is
taken as it is, so this costs nothing for most files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.results import Unjudged
from beetsplug.artifactnet.scoring.evidence import has_evidence, raised
from beetsplug.artifactnet.scoring.hum import without_hum
from beetsplug.artifactnet.scoring.segments import Samples, SegmentBatch

if TYPE_CHECKING:
    from beetsplug.artifactnet.scoring.detector import Findings


class Model(Protocol):
    """What scores segments, such as a :class:`~.detector.Detector`."""

    @property
    def card(self) -> ModelCard:
        """What it must be given."""

    def probabilities(self, batch: SegmentBatch) -> NDArray[np.float64]:
        """Return P(AI) of each segment, or one for all of them."""

    def findings(self, batch: SegmentBatch) -> Findings:
        """Return all that it found in a batch."""


@dataclass(frozen=True)
class Votes:
    """What a model says of some of a track's segments, in time order."""

    probabilities: list[float]
    """P(AI) in [0, 1], or NaN."""
    starts_s: list[float]
    """Where each of these segments begins, seconds."""
    song: Findings | None = None
    """What a model found that is called once a song."""
    unjudged: tuple[Unjudged, ...] = ()
    """Segments without a vote, in time order."""


def cast_votes(model: Model, batch: SegmentBatch) -> Votes:
    """Return the votes of a batch of segments; those without evidence have none.

    Raises:
        ModelError: The model is broken.
    """
    if model.card.call == "song":
        return _song_votes(model, batch)
    found = model.probabilities(leveled(batch, model.card))
    suspicious = found >= model.card.thresholds.unsure
    if suspicious.any() and _looks_twice(model.card):
        batch, found = _again(model, batch, found, suspicious)
    starts_s = batch.starts_s[: len(found)].tolist()
    return Votes(found.tolist(), starts_s, unjudged=batch.unjudged)


def _looks_twice(card: ModelCard) -> bool:
    return card.hum == "removed" or card.evidence == "needed"


def _again(
    model: Model, batch: SegmentBatch, found: NDArray[np.float64], suspicious: NDArray[np.bool]
) -> tuple[SegmentBatch, NDArray[np.float64]]:
    """Return segments and probabilities after a second look at the suspicious ones."""
    clean, kept, changed = _examined(batch, model.card, suspicious)
    if changed.any():
        found = found.copy()
        found[changed] = model.probabilities(leveled(clean.only(changed), model.card))
    return batch.only(kept), found[kept]


def _song_votes(model: Model, batch: SegmentBatch) -> Votes:
    """Return the vote of a song, after a second look at all segments of a suspicious one.

    Hum hides a decoder's lines from a model that has learnt what hum is. So where there is
    hum there is no first look.
    """
    card = model.card
    found = None if _has_hum(batch, card) else model.findings(leveled(batch, card))
    if found is not None:
        is_suspicious = (found.probabilities >= card.thresholds.unsure).any()
        if not is_suspicious or not _looks_twice(card):
            return _song_vote(found, batch)
    examined = second_look(batch, card)
    if not len(examined.starts_s):
        return Votes([], [])
    if found is None or examined is not batch:
        found = model.findings(leveled(examined, card))
    return _song_vote(found, examined)


def _song_vote(found: Findings, batch: SegmentBatch) -> Votes:
    starts_s = batch.starts_s.tolist()
    return Votes(found.probabilities.tolist(), starts_s, found, batch.unjudged)


def _has_hum(batch: SegmentBatch, card: ModelCard) -> bool:
    """Tell whether hum is to be removed and there is some where a song is quietest."""
    if card.hum == "kept":
        return False
    samples = batch.samples[0]
    quietest = samples[np.einsum("ij,ij->i", samples, samples).argmin()]
    return without_hum(quietest, card.inputs[0].sample_rate) is not quietest


def second_look(batch: SegmentBatch, card: ModelCard) -> SegmentBatch:
    """Return the segments without hum that hold enough to be judged.

    None of them where most do not: what little is left is mostly of the same kind.
    """
    clean, kept, changed = _examined(batch, card, np.ones(len(batch.starts_s), bool))
    if 2 * kept.sum() < len(kept):
        kept[:] = False
    return clean.only(kept) if changed.any() or not kept.all() else batch


def _examined(
    batch: SegmentBatch, card: ModelCard, chosen: NDArray[np.bool]
) -> tuple[SegmentBatch, NDArray[np.bool], NDArray[np.bool]]:
    """Return the segments without hum, which have evidence, and which of those changed."""
    kept, changed = np.ones(len(chosen), bool), np.zeros(len(chosen), bool)
    samples = tuple(given.copy() for given in batch.samples)
    for place in np.flatnonzero(chosen):
        if card.hum == "removed":
            for given, own in zip(card.inputs, samples, strict=True):
                segment = own[place]
                clean = without_hum(segment, given.sample_rate)
                if clean is not segment:
                    own[place], changed[place] = clean, True
        if card.evidence == "needed":
            kept[place] = has_evidence(samples[0][place], card.inputs[0].sample_rate)
    return replace(batch, samples=samples), kept, changed & kept


def leveled(batch: SegmentBatch, card: ModelCard) -> SegmentBatch:
    """Return the segments at the level that the card asks for."""
    if card.level == "kept":
        return batch
    return replace(batch, samples=tuple(_all_raised(given) for given in batch.samples))


def _all_raised(segments: Samples) -> Samples:
    rows = list(segments)
    leveled = [raised(row) for row in rows]
    is_same = all(new is row for new, row in zip(leveled, rows, strict=True))
    return segments if is_same else np.stack(leveled)
