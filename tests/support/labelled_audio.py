"""Labelled audio whose scores are known, as files and as tracks of a library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from beets.library import Item

from beetsplug.artifactnet.benchmark.report import outputs
from tests.support.audio_files import encode, tone
from tests.support.beets_library import MODEL, ArtifactNetHelper
from tests.support.onnx_models import GAIN, SAMPLE_RATE


def write_scored(path: Path, score: float) -> Path:
    """Write a track that the loudness model gives this score."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode(path, tone(score / GAIN, 1.0, SAMPLE_RATE), SAMPLE_RATE)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


class BenchHelper(ArtifactNetHelper):
    """Base of the tests of ``aibench`` and ``aicalibrate``."""

    @pytest.fixture(autouse=True)
    def _few_replicates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Draw few replicates: 2,000 take seconds for each report."""
        monkeypatch.setattr(outputs, "N_REPLICATES", 20)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write_folder(self, ai: list[float], real: list[float]) -> Path:
        """Write a folder of labelled audio whose scores are known."""
        folder = self.folder / "audio"
        for label, scores in (("ai", ai), ("real", real)):
            for number, score in enumerate(scores):
                write_scored(folder / label / f"source{number % 2}" / f"{number}.flac", score)
        return folder

    def bench(self, *args: object) -> list[str]:
        words = [str(arg) for arg in args]
        return self.run_lines("aibench", *words, "--out", str(self.out))

    def metrics(self, model: str = MODEL, out: Path | None = None) -> Any:
        return read_json((out or self.out) / model / "metrics.json")

    def add_scored(self, title: str, score: float, **values: object) -> Item:
        path = write_scored(self.lib_path / f"{title}.flac", score)
        return self.add_file(path, title=title, **values)
