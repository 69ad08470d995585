"""What the changes do to audio, and the whole program on a corpus of its own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mutagen.mp3 import MP3, BitrateMode
from mutagen.oggvorbis import OggVorbis
from numpy.typing import NDArray

pytest.importorskip("scipy")

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import AudioError, ModelError
from beetsplug.artifactnet.models.store import find_model, open_model
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.training.data import corpus
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.data.dataset import clip_key
from beetsplug.artifactnet.training.report import robustness
from beetsplug.artifactnet.training.report.changes import (
    CHANGES,
    SEMITONE,
    UNCHANGED,
    Change,
    at_pitch,
    at_speed,
    limited,
    quieter,
    without_head,
)
from beetsplug.artifactnet.training.report.robustness import (
    Cache,
    Pair,
    demands,
    main,
    pairs_of,
    report,
    score_tracks,
)
from beetsplug.artifactnet.training.report.tracks import Track, choose, choose_tracks, excerpt
from tests.support.audio_files import encode, music, tone
from tests.support.onnx_models import AI_THRESHOLD, UNSURE_THRESHOLD, write_model

RATE = 44_100
BY_NAME = {change.name: change for change in CHANGES}
HALF = 10 ** (-6 / 20)
THRESHOLDS = Thresholds(AI_THRESHOLD, UNSURE_THRESHOLD)


def sine(hz: float, duration_s: float, n_channels: int = 2) -> NDArray[np.float32]:
    time_s = np.arange(round(duration_s * RATE)) / RATE
    wave = 0.4 * np.sin(2 * np.pi * hz * time_s)
    return np.repeat(wave[:, None], n_channels, axis=1).astype(np.float32)


def pitch_of(samples: NDArray[np.float32]) -> float:
    """Return the loudest frequency in Hz."""
    power = np.abs(np.fft.rfft(samples[:, 0] * np.hanning(len(samples))))
    return float(power.argmax()) * RATE / len(samples)


def a_clip(path: Path, label: int = 0, source: str = "a/a", **fields: str | float) -> Clip:
    values = {"family": "", "generator": "", "track": path.stem, "skip_s": 0.0, **fields}
    return Clip(path=path, label=label, source=source, sample_rate=RATE, **values)  # type: ignore[arg-type]


class TestChanges:
    @pytest.mark.parametrize("n_channels", [1, 2])
    @pytest.mark.parametrize("factor", [SEMITONE, 1 / SEMITONE])
    def test_pitch(self, factor: float, n_channels: int) -> None:
        """A sine is another note of the same length."""
        samples, rate = at_pitch(sine(1_000, 3, n_channels), RATE, factor=factor)
        assert rate == RATE
        assert samples.shape[1] == n_channels
        assert 0 <= 3 * RATE - len(samples) < 0.01 * RATE
        assert pitch_of(samples) == pytest.approx(1_000 * factor, rel=5e-4)

    @pytest.mark.parametrize("factor", [0.99, 1.005])
    def test_speed(self, factor: float) -> None:
        """A sine is another note, and ends sooner or later."""
        samples, _ = at_speed(sine(1_000, 3), RATE, factor=factor)
        assert len(samples) == pytest.approx(3 * RATE / factor, abs=2)
        assert pitch_of(samples) == pytest.approx(1_000 * factor, rel=5e-4)

    def test_level_and_length(self) -> None:
        """6 dB down is half; the limiter stays below 1; the head is gone."""
        samples = music(2.0)
        np.testing.assert_allclose(quieter(samples, RATE)[0], HALF * samples, rtol=1e-6)
        loud = limited(2 * samples, RATE)[0]
        assert 0.9 < np.abs(loud).max() < 1
        np.testing.assert_allclose(loud, np.tanh(2 * samples / HALF), rtol=1e-5)
        np.testing.assert_array_equal(without_head(samples, RATE)[0], samples[RATE // 2 :])

    @pytest.mark.parametrize("rate", [44_100, 48_000])
    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
    def test_files(self, change: Change, rate: int, tmp_path: Path) -> None:
        """Each is a file that the plugin reads, about as long, with sound in it."""
        path = tmp_path / f"x{change.suffix}"
        change.write(path, music(1.5, rate), rate)
        with open_audio(path) as reader:
            n_samples = reader.n_samples(rate)
            (found,) = reader.spans([0], n_samples, rate)
            found_rate = reader.sample_rate
        expected_s = 1.0 if change.name.endswith("head") else 1.5
        assert n_samples / rate == pytest.approx(expected_s, rel=0.02)
        assert 0.01 < float(np.abs(found).mean()) < 0.4
        if change.name.startswith("48 kHz"):
            assert found_rate == 92_100 - rate
        elif change.suffix != ".opus":
            assert found_rate == rate

    def test_bit_rates(self, tmp_path: Path) -> None:
        """MP3 is CBR at its rate; AAC and Opus keep near theirs; Vorbis is of libvorbis."""
        samples = music(4.0)
        for change in CHANGES:
            path = tmp_path / f"x{change.suffix}"
            change.write(path, samples, RATE)
            words = change.name.split()
            if words[0] == "MP3":
                info: Any = MP3(path).info  # type: ignore[no-untyped-call]
                assert info.bitrate == pytest.approx(int(words[1]) * 1000, abs=1)
                assert info.bitrate_mode == BitrateMode.CBR
            elif words[0] in {"AAC", "Opus"}:
                found = path.stat().st_size * 8 / 4.0
                assert 0.6 < found / (int(words[1]) * 1000) < 1.3, change.name
            elif words[0] == "Vorbis":
                # The nominal rate that libvorbis writes for quality 5, stereo, 44.1 kHz.
                info = OggVorbis(path).info  # type: ignore[no-untyped-call]
                assert info.bitrate == 160_000
            elif words[0] == "16-bit":
                assert soundfile.info(path).subtype == "PCM_16"
            else:
                assert soundfile.info(path).subtype == "FLOAT"

    def test_names_are_keys(self) -> None:
        """No two changes share a name; one of them is the reference."""
        assert len(BY_NAME) == len(CHANGES)
        assert [change for change in CHANGES if change.kind == "reference"] == [UNCHANGED]


class TestTracks:
    def test_dealt_from_every_group(self) -> None:
        """A big group gives no second clip before each small one gave its first."""
        clips = [
            a_clip(Path(f"{source}{i}"), source=source)
            for source, n in (("x", 9), ("y", 1), ("z", 2))
            for i in range(n)
        ]
        few, all_of_them = (choose(clips, n, lambda c: c.source) for n in (3, 99))
        assert sorted(clip.source for clip in few) == ["x", "y", "z"]
        assert all_of_them[:3] == few
        assert sorted(map(clip_key, all_of_them)) == sorted(map(clip_key, clips))
        assert choose(reversed(clips), 99, lambda c: c.source) == all_of_them

    def test_one_a_track_and_full_band(self) -> None:
        """Two excerpts of one track are one; narrow-band clips are left out."""
        twice = [a_clip(Path(f"{i}"), track="t") for i in range(2)]
        narrow = Clip(Path("n"), 0, "", "", "a/a", "n", 22_050)
        assert len(choose([*twice, narrow], 9, lambda c: c.source)) == 1

    def test_real_ones_were_held_back(self) -> None:
        """They are of the calibration sources as the training deals them: without the demo."""
        sources = ["a/a", "b/b", "c/c", "debian:x", "debian:y", corpus.DEMO_SOURCE]
        real = [a_clip(Path(f"{s}-{i}"), source=s) for s in sources for i in range(3)]
        ai = [a_clip(Path(f"ai-{i}"), 1, "d/d", family="Suno") for i in range(3)]
        chosen = choose_tracks([*real, *ai], 2)
        used = [clip for clip in [*real, *ai] if clip.source != corpus.DEMO_SOURCE]
        assert {t.clips[0].source for t in chosen if t.side == "real"} <= {
            clip.source for clip in corpus.calibration_clips(used)
        }
        assert [track.side for track in chosen] == ["real", "real", "clip", "clip"]

    def test_songs_have_three_excerpts(self) -> None:
        """In their order; of two excerpts there is a clip, and no song."""
        real = [a_clip(Path(f"{s}-{i}"), source=s) for s in ("a/a", "b/b", "c/c") for i in "12"]
        ai = [
            a_clip(Path(f"{track}-{i}"), 1, "d/d", family="Suno", track=track)
            for track, n in (("x", 3), ("y", 2), ("z", 3))
            for i in range(n)
        ]
        *_, first, second = choose_tracks([*real, *reversed(ai)], 5)
        songs = {track.clips for track in (first, second)}
        assert {first.side, second.side} == {"song"}
        assert songs == {tuple(ai[:3]), tuple(ai[5:])}
        sides = [track.side for track in choose_tracks([*real, *ai], 5)]
        assert (sides.count("clip"), sides.count("song")) == (3, 2)

    def test_excerpt(self, tmp_path: Path) -> None:
        """A whole track gives its middle minute, a clip what follows its skipped head."""
        ramp = np.linspace(-0.5, 0.5, 80 * 8_000, dtype=np.float32)[:, None]
        path = encode(tmp_path / "x.wav", ramp, 8_000, "wav_float")
        samples, rate = excerpt(Track((a_clip(path),)))
        assert rate == 8_000
        np.testing.assert_allclose(samples, ramp[10 * 8_000 : 70 * 8_000], atol=1e-6)
        short = encode(tmp_path / "y.wav", ramp[: 8_000 * 2], 8_000, "wav_float")
        clip = a_clip(short, skip_s=0.5)
        assert len(excerpt(Track((clip,)))[0]) == 12_000

        # A song is its excerpts one after another, at one rate.
        song, _ = excerpt(Track((clip, clip, clip)))
        np.testing.assert_array_equal(song, np.tile(song[:12_000], (3, 1)))
        faster = a_clip(encode(tmp_path / "z.wav", ramp, 16_000, "wav_float"))
        with pytest.raises(AudioError, match="several rates"):
            excerpt(Track((clip, faster)))


def test_scores_by_hand(tmp_path: Path) -> None:
    """Loudness halves with the samples; a track that is cached is not scored again."""
    folder = write_model(tmp_path / "model", sample_rate=RATE, segment_samples=RATE)
    model = open_model(folder / "model.onnx")
    tracks = [
        Track((a_clip(encode(tmp_path / "loud.wav", tone(0.055, 2.0), RATE, "wav_float")),)),
        Track((a_clip(tmp_path / "none.wav", 1),)),
    ]
    (tmp_path / "none.wav").write_text("text")
    path = tmp_path / "work" / robustness.CACHE_FILE

    loud, none = score_tracks(tracks, model, Cache(path, model), threads=2)

    before, after = loud[UNCHANGED.name], loud["gain -6 dB"]
    assert before is not None
    assert after is not None
    # The graph sums a second of float32.
    assert before == pytest.approx(0.55, abs=1e-3)
    assert after == pytest.approx(before * HALF, abs=1e-3)
    assert loud["16-bit WAV"] == pytest.approx(before, abs=1e-3)
    assert none == dict.fromkeys(BY_NAME)
    assert pairs_of([BY_NAME["gain -6 dB"]], tracks, [loud, none]) == [
        Pair("real", before, after)
    ]

    # What stands in the file is taken from it; what does not is scored.
    stored = json.loads(path.read_text())
    ((key, of_model),) = stored.items()
    assert key.startswith("loudness-1.0 ")
    of_model[tracks[0].key]["Vorbis q5"] = 0.125
    del of_model[tracks[0].key]["gain -6 dB"]
    path.write_text(json.dumps(stored))
    again, _ = score_tracks(tracks, model, Cache(path, model))
    assert again == loud | {"Vorbis q5": 0.125}
    tracks[0].clips[0].path.unlink()
    assert score_tracks(tracks[:1], model, Cache(path, model)) == [again]

    # Another model of the same name is another model.
    write_model(tmp_path / "other", rule="rounded")
    other = open_model(tmp_path / "other" / "model.onnx")
    assert Cache(path, other).scores(tracks[0]) == {}


def test_demands_by_hand() -> None:
    """Means, maxima and changed verdicts, and how far each is from its bound."""
    pairs = [Pair("real", 0.1, 0.1), Pair("clip", 0.9, 0.4), Pair("song", 0.8, 0.8)]
    assert demands(pairs[:1] * 2, THRESHOLDS) == [
        "- Mean shift, at most 0.050: 0.000, met by 0.050.",
        "- Largest shift, at most 0.300: 0.000, met by 0.300.",
        "- Verdicts changed, at most 2.0 %: 0.0 %, met by 2.0 %.",
    ]
    assert demands(pairs, THRESHOLDS) == [
        "- Mean shift, at most 0.050: 0.167, missed by 0.117.",
        "- Largest shift, at most 0.300: 0.500, missed by 0.200.",
        "- Verdicts changed, at most 2.0 %: 33.3 %, missed by 31.3 %.",
    ]
    assert {line.split(": ")[1] for line in demands([], THRESHOLDS)} == {"not measured."}


def test_table_by_hand(tmp_path: Path) -> None:
    """Each side by itself; `unsure` is a verdict of its own; failures are left out."""
    model = open_model(write_model(tmp_path) / "model.onnx")
    ai = [a_clip(Path(name), 1) for name in "abcde"]
    tracks = [
        Track((a_clip(Path("r")),)),
        *(Track((clip,)) for clip in ai[:2]),
        Track(tuple(ai[2:])),
    ]
    levels = (0.1, 0.9, 0.6, 0.7)
    scores: list[robustness.Scores] = [dict.fromkeys(BY_NAME, level) for level in levels]
    scores[0]["Vorbis q5"] = 0.35
    scores[1]["Vorbis q5"] = 0.8
    scores[2]["Vorbis q5"] = None
    scores[3]["Vorbis q5"] = 0.4
    text = report(model, tracks, scores)
    rows = table_of(text)
    assert rows["Vorbis q5"] == [
        *("transport", "0.250, 0.100, 0.300", "0.250, 0.100, 0.300"),
        *("100.0 %, 0.0 %, 100.0 %", "0.0 %, 100.0 %, 0.0 %", "1, 1, 1"),
    ]
    assert rows[UNCHANGED.name][1:4] == [
        *("0.000, 0.000, 0.000", "0.000, 0.000, 0.000", "0.0 %, 0.0 %, 0.0 %")
    ]
    assert rows["all of transport"][-1] == "11, 21, 11"
    # Two verdicts of 22 changed, and of 43 where clips count as well.
    of_songs, of_all = (part.splitlines() for part in text.split("\n\n")[-3::2])
    assert of_songs[-1] == "- Verdicts changed, at most 2.0 %: 9.1 %, missed by 7.1 %."
    assert of_all[-1] == "- Verdicts changed, at most 2.0 %: 4.7 %, missed by 2.7 %."
    nothing = table_of(report(model, [], []))["Vorbis q5"]
    assert nothing[1] == "\u2013, \u2013, \u2013"


def table_of(text: str) -> dict[str, list[str]]:
    """Return the cells of each row by its first."""
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {name: others for name, *others in cells}


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a corpus to the table, and a second time without scoring anything."""
    folder, work, out = tmp_path / "corpus", tmp_path / "work", tmp_path / "table.md"
    write_corpus(folder)
    graph = write_model(tmp_path / "model") / "model.onnx"
    given = [
        *("--corpus", str(folder), "--work", str(work), "--debian", str(tmp_path / "debian")),
        *("--model", str(graph), "--tracks", "1", "--out", str(out)),
    ]
    main(given)
    text = capsys.readouterr().out
    assert out.read_text(encoding="utf-8") == text
    rows = table_of(text)
    assert list(rows) == [
        *(change.name for change in CHANGES if change.kind != "attack"),
        "all of transport",
        *(change.name for change in CHANGES if change.kind == "attack"),
    ]
    assert {cells[-1] for name, cells in rows.items() if name != "all of transport"} == {
        "1, 1, 0"
    }
    # 0.6 becomes 0.3, `unsure`; 0.1 becomes 0.05, and is `real` as before.
    assert rows["gain -6 dB"][3:5] == ["0.0 %, 100.0 %, \u2013", "0.0 %, 0.0 %, \u2013"]
    assert rows[UNCHANGED.name][4] == "0.0 %, 100.0 %, \u2013"
    assert text.splitlines()[-1].startswith("- Verdicts changed, at most 2.0 %: ")

    before = (work / robustness.CACHE_FILE).stat().st_mtime_ns
    main(given)
    assert capsys.readouterr().out == text
    assert (work / robustness.CACHE_FILE).stat().st_mtime_ns == before


