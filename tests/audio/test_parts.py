"""Files made of parts: joined MP3, ADTS and lossless files, chained Ogg, of other rates too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.audio.parts import parts_of
from beetsplug.artifactnet.audio.pyav import PyavSource
from beetsplug.artifactnet.audio.source import Joined
from beetsplug.artifactnet.errors import AudioError
from tests.support.audio_files import encode, music, suffix
from tests.support.odd_audio import join, write_with_ffmpeg, write_with_sndfile


def part(folder: Path, container: str, level: float, rate: int, n_channels: int) -> Path:
    """Write three seconds of music at a level that tells them from others."""
    path = folder / f"{container}-{level}-{rate}-{n_channels}{suffix(container)}"
    return encode(path, np.float32(level) * music(3.0, rate, n_channels), rate, container)


def levels_of_seconds(path: Path, seconds: list[int]) -> list[float]:
    """Return the level of some seconds, each read as a span of its own."""
    with open_audio(path) as reader:
        spans = list(reader.spans([second * 16_000 for second in seconds], 16_000, 16_000))
    return [float(span.std()) for span in spans]


PLAN = [(1.0, 44_100, 2), (0.25, 22_050, 1), (0.5, 48_000, 2)]
"""Level, rate and channels of three parts."""


@pytest.mark.parametrize("container", ["mp3", "mp3_cbr_no_xing", "aac", "ogg"])
def test_parts_of_other_rates_and_channels(container: str, tmp_path: Path) -> None:
    """Each part is decoded, at the rate of the first, and stands where it must."""
    parts = [part(tmp_path, container, *plan) for plan in PLAN]
    path = join(tmp_path / f"joined{suffix(container)}", parts)
    with open_audio(path) as reader:
        assert reader.sample_rate == 44_100
        assert pytest.approx(9.0, abs=0.3) == reader.duration_s
    wanted = [levels_of_seconds(one, [1])[0] for one in parts]
    found = levels_of_seconds(path, [1, 4, 7])
    np.testing.assert_allclose(found, wanted, rtol=0.12)


@pytest.mark.parametrize("container", ["ogg", "opus", "mp3", "mp3_cbr_no_xing"])
def test_the_same_file_four_times(container: str, tmp_path: Path) -> None:
    """Parts that nothing tells apart, of one serial number and one tag, all count."""
    rate = 48_000
    one = part(tmp_path, container, 1.0, rate, 2)
    path = join(tmp_path / f"joined{suffix(container)}", [one] * 4)
    expected = read_waveform(one, rate).samples
    found = read_waveform(path, rate).samples
    assert pytest.approx(4 * len(expected), rel=0.02) == len(found)
    # A joint costs an MP3 the encoder's delay; the music goes on behind it.
    assert min(float(second.std()) for second in np.split(found[: 11 * rate], 11)) > 0.03


@pytest.mark.parametrize("container", ["ogg", "opus"])
def test_links_are_exact(container: str, tmp_path: Path) -> None:
    """A span over a joint holds the end of one link and the start of the next."""
    rate = 48_000
    parts = [part(tmp_path, container, level, rate, 2) for level in (1.0, 0.5)]
    path = join(tmp_path / "chain.ogg", parts)
    sources = [PyavSource(one) for one in parts]
    wholes = [next(source.ranges([(0, source.n_frames)])) for source in sources]
    assert [len(whole) for whole in wholes] == [3 * rate, 3 * rate]
    starts = [0, rate, 3 * rate - 10_000, 3 * rate + 5_000, 5 * rate]
    with open_audio(path) as reader:
        spans = list(reader.spans(starts, rate, rate))
    whole = np.concatenate(wholes)
    for start, span in zip(starts, spans, strict=True):
        np.testing.assert_array_equal(span, whole[start : start + rate])


def test_chained_flac_in_ogg(tmp_path: Path) -> None:
    """FLAC in Ogg chains too, bit for bit."""
    parts = []
    for number, n_channels in enumerate((2, 1)):
        one = tmp_path / f"{number}.oga"
        samples = music(2.0, 48_000, n_channels, seed=number)
        parts.append(write_with_ffmpeg(one, samples, 48_000, "ogg", "flac", "s16"))
    wholes = [read_waveform(one, 48_000).samples for one in parts]
    found = read_waveform(join(tmp_path / "chain.oga", parts), 48_000).samples
    np.testing.assert_array_equal(np.concatenate(wholes), found)


def test_links_of_a_file(tmp_path: Path) -> None:
    """Links are found by their first pages; what is no Ogg has none."""
    parts = [part(tmp_path, "ogg", level, 44_100, 2) for level in (1.0, 0.5, 0.25)]
    path = join(tmp_path / "chain.ogg", parts)
    ends = np.cumsum([one.stat().st_size for one in parts]).tolist()
    assert parts_of(path) == list(zip([0, *ends], ends, strict=False))
    assert len(parts_of(parts[0])) == 1
    assert parts_of(part(tmp_path, "mp3", 1.0, 44_100, 2)) == []


LOSSLESS = {"flac": ("flac", "s16"), "tta": ("tta", "s16"), "wv": ("wavpack", "s16p")}
"""FFmpeg's container -> its encoder and sample format."""


