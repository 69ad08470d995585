"""The whole way of a file: real audio, real graphs, one outcome each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.results import (
    Lack,
    Outcome,
    SegmentScore,
    TrackResult,
    TrackScore,
    Unjudged,
)
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.engines import CPU
from beetsplug.artifactnet.scoring.files import score_files
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.scoring.segments import SegmentCount, cut_segments, segment_starts
from beetsplug.artifactnet.workers import Cancelled
from beetsplug.artifactnet.workers.local import LocalWorkers
from tests.support.audio_files import Samples, encode, music, tone
from tests.support.onnx_models import (
    GAIN,
    LEVELS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    Rule,
    inputs_loudness,
    load_model,
    loudness,
    song_loudness,
    write_inputs_model,
    write_model,
    write_song_model,
)

ABSURD = Path(__file__).parents[1] / "regressions" / "size-beyond-memory.svx"
"""A few hundred bytes, one number of which claims gigabytes."""


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
    assert score.model == "loudness-1.0+3"


@pytest.mark.parametrize("verdict", LEVELS)
def test_loudness_decides(verdict: str, tmp_path: Path) -> None:
    """A track's level and the card's thresholds make its verdict."""
    path = encode(tmp_path / "a.flac", tone(LEVELS[verdict], 3.0, SAMPLE_RATE), SAMPLE_RATE)
    detector = detector_in(tmp_path)
    found = detector.card.thresholds.verdict(score_of(path, detector).probability)
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


def test_nan_in_some_segments(tmp_path: Path) -> None:
    """A few segments without an answer are left out; the others are the score."""
    samples = tone(LEVELS["unsure"], 7.0, SAMPLE_RATE)
    # Its samples are never above 0.9, but for the first of two of seven segments.
    samples[[0, 3 * SEGMENT_SAMPLES]] = 0.95
    path = encode(tmp_path / "a.wav", samples, SAMPLE_RATE, "wav_float")
    score = score_of(path, detector_in(tmp_path, "nan_if_hot"))
    assert [segment.start_s for segment in score.segments] == [1.0, 2.0, 4.0, 5.0, 6.0]
    assert score.probability == pytest.approx(GAIN * LEVELS["unsure"], abs=1e-4)


def test_nan_in_most_segments(tmp_path: Path) -> None:
    """With an answer for three of seven segments there is no score, and never 0.5."""
    samples = tone(LEVELS["unsure"], 7.0, SAMPLE_RATE)
    samples[: 4 * SEGMENT_SAMPLES : SEGMENT_SAMPLES] = 0.95
    path = encode(tmp_path / "a.wav", samples, SAMPLE_RATE, "wav_float")
    result = score_file(path, detector_in(tmp_path, "nan_if_hot"), 7)
    assert (result.outcome, result.score) == (Outcome.MODEL_FAILED, None)
    assert result.detail == "3 of 7 segments gave a finite probability, 4 are needed"


def levels(*values: float) -> Samples:
    """Return a track of one second at each level."""
    return np.concatenate([tone(value, 1.0, SAMPLE_RATE) for value in values])


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("median", 0.2), ("tercile", 0.5 / 3), ("mean", 0.3), ("max", 0.6)],
)
def test_aggregation_of_the_card(aggregation: str, expected: float, tmp_path: Path) -> None:
    """The card says what a track's score is of its segments'."""
    path = encode(tmp_path / "a.wav", levels(0.01, 0.06, 0.02), SAMPLE_RATE, "wav_float")
    card = {"aggregation": aggregation}
    detector = Detector(load_model(write_model(tmp_path / "model", card=card)))
    assert score_of(path, detector, "all").probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("crop", "expected"), [("centre", [2.0, 3.0]), ("start", [0.0, 1.0])])
def test_crop_of_the_card(crop: str, expected: list[float], tmp_path: Path) -> None:
    """The card says where the segments lie, whatever the configuration's count."""
    track = levels(0.01, 0.02, 0.03, 0.04, 0.05, 0.06)
    path = encode(tmp_path / "a.wav", track, SAMPLE_RATE, "wav_float")
    card = {"crop": crop, "max_segments": 2}
    detector = Detector(load_model(write_model(tmp_path / "model", card=card)))
    score = score_of(path, detector)
    assert [segment.start_s for segment in score.segments] == expected
    heard = [0.1 * (start_s + 1) for start_s in expected]
    found = [segment.probability for segment in score.segments]
    assert found == pytest.approx(heard, abs=1e-4)


