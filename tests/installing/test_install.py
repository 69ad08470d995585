"""Installing models: downloads that go wrong in every way, and what is left then."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.installing.download import Limits, check_url, download, shown
from beetsplug.artifactnet.installing.install import install, remove
from beetsplug.artifactnet.models.card import parse_card
from beetsplug.artifactnet.models.catalogue import KNOWN_MODELS
from beetsplug.artifactnet.models.store import (
    DEFAULT_MODEL,
    Model,
    find_model,
    installed_models,
    model_ids,
)
from tests.support import model_server as web
from tests.support.onnx_models import (
    V94_DATA,
    V94_GRAPH,
    change_card,
    write_external_model,
    write_inputs_model,
    write_model,
    write_song_model,
    write_v94_shaped,
)

QUICK = Limits(timeout_s=0.4, pause_s=0.01)
V94 = KNOWN_MODELS["artifactnet-v9.4"]
NAMES = (V94_GRAPH, V94_DATA)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    write_v94_shaped(folder)
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[web.ModelServer]:
    with web.model_server(served) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def get(
    server: web.ModelServer, models: Path, limits: Limits = QUICK, *, replaces: bool = False
) -> Model:
    """Install the v9.4-shaped model from a server."""
    return install(V94.card, server.url, V94.graph, models, replaces=replaces, limits=limits)


def copy(folder: Path, models: Path, *, replaces: bool = False) -> Model:
    """Install the v9.4-shaped model from a folder."""
    return install(V94.card, folder, V94.graph, models, replaces=replaces)


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones too."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def own(folder: Path) -> Mapping[str, Any]:
    """Return the values of the card in a folder."""
    values: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return values


def install_own(folder: Path, models: Path, *, replaces: bool = False, **fields: Any) -> Model:
    """Install the ``model.onnx`` in a folder with its card, some fields replaced or None."""
    values = {**own(folder), **fields}
    return install(values, folder, "model.onnx", models, replaces=replaces)


class TestDownload:
    def test_whole_model(self, server: web.ModelServer, models: Path, served: Path) -> None:
        """Both files arrive; the card records their sha256 and the graph's output."""
        model = get(server, models)
        assert [name for name, _ in server.requests] == list(NAMES)
        assert model.folder == models / "artifactnet-v9.4"
        assert sorted(tree(models)) == sorted(
            f"artifactnet-v9.4/{name}" for name in (*NAMES, "card.json")
        )
        card = find_model("artifactnet-v9.4", [models]).card
        assert card.files == {
            name: hashlib.sha256((served / name).read_bytes()).hexdigest() for name in NAMES
        }
        assert card.output_name == "p_ai"
        assert card.label == "artifactnet-v9.4-e915f0d"
        model.verify()

    def test_a_break_is_mended(self, server: web.ModelServer, models: Path) -> None:
        """After a break the rest is asked for, of the same version of the file."""
        server.answers += [web.serve, web.breaks_after(300_000)]
        get(server, models).verify()
        _, _, (name, headers) = server.requests
        assert name == V94_DATA
        first = int(headers["Range"].removeprefix("bytes=").rstrip("-"))
        assert 0 < first <= 300_000
        assert headers["If-Range"] == web.etag((server.folder / V94_DATA).read_bytes())

    def test_a_break_without_a_tag_begins_anew(
        self, server: web.ModelServer, models: Path
    ) -> None:
        """Where the server names no version, nothing is pieced together."""
        server.answers += [web.serve, web.breaks_after(300_000, tagged=False)]
        get(server, models).verify()
        assert "Range" not in server.requests[-1][1]

    def test_the_file_changes_during_a_break(
        self, server: web.ModelServer, tmp_path: Path
    ) -> None:
        """What came of the old file is thrown away."""
        server.folder = tmp_path
        (tmp_path / "file").write_bytes(b"old" * 100_000)

        def breaks_and_changes(handler: Any, path: Path) -> None:
            web.breaks_after(200_000)(handler, path)
            path.write_bytes(b"new!" * 50_000)

        server.answers.append(breaks_and_changes)
        download(f"{server.url}/file", tmp_path / "here", QUICK)
        assert (tmp_path / "here").read_bytes() == b"new!" * 50_000
        assert "Range" in server.requests[-1][1]

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_server_recovers(
        self, status: int, server: web.ModelServer, models: Path
    ) -> None:
        """A server that is busy for a moment is asked again."""
        server.answers += [web.says(status), web.says(status)]
        get(server, models).verify()

    def test_an_impossible_range_begins_anew(
        self, server: web.ModelServer, models: Path
    ) -> None:
        """A server that cannot go on where it broke off is asked for the whole file."""
        server.answers += [web.serve, web.breaks_after(300_000), web.says(416)]
        get(server, models).verify()
        assert "Range" not in server.requests[-1][1]

    def test_redirect_on_this_machine(
        self, server: web.ModelServer, models: Path, served: Path
    ) -> None:
        """A redirection to where models may come from is followed."""
        with web.model_server(served) as other:
            server.answers += [web.redirects(f"{other.url}/{name}") for name in NAMES]
            get(server, models).verify()
        assert len(other.requests) == 2

    def test_announced_sha256(self, server: web.ModelServer, models: Path) -> None:
        """A sha256 that the server announces is checked, and one that is true passes."""
        for name in NAMES:
            data = (server.folder / name).read_bytes()
            server.answers.append(web.announces(hashlib.sha256(data).hexdigest()))
        get(server, models).verify()


