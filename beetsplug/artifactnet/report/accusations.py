"""How many false accusations are among the flagged tracks, at the thresholds in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from beetsplug.artifactnet.report.tracks import Track
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.thresholds import FalsePositives, InForce
from beetsplug.artifactnet.words import count_of

_REACHED_BY = {"ai": {Verdict.AI}, "unsure": {Verdict.AI, Verdict.UNSURE}}
_WORDS = {"ai": "ai", "unsure": "ai or unsure"}


def accusation_notes(
    tracks: Sequence[Track], force: InForce, rates: Mapping[str, FalsePositives]
) -> Iterator[str]:
    """Yield the thresholds, and for each how many tracks reach it and how many wrongly.

    Args:
        tracks: Those whose verdict follows a score of the model in force.
        force: The thresholds.
        rates: Of ``ai`` and ``unsure``, where they are known.
    """
    yield f"Thresholds in force: {force}."
    if not tracks:
        return
    for name, verdicts in _REACHED_BY.items():
        if name != "ai" and name not in rates:
            continue
        n_flagged = sum(track.verdict in verdicts for track in tracks)
        verb = "is" if n_flagged == 1 else "are"
        yield (
            f"Of {count_of(len(tracks), 'track')} that the score decides, {n_flagged} {verb} "
            f"{_WORDS[name]}. {_expected(len(tracks), rates.get(name))}"
        )


def _expected(n_tracks: int, rate: FalsePositives | None) -> str:
    if rate is None:
        return (
            "How many false accusations are among them is not known: nobody has measured this "
            "threshold. beet aicalibrate does, on music of your own."
        )
    mistaken, at_most = (_count(n_tracks * share) for share in (rate.rate, rate.at_most))
    return (
        f"If all were human-made, about {mistaken} would be flagged by mistake, and at most "
        f"{at_most} with 95 % confidence ({rate.rate:.2%}, at most {rate.at_most:.2%}, "
        f"measured on {rate.tracks})."
    )


def _count(number: float) -> str:
    return f"{number:.1f}" if number < 10 else f"{number:.0f}"
