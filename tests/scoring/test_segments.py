"""Where segments start, and how they are cut out of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import AudioReader, open_audio
from beetsplug.artifactnet.errors import AudioError, TooShortError
from beetsplug.artifactnet.models.card import Call, Crop, ModelCard, ModelInput, Padding
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.scoring.segments import (
    SegmentBatch,
    SegmentCount,
    cut_segments,
    segment_starts,
)
from tests.support.audio_files import encode, music

SAMPLE_RATE = 8_000
SEGMENT_SAMPLES = 4 * SAMPLE_RATE
MOST_SEGMENTS = 16

lengths = st.integers(1, 10_000_000)
segment_lengths = st.integers(1, 400_000)
counts = st.one_of(st.integers(1, 40), st.just("all"))


CARD = ModelCard(
    model_id="any",
    version="1",
    licence="MIT",
    files={},
    inputs=(ModelInput("audio", SAMPLE_RATE, SEGMENT_SAMPLES),),
    output_name="score",
    output_kind="probability",
    thresholds=Thresholds(ai=0.5, unsure=0.3),
)


def cut(reader: AudioReader, count: SegmentCount, card: ModelCard = CARD) -> list[SegmentBatch]:
    return list(cut_segments(reader, card, count))


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
    np.testing.assert_array_equal(expected, batch.samples[0])
    np.testing.assert_array_equal(np.array(starts) / SAMPLE_RATE, batch.starts_s)


def test_short_track_is_padded(tmp_path: Path) -> None:
    """A track shorter than a segment is one segment, zeros behind it."""
    path = write_track(tmp_path / "a.wav", 2 * SAMPLE_RATE)
    with open_audio(path) as reader:
        (batch,) = cut(reader, 7)
    (samples,) = batch.samples
    assert samples.shape == (1, SEGMENT_SAMPLES)
    assert samples[0, : 2 * SAMPLE_RATE].any()
    assert not samples[0, 2 * SAMPLE_RATE :].any()


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
    sizes = [len(batch.samples[0]) for batch in batches]
    assert sum(sizes) == n_segments
    assert max(sizes) <= MOST_SEGMENTS
    assert all(size == MOST_SEGMENTS for size in sizes[:-1])
    track = music(4.0 * n_segments, SAMPLE_RATE, 1)[:, 0]
    joined = np.concatenate([batch.samples[0].reshape(-1) for batch in batches])
    np.testing.assert_array_equal(track, joined)


def test_long_track_is_cut_on_the_way(tmp_path: Path) -> None:
    """A batch comes before the samples behind it are looked at."""
    samples = music(4.0 * 40, SAMPLE_RATE, 1)
    samples[20 * SEGMENT_SAMPLES] = np.nan
    path = encode(tmp_path / "a.wav", samples, SAMPLE_RATE, "wav_float")
    with open_audio(path) as reader:
        batches = cut_segments(reader, CARD, "all")
        assert len(next(batches).samples[0]) == MOST_SEGMENTS
        with pytest.raises(AudioError, match="NaN"):
            next(batches)


def batch_of(peak: float) -> SegmentBatch:
    samples = np.zeros((2, 100), np.float32)
    samples[1, 50] = peak
    return SegmentBatch((samples,), np.array([0.0, 4.0]))


@pytest.mark.parametrize(
    ("peak", "is_silent"),
    [(0.0, True), (3e-5, True), (-9.9e-5, True), (1.1e-4, False), (-1.1e-4, False)],
)
def test_silence(peak: float, is_silent: bool) -> None:
    """A batch is silent where no sample of any segment reaches -80 dBFS."""
    assert is_silent == batch_of(peak).is_silent


def test_silence_of_several_inputs() -> None:
    """Sound in any of the inputs is sound."""
    quiet, loud = batch_of(0.0).samples[0], batch_of(0.5).samples[0]
    assert SegmentBatch((quiet, quiet), np.array([0.0, 4.0])).is_silent
    assert not SegmentBatch((quiet, loud), np.array([0.0, 4.0])).is_silent


crops = st.sampled_from(["even", "centre", "start"])
limits = st.integers(1, 40)


@given(lengths, segment_lengths, counts, crops, limits)
def test_segments_within_a_limit(
    n_samples: int, length: int, count: SegmentCount, crop: Crop, limit: int
) -> None:
    """With any crop: ascending, in bounds, at least one segment and at most the limit."""
    starts = segment_starts(n_samples, length, count, crop, limit)
    assert sorted(starts) == starts
    assert 1 <= len(starts) <= limit
    assert min(starts) >= 0
    assert max(starts) + length <= max(n_samples, length)
    assert starts == [0] or n_samples > length


@given(lengths, segment_lengths, counts, st.sampled_from(["centre", "start"]), limits)
def test_end_to_end(
    n_samples: int, length: int, count: SegmentCount, crop: Crop, limit: int
) -> None:
    """Centre and start lay as many whole segments end to end as there is room for."""
    starts = segment_starts(n_samples, length, count, crop, limit)
    assert set(np.diff(starts)) <= {length}
    assert len(starts) == max(1, min(limit, n_samples // length))
    if crop == "start":
        assert starts[0] == 0


@given(lengths, segment_lengths, limits)
def test_centre(n_samples: int, length: int, limit: int) -> None:
    """As much of the track lies before the segments as behind them, to a sample."""
    starts = segment_starts(n_samples, length, 7, "centre", limit)
    behind = n_samples - (starts[-1] + length)
    assert n_samples <= length or 0 <= behind - starts[0] <= 1


@given(lengths, segment_lengths, counts, limits)
def test_even_with_a_limit(
    n_samples: int, length: int, count: SegmentCount, limit: int
) -> None:
    """A limit that is not reached changes nothing; one that is spaces its segments evenly."""
    free = segment_starts(n_samples, length, count)
    limited = segment_starts(n_samples, length, count, "even", limit)
    if len(free) <= limit:
        assert limited == free
    else:
        assert limited == segment_starts(n_samples, length, limit)


def whole_track(n_samples: int) -> NDArray[np.float32]:
    return music(n_samples / SAMPLE_RATE, SAMPLE_RATE, 1)[:, 0]


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("crop", ["even", "centre", "start"])
@pytest.mark.parametrize("limit", [1, 3, 20])
def test_cut_where_the_card_says(crop: Crop, limit: int, at_once: bool, tmp_path: Path) -> None:
    """The samples of a batch are the track's, at the places of the card's crop."""
    n_samples = 20 * SEGMENT_SAMPLES + 777
    path = write_track(tmp_path / "a.wav", n_samples)
    call: Call = "song" if at_once else "segment"
    card = replace(CARD, crop=crop, max_segments=limit, call=call)
    with open_audio(path) as reader:
        batches = cut(reader, 18, card)
    starts = segment_starts(n_samples, SEGMENT_SAMPLES, 18, crop, limit)
    assert len(batches) == (1 if at_once or len(starts) <= MOST_SEGMENTS else 2)
    track = whole_track(n_samples)
    expected = [track[start : start + SEGMENT_SAMPLES] for start in starts]
    found = np.concatenate([batch.samples[0] for batch in batches])
    np.testing.assert_array_equal(np.stack(expected), found)
    found_s = np.concatenate([batch.starts_s for batch in batches])
    np.testing.assert_array_equal(np.array(starts) / SAMPLE_RATE, found_s)


@pytest.mark.parametrize(("missing", "n_segments"), [(0, 3), (0.009, 3), (0.02, 2)])
def test_a_rounded_length_costs_no_segment(
    missing: float, n_segments: int, tmp_path: Path
) -> None:
    """A song model gets as many whole segments as there would be a few milliseconds later."""
    n_samples = round((3 - missing) * SEGMENT_SAMPLES)
    path = write_track(tmp_path / "a.wav", n_samples)
    with open_audio(path) as reader:
        (batch,) = cut(reader, 7, replace(CARD, call="song"))
    last = n_samples - SEGMENT_SAMPLES
    starts = np.linspace(0, last, n_segments).astype(int) / SAMPLE_RATE
    np.testing.assert_array_equal(starts, batch.starts_s)


@pytest.mark.parametrize("minimum_s", [0.25, 3.0, 10.0])
def test_minimum_of_the_card(minimum_s: float, tmp_path: Path) -> None:
    """The card says how short a track may be, longer than a segment or shorter."""
    card = replace(CARD, minimum_s=minimum_s)
    n_samples = int(minimum_s * SAMPLE_RATE)
    with open_audio(write_track(tmp_path / "long.wav", n_samples)) as reader:
        assert len(cut(reader, 1, card)) == 1
    with (
        open_audio(write_track(tmp_path / "short.wav", n_samples - 1)) as reader,
        pytest.raises(TooShortError, match=f"at least {minimum_s:g} s are needed"),
    ):
        cut(reader, 1, card)


@pytest.mark.parametrize("padding", ["zero", "repeat"])
@pytest.mark.parametrize("missing", [1, 100, SEGMENT_SAMPLES // 2, SEGMENT_SAMPLES - 8_000])
def test_padding(padding: Padding, missing: int, tmp_path: Path) -> None:
    """Behind a short track's end come zeros, or the track again from its start."""
    n_samples = SEGMENT_SAMPLES - missing
    path = write_track(tmp_path / "a.wav", n_samples)
    with open_audio(path) as reader:
        (batch,) = cut(reader, 7, replace(CARD, padding=padding))
    track = whole_track(n_samples)
    again = np.tile(track, 5) if padding == "repeat" else np.pad(track, (0, SEGMENT_SAMPLES))
    np.testing.assert_array_equal(again[None, :SEGMENT_SAMPLES], batch.samples[0])