FAILURES: dict[str, tuple[list[web.Answer], str]] = {
    "missing": ([web.serve, web.says(404)], r"/artifactnet_v94_full\.onnx\.data: .* 404"),
    "forbidden": ([web.says(401)], r"the server answered 401"),
    "broken server": ([web.says(500)] * 3, r"the server answered 500"),
    "breaks": (
        [web.serve, *[web.breaks_after(200_000, tagged=False)] * 3],
        r"the transfer broke off after [\d,]+ bytes",
    ),
    "hangs": ([web.hangs] * 3, r"no answer within 0\.4 s"),
    "stalls": (
        [web.serve, *[web.hangs_after(99_000)] * 3],
        r"the transfer broke off after [\d,]+ bytes",
    ),
    "trickles": ([web.serve, web.trickles], r"slower than 10 kB/s, given up"),
    "trickles its headers": ([web.trickles_headers] * 3, r"no answer within 0\.4 s"),
    "truncates the graph": ([web.truncates(200)], r"is no ONNX file, or a damaged one"),
    "truncates the data": (
        [web.serve, web.truncates(70_000)],
        r"model artifactnet-v9\.4-e915f0d cannot be loaded: ",
    ),
    "another page": ([web.truncates(0)], r"cannot be loaded|has the outputs|no ONNX file"),
    "lies about the hash": (
        [web.serve, web.announces("0" * 64)],
        r"what came is not the file that the server announced",
    ),
    "never ends": ([web.serve, web.never_ends], r"larger than 1 MB, the most"),
    "says it is too large": ([web.announces_length("3000000")], r"larger than 1 MB"),
    "says more": ([web.announces_length("900000")] * 3, r"the transfer broke off after"),
    "redirects to http": (
        [web.redirects("http://models.example.org/file")],
        r"http://models\.example\.org/file: models are fetched over https alone",
    ),
    "redirects to a file": ([web.redirects("file:///etc/passwd")], r"over https alone"),
    "redirects in a circle": (
        [web.redirects("/round")] * 40,
        r"[Rr]edirect",
    ),
}


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.slow
def test_failed_download(kind: str, server: web.ModelServer, models: Path) -> None:
    """Each failure is one line, and leaves nothing: neither a model nor part of one."""
    answers, message = FAILURES[kind]
    server.answers += answers
    with pytest.raises(ModelError, match=message) as caught:
        get(server, models, replace(QUICK, max_bytes=1_000_000))
    assert "\n" not in str(caught.value)
    assert tree(models) == {}
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "never ends", "truncates the data"])
def test_failed_download_leaves_what_was_there(
    kind: str, server: web.ModelServer, models: Path
) -> None:
    """An installed model survives a reinstallation that fails, byte for byte."""
    get(server, models)
    before = tree(models)
    server.answers += FAILURES[kind][0]
    with pytest.raises(ModelError):
        get(server, models, replace(QUICK, max_bytes=1_000_000), replaces=True)
    assert tree(models) == before


def test_offline(models: Path) -> None:
    """A server that is not there is one line that names the way without it."""
    with pytest.raises(ModelError, match=r"cannot be reached; are you offline\?.*--from DIR"):
        install(V94.card, "http://127.0.0.1:9", V94.graph, models, limits=QUICK)
    assert tree(models) == {}


def test_a_partial_model_is_never_found(server: web.ModelServer, models: Path) -> None:
    """While files arrive there is no model to be found, even by an odd name."""
    seen = []

    def looks(handler: Any, path: Path) -> None:
        seen.append((list(model_ids([models])), installed_models(models), len(tree(models))))
        web.serve(handler, path)

    server.answers += [looks, looks]
    get(server, models)
    assert [(ids, entries) for ids, entries, _ in seen] == [([], {}), ([], {})]
    assert seen[1][2] >= 1
    assert list(model_ids([models])) == ["artifactnet-v9.4"]


