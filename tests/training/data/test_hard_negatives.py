"""Hard negatives of another seed are other signals of the same kinds."""

from __future__ import annotations

import numpy as np

from beetsplug.artifactnet.training.data.hard_negatives import STEP, hard_negatives

DURATION_S = 1.0


def test_each_seed_has_speeds_of_its_own() -> None:
    """Lines lie elsewhere: a tone's is up to four semitones from that of seed 0."""
    tones = [
        next(
            signal.make()
            for signal in hard_negatives(duration_s=DURATION_S, seed=seed)
            if signal.name == "tone: 1000 Hz at -1 dB"
        )
        for seed in (0, 1, 1, 2)
    ]
    peaks_hz = [
        int(np.abs(np.fft.rfft(tone * np.hanning(len(tone)))).argmax()) for tone in tones
    ]
    assert {len(tone) for tone in tones} == {44_100}
    assert peaks_hz[0] == 1_000
    assert len(set(peaks_hz)) == 3
    assert all(793 <= hz <= 1_260 for hz in peaks_hz)
    np.testing.assert_array_equal(tones[1], tones[2])
    assert all(np.all(tone / STEP % 1 == 0) for tone in tones)


def test_all_seeds_have_the_same_names() -> None:
    names = [{signal.name for signal in hard_negatives(seed=seed)} for seed in (0, 7)]
    assert names[0] == names[1]
    assert len(names[0]) >= 300
