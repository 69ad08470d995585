"""The transport test from files to results."""

from __future__ import annotations

from pathlib import Path

import pytest

from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.runner import AnswerLog, Setup
from beetsplug.artifactnet.benchmark.transport.encodings import ENCODINGS
from beetsplug.artifactnet.benchmark.transport.run import transport_tracks
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.workers import shared_workers
from tests.support.audio_files import encode as write_audio
from tests.support.audio_files import music
from tests.support.onnx_models import load_model, write_model

NAMES = [encoding.name for encoding in ENCODINGS]


def test_tracks_through_every_encoding(tmp_path: Path) -> None:
    """Each model hears each encoding once; a second run asks nothing and says the same."""
    tracks = [
        LabelledTrack("a", write_audio(tmp_path / "a.flac", music(1.5), 44_100), "ai"),
        LabelledTrack("b", tmp_path / "b.mp3", "real"),
        LabelledTrack("c", None, "real"),
    ]
    (tmp_path / "b.mp3").write_text("text")
    models = [
        write_model(tmp_path / "one", model_id="one"),
        write_model(tmp_path / "two", model_id="two", kind="logit"),
        write_model(tmp_path / "three", model_id="three", segment_samples=4_000),
    ]
    detectors = tuple(Detector(load_model(folder)) for folder in models)
    setup = Setup(detectors, 2, shared_workers("local", 1))

    def run() -> tuple[object, int]:
        log = AnswerLog(tmp_path / "log.jsonl")
        n_done = [0]
        try:
            found = transport_tracks(tracks, setup, log, lambda done, _: n_done.append(done))
        finally:
            log.close()
        return found, n_done[-1]

    first, n_first = run()
    assert n_first == 2
    assert isinstance(first, tuple)
    one, two, three = first
    assert [result.model for result in first] == ["one-1.0", "two-1.0", "three-1.0"]
    assert one.n_tracks == three.n_tracks == 1
    assert [shifts.encoding for shifts in one.by_encoding] == NAMES[1:]
    assert one.by_encoding[0].max_shift < 1e-3
    assert 0 < one.total.max_shift < 0.2
    assert two.total.max_shift == pytest.approx(one.total.max_shift, abs=1e-5)
    n_lines = (tmp_path / "log.jsonl").read_bytes().count(b"\n")
    assert n_lines == 2 * len(ENCODINGS) * len(detectors)
    assert run() == (first, 0)
