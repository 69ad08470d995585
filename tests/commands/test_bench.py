"""``beet aibench``: inputs, reports, calibration, and being interrupted, end to end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError
from beets.library import Item

from tests.support.audio_files import encode, tone
from tests.support.beets_library import (
    LABEL,
    ROUNDING,
    ArtifactNetHelper,
    slow_down,
    write_broken,
)
from tests.support.onnx_models import AI_THRESHOLD, GAIN, SAMPLE_RATE, write_model


def write_scored(path: Path, score: float) -> Path:
    """Write a track that the loudness model gives this score."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode(path, tone(score / GAIN, 1.0, SAMPLE_RATE), SAMPLE_RATE)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


class BenchHelper(ArtifactNetHelper):
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

    def metrics(self, model: str = LABEL, out: Path | None = None) -> Any:
        return read_json((out or self.out) / model / "metrics.json")

    def add_scored(self, title: str, score: float, **values: object) -> Item:
        path = write_scored(self.lib_path / f"{title}.flac", score)
        return self.add_file(path, title=title, **values)


class TestInputs(BenchHelper):
    def test_a_folder(self) -> None:
        """Each file is scored by the pipeline; the summary ends with the report's place."""
        folder = self.write_folder(ai=[0.9, 0.7, 0.2], real=[0.1, 0.6, 0.3])

        lines = self.bench(folder)

        assert lines[0] == "audio (folder): 6 tracks"
        assert lines[1] == f"{LABEL}: 6 of 6 tracks scored, 0 missing, 0 failed"
        assert lines[-1] == f"report: {self.out / 'summary.html'}"
        (auroc,) = (line.split() for line in lines if line.split()[0] == "AUROC")
        # 7 of the 9 pairs are in the right order.
        assert float(auroc[1]) == pytest.approx(7 / 9, abs=1e-4)
        assert auroc[3] == "to"
        found = {row["track_id"]: row for row in self.probs()}
        assert found["ai/source0/0.flac"]["prob"] == pytest.approx(0.9, abs=ROUNDING)
        assert found["real/source1/1.flac"]["label"] == 0
        confusion = self.metrics()["metrics"]["own.confusion"]
        assert list(confusion.values()) == [2, 1, 2, 1]
        assert self.metrics()["thresholds"] == {"own": AI_THRESHOLD}

    def probs(self) -> Any:
        return read_json(self.out / LABEL / "track_probs.json")

    def test_a_manifest_with_an_audio_root(self) -> None:
        """Files are found below the root; the published columns stand beside the measured."""
        folder = self.write_folder(ai=[0.9, 0.2], real=[0.1, 0.6])
        rows = [
            {
                "path": f"/elsewhere/{path.relative_to(folder)}",
                "label": path.parts[-3],
                "track_id": str(path.relative_to(folder)),
                "bench_origin": "test",
            }
            for path in sorted(folder.rglob("*.flac"))
        ]
        manifest = self.folder / "manifest.json"
        manifest.write_text(json.dumps({"bench": rows, "metadata": {}}))

        lines = self.bench(manifest, "--audio-root", folder)

        assert lines[0] == "manifest.json (ArtifactBench v1): 4 tracks"
        assert lines[1] == (
            f"{LABEL}: 4 of 4 tracks of the split 'test' scored, 0 missing, 0 failed"
        )
        columns = self.metrics()["published"]["columns"]
        assert [column["detector"] for column in columns][1:] == ["CLAM", "SpecTTTra"]

    def test_missing_and_broken_audio_is_coverage(self) -> None:
        """What cannot be scored is in no metric, and the report says why."""
        folder = self.write_folder(ai=[0.9], real=[0.1])
        write_broken(folder / "real" / "broken.flac")
        rows = ["path,label", "ai/source0/0.flac,ai", "real/source0/0.flac,real"]
        rows += ["real/broken.flac,real", "gone.flac,ai"]
        csv = folder / "tracks.csv"
        csv.write_text("\n".join(rows))

        lines = self.bench(csv)

        assert lines[1] == f"{LABEL}: 2 of 4 tracks scored, 1 missing, 1 failed"
        failures = {
            row["track_id"]: row
            for row in read_json(self.out / LABEL / "inference_failures.json")
        }
        assert failures["real/broken.flac"]["failure"].startswith("unreadable: ")
        assert failures["gone.flac"]["missing"] is True
        assert len(failures) == 2

    def test_queries(self) -> None:
        """Tracks of the library are judged, with their albums as lineages."""
        self.add_album_of("ai", "unsure")
        self.add_scored("Old", 0.1, year=1999)
        self.add_scored("Older", 0.2, year=1989)

        lines = self.bench("--ai", "album:Album", "--real", "year:1..2000")

        assert lines[0] == "library (beets queries): 4 tracks"
        assert self.metrics()["metrics"]["auroc"]["value"] == 1.0
        assert {row["name"] for row in self.metrics()["per_source"]} == {"FLAC"}
        assert all(self.rows(item) == {} for item in self.lib.items())

    def test_the_users_own_word_wins(self) -> None:
        """A track whose override contradicts its query is left out."""
        self.add_scored("One", 0.9, year=2024)
        self.add_scored("Two", 0.8, year=2024, ai_override="real")
        self.add_scored("Three", 0.1, year=1999)

        lines = self.bench("--ai", "year:2024", "--real", "year:1999")

        assert lines[0] == "1 track left out: ai_override says otherwise"
        assert self.metrics()["coverage"]["n_tracks"] == 2

    def test_several_models(self) -> None:
        """Models of one and of another contract stand side by side, with differences."""
        folder = self.write_folder(ai=[0.9, 0.7, 0.3], real=[0.1, 0.6, 0.2])
        default = self.model_folder / "model.onnx"
        same = write_model(self.folder / "same", kind="logit", model_id="same")
        other = write_model(self.folder / "other", segment_samples=4_000, model_id="other")

        lines = self.bench(
            folder, "-m", default, "-m", same / "model.onnx", "-m", other / "model.onnx"
        )

        probs = [
            [row["prob"] for row in read_json(self.out / label / "track_probs.json")]
            for label in (LABEL, "same-1.0", "other-1.0")
        ]
        assert len(probs[0]) == 6
        assert probs[1] == pytest.approx(probs[0], abs=1e-5)
        assert probs[2] == pytest.approx(probs[0], abs=ROUNDING)
        assert f"{LABEL} minus same-1.0, on 6 tracks" in lines
        assert len(read_json(self.out / "comparison.json")) == 3

    def test_the_default_place_is_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without ``--out`` the report lies in ``aibench`` in the current folder."""
        folder = self.write_folder(ai=[0.9], real=[0.1])
        monkeypatch.chdir(self.folder)

        lines = self.run_lines("aibench", "-q", str(folder))

        assert lines == [f"report: {Path.cwd() / 'aibench' / 'audio' / 'summary.html'}"]
        assert (self.folder / "aibench" / "audio" / "results.jsonl").is_file()


class TestBadInput(BenchHelper):
    def fails(self, *args: object) -> str:
        with pytest.raises(UserError) as caught:
            self.bench(*args)
        message = str(caught.value)
        assert message.startswith("artifactnet: ")
        assert "\n" not in message
        assert not list(self.out.glob("*/metrics.json"))
        return message.removeprefix("artifactnet: ")

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ([], "give a manifest, a folder or a CSV file"),
            (["a", "b"], "one manifest, folder or CSV file at a time"),
            (["a", "--ai", "b"], "give a manifest or --ai, not both"),
            (["a", "--real", "b"], "beside a manifest, --real is for --calibrate"),
            (["--ai", "b"], "metrics need both --ai and --real"),
            (["--real", "b"], "metrics need both --ai and --real"),
            (["--calibrate", "0.1"], "--calibrate needs human-made tracks"),
            (["--calibrate", "0", "--real", "x"], "--calibrate is 0.0, it must be above 0"),
            (["--calibrate", "0.9", "--real", "x"], "--calibrate is 0.9, it must be"),
            (["--calibrate", "nan", "--real", "x"], "--calibrate is nan, it must be"),
            (["a", "--save"], "--save goes with --calibrate"),
            (["--audio-root", "x", "--ai", "a", "--real", "b"], "--audio-root goes with"),
            (["--transport", "--real", "x", "--calibrate", "0.1"], "--transport needs"),
            (["a", "--threads", "-1"], "--threads is -1, it must be 0 or more"),
            (["a", "-m", "nothing"], "there is no model 'nothing'"),
            (["/nowhere/at/all.json"], "/nowhere/at/all.json cannot be read"),
            (["--ai", "title:x", "--real", "title:y"], "--ai 'title:x' finds no track"),
        ],
    )
    def test_contradictions(self, args: list[str], message: str) -> None:
        """Options that contradict each other end in one line."""
        assert self.fails(*args).startswith(message)

    def test_rows_are_named(self) -> None:
        """A wrong label, an id that is there twice: row and field."""
        csv = self.folder / "tracks.csv"
        csv.write_text("path,label\na.flac,ai\nb.flac,human\n")
        message = self.fails(csv)
        assert "label" in message
        assert "'human'" in message
        csv.write_text("path,label\na.flac,ai\na.flac,real\n")
        assert "'a.flac'" in self.fails(csv)

    def test_one_class(self) -> None:
        """Metrics need both labels."""
        csv = self.folder / "tracks.csv"
        csv.write_text("path,label\na.flac,ai\nb.flac,ai\n")
        assert "metrics need both" in self.fails(csv)

    def test_an_item_in_both_queries(self) -> None:
        """It cannot be both."""
        self.add_scored("One", 0.9, year=2024)
        message = self.fails("--ai", "year:2024", "--real", "title:One")
        assert message.endswith("is found by both --ai and --real")

    def test_a_model_twice(self) -> None:
        """Two models of one label could not be told apart."""
        name = self.model_folder / "model.onnx"
        assert "there twice" in self.fails("x", "-m", name, "-m", name)

    def test_an_output_place_that_is_a_file(self) -> None:
        """It is said before anything is scored."""
        folder = self.write_folder(ai=[0.9], real=[0.1])
        self.out.write_text("")
        assert "cannot be used" in self.fails(folder)

    @pytest.mark.parametrize("module", ["sklearn", "matplotlib", "scipy"])
    def test_the_extra_is_missing(self, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The line names the extra, and nothing was scored."""
        folder = self.write_folder(ai=[0.9], real=[0.1])
        monkeypatch.setitem(sys.modules, module, None)
        assert self.fails(folder).endswith("pip install 'beets-artifactnet[bench]'")
        assert not self.out.exists()


