"""Which segments of a file have a vote: whole files by the bundled model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import read_waveform
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.scoring.segments import SegmentBatch
from beetsplug.artifactnet.scoring.voting import cast_votes
from beetsplug.artifactnet.training.data.hard_negatives import (
    STEP,
    decibels,
    hard_negatives,
    quantised,
    with_hum,
)
from tests.support.onnx_models import load_model, write_song_model

RATE = 44_100
DEMO = Path(__file__).parents[2] / "docs" / "demo"
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Return the bundled model's detector."""
    return Detector(find_model("default"))


@pytest.fixture(scope="module")
def ai() -> Samples:
    """Return the demo that a decoder made."""
    return read_waveform(DEMO / "resynthesised.ogg", RATE).samples


@pytest.fixture(scope="module")
def human() -> Samples:
    """Return the demo that people made."""
    return read_waveform(DEMO / "human.ogg", RATE).samples


def score(
    folder: Path, samples: Samples, detector: Detector, subtype: str = "PCM_16"
) -> TrackResult:
    path = folder / "signal.wav"
    soundfile.write(path, samples, RATE, subtype=subtype)
    return score_file(path, detector, 7)


def probability(
    folder: Path, samples: Samples, detector: Detector, subtype: str = "PCM_16"
) -> float:
    result = score(folder, samples, detector, subtype)
    assert result.score is not None, result
    return result.score.probability