@pytest.mark.parametrize("form", LOSSLESS)
@pytest.mark.parametrize("seconds", [(3, 2), (2, 3, 2), (2, 2)])
def test_joined_lossless_files(form: str, seconds: tuple[int, ...], tmp_path: Path) -> None:
    """FLAC, TTA and WavPack files laid end to end are decoded to the last bit of the last."""
    parts = [
        write_with_ffmpeg(
            tmp_path / f"{number}",
            music(length, 48_000, 1 + number % 2, seed=number),
            48_000,
            form,
            *LOSSLESS[form],
        )
        for number, length in enumerate(seconds)
    ]
    wholes = [read_waveform(one, 48_000).samples for one in parts]
    assert [len(whole) for whole in wholes] == [48_000 * length for length in seconds]
    found = read_waveform(join(tmp_path / "joined", parts), 48_000).samples
    np.testing.assert_array_equal(np.concatenate(wholes), found)


@pytest.mark.parametrize("major", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "VOC"])
def test_joined_samples(major: str, tmp_path: Path) -> None:
    """Files of bare samples whose headers tell one part's length are decoded with all parts."""
    parts = []
    for level in LEVELS:
        samples = np.float32(level) * music(2.0, seed=7)
        one = tmp_path / f"{level}"
        parts += [write_with_sndfile(one, samples, 44_100, major, "PCM_16")]
    wholes = [read_waveform(one, 44_100).samples for one in parts]
    found = read_waveform(join(tmp_path / "joined", parts), 44_100).samples
    np.testing.assert_array_equal(np.concatenate(wholes), found)


