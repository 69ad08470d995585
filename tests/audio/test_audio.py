"""Decoding: every container, any span, any rate, and files that are no audio."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import av
import mediafile
import mutagen.id3
import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.audio.down_mix import Levels, Mixed, mean_of_channels
from beetsplug.artifactnet.audio.sndfile import SndfileSource
from beetsplug.artifactnet.audio.source import Block, cut_ranges
from beetsplug.artifactnet.errors import AudioError, MissingFileError, TruncatedError
from tests.support.audio_files import CONTAINERS, SAMPLE_RATES, Samples, encode, music, suffix
from tests.support.odd_audio import write_with_ffmpeg, write_with_sndfile

DURATION_S = 3.0
CODEC_DELAY_S = 0.05
"""What a lossy codec may add or lose at the ends: two or three of its frames."""
EXACT = {
    "wav",
    "wav_float",
    "aiff",
    "flac",
    "ogg",
    "opus",
    "mp3",
    "alac",
    "alac_faststart",
    "wv",
    "wv_float",
    "wv_8_bit",
    "tta",
}
"""Their length comes back to the sample, Ogg's and tagged MP3's included."""
FFMPEG_ONLY = {
    name
    for name in CONTAINERS
    if name.startswith(("m4a", "alac", "mp4", "wv")) or name in {"wma", "aac", "mka", "tta"}
} | {"mp3_cbr_no_xing", "mp3_vbr_no_xing"}
SPAN_TOLERANCE = 1e-3
"""Between a span resampled with 50 ms around it and the whole track resampled: -60 dB."""

EncodedFile = Callable[[str], Path]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> EncodedFile:
    """Three seconds of stereo music in any container, encoded once."""
    folder = tmp_path_factory.mktemp("encoded")

    def get(container: str) -> Path:
        path = folder / f"{container}{suffix(container)}"
        if not path.exists():
            sample_rate = SAMPLE_RATES.get(container, 44_100)
            encode(path, music(DURATION_S, sample_rate), sample_rate, container)
        return path

    return get


def full_decode(path: Path, container: str) -> tuple[NDArray[np.float32], int]:
    """Return a whole file as mono and its rate, by libsndfile or FFmpeg alone."""
    if container not in FFMPEG_ONLY:
        frames, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
        return frames.mean(axis=1), sample_rate
    to_float = av.AudioResampler(format="fltp")
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        blocks = [
            block.to_ndarray()
            for frame in file.decode(stream)
            for block in to_float.resample(frame)
        ]
    return np.concatenate(blocks, axis=1).mean(axis=0), int(stream.rate)


def resampled(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    return samples if from_hz == to_hz else soxr.resample(samples, from_hz, to_hz, quality="HQ")


def cut(samples: NDArray[np.float32], start: int, length: int) -> NDArray[np.float32]:
    span = samples[start : start + length]
    return np.clip(np.pad(span, (0, length - len(span))), -1, 1)


def assert_spans_match(
    path: Path, whole: NDArray[np.float32], file_rate: int, sample_rate: int
) -> None:
    """Hold spans at the start, an odd offset, the middle, the end and past it to a decode."""
    length = sample_rate // 2
    with open_audio(path) as reader:
        whole = resampled(whole[: reader.n_samples(file_rate)], file_rate, sample_rate)
        last = reader.n_samples(sample_rate) - length
        starts = [0, 12_347 * sample_rate // 44_100, last // 2, last, last + length // 2]
        starts.append(last + 3 * sample_rate)
        spans = list(reader.spans(starts, length, sample_rate))
    assert len(starts) == len(spans)
    for start, span in zip(starts, spans, strict=True):
        np.testing.assert_allclose(span, cut(whole, start, length), rtol=0, atol=SPAN_TOLERANCE)
    assert not spans[-1].any()


@pytest.mark.parametrize("container", CONTAINERS)
def test_duration(container: str, encoded: EncodedFile) -> None:
    """Every container decodes to the length that was encoded."""
    with open_audio(encoded(container)) as reader:
        sample_rate, duration_s = reader.sample_rate, reader.duration_s
    assert SAMPLE_RATES.get(container, 44_100) == sample_rate
    tolerance_s = 0 if container in EXACT else CODEC_DELAY_S
    assert pytest.approx(DURATION_S, abs=tolerance_s) == duration_s


@pytest.mark.parametrize("container", CONTAINERS)
def test_decodes_what_was_encoded(container: str, encoded: EncodedFile) -> None:
    """The decoded samples are the encoded music, down-mixed, at its level."""
    sample_rate = SAMPLE_RATES.get(container, 44_100)
    expected = music(DURATION_S, sample_rate).mean(axis=1)
    found = read_waveform(encoded(container), sample_rate).samples
    # Codecs without gapless information come out early or late by their delay.
    n_lags = round(CODEC_DELAY_S * sample_rate)
    middle = expected[sample_rate : 2 * sample_rate]
    around = found[sample_rate - n_lags : 2 * sample_rate + n_lags]
    lag = int(scipy.signal.correlate(around, middle, "valid").argmax())
    aligned = around[lag : lag + len(middle)]
    assert np.corrcoef(middle, aligned)[0, 1] > 0.98
    assert pytest.approx(middle.std(), rel=0.05) == aligned.std()


@pytest.mark.parametrize("sample_rate", [44_100, 16_000, 48_000])
@pytest.mark.parametrize("container", [name for name in CONTAINERS if name != "ogg"])
def test_spans_equal_full_decode(
    container: str, sample_rate: int, encoded: EncodedFile
) -> None:
    """A span holds the samples that a resampled decode of the whole file has there."""
    whole, file_rate = full_decode(encoded(container), container)
    assert_spans_match(encoded(container), whole, file_rate, sample_rate)


@pytest.mark.parametrize(
    ("file_rate", "sample_rate"),
    list(
        product(
            [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000],
            [44_100, 16_000, 48_000],
        )
    ),
)
def test_spans_at_any_rate(file_rate: int, sample_rate: int, tmp_path: Path) -> None:
    """Spans fall on the grid of the resampled track, whatever the two rates."""
    samples = music(2.0, file_rate, 1)
    path = encode(tmp_path / "a.wav", samples, file_rate, "wav_float")
    assert_spans_match(path, samples[:, 0], file_rate, sample_rate)


def test_overlapping_spans_of_an_mp3(tmp_path: Path) -> None:
    """Small steps back, which leave an MP3 decoder without its history, are exact too."""
    path = encode(tmp_path / "a.mp3", music(6.0), 44_100)
    whole, _ = full_decode(path, "mp3")
    starts = list(range(30_000, 200_000, 17_321))
    with open_audio(path) as reader:
        spans = list(reader.spans(starts, 22_050, 44_100))
    for start, span in zip(starts, spans, strict=True):
        np.testing.assert_allclose(span, cut(whole, start, 22_050), rtol=0, atol=1e-6)


@pytest.mark.parametrize("block_samples", [1 << 24, 50_000])
def test_long_spans_of_an_mp3_of_few_bits(block_samples: int, tmp_path: Path) -> None:
    """A frame that needs bits of many before it is decoded right, at a joint of blocks too.

    soundfile seeks after each read, and mpg123 starts garbled behind a seek.
    """
    samples = music(9.0, n_channels=1)
    samples[: 4 * 44_100 : 4_410] = 0.9
    path = tmp_path / "a.mp3"
    with soundfile.SoundFile(
        path, "w", 44_100, 1, compression_level=0.95, bitrate_mode="VARIABLE"
    ) as file:
        file.write(samples)
    whole = soundfile.read(path, dtype="float32")[0]
    source = SndfileSource(path)
    source._block_samples = block_samples
    ranges = [(start, start + 176_400) for start in (0, 30_001, 91_234, 200_000)]
    for (start, stop), found in zip(ranges, source.ranges(ranges), strict=True):
        np.testing.assert_allclose(found, whole[start:stop], rtol=0, atol=1e-6)
    source.close()


def test_spans_of_vorbis(encoded: EncodedFile) -> None:
    """A span of an Ogg Vorbis file is clean, and less than 21 ms from its place.

    libsndfile miscounts where short and long blocks meet, by multiples of 448 samples.
    """
    whole, _ = full_decode(encoded("ogg"), "ogg")
    starts = list(range(5_000, 110_000, 3_217))
    with open_audio(encoded("ogg")) as reader:
        spans = list(reader.spans(starts, 16_000, 44_100))
    displacements = range(-896, 897, 448)
    for start, span in zip(starts, spans, strict=True):
        errors = [
            abs(span - cut(whole, start + offset, 16_000)).max() for offset in displacements
        ]
        assert min(errors) < 1e-6


@settings(max_examples=40, deadline=None)
@given(
    starts=st.lists(st.integers(0, 100_000), min_size=1, max_size=6).map(sorted),
    length=st.integers(1, 20_000),
)
def test_any_spans(
    starts: list[int], length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Spans at the file's own rate are exact, overlapping, past the end or not."""
    path = tmp_path_factory.getbasetemp() / "any_spans.wav"
    samples = music(2.0, 44_100, 1, seed=3)
    if not path.exists():
        encode(path, samples, 44_100, "wav_float")
    with open_audio(path) as reader:
        spans = list(reader.spans(starts, length, 44_100))
    expected = [cut(samples[:, 0], start, length) for start in starts]
    np.testing.assert_array_equal(expected, spans)


