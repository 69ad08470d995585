"""Files that no scan should trip over, each with the outcome that it must have."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import mutagen.id3
import mutagen.mp4
import numpy as np
import pytest
import soundfile

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.errors import AudioError, MissingFileError, TruncatedError
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.scoring.provenance import read_claims
from tests.programs.fuzz import OK, Verdict, Worker, mend_ogg
from tests.support.audio_files import Samples, encode, music
from tests.support.odd_audio import (
    join,
    write_dsf,
    write_silent_ape,
    write_with_ffmpeg,
    write_with_sndfile,
)
from tests.support.onnx_models import load_model, write_model
from tests.support.tagged_files import SUNO_COMMENT

HOLE_BYTES = 6 << 30
"""Takes no room on a disk, and more than a decoder should read."""
MEMORY_MB = 150
"""What one file may take, whatever its length."""

Score = Callable[[Path], TrackResult]
# mutagen has no type annotations.
id3: Any = mutagen.id3
mp4: Any = mutagen.mp4


@pytest.fixture(scope="module")
def score(tmp_path_factory: pytest.TempPathFactory) -> Score:
    """Return what scores a file with a model that measures loudness."""
    folder = tmp_path_factory.mktemp("loudness")
    detector = Detector(load_model(write_model(folder / "model")))
    return lambda path: score_file(path, detector, 7)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Return a process that decodes files and measures what memory each takes."""
    with Worker(limit_s=30) as process:
        yield process


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return two seconds of music in any container, encoded once."""
    folder = tmp_path_factory.mktemp("songs")

    def get(container: str) -> Path:
        path = folder / container
        if not path.exists():
            encode(path, music(2.0, 48_000), 48_000, container)
        return path

    return get


Song = Callable[[str], Path]


def assert_unreadable(result: TrackResult, detail: str) -> None:
    assert (Outcome.UNREADABLE, detail) == (result.outcome, result.detail)


def assert_decodes(verdict: Verdict) -> None:
    assert (verdict.kind, verdict.detail) == (OK, "")
    assert verdict.peak_mb < MEMORY_MB


def assert_refused(verdict: Verdict) -> None:
    assert verdict.kind == "refused", verdict
    assert verdict.peak_mb < MEMORY_MB


# --- what a path may lead to ---------------------------------------------------------


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="files of Unix")
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "outcome", "detail"),
    [
        (link_to("nowhere.wav"), Outcome.MISSING, "no such file"),
        (link_to("a.mp3"), Outcome.UNREADABLE, "Too many levels of symbolic links"),
        (link_to("/dev/zero"), Outcome.UNREADABLE, "not a regular file"),
        (link_to("/dev/null"), Outcome.UNREADABLE, "not a regular file"),
        (link_to("/"), Outcome.UNREADABLE, "not a regular file"),
        (make_fifo, Outcome.UNREADABLE, "not a regular file"),
        (make_socket, Outcome.UNREADABLE, "not a regular file"),
        (Path.mkdir, Outcome.UNREADABLE, "not a regular file"),
    ],
)
def test_no_file_at_the_path(
    make: Callable[[Path], None],
    outcome: Outcome,
    detail: str,
    score: Score,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Links that lead nowhere, pipes, devices and folders are told apart and never opened."""
    monkeypatch.chdir(tmp_path)
    make(Path("a.mp3"))
    for path in (Path("a.mp3"), tmp_path / "a.mp3"):
        result = score(path)
        assert (outcome, detail) == (result.outcome, result.detail)
        assert result.provenance == ""


def test_link_to_a_song(song: Song, score: Score, tmp_path: Path) -> None:
    """A link to a song is the song, through a second link too."""
    (tmp_path / "a.mp3").symlink_to(song("mp3"))
    (tmp_path / "b.mp3").symlink_to("a.mp3")
    expected = score(song("mp3")).score
    assert expected is not None
    assert expected == score(tmp_path / "b.mp3").score


