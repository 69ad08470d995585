"""A detector with declarations: the same tracks, flagged where the file says so, too."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace

from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.metrics import Judgement, Measured, ScoredTrack, measure
from beetsplug.artifactnet.benchmark.runner import Setup
from beetsplug.artifactnet.results import Strength
from beetsplug.artifactnet.scoring.provenance.batches import read_files


@dataclass(frozen=True)
class WithDeclarations:
    """One model's decisions with each declaration counted as ``ai``."""

    n_ai: int
    """Scored tracks of the label ``ai`` that declare themselves."""
    n_real: int
    """The same of ``real``: each is a wrong label, or a mark that somebody put there."""
    measured: Measured
    """By the model's thresholds."""


def read_declared(tracks: Sequence[LabelledTrack], setup: Setup) -> frozenset[str]:
    """Return the ids of the tracks whose files declare themselves generated.

    Only strong claims count, as for verdicts. Files that cannot be read declare nothing.

    Args:
        tracks: Those without a path are left out.
        setup: Has the workers that read.

    Raises:
        MachineError: The machine is in trouble.
    """
    there = [(track.track_id, track.path) for track in tracks if track.path is not None]
    results = read_files(
        [path for _, path in there], setup.workers, time_limit_s=setup.time_limit_s
    )
    with closing(results):
        return frozenset(
            there[place][0]
            for place, claims in results
            if any(claim.strength is Strength.STRONG for claim in claims or ())
        )


def with_declarations(judgement: Judgement, declared: Set[str]) -> WithDeclarations | None:
    """Return what a model comes to with declarations; None where no scored track has one.

    Args:
        judgement: Of the model; the same tracks and thresholds are used.
        declared: Ids of the tracks that declare themselves generated.
    """
    found = [scored for scored in judgement.scored if scored.track.track_id in declared]
    if not found:
        return None
    n_ai = sum(scored.is_ai for scored in found)
    tracks = [_flagged(scored, declared) for scored in judgement.scored]
    return WithDeclarations(n_ai, len(found) - n_ai, measure(tracks, judgement.thresholds))


def _flagged(scored: ScoredTrack, declared: Set[str]) -> ScoredTrack:
    # No threshold is above 1.
    return replace(scored, probability=1.0) if scored.track.track_id in declared else scored
