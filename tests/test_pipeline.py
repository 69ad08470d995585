"""The whole way of a file: real audio, real graphs, one outcome each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.audio import read_waveform
from beetsplug.artifactnet.detector import Detector
from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.pipeline import Cancelled, n_workers, score_file, score_files
from beetsplug.artifactnet.results import Outcome, TrackResult, TrackScore
from beetsplug.artifactnet.scoring import decide
from beetsplug.artifactnet.segments import SegmentCount, segment_starts
from tests.audio_files import encode, music, tone
from tests.onnx_models import (
    LEVELS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    Rule,
    load_model,
    loudness,
    write_model,
)


def detector_in(folder: Path, rule: Rule = "loudness") -> Detector:
    return Detector(load_model(write_model(folder / "model", rule=rule)))


def score_of(path: Path, detector: Detector, count: SegmentCount = 7) -> TrackScore:
    result = score_file(path, detector, count)
    assert result.outcome is Outcome.SCORED
    assert result.score is not None
    return result.score


@pytest.mark.parametrize("container", ["wav", "flac", "ogg", "mp3", "m4a"])
@pytest.mark.parametrize("count", [1, 7, "all"])
def test_score_is_the_models(container: str, count: SegmentCount, tmp_path: Path) -> None:
    """A track's score is the median of what NumPy gets from the same segments."""
    path = encode(tmp_path / f"a.{container}", 0.3 * music(9.3), 44_100)
    score = score_of(path, detector_in(tmp_path), count)
    samples = read_waveform(path, SAMPLE_RATE).samples
    starts = segment_starts(len(samples), SEGMENT_SAMPLES, count)
    expected = [loudness(samples[start : start + SEGMENT_SAMPLES]) for start in starts]
    found = [segment.probability for segment in score.segments]
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.01)
    assert pytest.approx(np.median(found)) == score.probability
    assert [start / SAMPLE_RATE for start in starts] == [s.start_s for s in score.segments]
    assert pytest.approx(9.3, abs=0.05) == score.duration_s
    assert score.model == "loudness-1.0"


@pytest.mark.parametrize("verdict", LEVELS)
def test_loudness_decides(verdict: str, tmp_path: Path) -> None:
    """A track's level and the card's thresholds make its verdict."""
    path = encode(tmp_path / "a.flac", tone(LEVELS[verdict], 3.0, SAMPLE_RATE), SAMPLE_RATE)
    detector = detector_in(tmp_path)
    found = decide(score_of(path, detector).probability, detector.card.thresholds)
    assert verdict == found.value


def write_short(path: Path) -> None:
    encode(path, music(0.9), 44_100, "wav")


def write_silent(path: Path) -> None:
    encode(path, np.zeros((88_200, 2), np.float32), 44_100, "wav")


def write_nothing(path: Path) -> None:
    assert not path.exists()


def write_truncated(path: Path) -> None:
    encode(path, music(3.0), 44_100, "wav")
    path.write_bytes(path.read_bytes()[:200_000])


@pytest.mark.parametrize(
    ("make", "outcome", "detail"),
    [
        (write_short, Outcome.TOO_SHORT, "0.90 s, at least 1 s are needed"),
        (write_silent, Outcome.SILENT, "no sound in any segment"),
        (write_nothing, Outcome.MISSING, "no such file"),
        (write_truncated, Outcome.UNREADABLE, "truncated: 1.1 s of 3.0 s"),
        (Path.touch, Outcome.UNREADABLE, "empty file"),
        (Path.mkdir, Outcome.UNREADABLE, "not a regular file"),
    ],
)
def test_what_is_wrong_with_a_file(
    make: object, outcome: Outcome, detail: str, tmp_path: Path
) -> None:
    """What is wrong with one file is its outcome, with a few words on it."""
    assert callable(make)
    path = tmp_path / "a.wav"
    make(path)
    result = score_file(path, detector_in(tmp_path), 7)
    assert (outcome, detail) == (result.outcome, result.detail)
    assert result.score is None
    assert path == result.path


def test_model_that_gives_nothing(tmp_path: Path) -> None:
    """A model without finite answers for a track fails on that track."""
    path = encode(tmp_path / "a.wav", music(8.0), 44_100)
    result = score_file(path, detector_in(tmp_path, "all_nan"), 7)
    assert result.outcome is Outcome.MODEL_FAILED
    assert result.detail == "0 of 7 segments gave a finite probability, 4 are needed"


