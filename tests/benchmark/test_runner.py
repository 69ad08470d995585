"""The runner: every track and model, each asked once, whatever stops the run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beetsplug.artifactnet.benchmark.manifest import Label, LabelledTrack
from beetsplug.artifactnet.benchmark.metrics import ModelRun
from beetsplug.artifactnet.benchmark.runner import (
    Answer,
    AnswerLog,
    Asked,
    Job,
    Setup,
    by_contract,
    fingerprint,
    score_job,
    score_tracks,
)
from beetsplug.artifactnet.errors import ConfigError, ModelError
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.workers import Workers, shared_workers
from tests.support.audio_files import encode, tone
from tests.support.onnx_models import GAIN, SAMPLE_RATE, load_model, write_model


def write_scored(path: Path, score: float, duration_s: float = 2.0) -> Path:
    return encode(path, tone(score / GAIN, duration_s, SAMPLE_RATE), SAMPLE_RATE)


def track(path: Path | None, label: Label = "ai", track_id: str = "") -> LabelledTrack:
    return LabelledTrack(track_id or (path.name if path else "none"), path, label)


def detector(folder: Path, model_id: str = "loudness", **how: Any) -> Detector:
    return Detector(load_model(write_model(folder / model_id, model_id=model_id, **how)))


@pytest.fixture(scope="module")
def workers() -> Workers:
    return shared_workers("local", 1)


def run(
    tracks: Sequence[LabelledTrack], setup: Setup, log_path: Path
) -> tuple[tuple[ModelRun, ...], int]:
    """Return what a run found and how many answers it had to ask for."""
    asked: list[int] = [0]
    log = AnswerLog(log_path)
    try:
        runs = score_tracks(tracks, setup, log, lambda done, _: asked.append(done))
    finally:
        log.close()
    return runs, asked[-1]


def test_scores_and_failures(tmp_path: Path, workers: Workers) -> None:
    """A run has every track in the manifest's order, with a score or a reason."""
    short = encode(tmp_path / "short.flac", tone(0.05, 0.5, SAMPLE_RATE), SAMPLE_RATE)
    silent = encode(tmp_path / "silent.flac", tone(0.0, 2.0, SAMPLE_RATE), SAMPLE_RATE)
    (tmp_path / "text.flac").write_text("no audio")
    tracks = [
        track(write_scored(tmp_path / "a.flac", 0.8)),
        track(short),
        track(silent),
        track(tmp_path / "text.flac"),
        track(tmp_path / "gone.flac"),
        track(None),
        track(write_scored(tmp_path / "b.flac", 0.2), "real"),
    ]
    setup = Setup((detector(tmp_path),), 2, workers)

    (found,), n_asked = run(tracks, setup, tmp_path / "log.jsonl")

    assert [scored.track for scored in found.tracks] == tracks
    assert [scored.outcome for scored in found.tracks] == [
        "scored",
        "too_short",
        "silent",
        "unreadable",
        "missing",
        "missing",
        "scored",
    ]
    assert found.tracks[1].reason == "too_short: 0.50 s, at least 1 s are needed"
    assert [scored.is_missing for scored in found.tracks].count(True) == 2
    assert (found.model, found.model_id) == ("loudness-1.0", "loudness")
    for scored in (found.tracks[0], found.tracks[-1]):
        assert scored.track.path is not None
        alone = score_file(scored.track.path, setup.detectors[0], 2)
        assert alone.score is not None
        assert scored.probability == alone.score.probability
    assert n_asked == 6
    # A file that is not there is looked for again.
    assert run(tracks, setup, tmp_path / "log.jsonl")[1] == 1


def test_what_an_answer_holds_for(tmp_path: Path, workers: Workers) -> None:
    """Another file, number of segments, model or way of aggregating is another question."""
    path = write_scored(tmp_path / "a.flac", 0.8)
    log = tmp_path / "log.jsonl"

    def n_asked(count: int = 2, **how: Any) -> int:
        setup = Setup((detector(tmp_path, **how),), count, workers)
        return run([track(path)], setup, log)[1]

    assert n_asked() == 1
    assert n_asked() == 0
    assert n_asked(card={"notice": "other", "thresholds": {"ai": 0.9, "unsure": 0.9}}) == 0
    assert n_asked(count=3) == 1
    assert n_asked(version="2.0") == 1
    assert n_asked(kind="logit") == 1
    assert n_asked(card={"aggregation": "max"}) == 1
    os.utime(path, (1, 1))
    assert n_asked() == 1


@pytest.mark.parametrize("n_kept", [0, 1, 3, 4])
def test_a_cut_log_gives_the_same_run(n_kept: int, tmp_path: Path, workers: Workers) -> None:
    """Wherever a run was stopped, the next one asks for the rest alone."""
    tracks = [track(write_scored(tmp_path / f"{n}.flac", 0.1 + n / 10)) for n in range(4)]
    setup = Setup((detector(tmp_path),), 1, workers)
    whole, _ = run(tracks, setup, tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:n_kept]) + lines[0][:50])

    found, n_asked = run(tracks, setup, cut)

    assert found == whole
    assert n_asked == 4 - n_kept
    assert run(tracks, setup, cut) == (whole, 0)


