"""Thresholds in force: the user's own, else the saved calibration's, else the card's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.results import Thresholds


class Origin(StrEnum):
    """Where a threshold comes from."""

    CONFIG = "config"
    SAVED = "saved calibration"
    CARD = "model card"


class Configured(Protocol):
    """The user's own thresholds; each is None where the configuration names none."""

    @property
    def ai_threshold(self) -> float | None:
        """In (0, 1]."""

    @property
    def unsure_threshold(self) -> float | None:
        """In (0, 1]."""


@dataclass(frozen=True)
class InForce:
    """The thresholds that decide at present, and where each comes from."""

    thresholds: Thresholds
    ai_origin: Origin
    unsure_origin: Origin

    def __str__(self) -> str:
        """Return it for a reader: ``ai 0.5 (config), unsure 0.2 (model card)``."""
        return (
            f"ai {self.thresholds.ai:g} ({self.ai_origin}), "
            f"unsure {self.thresholds.unsure:g} ({self.unsure_origin})"
        )


@dataclass(frozen=True)
class Judge:
    """What decides verdicts at present: a model and the thresholds in force."""

    model: str
    """The model's label."""
    thresholds: Thresholds
    follows_declarations: bool = True
    """Whether a strong declaration in the file comes before the score."""


def in_force(user: Configured, saved: Thresholds | None, card: Thresholds) -> InForce:
    """Return the thresholds that decide, and where each comes from.

    An ``ai`` threshold in the configuration that is below the model's ``unsure`` lowers
    ``unsure`` to its own value.

    Args:
        user: The configuration's options.
        saved: The model's saved calibration, None where there is none.
        card: Those of the model's card.

    Raises:
        ConfigError: ``unsure_threshold`` is above the ``ai`` threshold.
    """
    base, origin = (card, Origin.CARD) if saved is None else (saved, Origin.SAVED)
    ai, ai_origin = base.ai, origin
    if user.ai_threshold is not None:
        ai, ai_origin = user.ai_threshold, Origin.CONFIG
    unsure, unsure_origin = base.unsure, origin
    if user.unsure_threshold is not None:
        unsure, unsure_origin = user.unsure_threshold, Origin.CONFIG
        if unsure > ai:
            raise ConfigError(
                f"artifactnet.unsure_threshold is {unsure:g}, "
                f"it must not be above the ai threshold, {ai:g} ({ai_origin})"
            )
    elif unsure > ai:
        unsure, unsure_origin = ai, ai_origin
    return InForce(Thresholds(ai=ai, unsure=unsure), ai_origin, unsure_origin)


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