@pytest.mark.slow
def test_full_disk(tmp_path: Path, served: Path) -> None:
    """A disk that takes no more is one line, and nothing stays behind."""
    models = tmp_path / "models"
    code = (
        "import sys, pathlib\n"
        "from beetsplug.artifactnet.installing.install import install\n"
        "from beetsplug.artifactnet.models.catalogue import KNOWN_MODELS\n"
        "v94 = KNOWN_MODELS['artifactnet-v9.4']\n"
        "install(v94.card, sys.argv[1], v94.graph, pathlib.Path(sys.argv[2]))\n"
    )
    with web.model_server(served) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.url, str(models)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
        )
    last = done.stderr.splitlines()[-1]
    assert last.endswith("ModelError: " + f"{models}: File too large; nothing was changed")
    assert list(models.iterdir()) == []


def test_no_right_to_write(tmp_path: Path, served: Path) -> None:
    """A folder that cannot be made is one line."""
    (tmp_path / "models").write_text("a file", encoding="utf-8")
    with pytest.raises(ModelError, match=r"models.*; nothing was changed"):
        copy(served, tmp_path / "models")


def test_what_a_killed_process_left_is_swept(models: Path, served: Path) -> None:
    """Old leftovers go with the next installation; what may be at work stays."""
    for name, age_s in (("dead", 7_200), ("alive", 0)):
        folder = models / f".incoming-{name}"
        folder.mkdir(parents=True)
        (folder / "part").write_bytes(b"x")
        then = time.time() - age_s
        for path in (folder / "part", folder):
            os.utime(path, (then, then))
    copy(served, models)
    assert [path.name for path in models.glob(".*")] == [".incoming-alive"]
    assert list(installed_models(models)) == ["artifactnet-v9.4"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "http://127.0.0.1.example.org/x",
        "http://10.0.0.1/x",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "example.org/x",
        "https://",
        "https://[::1/x",
        "",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    """Nothing but https, and http from this machine, is asked at all."""
    with pytest.raises(ModelError, match="https alone"):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://example.org/x", "http://127.0.0.2:8/x", "http://[::1]:8/", "http://localhost/x"],
)
def test_addresses_that_are_allowed(url: str) -> None:
    """What comes from anywhere comes over https; over http, from this machine."""
    check_url(url)
    assert shown(url) == url


def test_secrets_are_not_shown() -> None:
    """User, password and query of an address stay out of messages."""
    assert shown("https://me:secret@example.org/x?token=1#y") == "https://example.org/x"


class TestByHand:
    def test_from_folder(self, models: Path, served: Path) -> None:
        """Files that were downloaded by hand make the same model."""
        model = copy(served, models)
        model.verify()
        assert model.card.label == "artifactnet-v9.4-e915f0d"

    def test_links_become_files(self, models: Path, served: Path, tmp_path: Path) -> None:
        """A cache's links are followed: what is installed needs no cache."""
        for name in NAMES:
            (tmp_path / name).symlink_to(served / name)
        model = copy(tmp_path, models)
        assert not any((model.folder / name).is_symlink() for name in NAMES)
        model.verify()

    def test_a_missing_file(self, models: Path, served: Path, tmp_path: Path) -> None:
        """The file that is not there is named."""
        shutil.copyfile(served / V94_GRAPH, tmp_path / V94_GRAPH)
        with pytest.raises(ModelError, match=r"v94_full\.onnx\.data: No such file"):
            copy(tmp_path, models)
        assert tree(models) == {}

    def test_a_pipe_is_no_file(self, models: Path, tmp_path: Path) -> None:
        """What is no regular file is not read: it might never end."""
        os.mkfifo(tmp_path / V94_GRAPH)
        with pytest.raises(ModelError, match="is no regular file"):
            copy(tmp_path, models)

    def test_changed_files_do_not_take_the_label(
        self, models: Path, served: Path, tmp_path: Path
    ) -> None:
        """Other files under the label of installed ones would mix scores: refused."""
        copy(served, models)
        before = tree(models)
        write_v94_shaped(tmp_path, output_name="other")
        with pytest.raises(ModelError, match=r"not the files that artifactnet-v9\.4-e9"):
            copy(tmp_path, models, replaces=True)
        assert tree(models) == before

    def test_reinstallation_mends(self, models: Path, served: Path) -> None:
        """A damaged model is whole after it was installed again."""
        model = copy(served, models)
        (model.folder / V94_DATA).write_bytes(b"damaged")
        with pytest.raises(ModelError, match="reinstall it"):
            model.verify()
        copy(served, models, replaces=True).verify()
        assert [path.name for path in models.iterdir()] == ["artifactnet-v9.4"]


