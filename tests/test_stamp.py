"""A file's stamp: tags that anybody writes do not change it, other audio does."""

from __future__ import annotations

import os
import struct
from functools import cache
from pathlib import Path

import mediafile
import pytest
from beetsplug.scrub import ScrubPlugin
from hypothesis import example, given
from hypothesis import strategies as st
from mediafile import MediaFile
from mutagen.apev2 import APEv2

from beetsplug.artifactnet.stamp import Change, change_since, file_stamp
from tests.support.audio_files import CONTAINERS, SAMPLE_RATES, encode, music, suffix

TAGGED = [
    *("wav", "aiff", "flac", "ogg", "opus", "mp3", "mp3_vbr_no_xing", "m4a"),
    *("m4a_faststart", "alac", "wma", "wv"),
]
"""Containers into which beets writes tags."""
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1_500


recording = cache(music)


def write(path: Path, container: str, seed: int = 0, duration_s: float = 6.0) -> Path:
    """Write some music and return its path."""
    sample_rate = SAMPLE_RATES.get(container, 44_100)
    samples = recording(6.0, sample_rate, seed=seed)
    return encode(path, samples[: round(duration_s * sample_rate)], sample_rate, container)


def write_tags(path: Path) -> None:
    """Write short tags, a text longer than any padding, and a cover of 384 kB."""
    file = MediaFile(path)
    file.update({"title": "A title", "lyrics": "la la la\n" * 4_000})
    if hasattr(file, "images"):
        file.images = [mediafile.Image(PNG)]
    file.save()


@pytest.fixture(params=TAGGED)
def container(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def audio(container: str, tmp_path: Path) -> Path:
    return write(tmp_path / f"x{suffix(container)}", container)


class TestTags:
    def test_tags_do_not_count(self, audio: Path) -> None:
        """The stamp holds when tags are written, changed, and removed altogether."""
        stamp = file_stamp(audio)
        assert stamp is not None

        write_tags(audio)
        assert change_since(audio, stamp) is Change.TAGS

        ScrubPlugin()._scrub(os.fsencode(audio))
        assert change_since(audio, stamp) in {Change.NONE, Change.TAGS}

        file = MediaFile(audio)
        file.update({"title": "Another", "comments": "x"})
        file.save()
        assert change_since(audio, stamp) in {Change.NONE, Change.TAGS}

    def test_removed_tags_do_not_count(self, audio: Path) -> None:
        """A file that was scored with tags and a cover holds its audio without them."""
        write_tags(audio)
        stamp = file_stamp(audio)
        assert stamp is not None

        ScrubPlugin()._scrub(os.fsencode(audio))

        assert change_since(audio, stamp) in {Change.NONE, Change.TAGS}

    def test_old_tags_at_the_end_of_an_mp3(self, tmp_path: Path) -> None:
        """ID3v1, APEv2 and Lyrics3, which other programs write, do not count either."""
        path = write(tmp_path / "x.mp3", "mp3")
        stamp = file_stamp(path)
        assert stamp is not None
        lyrics = b"LYRICSBEGIN" + b"IND0000200"
        lyrics3 = lyrics + b"%06d" % len(lyrics) + b"LYRICS200"
        id3v1 = (b"TAG" + b"Title").ljust(128, b"\0")

        tags = APEv2()  # type: ignore[no-untyped-call]
        tags["Title"] = "x" * 3_000
        tags.save(path)
        with path.open("ab") as file:
            file.write(lyrics3 + id3v1)

        assert change_since(path, stamp) in {Change.NONE, Change.TAGS}


class TestAudio:
    def test_other_audio_counts(self, audio: Path, container: str) -> None:
        """Another recording of the same length and tags is another file."""
        stamp = file_stamp(audio)
        assert stamp is not None
        write(audio, container, seed=1)
        assert change_since(audio, stamp) is Change.AUDIO

    def test_a_cut_counts(self, audio: Path, container: str) -> None:
        """So is the same recording without its last second."""
        stamp = file_stamp(audio)
        assert stamp is not None
        write(audio, container, duration_s=5.0)
        assert change_since(audio, stamp) is Change.AUDIO

    @pytest.mark.parametrize("eighth", range(8))
    def test_a_changed_part_counts(self, eighth: int, tmp_path: Path) -> None:
        """And one of which an eighth was overwritten, wherever that is."""
        path = write(tmp_path / "x.wav", "wav")
        stamp = file_stamp(path)
        assert stamp is not None
        data = bytearray(path.read_bytes())
        part = len(data) // 8
        data[eighth * part + 64 : (eighth + 1) * part] = bytes(part - 64)

        path.write_bytes(data)

        assert change_since(path, stamp) is Change.AUDIO

    @pytest.mark.parametrize("keyword", sorted(set(CONTAINERS) - set(TAGGED)))
    def test_every_container_has_a_stamp(self, keyword: str, tmp_path: Path) -> None:
        """Also those that beets writes no tags into; a file that was merely touched holds."""
        path = write(tmp_path / f"x{suffix(keyword)}", keyword, duration_s=2.0)
        stamp = file_stamp(path)
        assert stamp is not None

        os.utime(path, (1, 1))
        touched = change_since(path, stamp)
        write(path, keyword, seed=1, duration_s=2.0)

        assert (touched, change_since(path, stamp)) == (Change.TAGS, Change.AUDIO)


class TestOddFiles:
    def test_no_file(self, tmp_path: Path) -> None:
        """What is not there, and what is no file, has no stamp, and has not changed."""
        missing, pipe = tmp_path / "missing", tmp_path / "pipe"
        os.mkfifo(pipe)
        assert file_stamp(missing) is None
        assert file_stamp(pipe) is None
        assert file_stamp(tmp_path) is None
        assert change_since(missing, "1-2-3") is Change.GONE

    def test_a_stamp_without_a_checksum(self, tmp_path: Path) -> None:
        """A stamp of size and time alone holds as long as both do."""
        path = write(tmp_path / "x.wav", "wav", duration_s=1.0)
        status = path.stat()
        stamp = f"{status.st_size}-{status.st_mtime_ns}"
        assert change_since(path, stamp) is Change.NONE
        os.utime(path, (1, 1))
        assert change_since(path, stamp) is Change.AUDIO

    @given(
        magic=st.sampled_from(
            [b"fLaC", b"OggS", b"\0\0\0\x18ftyp", b"RIFF", b"FORM", b"DSD ", b"ID3"]
        ),
        data=st.binary(max_size=400),
    )
    @example(magic=b"DSD ", data=bytes(35) + b"\x01")
    def test_any_bytes_have_a_stamp(
        self, magic: bytes, data: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Whatever follows a container's first bytes, there is a checksum of something."""
        path = tmp_path_factory.getbasetemp() / "any"
        path.write_bytes(magic + data)
        stamp = file_stamp(path)
        assert stamp is not None
        assert len(stamp.split("-")[2]) == 16

    def test_few_bytes_are_read(self, tmp_path: Path) -> None:
        """Of a sparse file of 100 GB no more is read than of a small one."""
        path = tmp_path / "x.wav"
        size = 100 << 30
        with path.open("wb") as file:
            file.write(b"RIFF\xff\xff\xff\xffWAVEdata" + struct.pack("<I", 0xFFFF_FFF0))
            file.truncate(size)
        before = _bytes_read()
        assert file_stamp(path) is not None
        assert _bytes_read() - before < 1 << 20


def _bytes_read() -> int:
    """Return how many bytes this process has read so far, as Linux counts them."""
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("no counters here")
    return int(counters.read_text().split("rchar: ")[1].split()[0])
