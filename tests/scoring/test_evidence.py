"""What a segment must hold to be judged, its level, and the hum in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import read_waveform
from beetsplug.artifactnet.scoring.evidence import has_evidence, is_suspect, raised
from beetsplug.artifactnet.scoring.hum import mains_of, without_hum
from beetsplug.artifactnet.training.data.hard_negatives import (
    decibels,
    hard_negatives,
    quantised,
    with_hum,
)

RATE, LENGTH = 44_100, 176_400
DEMO = Path(__file__).parents[2] / "docs" / "demo"
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def music() -> Samples:
    """Return four seconds of the human-made demo."""
    return read_waveform(DEMO / "human.ogg", RATE).samples[5 * RATE :][:LENGTH]


@pytest.mark.parametrize("level_db", [0, -20, -40])
@pytest.mark.parametrize("name", ["human", "resynthesised"])
def test_music_is_evidence(name: str, level_db: int) -> None:
    """All of a song's segments can be judged, at any usual level."""
    samples = read_waveform(DEMO / f"{name}.ogg", RATE).samples * np.float32(decibels(level_db))
    for start in range(0, len(samples) - LENGTH, LENGTH):
        assert has_evidence(quantised(samples[start:][:LENGTH]), RATE)


@pytest.mark.parametrize("kind", ["tone", "drone", "click train", "near silence", "sweep"])
def test_signals_are_none(kind: str) -> None:
    """Signals that no music is in hold nothing to judge."""
    signals = [s for s in hard_negatives(duration_s=4.0) if s.kind == kind][::7]
    judged = [s.name for s in signals if has_evidence(s.make(), RATE)]
    assert len(judged) <= len(signals) // 8, judged


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_bells_of_a_synthesiser_are_none(seed: int) -> None:
    """Lines in digital silence hold nothing to judge, however many they are."""
    signals = [s for s in hard_negatives(duration_s=4.0, seed=seed) if ": bell" in s.name]
    assert len(signals) >= 12
    assert [s.name for s in signals if has_evidence(quantised(s.make()), RATE)] == []


def test_music_is_above_suspicion(music: Samples) -> None:
    """The cheap test passes music, and stops at quiet and at steady signals."""
    time_s = np.arange(LENGTH) / RATE
    assert not is_suspect(music, RATE)
    assert is_suspect(music * np.float32(0.01), RATE)
    assert is_suspect(np.sin(2 * np.pi * 440 * time_s).astype(np.float32), RATE)


@pytest.mark.parametrize("exponent", [-5, -8, -12])
def test_quiet_music_is_raised_exactly(music: Samples, exponent: int) -> None:
    """A quiet segment times a power of two is the loud one, bit by bit."""
    peak = float(np.abs(music).max())
    loud = music if peak >= 0.5 else np.ldexp(music, 1)
    np.testing.assert_array_equal(loud, raised(np.ldexp(loud, exponent)))


def test_loud_music_and_silence_are_kept(music: Samples) -> None:
    """From -24 dB on a segment stays the same array, and so does silence."""
    for samples in (music, np.zeros(10, np.float32), np.full(10, 2.0**-4, np.float32)):
        assert raised(samples) is samples


def test_music_without_hum_is_kept(music: Samples) -> None:
    """No hum is found in a segment without it, and it is returned as it is."""
    for is_thorough in (False, True):
        assert mains_of(music, RATE, is_thorough=is_thorough) is None
    for mains_hz in (50, 60):
        assert without_hum(music, RATE, mains_hz) is music


STEADY = [(mains_hz, 0.0) for mains_hz in (49.98, 50.0, 50.01, 60.0)]
WANDERING = [(49.85, 0.0), (60.15, 0.0), (50.0, 0.001), (50.0, -0.01), (59.9, 0.006)]
"""Hz at the start, and Hz a second."""


@pytest.mark.parametrize(
    ("mains_hz", "glide", "level_db", "least_db"),
    [
        *((*hum, *level) for hum in STEADY for level in ((-20, 30), (-30, 20), (-40, 10))),
        *((*hum, *level) for hum in WANDERING for level in ((-20, 20), (-30, 20))),
    ],
)
def test_hum_is_taken_out(
    music: Samples, mains_hz: float, glide: float, level_db: int, least_db: int
) -> None:
    """Its frequency is found, and from 1 kHz up half of its lines are far lower afterwards."""
    humming = with_hum(music, mains_hz, level_db, glide=glide)
    nominal_hz = mains_of(humming, RATE, is_thorough=True)
    assert nominal_hz is not None
    assert nominal_hz == round(mains_hz, -1)
    middle_hz = mains_hz + glide / 2 * LENGTH / RATE
    lines = np.round(np.arange(20, 220) * middle_hz * LENGTH / RATE).astype(int)
    rest, hum = (
        np.abs(np.fft.rfft((signal - music) * np.hanning(LENGTH)))[lines]
        for signal in (without_hum(humming, RATE, nominal_hz), humming)
    )
    assert 20 * np.log10(np.median(hum / rest)) > least_db


@pytest.mark.parametrize("mains_hz", [49.9, 49.98, 50.0, 50.01, 60.0, 60.1])
def test_a_quick_look_finds_hum(music: Samples, mains_hz: float) -> None:
    """At -30 dB it is found in every song without a transform of all of a segment."""
    assert mains_of(with_hum(music, mains_hz, -30.0), RATE) == round(mains_hz, -1)
