"""MP4 files are read by their own table: only where spans lie, and exactly there."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from beetsplug.artifactnet.audio import open_audio, read_waveform
from tests.support.audio_files import Samples, encode, music, suffix

RATE = 44_100
DURATION_S = 24.0
IO = Path("/proc/self/io")


@pytest.fixture(scope="module")
def samples() -> Samples:
    return music(DURATION_S, RATE)


def write_aac(path: Path, samples: Samples, starts_at: int = 0, **options: str) -> Path:
    """Write AAC in MP4 with time stamps from a sample on; ``aac_pns``: noise is left out."""
    with av.open(path, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=RATE, options=options)
        assert isinstance(stream, AudioStream)
        for start in range(0, len(samples), 1 << 14):
            block = np.ascontiguousarray(samples[start : start + (1 << 14)]).reshape(1, -1)
            frame = AudioFrame.from_ndarray(block, "flt", "stereo")
            frame.sample_rate, frame.pts = RATE, starts_at + start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def spans_of(path: Path, starts: list[int], n_samples: int = RATE) -> list[Samples]:
    with open_audio(path) as reader:
        return list(reader.spans(starts, n_samples, RATE))


def some_starts(path: Path, n_samples: int = RATE) -> list[int]:
    with open_audio(path) as reader:
        last = reader.n_samples(RATE) - n_samples
    inner = np.random.default_rng(0).integers(0, last, 6).tolist()
    return sorted([0, 1, 1_023, 4_095, 4_096, 4_097, last - 1, last, *inner])


def bytes_read() -> int:
    """Return how many bytes this process has read."""
    return int(IO.read_text(encoding="ascii").split()[1])


@pytest.mark.parametrize("container", ["m4a", "m4a_faststart", "alac", "mp4_video"])
def test_spans_are_those_of_a_whole_decode(
    container: str, samples: Samples, tmp_path: Path
) -> None:
    """To the last bit, wherever they lie."""
    path = encode(tmp_path / f"a{suffix(container)}", samples, RATE, container)
    whole = read_waveform(path, RATE).samples
    starts = some_starts(path)
    for start, span in zip(starts, spans_of(path, starts), strict=True):
        np.testing.assert_array_equal(span, whole[start : start + RATE])


@pytest.mark.skipif(not IO.exists(), reason="needs Linux to count bytes")
@pytest.mark.parametrize("n_cut", [1, 5, 17, 22, 40])
def test_a_length_that_the_table_rounds(n_cut: int, samples: Samples, tmp_path: Path) -> None:
    """It is told in milliseconds; the packets tell the rest, and spans are found as fast."""
    path = encode(tmp_path / "a.m4a", samples[:-n_cut], RATE, "m4a")
    whole = read_waveform(path, RATE).samples
    before = bytes_read()
    (span,) = spans_of(path, [len(whole) - 2 * RATE])
    assert bytes_read() - before < 0.4 * path.stat().st_size
    np.testing.assert_array_equal(span, whole[-2 * RATE : -RATE])
    assert abs(len(whole) - (len(samples) - n_cut)) < 1_024


@pytest.mark.skipif(not IO.exists(), reason="needs Linux to count bytes")
def test_only_the_spans_are_read(samples: Samples, tmp_path: Path) -> None:
    """Three seconds of 24 cost less than half of the file."""
    path = encode(tmp_path / "a.m4a", samples, RATE)
    spans_of(path, [0])  # it imports what decodes

    before = bytes_read()
    spans_of(path, [0, 10 * RATE, 20 * RATE])
    assert bytes_read() - before < path.stat().st_size / 2


def test_noise_is_as_loud(samples: Samples, tmp_path: Path) -> None:
    """What the encoder left out as noise is other noise after a seek, at the same level."""
    path = write_aac(tmp_path / "a.m4a", samples, aac_pns="1")
    whole = read_waveform(path, RATE).samples
    starts = [5 * RATE + 77, 12 * RATE]
    for start, span in zip(starts, spans_of(path, starts), strict=True):
        expected = whole[start : start + RATE]
        assert np.corrcoef(expected, span)[0, 1] > 0.99
        assert np.std(span) == pytest.approx(np.std(expected), rel=0.01)


def test_damage_within_a_span(samples: Samples, tmp_path: Path) -> None:
    """A file with a scratch plays on, as when it is decoded from its start."""
    path = encode(tmp_path / "a.m4a", samples, RATE)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 2_000] = bytes(2_000)
    path.write_bytes(data)
    whole = read_waveform(path, RATE).samples
    starts = [2 * RATE, 12 * RATE - RATE // 2, 20 * RATE]
    for start, span in zip(starts, spans_of(path, starts), strict=True):
        np.testing.assert_array_equal(span, whole[start : start + RATE])


def test_a_track_that_starts_late(samples: Samples, tmp_path: Path) -> None:
    """Where the first packet is not at zero the file is decoded from its start."""
    path = write_aac(tmp_path / "late.m4a", samples, starts_at=2 * RATE, aac_pns="0")
    whole = read_waveform(path, RATE).samples
    starts = some_starts(path)
    for start, span in zip(starts, spans_of(path, starts), strict=True):
        np.testing.assert_array_equal(span, whole[start : start + RATE])
