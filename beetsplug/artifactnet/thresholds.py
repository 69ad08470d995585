"""Thresholds in force: the user's own, else the saved calibration's, else the card's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.writing import unwritable, write_whole


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
    """The basis of verdicts at present: a model and the thresholds in force."""

    model: str
    """The model and the pipeline, as they are stored with a score."""
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


@dataclass(frozen=True)
class FalsePositives:
    """Share of human-made tracks that reach a threshold."""

    rate: float
    """In [0, 1], as measured."""
    at_most: float
    """The rate on other music, with 95 % confidence; in [0, 1]."""
    tracks: str
    """The music it was measured on, for a reader."""


def false_positives(
    force: InForce, path: Path, model: str, error_rates: Mapping[str, Any]
) -> dict[str, FalsePositives]:
    """Return the known rates of the thresholds in force: of ``ai``, and of ``unsure`` or above.

    A threshold from the configuration has none, unless somebody calibrates it.

    Args:
        force: The thresholds.
        path: Of ``thresholds.json``.
        model: Label of the model.
        error_rates: Of its card, where they are in :func:`_of_card`'s form.

    Raises:
        ConfigError: The file is not as :func:`save_thresholds` writes it.
    """
    saved = _read(path).get(model) or {}
    found = {}
    for name, origin in (("ai", force.ai_origin), ("unsure", force.unsure_origin)):
        if origin is Origin.CONFIG:
            continue
        read = _of_saved if origin is Origin.SAVED else _of_card
        # A card's rates are free; so is what an older version saved.
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            found[name] = read(saved if origin is Origin.SAVED else error_rates, name)
    return found


def _of_saved(values: Mapping[str, Any], name: str) -> FalsePositives:
    flagged = values["flagged"][name]
    tracks = f"{int(values['n_tracks'])} tracks of your own"
    return _rate(flagged["rate"], flagged["at_most"], tracks)


def _of_card(values: Mapping[str, Any], name: str) -> FalsePositives:
    """Return a rate of ``{"songs": {"human": {"ai": {"rate": [rate, low, high]}}}}``."""
    human = values["songs"]["human"]
    rate, _, high = human["ai" if name == "ai" else "unsure or ai"]["rate"]
    tracks = f"{int(human['tracks'])} tracks of {int(human['sources'])} sources"
    return _rate(rate, high, tracks)


def _rate(rate: object, at_most: object, tracks: str) -> FalsePositives:
    found = FalsePositives(_number(rate), _number(at_most), tracks)
    if not 0 <= found.rate <= found.at_most <= 1:
        raise ValueError(f"{rate} and {at_most} are no rate and its limit")
    return found


def save_thresholds(path: Path, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep the thresholds of these models, and those of others as they are.

    Args:
        path: Of ``thresholds.json``; replaced at once and whole.
        models: By label: ``ai`` and ``unsure``, and what a reader should know of them.

    Raises:
        ConfigError: The file holds something else, or cannot be written.
    """
    values = {**_read(path), **models}
    with unwritable(path):
        write_whole(path, f"{json.dumps(values, indent=1)}\n".encode("ascii"))


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
