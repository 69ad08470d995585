"""The interface of an engine, as the detector uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.models.onnx_file import GraphValue
from beetsplug.artifactnet.scoring.segments import Samples

CPU = "CPUExecutionProvider"
FLOAT32 = np.dtype("<f4")
"""Both engines take the bytes of big-endian numbers for little-endian ones."""

Shapes = Mapping[str, tuple[int, int]]
"""Name of an input -> (n_segments, n_samples) of one call."""


class Session(Protocol):
    """A graph that an engine has loaded. Threads may share it.

    Whatever it raises is the engine's own: there is no common base.
    """

    @property
    def engine(self) -> str:
        """Name and version of the engine."""

    @property
    def providers(self) -> Sequence[str]:
        """The execution providers in use, in onnxruntime's words."""

    @property
    def inputs(self) -> Sequence[GraphValue]:
        """Inputs of the graph."""

    @property
    def outputs(self) -> Sequence[GraphValue]:
        """Outputs of the graph."""

    def prepare(self, shapes: Shapes) -> None:
        """Do ahead of the first call what can be done then; other shapes may follow."""

    def run(self, outputs: Sequence[str], samples: Mapping[str, Samples]) -> list[NDArray[Any]]:
        """Return these outputs of one call.

        Args:
            outputs: Their names.
            samples: Name of an input -> float32 (n_segments, n_samples).
        """
        ...
