"""Lengths come from what is decodable, and a file that lost its end is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.errors import AudioError
from tests.support.audio_files import encode, music
from tests.support.odd_audio import (
    encode_to_pipe,
    half_of,
    join,
    with_vbri_tag,
    with_xing_flags,
    write_opus,
    write_with_ffmpeg,
    write_with_sndfile,
)

DURATION_S = 6.0


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An MP3 of variable bit rate whose first third is quiet, with a Xing tag."""
    samples = music(DURATION_S, n_channels=1)
    samples[: 2 * 44_100] *= 0.001
    path = tmp_path_factory.mktemp("mp3") / "a.mp3"
    return write_with_ffmpeg(path, samples, 44_100, "mp3", "libmp3lame").read_bytes()


def duration_s(path: Path) -> float:
    with open_audio(path) as reader:
        return reader.duration_s


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_xing_tag_that_tells_little(flags: int, mp3: bytes, tmp_path: Path) -> None:
    """Without the number of frames, or of bytes, the length is the true one."""
    path = tmp_path / "a.mp3"
    path.write_bytes(with_xing_flags(mp3, flags))
    assert pytest.approx(DURATION_S, abs=0.1) == duration_s(path)
    assert read_waveform(path, 44_100).samples[-22_050:].std() > 0.03


def test_vbri_tag(mp3: bytes, tmp_path: Path) -> None:
    """Fraunhofer's VBRI tag, which libsndfile does not read, hides no part of a song."""
    path = tmp_path / "a.mp3"
    path.write_bytes(with_vbri_tag(mp3))
    assert pytest.approx(DURATION_S, abs=0.1) == duration_s(path)
    assert read_waveform(path, 44_100).samples[-22_050:].std() > 0.03


@pytest.mark.parametrize("flags", [1, 2, 3])
def test_truncated_mp3(flags: int, mp3: bytes, tmp_path: Path) -> None:
    """An MP3 of half its bytes is refused, whether its tag tells frames or bytes."""
    path = tmp_path / "a.mp3"
    path.write_bytes(with_xing_flags(mp3, flags))
    with pytest.raises(AudioError, match="truncated"):
        duration_s(half_of(path))


def test_truncated_mp3_with_vbri_tag(mp3: bytes, tmp_path: Path) -> None:
    """A VBRI tag announces a length too."""
    path = tmp_path / "a.mp3"
    path.write_bytes(with_vbri_tag(mp3))
    with pytest.raises(AudioError, match="truncated"):
        duration_s(half_of(path))


def test_flac_of_unknown_length(tmp_path: Path) -> None:
    """A FLAC written to a pipe tells 0 samples, and is as long as its frames."""
    path = encode(tmp_path / "a.flac", music(3.0), 44_100)
    expected = read_waveform(path, 44_100).samples
    data = bytearray(path.read_bytes())
    # STREAMINFO: behind "fLaC" and a block header; 36 bits of samples 13.5 bytes into it.
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert soundfile.info(path).frames > 1 << 60
    assert duration_s(path) == 3.0
    np.testing.assert_array_equal(expected, read_waveform(path, 44_100).samples)


def test_flac_that_announces_too_much(tmp_path: Path) -> None:
    """A FLAC that tells of more samples than it has lost its end."""
    path = encode(tmp_path / "a.flac", music(3.0), 44_100)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    path.write_bytes(data)
    with pytest.raises(AudioError, match="truncated"):
        duration_s(path)


def test_packets_without_duration(tmp_path: Path) -> None:
    """Where packets do not tell how long they are, decoding them does.

    WMA Pro and Lossless are such codecs, which FFmpeg reads and does not write; WavPack
    in Matroska, of blocks half a second long, has such packets too.
    """
    path = write_with_ffmpeg(
        tmp_path / "a.mka", music(3.0, 48_000), 48_000, "matroska", "wavpack", "s16p"
    )
    assert duration_s(path) == 3.0


def test_last_packet_of_caf(tmp_path: Path) -> None:
    """ALAC in CAF is as long as its samples, not as its packets."""
    path = write_with_ffmpeg(tmp_path / "a.caf", music(3.0), 44_100, "caf", "alac", "s16p")
    assert duration_s(path) == 3.0


@pytest.mark.parametrize(
    ("major", "subtype"),
    [
        ("RF64", "PCM_16"),
        ("W64", "PCM_16"),
        ("CAF", "PCM_16"),
        ("CAF", "ALAC_16"),
        ("AU", "PCM_16"),
        ("AVR", "PCM_16"),
        ("SVX", "PCM_16"),
        ("MAT4", "PCM_16"),
        ("MAT5", "PCM_16"),
        ("WAVEX", "PCM_24"),
        ("AIFF", "PCM_24"),
        ("VOC", "PCM_16"),
        ("NIST", "PCM_16"),
        ("NIST", "ULAW"),
    ],
)
def test_truncated_by_libsndfile(major: str, subtype: str, tmp_path: Path) -> None:
    """Whatever header announces a length, half of the file is refused."""
    samples = music(3.0, n_channels=1)
    path = write_with_sndfile(tmp_path / "a", samples, 44_100, major, subtype)
    assert pytest.approx(3.0, abs=0.1) == duration_s(path)
    with pytest.raises(AudioError, match="truncated"):
        duration_s(half_of(path))


