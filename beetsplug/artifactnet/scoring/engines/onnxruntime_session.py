"""A graph in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.onnx_file import GraphValue
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

    Raises:
        Exception: onnxruntime does not load it.
    """

    def __init__(self, onnxruntime: ModuleType, graph: Path, providers: Sequence[str]) -> None:
        installed = onnxruntime.get_available_providers()
        usable = [name for name in providers if name in installed]
        chosen: list[Any] = [
            (name, _PROVIDER_OPTIONS.get(name, {})) for name in dict.fromkeys([*usable, CPU])
        ]
        self._session = onnxruntime.InferenceSession(
            str(graph), _options(onnxruntime), providers=chosen
        )
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


def _options(onnxruntime: ModuleType) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    # Its errors are raised as well; in its log they hold a graph's own words, raw.
    options.log_severity_level = _FATAL
    return options


def _graph_value(found: Any) -> GraphValue:
    return GraphValue(found.name, found.type, list(found.shape))
