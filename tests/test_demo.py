"""The demo clips, scored with the bundled model: what the quick start shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beetsplug.artifactnet.library import parse_timeline
from beetsplug.artifactnet.library.explanation import clock
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Verdict
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from tests.support.beets_library import ArtifactNetHelper

DEMO = Path(__file__).parent.parent / "docs" / "demo"
RATE = 44_100


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


class TestHybrid(ArtifactNetHelper):
    def test_the_generated_part_is_named(self) -> None:
        """A song whose second half is generated: where that half is, and no other verdict."""
        human, generated = (
            soundfile.read(DEMO / f"{name}.ogg", dtype="float32")[0]
            for name in ("human", "resynthesised")
        )
        strong = generated[: 8 * RATE]
        path = self.lib_path / "hybrid.flac"
        soundfile.write(path, np.concatenate([np.tile(human, 3), np.tile(strong, 9)]), RATE)
        self.configure(model="default")
        self.add_file(path, title="hybrid")
        self.run_command("artifactnet")

        item = self.get("hybrid")
        segments = parse_timeline(item.ai_timeline)
        above = [one.start_s for one in segments if one.probability >= 0.5]
        assert min(above) > 68  # seconds: the last human segment ends in what is generated
        assert item.ai_share == pytest.approx(len(above) / 7, abs=1e-4)
        assert item.ai_verdict in {"ai", "unsure", "real"}
        explained = "\n".join(self.run_lines("artifactnet", "--explain", "title:hybrid"))
        assert f"{clock(min(above))} to 2:20" in explained
        assert above == [one.start_s for one in segments[-len(above) :]]


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
