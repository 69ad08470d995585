"""A graph in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.onnx_file import GraphValue
from beetsplug.artifactnet.scoring.engines.graph_cache import GraphCache
from beetsplug.artifactnet.scoring.engines.session import CPU, FLOAT32, Shapes
from beetsplug.artifactnet.scoring.segments import Samples

_FATAL = 4
_PROVIDER_OPTIONS: dict[str, dict[str, str]] = {
    # The default search picks algorithms by speed of the moment: other scores each run.
    "CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC"},
}


class OnnxruntimeSession:
    """A graph in onnxruntime, on one thread a call.

    Args:
        onnxruntime: The module.
        graph: The ONNX file.
        providers: Execution providers, in order of preference; the CPU is added.
        cache: Where the optimised graph is kept, for the CPU alone; None: nowhere.

    Raises:
        Exception: onnxruntime does not load it.
    """

    def __init__(
        self,
        onnxruntime: ModuleType,
        graph: Path,
        providers: Sequence[str],
        cache: GraphCache | None = None,
    ) -> None:
        installed = onnxruntime.get_available_providers()
        usable = [name for name in providers if name in installed]
        chosen: list[Any] = [
            (name, _PROVIDER_OPTIONS.get(name, {})) for name in dict.fromkeys([*usable, CPU])
        ]
        self._session = _load(onnxruntime, graph, chosen, cache if len(chosen) == 1 else None)
        self.engine = f"onnxruntime {onnxruntime.__version__}"
        self.providers: list[str] = self._session.get_providers()
        self.inputs = [_graph_value(found) for found in self._session.get_inputs()]
        self.outputs = [_graph_value(found) for found in self._session.get_outputs()]

    def prepare(self, shapes: Shapes) -> None:
        """Do nothing: it takes any shape that the graph does."""

    def run(self, outputs: Sequence[str], samples: Mapping[str, Samples]) -> list[NDArray[Any]]:
        """Return these outputs of one call."""
        given = {name: np.ascontiguousarray(one, FLOAT32) for name, one in samples.items()}
        return [np.asarray(values) for values in self._session.run(list(outputs), given)]


def _load(
    onnxruntime: ModuleType, graph: Path, providers: list[Any], cache: GraphCache | None
) -> Any:
    """Return a session, of the optimised graph where there is one."""
    optimised = None if cache is None else cache.read()
    if optimised is not None:
        options = _options(onnxruntime)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Whatever it does not like in a file of its own, there is the model's.
        with suppress(Exception):
            return onnxruntime.InferenceSession(optimised, options, providers=providers)
    new_file = None if cache is None else cache.new_file()
    if cache is not None and new_file is not None:
        options = _options(onnxruntime)
        options.optimized_model_filepath = str(new_file)
        try:
            session = onnxruntime.InferenceSession(str(graph), options, providers=providers)
        except Exception:  # noqa: BLE001 - a full disk, or the model; the next line tells
            cache.drop(new_file)
        else:
            cache.keep(new_file)
            return session
    return onnxruntime.InferenceSession(str(graph), _options(onnxruntime), providers=providers)


def _options(onnxruntime: ModuleType) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    # One block for all of a call saves no time here, and takes a quarter of the memory more.
    options.enable_mem_pattern = False
    # Its errors are raised as well; in its log they hold a graph's own words, raw.
    options.log_severity_level = _FATAL
    return options


def _graph_value(found: Any) -> GraphValue:
    return GraphValue(found.name, found.type, list(found.shape))
