"""One session of an engine: segments in, probabilities out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.card import MAX_SAMPLES, ModelCard, ModelInput
from beetsplug.artifactnet.models.onnx_file import GraphValue
from beetsplug.artifactnet.models.store import Model
from beetsplug.artifactnet.scoring.engines import CPU, Session, open_session
from beetsplug.artifactnet.scoring.segments import Samples, SegmentBatch
from beetsplug.artifactnet.scoring.voting import Votes, cast_votes

_NOISE_LEVEL = 0.1
_REASON_CHARS = 200
_NUMBERS = re.compile(r"tensor\((float|double|float16|u?int\d+|bool)\)")
_ROUNDING = 1e-6
"""How far beyond [0, 1] a probability that was summed in float32 may lie."""


@dataclass(frozen=True)
class Findings:
    """A model's findings in one batch."""

    probabilities: NDArray[np.float64]
    """P(AI) of each segment, (n_segments,), or of the song, (1,), where that is one call;
    NaN where it is not finite."""
    segments: NDArray[np.float64] | None = None
    """(n_segments,), P(AI) of each segment beside the song's; None where there are none."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """The value of each branch for the song, by its name."""
    lines: NDArray[np.float64] | None = None
    """(1 + n_segments, n_bins), decibels by which each bin stands out of its neighbours: the
    song's mean, then each segment; None where the model does not give them."""
    lines_hz: float = 0.0
    """Distance of the lines' bins, Hz; bin 0 is 0 Hz."""