@pytest.mark.parametrize(
    ("form", "codec", "kind"),
    [
        ("matroska", "libopus", ""),
        ("matroska", "flac", "s16"),
        ("matroska", "wavpack", "s16p"),
        ("webm", "libopus", ""),
        ("w64", "pcm_s16le", ""),
        ("caf", "alac", "s16p"),
        ("flv", "libmp3lame", ""),
        ("tta", "tta", "s16"),
        ("asf", "ac3", ""),
        ("wav", "ac3", ""),
        ("avi", "pcm_s16le", ""),
        ("avi", "libmp3lame", ""),
        ("voc", "pcm_u8", ""),
        ("sox", "pcm_s32le", ""),
    ],
)
def test_truncated_by_ffmpeg(form: str, codec: str, kind: str, tmp_path: Path) -> None:
    """A container that announces a length, for all of it or a track, is held to it."""
    path = write_with_ffmpeg(tmp_path / "a", music(4.0, 48_000), 48_000, form, codec, kind)
    assert pytest.approx(4.0, abs=0.1) == duration_s(path)
    with pytest.raises(AudioError, match="truncated"):
        duration_s(half_of(path))


def test_truncated_smaf(tmp_path: Path) -> None:
    """Half of a telephone's ringing tone is refused."""
    samples = music(3.0, n_channels=1)
    path = write_with_ffmpeg(tmp_path / "a", samples, 44_100, "mmf", "adpcm_yamaha")
    assert pytest.approx(3.0, abs=0.1) == duration_s(path)
    with pytest.raises(AudioError, match="truncated"):
        duration_s(half_of(path))


def test_voc_of_many_blocks(tmp_path: Path) -> None:
    """The headers of its blocks are no samples."""
    samples = music(3.0)
    path = write_with_ffmpeg(tmp_path / "a", samples, 44_100, "voc", "pcm_s16le")
    found = read_waveform(path, 44_100).samples
    assert len(found) == len(samples)
    np.testing.assert_allclose(found, samples.mean(1), atol=1e-4)


@pytest.mark.parametrize(
    ("form", "codec"), [("avi", "libmp3lame"), ("voc", "pcm_u8"), ("sox", "pcm_s32le")]
)
def test_a_header_that_was_never_finished(form: str, codec: str, tmp_path: Path) -> None:
    """Written to a pipe, a header tells no length or an absurd one; the file is whole."""
    path = tmp_path / "a"
    encode_to_pipe(path, music(3.0), form, codec)
    assert pytest.approx(3.0, abs=0.1) == duration_s(path)


def test_packets_whose_clock_stands_still(tmp_path: Path) -> None:
    """RealAudio 1.0 has one time stamp for all packets; the length is the decoded one."""
    samples = music(4.0, 8_000, 1)
    path = write_with_ffmpeg(tmp_path / "a.rm", samples, 8_000, "rm", "real_144", "s16")
    assert pytest.approx(4.0, abs=0.1) == duration_s(path)
    assert read_waveform(path, 8_000).samples[-8_000:].std() > 0.03


def test_last_packet_of_tta_in_matroska(tmp_path: Path) -> None:
    """Its last packet is told as long as the others; the container knows better."""
    path = write_with_ffmpeg(tmp_path / "a", music(3.5), 44_100, "matroska", "tta", "s16")
    assert pytest.approx(3.5, abs=0.01) == duration_s(path)


@pytest.mark.parametrize(
    "suffix", [".au", ".snd", ".gsm", ".vox", ".g722", ".ul", ".sw", ".sln"]
)
def test_a_name_makes_no_audio(suffix: str, tmp_path: Path) -> None:
    """By these names decoders take a file for samples without a header, whatever is in."""
    path = tmp_path / f"letter{suffix}"
    path.write_bytes(b"Dear listener, this is no music.\n" * 4_000)
    with pytest.raises(AudioError, match="not audio that can be decoded"):
        duration_s(path)


def test_a_film_whose_sound_ends_early_is_whole(tmp_path: Path) -> None:
    """The length that a container tells is that of its longest track."""
    path = encode(tmp_path / "a.mp4", music(2.0), 44_100, "mp4_video")
    assert pytest.approx(2.0, abs=0.05) == duration_s(path)


@pytest.mark.parametrize("behind", [bytes(100_000), b"TAG" + bytes(125), b"APETAGEX"])
def test_tags_behind_an_mp3(behind: bytes, mp3: bytes, tmp_path: Path) -> None:
    """Padding and tags behind the last frame are no second song."""
    if behind == b"APETAGEX":
        size = (40_000).to_bytes(4, "little")
        behind = b"APETAGEX" + bytes(4) + size + bytes(16) + b"\xff\xfb" * 20_000
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3 + behind)
    with open_audio(path) as reader:
        assert reader.decoder == "libsndfile"
        assert pytest.approx(DURATION_S, abs=0.01) == reader.duration_s


def test_parts_of_opus_with_a_jump_in_time(tmp_path: Path) -> None:
    """A gap in the time stamps is told as part of the length, and is no error."""
    path = write_opus(tmp_path / "a.opus", music(4.0, 48_000), late_by=4_000)
    assert pytest.approx(4.0, abs=0.1) == duration_s(path)


def test_joined_opus_is_as_long_as_both(tmp_path: Path) -> None:
    """The length of a chain is that of its links."""
    parts = [encode(tmp_path / f"{n}.opus", music(n, 48_000), 48_000) for n in (1.0, 2.0)]
    assert duration_s(join(tmp_path / "a.opus", parts)) == 3.0
