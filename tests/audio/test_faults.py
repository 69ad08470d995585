"""What a decoder raises of a file is an AudioError; what the machine says stays what it is."""

from __future__ import annotations

import builtins
import errno
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.audio.pyav import _Opened
from beetsplug.artifactnet.errors import AudioError, MissingFileError
from tests.support.audio_files import encode, music
from tests.support.odd_audio import wavpack_correction, write_with_ffmpeg

resource: Any = pytest.importorskip("resource")
ENDS_THE_RUN = (MemoryError, OSError)
"""Of the machine, with their subclasses."""
ERRORS = sorted(
    (
        kind
        for kind in vars(builtins).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning | BaseExceptionGroup | StopIteration)
    ),
    key=lambda kind: kind.__name__,
)


def make(kind: type[Exception]) -> Exception:
    if issubclass(kind, UnicodeDecodeError):
        return kind("utf-8", b"\xff", 0, 1, "invalid")
    if issubclass(kind, UnicodeEncodeError):
        return kind("utf-8", "a", 0, 1, "invalid")
    if issubclass(kind, UnicodeTranslateError):
        return kind("a", 0, 1, "invalid")
    return kind(errno.EIO, "it went wrong") if issubclass(kind, OSError) else kind("it")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_builtin_error(kind: type[Exception], tmp_path: Path) -> None:
    """Whatever PyAV raises is of the file, but for what the system and the memory say."""
    path = encode(tmp_path / "a.m4a", music(1.0), 44_100)
    expected = kind if issubclass(kind, ENDS_THE_RUN) else AudioError
    with (
        _Opened(path, None) as opened,
        pytest.raises(expected) as caught,
        opened._faults("decoding stopped"),
    ):
        raise make(kind)
    assert issubclass(kind, ENDS_THE_RUN) or isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("name", sorted(n for n in dir(av.error) if n.endswith("Error")))
def test_every_error_of_ffmpeg(name: str, tmp_path: Path) -> None:
    """FFmpeg's codes are of the file, although some are subclasses of OSError.

    A lack of memory is none of the file.
    """
    kind = getattr(av.error, name)
    if not issubclass(kind, av.error.FFmpegError):
        pytest.skip("not raised by FFmpeg")
    path = encode(tmp_path / "a.m4a", music(1.0), 44_100)
    expected = MemoryError if issubclass(kind, MemoryError) else AudioError
    with (
        _Opened(path, None) as opened,
        pytest.raises(expected),
        opened._faults("decoding stopped"),
    ):
        raise kind(1, "it went wrong")


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """Leave the process the descriptors that it has, and no other."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def too_many_open_files() -> Any:
    return pytest.raises(OSError, match="Too many open files")


@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "ogg", "m4a"])
def test_no_free_descriptor(container: str, tmp_path: Path) -> None:
    """That the system has no descriptor left is no fault of the file."""
    path = encode(tmp_path / "a", music(1.0), 44_100, container)
    with no_free_descriptor(), too_many_open_files(), open_audio(path):
        pass
    assert read_waveform(path, 44_100).samples.any()


def test_no_free_descriptor_on_the_way(tmp_path: Path) -> None:
    """Nor is it when a file is opened once more for its spans."""
    path = encode(tmp_path / "a.m4a", music(1.0), 44_100)
    with open_audio(path) as reader, no_free_descriptor(), too_many_open_files():
        list(reader.spans([0], 4_000, 44_100))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_no_permission(tmp_path: Path) -> None:
    """A file that may not be read today is not said to be at fault."""
    path = encode(tmp_path / "a.wav", music(1.0), 44_100)
    path.chmod(0)
    with pytest.raises(PermissionError), open_audio(path):
        pass


def test_missing_on_the_way(tmp_path: Path) -> None:
    """A file that is gone is missing, and nothing else."""
    with pytest.raises(MissingFileError), open_audio(tmp_path / "no" / "a.mp3"):
        pass


def damaged_ts(folder: Path) -> Iterator[Path]:
    """Yield MPEG transport streams with some bytes of packet headers changed."""
    samples = music(1.0, 48_000)
    whole = write_with_ffmpeg(folder / "a.ts", samples, 48_000, "mpegts", "aac").read_bytes()
    for seed in range(20):
        rng, data = random.Random(seed), bytearray(whole)
        for _ in range(rng.choice((4, 30))):
            packet = rng.randrange(len(data) // 188)
            data[188 * packet + rng.randrange(1, 6)] = rng.randrange(256)
        path = folder / f"{seed}.ts"
        path.write_bytes(data)
        yield path


def test_damaged_transport_streams(tmp_path: Path) -> None:
    """PyAV raises IndexError for a stream that begins on the way: it is passed over."""
    n_index_errors = n_decoded = 0
    for path in damaged_ts(tmp_path):
        try:
            with av.open(str(path)) as file:
                for _ in file.demux(file.streams.audio[0]):
                    pass
        except IndexError:
            n_index_errors += 1
        except av.error.FFmpegError:
            pass
        with suppress(AudioError):
            n_decoded += read_waveform(path, 48_000).samples.std() > 0.01
    assert n_index_errors > 0
    assert n_decoded >= 5


@pytest.mark.parametrize("size", [1 << 20, (1 << 32) - 1])
@pytest.mark.parametrize("container", ["mp3", "mp3_cbr_no_xing", "aac"])
def test_ape_tag_larger_than_its_file(container: str, size: int, tmp_path: Path) -> None:
    """A footer that tells of a tag beyond the file's start changes nothing."""
    path = encode(tmp_path / "a", music(3.0), 44_100, container)
    with path.open("ab") as file:
        file.write(b"APETAGEX" + (2_000).to_bytes(4, "little") + size.to_bytes(4, "little"))
        file.write((1).to_bytes(4, "little") + bytes(12))
    with open_audio(path) as reader:
        assert pytest.approx(3.0, abs=0.1) == reader.duration_s


