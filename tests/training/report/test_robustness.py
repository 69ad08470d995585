"""What the changes do to audio, and the table of what they do to scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("scipy")

from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training.report.robustness import (
    CHANGES,
    N_EXCERPTS,
    SEMITONE,
    UNCHANGED,
    at_pitch,
    at_speed,
    joined_songs_of,
    main,
    table,
    with_gain,
)
from tests.support.audio_files import encode, music, tone
from tests.support.onnx_models import write_model

RATE = 44_100
HALF = 10 ** (-6 / 20)


def sine(hz: float, duration_s: float) -> NDArray[np.float32]:
    time_s = np.arange(round(duration_s * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def pitch_of(samples: NDArray[np.float32]) -> float:
    """Return the loudest frequency in Hz."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(power.argmax()) * RATE / len(samples)


@pytest.mark.parametrize("factor", [SEMITONE, 1 / SEMITONE])
def test_pitch(factor: float) -> None:
    """A sine is another note of the same length."""
    samples = at_pitch(sine(1_000, 3), factor=factor)
    assert 0 <= 3 * RATE - len(samples) < 0.01 * RATE
    assert pitch_of(samples) == pytest.approx(1_000 * factor, rel=5e-4)


@pytest.mark.parametrize("factor", [0.99, 1.005])
def test_speed(factor: float) -> None:
    """A sine is another note, and ends sooner or later."""
    samples = at_speed(sine(1_000, 3), factor=factor)
    assert len(samples) == pytest.approx(3 * RATE / factor, abs=2)
    assert pitch_of(samples) == pytest.approx(1_000 * factor, rel=5e-4)


def test_level_and_length() -> None:
    """6 dB down is half; the limiter stays below 1; the head is gone."""
    samples = music(2.0)[:, 0]
    np.testing.assert_allclose(with_gain(samples, gain_db=-6), HALF * samples, rtol=1e-6)
    loud = with_gain(2 * samples, gain_db=6)
    np.testing.assert_allclose(loud, np.tanh(2 * samples / HALF), rtol=1e-5)
    short = CHANGES["0.5 s off the head"](samples)
    np.testing.assert_array_equal(short, samples[RATE // 2 :])


def test_the_table_by_hand() -> None:
    """`unsure` is a verdict of its own; a change that left no score is not counted."""
    scores = [
        {UNCHANGED: 0.1, "gain -6 dB": 0.35},
        {UNCHANGED: 0.9, "gain -6 dB": 0.8},
        {UNCHANGED: 0.6},
    ]
    *_, unchanged, gain = table(scores, Thresholds(0.5, 0.3)).splitlines()
    assert unchanged == "| none | 3 | 0.000 | 0.000 | 0 | 2 |"
    assert gain == "| gain -6 dB | 2 | 0.175 | 0.250 | 1 | 1 |"


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a model whose score is the loudness, 6 dB less are half the score."""
    graph = write_model(tmp_path / "model", sample_rate=RATE, segment_samples=RATE)
    (tmp_path / "music").mkdir()
    encode(tmp_path / "music" / "loud.flac", tone(0.06, 31.0), RATE)
    main(["--folder", str(tmp_path / "music"), "--model", str(graph / "model.onnx")])
    cells = {
        line.split(" | ")[0].lstrip("| "): line.split(" | ")[1:]
        for line in capsys.readouterr().out.splitlines()[2:]
    }
    assert list(cells) == list(CHANGES)
    assert float(cells["gain -6 dB"][1]) == pytest.approx(0.6 * (1 - HALF), abs=2e-3)


def test_songs_are_joined_of_a_folders_excerpts(tmp_path: Path) -> None:
    """Of what has the full band and can be decoded; a folder with too few is left out."""
    for folder, n_files in (("enough", N_EXCERPTS + 2), ("few", N_EXCERPTS - 1)):
        (tmp_path / folder).mkdir()
        for number in range(n_files):
            level = (number + 1) / 20
            encode(tmp_path / folder / f"{number:02}.flac", tone(level, 0.1), RATE)
    (tmp_path / "enough" / "00.txt").write_text("no audio")
    encode(tmp_path / "enough" / "000.flac", tone(0.9, 0.1), 22_050)
    (song,) = joined_songs_of(tmp_path)
    parts = song.reshape(N_EXCERPTS, -1)
    expected = [(number + 1) / 20 for number in range(N_EXCERPTS)]
    np.testing.assert_allclose(parts.max(1), expected, atol=1e-3)
