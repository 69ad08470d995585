"""Thresholds that a user calibrated and saved, by model.

They stand between the user's configuration, which comes first, and the model's card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.results import Thresholds


def read_thresholds(path: Path, model: str) -> Thresholds | None:
    """Return the thresholds that were saved for a model, None where there are none.

    Args:
        path: Of ``thresholds.json``.
        model: Its label.

    Raises:
        ConfigError: The file is not as :func:`save_thresholds` writes it.
    """
    values = _read(path).get(model)
    if values is None:
        return None
    try:
        return Thresholds(ai=_number(values["ai"]), unsure=_number(values["unsure"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"{path}: the thresholds of {model} must be numbers with 0 < unsure <= ai <= 1; "
            f"remove the file and calibrate again"
        ) from error


def save_thresholds(path: Path, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep the thresholds of these models, and those of others as they are.

    Args:
        path: Of ``thresholds.json``; replaced at once and whole.
        models: By label: ``ai`` and ``unsure``, and what a reader should know of them.

    Raises:
        ConfigError: The file holds something else, or cannot be written.
    """
    values = {**_read(path), **models}
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(f"{json.dumps(values, indent=1)}\n", encoding="ascii")
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not valid JSON ({error}); remove it and calibrate again"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must be an object; remove it and calibrate again")
    return values


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)
