"""Installing and removing models: whole or not at all.

A model is put together in a hidden folder beside the others, run once, and only then moved
to its place. Whatever goes wrong before leaves what was there.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.installing.check import in_worker
from beetsplug.artifactnet.installing.download import DEFAULT_LIMITS, Limits, download
from beetsplug.artifactnet.models.card import CARD_FILE, is_plain_name, parse_card, read_card
from beetsplug.artifactnet.models.files import copy_file, sha256_of
from beetsplug.artifactnet.models.onnx_file import external_files
from beetsplug.artifactnet.models.store import (
    Model,
    check_external_files,
    check_sha256,
    installed_folder,
    is_reserved,
)
from beetsplug.artifactnet.scoring.detector import Detector

_INCOMING = ".incoming-"
_ABANDONED_S = 3_600.0


def install(
    values: Any,
    source: Path | str,
    graph: str,
    models: Path,
    *,
    replaces: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Model:
    """Install a model and return it.

    Args:
        values: Its card's fields. Where ``files`` is missing, the sha256 of what came is
            recorded; where ``output.name`` is, the name of the graph's only output.
        source: The folder that its files are copied from, or their address.
        graph: Name of the ONNX file; the others are those that card and graph name.
        models: The folder of installed models.
        replaces: Whether a model of this id may be there already.
        limits: Of a download.

    Raises:
        ModelError: The model cannot be had, is not what its card says, or there is one
            of its id; nothing has changed then.
    """
    target = models / check_new(values, models, replaces=replaces)
    named = list(values.get("files") or [graph])
    if named[0] != graph:
        raise ModelError(f"{CARD_FILE} describes {named[0]}, not {graph}")
    with _workplace(models) as place:
        folder = place / "new"
        folder.mkdir()
        _fetch(source, graph, folder, limits)
        names = list(dict.fromkeys([*named, *in_worker(_external, folder / graph)]))
        for name in names[1:]:
            _fetch(source, name, folder, limits)
        completed = in_worker(_completed, values, folder, names)
        model = Model(parse_card(completed, CARD_FILE), target)
        _check_label(model)
        text = json.dumps(completed, indent=2, ensure_ascii=False) + "\n"
        (folder / CARD_FILE).write_text(text, encoding="utf-8")
        _put_in_place(folder, target, place / "old")
    return model


def check_new(values: Any, models: Path, *, replaces: bool) -> str:
    """Return the id of a card if a model of it may be installed.

    Raises:
        ModelError: The card is not valid, or its id is taken.
    """
    if isinstance(values, dict) and values.get("files") is None:
        values = {**values, "files": {"model.onnx": "0" * 64}}
    model_id = parse_card(values, CARD_FILE).model_id
    if is_reserved(model_id):
        raise ModelError(f"the id {model_id} means something else; the card needs another")
    if os.path.lexists(models / model_id) and not replaces:
        raise ModelError(f"a model {model_id} is installed already; --force replaces it")
    return model_id


def remove(model_id: str, models: Path) -> None:
    """Remove an installed model, valid or not.

    Raises:
        ModelError: It is bundled, not there, or cannot be removed.
    """
    folder = installed_folder(model_id, models)
    with _workplace(models) as place:
        # Out of sight at once: what is removed half is no model any more.
        folder.rename(place / "old")


@contextmanager
def _workplace(models: Path) -> Iterator[Path]:
    """Yield a hidden folder on the models' file system; it goes with all that is in it."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        for left in models.glob(f"{_INCOMING}*"):
            # A process that was killed left it; another one may be at work.
            with suppress(OSError):
                changed = max(path.stat().st_mtime for path in (left, *left.rglob("*")))
                if time.time() - changed > _ABANDONED_S:
                    shutil.rmtree(left)
        with TemporaryDirectory(
            prefix=_INCOMING, dir=models, ignore_cleanup_errors=True
        ) as place:
            try:
                yield Path(place)
            except ModelError as error:
                line = str(error).replace(f"{place}{os.sep}new{os.sep}", "")
                raise ModelError(line) from error
    except OSError as error:
        reason = f"{error.filename or models}: {error.strerror or error}"
        raise ModelError(f"{reason}; nothing was changed") from error


def _fetch(source: Path | str, name: str, folder: Path, limits: Limits) -> None:
    if isinstance(source, Path):
        copy_file(source / name, folder / name)
    else:
        download(f"{source.rstrip('/')}/{quote(name)}", folder / name, limits)


def _external(graph: Path) -> list[str]:
    names = external_files(graph)
    check_external_files(graph, filter(is_plain_name, names))
    return sorted(names)


def _completed(values: dict[str, Any], folder: Path, names: list[str]) -> dict[str, Any]:
    """Return a card's fields with those added that the files tell; run the model once."""
    if values.get("files") is None:
        values["files"] = {name: sha256_of(folder / name) for name in names}
    model = Model(parse_card(values, CARD_FILE), folder)
    check_sha256(folder, model.card.files)
    detector = Detector(model)
    outputs = [output.name for output in detector.open().outputs]
    if not model.card.output_name:
        if len(outputs) != 1:
            raise ModelError(f"the card must name one of the outputs {', '.join(outputs)}")
        values["output"] = {**values["output"], "name": outputs[0]}
    detector.try_out()
    return values


def _check_label(model: Model) -> None:
    """Check that no other files take an installed model's label: scores are known by it."""
    try:
        before = read_card(model.folder / CARD_FILE)
    except ModelError:
        return
    if before.label == model.card.label and before.files != model.card.files:
        raise ModelError(
            f"these are not the files that {before.label} was installed with, and it keeps "
            f"its own; give another model another version, or remove the old one first"
        )


def _put_in_place(folder: Path, target: Path, old: Path) -> None:
    """Move a finished folder to where it is found; an older one gives way."""
    with suppress(FileNotFoundError):
        target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        with suppress(FileNotFoundError):
            old.rename(target)
        raise
