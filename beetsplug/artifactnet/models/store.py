"""Models as folders: an ONNX file, its ``card.json`` and a README, named by model id."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.card import CARD_FILE, ModelCard, is_plain_name, read_card
from beetsplug.artifactnet.models.files import check_file, sha256_of
from beetsplug.artifactnet.models.onnx_file import external_files

DEFAULT_MODEL = "finecomb"
BUNDLED_MODELS = Path(__file__).parent


@dataclass(frozen=True)
class Model:
    """A model's card and the folder that its files lie in."""

    card: ModelCard
    folder: Path

    @property
    def graph(self) -> Path:
        """Path of the ONNX graph."""
        return self.folder / next(iter(self.card.files))

    @property
    def n_bytes(self) -> int:
        """Size of all its files together.

        Raises:
            ModelError: One is missing, no regular file, or too large.
        """
        try:
            return sum(check_file(self.folder / name) for name in self.card.files)
        except ModelError as error:
            raise ModelError(f"{error}; reinstall it") from error

    def verify(self) -> None:
        """Check that every file is the one that the card names, and that there is no other.

        Raises:
            ModelError: A file is missing, no regular file, too large, or has another
                sha256, or the graph reads a file that the card does not name.
        """
        try:
            check_sha256(self.folder, self.card.files)
        except ModelError as error:
            raise ModelError(f"model {self.card.label}: {error}; reinstall it") from error
        check_external_files(self.graph, self.card.files)


def check_sha256(folder: Path, files: Mapping[str, str]) -> None:
    """Check that files are the ones that a card names.

    Raises:
        ModelError: One is missing, no regular file, too large, or has another sha256.
    """
    for name, sha256 in files.items():
        found = sha256_of(folder / name)
        if found != sha256:
            raise ModelError(
                f"{folder / name} is not the file that its card names "
                f"(sha256 {found[:12]}..., not {sha256[:12]}...)"
            )


def check_external_files(graph: Path, names: Iterable[str]) -> None:
    """Check that a graph reads no file but these, which lie in its own folder.

    Raises:
        ModelError: It does, or it is no ONNX file.
    """
    others = sorted(external_files(graph) - set(names))
    if not others:
        return
    if is_plain_name(others[0]):
        raise ModelError(f"{graph} needs {others[0]!r}, which its card does not name")
    raise ModelError(
        f"{graph} reads {others[0]!r}; external data must lie in the folder of its model"
    )


def find_model(name: str, folders: Sequence[Path] = ()) -> Model:
    """Return a model by ``default``, by its id, or by the path of its ``.onnx`` file.

    Args:
        name: What the user wrote in ``model:``.
        folders: Where models are looked for by id, beside the bundled ones.

    Raises:
        ModelError: There is no such model, or its card is not valid.
    """
    if name.endswith(".onnx"):
        return open_model(Path(os.path.expanduser(name)))  # noqa: PTH111 - leaves an unknown ~user
    model_id = DEFAULT_MODEL if name == "default" else name
    for folder in (BUNDLED_MODELS, *folders):
        if is_plain_name(model_id) and (folder / model_id / CARD_FILE).is_file():
            return Model(read_card(folder / model_id / CARD_FILE), folder / model_id)
    known = ", ".join(sorted({"default", *model_ids((*folders, BUNDLED_MODELS))}))
    raise ModelError(
        f"there is no model {name!r}: set `model:` to one of {known}, "
        f"or to the path of an .onnx file with a {CARD_FILE} beside it"
    )


def open_model(graph: Path) -> Model:
    """Return the model of an ONNX file with its card beside it.

    Raises:
        ModelError: There is no valid card, or it is another file's.
    """
    card = read_card(graph.with_name(CARD_FILE))
    if next(iter(card.files)) != graph.name:
        raise ModelError(
            f"{graph.with_name(CARD_FILE)} describes {next(iter(card.files))}, not {graph.name}"
        )
    bundled = BUNDLED_MODELS / card.model_id / CARD_FILE
    ours = read_card(bundled) if bundled.is_file() else card
    if ours.label == card.label and dict(ours.files) != dict(card.files):
        raise ModelError(
            f"{graph.with_name(CARD_FILE)} has the id and version of the bundled model, "
            f"{card.label}, for other files; give it its own, or scores would be mixed"
        )
    return Model(card, graph.parent)


def model_ids(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the ids of the models in these folders, valid or not, sorted in each."""
    for folder in folders:
        yield from sorted(card.parent.name for card in folder.glob(f"*/{CARD_FILE}"))


def is_reserved(model_id: str) -> bool:
    """Tell whether an id is a bundled model's, or means something else in ``model:``."""
    bundled = {*model_ids((BUNDLED_MODELS,)), "default"}
    return model_id in bundled or model_id.endswith(".onnx")


def installed_folder(model_id: str, models: Path) -> Path:
    """Return the folder of an installed model, valid or not.

    Raises:
        ModelError: There is none of this id, or it is bundled.
    """
    if model_id in {*model_ids((BUNDLED_MODELS,)), "default"}:
        raise ModelError(f"the model {model_id} came with the plugin and stays with it")
    if not is_plain_name(model_id) or not os.path.lexists(models / model_id):
        installed = ", ".join(installed_models(models)) or "none"
        raise ModelError(f"no model {model_id!r} is installed; installed: {installed}")
    return models / model_id


def installed_models(models: Path) -> dict[str, Model | ModelError]:
    """Return what lies in the folder of installed models, sorted by name.

    A model that cannot be used stands there as the error that says why.
    """
    folders = sorted(path for path in models.glob("[!.]*") if path.is_dir())
    return {folder.name: _inspected(folder) for folder in folders}


def _inspected(folder: Path) -> Model | ModelError:
    try:
        model = Model(read_card(folder / CARD_FILE), folder)
        model.n_bytes  # noqa: B018 - each file is there
    except ModelError as error:
        return error
    if model.card.model_id != folder.name:
        return ModelError(f"its card says model_id {model.card.model_id!r}")
    if is_reserved(folder.name):
        return ModelError("the bundled model has this id, and is used instead")
    return model
