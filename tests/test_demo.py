"""The demo clips, scored with the bundled model: what the quick start shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.scoring.track import decide

DEMO = Path(__file__).parent.parent / "docs" / "demo"


@pytest.mark.parametrize(
    ("name", "verdict"), [("human.ogg", Verdict.REAL), ("resynthesised.ogg", Verdict.AI)]
)
def test_a_song_and_its_resynthesis_are_told_apart(name: str, verdict: Verdict) -> None:
    """The human-made clip is ``real``, the same song through a neural decoder ``ai``."""
    detector = Detector(find_model("default"))
    result = score_file(DEMO / name, detector, 7)
    assert result.score is not None
    assert decide(result.score.probability, detector.card.thresholds) is verdict
    assert len(result.score.segments) == 7
