"""Installing and removing models: whole or not at all.

A model is put together in a hidden folder beside the others, opened once, and only then
moved to its place. Whatever goes wrong before leaves what was there.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.installing.download import Limits, check_url, download
from beetsplug.artifactnet.models.card import (
    CARD_FILE,
    is_plain_name,
    parse_card,
    read_card,
)
from beetsplug.artifactnet.models.onnx_file import external_files
from beetsplug.artifactnet.models.store import (
    BUNDLED_MODELS,
    Model,
    check_external_files,
    model_ids,
    sha256_of,
)
from beetsplug.artifactnet.scoring.detector import Detector

_INCOMING = ".incoming"
"""Where models are put together; a level deeper than where models are looked for."""
_ABANDONED_S = 3_600.0

Fetch = Callable[[Path], Sequence[str]]
"""Puts a model's files into a folder and returns their names, the graph first."""


def from_url(
    base_url: str, names: Sequence[str], limits: Limits, *, progress: bool = False
) -> Fetch:
    """Return what downloads files of these names from below an address."""

    def fetch(folder: Path) -> Sequence[str]:
        check_url(base_url)
        for name in names:
            url = f"{base_url.rstrip('/')}/{quote(name)}"
            download(url, folder / name, limits, progress=progress)
        return names

    return fetch


def from_folder(source: Path, names: Sequence[str]) -> Fetch:
    """Return what copies files of these names out of a folder."""

    def fetch(folder: Path) -> Sequence[str]:
        for name in names:
            _copy(source / name, folder / name)
        return names

    return fetch


def from_graph(graph: Path, named: Iterable[str] = ()) -> Fetch:
    """Return what copies a graph and the files that belong to it, which lie beside it.

    Args:
        graph: An ONNX file.
        named: What its card names; what the graph itself reads is added.
    """

    def fetch(folder: Path) -> Sequence[str]:
        _copy(graph, folder / graph.name)
        external = external_files(graph)
        check_external_files(graph, filter(is_plain_name, external))
        names = list(dict.fromkeys([graph.name, *named, *sorted(external)]))
        for name in names[1:]:
            _copy(graph.with_name(name), folder / name)
        return names

    return fetch


def _copy(source: Path, target: Path) -> None:
    """Copy a regular file; a link to one becomes the file itself."""
    if not source.is_file():
        raise ModelError(f"{source}: there is no such file; nothing was installed")
    shutil.copyfile(source, target)


def install(
    values: Mapping[str, Any],
    fetch: Fetch,
    models: Path,
    *,
    origin: str = CARD_FILE,
    replaces: bool = False,
) -> Model:
    """Install a model and return it.

    Args:
        values: Its card's fields. Where ``files`` is missing, the sha256 of what came is
            recorded; where ``output.name`` is, the name of the graph's only output.
        fetch: Where the files come from.
        models: The folder of installed models.
        origin: Where the card comes from, for the messages.
        replaces: Whether a model of this id may be there already.

    Raises:
        ModelError: The model cannot be had, is not what its card says, or there is one
            of its id; nothing has changed then.
    """
    model_id = check_new(values, models, origin=origin, replaces=replaces)
    target = models / model_id
    try:
        with _workplace(models, model_id) as folder:
            names = fetch(folder)
            completed = _completed(values, folder, names)
            model = Model(parse_card(completed, origin), folder)
            _check_files(model, names, origin)
            _check_label(model, target)
            # A model that does not load here must not be there tomorrow.
            Detector(model).open()
            text = json.dumps(completed, indent=2, ensure_ascii=False) + "\n"
            (folder / CARD_FILE).write_text(text, encoding="utf-8")
            _put_in_place(folder, target)
    except OSError as error:
        raise ModelError(
            f"{error.filename or models}: {error.strerror or error}; nothing was installed"
        ) from error
    return Model(model.card, target)


def check_new(values: Mapping[str, Any], models: Path, *, origin: str, replaces: bool) -> str:
    """Return the id of a card if a model of it may be installed.

    Raises:
        ModelError: The id is none, a bundled model's, or an installed one's that must
            not be replaced.
    """
    model_id = parse_card(_with_placeholders(values), origin).model_id
    if model_id in model_ids((BUNDLED_MODELS,)):
        raise ModelError(f"{origin}: the id {model_id} is the bundled model's; choose another")
    if model_id == "default" or model_id.endswith(".onnx"):
        raise ModelError(
            f"{origin}: model_id is {model_id!r}, which means something else in `model:`"
        )
    if _is_there(models / model_id) and not replaces:
        raise ModelError(f"a model {model_id} is installed already; --force replaces it")
    return model_id


def _with_placeholders(values: Any) -> Any:
    """Return a card's fields with those filled in that only the files can tell."""
    if not isinstance(values, dict):
        return values
    whole = dict(values)
    if whole.get("files") is None:
        whole["files"] = {"model.onnx": "0" * 64}
    output = whole.get("output")
    if isinstance(output, dict) and output.get("name") is None:
        whole["output"] = {**output, "name": "output"}
    return whole