def test_generated_tracks_are_scored_by_the_fold_that_never_heard_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real ones by the shipped model, unless another is named; a missing fold is an error."""
    folder, work = tmp_path / "corpus", tmp_path / "work"
    write_corpus(folder)
    given = [
        *("--corpus", str(folder), "--work", str(work), "--debian", str(tmp_path / "debian")),
        *("--tracks", "1"),
    ]
    with pytest.raises(ModelError, match="fold-0"):
        main(given)
    for number in range(len(corpus.FOLD_FAMILIES)):
        write_model(work / f"fold-{number}" / "model", version=f"fold-{number}")
    main(given)
    rows = table_of(capsys.readouterr().out)
    assert rows[UNCHANGED.name][-1] == "1, 1, 0"
    stored = json.loads((work / robustness.CACHE_FILE).read_text())
    scored = {key.split()[0]: [t.split("|")[0] for t in of] for key, of in stored.items()}
    # The first fold is the one without Suno.
    assert scored == {find_model("default").card.label: ["real/x"], "loudness-fold-0": ["ai/x"]}


def write_corpus(folder: Path) -> None:
    """Write a quiet real clip and a loud AI one."""
    folder.mkdir()
    columns = ["file", "label", "generator", "family", "track", "source", "sample_rate"]
    rows = []
    for label, level in (("real", 0.01), ("ai", 0.06)):
        encode(folder / f"{label}.flac", tone(level, 4.5), RATE)
        family = "Suno" if label == "ai" else ""
        rows.append([f"{label}.flac", label, "", family, label, f"{label}/x", RATE, 0])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*columns, "skip_s"], *rows])
