"""The demo clips, scored with the bundled model: what the quick start shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from tests.support.beets_library import ArtifactNetHelper

DEMO = Path(__file__).parent.parent / "docs" / "demo"


@pytest.mark.parametrize(
    ("name", "verdict"), [("human.ogg", Verdict.REAL), ("resynthesised.ogg", Verdict.AI)]
)
def test_a_song_and_its_resynthesis_are_told_apart(name: str, verdict: Verdict) -> None:
    """The human-made clip is ``real``, the same song through a neural decoder ``ai``."""
    detector = Detector(find_model("default"))
    result = score_file(DEMO / name, detector, 7)
    assert result.score is not None
    assert detector.card.thresholds.verdict(result.score.probability) is verdict
    assert len(result.score.segments) == 6  # of 24 s: they do not overlap


class TestFromTheModelBefore(ArtifactNetHelper):
    def test_outdated_moves_a_library_over(self) -> None:
        """Scores of version 2.1 stay until they are asked to go, and changes are named."""
        self.configure(model="default")
        for title in ("human", "resynthesised"):
            path = self.lib_path / f"{title}.ogg"
            shutil.copy(DEMO / path.name, path)
            self.add_file(path, title=title, artist="Artist", album="Album")
        self.run_command("artifactnet")
        for item in self.lib.items():
            item.update({"ai_model": "finecomb-2.1+1", "ai_score": 0.6, "ai_verdict": "ai"})
            item.store()

        (reported,) = self.run_lines("artifactnet")
        *lines, last = self.run_lines("artifactnet", "--outdated")

        assert reported == "nothing to score: 2 tracks have a score, 2 outdated (--outdated)"
        named = [line for line in lines if line.endswith("(was ai)")]
        assert [line.split()[0] for line in named] == ["real"]
        assert last.endswith(", 1 changed verdict")
        assert {self.get(title).ai_verdict for title in ("human", "resynthesised")} == {
            "real",
            "ai",
        }
        label = find_model("default").card.label
        assert all(str(item.ai_model).startswith(f"{label}+") for item in self.lib.items())
