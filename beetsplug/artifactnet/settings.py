"""The plugin's options, read once into a frozen dataclass."""

from __future__ import annotations

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
    return Settings(
        auto=_flag(config, "auto"),
        auto_ignore=_text(config, "auto_ignore"),
        model=_text(config, "model"),
        segments=_segments(config),
        threads=_integer(config, "threads", 0, _MAX_THREADS),
        time_limit_s=_integer(config, "time_limit", 0, _MAX_TIME_LIMIT_S) or None,
        executor=_executor(config),
        ai_threshold=_threshold(config, "ai_threshold"),
        unsure_threshold=_threshold(config, "unsure_threshold"),
        force=_flag(config, "force"),
        quiet=_flag(config, "quiet"),
        write=_flag(config, "write"),
        declared=_flag(config, "declared"),
        keep_signed=_flag(config, "keep_signed"),
        import_action=_import_action(config),
        providers=_providers(config),
        model_folders=(config_folder / "artifactnet" / "models",),
        thresholds_file=config_folder / "artifactnet" / "thresholds.json",
        cache_folder=config_folder / "artifactnet" / "cache",
        reviews_folder=config_folder / "artifactnet" / "reviews",
        music_folder=music_folder,
        forced_run_file=config_folder / "artifactnet" / "forced.json",
    )


def _bad(key: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(f"artifactnet.{key} is {value!r}, it must be {allowed}")


def _flag(config: confuse.ConfigView, key: str) -> bool:
    value = config[key].get()
    if not isinstance(value, bool):
        raise _bad(key, value, "yes or no")
    return value


def _text(config: confuse.ConfigView, key: str) -> str:
    value = config[key].get()
    if value is None and not DEFAULTS[key]:
        return ""
    if not isinstance(value, str):
        raise _bad(key, value, "a text")
    return value


def _integer(config: confuse.ConfigView, key: str, low: int, high: int) -> int:
    value = config[key].get()
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _bad(key, value, f"a whole number from {low} to {high}")
    return value


def _segments(config: confuse.ConfigView) -> SegmentCount:
    if config["segments"].get() == "all":
        return "all"
    try:
        return _integer(config, "segments", 1, _MAX_SEGMENTS)
    except ConfigError as error:
        raise ConfigError(f"{error}, or `all`") from None


def _threshold(config: confuse.ConfigView, key: str) -> float | None:
    value = config[key].get()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise _bad(key, value, "above 0 and at most 1, or empty for the model's own")
    return float(value)


def _executor(config: confuse.ConfigView) -> str:
    value = config["executor"].get()
    if not is_executor(value):
        raise _bad("executor", value, "local, or a Dask scheduler's dask://HOST:PORT")
    return str(value)


def _import_action(config: confuse.ConfigView) -> str:
    value = config["import_action"].get()
    if value not in IMPORT_ACTIONS:
        raise _bad("import_action", value, "report, ask or skip")
    return str(value)


def _providers(config: confuse.ConfigView) -> tuple[str, ...]:
    value = config["providers"].get()
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise _bad("providers", value, "a list of execution providers")
    return tuple(value)