class TestOwn:
    @pytest.mark.parametrize("write", [write_model, write_song_model, write_inputs_model])
    def test_every_contract(self, write: Any, models: Path, tmp_path: Path) -> None:
        """A model of each contract is installed with its card as it is."""
        folder = write(tmp_path / "mine")
        model = install_own(folder, models)
        assert own(model.folder) == own(folder)
        model.verify()

    def test_external_data(self, models: Path, tmp_path: Path) -> None:
        """External data beside the graph come along."""
        folder = write_external_model(tmp_path / "mine")
        model = install_own(folder, models)
        assert sorted(tree(model.folder)) == ["card.json", "model.onnx", "weights.bin"]

    def test_files_and_output_may_be_left_out(self, models: Path, tmp_path: Path) -> None:
        """What the files themselves tell need not stand on the card."""
        folder = write_external_model(tmp_path / "mine")
        values = own(folder)
        model = install_own(folder, models, files=None, output={"kind": "probability"})
        assert own(model.folder)["files"] == values["files"]
        assert model.card.output_name == "score"

    @pytest.mark.parametrize("location", ["../weights.bin", "sub/weights.bin"])
    def test_data_outside_the_folder(self, location: str, models: Path, tmp_path: Path) -> None:
        """A graph that reads files elsewhere is refused."""
        folder = write_external_model(tmp_path / "mine", location, is_named=False)
        with pytest.raises(ModelError, match="must lie in the folder of its model"):
            install_own(folder, models)
        assert tree(models) == {}

    def test_missing_data(self, models: Path, tmp_path: Path) -> None:
        """External data that are not there are named."""
        folder = write_external_model(tmp_path / "mine")
        (folder / "weights.bin").unlink()
        with pytest.raises(ModelError, match=r"weights\.bin: No such file"):
            install_own(folder, models)

    def test_a_wrong_hash(self, models: Path, tmp_path: Path) -> None:
        """A card that names the files' sha256 must name the right ones."""
        folder = write_model(tmp_path / "mine")
        wrong = {"model.onnx": "0" * 64}
        with pytest.raises(
            ModelError, match=r"model\.onnx is not the file that its card names"
        ):
            install_own(folder, models, files=wrong)
        assert tree(models) == {}

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"crop": "middle"}, r"crop is 'middle', it must be 'even', 'centre' or 'start'"),
            ({"model_id": "../x"}, r"model_id is '\.\./x', it must be lower-case"),
            ({"model_id": DEFAULT_MODEL}, "means something else"),
            ({"model_id": "default"}, "means something else"),
            ({"model_id": "x.onnx"}, "means something else"),
            ({"files": {"other.onnx": "0" * 64}}, r"describes other\.onnx, not model\.onnx"),
            ({"files": {"../x": "0" * 64}}, "file names without a folder"),
            ({"output": {"name": "p", "kind": "probability"}}, "has the outputs score"),
            ({"output": {"name": "score"}}, r"output\.kind is missing"),
            ({"output": None}, "output is missing"),
        ],
    )
    def test_bad_cards(
        self, fields: dict[str, Any], message: str, models: Path, tmp_path: Path
    ) -> None:
        """A card that is wrong in itself or of its files says where; nothing is installed."""
        folder = write_model(tmp_path / "mine")
        with pytest.raises(ModelError, match=message):
            install_own(folder, models, **fields)
        assert tree(models) == {}

    @pytest.mark.parametrize("values", [[], "card", 3, None])
    def test_a_card_that_is_no_object(self, values: Any, models: Path, tmp_path: Path) -> None:
        """Whatever JSON a card holds, there is no traceback."""
        folder = write_model(tmp_path / "mine")
        with pytest.raises(ModelError, match="the card must be an object"):
            install(values, folder, "model.onnx", models)

    def test_no_onnx_file(self, models: Path, tmp_path: Path) -> None:
        """A file that is no graph is refused."""
        folder = write_model(tmp_path / "mine")
        (folder / "model.onnx").write_bytes(b"<html>sign in</html>")
        with pytest.raises(ModelError, match="no ONNX file"):
            install_own(folder, models, files=None)
        assert tree(models) == {}

    def test_installed_twice(self, models: Path, tmp_path: Path) -> None:
        """An id that is taken is not taken over, unless that is asked for."""
        folder = write_model(tmp_path / "mine")
        install_own(folder, models)
        with pytest.raises(ModelError, match="a model loudness is installed already; --force"):
            install_own(folder, models, version="2")
        model = install_own(folder, models, replaces=True, version="2")
        assert model.card.label == "loudness-2"
        assert [path.name for path in models.iterdir()] == ["loudness"]