def test_model_that_breaks(tmp_path: Path) -> None:
    """A model that is not what its card says stops the run."""
    path = encode(tmp_path / "a.wav", music(2.0), 44_100)
    with pytest.raises(ModelError):
        score_file(path, detector_in(tmp_path, "out_of_range"), 7)


def test_one_loud_segment_is_no_silence(tmp_path: Path) -> None:
    """A track with sound in one segment alone is scored."""
    samples = np.zeros((20 * SAMPLE_RATE, 1), np.float32)
    samples[-SAMPLE_RATE // 2 :] = 0.1
    path = encode(tmp_path / "a.wav", samples, SAMPLE_RATE)
    assert score_of(path, detector_in(tmp_path)).probability == 0.0


def test_file_that_is_cancelled(tmp_path: Path) -> None:
    """A file stops at its next segments once the run is cancelled."""
    path = encode(tmp_path / "a.wav", music(2.0), 44_100)
    with pytest.raises(Cancelled):
        score_file(path, detector_in(tmp_path), 7, lambda: True)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty tracks, each a little louder than the one before; some are no audio."""
    folder = tmp_path_factory.mktemp("tracks")
    paths = [folder / f"{place:02}.wav" for place in range(20)]
    for place, path in enumerate(paths):
        if place % 7 == 3:
            path.write_text("no audio")
        else:
            encode(path, tone(0.004 * (place + 1), 2.0, SAMPLE_RATE), SAMPLE_RATE)
    return paths


@pytest.mark.parametrize("threads", [1, 2, 5, 0])
def test_every_place_once(threads: int, tracks: list[Path], tmp_path: Path) -> None:
    """Each file comes back once, at its own place, with its own score."""
    detector = detector_in(tmp_path)
    results = dict(score_files(tracks, detector, 7, threads))
    assert sorted(results) == list(range(len(tracks)))
    for place, path in enumerate(tracks):
        assert score_file(path, detector, 7) == results[place]
        assert path == results[place].path


def test_no_files(tmp_path: Path) -> None:
    """No files give no results."""
    assert list(score_files([], detector_in(tmp_path), 7)) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_few_files_are_held(threads: int, tracks: list[Path], tmp_path: Path) -> None:
    """No more than two paths a worker are taken ahead of the results."""
    n_taken = 0

    def paths() -> Iterator[Path]:
        nonlocal n_taken
        for path in tracks * 3:
            n_taken += 1
            yield path

    ahead = []
    for n_results, _ in enumerate(score_files(paths(), detector_in(tmp_path), 7, threads)):
        ahead.append(n_taken - n_results)
    assert len(ahead) == 3 * len(tracks)
    assert max(ahead) <= 2 * threads


def test_closing_stops(tracks: list[Path], tmp_path: Path) -> None:
    """Closed after its first result, a run takes no further paths and ends its threads."""
    left = iter(tracks)
    results = score_files(left, detector_in(tmp_path), 7, 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    n_left = len(list(left))
    assert n_left >= len(tracks) - 4
    workers = [t for t in threading.enumerate() if t.name.startswith("artifactnet")]
    for worker in workers:
        worker.join(timeout=10)
    assert not any(worker.is_alive() for worker in workers)


def collect(results: Iterator[tuple[int, TrackResult]], places: list[int]) -> None:
    for place, _ in results:
        places.append(place)


def test_cancelling(tracks: list[Path], tmp_path: Path) -> None:
    """A cancelled run keeps what it yielded before and then says so."""
    found: list[int] = []
    results = score_files(
        tracks, detector_in(tmp_path), 7, 1, is_cancelled=lambda: len(found) >= 3
    )
    with pytest.raises(Cancelled):
        collect(results, found)
    assert len(tracks) > len(found) >= 3


def test_broken_model_stops_before_the_first_file(tmp_path: Path) -> None:
    """A broken model is found before a path is taken."""
    detector = detector_in(tmp_path)
    (tmp_path / "model" / "model.onnx").write_bytes(b"broken")
    paths = iter([tmp_path / "a.wav"])
    with pytest.raises(ModelError):
        next(score_files(paths, detector, 7))
    assert list(paths) == [tmp_path / "a.wav"]


def test_model_error_on_the_way(tracks: list[Path], tmp_path: Path) -> None:
    """A model that breaks on a file stops the run."""
    with pytest.raises(ModelError):
        list(score_files(tracks, detector_in(tmp_path, "out_of_range"), 7, 2))


def test_workers() -> None:
    """A count of threads is taken as it is; 0 is at least one."""
    assert n_workers(3) == 3
    assert n_workers(0) >= 1
