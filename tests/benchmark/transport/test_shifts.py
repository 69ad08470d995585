"""Shifts, flips and gates, worked by hand, and how they are told."""

from __future__ import annotations

import pytest

from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.transport.encodings import ENCODINGS, GATED, REFERENCE
from beetsplug.artifactnet.benchmark.transport.report import transport_lines, transport_sections
from beetsplug.artifactnet.benchmark.transport.shifts import summarise

NAMES = [encoding.name for encoding in ENCODINGS]


def row(reference: float, **scores: float) -> dict[str, float]:
    """Return a track's scores: those given, and elsewhere the reference's."""
    names = {name.replace(" ", "_"): name for name in NAMES}
    return dict.fromkeys(NAMES, reference) | {names[n]: p for n, p in scores.items()}


def test_shifts_and_flips_by_hand() -> None:
    """Means, maxima, ranges and flips of three tracks."""
    ai = LabelledTrack("a", None, "ai", source="s")
    real = LabelledTrack("b", None, "real", source="r")
    rows = [
        (ai, row(0.9, MP3_128=0.7, Opus_64=0.4)),
        (real, row(0.2, MP3_128=0.6)),
        (real, {REFERENCE.name: 0.1, "PCM16 WAV": 0.1}),
    ]

    found = summarise("m-1", 0.5, rows)

    by_name = {shifts.encoding: shifts for shifts in found.by_encoding}
    mp3 = by_name["MP3 128"]
    assert (mp3.n_tracks, mp3.n_flips, mp3.n_failed) == (2, 1, 1)
    assert mp3.mean_shift == pytest.approx(0.3)
    assert mp3.max_shift == pytest.approx(0.4)
    assert by_name["Opus 64"].n_flips == 1
    assert found.total.n_flips == found.n_flipped_tracks == 2
    assert found.gated.n_tracks == 2 * 4 + 1
    assert found.mean_range == pytest.approx((0.5 + 0.4 + 0.0) / 3)
    assert found.max_range == pytest.approx(0.5)
    assert [gate.passed for gate in found.gates] == [True, False, False, True]
    measured = [gate.found for gate in found.gates]
    assert measured == pytest.approx([0.6 / 9, 0.4, 1.0, 1.0])
    assert "Opus 64" not in GATED
    lines = transport_lines(found)
    assert "    fail: maximum shift 0.4000, must be at most 0.35" in lines
    sections = transport_sections([found])
    assert [section.level for section in sections] == [2, 3]
    assert [len(table.rows) for table in sections[1].tables] == [8, 4]


def test_nothing_to_measure() -> None:
    """Without tracks no gate passes or fails."""
    found = summarise("m-1", 0.5, [])
    assert {gate.passed for gate in found.gates} == {None}
    assert found.max_range is None
    assert all("not measured" in line for line in transport_lines(found)[-4:])
    assert transport_sections([]) == ()