def block_of(samples: NDArray[np.float32]) -> Block:
    return Block(len(samples), lambda: Mixed(samples, Levels()))


@settings(deadline=None)
@given(data=st.data())
def test_cut_ranges(data: st.DataObject) -> None:
    """Ranges cut out of blocks equal slices of the blocks' whole."""
    sizes = data.draw(st.lists(st.integers(0, 50), max_size=12))
    whole = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []
    starts = sorted(data.draw(st.lists(st.integers(0, 250), max_size=8)))
    ranges = [(start, start + data.draw(st.integers(0, 80))) for start in starts]
    expected = [whole[start:stop].tolist() for start, stop in ranges]
    assert expected == [
        mixed.samples.tolist() for mixed in cut_ranges(map(block_of, blocks), ranges)
    ]


def mp3_frame_sizes(path: Path) -> set[int]:
    with av.open(str(path)) as file:
        return {packet.size for packet in file.demux(audio=0) if packet.size}


@pytest.mark.parametrize("quiet_part", ["first", "last"])
def test_mp3_without_length_tag(quiet_part: str, tmp_path: Path) -> None:
    """A variable-rate MP3 without a Xing tag has its true length and its true samples.

    Frames shorter than average at the start make libsndfile's guess too long, frames
    longer than average make it too short.
    """
    samples = music(6.0)
    half = slice(0, 3 * 44_100) if quiet_part == "first" else slice(3 * 44_100, None)
    samples[half] = 0
    path = encode(tmp_path / "a.mp3", samples, 44_100, "mp3_vbr_no_xing")
    assert len(mp3_frame_sizes(path)) > 5
    guess_s = soundfile.info(path).duration
    assert guess_s > 8 if quiet_part == "first" else guess_s < 5
    with open_audio(path) as reader:
        assert pytest.approx(6.0, abs=CODEC_DELAY_S) == reader.duration_s
    assert_spans_match(path, full_decode(path, "mp3_vbr_no_xing")[0], 44_100, 44_100)