@pytest.fixture(scope="module")
def of_ai(ai: Samples, detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return the score of the one demo."""
    return probability(tmp_path_factory.mktemp("ai"), ai, detector)


@pytest.fixture(scope="module")
def of_human(
    human: Samples, detector: Detector, tmp_path_factory: pytest.TempPathFactory
) -> float:
    """Return the score of the other demo."""
    return probability(tmp_path_factory.mktemp("human"), human, detector)


def gap(kind: str, seconds: int) -> Samples:
    rng = np.random.default_rng(1)
    n_samples = seconds * RATE
    if kind == "zeros":
        return np.zeros(n_samples, np.float32)
    return (STEP * rng.integers(-1, 2, n_samples)).astype(np.float32)


@pytest.mark.parametrize("kind", ["zeros", "one step"])
@pytest.mark.slow
def test_hidden_track(
    kind: str,
    ai: Samples,
    human: Samples,
    of_ai: float,
    of_human: float,
    detector: Detector,
    tmp_path: Path,
) -> None:
    """Five minutes of silence between two songs have no vote (C7)."""
    silence = gap(kind, 300)
    result = score(tmp_path, np.concatenate([ai, silence, ai]), detector)
    assert result.score is not None
    assert len(result.score.segments) == 7
    assert result.score.probability == pytest.approx(of_ai, abs=0.05)
    mixed = np.concatenate([human, silence, human])
    assert probability(tmp_path, mixed, detector) == pytest.approx(of_human, abs=0.05)


def test_silent_intro(ai: Samples, of_ai: float, detector: Detector, tmp_path: Path) -> None:
    """A minute of silence before a song changes nothing."""
    intro = np.concatenate([gap("zeros", 60), ai])
    assert probability(tmp_path, intro, detector) == pytest.approx(of_ai, abs=0.05)


def test_silent_half(of_ai: float, ai: Samples, detector: Detector, tmp_path: Path) -> None:
    """Of half a song less is found, which is no evidence for the other half."""
    fade = np.clip(np.linspace(-1, 1.5, len(ai)), 0, 1).astype(np.float32)
    result = score(tmp_path, ai * fade, detector)
    assert result.score is not None
    assert detector.card.thresholds.unsure <= result.score.probability <= of_ai


def test_silent_file(detector: Detector, tmp_path: Path) -> None:
    """Silence is what the whole file is, one step of noise or not."""
    for kind in ("zeros", "one step"):
        assert score(tmp_path, gap(kind, 20), detector).outcome is Outcome.SILENT


@pytest.mark.parametrize("level_db", [-20, -40])
def test_loudness(
    level_db: int, ai: Samples, of_ai: float, detector: Detector, tmp_path: Path
) -> None:
    """The score stays nearly the same where 16-bit noise is far below the lines (C8)."""
    quiet = quantised(ai * np.float32(decibels(level_db)))
    assert probability(tmp_path, quiet, detector) == pytest.approx(of_ai, abs=0.05)


@pytest.mark.parametrize(
    ("level_db", "subtype", "tolerance"),
    [(-55, "FLOAT", 1e-4), (-70, "FLOAT", 1e-4), (-40, "PCM_24", 1e-3), (-55, "PCM_24", 1e-3)],
)
def test_loudness_of_more_than_16_bits(
    level_db: int,
    subtype: str,
    tolerance: float,
    ai: Samples,
    detector: Detector,
    tmp_path: Path,
) -> None:
    """It makes no difference where the samples stay exact (C8)."""
    loud = probability(tmp_path, ai, detector, "FLOAT")
    quiet = ai * np.float32(decibels(level_db))
    found = probability(tmp_path, quiet, detector, subtype)
    assert found == pytest.approx(loud, abs=tolerance)


@pytest.mark.parametrize("level_db", [-20, -40, -50, -60])
def test_quiet_music_is_not_accused(
    level_db: int, human: Samples, of_human: float, detector: Detector, tmp_path: Path
) -> None:
    """What people made stays at its score, or has none near 16-bit noise (C8)."""
    quiet = quantised(human * np.float32(decibels(level_db)))
    result = score(tmp_path, quiet, detector)
    assert (result.score is None) == (level_db <= -50)
    assert result.score is None or abs(result.score.probability - of_human) < 0.05


@pytest.mark.parametrize("level_db", [-55, -60, -66, -74])
def test_too_quiet_to_be_judged(
    level_db: int, ai: Samples, detector: Detector, tmp_path: Path
) -> None:
    """Where noise covers nearly all, there is no score rather than ``real``."""
    result = score(tmp_path, quantised(ai * np.float32(decibels(level_db))), detector)
    if result.score is None:
        assert result.outcome is Outcome.NO_EVIDENCE
    else:
        assert level_db > -70
        assert result.score.probability >= 0.5


@pytest.mark.parametrize("hz", [(400,), (1_000,), (3_000,), (10_000,), (19_000, 20_000)])
def test_undithered_tones(hz: tuple[int, ...], detector: Detector, tmp_path: Path) -> None:
    """Tones are no evidence (C9)."""
    time_s = np.arange(12 * RATE) / RATE
    tones = np.sum([np.sin(2 * np.pi * f * time_s) for f in hz], axis=0)
    result = score(tmp_path, quantised(0.5 * tones / len(hz)), detector)
    assert result.outcome is Outcome.NO_EVIDENCE
    assert result.detail


def test_pulses_in_noise(detector: Detector, tmp_path: Path) -> None:
    """Pulses each 441 samples with noise are no evidence (C9)."""
    samples = np.random.default_rng(3).normal(0, 0.01, 12 * RATE)
    samples[::441] += 0.5
    assert score(tmp_path, quantised(samples), detector).outcome is Outcome.NO_EVIDENCE


@pytest.mark.parametrize(
    ("mains_hz", "level_db", "glide"),
    [
        (50.0, -30.0, 0.0),
        (60.0, -30.0, 0.0),
        (50.0, -20.0, 0.0),
        (60.0, -20.0, 0.0),
        (50.01, -20.0, 0.0),
        (49.98, -30.0, 0.0),
        (49.9, -20.0, 0.0),
        (60.1, -20.0, 0.0),
        (50.02, -20.0, 0.002),
        (60.0, -20.0, -0.005),
    ],
)
def test_hum_on_music(
    mains_hz: float,
    level_db: float,
    glide: float,
    ai: Samples,
    human: Samples,
    of_human: float,
    detector: Detector,
    tmp_path: Path,
) -> None:
    """Music with hum gets the verdict and nearly the score of the music (C10)."""
    humming = with_hum(human, mains_hz, level_db, glide=glide)
    assert probability(tmp_path, humming, detector) == pytest.approx(of_human, abs=0.05)
    humming = with_hum(ai, mains_hz, level_db, glide=glide)
    assert probability(tmp_path, humming, detector) >= 0.5


def test_hum_in_a_loud_passage(human: Samples, detector: Detector, tmp_path: Path) -> None:
    """Where music hides the hum of one segment, the quieter ones tell of it."""
    quiet = human * np.float32(0.1)
    quiet[:176_400] = human[:176_400]
    humming = with_hum(quiet, 50.0, -30.0)
    result = score(tmp_path, humming, detector)
    assert result.score is not None
    assert max(segment.probability for segment in result.score.segments) < 0.5


@pytest.mark.parametrize(("n_tones", "n_left"), [(1, 2), (2, 0)])
def test_a_suspicious_song_of_which_most_is_no_evidence(
    n_tones: int, n_left: int, human: Samples, tmp_path: Path
) -> None:
    """What is left of it has a vote where it is half of the song and more."""
    card = {"evidence": "needed", "thresholds": {"ai": 0.02, "unsure": 0.01}}
    model = write_song_model(tmp_path, sample_rate=RATE, segment_samples=4 * RATE, card=card)
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(4 * RATE) / RATE)
    music = [human[i * 4 * RATE : (i + 1) * 4 * RATE] for i in range(3 - n_tones)]
    samples = np.stack([*music, *[quantised(tone)] * n_tones])
    batch = SegmentBatch((samples,), np.array([0.0, 4.0, 8.0]))
    votes = cast_votes(Detector(load_model(model)), batch)
    assert votes.starts_s == [0.0, 4.0][:n_left]
    assert bool(votes.probabilities) == bool(n_left)


def test_hard_negatives(detector: Detector, tmp_path: Path) -> None:
    """None of a sample of signals that nobody made with a decoder is ``ai``."""
    signals = hard_negatives(duration_s=8.0)
    assert len({signal.name for signal in signals}) == len(signals) >= 300
    for signal in signals[::19]:
        result = score(tmp_path, signal.make(), detector)
        assert result.score is None or result.score.probability < 0.5, signal.name
