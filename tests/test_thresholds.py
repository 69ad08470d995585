"""Thresholds in force, where they come from, and the file of saved ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.thresholds import (
    Origin,
    false_positives,
    in_force,
    read_thresholds,
    save_thresholds,
)

CARD = Thresholds(ai=0.5, unsure=0.3)
SAVED = Thresholds(ai=0.7, unsure=0.4)


@dataclass(frozen=True)
class User:
    ai_threshold: float | None = None
    unsure_threshold: float | None = None


CONFIG, CALIBRATION, OF_CARD = Origin.CONFIG, Origin.SAVED, Origin.CARD


@pytest.mark.parametrize(
    ("user", "saved", "ai", "unsure"),
    [
        (User(), None, (0.5, OF_CARD), (0.3, OF_CARD)),
        (User(), SAVED, (0.7, CALIBRATION), (0.4, CALIBRATION)),
        (User(0.9), None, (0.9, CONFIG), (0.3, OF_CARD)),
        (User(0.9), SAVED, (0.9, CONFIG), (0.4, CALIBRATION)),
        (User(None, 0.45), None, (0.5, OF_CARD), (0.45, CONFIG)),
        (User(0.8, 0.7), SAVED, (0.8, CONFIG), (0.7, CONFIG)),
        (User(0.6, 0.6), None, (0.6, CONFIG), (0.6, CONFIG)),
        # A lone ``ai_threshold`` below ``unsure`` takes that down with it.
        (User(0.2), None, (0.2, CONFIG), (0.2, CONFIG)),
        (User(0.35), SAVED, (0.35, CONFIG), (0.35, CONFIG)),
    ],
)
def test_the_configuration_then_the_calibration_then_the_card(
    user: User,
    saved: Thresholds | None,
    ai: tuple[float, Origin],
    unsure: tuple[float, Origin],
) -> None:
    """Each threshold has the origin that its value has."""
    found = in_force(user, saved, CARD)
    assert (found.thresholds.ai, found.ai_origin) == ai
    assert (found.thresholds.unsure, found.unsure_origin) == unsure


def test_a_line_for_readers() -> None:
    assert str(in_force(User(0.25), None, Thresholds(ai=0.5, unsure=0.2))) == (
        "ai 0.25 (config), unsure 0.2 (model card)"
    )
    assert str(in_force(User(), SAVED, CARD)) == (
        "ai 0.7 (saved calibration), unsure 0.4 (saved calibration)"
    )


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (User(None, 0.6), "0.6, it must not be above the ai threshold, 0.5 (model card)"),
        (User(0.2, 0.21), "0.21, it must not be above the ai threshold, 0.2 (config)"),
    ],
)
def test_unsure_above_ai_is_refused(user: User, message: str) -> None:
    """The error gives both thresholds."""
    with pytest.raises(ConfigError) as caught:
        in_force(user, None, CARD)
    assert str(caught.value) == f"artifactnet.unsure_threshold is {message}"


def test_saved_thresholds_are_read_back(tmp_path: Path) -> None:
    """By model; others stay as they are."""
    path = tmp_path / "new" / "thresholds.json"
    assert read_thresholds(path, "a-1") is None
    save_thresholds(path, {"a-1": {"ai": 0.6, "unsure": 0.2, "n_tracks": 300}})
    save_thresholds(path, {"b-1": {"ai": 1, "unsure": 1}})
    assert read_thresholds(path, "a-1") == Thresholds(ai=0.6, unsure=0.2)
    assert read_thresholds(path, "b-1") == Thresholds(ai=1.0, unsure=1.0)
    assert read_thresholds(path, "a-2") is None
    assert json.loads(path.read_text())["a-1"]["n_tracks"] == 300
    assert [found.name for found in path.parent.iterdir()] == ["thresholds.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        '{"m-1": []}',
        '{"m-1": {"ai": 0.5}}',
        '{"m-1": {"ai": "0.5", "unsure": 0.1}}',
        '{"m-1": {"ai": true, "unsure": 0.1}}',
        '{"m-1": {"ai": 0.1, "unsure": 0.5}}',
        '{"m-1": {"ai": NaN, "unsure": 0.5}}',
        '{"m-1": {"ai": 1e999, "unsure": 0.5}}',
        b"\xff\xfe",
    ],
)
def test_a_corrupt_file_is_one_line(text: str | bytes, tmp_path: Path) -> None:
    """It names the file, and what to do."""
    path = tmp_path / "thresholds.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=r"thresholds\.json.*calibrate again") as caught:
        read_thresholds(path, "m-1")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """One line, too."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be"):
        save_thresholds(tmp_path / "file" / "thresholds.json", {})


RATES = {"ai": {"rate": [0.003, 0.0, 0.007]}, "unsure or ai": {"rate": [0.05, 0.03, 0.08]}}
RATED = {"songs": {"human": {"tracks": 628, "sources": 136, **RATES}}}


def test_false_positives_of_a_card(tmp_path: Path) -> None:
    """The card's rates hold for the card's thresholds, and for no others."""
    path = tmp_path / "thresholds.json"
    found = false_positives(in_force(User(), None, CARD), path, "m-1", RATED)
    assert (found["ai"].rate, found["ai"].at_most) == (0.003, 0.007)
    assert found["unsure"].at_most == 0.08
    assert found["ai"].tracks == "628 tracks of 136 sources"
    assert false_positives(in_force(User(0.6, 0.6), None, CARD), path, "m-1", RATED) == {}
    assert set(false_positives(in_force(User(0.6), None, CARD), path, "m-1", RATED)) == {
        "unsure"
    }


@pytest.mark.parametrize(
    "rates",
    [
        {},
        {"fpr": 0.01, "n_tracks": 1000},
        {"songs": {"human": {"tracks": 1, "sources": 1, "ai": {"rate": 0.1}}}},
        {"songs": {"human": {"tracks": 1, "sources": 1, "ai": {"rate": [0.1, 0.2, 0.05]}}}},
        {"songs": {"human": {"tracks": 1, "sources": 1, "ai": {"rate": [True, 0, 1]}}}},
        {"songs": {"human": {"tracks": "x", "sources": 1, "ai": {"rate": [0.1, 0, 1]}}}},
        {"songs": {"human": [1, 2]}},
    ],
)
def test_cards_without_such_rates(rates: dict[str, object], tmp_path: Path) -> None:
    """A card's rates are free; of what is none, nothing is claimed."""
    force = in_force(User(), None, CARD)
    assert false_positives(force, tmp_path / "thresholds.json", "m-1", rates) == {}


def test_false_positives_of_a_calibration(tmp_path: Path) -> None:
    """Those of one's own music come with its thresholds; older files have none."""
    path = tmp_path / "thresholds.json"
    flagged = {"ai": {"n": 1, "rate": 0.01, "at_most": 0.05}}
    values = {"ai": 0.7, "unsure": 0.4, "n_tracks": 100, "flagged": flagged}
    save_thresholds(path, {"m-1": values, "m-2": {"ai": 0.7, "unsure": 0.4}})
    force = in_force(User(), SAVED, CARD)
    found = false_positives(force, path, "m-1", RATED)
    assert found["ai"].at_most == 0.05
    assert found["ai"].tracks == "100 tracks of your own"
    assert "unsure" not in found
    assert false_positives(force, path, "m-2", RATED) == {}