@pytest.mark.parametrize("container", ["mp3_cbr_no_xing", "wma", "aac", "m4a", "mka", "mp3"])
@pytest.mark.parametrize("duration_s", [1.0, 1.3])
def test_short_files_are_whole(container: str, duration_s: float, tmp_path: Path) -> None:
    """The codec's delay does not make a complete file of a second look truncated."""
    path = encode(tmp_path / "a.bin", music(duration_s), 44_100, container)
    waveform = read_waveform(path, 44_100)
    tolerance = round(CODEC_DELAY_S * 44_100)
    assert pytest.approx(duration_s * 44_100, abs=tolerance) == len(waveform.samples)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 6, 8])
@pytest.mark.parametrize("container", ["wav_float", "flac", "wv"])
def test_down_mix(n_channels: int, container: str, tmp_path: Path) -> None:
    """Any number of channels is down-mixed to their mean."""
    rng = np.random.default_rng(n_channels)
    samples = rng.uniform(-0.9, 0.9, (8_000, n_channels)).astype(np.float32)
    path = encode(tmp_path / "a.bin", samples, 44_100, container)
    found = read_waveform(path, 44_100).samples
    np.testing.assert_allclose(found, samples.mean(axis=1), rtol=0, atol=2**-15)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_down_mix_is_the_mean(n_channels: int, seed: int) -> None:
    """The down-mix equals NumPy's mean over channels."""
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((50, n_channels)).astype(np.float32)
    np.testing.assert_allclose(mean_of_channels(frames), frames.mean(axis=1), rtol=0, atol=1e-6)