@pytest.mark.parametrize("name", ["a.wvc", "a.wv", "a"])
def test_wavpack_correction(name: str, tmp_path: Path) -> None:
    """The half of a hybrid WavPack file that does not play alone is told by its blocks."""
    whole = encode(tmp_path / "whole.wv", music(1.0), 44_100)
    assert read_waveform(whole, 44_100).samples.any()
    path = tmp_path / name
    path.write_bytes(wavpack_correction(whole.read_bytes()))
    with pytest.raises(AudioError, match="WavPack correction file"), open_audio(path):
        pass


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MP3 that libmpg123 complains about, on descriptor 2."""
    path = encode(tmp_path_factory.mktemp("noisy") / "a.mp3", music(4.0, n_channels=1), 44_100)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 3_000] = np.random.default_rng(0).bytes(3_000)
    path.write_bytes(data)
    return path


def stderr_of(*arguments: object, program: str) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


DECODES_IN_A_WORKER = """
import sys
from pathlib import Path
from beetsplug.artifactnet.audio import read_waveform
from beetsplug.artifactnet.workers.local import LocalWorkers
workers = LocalWorkers(1)
assert workers.submit(None, read_waveform, Path(sys.argv[1]), 44100).result()
workers.close()
"""


@pytest.mark.slow
def test_what_libraries_print_reaches_no_terminal(noisy: Path) -> None:
    """libmpg123 complains from C; a worker keeps that to itself."""
    alone = "import sys; from pathlib import Path; "
    alone += "from beetsplug.artifactnet.audio import read_waveform; "
    alone += "read_waveform(Path(sys.argv[1]), 44100)"
    assert "error" in stderr_of(noisy, program=alone)
    assert stderr_of(noisy, program=DECODES_IN_A_WORKER) == ""


SEEKS_BEFORE_THE_START = """
import sys
from pathlib import Path
from beetsplug.artifactnet.audio.pyav import _WatchedFile
file = _WatchedFile(Path(sys.argv[1]), (100, 300))
assert len(file.read(-1)) == 200 and file.read(5) == b""
assert file.seek(-5) == file.seek(-500, 1) == file.seek(-500, 2) == file.seek(1 << 70) == -1
assert file.seek(0, 2) == file.tell() == file.seek(0, 0x10000) == 200
assert file.seek(7) == 7 and file.seek(3, 1) == 10 and len(file.read(1000)) == 190
"""


def test_a_seek_that_cannot_be_raises_nothing(noisy: Path) -> None:
    """PyAV prints a traceback of an exception on top of another; our file has none to raise."""
    assert stderr_of(noisy, program=SEEKS_BEFORE_THE_START) == ""