class TestResuming(BenchHelper):
    def test_an_interrupted_run_goes_on(self) -> None:
        """After Ctrl-C and after a crash it does the rest, and the report is the same."""
        folder = self.write_folder(ai=[0.9, 0.71, 0.33], real=[0.12, 0.64, 0.2])
        slow_down(self.model_folder, 900)
        self.configure(threads=1, segments=1)
        self.write_config()
        args = ["aibench", str(folder), "--out", str(self.out)]

        interrupted, output = self.stop_after(1, args, signal.SIGINT)
        assert interrupted == 130
        assert output.startswith("interrupted: what was scored is kept in ")
        self.stop_after(3, args, signal.SIGKILL)
        kept = self.log.read_bytes()
        with self.log.open("ab") as file:
            # What a half-written line looks like.
            file.write(kept.splitlines()[0][:40])
        self.bench(folder)

        assert self.log.read_bytes().startswith(kept)
        assert self.n_answers() == 6
        self.run_command("aibench", str(folder), "--out", str(self.folder / "whole"))
        for name in (f"{LABEL}/metrics.json", f"{LABEL}/track_probs.json", "summary.md"):
            assert (self.out / name).read_bytes() == (self.folder / "whole" / name).read_bytes()

    @property
    def log(self) -> Path:
        return self.out / "results.jsonl"

    def n_answers(self) -> int:
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        return sum(line.endswith(b"}") for line in lines)

    def stop_after(
        self, n_answers: int, args: list[str], how: signal.Signals
    ) -> tuple[int, str]:
        """Stop a run after so many answers, and return its exit status and output."""
        process = self.start_beet(*args)
        deadline = time.monotonic() + 60
        while self.n_answers() < n_answers:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(how)
        output, _ = process.communicate(timeout=60)
        assert n_answers <= self.n_answers() < 6
        return process.returncode, output