class Detector:
    """A model, ready to score; its session is built on first use, once.

    Safe to share between threads: each call computes on its own thread alone.

    Args:
        model: Its card and files.
        providers: onnxruntime's execution providers, in order of preference.
        cache: Folder for onnxruntime's optimised form of the model; None: none is kept.
    """

    def __init__(
        self, model: Model, providers: Sequence[str] = (CPU,), cache: Path | None = None
    ) -> None:
        self.card = model.card
        self._model = model
        self._providers, self._cache = tuple(providers), cache
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._batch_size = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as a name for that process's own detector."""
        return shared_detector, (self._model, self._providers, self._cache)

    def is_for(self, model: Model, providers: Sequence[str]) -> bool:
        """Tell whether it was built for this model and these providers."""
        return self._model == model and self._providers == tuple(providers)

    def open(self) -> Session:
        """Return the session, built on the first call.

        Raises:
            ModelError: A file is missing, changed or broken, or the graph does not
                have the inputs and outputs that the card names.
        """
        with self._lock:
            if self._session is None:
                self._model.verify()
                self._session, self._batch_size = _open_session(
                    self._model, self._providers, self._cache
                )
            return self._session

    def missing_providers(self) -> list[str]:
        """Return which of the wanted providers the session does without.

        One that is installed but finds no device is missing all the same.

        Raises:
            ModelError: As :meth:`open`.
        """
        used = self.open().providers
        return [name for name in self._providers if name not in used]

    def provider_notice(self) -> str:
        """Return what the wanted providers have no effect on, empty where all are used.

        Raises:
            ModelError: As :meth:`open`.
        """
        missing = self.missing_providers()
        if not missing:
            return ""
        if self.open().engine.startswith("tract"):
            return "without effect: tract is the engine here, and it uses the CPU alone"
        return f"{', '.join(missing)} cannot be used here; the CPU does their work"

    def try_out(self) -> str:
        """Run the model once, and return what :meth:`provider_notice` does.

        What it makes of noise does not matter: it has to answer.

        Raises:
            ModelError: As :meth:`probabilities`.
        """
        notice = self.provider_notice()
        self.probabilities(noise(self.card, 1))
        return notice

    def votes(self, batch: SegmentBatch) -> Votes:
        """Return the votes of the segments, prepared as the card says.

        Raises:
            ModelError: As :meth:`probabilities`.
        """
        return cast_votes(self, batch)

    def probabilities(self, batch: SegmentBatch) -> NDArray[np.float64]:
        """Return P(AI) of each segment, (n_segments,), NaN where it is not finite.

        A model that is called once a song gives one for all of them, (1,).

        Args:
            batch: ``samples`` of one array for each of the card's inputs, in its order.

        Raises:
            ModelError: As :meth:`open`, or the model failed to run.
        """
        session = self.open()
        if self.card.call == "song":
            return self.findings(batch).probabilities
        size = self._batch_size
        values = [
            self._run_segments(
                session, [given[first : first + size] for given in batch.samples]
            )
            for first in range(0, len(batch.starts_s), size)
        ]
        return self._to_probability(np.concatenate(values))

    def findings(self, batch: SegmentBatch) -> Findings:
        """Return all that the model found in a batch, as the card names its outputs.

        Args:
            batch: As :meth:`probabilities` takes it.

        Raises:
            ModelError: As :meth:`open`, or the model failed to run.
        """
        if self.card.call != "song":
            return Findings(self.probabilities(batch))
        session, card = self.open(), self.card
        n_segments = len(batch.starts_s)
        shapes: dict[str, tuple[int, ...]] = {
            card.output_name or session.outputs[0].name: (1,),
            card.segments_output: (n_segments,),
            card.evidence_output: (len(card.branches),),
            card.lines_output: (1 + n_segments, -1),
        }
        shapes.pop("", None)
        found = self._run(session, batch.samples, shapes)
        song, *_ = found.values()
        segments = found.get(card.segments_output)
        evidence = found.get(card.evidence_output, np.empty(0))
        return Findings(
            self._to_probability(song),
            None if segments is None else self._to_probability(segments),
            dict(zip(card.branches, evidence.tolist(), strict=True)),
            found.get(card.lines_output),
            card.lines_hz,
        )

    def _run_segments(
        self, session: Session, samples: Sequence[Samples]
    ) -> NDArray[np.float64]:
        """Return the raw outputs for up to ``_batch_size`` segments."""
        n_segments = len(samples[0])
        missing = ((0, self._batch_size - n_segments), (0, 0))
        full = [np.pad(given, missing) for given in samples]
        name = self.card.output_name or session.outputs[0].name
        return self._run(session, full, {name: (self._batch_size,)})[name][:n_segments]

    def _run(
        self,
        session: Session,
        samples: Sequence[Samples],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> dict[str, NDArray[np.float64]]:
        """Return each output of one call in the shape that is expected; -1 is any length."""
        names = [given.name for given in self.card.inputs]
        with _engine_errors(f"model {self.card.label} failed to run"):
            outputs = session.run(list(shapes), dict(zip(names, samples, strict=True)))
            found = {
                name: np.asarray(output, dtype=np.float64).reshape(-1)
                for name, output in zip(shapes, outputs, strict=True)
            }
        return {name: self._shaped(values, shapes[name]) for name, values in found.items()}

    def _shaped(
        self, values: NDArray[np.float64], shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        try:
            return values.reshape(shape)
        except ValueError as error:
            wanted = f"{shape[0]} rows" if len(shape) > 1 else str(shape[0])
            raise ModelError(
                f"model {self.card.label} gave {len(values)} values in a call for {wanted}"
            ) from error

    def _to_probability(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.where(np.isfinite(values), values, np.nan)
        if self.card.output_kind == "logit":
            # exp of a large positive number overflows; of a negative one it does not.
            small = np.exp(-np.abs(values))
            return np.where(values >= 0, 1 / (1 + small), small / (1 + small))
        wrong = values[(values < -_ROUNDING) | (values > 1 + _ROUNDING)]
        if len(wrong):
            raise ModelError(
                f"model {self.card.label} gave {wrong[0]:g} where its card says probability; "
                f"is it a logit?"
            )
        return np.clip(values, 0.0, 1.0)


def _open_session(
    model: Model, providers: Sequence[str], cache: Path | None
) -> tuple[Session, int]:
    """Return a session that keeps the card's contract, and its batch size."""
    with _engine_errors(f"model {model.card.label} cannot be loaded"):
        session = open_session(model, providers, cache)
    size = _check_contract(session, model)
    # Most songs have the most segments that one may have.
    n_segments = (model.card.max_segments or 1) if model.card.call == "song" else size
    shapes = {given.name: (n_segments, given.segment_samples) for given in model.card.inputs}
    with _engine_errors(f"model {model.card.label} cannot be loaded"):
        session.prepare(shapes)
    return session, size


def _check_contract(session: Session, model: Model) -> int:
    """Return the graph's batch size, 1 where it takes any."""
    card = model.card
    inputs = {value.name: value for value in session.inputs}
    outputs = {value.name: value for value in session.outputs}
    names = [given.name for given in card.inputs]
    if set(inputs) != set(names):
        raise ModelError(
            f"model {card.label} has the inputs {', '.join(inputs)}; "
            f"its card names {', '.join(names)}"
        )
    wanted = (
        card.output_name or next(iter(outputs), ""),
        card.segments_output,
        card.evidence_output,
        card.lines_output,
    )
    for name in wanted:
        _check_output(outputs, name, card.label)
    sizes = {_batch_size(inputs[given.name], given, card.label) for given in card.inputs}
    fixed = sizes - {None}
    if len(fixed) > 1:
        raise ModelError(f"model {card.label} has inputs of different batch sizes")
    size = fixed.pop() if fixed else None
    if (size or 1) * sum(given.segment_samples for given in card.inputs) > MAX_SAMPLES:
        raise ModelError(
            f"model {card.label} takes {size} segments at a time: "
            f"more than {MAX_SAMPLES} samples in a call"
        )
    if card.call == "song" and size is not None and not size == card.max_segments == 1:
        raise ModelError(
            f"model {card.label} takes {size} segments at a time; "
            f"one that is called once a song must take any number"
        )
    return size or 1


def _check_output(outputs: Mapping[str, GraphValue], name: str, label: str) -> None:
    """Refuse an output that the card names and the graph lacks, or that is no number."""
    if not name and outputs:
        return
    if name not in outputs:
        raise ModelError(
            f"model {label} has the outputs {', '.join(outputs)}; its card names {name}"
        )
    if not _NUMBERS.fullmatch(outputs[name].type):
        raise ModelError(
            f"model {label} gives {outputs[name].type} as {name}; numbers are needed"
        )


def _batch_size(found: GraphValue, given: ModelInput, label: str) -> int | None:
    """Return an input's fixed batch size, None where it takes any."""
    shape = found.shape
    fits = len(shape) == 2 and (
        not isinstance(shape[1], int) or shape[1] == given.segment_samples
    )
    if not fits or found.type != "tensor(float)":
        raise ModelError(
            f"model {label} takes {found.type} {shape} as {given.name}; "
            f"its card says float32 [batch, {given.segment_samples}]"
        )
    return shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None


@contextmanager
def _engine_errors(what: str) -> Iterator[None]:
    """Turn what an engine raises into a ModelError of one line, and lack of memory into that.

    Raises:
        ModelError: ``what`` went wrong, and the engine's reason.
        MemoryError: There is too little.
    """
    try:
        yield
    except (MemoryError, ModelError):
        raise
    except Exception as error:  # the engines have no common base for their errors
        if re.search(r"bad_?alloc|allocate memory", str(error)):
            raise MemoryError from error
        raise ModelError(f"{what}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return the start of an engine's reason; tract goes on for pages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:_REASON_CHARS]


def noise(card: ModelCard, n_segments: int, seed: int = 0) -> SegmentBatch:
    """Return what one call of a model takes, made of white noise in [-1, 1]."""
    generator = np.random.default_rng(seed)
    samples = tuple(
        np.clip(
            generator.standard_normal((n_segments, given.segment_samples), dtype=np.float32)
            * np.float32(_NOISE_LEVEL),
            -1,
            1,
        )
        for given in card.inputs
    )
    return SegmentBatch(samples, np.arange(n_segments, dtype=np.float64))


_shared: list[Detector] = []
_MAX_SHARED = 4


def shared_detector(
    model: Model, providers: tuple[str, ...], cache: Path | None = None
) -> Detector:
    """Return the process's one detector for this model, built on the first call.

    The last few models are kept: a comparison asks for each of them in turn.
    """
    for detector in _shared:
        if detector.is_for(model, providers):
            return detector
    _shared.append(Detector(model, providers, cache))
    del _shared[:-_MAX_SHARED]
    return _shared[-1]
