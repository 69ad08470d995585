"""The votes of a track's segments: what a model says of each that can be judged.

Mains hum is taken out of all segments of a song first, where a quick look at the quietest
finds it. A vote against the music is looked at twice: a thorough search for hum follows,
and a segment without evidence loses its vote. A vote for the music is taken as it is, so
this costs next to nothing for most files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.card import ModelCard
from beetsplug.artifactnet.results import Unjudged
from beetsplug.artifactnet.scoring.evidence import raised
from beetsplug.artifactnet.scoring.hum import mains_of, without_hum
from beetsplug.artifactnet.scoring.segments import Samples, SegmentBatch

if TYPE_CHECKING:
    from beetsplug.artifactnet.scoring.detector import Findings


_N_HUM_SEGMENTS = 2
"""Segments in which hum is looked for: it is in all of a recording, or in none of it."""


class Model(Protocol):
    """What scores segments, such as a :class:`~.detector.Detector`."""

    @property
    def card(self) -> ModelCard:
        """What it must be given."""

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
    """The findings of a model that is called once a song."""
    unjudged: tuple[Unjudged, ...] = ()
    """Segments without a vote, in time order."""


def cast_votes(model: Model, batch: SegmentBatch) -> Votes:
    """Return the votes of a batch of segments; those without evidence have none.

    Raises:
        ModelError: The model is broken.
    """
    card = model.card
    mains_hz = _mains_of(batch.samples[0], card) if card.hum == "removed" else None
    batch = _cleared(batch, card, mains_hz)
    found = model.findings(leveled(batch, card))
    if card.hum == "removed" and mains_hz is None:
        accused = batch.samples[0][_suspicious(batch, card, found)]
        mains_hz = _mains_of(accused, card, is_thorough=True)
        if mains_hz is not None:
            batch = _cleared(batch, card, mains_hz)
            found = model.findings(leveled(batch, card))
    if card.evidence == "needed":
        batch, found = _with_evidence(model, batch, found)
    probabilities, starts_s = found.probabilities.tolist(), batch.starts_s.tolist()
    if card.call == "song":
        return Votes(probabilities, starts_s, found, batch.unjudged)
    return Votes(probabilities, starts_s[: len(probabilities)], unjudged=batch.unjudged)


def _mains_of(segments: Samples, card: ModelCard, *, is_thorough: bool = False) -> int | None:
    """Return the frequency of a song's hum, None where there is none.

    It is looked for in the quietest segments: there it is easiest to see.
    """
    rate = card.inputs[0].sample_rate
    levels = np.einsum("ij,ij->i", segments, segments)
    quietest = segments[np.argsort(levels)[:_N_HUM_SEGMENTS]]
    found = (mains_of(segment, rate, is_thorough=is_thorough) for segment in quietest)
    return next((mains_hz for mains_hz in found if mains_hz is not None), None)


def _suspicious(batch: SegmentBatch, card: ModelCard, found: Findings) -> NDArray[np.bool]:
    """Return which segments a model speaks against; of a song that is judged as one, all."""
    return np.broadcast_to(found.probabilities >= card.thresholds.unsure, batch.starts_s.shape)


def _cleared(batch: SegmentBatch, card: ModelCard, mains_hz: int | None) -> SegmentBatch:
    """Return the segments of a song without its hum."""
    if mains_hz is None:
        return batch
    samples = [
        np.stack([without_hum(own, given.sample_rate, mains_hz) for own in segments])
        for given, segments in zip(card.inputs, batch.samples, strict=True)
    ]
    return replace(batch, samples=tuple(samples))


def _with_evidence(
    model: Model, batch: SegmentBatch, found: Findings
) -> tuple[SegmentBatch, Findings]:
    """Return a batch without the segments that a model speaks against without evidence."""
    kept = _kept(batch, model.card, _suspicious(batch, model.card, found))
    if kept.all():
        return batch, found
    batch = batch.only(kept)
    if model.card.call == "song" and kept.any():
        return batch, model.findings(leveled(batch, model.card))
    return batch, replace(
        found, probabilities=found.probabilities[kept[: len(found.probabilities)]]
    )


def _kept(batch: SegmentBatch, card: ModelCard, chosen: NDArray[np.bool]) -> NDArray[np.bool]:
    """Return which segments have a vote: of the chosen ones those that hold enough.

    None of a song that is judged as one where most do not: what little is left of it is
    mostly of the same kind.
    """
    rate = card.inputs[0].sample_rate
    kept = np.array(
        [
            not is_chosen or batch.has_evidence(place, rate)
            for place, is_chosen in enumerate(chosen)
        ]
    )
    if card.call == "song" and 2 * kept.sum() < len(kept):
        kept[:] = False
    return kept


def second_look(batch: SegmentBatch, card: ModelCard) -> SegmentBatch:
    """Return the segments as a suspicious song is judged by: without hum, with evidence."""
    mains_hz = _mains_of(batch.samples[0], card, is_thorough=True)
    cleared = _cleared(batch, card, mains_hz)
    return cleared.only(_kept(cleared, card, np.ones(len(batch.starts_s), bool)))


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
