"""The transport test: real encoders, and what is made of the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.runner import AnswerLog, Setup
from beetsplug.artifactnet.benchmark.transport import (
    ENCODINGS,
    GATED,
    REFERENCE,
    Encoding,
    decode,
    encode,
    summarise,
    transport_lines,
    transport_sections,
    transport_tracks,
)
from beetsplug.artifactnet.errors import AudioError
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.workers import shared_workers
from tests.support.audio_files import encode as write_audio
from tests.support.audio_files import music
from tests.support.onnx_models import load_model, write_model

NAMES = [encoding.name for encoding in ENCODINGS]


class TestEncoding:
    @pytest.mark.parametrize("encoding", ENCODINGS, ids=NAMES)
    @pytest.mark.parametrize(("sample_rate", "n_channels"), [(44_100, 2), (8_000, 1)])
    def test_length_and_place_are_kept(
        self, encoding: Encoding, sample_rate: int, n_channels: int, tmp_path: Path
    ) -> None:
        """Decoded again it is as long as before, and no sample has moved."""
        samples = music(1.0, sample_rate, n_channels)
        path = tmp_path / f"x{encoding.suffix}"

        encode(path, samples, sample_rate, encoding)

        with open_audio(path) as reader:
            back = next(reader.spans([0], reader.n_samples(sample_rate), sample_rate))
        mono = samples.mean(axis=1)
        assert len(back) == len(mono)
        inner = slice(1_500, -1_500)
        likeness = [
            float(np.dot(mono[inner], np.roll(back, shift)[inner]))
            for shift in range(-600, 601)
        ]
        assert int(np.argmax(likeness)) - 600 == 0
        error = float(np.sqrt(np.mean((back - mono) ** 2)))
        assert error < (1e-4 if encoding.bit_rate is None else 0.05)

    def test_bit_rates(self, tmp_path: Path) -> None:
        """Each codec is held to its 128 and 64 kb/s for both channels together."""
        samples = music(4.0)
        for encoding in ENCODINGS:
            if encoding.bit_rate is not None:
                path = tmp_path / f"x{encoding.suffix}"
                encode(path, samples, 44_100, encoding)
                bit_rate = path.stat().st_size * 8 / 4.0
                assert 0.75 < bit_rate / encoding.bit_rate < 1.3, encoding.name

    @pytest.mark.parametrize("suffix", [".flac", ".mp3", ".m4a", ".opus", ".wav"])
    def test_decoding(self, suffix: str, tmp_path: Path) -> None:
        """Both channels of whatever a library holds."""
        rate = 48_000
        samples = music(1.0, rate)
        found, found_rate = decode(write_audio(tmp_path / f"x{suffix}", samples, rate))
        assert found_rate == rate
        assert found.shape[1] == 2
        assert abs(len(found) - len(samples)) <= 2_400

    def test_more_than_two_channels(self, tmp_path: Path) -> None:
        """They are mixed to two, which every codec takes."""
        path = write_audio(tmp_path / "x.flac", music(0.5, 48_000, 6), 48_000)
        assert decode(path)[0].shape == (24_000, 2)

    def test_what_is_no_audio(self, tmp_path: Path) -> None:
        """It is an error of the file."""
        (tmp_path / "x.mp3").write_text("text")
        with pytest.raises(AudioError):
            decode(tmp_path / "x.mp3")


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


def row(reference: float, **scores: float) -> dict[str, float]:
    """Return a track's scores: those given, and elsewhere the reference's."""
    names = {name.replace(" ", "_"): name for name in NAMES}
    return dict.fromkeys(NAMES, reference) | {names[n]: p for n, p in scores.items()}


def test_shifts_and_flips_by_hand() -> None:
    """Means, maxima, ranges and flips of three tracks."""
    ai = LabelledTrack("a", None, "ai", source="s")
    real = LabelledTrack("b", None, "real", source="r")
    rows = [
        (ai, row(0.9, MP3_128=0.7, Opus_64=0.4)),
        (real, row(0.2, MP3_128=0.6)),
        (real, {REFERENCE.name: 0.1, "PCM16 WAV": 0.1}),
    ]

    found = summarise("m-1", 0.5, rows)

    by_name = {shifts.encoding: shifts for shifts in found.by_encoding}
    mp3 = by_name["MP3 128"]
    assert (mp3.n_tracks, mp3.n_flips, mp3.n_failed) == (2, 1, 1)
    assert mp3.mean_shift == pytest.approx(0.3)
    assert mp3.max_shift == pytest.approx(0.4)
    assert by_name["Opus 64"].n_flips == 1
    assert found.total.n_flips == found.n_flipped_tracks == 2
    assert found.gated.n_tracks == 2 * 4 + 1
    assert found.mean_range == pytest.approx((0.5 + 0.4 + 0.0) / 3)
    assert found.max_range == pytest.approx(0.5)
    assert [gate.passed for gate in found.gates] == [True, False, False, True]
    measured = [gate.found for gate in found.gates]
    assert measured == pytest.approx([0.6 / 9, 0.4, 1.0, 1.0])
    assert "Opus 64" not in GATED
    lines = transport_lines(found)
    assert "    fail: maximum shift 0.4000, must be at most 0.35" in lines
    sections = transport_sections([found])
    assert [section.level for section in sections] == [2, 3]
    assert [len(table.rows) for table in sections[1].tables] == [8, 4]


def test_nothing_to_measure() -> None:
    """Without tracks no gate passes or fails."""
    found = summarise("m-1", 0.5, [])
    assert {gate.passed for gate in found.gates} == {None}
    assert found.max_range is None
    assert all("not measured" in line for line in transport_lines(found)[-4:])
    assert transport_sections([]) == ()