def test_minimum_of_the_card(tmp_path: Path) -> None:
    """A track shorter than the card allows is too short, longer than a segment or not."""
    path = encode(tmp_path / "a.wav", tone(0.05, 2.9, SAMPLE_RATE), SAMPLE_RATE)
    card = {"minimum_s": 3.0}
    detector = Detector(load_model(write_model(tmp_path / "model", card=card)))
    result = score_file(path, detector, 7)
    assert result.outcome is Outcome.TOO_SHORT
    assert result.detail == "2.90 s, at least 3 s are needed"


@pytest.mark.parametrize(("padding", "expected"), [("zero", 0.25), ("repeat", 0.5)])
def test_padding_of_the_card(padding: str, expected: float, tmp_path: Path) -> None:
    """Half a segment of sound is half as loud, or as loud where it is repeated."""
    path = encode(tmp_path / "a.wav", tone(0.05, 0.5, SAMPLE_RATE), SAMPLE_RATE, "wav_float")
    card = {"minimum_s": 0.1, "padding": padding}
    detector = Detector(load_model(write_model(tmp_path / "model", card=card)))
    assert score_of(path, detector).probability == pytest.approx(expected, abs=1e-4)


def test_a_song_in_one_call(tmp_path: Path) -> None:
    """A song model's one answer is the score, and stands where its segments begin."""
    path = encode(tmp_path / "a.wav", levels(0.01, 0.06, 0.02, 0.09), SAMPLE_RATE, "wav_float")
    card = {"crop": "centre", "max_segments": 3}
    detector = Detector(load_model(write_song_model(tmp_path / "model", card=card)))
    score = score_of(path, detector)
    samples = read_waveform(path, SAMPLE_RATE).samples
    heard = samples[SAMPLE_RATE // 2 :][: 3 * SEGMENT_SAMPLES].reshape(3, -1)
    assert score.probability == pytest.approx(song_loudness(heard), abs=1e-4)
    assert score.segments == (SegmentScore(0.5, score.probability),)
    alone = [song_loudness(segment[None]) for segment in heard]
    assert abs(score.probability - np.median(alone)) > 0.1


def test_a_song_model_that_tells_more(tmp_path: Path) -> None:
    """Its segments' own probabilities make the timeline, and the score keeps its evidence."""
    path = encode(tmp_path / "a.wav", levels(0.01, 0.06, 0.02, 0.09), SAMPLE_RATE, "wav_float")
    detector = Detector(load_model(write_song_model(tmp_path / "model", is_telling=True)))
    score = score_of(path, detector, 3)
    heard = [segment.probability for segment in score.segments]
    assert [segment.start_s for segment in score.segments] == [0.0, 1.5, 3.0]
    assert len(set(heard)) == 3
    assert score.probability not in heard
    assert set(score.evidence) == {"mean", "peak"}
    assert score.evidence["mean"] == pytest.approx(np.mean(heard), abs=1e-4)


def test_a_song_model_that_gives_lines(tmp_path: Path) -> None:
    """The comb in them is that of the file, with the segments that show it."""
    seconds = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    samples = np.random.default_rng(0).normal(0, 0.05, len(seconds))
    for hz in np.arange(86.13, 3_900, 86.13):
        samples += 0.004 * np.cos(2 * np.pi * hz * seconds + hz)
    path = tmp_path / "comb.wav"
    encode(path, samples[:, None].astype(np.float32), SAMPLE_RATE)
    folder = write_song_model(tmp_path / "model", has_lines=True)
    score = score_file(path, Detector(load_model(folder)), 4).score
    assert score is not None
    assert score.combs is not None
    (comb,) = score.combs
    assert comb.spacing_hz == pytest.approx(86.13, abs=0.05)
    assert (comb.n_segments, comb.n_of) == (4, 4)


def test_a_song_model_whose_lines_hold_no_comb(tmp_path: Path) -> None:
    """Noise has none, and a model that gives no lines says nothing of it."""
    samples = np.random.default_rng(0).normal(0, 0.05, 4 * SAMPLE_RATE)
    path = tmp_path / "noise.wav"
    encode(path, samples[:, None].astype(np.float32), SAMPLE_RATE)
    for has_lines, expected in ((True, ()), (False, None)):
        folder = write_song_model(tmp_path / str(has_lines), has_lines=has_lines)
        score = score_file(path, Detector(load_model(folder)), 4).score
        assert score is not None
        assert score.combs == expected


def test_segments_without_a_vote_are_named(tmp_path: Path) -> None:
    """A silent place has no vote, and the score says where it is."""
    samples = np.random.default_rng(0).normal(0, 0.05, 8 * SAMPLE_RATE)
    samples[3 * SAMPLE_RATE : 5 * SAMPLE_RATE] = 0
    path = tmp_path / "gap.wav"
    encode(path, samples[:, None].astype(np.float32), SAMPLE_RATE)
    for count in (8, "all"):
        folder = write_model(tmp_path / str(count), card={"placement": "audible"})
        score = score_file(path, Detector(load_model(folder)), count).score
        assert score is not None
        assert score.unjudged == (Unjudged(3.0, Lack.SILENCE), Unjudged(4.0, Lack.SILENCE))


def test_a_song_without_an_answer(tmp_path: Path) -> None:
    """NaN for a song is a failure of the model."""
    path = encode(tmp_path / "a.wav", levels(0.01, 0.95), SAMPLE_RATE, "wav_float")
    detector = Detector(load_model(write_song_model(tmp_path / "model")))
    result = score_file(path, detector, 7)
    assert result.outcome is Outcome.MODEL_FAILED
    assert result.detail == "0 of 1 segments gave a finite probability, 1 are needed"


def test_several_inputs(tmp_path: Path) -> None:
    """A model with two inputs scores segments that both of them hear."""
    path = encode(tmp_path / "a.flac", 0.3 * music(7.3), 44_100)
    detector = Detector(load_model(write_inputs_model(tmp_path / "model")))
    score = score_of(path, detector)
    with open_audio(path) as reader:
        (batch,) = cut_segments(reader, detector.card, 7)
    expected = [inputs_loudness(segments) for segments in zip(*batch.samples, strict=True)]
    assert len(expected) == 3
    found = [segment.probability for segment in score.segments]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("write", [write_model, write_song_model, write_inputs_model])
def test_threads_agree(
    write: Callable[[Path], Path], tracks: list[Path], tmp_path: Path
) -> None:
    """Threads that share a detector give bit-equal scores, as one alone does."""
    detector = Detector(load_model(write(tmp_path / "model")))
    alone = [score_file(path, detector, 7) for path in tracks]
    for n_threads in (2, 5):
        shared = Detector(load_model(tmp_path / "model"))
        with ThreadPoolExecutor(n_threads) as executor:
            found = executor.map(lambda path, given=shared: score_file(path, given, 7), tracks)
        assert alone == list(found)


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


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalWorkers]:
    """Return two processes that score files."""
    processes = LocalWorkers(2)
    yield processes
    processes.close()


