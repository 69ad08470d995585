"""The transport test's results: for JSON, for the report's page and for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from beetsplug.artifactnet.benchmark.transport.shifts import Gate, Transported
from beetsplug.artifactnet.report.document import Section, Table, number


def transport_sections(results: Sequence[Transported]) -> tuple[Section, ...]:
    """Return what a reader is told."""
    if not results:
        return ()
    intro = Section(
        "Transport",
        (
            "The same decoded audio, the first five minutes of a track at most, as float WAV "
            "(the reference), 16-bit WAV, and MP3, AAC and Opus at 128 and at 64 kb/s. A shift "
            "is how far an encoding takes a track's score from the reference's; a flip is a "
            "track that only one of the two flags. The gates look at everything but 64 kb/s.",
        ),
    )
    return (intro, *(_section(result) for result in results))


def _section(result: Transported) -> Section:
    shifts = tuple(
        (
            found.encoding,
            str(found.n_tracks),
            number(found.mean_shift),
            number(found.max_shift),
            str(found.n_flips),
            str(found.n_failed),
        )
        for found in (*result.by_encoding, result.total)
    )
    gates = tuple(
        (gate.name, number(gate.found), gate.bound, passed(gate)) for gate in result.gates
    )
    return Section(
        f"Transport of {result.model}",
        (
            f"{result.n_tracks} tracks; flags at {result.threshold:g}. From its lowest to its "
            f"highest score a track moves by {number(result.mean_range)} on average and by "
            f"{number(result.max_range)} at most; {result.n_flipped_tracks} flip in at least "
            f"one encoding.",
        ),
        (
            Table(
                ("encoding", "scored", "mean shift", "maximum shift", "flips", "failed"), shifts
            ),
            Table(("gate", "found", "must be", "result"), gates),
        ),
        level=3,
    )


def passed(gate: Gate) -> str:
    """Return a gate's result in one word."""
    return "not measured" if gate.passed is None else ("pass" if gate.passed else "fail")


def transport_lines(result: Transported) -> list[str]:
    """Return the same for a terminal."""
    return [
        f"{result.model}: transport of {result.n_tracks} tracks",
        *(
            f"    {found.encoding:<14} mean shift {number(found.mean_shift)}, "
            f"maximum {number(found.max_shift)}, {found.n_flips} of {found.n_tracks} flip"
            for found in (*result.by_encoding, result.total)
        ),
        *(
            f"    {passed(gate)}: {gate.name} {number(gate.found)}, must be {gate.bound}"
            for gate in result.gates
        ),
    ]