def test_hot_samples_are_clipped(tmp_path: Path) -> None:
    """A float file above full scale comes back within [-1, 1]."""
    samples = 4 * music(1.0, n_channels=1)
    path = encode(tmp_path / "hot.wav", samples, 44_100, "wav_float")
    found = read_waveform(path, 44_100).samples
    np.testing.assert_array_equal(np.clip(samples[:, 0], -1, 1), found)
    assert abs(read_waveform(path, 16_000).samples).max() == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_not_finite(value: float, n_channels: int, tmp_path: Path) -> None:
    """One NaN or infinite sample makes a file unreadable."""
    samples = music(1.0, n_channels=n_channels)
    samples[20_000, 0] = value
    path = encode(tmp_path / "a.wav", samples, 44_100, "wav_float")
    with pytest.raises(AudioError, match="NaN or infinite"):
        read_waveform(path, 44_100)


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize(
    "container",
    [
        "wav",
        "wav_float",
        "aiff",
        "flac",
        "mp3",
        "ogg",
        "opus",
        "m4a_faststart",
        "alac_faststart",
    ],
)
def test_truncated(container: str, share: float, encoded: EncodedFile, tmp_path: Path) -> None:
    """A file that lost its end is refused as truncated."""
    data = encoded(container).read_bytes()
    path = tmp_path / f"cut{suffix(container)}"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(AudioError, match="truncated"):
        read_waveform(path, 44_100)


@pytest.mark.parametrize("container", ["m4a", "alac", "mp4_video"])
def test_truncated_index(container: str, encoded: EncodedFile, tmp_path: Path) -> None:
    """An MP4 that lost the index at its end cannot be decoded at all."""
    data = encoded(container).read_bytes()
    path = tmp_path / "cut.m4a"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match="not audio that can be decoded"):
        read_waveform(path, 44_100)


def test_truncation_tells_the_seconds(tmp_path: Path) -> None:
    """The message gives the seconds found and announced."""
    path = encode(tmp_path / "a.wav", music(4.0), 44_100)
    path.write_bytes(path.read_bytes()[: 44 + 44_100 * 4])
    with pytest.raises(TruncatedError) as caught, open_audio(path):
        pass
    assert str(caught.value) == "truncated: 1.0 s of 4.0 s"


def test_streamed_wav_is_whole(tmp_path: Path) -> None:
    """A WAV whose header holds the sizes of a stream, not of the file, is whole."""
    path = encode(tmp_path / "a.wav", music(1.0), 44_100)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(read_waveform(path, 44_100).samples) == 44_100