class TestRemove:
    def test_installed(self, models: Path, tmp_path: Path) -> None:
        """What was installed is gone, and nothing else."""
        install_own(write_model(tmp_path / "one"), models)
        install_own(write_model(tmp_path / "two", model_id="other"), models)
        remove("loudness", models)
        assert [path.name for path in models.iterdir()] == ["other"]

    def test_a_link_alone_is_removed(self, models: Path, tmp_path: Path) -> None:
        """Of a folder that was linked in, only the link goes."""
        folder = write_model(tmp_path / "mine")
        models.mkdir()
        (models / "loudness").symlink_to(folder)
        remove("loudness", models)
        assert list(models.iterdir()) == []
        assert (folder / "model.onnx").is_file()

    @pytest.mark.parametrize("name", ["default", DEFAULT_MODEL])
    def test_bundled(self, name: str, models: Path) -> None:
        """The bundled model cannot be removed."""
        with pytest.raises(ModelError, match="came with the plugin"):
            remove(name, models)
        find_model("default")

    @pytest.mark.parametrize("name", ["none", "..", "", "../mine", ".incoming/x"])
    def test_nothing_there(self, name: str, models: Path, tmp_path: Path) -> None:
        """What is no model is not removed, wherever it lies."""
        install_own(write_model(tmp_path / "mine"), models)
        with pytest.raises(ModelError, match="is installed; installed: loudness"):
            remove(name, models)
        assert (tmp_path / "mine" / "model.onnx").is_file()


def test_broken_folders_are_told(models: Path, tmp_path: Path) -> None:
    """Each folder that is no model says why, and the others are there all the same."""
    install_own(write_model(tmp_path / "mine"), models)
    (models / "empty").mkdir()
    write_model(models / "misnamed")
    change_card(write_model(models / "wrong"), crop=3)
    (write_model(models / "halved", model_id="halved") / "model.onnx").unlink()
    write_model(models / DEFAULT_MODEL, model_id=DEFAULT_MODEL)
    everything = installed_models(models)
    assert isinstance(everything.pop("loudness"), Model)
    found = {name: str(error) for name, error in everything.items()}
    assert sorted(found) == ["empty", DEFAULT_MODEL, "halved", "misnamed", "wrong"]
    assert "a model needs its card" in found["empty"]
    assert "card says model_id 'loudness'" in found["misnamed"]
    assert "crop is 3" in found["wrong"]
    assert "model.onnx: No such file" in found["halved"]
    assert "bundled model has this id" in found[DEFAULT_MODEL]


def test_complete_known_cards_are_valid() -> None:
    """What is known of a model lacks nothing but what its files tell."""
    files = {"model.onnx": "0" * 64}
    for model_id, model in KNOWN_MODELS.items():
        if "output" in model.card:
            output = {"name": "p_ai", **model.card["output"]}
            card = parse_card({**model.card, "files": files, "output": output}, "here")
            assert card.model_id == model_id
    assert {i for i, m in KNOWN_MODELS.items() if "output" in m.card} == {
        "artifactnet-v9.4",
        "artifactnet-raw",
    }


def test_raw_candidate(models: Path, tmp_path: Path) -> None:
    """The raw candidate's card fits a model that hears a song in one call."""
    folder = write_song_model(tmp_path, sample_rate=44_100, segment_samples=176_400)
    card = KNOWN_MODELS["artifactnet-raw"].card
    model = install(card, folder, "model.onnx", models)
    assert model.card.label == "artifactnet-raw-1.2"
    assert (model.card.call, model.card.crop, model.card.max_segments) == ("song", "start", 15)


def test_documented_card() -> None:
    """The card that the documentation gives as an example has every field, and is valid."""
    page = Path(__file__).parents[2] / "docs" / "models.md"
    text = page.read_text(encoding="utf-8")
    block = re.search(r"^    \{\n(?:    .*\n)+?    \}\n", text, re.MULTILINE)
    assert block is not None
    values = json.loads(block[0])
    card = parse_card(values, "docs/models.md")
    assert card.label == "my-detector-3"
    assert {*values} - {"inputs", "output"} == {field.name for field in fields(card)} - {
        "inputs",
        "output_name",
        "output_kind",
        "segments_output",
        "evidence_output",
        "lines_output",
        "lines_hz",
        "branches",
    }
    for name in values:
        assert f"`{name}`" in text or f"`{name}." in text