def test_every_place_once(tracks: list[Path], tmp_path: Path, workers: LocalWorkers) -> None:
    """Each file comes back once, at its own place, with this process's own score."""
    detector = detector_in(tmp_path)
    results = dict(score_files(tracks, detector, 7, workers))
    assert sorted(results) == list(range(len(tracks)))
    for place, path in enumerate(tracks):
        assert score_file(path, detector, 7) == results[place]
        assert path == results[place].path


def test_songs_in_processes(tracks: list[Path], tmp_path: Path, workers: LocalWorkers) -> None:
    """A song model gives the same through other processes."""
    detector = Detector(load_model(write_song_model(tmp_path / "model")))
    for place, result in score_files(tracks[:6], detector, 7, workers):
        assert score_file(tracks[place], detector, 7) == result


def test_no_files(tmp_path: Path, workers: LocalWorkers) -> None:
    """No files give no results."""
    assert list(score_files([], detector_in(tmp_path), 7, workers)) == []


def test_few_files_are_held(tracks: list[Path], tmp_path: Path, workers: LocalWorkers) -> None:
    """No more than two paths a worker are taken ahead of the results."""
    n_taken = 0

    def paths() -> Iterator[Path]:
        nonlocal n_taken
        for path in tracks * 3:
            n_taken += 1
            yield path

    ahead = []
    for n_results, _ in enumerate(score_files(paths(), detector_in(tmp_path), 7, workers)):
        ahead.append(n_taken - n_results)
    assert len(ahead) == 3 * len(tracks)
    assert max(ahead) <= 2 * workers.n_workers


