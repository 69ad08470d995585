"""Which pipeline made a score, beside which model."""

from __future__ import annotations

PIPELINE_VERSION = 4
"""Version of the steps before a model: decoding, down-mix, placement, level, evidence.

Raised with each change that may change a score of any model. Version 1 left no mark.
"""


def scored_by(model: str) -> str:
    """Return what is stored with a score: the model's label, ``+``, the pipeline's version."""
    return f"{model}+{PIPELINE_VERSION}"


def model_of(stored: str) -> str:
    """Return the model's label, out of the label stored with a score of any pipeline."""
    label, plus, version = stored.rpartition("+")
    return label if plus and version.isdecimal() else stored
