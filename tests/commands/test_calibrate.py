"""``beet aicalibrate``: thresholds, what they would change, and saving them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError

from tests.support.beets_library import LABEL, ROUNDING, write_track
from tests.support.labelled_audio import BenchHelper, read_json, write_scored
from tests.support.onnx_models import write_model
from tests.support.terminal import run_in_terminal

OLD = "year:1..2019"


class CalibrateHelper(BenchHelper):
    @property
    def thresholds(self) -> Path:
        return self.folder / "artifactnet" / "thresholds.json"

    def add_humans(self, n_tracks: int = 10) -> None:
        """Add old tracks with scores of 0.05, 0.1, 0.15 and so on."""
        for number in range(1, n_tracks + 1):
            self.add_scored(f"Old {number}", 0.05 * number, year=1990)

    def calibrate(self, *args: object) -> list[str]:
        words = [str(arg) for arg in args]
        return self.run_lines("aicalibrate", *words, "--out", str(self.out))

    def fails(self, *args: object) -> str:
        with pytest.raises(UserError) as caught:
            self.calibrate(*args)
        message = str(caught.value)
        assert "\n" not in message
        assert not self.thresholds.exists()
        return message.removeprefix("artifactnet: ")

    def values(self, model: str = LABEL) -> Any:
        return read_json(self.out / "calibration.json")[model]


class TestFinding(CalibrateHelper):
    def test_before_and_after(self) -> None:
        """Both pairs of thresholds stand side by side, with what they do to the library."""
        self.add_humans()
        self.add_scored("New", 0.48, year=2024, album="Fresh", albumartist="Somebody")
        self.run_command("artifactnet")
        before = {item.id: self.rows(item) for item in self.lib.items()}

        lines = self.calibrate("--fpr", "0.65", "--real", OLD)

        assert lines[0] == f"{LABEL}: 10 stored scores, 0 scored now, 0 failed"
        assert lines[1] == (
            f"{LABEL}: 10 human-made tracks with a score, 10 albums (or tracks without one)"
        )
        assert lines[2] == "  in force now: ai 0.5 (model card), unsure 0.3 (model card)"
        cells = [line.split() for line in lines[3:]]
        assert cells[0] == ["now", "for", "65", "%"]
        assert cells[1][:3] == ["ai", "threshold", "0.5"]
        assert float(cells[1][3]) == pytest.approx(0.35, abs=ROUNDING)
        now = self.values()["before"]["flagged"]
        assert cells[2][2:5] == [str(now["ai"]["n"]), "of", "10,"]
        assert cells[2][6:8] == ["3", "of"]
        assert now["unsure"]["n"] in {4, 5}
        assert lines[10] == f"  your library: 11 tracks scored by {LABEL}".replace(
            LABEL, "this model"
        )
        by_verdict = {line[1]: line[2:] for line in cells if line[0] == "verdict"}
        assert sum(int(pair[0]) for pair in by_verdict.values()) == 11
        assert int(by_verdict["ai"][1]) == 4
        assert "    Somebody - Fresh: 1 from unsure to ai" in lines
        assert lines[-1] == f"calibration: {self.out / 'calibration.json'}"
        assert {item.id: self.rows(item) for item in self.lib.items()} == before
        assert not self.thresholds.exists()

    def test_nothing_changes(self) -> None:
        """That is said, too."""
        self.add_humans()
        lines = self.calibrate("--fpr", "0.65", "--real", OLD)
        assert "  your library: 0 tracks scored by this model" in lines
        assert "  changes of verdict: none" in lines

    def test_the_many_albums(self) -> None:
        """The ones with most changes are named, and the others counted."""
        self.add_humans()
        for number in range(14):
            album = "Long" if number < 3 else f"Album {number:02}"
            self.add_scored(f"New {number}", 0.4, year=2024, album=album, artist="A")
        self.run_command("artifactnet", "year:2024")
        lines = self.calibrate("--fpr", "0.65", "--real", OLD)
        first = lines.index("  changes of verdict: 14 from unsure to ai") + 1
        assert lines[first] == "    A - Long: 3 from unsure to ai"
        assert lines[first + 1] == "    A - Album 03: 1 from unsure to ai"
        assert lines[first + 10] == "    and 2 more albums"

    def test_stored_scores_are_used(self) -> None:
        """A fresh score is not made again; a stale one is, and is not stored."""
        self.add_humans()
        self.run_command("artifactnet")
        write_track(Path(self.get("Old 1").filepath), "real", 3.0)

        lines = self.calibrate("--fpr", "0.65", "--real", OLD)

        assert lines[0] == f"{LABEL}: 9 stored scores, 1 scored now, 0 failed"
        assert (self.out / "results.jsonl").read_bytes().count(b"\n") == 1

    def test_the_users_own_word_wins(self) -> None:
        """A track that the user calls AI is no human-made one."""
        self.add_humans(11)
        item = self.get("Old 11")
        item.ai_override = "ai"
        item.store()
        lines = self.calibrate("--fpr", "0.65", "--real", OLD)
        assert lines[0] == "1 track of --real left out: ai_override says otherwise"
        assert self.values()["n_tracks"] == 10

    def test_a_folder_of_human_made_music_alone(self) -> None:
        """Calibrating needs one label; a benchmark's answers are used again."""
        folder = self.folder / "audio"
        for number in range(10):
            write_scored(folder / "real" / f"{number}.flac", 0.05 + 0.05 * number)
        self.calibrate("--fpr", "0.65", folder)
        assert self.values()["n_tracks"] == 10
        n_known = (self.out / "results.jsonl").read_bytes().count(b"\n")
        write_scored(folder / "ai" / "a.flac", 0.9)
        self.bench(folder)
        assert (self.out / "results.jsonl").read_bytes().count(b"\n") == n_known + 1

    def test_the_calibration_split(self) -> None:
        """Of a manifest with splits, thresholds come from that split alone."""
        rows = ["path,label,split"]
        for number in range(10):
            for split in ("calibration", "test"):
                name = f"{split}{number}.flac"
                score = 0.03 + 0.03 * number + 0.3 * (split == "test")
                write_scored(self.folder / name, score)
                rows.append(f"{name},real,{split}")
        csv = self.folder / "tracks.csv"
        csv.write_text("\n".join(rows))
        self.calibrate("--fpr", "0.65", csv)
        assert self.values()["ai"] == pytest.approx(0.21, abs=ROUNDING)

    def test_several_models(self) -> None:
        """Each gets thresholds of its own."""
        self.add_humans()
        other = write_model(self.folder / "other", kind="logit", model_id="other")
        default = self.model_folder / "model.onnx"
        self.calibrate(
            *("--fpr", "0.65", "--real", OLD, "-m", default, "-m", other / "model.onnx")
        )
        assert self.values("other-1.0")["ai"] == pytest.approx(self.values()["ai"], abs=1e-4)

    def test_a_rate_that_cannot_be_claimed(self) -> None:
        """The line says what can be claimed, and how many tracks the wanted rate takes."""
        self.add_humans()
        assert self.fails("--real", OLD, "--save", "--yes") == (
            "a false-positive rate of 1 % cannot be claimed from 10 human-made tracks with a "
            "score: they can show 25.9 % at best, and 1 % takes 299"
        )
        # That was clear before any of them was scored.
        assert not self.out.exists()

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ([], "give human-made tracks: --real QUERY"),
            (["a", "--real", "b"], "give --real QUERY or a manifest, not both; a query of sev"),
            (["a", "b"], "one manifest, folder or CSV file at a time"),
            (["--fpr", "0", "--real", "x"], "--fpr is 0, it must be above 0"),
            (["--fpr", "1", "--real", "x"], "--fpr is 1, it must be above 0 and below 1"),
            (["--fpr", "nan", "--real", "x"], "--fpr is nan, it must be"),
            (["--yes", "--real", "x"], "--yes goes with --save"),
            (["--audio-root", "x", "--real", "b"], "--audio-root goes with a manifest"),
            (["--real", "title:x"], "--real 'title:x' finds no track"),
            (["a", "-m", "nothing"], "there is no model 'nothing'"),
        ],
    )
    def test_contradictions(self, args: list[str], message: str) -> None:
        """Options that contradict each other end in one line."""
        assert self.fails(*args).startswith(message)

    def test_the_extra_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The line names the extra, and nothing was scored."""
        monkeypatch.setitem(sys.modules, "scipy", None)
        message = self.fails("--real", OLD)
        assert message.endswith("pip install 'beets-artifactnet[bench]'")
        assert not self.out.exists()


class TestSaving(CalibrateHelper):
    def save(self, *args: object) -> list[str]:
        return self.calibrate("--fpr", "0.65", "--real", OLD, "--save", "-q", *args)

    def test_stored_verdicts_follow(self) -> None:
        """They are decided anew without decoding, and albums with them."""
        self.add_humans()
        new = self.add_scored("New", 0.48, year=2024)
        self.lib.add_album([new])
        self.run_command("artifactnet", "title:New")
        assert self.get("New").ai_verdict == "unsure"
        before = self.rows(self.get("New"))

        lines = self.save("--yes")

        assert lines == [
            f"calibration: {self.out / 'calibration.json'}",
            f"saved in {self.thresholds}; 1 verdict changed",
        ]
        saved = read_json(self.thresholds)[LABEL]
        # 3 of 10 may be flagged: the threshold lies just above the fourth highest.
        assert saved["ai"] == pytest.approx(0.35, abs=ROUNDING)
        assert saved["unsure"] == saved["ai"]
        assert saved["flagged"]["ai"]["n"] == 3
        assert saved["n_tracks"] == saved["n_lineages"] == 10
        assert saved == {**self.values(), "tracks": OLD}
        assert self.get("New").ai_verdict == "ai"
        assert self.get_album().ai_album_flagged == 1
        assert self.rows(self.get("New"))["ai_scored"] == before["ai_scored"]
        # What was scored for the calibration alone is not stored.
        assert self.rows(self.get("Old 3")) == {}
        last = self.run_lines("artifactnet")[-1]
        assert "songs per minute, thresholds: ai 0.35" in last
        assert last.endswith(" (saved calibration)")
        assert self.get("Old 8").ai_verdict == "ai"
        assert self.get("Old 6").ai_verdict == "real"
        assert "saved calibration" in self.calibrate("--fpr", "0.65", "--real", OLD)[2]

    def test_without_a_terminal_it_needs_yes(self) -> None:
        """Thresholds below the model's own are not saved unasked."""
        self.add_humans()
        self.write_config()
        args = ["--fpr", "0.65", "--real", OLD, "--save", "--out", str(self.out)]
        process = self.start_beet("aicalibrate", *args, stdin=subprocess.DEVNULL)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "there is no terminal to ask on: confirm with --yes" in errors
        assert not self.thresholds.exists()

    def test_higher_thresholds_are_saved_unasked(self) -> None:
        """They accuse less."""
        for number in range(10):
            self.add_scored(f"Old {number}", 0.5 + 0.04 * number, year=1990)
        assert len(self.save()) == 2
        assert read_json(self.thresholds)[LABEL]["ai"] > 0.5

    @pytest.mark.parametrize(("answer", "is_saved"), [("y\n", True), ("n\n", False)])
    @pytest.mark.slow
    def test_asked_on_a_terminal(self, answer: str, is_saved: bool) -> None:
        """The question names both thresholds; no is no."""
        self.add_humans()
        self.write_config()
        args = ["--fpr", "0.65", "--real", OLD, "--save", "--out", str(self.out)]
        status, seen = run_in_terminal(answer, "aicalibrate", *args)
        assert f"{LABEL} would call a track ai from 0.35" in seen
        assert "the model's own threshold is 0.5" in seen
        assert self.thresholds.exists() is is_saved
        assert status == (0 if is_saved else 1)
        assert ("nothing was saved" in seen) is not is_saved

    def test_the_configuration_comes_first(self) -> None:
        """A threshold of the user's own stands above a saved one, and that is said."""
        self.add_humans()
        self.configure(ai_threshold=0.45)
        lines = self.save("--yes")
        assert lines[-1].startswith(
            "your configuration comes first; in force: ai 0.45 (config), unsure 0.35"
        )
        self.run_command("artifactnet")
        assert self.get("Old 8").ai_verdict == "unsure"
        assert self.get("Old 10").ai_verdict == "ai"

    def test_a_configuration_that_the_thresholds_would_break(self) -> None:
        """It is said before they are saved: afterwards no command would run."""
        self.add_humans()
        self.configure(unsure_threshold=0.45)
        message = self.fails("--fpr", "0.65", "--real", OLD, "--save", "--yes")
        assert message.startswith("artifactnet.unsure_threshold is 0.45, it must not be above")

    def test_another_model_than_the_configured_one(self) -> None:
        """Its thresholds are saved, and no verdict changes."""
        self.add_humans()
        self.run_command("artifactnet")
        other = write_model(self.folder / "other", model_id="other")
        lines = self.save("--yes", "-m", other / "model.onnx")
        assert lines[-2].endswith("; 0 verdicts changed")
        assert lines[-1] == f"`model:` is {LABEL}, whose thresholds stay as they are"
        assert list(read_json(self.thresholds)) == ["other-1.0"]

    def test_removing_the_file_brings_the_card_back(self) -> None:
        """The next ``beet artifactnet`` decides by the card again."""
        self.add_humans()
        self.save("--yes")
        self.run_command("artifactnet")
        assert self.get("Old 8").ai_verdict == "ai"
        self.thresholds.unlink()
        self.run_command("artifactnet")
        assert self.get("Old 8").ai_verdict == "unsure"

    @pytest.mark.parametrize(
        "text", ["{", "[]", json.dumps({LABEL: {"ai": 0.2, "unsure": 0.3}})]
    )
    def test_a_corrupt_file(self, text: str) -> None:
        """One line that names the file and what to do."""
        self.add_scored("One", 0.9)
        self.thresholds.parent.mkdir()
        self.thresholds.write_text(text)
        with pytest.raises(UserError, match=r"thresholds\.json.*calibrate again") as caught:
            self.run_command("artifactnet")
        assert "\n" not in str(caught.value)
