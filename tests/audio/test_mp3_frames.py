"""What is cut out of an MP3 decodes to the very samples that the whole file holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import mutagen.apev2
import mutagen.id3
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.audio.mp3_frames import Mp3Frames, find_frames
from beetsplug.artifactnet.audio.source import down_mix
from tests.support.audio_files import Samples, encode, music

DURATION_S = 8.0
MODES = ("CONSTANT", "VARIABLE", "AVERAGE")
RATES_HZ = (44_100, 48_000, 32_000, 22_050, 16_000)
STRONG, WEAK = 0.2, 0.7
"""Of libsndfile's compression levels: high bit rates, and low ones with long reservoirs."""
KINDS = [*product(RATES_HZ, (1, 2), MODES, (STRONG, WEAK))]

Kind = tuple[int, int, str, float]
Write = Callable[[Kind], Path]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """An MP3 of music with loud and silent parts, of any kind, encoded once."""
    folder = tmp_path_factory.mktemp("mp3")

    @cache
    def get(kind: Kind) -> Path:
        sample_rate, n_channels, mode, level = kind
        samples = music(DURATION_S, sample_rate)[:, :n_channels]
        samples[2 * sample_rate : 3 * sample_rate] = 0
        path = folder / f"{len(list(folder.iterdir()))}.mp3"
        how = {"bitrate_mode": mode, "compression_level": level}
        soundfile.write(path, samples, sample_rate, "MPEG_LAYER_III", format="MP3", **how)
        return path

    return get


def read_all(path: Path) -> Samples:
    """Decode from start to end; ``soundfile.read`` seeks first, which moves the phase."""
    with soundfile.SoundFile(path) as file:
        samples: Samples = file.read(dtype="float32", always_2d=True)
    return samples


def read_clip(frames: Mp3Frames, start: int, stop: int) -> Samples:
    clip, offset = frames.clip(start, stop)
    with soundfile.SoundFile(clip) as file:
        samples: Samples = file.read(offset + stop - start, dtype="float32", always_2d=True)
    return samples[offset:]


def found(path: Path) -> Mp3Frames:
    frames = find_frames(path)
    assert frames is not None
    return frames


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind)))
def test_any_place_to_the_bit(
    kind: Kind, write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the start, at the end and between, and the decoder has nothing to complain of."""
    frames, whole = found(write(kind)), read_all(write(kind))
    n_samples = len(whole)
    assert n_samples <= frames.n_samples < n_samples + 4 * frames.samples_per_frame
    starts = np.random.default_rng(0).integers(0, n_samples - 5_000, 12).tolist()
    for start in (0, 1, n_samples - 5_000, *starts):
        clip = read_clip(frames, start, start + 5_000)
        np.testing.assert_array_equal(clip, whole[start : start + 5_000])
    frames.file.close()
    assert capfd.readouterr().err == ""


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS[::5]), data=st.data())
def test_any_range(kind: Kind, write: Write, data: st.DataObject) -> None:
    """Whatever is asked for, of any length."""
    frames, whole = found(write(kind)), read_all(write(kind))
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    np.testing.assert_array_equal(read_clip(frames, start, stop), whole[start:stop])
    frames.file.close()


def test_place_of_every_frame(write: Write) -> None:
    """As many as the encoder's tag tells, one after another, and all the bytes in them."""
    path = write((44_100, 2, "VARIABLE", STRONG))
    frames, content = found(path), path.read_bytes()
    flags_at = frames.tag.index(b"Xing") + 4
    n_frames = int.from_bytes(frames.tag[flags_at + 4 : flags_at + 8], "big")
    assert len(frames.places) == n_frames + 1
    assert frames.places[-1] == len(content)
    assert all(content[place : place + 2] == b"\xff\xfb" for place in frames.places[:-1])
    frames.file.close()


def test_little_is_read_beside_the_range(write: Write) -> None:
    """A second in the middle costs no more bytes than a second and a half."""
    path = write((44_100, 2, "CONSTANT", STRONG))
    frames = found(path)
    clip, offset = frames.clip(4 * 44_100, 5 * 44_100)
    assert offset < 44_100 / 2
    assert len(clip.getvalue()) < 1.5 * path.stat().st_size / DURATION_S
    frames.file.close()


def test_the_reader_gives_the_very_samples(write: Write) -> None:
    """Through the door that scoring uses: mono, and equal to the file decoded whole."""
    path = write((44_100, 2, "VARIABLE", STRONG))
    whole = down_mix(read_all(path))
    with open_audio(path) as reader:
        starts = [0, 100_000, len(whole) - 44_100]
        spans = list(reader.spans(starts, 44_100, 44_100))
    for start, span in zip(starts, spans, strict=True):
        np.testing.assert_array_equal(span, whole[start : start + 44_100])


def test_tags_around(write: Write, tmp_path: Path) -> None:
    """ID3v2 in front, ID3v1 and APE behind: the frames lie between."""
    source = write((44_100, 2, "AVERAGE", STRONG))
    path = tmp_path / "a.mp3"
    path.write_bytes(source.read_bytes())
    tags: Any = mutagen
    id3 = tags.id3.ID3()
    id3.add(tags.id3.TIT2(encoding=3, text="A title"))
    id3.save(path, v1=2)
    ape = tags.apev2.APEv2()
    ape["Artist"] = "Someone"
    ape.save(path)
    frames, plain, whole = found(path), found(source), read_all(source)
    assert path.stat().st_size > source.stat().st_size + 300
    assert len(frames.places) == len(plain.places)
    np.testing.assert_array_equal(read_clip(frames, 50_000, 90_000), whole[50_000:90_000])
    for each in (frames, plain):
        each.file.close()


def garbage_between(content: bytes, middle: int) -> bytes:
    return content[:middle] + b"\0" * 100 + content[middle:]


def garbage_behind(content: bytes, _: int) -> bytes:
    return content + b"something else"


def cut(content: bytes, middle: int) -> bytes:
    return content[: middle + 40]


def joined(content: bytes, _: int) -> bytes:
    return content + b"\xff" + content[1:-1]


def of_two_rates(content: bytes, middle: int) -> bytes:
    third = bytes([content[middle + 2] & ~0x0C | 0x04])
    return content[: middle + 2] + third + content[middle + 3 :]


def without_delay(content: bytes, _: int) -> bytes:
    return re.sub(rb"LAME[^\xff]{5}", b"\0" * 9, content, count=1)


@pytest.mark.parametrize(
    "break_it", [garbage_between, garbage_behind, cut, joined, of_two_rates, without_delay]
)
def test_where_something_else_lies(
    break_it: Callable[[bytes, int], bytes], write: Write, tmp_path: Path
) -> None:
    """Only a file of frames and nothing but frames is cut; the decoder reads the rest."""
    source = write((44_100, 2, "CONSTANT", STRONG))
    frames = found(source)
    middle = frames.places[len(frames.places) // 2]
    frames.file.close()
    path = tmp_path / "a.mp3"
    path.write_bytes(break_it(source.read_bytes(), middle))
    assert find_frames(path) is None


@pytest.mark.parametrize("container", ["mp3_cbr_no_xing", "flac", "wav", "ogg"])
def test_no_tag_of_an_encoder(container: str, tmp_path: Path) -> None:
    """Without one nothing tells where the music starts."""
    path = encode(tmp_path / "a", music(1.0), 44_100, container)
    assert find_frames(path) is None


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400))
def test_any_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No content at all makes it fail."""
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    assert find_frames(path) is None
