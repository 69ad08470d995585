"""``beet aibench``: what files declare, beside what a detector finds."""

from __future__ import annotations

import pytest

from tests.support.beets_library import LABEL
from tests.support.labelled_audio import BenchHelper
from tests.support.tagged_files import MUREKA, add_artist, add_tag


class TestDeclared(BenchHelper):
    def test_with_declarations(self) -> None:
        """A declaration is a hit of an ``ai`` track, a false alarm of a ``real`` one."""
        folder = self.write_folder(ai=[0.9, 0.2, 0.1], real=[0.1, 0.2, 0.6, 0.3])
        add_tag(folder / "ai" / "source1" / "1.flac", "AIGC", MUREKA)
        add_tag(folder / "real" / "source0" / "0.flac", "AIGC", MUREKA)
        add_artist(folder / "ai" / "source0" / "2.flac", "Udio")

        lines = self.bench(folder)

        place = lines.index("  with declarations: 1 of 'ai', 1 of 'real' tracks")
        rates = [line.split() for line in lines[place + 1 : place + 3]]
        assert rates == [["recall", "(own)", "0.6667"], ["FPR", "(own)", "0.5000"]]
        metrics = self.metrics()
        assert metrics["metrics"]["own.tpr"]["value"] == pytest.approx(1 / 3, abs=1e-6)
        assert metrics["metrics"]["own.fpr"]["value"] == 0.25
        assert metrics["with_declarations"] == {
            "n_ai": 1,
            "n_real": 1,
            "own.tpr": pytest.approx(2 / 3, abs=1e-6),
            "own.fpr": 0.5,
        }
        summary = (self.out / "summary.md").read_text(encoding="utf-8")
        _, section = summary.split("### With declarations")
        assert "| metric | score alone | with declarations |" in section
        assert "| TPR, own threshold | 0.3333 | 0.6667 |" in section
        assert "| FPR, own threshold | 0.2500 | 0.5000 |" in section

    def test_without_declarations(self) -> None:
        """Where no file declares anything the report is silent on it."""
        folder = self.write_folder(ai=[0.9, 0.2], real=[0.1, 0.6])
        add_artist(folder / "ai" / "source0" / "0.flac", "Udio")

        lines = self.bench(folder)

        assert not any("declarations" in line for line in lines)
        assert self.metrics(LABEL)["with_declarations"] is None
        assert "declarations" not in (self.out / "summary.md").read_text(encoding="utf-8")