class TestSeveralModels:
    def test_models_of_one_contract_share_segments(self, tmp_path: Path) -> None:
        """Together they answer as each does alone, and as the pipeline does."""
        path = write_scored(tmp_path / "a.flac", 0.63, 5.0)
        detectors = (
            detector(tmp_path, "one"),
            detector(tmp_path, "two", kind="logit", batch=2),
            detector(tmp_path, "three", rule="all_nan"),
            detector(tmp_path, "four", card={"aggregation": "max"}),
        )
        assert by_contract(detectors) == [detectors]

        together = score_job(Job(0, path, detectors, 3))

        assert together == tuple(score_job(Job(0, path, (d,), 3))[0] for d in detectors)
        for found, model in zip(together, detectors, strict=True):
            alone = score_file(path, model, 3)
            assert found.probability == (alone.score and alone.score.probability)
            if alone.score is None:
                assert found.reason == alone.reason
        assert together[2].reason.startswith("model_failed: ")

    def test_whose_contract_differs_read_alone(self, tmp_path: Path) -> None:
        """Another length, place, filling or shortest track is another contract."""
        detectors = [
            detector(tmp_path, "a"),
            detector(tmp_path, "b", segment_samples=4_000),
            detector(tmp_path, "c", card={"padding": "repeat"}),
            detector(tmp_path, "d", card={"crop": "centre"}),
            detector(tmp_path, "e", card={"minimum_s": 2}),
            detector(tmp_path, "f", version="9"),
        ]
        groups = [[d.card.model_id for d in group] for group in by_contract(detectors)]
        assert groups == [["a", "f"], ["b"], ["c"], ["d"], ["e"]]
        # The version is part of the label, and the label of every question.
        assert len({fingerprint(d.card) for d in detectors}) == 5

    def test_a_model_that_comes_later(self, tmp_path: Path, workers: Workers) -> None:
        """Only what is new is asked for, and a run is in the order of its own models."""
        tracks = [track(write_scored(tmp_path / f"{n}.flac", 0.2 + n / 10)) for n in range(2)]
        one, two = detector(tmp_path, "one"), detector(tmp_path, "two", kind="logit")
        log = tmp_path / "log.jsonl"
        assert run(tracks, Setup((one,), 1, workers), log)[1] == 2

        runs, n_asked = run(tracks, Setup((two, one), 1, workers), log)

        assert n_asked == 2
        assert [found.model_id for found in runs] == ["two", "one"]

    def test_a_broken_model_stops_the_run(self, tmp_path: Path, workers: Workers) -> None:
        """It is said before any file is scored."""
        path = write_scored(tmp_path / "a.flac", 0.5)
        good, bad = detector(tmp_path, "good"), detector(tmp_path, "bad")
        (tmp_path / "bad" / "model.onnx").write_bytes(b"no model")
        with pytest.raises(ModelError, match=r"bad-1\.0"):
            run([track(path)], Setup((good, bad), 1, workers), tmp_path / "log.jsonl")
        assert (tmp_path / "log.jsonl").read_bytes() == b""


ASKED = Asked("m-1", "00", 7, "", "id", "/a", "1-1")
texts = st.text(st.characters(codec=None), max_size=20)
questions = st.builds(
    Asked, texts, texts, st.integers(1, 9) | st.just("all"), texts, texts, texts, texts
)
answers = st.builds(Answer, st.floats(0, 1)) | st.builds(Answer, st.none(), texts.filter(bool))


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "results.jsonl"


class TestLog:
    @settings(max_examples=40)
    @given(known=st.dictionaries(questions, answers, max_size=5))
    def test_answers_come_back(
        self, known: dict[Asked, Answer], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """To the last bit and whatever the names, lone surrogates included."""
        path = tmp_path_factory.mktemp("log") / "results.jsonl"
        log = AnswerLog(path)
        for asked, answer in known.items():
            log.add(asked, answer)
        log.close()
        again = AnswerLog(path)
        again.close()
        assert {asked: again.get(asked) for asked in known} == known

    @pytest.mark.parametrize(
        "line",
        [
            b'{"model": "m-1", "prob": 0.5',
            b"\x00\x00\x00",
            b"null",
            b"[]",
            b"{}",
            b"\xff",
            b"[" * 20_000,
            json.dumps({**vars(ASKED), "prob": 7, "reason": ""}).encode(),
            json.dumps({**vars(ASKED), "prob": None, "reason": ""}).encode(),
            json.dumps({**vars(ASKED), "other": 1, "prob": 0.5, "reason": ""}).encode(),
            json.dumps({**vars(ASKED), "path": [], "prob": 0.5, "reason": ""}).encode(),
            b'{"prob": 0.5, "reason": ""}',
        ],
    )
    @pytest.mark.parametrize("end", [b"", b"\n"])
    def test_a_line_that_cannot_be_read(self, line: bytes, end: bytes, log_path: Path) -> None:
        """It counts as not there, and what follows it is kept."""
        log_path.parent.mkdir()
        log_path.write_bytes(line + end)
        log = AnswerLog(log_path)
        assert log.get(ASKED) is None
        log.add(ASKED, Answer(0.25))
        log.close()
        again = AnswerLog(log_path)
        again.close()
        assert again.get(ASKED) == Answer(0.25)

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        """One line says so."""
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match="cannot be used"):
            AnswerLog(tmp_path / "file" / "results.jsonl")
        with pytest.raises(ConfigError, match="cannot be used"):
            AnswerLog(tmp_path)
