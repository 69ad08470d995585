"""Lines that are safe to print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from beets.exceptions import UserError
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet import commands
from beetsplug.artifactnet.commands.terminal import LINE_LIMIT, guarded, printable, speed
from beetsplug.artifactnet.errors import ModelError
from tests.support.beets_library import ArtifactNetHelper, write_track
from tests.support.terminal import beet_in_terminal


@given(st.text(), st.integers(1, 50))
def test_any_text_is_one_short_line(text: str, limit: int) -> None:
    """Nothing but printable characters comes out, no more of them than asked for."""
    line = printable(text, limit)
    assert line.isprintable()
    assert len(line) <= limit


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=50))
def test_what_can_be_printed_stays(text: str) -> None:
    """A text that is short and harmless is printed as it is."""
    assert printable(text) == text


def test_control_characters_are_escaped() -> None:
    """Escape sequences, line breaks and marks of direction are shown, not obeyed."""
    assert printable("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"


def test_the_middle_is_left_out() -> None:
    """Of a long line, the beginning and the end are kept."""
    line = printable(f"begin {'x' * 3_000_000} end")
    assert len(line) == LINE_LIMIT
    assert line.startswith("begin xxx")
    assert line.endswith("xxx end")
    assert line.count("…") == 1


@pytest.mark.parametrize("kind", [ModelError, UserError])
def test_errors_are_one_line(kind: type[Exception]) -> None:
    """A command's error, ours or beets', is escaped and bounded."""

    @guarded
    def fails() -> None:
        raise kind("a\x1b[2J\n" + "x" * 3_000_000)

    with pytest.raises(UserError) as caught:
        fails()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < LINE_LIMIT + 100


@pytest.mark.parametrize("name", ["model"])
def test_commands_print_through_it(name: str) -> None:
    """A command has no other way to print than the one that escapes and bounds."""
    source = (Path(commands.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    assert re.findall(r"ui\.print_|\bprint\(|sys\.std(?:out|err)\.write|\blog\.", source) == []


@pytest.mark.parametrize(
    ("tracks_per_s", "text"),
    [
        (12.34, "12.3 tracks/s"),
        (1.0, "1.0 tracks/s"),
        (0.25, "4.0 s/track"),
        (0.0, "? tracks/s"),
    ],
)
def test_the_speed(tracks_per_s: float, text: str) -> None:
    """Below one a second it is seconds a track."""
    assert speed(tracks_per_s) == text


class TestColours(ArtifactNetHelper):
    @pytest.mark.parametrize(
        ("ui", "environment", "before", "after"),
        [
            ({}, {}, "\x1b[1;31m", "\x1b[39;49;00m"),
            ({"colors": {"text_error": ["blue"]}}, {}, "\x1b[34m", "\x1b[39;49;00m"),
            ({"color": False}, {}, "", ""),
            ({}, {"NO_COLOR": "1"}, "", ""),
        ],
    )
    def test_verdicts_on_a_terminal(
        self,
        ui: dict[str, object],
        environment: dict[str, str],
        before: str,
        after: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """They have the colours that beets' own settings give to errors, or none."""
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        path = write_track(self.folder / "x.flac", "ai")
        self.write_config(ui=ui)
        with beet_in_terminal("ai", str(path)) as terminal:
            assert terminal.end() == 0
            seen = terminal.styled
        assert re.search(rf"{re.escape(before)}ai    {re.escape(after)} 0\.[67]", seen)
        assert bool(re.search(r"\x1b\[[0-9;]*m", seen)) == bool(before)