def test_no_padding_within_a_track(tmp_path: Path) -> None:
    """A track of a segment or more is never filled, whatever the padding."""
    path = write_track(tmp_path / "a.wav", SEGMENT_SAMPLES + 1)
    found = []
    for padding in get_args(Padding):
        with open_audio(path) as reader:
            found += cut(reader, "all", replace(CARD, padding=padding))
    np.testing.assert_array_equal(found[0].samples[0], found[1].samples[0])


TWO_RATES = replace(
    CARD,
    inputs=(ModelInput("fine", 24_000, 48_000), ModelInput("coarse", 16_000, 32_000)),
    crop="centre",
    max_segments=3,
)
"""Two inputs that hear the same two seconds."""


@pytest.mark.parametrize("source_rate", [24_000, 44_100])
@pytest.mark.parametrize("crop", ["even", "centre", "start"])
def test_inputs_hear_the_same_seconds(crop: Crop, source_rate: int, tmp_path: Path) -> None:
    """A click lies in the same segment at the same moment, at every rate."""
    click_s = 6.37
    track = np.zeros((round(13.7 * source_rate), 1), np.float32)
    at = round(click_s * source_rate)
    track[at : at + source_rate // 1_000] = 0.9
    path = encode(tmp_path / "a.wav", track, source_rate, "wav_float")
    card = replace(TWO_RATES, crop=crop, max_segments=6)
    with open_audio(path) as reader:
        (batch,) = cut(reader, 6, card)
    assert [heard.shape for heard in batch.samples] == [(6, 48_000), (6, 32_000)]
    found_s = []
    for heard, samples in zip(card.inputs, batch.samples, strict=True):
        segment, place = np.unravel_index(np.abs(samples).argmax(), samples.shape)
        found_s.append(batch.starts_s[segment] + place / heard.sample_rate)
    assert found_s == pytest.approx([click_s, click_s], abs=1.5e-3)


@pytest.mark.parametrize("padding", ["zero", "repeat"])
def test_short_track_for_several_inputs(padding: Padding, tmp_path: Path) -> None:
    """Each input of a short track is filled at its own rate."""
    path = encode(tmp_path / "a.wav", music(1.5, 48_000, 1), 48_000, "wav_float")
    with open_audio(path) as reader:
        (batch,) = cut(reader, 6, replace(TWO_RATES, padding=padding))
    for heard, (samples,) in zip(TWO_RATES.inputs, batch.samples, strict=True):
        n_samples = round(1.5 * heard.sample_rate)
        rest = samples[n_samples:]
        again = samples[: len(rest)] if padding == "repeat" else np.zeros(len(rest))
        np.testing.assert_array_equal(again, rest)
        assert samples[:n_samples].any()
