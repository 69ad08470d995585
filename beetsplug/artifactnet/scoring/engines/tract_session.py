"""A graph in tract, which has wheels for musl (Alpine), where onnxruntime has none.

Its outputs are those of onnxruntime within 1e-5, in about twice the time. It optimises a graph
for the shapes that it is told before, so a graph is loaded once for each shape. A call of other
shapes is refused, and a free batch size takes twice the time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.onnx_file import read_operators, read_signature
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.scoring.engines.session import CPU, FLOAT32, Shapes
from beetsplug.artifactnet.scoring.segments import Samples

_MAX_PREPARED = 4
"""Shapes that are kept ready; a model that is called once a song has one for each number of
segments, and most songs have the most that there are."""

_COMPUTED_OTHERWISE = {
    ("LSTM", "reverse"),
    ("GRU", "reverse"),
    ("RNN", "reverse"),
    ("Celu", ""),
    ("GlobalLpPool", ""),
}
"""Operators that tract 0.23.9 loads and computes otherwise than ONNX defines them."""


class TractSession:
    """A graph in tract; a call computes on the thread that makes it.

    Args:
        tract: The module.
        model: Its card and files.

    Raises:
        ModelError: The graph cannot be read, is no ONNX file, or has an operator that tract
            gets wrong.
    """

    providers = (CPU,)

    def __init__(self, tract: ModuleType, model: Model) -> None:
        self._tract, self._model = tract, model
        self.engine = f"tract {tract.version()}"
        wrong = read_operators(model.graph) & _COMPUTED_OTHERWISE
        if wrong:
            words = ", ".join(sorted(" ".join(pair[::-1]).strip() for pair in wrong))
            raise ModelError(f"tract computes {words} wrongly: this model needs onnxruntime")
        signature = read_signature(model.graph)
        self.inputs, self.outputs = signature.inputs, signature.outputs
        # tract names an output by its node; the order is the file's.
        self._places = {value.name: place for place, value in enumerate(self.outputs)}
        self._lock = threading.Lock()
        self._prepared: dict[tuple[tuple[str, tuple[int, int]], ...], _Prepared] = {}

    def prepare(self, shapes: Shapes) -> None:
        """Load and optimise the graph for calls of these shapes."""
        self._for(shapes)

    def run(self, outputs: Sequence[str], samples: Mapping[str, Samples]) -> list[NDArray[Any]]:
        """Return these outputs of one call."""
        shapes = {name: (len(given), given.shape[1]) for name, given in samples.items()}
        found = self._for(shapes).run(samples)
        return [found[self._places[name]].to_numpy() for name in outputs]

    def _for(self, shapes: Shapes) -> _Prepared:
        key = tuple(sorted(shapes.items()))
        with self._lock:
            if key not in self._prepared:
                while len(self._prepared) >= _MAX_PREPARED:
                    del self._prepared[next(iter(self._prepared))]
                self._prepared[key] = _Prepared(self._load(), shapes)
            return self._prepared[key]

    def _load(self) -> Any:
        """Return the graph as tract reads it.

        It is loaded more than once, so its files are compared with the card each time.

        Raises:
            ModelError: They have changed.
            ValueError: It finds other inputs or outputs than the file has.
        """
        self._model.verify()
        graph = self._model.graph
        try:
            str(graph).encode()
        except UnicodeEncodeError as error:
            raise ValueError("its path is not UTF-8, and tract opens no other") from error
        loaded = self._tract.onnx().load(graph)
        names = {loaded.input_name(place) for place in range(loaded.input_count())}
        if names != {value.name for value in self.inputs}:
            raise ValueError(f"tract finds the inputs {', '.join(sorted(names))}")
        if loaded.output_count() != len(self.outputs):
            raise ValueError(f"tract finds {loaded.output_count()} outputs")
        return loaded


class _Prepared:
    """A graph that is optimised for calls of one shape.

    Args:
        loaded: As tract has loaded it; it is used up.
        shapes: Of the inputs.
    """

    def __init__(self, loaded: Any, shapes: Shapes) -> None:
        self._names = [loaded.input_name(place) for place in range(loaded.input_count())]
        for place, name in enumerate(self._names):
            n_segments, n_samples = shapes[name]
            loaded.set_input_fact(place, f"{n_segments},{n_samples},f32")
        self._runnable = loaded.into_model().into_runnable()

    def run(self, samples: Mapping[str, Samples]) -> Any:
        """Return all outputs, as tract's tensors."""
        return self._runnable.run(
            [np.ascontiguousarray(samples[name], FLOAT32) for name in self._names]
        )
