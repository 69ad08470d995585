"""libsndfile is never the last word: FFmpeg decodes what it stops in, and from there on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.errors import AudioError, TruncatedError
from tests.support.audio_files import Samples, encode, music, suffix
from tests.support.odd_audio import write_dsf, write_opus, write_with_ffmpeg, write_with_sndfile


def some_spans(path: Path, sample_rate: int) -> tuple[list[Samples], str]:
    """Return each whole second of a file, and what decoded the last of them."""
    with open_audio(path) as reader:
        starts = list(range(0, reader.n_samples(sample_rate) - sample_rate, sample_rate))
        return list(reader.spans(starts, sample_rate, sample_rate)), reader.decoder


def assert_like(samples: Samples, found: list[Samples], at_least: float = 0.97) -> None:
    """Hold seconds to the music that was encoded, at the places where they must be."""
    length = len(found[0])
    assert len(found) >= len(samples) // length - 1
    for number, second in enumerate(found):
        expected = samples[number * length : (number + 1) * length]
        assert np.corrcoef(expected, second)[0, 1] > at_least


@pytest.mark.parametrize("overlap", [1, 312])
def test_opus_that_libsndfile_calls_malformed(overlap: int, tmp_path: Path) -> None:
    """A time stamp that steps back, as a cut leaves it, costs nothing of the track."""
    samples = music(4.0, 48_000)
    path = write_opus(tmp_path / "a.opus", samples, late_by=-overlap)
    with pytest.raises(soundfile.LibsndfileError, match="malformed"):
        soundfile.read(path)
    spans, decoder = some_spans(path, 48_000)
    assert decoder == "FFmpeg"
    assert_like(samples.mean(axis=1), spans, 0.9)


def test_opus_of_16_channels(tmp_path: Path) -> None:
    """Sixteen channels are decoded, all of them, to the end."""
    samples = np.repeat(music(4.0, 48_000, 1), 16, axis=1)
    path = write_opus(tmp_path / "a.opus", samples, "hexadecagonal")
    spans, decoder = some_spans(path, 48_000)
    assert decoder == "FFmpeg"
    assert_like(samples[:, 0], spans)


def scratched(path: Path, n_bytes: int = 3_000) -> Path:
    """Overwrite the middle of a file."""
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + n_bytes] = np.random.default_rng(0).bytes(n_bytes)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("container", ["mp3", "mp3_cbr_no_xing", "aac", "opus"])
def test_scratch(container: str, tmp_path: Path) -> None:
    """Damage in the middle costs what it hit; the decoder finds the next frame."""
    rate = 48_000
    samples = music(8.0, rate, 1)
    path = encode(tmp_path / f"a{suffix(container)}", samples, rate, container)
    whole, _ = some_spans(path, rate)
    spans, _ = some_spans(scratched(path), rate)
    assert len(spans) >= len(whole) - 1
    # Behind the damage all lies a little earlier than before.
    for before, after in zip(whole[:2], spans[:2], strict=True):
        assert np.corrcoef(before, after)[0, 1] > 0.999
    assert min(float(np.std(span)) for span in spans) > 0.6 * min(map(np.std, whole))


def test_fallback_while_spans_are_read(tmp_path: Path) -> None:
    """Spans before the damage and behind it come from two decoders, and fit together."""
    samples = music(8.0, n_channels=1)
    path = scratched(encode(tmp_path / "a.mp3", samples, 44_100))
    with open_audio(path) as reader:
        n_samples = reader.n_samples(44_100)
        starts = list(range(0, n_samples - 44_100, 22_050))
        decoders, spans = [], []
        for span in reader.spans(starts, 44_100, 44_100):
            spans.append(span)
            decoders.append(reader.decoder)
        assert pytest.approx(8.0, abs=0.3) == reader.duration_s
        again = list(reader.spans(starts[-2:], 44_100, 44_100))
    assert decoders == sorted(decoders, reverse=True)
    assert decoders[-1] == "FFmpeg"
    assert min(float(np.std(span)) for span in spans[:-1]) > 0.03
    np.testing.assert_array_equal(spans[-2:], again)


def test_damaged_to_the_end_is_refused(tmp_path: Path) -> None:
    """What no decoder finds its way through is refused, never scored by half."""
    path = encode(tmp_path / "a.flac", music(8.0), 44_100)
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + np.random.default_rng(1).bytes(len(data) - half))
    with pytest.raises(AudioError):
        read_waveform(path, 44_100)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps an open file")
def test_cut_while_it_is_open(tmp_path: Path) -> None:
    """The second decoder finds less than the first announced, and says so."""
    path = encode(tmp_path / "a.wav", music(8.0), 44_100)
    with open_audio(path) as reader:
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(TruncatedError, match=r"truncated: 4\.0 s of 8\.0 s"):
            list(reader.spans([0, 44_100 * 6], 44_100, 44_100))


@pytest.mark.parametrize("multiple", [2, 4, 8])
@pytest.mark.slow
def test_dsd_of_any_rate(multiple: int, tmp_path: Path) -> None:
    """DSD128, 256 and 512 are decoded to the music that was modulated."""
    rate = 44_100 * multiple
    samples = 0.8 * music(0.5, 44_100, 1)
    held = np.repeat(samples, multiple, axis=0)
    path = write_dsf(tmp_path / "a.dsf", held, rate)
    with open_audio(path) as reader:
        assert reader.sample_rate == 8 * rate
        assert pytest.approx(0.5, abs=0.03) == reader.duration_s
    found = read_waveform(path, 44_100).samples
    middle = samples[2_000:20_000, 0]
    lag = int(scipy.signal.correlate(found[:20_100], middle, "valid").argmax())
    assert np.corrcoef(middle, found[lag : lag + len(middle)])[0, 1] > 0.9


@pytest.mark.parametrize("rate", [4_000, 6_000, 8_000, 11_025])
def test_low_rates(rate: int, tmp_path: Path) -> None:
    """Four kilohertz are the lowest rate."""
    path = write_with_sndfile(tmp_path / "a.wav", music(2.0, rate, 1), rate, "WAV", "PCM_16")
    with open_audio(path) as reader:
        assert (reader.sample_rate, reader.duration_s) == (rate, 2.0)


def test_many_channels_of_ffmpeg(tmp_path: Path) -> None:
    """More planes than an FFmpeg frame holds in itself are read right."""
    samples = np.repeat(music(1.0, 48_000, 1), 8, axis=1)
    path = write_with_ffmpeg(tmp_path / "a.mka", samples, 48_000, "matroska", "flac", "s16")
    np.testing.assert_allclose(read_waveform(path, 48_000).samples, samples[:, 0], atol=2**-14)
