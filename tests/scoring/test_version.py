"""Which pipeline made a score."""

from __future__ import annotations

import pytest

from beetsplug.artifactnet.scoring.version import PIPELINE_VERSION, model_of, scored_by


@pytest.mark.parametrize("label", ["finecomb-2.1", "m-1.0+cu12", "m-1+3"])
def test_there_and_back(label: str) -> None:
    """The model's label comes back out of what is stored, whatever it holds."""
    assert scored_by(label) == f"{label}+{PIPELINE_VERSION}"
    assert model_of(scored_by(label)) == label


def test_older_scores() -> None:
    """A score without a pipeline's version is of the same model, and of another pipeline."""
    assert model_of("finecomb-2.1") == "finecomb-2.1" != scored_by("finecomb-2.1")
