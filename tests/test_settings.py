"""The options: defaults, what is refused and how it is said, thresholds put together."""

from __future__ import annotations

from pathlib import Path

import confuse
import pytest

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.settings import DEFAULTS, Settings, read_settings


def read(options: object, config_folder: Path = Path("/config")) -> Settings:
    """Return the settings of a section ``artifactnet`` with these options."""
    config = confuse.Configuration("test", read=False)
    section = config["artifactnet"]
    section.set(options)
    section.add(DEFAULTS)
    return read_settings(section, config_folder)


def test_defaults() -> None:
    """An empty section gives the documented defaults."""
    assert read({}) == Settings(
        auto=True,
        auto_ignore="",
        model="default",
        segments=7,
        threads=0,
        time_limit_s=600,
        executor="local",
        ai_threshold=None,
        unsure_threshold=None,
        force=False,
        quiet=False,
        write=False,
        declared=True,
        keep_signed=True,
        import_action="report",
        providers=("CPUExecutionProvider",),
        model_folders=(Path("/config/artifactnet/models"),),
        thresholds_file=Path("/config/artifactnet/thresholds.json"),
        cache_folder=Path("/config/artifactnet/cache"),
        forced_run_file=Path("/config/artifactnet/forced.json"),
        reviews_folder=Path("/config/artifactnet/reviews"),
    )


def test_every_option_is_read() -> None:
    """What the user sets replaces each default."""
    settings = read(
        {
            "auto": False,
            "auto_ignore": "year:..2015",
            "model": "mine",
            "segments": "all",
            "threads": 3,
            "time_limit": 0,
            "executor": "dask://nas.local:8786",
            "ai_threshold": 1,
            "unsure_threshold": 0.25,
            "force": True,
            "quiet": True,
            "write": True,
            "declared": False,
            "keep_signed": False,
            "import_action": "ask",
            "providers": ["CUDAExecutionProvider", "CPUExecutionProvider"],
        }
    )

    assert settings == Settings(
        auto=False,
        auto_ignore="year:..2015",
        model="mine",
        segments="all",
        threads=3,
        time_limit_s=None,
        executor="dask://nas.local:8786",
        ai_threshold=1.0,
        unsure_threshold=0.25,
        force=True,
        quiet=True,
        write=True,
        declared=False,
        keep_signed=False,
        import_action="ask",
        providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
        model_folders=(Path("/config/artifactnet/models"),),
        thresholds_file=Path("/config/artifactnet/thresholds.json"),
        cache_folder=Path("/config/artifactnet/cache"),
        forced_run_file=Path("/config/artifactnet/forced.json"),
        reviews_folder=Path("/config/artifactnet/reviews"),
    )
    assert isinstance(settings.ai_threshold, float)


FLAG = "yes or no"
WORKERS = "a whole number from 0 to 512"
TIME_LIMIT = "a whole number from 0 to 604800"
EXECUTOR = "local, or a Dask scheduler's dask://HOST:PORT"
COUNT = "a whole number from 1 to 10000, or `all`"
THRESHOLD = "above 0 and at most 1, or empty for the model's own"
ACTION = "report, ask or skip"
PROVIDERS = "a list of execution providers"


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("auto", "sometimes", FLAG),
        ("auto", 1, FLAG),
        ("auto_ignore", 3, "a text"),
        ("auto_ignore", ["year:2000"], "a text"),
        ("model", None, "a text"),
        ("model", 7, "a text"),
        ("segments", 0, COUNT),
        ("segments", 10_001, COUNT),
        ("segments", 2.5, COUNT),
        ("segments", True, COUNT),
        ("segments", "some", COUNT),
        ("threads", -1, WORKERS),
        ("threads", 513, WORKERS),
        ("threads", True, WORKERS),
        ("threads", "two", WORKERS),
        ("threads", None, WORKERS),
        ("time_limit", -1, TIME_LIMIT),
        ("time_limit", 0.5, TIME_LIMIT),
        ("time_limit", None, TIME_LIMIT),
        ("executor", None, EXECUTOR),
        ("executor", 8786, EXECUTOR),
        ("executor", "", EXECUTOR),
        ("executor", "dask", EXECUTOR),
        ("executor", "dask://host", EXECUTOR),
        ("executor", "dask://:8786", EXECUTOR),
        ("executor", "dask://host:99999", EXECUTOR),
        ("executor", "http://host:8786", EXECUTOR),
        ("ai_threshold", 0, THRESHOLD),
        ("ai_threshold", 1.01, THRESHOLD),
        ("ai_threshold", float("nan"), THRESHOLD),
        ("ai_threshold", True, THRESHOLD),
        ("ai_threshold", "high", THRESHOLD),
        ("unsure_threshold", -0.1, THRESHOLD),
        ("unsure_threshold", "low", THRESHOLD),
        ("force", "always", FLAG),
        ("quiet", 0, FLAG),
        ("write", "tags", FLAG),
        ("write", None, FLAG),
        ("import_action", "delete", ACTION),
        ("import_action", None, ACTION),
        ("import_action", True, ACTION),
        ("providers", "CPUExecutionProvider", PROVIDERS),
        ("providers", [], PROVIDERS),
        ("providers", [1], PROVIDERS),
    ],
)
def test_a_bad_value_is_refused(option: str, value: object, allowed: str) -> None:
    """The error names the option, the value found and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        read({option: value})

    assert str(caught.value) == f"artifactnet.{option} is {value!r}, it must be {allowed}"


def test_an_unknown_option_is_refused() -> None:
    """The error names the option and lists those that there are."""
    with pytest.raises(ConfigError) as caught:
        read({"treshold": 0.5})

    assert str(caught.value).startswith("artifactnet.treshold is no option; there are auto,")
    assert "ai_threshold" in str(caught.value)


@pytest.mark.parametrize("section", [True, "on", ["auto"]])
def test_a_section_that_holds_no_options_is_refused(section: object) -> None:
    """A section that is no mapping is one error, and not one of confuse's."""
    with pytest.raises(ConfigError, match="artifactnet"):
        read(section)


def test_an_empty_query_exempts_nothing() -> None:
    """``auto_ignore:`` with nothing behind it is the empty query."""
    assert read({"auto_ignore": None}).auto_ignore == ""