class TestTransport(BenchHelper):
    def test_transport(self) -> None:
        """Shifts and gates are in the summary, in JSON and in the page."""
        folder = self.write_folder(ai=[0.9], real=[0.1])

        lines = self.bench(folder, "--transport")

        (result,) = read_json(self.out / "transport.json")
        assert result["model"] == LABEL
        assert result["n_tracks"] == 2
        pcm, *lossy = result["by_encoding"]
        assert (pcm["encoding"], pcm["n_flips"]) == ("PCM16 WAV", 0)
        assert pcm["max_shift"] < 1e-3
        assert [found["n_tracks"] for found in lossy] == [2] * 6
        assert f"{LABEL}: transport of 2 tracks" in lines
        assert sum(" pass: " in line or " fail: " in line for line in lines) == 4
        assert "Transport" in (self.out / "summary.html").read_text(encoding="utf-8")


class TestCalibration(BenchHelper):
    def add_humans(self, n_tracks: int = 10) -> None:
        """Add old tracks with scores of 0.05, 0.1, 0.15 and so on."""
        for number in range(1, n_tracks + 1):
            self.add_scored(f"Old {number}", 0.05 * number, year=1990)

    def test_calibrate_and_save(self) -> None:
        """Thresholds come from the library, and the stored verdicts follow them."""
        self.add_humans()
        self.add_scored("New", 0.48, year=2024)
        self.run_command("artifactnet", "title:New")
        assert self.get("New").ai_verdict == "unsure"
        before = self.rows(self.get("New"))

        lines = self.bench("--calibrate", "0.3", "--real", "year:1..2019", "--save", "-q")

        values = read_json(self.out / "calibration.json")[LABEL]
        # 3 of 10 may be flagged: the threshold lies just above the fourth highest.
        assert values["ai"] == pytest.approx(0.35, abs=ROUNDING)
        assert values["unsure"] == values["ai"]
        assert values["flagged"]["ai"]["n"] == 3
        assert values["n_tracks"] == values["n_lineages"] == 10
        assert lines == [
            f"saved in {self.folder / 'artifactnet' / 'thresholds.json'}; "
            "1 verdict decided anew"
        ]
        assert self.get("New").ai_verdict == "ai"
        after = self.rows(self.get("New"))
        assert after["ai_scored"] == before["ai_scored"]
        # What was scored for the calibration alone is not stored.
        assert self.rows(self.get("Old 3")) == {}
        self.run_command("artifactnet")
        assert self.get("Old 8").ai_verdict == "ai"
        assert self.get("Old 6").ai_verdict == "real"

    def test_stored_scores_are_used(self) -> None:
        """A fresh score is not made again; a stale one is."""
        self.add_humans()
        self.run_command("artifactnet")
        os.utime(self.get("Old 1").filepath, (1, 1))

        lines = self.bench("--calibrate", "0.3", "--real", "year:1..2019")

        assert lines[0] == f"{LABEL}: 9 stored scores, 1 scored now, 0 failed"
        assert (self.out / "results.jsonl").read_bytes().count(b"\n") == 1
        assert not (self.folder / "artifactnet" / "thresholds.json").exists()

    def test_a_rate_that_cannot_be_claimed(self) -> None:
        """The line says what can be claimed, and how many tracks the wanted rate takes."""
        self.add_humans()
        with pytest.raises(UserError) as caught:
            self.bench("--calibrate", "0.01", "--real", "year:1..2019", "--save")
        assert str(caught.value) == (
            "artifactnet: a false-positive rate of 1 % cannot be claimed from 10 "
            "human-made tracks with a score: by the rule of three they can show 30 % at best, "
            "and 1 % takes 300"
        )
        assert not (self.folder / "artifactnet" / "thresholds.json").exists()
        # That was clear before any of them was scored.
        assert not self.out.exists()

    def test_beside_a_manifest(self) -> None:
        """The report is written even where the rate is refused."""
        folder = self.write_folder(ai=[0.9, 0.8], real=[0.1, 0.2])
        with pytest.raises(UserError, match="cannot be claimed from 2 human-made"):
            self.bench(folder, "--calibrate", "0.3")
        assert self.metrics()["coverage"]["n_scored"] == 4

        self.add_humans()
        lines = self.bench(folder, "--calibrate", "0.3", "--real", "year:1990")
        assert any("calibrated on 10 human-made tracks" in line for line in lines)
        assert "Calibrated thresholds" in (self.out / "summary.md").read_text(encoding="utf-8")

    def test_the_configuration_comes_first(self) -> None:
        """A threshold of the user's own stands above a saved one, and that is said."""
        self.add_humans()
        self.configure(ai_threshold=0.45)
        lines = self.bench("--calibrate", "0.3", "--real", "year:1..2019", "--save", "-q")
        assert lines[-1] == "artifactnet.ai_threshold in your configuration still comes first"
        self.run_command("artifactnet")
        assert self.get("Old 8").ai_verdict == "unsure"
        assert self.get("Old 10").ai_verdict == "ai"

    def test_removing_the_file_brings_the_card_back(self) -> None:
        """The next ``beet artifactnet`` decides by the card again."""
        self.add_humans()
        self.bench("--calibrate", "0.3", "--real", "year:1..2019", "--save", "-q")
        self.run_command("artifactnet")
        assert self.get("Old 8").ai_verdict == "ai"
        (self.folder / "artifactnet" / "thresholds.json").unlink()
        self.run_command("artifactnet")
        assert self.get("Old 8").ai_verdict == "unsure"

    @pytest.mark.parametrize(
        "text", ["{", "[]", f'{{"{LABEL}": {{"ai": 0.2, "unsure": 0.3}}}}']
    )
    def test_a_corrupt_file(self, text: str) -> None:
        """One line that names the file and what to do."""
        self.add_scored("One", 0.9)
        path = self.folder / "artifactnet" / "thresholds.json"
        path.parent.mkdir()
        path.write_text(text)
        with pytest.raises(UserError, match=r"thresholds\.json.*calibrate again") as caught:
            self.run_command("artifactnet")
        assert "\n" not in str(caught.value)
