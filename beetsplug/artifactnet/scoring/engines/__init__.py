"""Engines that run a model's graph: onnxruntime, and tract where that is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.memory import refuse_without_memory
from beetsplug.artifactnet.models.runtime import load_onnxruntime, load_tract
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.scoring.engines.graph_cache import GraphCache
from beetsplug.artifactnet.scoring.engines.onnxruntime_session import OnnxruntimeSession
from beetsplug.artifactnet.scoring.engines.session import CPU, Session, Shapes
from beetsplug.artifactnet.scoring.engines.tract_session import TractSession

__all__ = ["CPU", "Session", "Shapes", "open_session"]


def open_session(model: Model, providers: Sequence[str], cache: Path | None = None) -> Session:
    """Return a session of the engine that is installed here.

    Args:
        model: Its card and files.
        providers: onnxruntime's execution providers, in order of preference; without effect
            in tract.
        cache: Folder for onnxruntime's optimised form of the model; None: none is kept.

    Raises:
        ModelError: Neither engine is installed, or a file is missing or changed.
        MemoryError: Little is left, so the engine cannot be loaded.
        Exception: The engine does not load the file; none of them has a base for its errors.
    """
    try:
        onnxruntime = load_onnxruntime()
    except ImportError as error:
        refuse_without_memory(error)
        return TractSession(_tract_instead(error), model)
    return OnnxruntimeSession(
        onnxruntime, model.graph, providers, _graph_cache(onnxruntime, model, cache)
    )


def _graph_cache(
    onnxruntime: ModuleType, model: Model, folder: Path | None
) -> GraphCache | None:
    """Return where the model's optimised form is kept, None for a model of several files."""
    if folder is None or len(model.card.files) > 1:
        return None
    (graph_sha256,) = model.card.files.values()
    return GraphCache(folder, graph_sha256, f"onnxruntime {onnxruntime.__version__}")


def _tract_instead(error: ImportError) -> ModuleType:
    """Return tract, where importing onnxruntime failed with ``error``."""
    try:
        return load_tract()
    except (ImportError, OSError):
        reason = str(error).strip().partition("\n")[0][:200]
        raise ModelError(
            f"nothing is installed that runs models: install onnxruntime, "
            f"or tract where it has no wheel ({reason})"
        ) from error
