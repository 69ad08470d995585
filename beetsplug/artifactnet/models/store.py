"""Models as folders: an ONNX file, its ``card.json`` and a README, named by model id."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.card import CARD_FILE, ModelCard, is_plain_name, read_card
from beetsplug.artifactnet.models.onnx_file import external_files

DEFAULT_MODEL = "finecomb"
BUNDLED_MODELS = Path(__file__).parent
_CHUNK_BYTES = 1 << 20


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
    def is_bundled(self) -> bool:
        """Whether it came with this package."""
        return self.folder.parent == BUNDLED_MODELS

    def verify(self) -> None:
        """Check that every file is the one that the card names, and that there is no other.

        Raises:
            ModelError: A file is missing or has another sha256, or the graph reads a
                file that the card does not name.
        """
        for name, sha256 in self.card.files.items():
            path = self.folder / name
            try:
                found = sha256_of(path)
            except OSError as error:
                raise ModelError(
                    f"model {self.card.label}: {path}: {error.strerror}; reinstall it"
                ) from error
            if found != sha256:
                raise ModelError(
                    f"model {self.card.label}: {path} is not the file that its card names "
                    f"(sha256 {found[:12]}..., not {sha256[:12]}...); reinstall it"
                )
        check_external_files(self.graph, self.card.files)


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in 64 hex digits.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


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
    if bundled.is_file() and _is_mistakable(card, read_card(bundled)):
        raise ModelError(
            f"{graph.with_name(CARD_FILE)} has the id and version of the bundled model, "
            f"{card.label}, for other files; give it its own, or scores would be mixed"
        )
    return Model(card, graph.parent)


def _is_mistakable(card: ModelCard, bundled: ModelCard) -> bool:
    return card.label == bundled.label and dict(card.files) != dict(bundled.files)


def model_ids(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the ids of the models in these folders, valid or not, sorted in each."""
    for folder in folders:
        yield from sorted(card.parent.name for card in folder.glob(f"*/{CARD_FILE}"))