@pytest.mark.parametrize("major", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF"])
def test_joined_samples_of_odd_bytes(major: str, tmp_path: Path) -> None:
    """Odd numbers of bytes are padded by some programs, and the size leaves the padding out."""
    samples = np.float32(0.5) * music(2.0)[:, :1][: 2 * 44_100 - 1]
    one = write_with_sndfile(tmp_path / "one", samples, 44_100, major, "PCM_24")
    whole = read_waveform(one, 44_100).samples
    found = read_waveform(join(tmp_path / "joined", [one] * 3), 44_100).samples
    np.testing.assert_array_equal(np.tile(whole, 3), found)


@pytest.mark.parametrize("container", ["wma", "m4a", "mka"])
def test_joined_containers(container: str, tmp_path: Path) -> None:
    """Containers of one header a part are decoded with all parts, each at its place."""
    parts = [part(tmp_path, container, level, 44_100, 2) for level in LEVELS]
    assert_all_parts(join(tmp_path / "joined", parts), parts)


LEVELS = (1.0, 0.25, 0.5)
OTHERS = {
    "rm": ("ac3", 48_000, 2),
    "webm": ("libopus", 48_000, 2),
    "mmf": ("adpcm_yamaha", 44_100, 1),
}
"""FFmpeg's container -> its encoder, rate and channels."""


@pytest.mark.parametrize("form", OTHERS)
def test_other_joined_containers(form: str, tmp_path: Path) -> None:
    """So are RealMedia, WebM and SMAF."""
    codec, rate, n_channels = OTHERS[form]
    parts = []
    for level in LEVELS:
        samples = np.float32(level) * music(3.0, rate, n_channels)
        parts += [write_with_ffmpeg(tmp_path / f"{level}", samples, rate, form, codec)]
    assert_all_parts(join(tmp_path / "joined", parts), parts)


def assert_all_parts(path: Path, parts: list[Path]) -> None:
    assert len(parts_of(path)) == len(parts)
    with open_audio(path) as reader:
        assert pytest.approx(9.0, abs=0.4) == reader.duration_s
    wanted = [levels_of_seconds(one, [1])[0] for one in parts]
    np.testing.assert_allclose(levels_of_seconds(path, [1, 4, 7]), wanted, rtol=0.12)


@pytest.mark.parametrize("container", ["wav", "aiff", "m4a", "alac_faststart", "mka", "wma"])
def test_one_part(container: str, tmp_path: Path) -> None:
    """A file that was not joined has one part, whatever bytes follow its audio."""
    path = part(tmp_path, container, 1.0, 44_100, 2)
    n_parts = len(parts_of(path))
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert n_parts == len(parts_of(path)) == 1


@pytest.mark.parametrize("container", ["ogg", "flac", "mp3"])
def test_a_tag_in_front(container: str, tmp_path: Path) -> None:
    """Some taggers write ID3v2 whatever the file is: it is no part, and changes no sample."""
    path = part(tmp_path, container, 1.0, 44_100, 2)
    whole = read_waveform(path, 44_100).samples
    path.write_bytes(b"ID3\4\0\0\0\0\1\0" + bytes(128) + path.read_bytes())
    np.testing.assert_allclose(read_waveform(path, 44_100).samples, whole, atol=2e-4)


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_joined_file_that_lost_its_end(form: str, tmp_path: Path) -> None:
    """Half of the last part is missing: the file is refused."""
    one = write_with_ffmpeg(tmp_path / "a", music(4.0), 44_100, form, *LOSSLESS[form])
    data = one.read_bytes()
    path = tmp_path / "joined"
    path.write_bytes(data + data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"truncated|reading stopped"):
        read_waveform(path, 44_100)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.slow
def test_one_flac_is_read_in_part(subtype: str, n_channels: int, tmp_path: Path) -> None:
    """That a FLAC file has one part is told without a search, whatever stands around it."""
    samples = music(20.0, 44_100, n_channels)
    one = write_with_sndfile(tmp_path / "a", samples, 44_100, "FLAC", subtype)
    behind = tmp_path / "b"
    behind.write_bytes(one.read_bytes() + b"TAG" + bytes(125))
    for path in (one, behind):
        assert parts_of(path) == []
        with open_audio(path) as reader:
            assert reader.decoder == "libsndfile"
    double = join(tmp_path / "c", [one, one])
    n_bytes = one.stat().st_size
    assert parts_of(double) == [(0, n_bytes), (n_bytes, 2 * n_bytes)]


def test_ranges_over_parts(tmp_path: Path) -> None:
    """Overlapping ranges over a chain are those of the links laid end to end."""
    parts = [part(tmp_path, "ogg", level, 44_100, 2) for level in (1.0, 0.5)]
    sources = [PyavSource(one) for one in parts]
    whole = np.concatenate([next(source.ranges([(0, source.n_frames)])) for source in sources])
    joined = Joined(sources)
    ranges = [(start, start + 20_000) for start in range(0, joined.n_frames - 20_000, 9_000)]
    for (start, stop), samples in zip(ranges, joined.ranges(ranges), strict=True):
        np.testing.assert_array_equal(whole[start:stop], samples)
