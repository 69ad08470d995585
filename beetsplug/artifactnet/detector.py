"""One onnxruntime session: segments in, probabilities out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.errors import ConfigError, ModelError
from beetsplug.artifactnet.model_store import Model
from beetsplug.artifactnet.segments import SegmentBatch

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"
_PROVIDER_OPTIONS: dict[str, dict[str, str]] = {
    # The default search picks algorithms by speed of the moment: other scores each run.
    "CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC"},
}


class Detector:
    """A model, ready to score; its session is built on first use, once.

    Safe to share between threads: each call computes on its own thread alone.
    """

    def __init__(self, model: Model, providers: Sequence[str] = (CPU,)) -> None:
        self.card = model.card
        self._model = model
        self._providers = tuple(providers)
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None
        self._batch_size = 1

    def is_for(self, model: Model, providers: Sequence[str]) -> bool:
        """Tell whether it was built for this model and these providers."""
        return self._model == model and self._providers == tuple(providers)

    def open(self) -> onnxruntime.InferenceSession:
        """Return the session, built on the first call.

        Raises:
            ModelError: A file is missing, changed or broken, or the graph does not
                have the inputs and outputs that the card names.
            ConfigError: An execution provider is not installed.
        """
        with self._lock:
            if self._session is None:
                self._model.verify()
                session = _open_session(self._model, self._providers)
                self._batch_size = _check_contract(session, self._model)
                self._session = session
            return self._session

    def probabilities(self, batch: SegmentBatch) -> NDArray[np.float64]:
        """Return P(AI) of each segment, (n_segments,), NaN where it is not finite.

        Args:
            batch: ``samples`` of shape (n_segments, card.segment_samples).

        Raises:
            ModelError: As :meth:`open`, or the model failed to run.
        """
        session = self.open()
        size = self._batch_size
        values = [
            self._run(session, batch.samples[first : first + size])
            for first in range(0, len(batch.samples), size)
        ]
        return self._to_probability(np.concatenate(values))

    def _run(
        self, session: onnxruntime.InferenceSession, samples: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return the raw outputs for up to ``_batch_size`` segments."""
        n_missing = self._batch_size - len(samples)
        full = np.pad(samples, ((0, n_missing), (0, 0)))
        try:
            (output,) = session.run([self.card.output_name], {self.card.input_name: full})
        except Exception as error:  # onnxruntime has no common base for its errors
            raise ModelError(
                f"model {self.card.label} failed to run: {_first_line(error)}"
            ) from error
        values = np.asarray(output, dtype=np.float64).reshape(-1)
        if len(values) != self._batch_size:
            raise ModelError(
                f"model {self.card.label} gave {len(values)} values "
                f"for {self._batch_size} segments"
            )
        return values[: len(samples)]

    def _to_probability(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.where(np.isfinite(values), values, np.nan)
        if self.card.output_kind == "logit":
            # exp of a large positive number overflows; of a negative one it does not.
            small = np.exp(-np.abs(values))
            values = np.where(values >= 0, 1 / (1 + small), small / (1 + small))
        elif np.any((values < 0) | (values > 1)):
            raise ModelError(
                f"model {self.card.label} gave {np.nanmax(np.abs(values)):g} where its card "
                f"says probability; is it a logit?"
            )
        return values


def _open_session(model: Model, providers: Sequence[str]) -> onnxruntime.InferenceSession:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    for provider in providers:
        if provider not in available:
            raise ConfigError(
                f"providers: {provider} is not installed; available: {', '.join(available)}"
            )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    chosen: list[Any] = [(name, _PROVIDER_OPTIONS.get(name, {})) for name in providers]
    try:
        return onnxruntime.InferenceSession(str(model.graph), options, providers=chosen)
    except Exception as error:  # onnxruntime has no common base for its errors
        raise ModelError(
            f"model {model.card.label} cannot be loaded: {_first_line(error)}"
        ) from error


def _check_contract(session: onnxruntime.InferenceSession, model: Model) -> int:
    """Return the graph's batch size, 1 where it takes any."""
    card = model.card
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = [value.name for value in session.get_outputs()]
    if list(inputs) != [card.input_name]:
        raise ModelError(
            f"model {card.label} has the inputs {', '.join(inputs)}; "
            f"its card names {card.input_name}"
        )
    if card.output_name not in outputs:
        raise ModelError(
            f"model {card.label} has the outputs {', '.join(outputs)}; "
            f"its card names {card.output_name}"
        )
    shape, dtype = inputs[card.input_name].shape, inputs[card.input_name].type
    fits = len(shape) == 2 and (
        not isinstance(shape[1], int) or shape[1] == card.segment_samples
    )
    if not fits or dtype != "tensor(float)":
        raise ModelError(
            f"model {card.label} takes {dtype} {shape}; "
            f"its card says float32 [batch, {card.segment_samples}]"
        )
    return shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 1


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


_shared: list[Detector] = []


def shared_detector(model: Model, providers: tuple[str, ...]) -> Detector:
    """Return the process's one detector for this model, built on the first call.

    Asked for another model or other providers it builds that, and lets go of the first.
    """
    if not (_shared and _shared[0].is_for(model, providers)):
        _shared[:] = [Detector(model, providers)]
    return _shared[0]
