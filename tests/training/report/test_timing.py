"""How long a segment takes."""

from __future__ import annotations

from pathlib import Path

from beetsplug.artifactnet.models.store import find_model, open_model
from beetsplug.artifactnet.training.report.timing import segment_times, table
from tests.support.onnx_models import write_convolution_model


def test_models_take_turns(tmp_path: Path) -> None:
    """Of each as many times as rounds."""
    small = open_model(write_convolution_model(tmp_path / "model", 4_000) / "model.onnx")
    times = segment_times([find_model("default"), small], 3)
    assert [len(taken) for taken in times] == [3, 3]
    assert all(time_ms > 0 for taken in times for time_ms in taken)


def test_a_row_each_model() -> None:
    """The least, the median, and what most rounds keep below."""
    model = find_model("default")
    *_, row = table([model], [[20.0, 22.0, 21.0, 30.0, 20.5]]).splitlines()
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        model.card.label,
        "20.0",
        "21.0",
        "28.4",
    ]
