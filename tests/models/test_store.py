"""Finding a model by name or path, and making sure of its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.store import BUNDLED_MODELS, DEFAULT_MODEL, find_model
from tests.support.onnx_models import (
    change_card,
    checksums,
    load_model,
    write_external_model,
    write_model,
    write_v94_shaped,
)


def test_find_by_id(tmp_path: Path) -> None:
    """A model is found by its id in the folders that were given."""
    folder = write_model(tmp_path / "models" / "loudness")
    model = find_model("loudness", [tmp_path / "none", tmp_path / "models"])
    assert folder == model.folder
    assert folder / "model.onnx" == model.graph
    model.verify()


def test_given_folders_come_first(tmp_path: Path) -> None:
    """Of two folders with the same id the first one counts."""
    for name, version in (("one", "1.0"), ("two", "2.0")):
        write_model(tmp_path / name / "loudness", version=version)
    label = find_model("loudness", [tmp_path / "two", tmp_path / "one"]).card.label
    assert label == "loudness-2.0"


def test_find_by_path(tmp_path: Path) -> None:
    """A path that ends in ``.onnx`` is a model with its card beside it."""
    folder = write_model(tmp_path)
    assert folder / "model.onnx" == find_model(str(folder / "model.onnx")).graph


def test_find_default() -> None:
    """``default`` is the bundled model, by whatever id."""
    model = find_model("default")
    assert model.folder.name == model.card.model_id


def test_path_of_another_graph(tmp_path: Path) -> None:
    """A card that describes another graph than the one asked for is refused."""
    folder = write_model(tmp_path)
    with pytest.raises(ModelError, match=r"describes model\.onnx, not other\.onnx"):
        find_model(str(folder / "other.onnx"))


def test_path_without_card(tmp_path: Path) -> None:
    """A graph without its card is refused with what is missing."""
    with pytest.raises(ModelError, match=r"card\.json: .*a model needs its card"):
        find_model(str(tmp_path / "model.onnx"))


@pytest.mark.parametrize("name", ["none", "", "..", "../loudness", "models/loudness"])
def test_unknown_name(name: str, tmp_path: Path) -> None:
    """A name that is no model's is refused with those that there are."""
    write_model(tmp_path / "models" / "loudness")
    with pytest.raises(ModelError) as caught:
        find_model(name, [tmp_path / "models"])
    message = str(caught.value)
    assert message.startswith(f"there is no model {name!r}: ")
    assert "default" in message
    assert "loudness" in message


def test_an_installed_model_cannot_stand_for_a_bundled_one(tmp_path: Path) -> None:
    """A folder with a bundled model's id is passed over, by its id and as the default."""
    write_model(tmp_path / DEFAULT_MODEL, model_id=DEFAULT_MODEL, version="666")
    for name in ("default", DEFAULT_MODEL):
        model = find_model(name, [tmp_path])
        assert model.folder == BUNDLED_MODELS / DEFAULT_MODEL
    given = tmp_path / DEFAULT_MODEL / "model.onnx"
    assert find_model(str(given)).folder == given.parent


def refuse(folder: Path) -> str:
    """Return the message that the files of a model are refused with; it is one line."""
    with pytest.raises(ModelError) as caught:
        load_model(folder).verify()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_external_data_on_the_card(tmp_path: Path) -> None:
    """External data beside the graph and on the card are part of the model."""
    load_model(write_external_model(tmp_path)).verify()


def test_external_data_that_the_card_does_not_name(tmp_path: Path) -> None:
    """Without a checksum, external data are refused, though they are there."""
    folder = write_external_model(tmp_path, is_named=False)
    assert refuse(folder).endswith("needs 'weights.bin', which its card does not name")


@pytest.mark.parametrize("how", ["missing", "changed"])
def test_external_data_that_are_wrong(how: str, tmp_path: Path) -> None:
    """Missing or changed external data are named."""
    data = write_external_model(tmp_path) / "weights.bin"
    data.unlink() if how == "missing" else data.write_bytes(b"\0\0\0\0")
    message = refuse(tmp_path)
    assert str(data) in message
    assert message.endswith("reinstall it")


@pytest.mark.parametrize(
    "location",
    ["../weights.bin", "nested/weights.bin", "./weights.bin", "/tmp/w.bin", "..", "a\\b", ""],
)
def test_external_data_elsewhere(location: str, tmp_path: Path) -> None:
    """Data by a path that is not a plain name are refused, whether they exist or not."""
    folder = tmp_path / "model"
    (tmp_path / "weights.bin").write_bytes(b"elsewhere")
    write_external_model(folder)
    relocate(folder / "model.onnx", location)
    change_card(folder, files=checksums(folder, "model.onnx"))
    expected = f"reads {location!r}; external data must lie in the folder of its model"
    assert refuse(folder).endswith(expected)


def relocate(graph: Path, location: str) -> None:
    model = onnx.load(str(graph), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    graph.write_bytes(model.SerializeToString())


def test_the_official_shape(tmp_path: Path) -> None:
    """Graph and data in the shape of the official model pass with a card, not without one."""
    folder = write_model(tmp_path)
    names = write_v94_shaped(folder)
    change_card(folder, files=checksums(folder, *names))
    load_model(folder).verify()
    change_card(folder, files=checksums(folder, names[0]))
    assert names[1] in refuse(folder)


def test_a_moved_model_is_the_same(tmp_path: Path) -> None:
    """A model's files are found beside its card, wherever the folder goes."""
    folder = shutil.copytree(write_external_model(tmp_path / "a"), tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    load_model(folder).verify()


def test_path_that_passes_for_the_bundled_model(tmp_path: Path) -> None:
    """Other files under the bundled model's id and version are refused."""
    card = find_model("default").card
    folder = write_model(tmp_path, model_id=card.model_id, version=card.version)
    with pytest.raises(ModelError, match="has the id and version of the bundled model"):
        find_model(str(folder / "model.onnx"))
    folder = write_model(tmp_path, model_id=card.model_id, version=f"{card.version}.1")
    assert find_model(str(folder / "model.onnx")).card.version == f"{card.version}.1"