def remove(model_id: str, models: Path) -> None:
    """Remove an installed model, valid or not.

    Raises:
        ModelError: It is bundled, not there, or cannot be removed.
    """
    folder = installed_folder(model_id, models)
    try:
        with _workplace(models, model_id) as incoming:
            # Out of sight at once: what is removed half is no model any more.
            folder.rename(incoming / model_id)
            if (incoming / model_id).is_symlink():
                (incoming / model_id).unlink()
    except OSError as error:
        raise ModelError(f"{folder}: {error.strerror or error}; not removed") from error


def installed_folder(model_id: str, models: Path) -> Path:
    """Return the folder of an installed model, valid or not.

    Raises:
        ModelError: There is none of this id, or it is bundled.
    """
    if model_id in model_ids((BUNDLED_MODELS,)) or model_id == "default":
        raise ModelError(f"the model {model_id} came with the plugin and stays with it")
    if not is_plain_name(model_id) or not _is_there(models / model_id):
        installed = ", ".join(entry.model_id for entry in installed_models(models))
        raise ModelError(
            f"no model {model_id!r} is installed; installed: {installed or 'none'}"
        )
    return models / model_id


@dataclass(frozen=True)
class Installed:
    """A folder among the installed models."""

    model_id: str
    model: Model | None
    problem: str
    """Why it is no model that can be used; empty where it can."""


def installed_models(models: Path) -> list[Installed]:
    """Return what lies in the folder of installed models, valid or not, sorted by id."""
    try:
        folders = sorted(path for path in models.iterdir() if path.is_dir())
    except OSError:
        return []
    return [_inspect(folder) for folder in folders if not folder.name.startswith(".")]


def _inspect(folder: Path) -> Installed:
    try:
        model = Model(read_card(folder / CARD_FILE), folder)
    except ModelError as error:
        return Installed(folder.name, None, str(error))
    missing = [name for name in model.card.files if not (folder / name).is_file()]
    problem = ""
    if missing:
        problem = f"{folder / missing[0]} is missing"
    elif model.card.model_id != folder.name:
        problem = f"its card says model_id {model.card.model_id!r}"
    elif folder.name in model_ids((BUNDLED_MODELS,)):
        problem = "the bundled model has this id, and is used instead"
    return Installed(folder.name, None if problem else model, problem)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


@contextmanager
def _workplace(models: Path, model_id: str) -> Iterator[Path]:
    """Yield an empty folder on the models' file system, gone afterwards if still there."""
    incoming = models / _INCOMING
    incoming.mkdir(parents=True, exist_ok=True)
    _sweep(incoming)
    folder = incoming / f"{model_id}-{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            # Unless another process is at work in it.
            incoming.rmdir()


def _sweep(incoming: Path) -> None:
    """Delete what a process that was killed has left; another one may be at work."""
    for folder in incoming.iterdir():
        with suppress(OSError):
            changed = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - changed > _ABANDONED_S:
                shutil.rmtree(folder)


def _completed(values: Mapping[str, Any], folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return a card's fields with those added that the files themselves tell."""
    completed = dict(values)
    if completed.get("files") is None:
        completed["files"] = {name: sha256_of(folder / name) for name in names}
    output = completed.get("output")
    if isinstance(output, dict) and output.get("name") is None:
        check_external_files(folder / names[0], names)
        completed["output"] = {**output, "name": _only_output(folder / names[0])}
    return completed


def _only_output(graph: Path) -> str:
    """Return the name of a graph's output, where it has one alone."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common base for its errors
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{graph.name} cannot be loaded: {line}") from error
    outputs = [output.name for output in session.get_outputs()]
    if len(outputs) != 1:
        raise ModelError(
            f"{graph.name} has the outputs {', '.join(outputs)}; the card must name one"
        )
    return str(outputs[0])


def _check_files(model: Model, names: Sequence[str], origin: str) -> None:
    """Check that a card's files are those that came, unchanged."""
    if model.graph.name != names[0]:
        raise ModelError(f"{origin} describes {model.graph.name}, not {names[0]}")
    for name, sha256 in model.card.files.items():
        found = sha256_of(model.folder / name)
        if found != sha256:
            raise ModelError(
                f"{name} is not the file that {origin} names (sha256 {found[:12]}..., "
                f"not {sha256[:12]}...); nothing was installed"
            )
    check_external_files(model.graph, model.card.files)


def _check_label(model: Model, target: Path) -> None:
    """Check that no other files take the label of installed ones.

    Scores are known by that label: those of two models would be mixed.
    """
    try:
        before = read_card(target / CARD_FILE)
    except ModelError:
        return
    if before.label == model.card.label and before.files != model.card.files:
        raise ModelError(
            f"these are not the files that {before.label} was installed with, and it keeps "
            f"its own; give another model another version, or remove the old one first"
        )


def _put_in_place(folder: Path, target: Path) -> None:
    """Move a finished folder to where it is found; an older one gives way."""
    if not _is_there(target):
        folder.rename(target)
        return
    old = folder.with_name(f"{folder.name}.old")
    target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        old.rename(target)
        raise
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)