def test_paths_that_cannot_be(song: Song, score: Score, tmp_path: Path) -> None:
    """A path that the system refuses is an outcome, and no exception."""
    assert_unreadable(score(tmp_path / ("a" * 300)), "File name too long")
    assert_unreadable(score(song("wav") / "b.wav"), "Not a directory")
    assert score(tmp_path / "a\0b.wav").outcome is Outcome.MISSING


@pytest.mark.parametrize("name", [b"\x1b]0;a\x07 \r\n $(id) `id`", b"\xff\xfe", b"<b>&'\"\\"])
@pytest.mark.parametrize("container", ["mp3", "m4a"])
def test_names(name: bytes, container: str, song: Song, score: Score, tmp_path: Path) -> None:
    """Whatever a name is made of, the song in it is scored and its claims are read."""
    path = tmp_path / os.fsdecode(name)
    try:
        path.write_bytes(song(container).read_bytes())
    except OSError:
        pytest.skip("the file system does not take this name")
    if container == "mp3":
        tags = id3.ID3()
        tags.add(id3.COMM(encoding=3, lang="eng", desc="", text=SUNO_COMMENT))
        tags.save(path)
    result = score(path)
    assert result.outcome is Outcome.SCORED
    assert path == result.path
    assert result.provenance == ("suno:comment" if container == "mp3" else "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_folder_without_permission(song: Song, tmp_path: Path) -> None:
    """A song in a folder that may not be entered is not said to be at fault."""
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "a.mp3").write_bytes(song("mp3").read_bytes())
    folder.chmod(0)
    try:
        with pytest.raises(PermissionError), open_audio(folder / "a.mp3"):
            pass
    finally:
        folder.chmod(0o700)


# --- what happens to a file while it is read -----------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps an open file")
@pytest.mark.parametrize("container", ["wav", "flac", "ogg", "opus", "mp3"])
def test_vanishes_and_is_read_on(container: str, song: Song, tmp_path: Path) -> None:
    """A file that is held open decodes to its end after its name is gone."""
    path = tmp_path / "a"
    path.write_bytes(song(container).read_bytes())
    expected = read_waveform(path, 48_000).samples
    with open_audio(path) as reader:
        path.unlink()
        (found,) = reader.spans([0], reader.n_samples(48_000), 48_000)
    np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize("container", ["m4a", "mp3_vbr_no_xing"])
def test_vanishes(container: str, song: Song, tmp_path: Path) -> None:
    """A file that is opened again for its samples, and is gone by then, is missing."""
    path = tmp_path / "a"
    path.write_bytes(song(container).read_bytes())
    with open_audio(path) as reader:
        path.unlink()
        with pytest.raises(MissingFileError):
            list(reader.spans([0], 48_000, 48_000))


