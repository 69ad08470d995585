"""Where segments start, and how they are cut out of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.audio import AudioReader, open_audio
from beetsplug.artifactnet.errors import AudioError, TooShortError
from beetsplug.artifactnet.segments import (
    SegmentBatch,
    SegmentCount,
    cut_segments,
    segment_starts,
)
from tests.audio_files import encode, music

SAMPLE_RATE = 8_000
SEGMENT_SAMPLES = 4 * SAMPLE_RATE
MOST_SEGMENTS = 16

lengths = st.integers(1, 10_000_000)
segment_lengths = st.integers(1, 400_000)
counts = st.one_of(st.integers(1, 40), st.just("all"))


def cut(reader: AudioReader, count: SegmentCount) -> list[SegmentBatch]:
    return list(
        cut_segments(
            reader, sample_rate=SAMPLE_RATE, segment_samples=SEGMENT_SAMPLES, count=count
        )
    )


def write_track(path: Path, n_samples: int) -> Path:
    """Write a track of exactly ``n_samples`` at the model's own rate."""
    samples = music(n_samples / SAMPLE_RATE, SAMPLE_RATE, 1)
    assert n_samples == len(samples)
    return encode(path, samples, SAMPLE_RATE, "wav_float")


@given(lengths, segment_lengths, counts)
def test_segments_lie_in_the_track(n_samples: int, length: int, count: SegmentCount) -> None:
    """Segments are in time order, start at 0 or later and end within a long enough track."""
    starts = segment_starts(n_samples, length, count)
    assert sorted(starts) == starts
    assert min(starts) >= 0
    assert max(starts) + length <= max(n_samples, length)


@given(lengths, segment_lengths, st.integers(2, 40))
def test_evenly_spaced(n_samples: int, length: int, count: int) -> None:
    """A count of two or more places segments as ArtifactBench does, by ``linspace``."""
    if n_samples > length:
        expected = np.linspace(0, n_samples - length, count).astype(int).tolist()
    else:
        expected = [0]
    assert expected == segment_starts(n_samples, length, count)


@given(lengths, segment_lengths)
def test_one_segment_is_the_middle(n_samples: int, length: int) -> None:
    """A single segment has as much of the track before it as behind it."""
    (start,) = segment_starts(n_samples, length, 1)
    behind = n_samples - length - start
    assert n_samples <= length or 0 <= behind - start <= 1


@given(lengths, st.integers(1_000, 400_000))
def test_all_covers_every_sample(n_samples: int, length: int) -> None:
    """End to end, segments leave no gap, and only the last one overlaps another."""
    starts = segment_starts(n_samples, length, "all")
    steps = np.diff(starts)
    assert starts[0] == 0
    assert starts[-1] + length >= n_samples
    assert (steps[:-1] == length).all()
    assert ((steps > 0) & (steps <= length)).all()
    assert len(starts) == max(1, -(-n_samples // length))


@pytest.mark.parametrize(
    ("extra", "expected"),
    [(-1, [0]), (0, [0]), (1, [0, 1]), (99, [0, 99]), (100, [0, 100]), (101, [0, 100, 101])],
)
def test_all_around_a_boundary(extra: int, expected: list[int]) -> None:
    """One sample beyond a whole number of segments is one more segment."""
    assert expected == segment_starts(100 + extra, 100, "all")


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("count", [1, 7, "all"])
def test_cut_around_a_boundary(extra: int, count: SegmentCount, tmp_path: Path) -> None:
    """One sample either side of a segment's length, segments hold the track's samples."""
    path = write_track(tmp_path / "a.wav", SEGMENT_SAMPLES + extra)
    with open_audio(path) as reader:
        (batch,) = cut(reader, count)
    track = music((SEGMENT_SAMPLES + extra) / SAMPLE_RATE, SAMPLE_RATE, 1)[:, 0]
    padded = np.pad(track, (0, SEGMENT_SAMPLES))
    starts = segment_starts(len(track), SEGMENT_SAMPLES, count)
    expected = np.stack([padded[start : start + SEGMENT_SAMPLES] for start in starts])
    np.testing.assert_array_equal(expected, batch.samples)
    np.testing.assert_array_equal(np.array(starts) / SAMPLE_RATE, batch.starts_s)


def test_short_track_is_padded(tmp_path: Path) -> None:
    """A track shorter than a segment is one segment, zeros behind it."""
    path = write_track(tmp_path / "a.wav", 2 * SAMPLE_RATE)
    with open_audio(path) as reader:
        (batch,) = cut(reader, 7)
    assert batch.samples.shape == (1, SEGMENT_SAMPLES)
    assert batch.samples[0, : 2 * SAMPLE_RATE].any()
    assert not batch.samples[0, 2 * SAMPLE_RATE :].any()


def test_shortest_track(tmp_path: Path) -> None:
    """A track of exactly one second is cut, and one sample less is too short."""
    with open_audio(write_track(tmp_path / "long.wav", SAMPLE_RATE)) as reader:
        assert len(cut(reader, 7)) == 1
    with (
        open_audio(write_track(tmp_path / "short.wav", SAMPLE_RATE - 1)) as reader,
        pytest.raises(TooShortError, match="at least 1 s are needed"),
    ):
        cut(reader, 7)


@pytest.mark.parametrize("n_segments", [15, 16, 17, 40])
def test_batches_are_bounded(n_segments: int, tmp_path: Path) -> None:
    """No batch holds more than 16 segments, and together they hold all of the track."""
    path = write_track(tmp_path / "a.wav", n_segments * SEGMENT_SAMPLES)
    with open_audio(path) as reader:
        batches = cut(reader, "all")
    sizes = [len(batch.samples) for batch in batches]
    assert sum(sizes) == n_segments
    assert max(sizes) <= MOST_SEGMENTS
    assert all(size == MOST_SEGMENTS for size in sizes[:-1])
    track = music(4.0 * n_segments, SAMPLE_RATE, 1)[:, 0]
    joined = np.concatenate([batch.samples.reshape(-1) for batch in batches])
    np.testing.assert_array_equal(track, joined)


def test_long_track_is_cut_on_the_way(tmp_path: Path) -> None:
    """A batch comes before the samples behind it are looked at."""
    samples = music(4.0 * 40, SAMPLE_RATE, 1)
    samples[20 * SEGMENT_SAMPLES] = np.nan
    path = encode(tmp_path / "a.wav", samples, SAMPLE_RATE, "wav_float")
    with open_audio(path) as reader:
        batches = cut_segments(
            reader, sample_rate=SAMPLE_RATE, segment_samples=SEGMENT_SAMPLES, count="all"
        )
        assert len(next(batches).samples) == MOST_SEGMENTS
        with pytest.raises(AudioError, match="NaN"):
            next(batches)


def batch_of(peak: float) -> SegmentBatch:
    samples = np.zeros((2, 100), np.float32)
    samples[1, 50] = peak
    return SegmentBatch(samples, np.array([0.0, 4.0]))


@pytest.mark.parametrize(
    ("peak", "is_silent"),
    [(0.0, True), (3e-5, True), (-9.9e-5, True), (1.1e-4, False), (-1.1e-4, False)],
)
def test_silence(peak: float, is_silent: bool) -> None:
    """A batch is silent where no sample of any segment reaches -80 dBFS."""
    assert is_silent == batch_of(peak).is_silent