def test_closing_stops(tracks: list[Path], tmp_path: Path, workers: LocalWorkers) -> None:
    """Closed after its first result, a run takes no further paths; the workers live on."""
    left = iter(tracks)
    results = score_files(left, detector_in(tmp_path), 7, workers)
    next(results)
    results.close()
    assert len(list(left)) >= len(tracks) - 4
    again = score_files(tracks[:2], detector_in(tmp_path), 7, workers)
    assert len(list(again)) == 2


def collect(results: Iterator[tuple[int, TrackResult]], places: list[int]) -> None:
    for place, _ in results:
        places.append(place)


def test_cancelling(tracks: list[Path], tmp_path: Path, workers: LocalWorkers) -> None:
    """A cancelled run keeps what it yielded before and then says so."""
    found: list[int] = []
    results = score_files(
        tracks, detector_in(tmp_path), 7, workers, is_cancelled=lambda: len(found) >= 3
    )
    with pytest.raises(Cancelled):
        collect(results, found)
    assert len(tracks) > len(found) >= 3


def test_broken_model_stops_before_the_first_file(
    tmp_path: Path, workers: LocalWorkers
) -> None:
    """A broken model is found before a path is taken."""
    detector = detector_in(tmp_path)
    (tmp_path / "model" / "model.onnx").write_bytes(b"broken")
    paths = iter([tmp_path / "a.wav"])
    with pytest.raises(ModelError):
        next(score_files(paths, detector, 7, workers))
    assert list(paths) == [tmp_path / "a.wav"]


def test_model_error_on_the_way(
    tracks: list[Path], tmp_path: Path, workers: LocalWorkers
) -> None:
    """A model that breaks on a file stops the run."""
    with pytest.raises(ModelError):
        list(score_files(tracks, detector_in(tmp_path, "out_of_range"), 7, workers))


def test_missing_provider(
    tracks: list[Path],
    tmp_path: Path,
    workers: LocalWorkers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A provider that is not there costs one line of the log; the scores are the CPU's."""
    model = load_model(write_model(tmp_path / "model"))
    detector = Detector(model, ("NoSuchProvider", CPU))
    with caplog.at_level(logging.WARNING):
        found = dict(score_files(tracks[:3], detector, 7, workers))
    assert caplog.messages == [
        "providers: NoSuchProvider cannot be used here; the CPU does their work"
    ]
    expected = dict(score_files(tracks[:3], Detector(model), 7, workers))
    assert expected == found
    assert len(caplog.messages) == 1


def test_a_file_that_asks_for_absurd_memory(tmp_path: Path, workers: LocalWorkers) -> None:
    """It is unreadable, and says why; the machine is not taken to be short of memory."""
    detector = detector_in(tmp_path)
    good = encode(tmp_path / "good.wav", music(2.0), 44_100)
    found = dict(score_files([ABSURD, good], detector, 7, workers))
    assert found[1].outcome is Outcome.SCORED
    assert found[0].reason == "unreadable: asks for more memory than any audio takes"