def test_becomes_a_folder(song: Song, tmp_path: Path) -> None:
    """What the system says of a file on the way is an outcome."""
    path = tmp_path / "a.m4a"
    path.write_bytes(song("m4a").read_bytes())
    with open_audio(path) as reader:
        path.unlink()
        path.mkdir()
        with pytest.raises(AudioError, match=r"Is a directory|Permission denied"):
            list(reader.spans([0], 48_000, 48_000))


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps an open file")
@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "m4a_faststart"])
def test_shrinks(container: str, tmp_path: Path) -> None:
    """A file that is cut while it is open is refused, and its lost end is no silence."""
    path = encode(tmp_path / "a", music(8.0, 48_000), 48_000, container)
    with open_audio(path) as reader:
        os.truncate(path, path.stat().st_size // 3)
        with pytest.raises(AudioError):
            list(reader.spans([0, 48_000 * 6], 48_000, 48_000))


def test_is_replaced_by_another_song(song: Song, tmp_path: Path) -> None:
    """A shorter file under the same name is told as the end of the one that was opened."""
    path = encode(tmp_path / "a.m4a", music(4.0, 48_000), 48_000)
    with open_audio(path) as reader:
        path.write_bytes(song("m4a").read_bytes())
        with pytest.raises(TruncatedError, match=r"truncated: 3\.0 s of 4\.0 s"):
            list(reader.spans([0, 3 * 48_000], 48_000, 48_000))


# --- size ----------------------------------------------------------------------------


def add_hole(path: Path, n_bytes: int = HOLE_BYTES) -> Path:
    """Make a file longer by zeros that take no room on the disk."""
    try:
        os.truncate(path, path.stat().st_size + n_bytes)
    except OSError:
        pytest.skip("the file system holds no file of this size")
    if path.stat().st_blocks * 512 > 1 << 30:
        pytest.skip("the file system has no sparse files")
    return path


def ten_hours(path: Path, major: str) -> Path:
    """Write a second of music and ten hours of silence, 6.3 GB, as W64 or RF64."""
    samples = music(1.0)
    write_with_sndfile(path, samples, 44_100, major, "PCM_16")
    n_bytes = 36_000 * 44_100 * 4
    data = bytearray(path.read_bytes())
    at = data.find(b"data")
    if major == "W64":
        data[16:24] = (len(data) - 176_400 + n_bytes).to_bytes(8, "little")
        data[at + 16 : at + 24] = (n_bytes + 24).to_bytes(8, "little")
        header_end = at + 24
    else:
        data[20:28] = (at + n_bytes).to_bytes(8, "little")
        data[28:36] = n_bytes.to_bytes(8, "little")
        data[36:44] = (n_bytes // 4).to_bytes(8, "little")
        header_end = at + 8
    path.write_bytes(data[: header_end + 176_400])
    return add_hole(path, n_bytes - 176_400)


@pytest.mark.parametrize("major", ["W64", "RF64"])
def test_ten_hours(major: str, score: Score, worker: Worker, tmp_path: Path) -> None:
    """Ten hours of PCM cost what their seven segments cost."""
    path = ten_hours(tmp_path / "a.wav", major)
    result = score(path)
    assert result.outcome is Outcome.SCORED
    assert result.score is not None
    assert pytest.approx(36_000) == result.score.duration_s
    assert len(result.score.segments) == 7
    assert result.score.segments[0].probability > 0.1
    assert_decodes(worker.check(path))


@pytest.mark.slow
def test_ten_hours_of_flac(score: Score, worker: Worker, tmp_path: Path) -> None:
    """Ten compressed hours are scored too, sought and not decoded through."""
    path = tmp_path / "a.flac"
    block: Samples = np.zeros((4_000 * 600, 1), np.float32)
    with soundfile.SoundFile(path, "w", 4_000, 1, compression_level=0) as file:
        file.write(music(1.0, 4_000, 1))
        for _ in range(60):
            file.write(block)
    result = score(path)
    assert result.outcome is Outcome.SCORED
    assert result.score is not None
    assert pytest.approx(36_001) == result.score.duration_s
    assert_decodes(worker.check(path))


@pytest.mark.parametrize("suffix", ["mp3", "flac", "m4a", "ogg", "wav", "wv"])
def test_nothing_but_a_hole(suffix: str, worker: Worker, tmp_path: Path) -> None:
    """Six gigabytes of zeros are refused by their head."""
    path = tmp_path / f"a.{suffix}"
    path.touch()
    verdict = worker.check(add_hole(path))
    assert_refused(verdict)


@pytest.mark.parametrize("container", ["wav", "m4a", "m4a_faststart"])
def test_hole_behind_a_song(container: str, song: Song, worker: Worker, tmp_path: Path) -> None:
    """What stands behind the audio that the header tells of is not read."""
    path = tmp_path / "a"
    path.write_bytes(song(container).read_bytes())
    verdict = worker.check(add_hole(path))
    assert_decodes(verdict)


@pytest.mark.parametrize("container", ["flac", "mp3", "mp3_cbr_no_xing", "ogg", "aac", "wma"])
@pytest.mark.slow
def test_hole_that_may_be_audio(
    container: str, song: Song, worker: Worker, tmp_path: Path
) -> None:
    """Where only reading on could tell whether more follows, it has an end."""
    path = tmp_path / "a"
    path.write_bytes(song(container).read_bytes())
    verdict = worker.check(add_hole(path))
    assert verdict.kind in {OK, "refused"}, verdict
    assert verdict.peak_mb < MEMORY_MB


@pytest.mark.slow
def test_tags_of_50_mb(song: Song, score: Score, worker: Worker, tmp_path: Path) -> None:
    """A tag of 50 MB changes no score."""
    path = tmp_path / "a.mp3"
    path.write_bytes(song("mp3").read_bytes())
    tags = id3.ID3()
    cover = b"\xff\xd8\xff\xe0" + bytes(50 << 20)
    tags.add(id3.APIC(encoding=3, mime="image/jpeg", type=3, desc="cover", data=cover))
    tags.add(id3.COMM(encoding=3, lang="eng", desc="", text=SUNO_COMMENT))
    tags.save(path)
    result = score(path)
    assert result.score == score(song("mp3")).score
    assert result.provenance == "suno:comment"
    verdict = worker.check(path)
    assert verdict.kind == OK
    # The tag reader holds the tag, and a copy of the cover in it.
    assert verdict.peak_mb < MEMORY_MB + 100


def test_tag_of_4_gb(song: Song, worker: Worker, tmp_path: Path) -> None:
    """A tag whose header claims 4 GB is not read into memory."""
    path = tmp_path / "a.mp3"
    path.write_bytes(song("mp3").read_bytes())
    add_hole(path)
    footer = (
        b"APETAGEX" + (2_000).to_bytes(4, "little") + (4 << 30 - 1 - 28).to_bytes(4, "little")
    )
    with path.open("ab") as file:
        file.write(footer + (1).to_bytes(4, "little") + bytes(12))
    assert read_claims(path) == ()
    assert worker.check(path).peak_mb < MEMORY_MB


# --- streams -------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["m4a", "mp4_video"])
def test_cover_and_video(container: str, song: Song, score: Score, tmp_path: Path) -> None:
    """Of a film or a song with a cover the audio alone is read."""
    path = tmp_path / "a.m4a"
    path.write_bytes(song(container).read_bytes())
    tags = mp4.MP4(path)
    tags["covr"] = [mp4.MP4Cover(b"\xff\xd8\xff\xe0" + bytes(200_000))]
    tags.save()
    assert score(path).outcome is Outcome.SCORED
    assert score(path).score == score(song(container)).score


def as_another_stream(path: Path, song: Path) -> Path:
    """Write an Ogg file again under another serial number, as a chain needs it."""
    data = bytearray(song.read_bytes())
    for page in re.finditer(b"OggS", song.read_bytes()):
        data[page.start() + 14 : page.start() + 18] = b"next"
    mend_ogg(data)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("container", ["ogg", "opus"])
def test_chained_ogg(container: str, song: Song, score: Score, tmp_path: Path) -> None:
    """Two songs in one Ogg file, a chain, are scored as one of both lengths."""
    second = as_another_stream(tmp_path / "second.ogg", song(container))
    path = join(tmp_path / "a.ogg", [song(container), second])
    result = score(path)
    assert result.outcome is Outcome.SCORED
    assert result.score is not None
    assert pytest.approx(4.0, abs=0.05) == result.score.duration_s
    # Of the second song something is heard to the end.
    assert (
        min(
            np.abs(part).max()
            for part in np.split(read_waveform(path, 48_000).samples[:182_400], 19)
        )
        > 0.01
    )


@pytest.mark.parametrize("rates_hz", [(44_100, 22_050), (22_050, 44_100), (44_100, 48_000)])
def test_joined_mp3(rates_hz: tuple[int, int], score: Score, tmp_path: Path) -> None:
    """MP3s of two rates in one file are one song, with a length tag in front and without."""
    for container in ("mp3", "mp3_cbr_no_xing"):
        parts = [
            encode(tmp_path / f"{rate}.mp3", music(3.0, rate), rate, container)
            for rate in rates_hz
        ]
        result = score(join(tmp_path / "a.mp3", parts))
        assert result.score is not None
        assert pytest.approx(6.0, abs=0.2) == result.score.duration_s


def test_joined_mp3_of_one_rate(score: Score, tmp_path: Path) -> None:
    """MP3s of one rate, joined, are one song."""
    part = encode(tmp_path / "part.mp3", music(3.0), 44_100, "mp3_cbr_no_xing")
    result = score(join(tmp_path / "a.mp3", [part, part]))
    assert result.score is not None
    assert pytest.approx(6.0, abs=0.1) == result.score.duration_s


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("write", ["flac", "opus", "wv"])
def test_channels(write: str, n_channels: int, score: Score, tmp_path: Path) -> None:
    """One to eight channels are scored as their mean."""
    samples = np.repeat(music(1.5, 48_000, 1), n_channels, axis=1)
    path = tmp_path / f"a.{write}"
    if write == "wv":
        write_with_ffmpeg(path, samples, 48_000, "wv", "wavpack", "s16p")
    elif write == "opus":
        write_with_sndfile(path, samples, 48_000, "OGG", "OPUS")
    else:
        write_with_sndfile(path, samples, 48_000, "FLAC", "PCM_16")
    assert score(path).outcome is Outcome.SCORED
    found = read_waveform(path, 48_000).samples[: len(samples)]
    assert np.corrcoef(samples[: len(found), 0], found)[0, 1] > 0.97


@pytest.mark.slow
def test_a_thousand_channels(worker: Worker, tmp_path: Path) -> None:
    """Channels cost no memory for the length of a span."""
    path = tmp_path / "a.wav"
    write_with_sndfile(path, np.full((20_000, 1_024), 0.1, np.float32), 44_100, "WAV", "PCM_U8")
    verdict = worker.check(path)
    assert_decodes(verdict)


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
def test_sample_widths(subtype: str, score: Score, tmp_path: Path) -> None:
    """Samples of 8 to 64 bits come out at the level they went in."""
    samples = music(1.5)
    path = write_with_sndfile(tmp_path / "a.wav", samples, 44_100, "WAV", subtype)
    assert score(path).outcome is Outcome.SCORED
    found = read_waveform(path, 44_100).samples
    assert np.abs(found - samples.mean(axis=1)).max() < 0.02


def test_samples_of_64_bits(score: Score, tmp_path: Path) -> None:
    """Integers of 64 bits, which FFmpeg alone reads, come out at their level."""
    samples = music(1.5)
    path = write_with_ffmpeg(tmp_path / "a.wav", samples, 44_100, "wav", "pcm_s64le")
    assert score(path).outcome is Outcome.SCORED
    found = read_waveform(path, 44_100).samples
    np.testing.assert_allclose(found, samples.mean(axis=1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.slow
def test_dsd(n_channels: int, score: Score, tmp_path: Path) -> None:
    """DSD in a DSF file is decoded to the music that was modulated."""
    samples = 0.8 * music(2.0, n_channels=n_channels)
    path = write_dsf(tmp_path / "a.dsf", samples)
    assert score(path).outcome is Outcome.SCORED
    found = read_waveform(path, 44_100).samples
    expected = samples.mean(axis=1)
    lags = [
        np.corrcoef(expected[:-64], found[lag : len(found) - 64 + lag])[0, 1]
        for lag in range(64)
    ]
    assert max(lags) > 0.9


@pytest.mark.parametrize("n_channels", [1, 2])
def test_ape(n_channels: int, score: Score, tmp_path: Path) -> None:
    """Monkey's Audio is decoded to its end, here to the silence that it holds."""
    path = write_silent_ape(tmp_path / "a.ape", n_frames=9, n_channels=n_channels)
    assert score(path).outcome is Outcome.SILENT
    samples = read_waveform(path, 44_100).samples
    assert len(samples) == 9 * 73_728
    assert not samples.any()


def test_ape_is_known_and_a_broken_one_refused(score: Score, tmp_path: Path) -> None:
    """FFmpeg's decoder of Monkey's Audio is there; a header without frames is unreadable."""
    assert "ape" in av.codecs_available
    path = tmp_path / "a.ape"
    path.write_bytes(b"MAC \x96\x0f\0\0" + (52).to_bytes(4, "little") + bytes(4_000))
    assert score(path).outcome is Outcome.UNREADABLE
