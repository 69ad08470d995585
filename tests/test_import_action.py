"""``import_action``: what an import asks, and what becomes of flagged tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from beets.test.helper import AutotagImportHelper

from tests.support.beets_library import (
    ROUNDING,
    SCORES,
    ArtifactNetHelper,
    said,
    write_track,
)

PROMPT = "[I]mport as it is"


class ActionHelper(AutotagImportHelper, ArtifactNetHelper):
    """Imports of albums whose tracks have known verdicts."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.configure(import_action="ask")

    def write_album(self, name: str, *verdicts: str) -> list[Path]:
        return [
            write_track(
                self.import_path / name / f"{n}.flac",
                verdict,
                title=f"{name} {n}",
                artist="Tag Artist",
                album=f"Tag {name}",
                track=n,
            )
            for n, verdict in enumerate(verdicts, 1)
        ]

    def beet_import(self, *args: str, answers: str = "", **options: Any) -> str:
        """Import as-is unless options say otherwise; return what was printed."""
        self.config["import"].set({"autotag": False, "timid": True, **options})
        for answer in answers:
            self.io.addinput(answer)
        return self.run_with_output("import", *args, str(self.import_path))

    def imported(self) -> set[str]:
        return {str(item.title) for item in self.lib.items()}


WAYS: dict[str, dict[str, Any]] = {
    "as-is": {"autotag": False},
    "autotag": {"autotag": True},
    "as-is singletons": {"autotag": False, "singletons": True},
    "singletons": {"autotag": True, "singletons": True},
    "grouped": {"autotag": True, "group_albums": True},
    "as-is grouped": {"autotag": False, "group_albums": True},
}


@pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "sequential"])
@pytest.mark.parametrize("way", WAYS)
class TestEveryWay(ActionHelper):
    """A flagged album or track and a clean one, whatever the way of the import."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.sources = [*self.write_album("Bad", "ai"), *self.write_album("Good", "real")]

    def run_import(self, way: str, threaded: bool, answer: str) -> str:
        self.config["threaded"] = threaded
        options = WAYS[way]
        # beets' own stub finds a match for each task; U takes the tags as they are.
        beets_own = "UU" if answer != "S" else "U"
        answers = answer + (beets_own if options["autotag"] else "")
        return self.beet_import(answers=answers, **options)

    def test_skipped_on_demand(self, way: str, threaded: bool) -> None:
        """A skipped track is not imported, and its file is as it was."""
        before = self.sources[0].read_bytes()
        seen = self.run_import(way, threaded, "S")
        assert seen.count(PROMPT) == 1
        assert self.imported() == {"Good 1"}
        assert self.sources[0].read_bytes() == before
        assert self.get("Good 1").ai_verdict == "real"

    def test_imported_as_it_is(self, way: str, threaded: bool) -> None:
        """An imported track has the score that was shown."""
        seen = self.run_import(way, threaded, "I")
        assert seen.count(PROMPT) == 1
        item = self.get("Bad 1")
        assert item.ai_verdict == "ai"
        assert item.ai_score == pytest.approx(SCORES["ai"], abs=ROUNDING)
        assert f"ai     {item.ai_score:.4f}  " in seen
        assert self.get("Good 1").ai_verdict == "real"

    def test_marked_human(self, way: str, threaded: bool) -> None:
        """The user's word is stored with its date and a note, and decides."""
        self.run_import(way, threaded, "H")
        item = self.get("Bad 1")
        assert (item.ai_override, item.ai_verdict, item.ai_reason) == (
            "real",
            "real",
            "override",
        )
        assert item.ai_override_note == f"decided at import, score {item.ai_score:.4f}"
        assert item.ai_override_date == pytest.approx(item.ai_scored, abs=60)
        assert "ai_override" not in self.rows(self.get("Good 1"))

    def test_left_by_itself(
        self, way: str, threaded: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With ``skip`` nothing is asked, and a line says what stays."""
        self.configure(import_action="skip")
        # `S` stands for no answer of ours here: one match alone is asked for.
        self.config["threaded"] = threaded
        options = WAYS[way]
        seen = self.beet_import(answers="U" if options["autotag"] else "", **options)
        assert PROMPT not in seen
        assert self.imported() == {"Good 1"}
        assert self.sources[0].is_file()
        (line,) = [line for line in said(caplog) if "skipped" in line]
        assert str(self.sources[0].parent) in line