@pytest.mark.parametrize("container", ["flac", "m4a_faststart", "alac_faststart", "wv"])
def test_corrupt_middle(container: str, encoded: EncodedFile, tmp_path: Path) -> None:
    """A file whose second half is noise is refused, and not scored as silence."""
    data = bytearray(encoded(container).read_bytes())
    half = len(data) // 2
    data[half:] = np.random.default_rng(0).bytes(len(data) - half)
    path = tmp_path / f"corrupt{suffix(container)}"
    path.write_bytes(data)
    with pytest.raises(AudioError):
        read_waveform(path, 44_100)


def test_missing(tmp_path: Path) -> None:
    """A path without a file is missing, which is an outcome of its own."""
    with pytest.raises(MissingFileError, match="no such file"), open_audio(tmp_path / "no.wav"):
        pass


def make_fifo(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    os.mkfifo(path)


def write_text(path: Path) -> None:
    path.write_text("no audio\n" * 500)


def write_image(path: Path) -> None:
    path.write_bytes(
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + np.random.default_rng(0).bytes(4_000)
    )


def write_playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n")


def write_no_frames(path: Path) -> None:
    soundfile.write(path, np.empty((0, 2)), 44_100, format="WAV")


def write_absurd_rate(path: Path) -> None:
    soundfile.write(path, np.zeros((4_000, 1)), 1_000, format="WAV")


def write_video_alone(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        out.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.touch, "empty file"),
        (Path.mkdir, "not a regular file"),
        (make_fifo, "not a regular file"),
        (write_text, "audio"),
        (write_image, "audio"),
        (write_playlist, "audio"),
        (write_no_frames, "no audio in it"),
        (write_absurd_rate, "a sample rate of 1000 Hz"),
        (write_video_alone, "no audio in it"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.raw", "a"])
def test_not_audio(
    make: Callable[[Path], object], reason: str, name: str, tmp_path: Path
) -> None:
    """What is no audio is refused at once with its reason, whatever its name."""
    path = tmp_path / name
    make(path)
    with pytest.raises(AudioError, match=reason), open_audio(path):
        pass


@pytest.mark.parametrize("tag", [b"drms", b"enca"])
def test_encrypted(tag: bytes, encoded: EncodedFile, tmp_path: Path) -> None:
    """An MP4 whose sample entry is that of an encrypted track is refused as encrypted."""
    data = encoded("m4a").read_bytes()
    assert data.count(b"mp4a") == 1
    path = tmp_path / "bought.m4a"
    path.write_bytes(data.replace(b"mp4a", tag))
    with pytest.raises(AudioError, match="encrypted"), open_audio(path):
        pass


@pytest.mark.parametrize(
    "name",
    [
        b'it\'s "quoted"',
        b"two\nlines",
        "caf\u00e9 \U0001f3b5".encode(),
        b"latin-1 \xe9\xff",
        b"-i",
        b"http:%3f*?[a]",
        b"concat:a|b",
    ],
)
@pytest.mark.parametrize("container", ["flac", "m4a"])
def test_odd_names(name: bytes, container: str, encoded: EncodedFile, tmp_path: Path) -> None:
    """A file decodes under any name that the file system takes."""
    path = tmp_path / os.fsdecode(name + suffix(container).encode())
    try:
        path.write_bytes(encoded(container).read_bytes())
    except OSError:
        pytest.skip("the file system does not take this name")
    with open_audio(path) as reader:
        assert pytest.approx(DURATION_S, abs=CODEC_DELAY_S) == reader.duration_s


@pytest.mark.parametrize("container", ["mp3", "mp3_vbr_no_xing"])
def test_tags_and_cover(container: str, encoded: EncodedFile, tmp_path: Path) -> None:
    """ID3v2 tags and a cover before the audio change nothing that is heard."""
    plain = encoded(container)
    path = tmp_path / "tagged.mp3"
    path.write_bytes(plain.read_bytes())
    tags: Any = mutagen.id3
    cover = b"\xff\xd8\xff\xe0" + np.random.default_rng(1).bytes(100_000)
    header = tags.ID3()
    header.add(tags.TIT2(encoding=3, text="Xing and Info"))
    header.add(tags.APIC(encoding=3, mime="image/jpeg", type=3, desc="cover", data=cover))
    header.save(path)
    expected, found = (read_waveform(file, 44_100).samples for file in (plain, path))
    np.testing.assert_array_equal(expected, found)


def ogg_checksum(page: bytes) -> int:
    """Return the CRC of an Ogg page whose own field is zero (RFC 3533, section 6)."""
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            shifted = remainder << 1
            remainder = (shifted ^ 0x04C11DB7 if remainder & 1 << 31 else shifted) & 0xFFFFFFFF
    return remainder


def test_ogg_without_end_flag(encoded: EncodedFile, tmp_path: Path) -> None:
    """A missing end-of-stream flag alone does not make an Ogg Vorbis file truncated."""
    data = bytearray(encoded("ogg").read_bytes())
    start = data.rfind(b"OggS")
    assert data[start + 5] & 4
    data[start + 5] &= ~4
    data[start + 22 : start + 26] = bytes(4)
    checksum = ogg_checksum(bytes(data[start:]))
    data[start + 22 : start + 26] = checksum.to_bytes(4, "little")
    path = tmp_path / "streamed.ogg"
    path.write_bytes(data)
    with open_audio(path) as reader:
        assert pytest.approx(DURATION_S, abs=CODEC_DELAY_S) == reader.duration_s


@pytest.mark.parametrize(
    ("container", "is_fine"),
    [
        ("wav_float", True),
        *((one, False) for one in ("wav", "flac", "mp3", "opus", "m4a", "alac", "tta")),
    ],
)
def test_which_samples_are_exact(container: str, is_fine: bool, encoded: EncodedFile) -> None:
    """Those of more than 16 bits are, where no codec changes them."""
    with open_audio(encoded(container)) as reader:
        assert reader.is_fine == is_fine


@pytest.mark.parametrize(
    ("form", "codec", "kind"),
    [("ipod", "alac", "s32p"), ("matroska", "flac", "s32"), ("matroska", "pcm_s24le", "s32")],
)
def test_exact_samples_by_ffmpeg(form: str, codec: str, kind: str, tmp_path: Path) -> None:
    """So are those that FFmpeg decodes, and those that libsndfile tells as 24 bits."""
    path = write_with_ffmpeg(tmp_path / "a", music(1.0), 44_100, form, codec, kind)
    other = write_with_sndfile(tmp_path / "b.flac", music(1.0), 44_100, "FLAC", "PCM_24")
    for one in (path, other):
        with open_audio(one) as reader:
            assert reader.is_fine


def test_whole_file_is_one_span(encoded: EncodedFile) -> None:
    """A whole waveform is as long as the reader says, at any rate."""
    path = encoded("flac")
    for sample_rate in (44_100, 16_000):
        waveform = read_waveform(path, sample_rate)
        assert sample_rate == waveform.sample_rate
        assert round(DURATION_S * sample_rate) == len(waveform.samples)
        assert waveform.samples.dtype == np.float32


def test_silence_stays_silent(tmp_path: Path) -> None:
    """Digital silence decodes to zeros, resampled too."""
    silence: Samples = np.zeros((44_100, 2), np.float32)
    path = encode(tmp_path / "a.flac", silence, 44_100)
    assert not read_waveform(path, 16_000).samples.any()


def test_tags_that_are_not_utf_8_do_not_matter(tmp_path: Path) -> None:
    """An M4A whose title is Latin-1 decodes as with any other title."""
    path = encode(tmp_path / "title.m4a", music(2.0), 44_100, "m4a")
    tags = mediafile.MediaFile(path)
    tags.title = "Bjork sings"
    tags.save()
    path.write_bytes(path.read_bytes().replace(b"Bjork sings", b"Bj\xf6rk sings"))
    with open_audio(path) as reader:
        assert reader.duration_s == pytest.approx(2.0, abs=0.05)
