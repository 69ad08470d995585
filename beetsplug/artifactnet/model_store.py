"""Models as folders: ``model.onnx``, ``card.json`` and a README, named by model id.

The card says everything that the engine must know of a model; nothing about a model is
assumed anywhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.results import Thresholds

DEFAULT_MODEL = "finecomb"
BUNDLED_MODELS = Path(__file__).parent / "models"
_CARD = "card.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")

OutputKind = Literal["probability", "logit"]


@dataclass(frozen=True)
class ModelCard:
    """What the engine needs to know of a model, and what a reader should."""

    model_id: str
    version: str
    licence: str
    files: Mapping[str, str]
    """File name -> sha256 in hex; the first is the ONNX graph."""
    input_name: str
    sample_rate: int
    """Hz."""
    segment_samples: int
    output_name: str
    output_kind: OutputKind
    thresholds: Thresholds
    """On the probability; where the model's calibration puts them."""
    url: str = ""
    error_rates: Mapping[str, Any] = field(default_factory=dict)
    """What the thresholds were calibrated to, and on what."""

    @property
    def label(self) -> str:
        """Id and version in one word, as it is stored with every score."""
        return f"{self.model_id}-{self.version}"


@dataclass(frozen=True)
class Model:
    """A model's card and the folder that its files lie in."""

    card: ModelCard
    folder: Path

    @property
    def graph(self) -> Path:
        """Path of the ONNX graph."""
        return self.folder / next(iter(self.card.files))

    def verify(self) -> None:
        """Check that every file is there and is the one that the card names.

        Raises:
            ModelError: A file is missing or has another sha256.
        """
        for name, sha256 in self.card.files.items():
            path = self.folder / name
            try:
                found = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise ModelError(
                    f"model {self.card.label}: {path}: {error.strerror}; reinstall it"
                ) from error
            if found != sha256:
                raise ModelError(
                    f"model {self.card.label}: {path} is not the file that its card names "
                    f"(sha256 {found[:12]}..., not {sha256[:12]}...); reinstall it"
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
        graph = Path(os.path.expanduser(name))  # noqa: PTH111 - leaves an unknown ~user
        card = read_card(graph.with_name(_CARD))
        if next(iter(card.files)) != graph.name:
            raise ModelError(
                f"{graph.with_name(_CARD)} describes {next(iter(card.files))}, not {graph.name}"
            )
        return Model(card, graph.parent)
    model_id = DEFAULT_MODEL if name == "default" else name
    for folder in (*folders, BUNDLED_MODELS):
        if _is_plain_name(model_id) and (folder / model_id / _CARD).is_file():
            return Model(read_card(folder / model_id / _CARD), folder / model_id)
    known = ", ".join(sorted({"default", *_ids((*folders, BUNDLED_MODELS))}))
    raise ModelError(
        f"there is no model {name!r}: set `model:` to one of {known}, "
        f"or to the path of an .onnx file with a {_CARD} beside it"
    )


def _ids(folders: Sequence[Path]) -> list[str]:
    return [card.parent.name for folder in folders for card in folder.glob(f"*/{_CARD}")]


def _is_plain_name(name: str) -> bool:
    return bool(name) and Path(name).name == name and name not in {".", ".."}


def read_card(path: Path) -> ModelCard:
    """Return the card in a ``card.json``.

    Raises:
        ModelError: It is missing, is no JSON, or a field is missing or has a value
            that it cannot have; the message names the field.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; a model needs its card") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from error
    return parse_card(values, str(path))


def parse_card(values: object, origin: str) -> ModelCard:
    """Return the card that these JSON values describe.

    Args:
        values: What ``json.loads`` made of a card.
        origin: Where they came from, for the messages.

    Raises:
        ModelError: As :func:`read_card`.
    """
    card = _Fields(values, origin)
    given, expected = card.section("input"), card.section("output")
    card.aggregation("aggregation")
    return ModelCard(
        model_id=card.name("model_id"),
        version=card.text("version"),
        licence=card.text("licence"),
        url=card.text("url", ""),
        files=card.files("files"),
        input_name=given.text("name"),
        sample_rate=given.integer("sample_rate", 4_000, 768_000),
        segment_samples=given.integer("segment_samples", 1, 1 << 26),
        output_name=expected.text("name"),
        output_kind=expected.kind("kind"),
        thresholds=card.thresholds("thresholds"),
        error_rates=card.mapping("error_rates", {}),
    )


class _Fields:
    """A JSON object whose fields are read by type, with errors that name them."""

    def __init__(self, values: object, origin: str, prefix: str = "") -> None:
        if not isinstance(values, dict):
            raise ModelError(f"{origin}: {prefix.rstrip('.') or 'the card'} must be an object")
        self._values: dict[str, Any] = values
        self._origin, self._prefix = origin, prefix

    def _get(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key, default)
        if value is None:
            raise ModelError(f"{self._origin}: {self._prefix}{key} is missing")
        return value

    def _bad(self, key: str, value: object, allowed: str) -> ModelError:
        return ModelError(
            f"{self._origin}: {self._prefix}{key} is {value!r}, it must be {allowed}"
        )

    def section(self, key: str) -> _Fields:
        return _Fields(self._get(key), self._origin, f"{self._prefix}{key}.")

    def mapping(self, key: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        value = self._get(key, default)
        if not isinstance(value, dict):
            raise self._bad(key, value, "an object")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self._bad(key, value, "a text")
        return value

    def name(self, key: str) -> str:
        value = self.text(key)
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", value):
            raise self._bad(key, value, "lower-case letters, digits, '.', '_' and '-'")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._bad(key, value, f"a whole number from {low} to {high}")
        return value

    def aggregation(self, key: str) -> None:
        value = self._get(key, "median")
        if value != "median":
            raise self._bad(key, value, "'median'")

    def kind(self, key: str) -> OutputKind:
        value = self._get(key)
        if value == "probability":
            return "probability"
        if value == "logit":
            return "logit"
        raise self._bad(key, value, "'probability' or 'logit'")

    def files(self, key: str) -> dict[str, str]:
        value = self.mapping(key)
        if not value:
            raise self._bad(key, value, "at least one file name with its sha256")
        for name, sha256 in value.items():
            if not _is_plain_name(name):
                raise self._bad(key, name, "file names without a folder")
            if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
                raise self._bad(f"{key}.{name}", sha256, "a sha256 in 64 hex digits")
        return value

    def thresholds(self, key: str) -> Thresholds:
        value = self.mapping(key)
        try:
            return Thresholds(ai=_number(value.get("ai")), unsure=_number(value.get("unsure")))
        except (ValueError, OverflowError) as error:
            raise self._bad(key, value, "0 < unsure <= ai <= 1") from error


def _number(value: object) -> float:
    """Return a JSON number; anything else counts as 0, which no threshold can be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return float(value)
