"""The optimised form of a model that is kept between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.models.store import Model, find_model
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.engines import CPU, graph_cache
from beetsplug.artifactnet.scoring.engines.graph_cache import GraphCache
from beetsplug.artifactnet.scoring.segments import SegmentBatch
from tests.support.audio_files import music
from tests.support.onnx_models import (
    load_model,
    write_external_model,
    write_model,
)

ENGINE = "onnxruntime 1"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(write_model(tmp_path / "model"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifactnet" / "cache"


def kept(folder: Path, sha256: str = "a", engine: str = ENGINE) -> GraphCache:
    return GraphCache(folder, sha256, engine)


def keep(cache: GraphCache, graph: bytes = b"graph") -> None:
    new_file = cache.new_file()
    assert new_file is not None
    new_file.write_bytes(graph)
    cache.keep(new_file)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def batch_for(model: Model, n_segments: int = 3) -> SegmentBatch:
    given = model.card.inputs[0]
    size = given.segment_samples
    samples = music(n_segments * size / given.sample_rate, given.sample_rate, 1)[:, 0]
    segments = samples.reshape(n_segments, size)
    return SegmentBatch((segments,), np.arange(n_segments) * size / given.sample_rate)


def probabilities(model: Model, folder: Path | None) -> list[float]:
    return Detector(model, (CPU,), folder).probabilities(batch_for(model)).tolist()


def test_bundled_model_scores_the_same(folder: Path) -> None:
    """Optimised by this session, read back or neither: the same to the last bit."""
    bundled = find_model("default", ())
    expected = probabilities(bundled, None)
    assert probabilities(bundled, folder) == expected
    path = only_file(folder)
    written = path.stat().st_mtime_ns
    assert probabilities(bundled, folder) == expected
    assert only_file(folder).stat().st_mtime_ns == written


@pytest.mark.skipif(os.name == "nt", reason="needs the modes of POSIX")
def test_is_private(model: Model, folder: Path) -> None:
    """Nobody else reads or writes it."""
    probabilities(model, folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert only_file(folder).stat().st_mode & 0o777 == 0o600


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _replace(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "folder": _replace,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged(damage: str, model: Model, folder: Path) -> None:
    """A damaged file is not used, and the model is loaded as without a cache."""
    expected = probabilities(model, folder)
    path = only_file(folder)
    DAMAGE[damage](path)
    assert probabilities(model, folder) == expected
    if not path.is_dir():
        # Another one has taken its place.
        content = path.read_bytes()
        assert probabilities(model, folder) == expected
        assert path.read_bytes() == content


def test_not_a_graph(model: Model, folder: Path) -> None:
    """What has its right checksum and is no graph is passed over, too."""
    expected = probabilities(model, folder)
    path = only_file(folder)
    keep(GraphCache(folder, "other", "other"), b"no graph")
    (other,) = set(folder.iterdir()) - {path}
    other.replace(path)
    assert probabilities(model, folder) == expected


def test_other_engine_model_or_processor(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another version, model or processor has made is not used."""
    keep(kept(folder))
    assert kept(folder).read() == b"graph"
    assert kept(folder, engine="onnxruntime 2").read() is None
    assert kept(folder, sha256="b").read() is None
    text = "model name\t: {}\nflags\t\t: fpu avx{}\ncpu MHz\t: {}\n\nprocessor\t: 1"
    monkeypatch.setattr(graph_cache, "_CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(text.format("A", " avx512f", 1))
    keep(kept(folder), b"of A")
    (tmp_path / "cpuinfo").write_text(text.format("A", " avx512f", 2))
    assert kept(folder).read() == b"of A"
    (tmp_path / "cpuinfo").write_text(text.format("A", "", 1))
    assert kept(folder).read() is None
    (tmp_path / "cpuinfo").unlink()
    assert kept(folder).read() is None


@pytest.mark.skipif(os.name == "nt", reason="needs the modes of POSIX")
@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("of_folder", [True, False])
def test_others_may_write(of_folder: bool, mode: int, folder: Path) -> None:
    """Where others could have written, nothing is read, nor kept in their folder."""
    keep(kept(folder))
    place = folder if of_folder else only_file(folder)
    place.chmod(place.stat().st_mode | mode)
    assert kept(folder).read() is None
    assert (kept(folder).new_file() is None) == of_folder


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("place", ["home", "folder", "file"])
def test_of_another_user(place: str, folder: Path) -> None:
    """Another user's files are not trusted, and nothing is made in another user's folder."""
    keep(kept(folder))
    places = {"home": folder.parent.parent, "folder": folder, "file": only_file(folder)}
    if place == "home":
        shutil.rmtree(folder.parent)
    os.chown(places[place], 12_345, -1)
    assert kept(folder).read() is None
    assert (kept(folder).new_file() is None) == (place != "file")
    assert folder.exists() == (place != "home")


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    """A link in place of the folder or of a file is none of it."""
    keep(kept(folder))
    path = only_file(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert kept(folder).read() is None
    path.unlink()
    folder.rmdir()
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real", target_is_directory=True)
    assert kept(folder).new_file() is None


def test_no_place_for_it(model: Model, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no folder can be made the model is loaded without a cache, and without a word."""
    folder.parent.write_text("a file stands here")
    expected = probabilities(model, None)
    assert probabilities(model, folder) == expected
    assert probabilities(model, folder / "below" / "nothing") == expected
    assert caplog.messages == []
    assert folder.parent.read_text() == "a file stands here"


def test_deleted_meanwhile(folder: Path) -> None:
    """The folder may go at any moment."""
    cache = kept(folder)
    new_file = cache.new_file()
    assert new_file is not None
    new_file.write_bytes(b"graph")
    shutil.rmtree(folder)
    cache.keep(new_file)
    assert cache.read() is None
    keep(cache)
    assert cache.read() == b"graph"


def test_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest few files stay; what a crash left goes after a while, a large one at once."""
    for number in range(6):
        keep(kept(folder, str(number)))
        old = time.time() - 100 + number
        newest = max(folder.glob("*.optimised"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (old, old))
    found = [number for number in range(6) if kept(folder, str(number)).read()]
    assert found == [2, 3, 4, 5]
    left, under_way = kept(folder).new_file(), kept(folder).new_file()
    assert left is not None
    assert under_way is not None
    os.utime(left, (1, 1))
    keep(kept(folder, "6"))
    assert (left.exists(), under_way.exists()) == (False, True)
    under_way.unlink()
    monkeypatch.setattr(graph_cache, "_MAX_BYTES", 8)
    keep(kept(folder, "large"), b"123456789")
    assert kept(folder, "large").read() is None
    assert len(list(folder.iterdir())) == 4


def test_model_of_several_files(tmp_path: Path, folder: Path) -> None:
    """A graph that reads other files is optimised each time."""
    write_external_model(tmp_path / "external")
    outside = load_model(tmp_path / "external")
    assert probabilities(outside, folder) == probabilities(outside, None)
    assert not folder.exists()


OPEN = """
import sys
from pathlib import Path
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.scoring.detector import Detector
Detector(find_model("default", ()), ("CPUExecutionProvider",), Path(sys.argv[1])).open()
"""


@pytest.mark.slow
def test_two_at_once(folder: Path) -> None:
    """Processes that begin together end with one sound file between them."""
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(folder)], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert (process.returncode, errors) == (0, b"")
    bundled = find_model("default", ())
    path = only_file(folder)
    content = path.read_bytes()
    assert probabilities(bundled, folder) == probabilities(bundled, None)
    assert path.read_bytes() == content
