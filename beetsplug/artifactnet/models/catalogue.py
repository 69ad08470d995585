"""Models that are not part of this package but are known to it, and how to get them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class KnownModel:
    """A known model, described before any file of it is there."""

    card: Mapping[str, Any]
    """Fields of its card; those that only the files can tell are missing."""
    how: str
    """How a user gets it, in one line."""
    graph: str = ""
    """Name of the file to download; empty where it has no address."""
    base_url: str = ""
    """Its address without that name, at a fixed revision."""
    needs_consent: bool = False
    """Whether its licence must be accepted before it is installed."""


def _model(model_id: str, card: dict[str, Any], how: str = "", **rest: Any) -> KnownModel:
    exporter = f"python -m beetsplug.artifactnet.exporters {model_id}"
    how = how or f"from its authors' weights: {exporter} --weights FILE --out DIR"
    return KnownModel({"model_id": model_id, **card}, how, **rest)


_ENTRIES = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
KNOWN_MODELS: Mapping[str, KnownModel] = {
    model_id: _model(model_id, **entry) for model_id, entry in _ENTRIES.items()
}
"""By id."""
