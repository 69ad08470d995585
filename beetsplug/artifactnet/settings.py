"""The plugin's options, read once into a frozen dataclass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import confuse

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.workers import is_executor

if TYPE_CHECKING:
    from beetsplug.artifactnet.scoring.segments import SegmentCount

DEFAULTS: dict[str, Any] = {
    "auto": True,
    "auto_ignore": "",
    "model": "default",
    "segments": 7,
    "threads": 0,
    "time_limit": 600,
    "executor": "local",
    "ai_threshold": None,
    "unsure_threshold": None,
    "force": False,
    "quiet": False,
    "write": False,
    "declared": True,
    "keep_signed": True,
    "import_action": "report",
    "providers": ["CPUExecutionProvider"],
}
"""Every option of the section ``artifactnet`` with its default."""

IMPORT_ACTIONS = ("report", "ask", "skip")
"""Actions of an import on flagged tracks."""

_MAX_SEGMENTS = 10_000
_MAX_THREADS = 512
_MAX_TIME_LIMIT_S = 7 * 86_400


@dataclass(frozen=True)
class Settings:
    """The options of the user."""

    auto: bool
    """Whether tracks are scored at import."""
    auto_ignore: str
    """A beets query: items that are not scored at import."""
    model: str
    """``default``, a model's id, or the path of an ``.onnx`` file."""
    segments: SegmentCount
    threads: int
    """Workers; 0 is one per core."""
    time_limit_s: float | None
    """A file that takes longer is given up; None: none is."""
    executor: str
    """``local``, or the address of a Dask scheduler, ``dask://HOST:PORT``."""
    ai_threshold: float | None
    """None: the model card's."""
    unsure_threshold: float | None
    force: bool
    quiet: bool
    write: bool
    """Whether scores are exported to file tags."""
    declared: bool
    """Whether a strong declaration in a file decides its verdict."""
    keep_signed: bool
    """Whether files that carry a C2PA manifest are kept free of the plugin's tags."""
    import_action: str
    """Action of an import on flagged tracks, one of :data:`IMPORT_ACTIONS`."""
    providers: tuple[str, ...]
    """onnxruntime's execution providers, in order of preference."""
    model_folders: tuple[Path, ...]
    """Where installed models lie."""
    thresholds_file: Path
    """Where calibrated thresholds are saved."""
    cache_folder: Path
    """Where onnxruntime's optimised forms of models are kept."""
    forced_run_file: Path
    """Where a run that scores everything again is noted while it lasts."""
    reviews_folder: Path
    """Where the last reviews are noted, so that they can be taken back."""
    music_folder: Path | None = None
    """Where the library's files lie, beets' option ``directory``."""


def read_settings(
    config: confuse.ConfigView, config_folder: Path, music_folder: Path | None = None
) -> Settings:
    """Return the options of the section ``artifactnet``.

    Args:
        config: The section.
        config_folder: Where beets keeps its configuration; installed models lie in
            ``artifactnet/models`` below it.
        music_folder: Where the library's files lie.

    Raises:
        ConfigError: An option is unknown, or has a value that it cannot have.
    """
    try:
        unknown = sorted(set(config.keys()) - set(DEFAULTS))
    except confuse.ConfigError as error:
        raise ConfigError(f"the section {error}") from error
    if unknown:
        raise ConfigError(
            f"artifactnet.{unknown[0]} is no option; there are {', '.join(DEFAULTS)}"
        )
    folder = config_folder / "artifactnet"
    return Settings(
        **{name: _option(config, name, _is_flag, "yes or no") for name in _FLAGS},
        auto_ignore=_option(config, "auto_ignore", _is_text_or_none, "a text") or "",
        model=_option(config, "model", _is_text, "a text"),
        segments=_segments(config),
        threads=_whole_number(config, "threads", 0, _MAX_THREADS),
        time_limit_s=_whole_number(config, "time_limit", 0, _MAX_TIME_LIMIT_S) or None,
        executor=_option(config, "executor", is_executor, _EXECUTORS),
        ai_threshold=_threshold(config, "ai_threshold"),
        unsure_threshold=_threshold(config, "unsure_threshold"),
        import_action=_option(
            config, "import_action", IMPORT_ACTIONS.__contains__, "report, ask or skip"
        ),
        providers=tuple(
            _option(config, "providers", _is_list_of_texts, "a list of execution providers")
        ),
        model_folders=(folder / "models",),
        thresholds_file=folder / "thresholds.json",
        cache_folder=folder / "cache",
        reviews_folder=folder / "reviews",
        forced_run_file=folder / "forced.json",
        music_folder=music_folder,
    )


_FLAGS = [name for name, default in DEFAULTS.items() if isinstance(default, bool)]
_EXECUTORS = "local, or a Dask scheduler's dask://HOST:PORT"


def _option(
    config: confuse.ConfigView, key: str, is_allowed: Callable[[Any], bool], allowed: str
) -> Any:
    """Return an option's value.

    Raises:
        ConfigError: It is not allowed; the message says what is.
    """
    value = config[key].get()
    if not is_allowed(value):
        raise ConfigError(f"artifactnet.{key} is {value!r}, it must be {allowed}")
    return value


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _whole_number(
    config: confuse.ConfigView, key: str, low: int, high: int, otherwise: str = ""
) -> int:
    def is_allowed(value: Any) -> bool:
        return isinstance(value, int) and not _is_flag(value) and low <= value <= high

    return _option(config, key, is_allowed, f"a whole number from {low} to {high}{otherwise}")


def _segments(config: confuse.ConfigView) -> SegmentCount:
    if config["segments"].get() == "all":
        return "all"
    return _whole_number(config, "segments", 1, _MAX_SEGMENTS, ", or `all`")


def _threshold(config: confuse.ConfigView, key: str) -> float | None:
    def is_allowed(value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not _is_flag(value)
        return value is None or (is_number and 0 < value <= 1)

    allowed = "above 0 and at most 1, or empty for the model's own"
    value = _option(config, key, is_allowed, allowed)
    return None if value is None else float(value)
