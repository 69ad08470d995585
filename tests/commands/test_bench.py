"""``beet aibench``: inputs, reports, transport, and being interrupted, end to end."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError

from tests.support.beets_library import (
    LABEL,
    ROUNDING,
    slow_down,
    write_broken,
)
from tests.support.labelled_audio import BenchHelper, read_json
from tests.support.onnx_models import AI_THRESHOLD, write_model


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

        assert lines[0] == "1 track of --ai left out: ai_override says otherwise"
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
            (["a", "--ai", "b"], "give a manifest, or --ai and --real, not both"),
            (["a", "--real", "b"], "give a manifest, or --ai and --real, not both"),
            (["--ai", "b"], "give a manifest, a folder or a CSV file"),
            (["--real", "b"], "give a manifest, a folder or a CSV file"),
            (["--audio-root", "x", "--ai", "a", "--real", "b"], "--audio-root goes with"),
            (["a", "--threads", "-1"], "--threads is -1, it must be 0 or more"),
            (["--calibrate", "0.1", "--real", "x"], "`aibench --calibrate` has moved: `beet"),
            (["--save", "--calibrate", "0.1"], "`aibench --save` has moved: `beet aical"),
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

    @pytest.mark.parametrize("module", ["sklearn", "matplotlib"])
    def test_the_extra_is_missing(self, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The line names the extra, and nothing was scored."""
        folder = self.write_folder(ai=[0.9], real=[0.1])
        monkeypatch.setitem(sys.modules, module, None)
        assert self.fails(folder).endswith("pip install 'beets-artifactnet[bench]'")
        assert not self.out.exists()


@pytest.mark.slow
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
        while self.n_answers() < n_answers:
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
