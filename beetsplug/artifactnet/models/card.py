"""A model's card: everything that the engine must know of a model.

Nothing about a model is assumed anywhere else. Rate, length and place of its segments stand
here, and so do its way of being called, the meaning of its output, and its thresholds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.files import MAX_CARD_BYTES, read_file
from beetsplug.artifactnet.results import Thresholds

CARD_FILE = "card.json"

Crop = Literal["even", "centre", "start"]
Padding = Literal["zero", "repeat"]
Placement = Literal["published", "audible"]
DownMix = Literal["mean", "audible"]
Level = Literal["kept", "raised"]
Hum = Literal["kept", "removed"]
Evidence = Literal["any", "needed"]
Call = Literal["segment", "song"]
OutputKind = Literal["probability", "logit"]
Aggregation = Literal["median", "tercile", "mean", "max"]

_FIELDS = frozenset(
    {"model_id", "version", "licence", "url", "notice", "architecture", "files"}
    | {"input", "inputs", "crop", "max_segments", "minimum_s", "padding", "call", "output"}
    | {"aggregation", "thresholds", "error_rates", "network"}
    | {"placement", "down_mix", "level", "hum", "evidence"}
)
"""``network`` is free: what whoever trained the model wants to keep with it."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_SEGMENTS = 10_000
MAX_SAMPLES = 1 << 27
"""512 MiB of samples: the most that one call of a model may ask for."""
_SAME_SPAN_S = 1e-3
_MAX_LINES_HZ = 1_000.0


@dataclass(frozen=True)
class ModelInput:
    """One input tensor: float32 ``[n_segments, segment_samples]``, mono, in [-1, 1]."""

    name: str
    sample_rate: int
    """Hz."""
    segment_samples: int

    @property
    def segment_s(self) -> float:
        """Length of a segment, seconds."""
        return self.segment_samples / self.sample_rate


@dataclass(frozen=True)
class ModelCard:
    """What the engine needs to know of a model, and what a reader should."""

    model_id: str
    version: str
    licence: str
    files: Mapping[str, str]
    """File name -> sha256 in hex; the first is the ONNX graph."""
    inputs: tuple[ModelInput, ...]
    """At least one; all of them hear the same seconds of a track."""
    output_name: str
    """Empty: the graph's first output."""
    output_kind: OutputKind
    thresholds: Thresholds
    """On the probability; where the model's calibration puts them."""
    crop: Crop = "even"
    """Where segments lie: evenly spaced over the track, or end to end around its
    centre or from its start."""
    max_segments: int | None = None
    """The most segments of a track that are used; None where any number will do."""
    minimum_s: float = 1.0
    """A shorter track is not scored, seconds."""
    padding: Padding = "zero"
    """The samples that fill a segment behind the end of a shorter track."""
    placement: Placement = "published"
    """``published``: where ``crop`` puts segments, whatever is there; ``audible``: segments
    without sound or evidence have no vote, and others are looked for in their stead."""
    down_mix: DownMix = "mean"
    """``mean`` of the channels; ``audible``: another mix where the mean cancels them."""
    level: Level = "kept"
    """``raised``: a quiet segment is brought to the level of others before the model."""
    hum: Hum = "kept"
    """``removed``: mains hum is taken out of a segment that would count as suspicious."""
    evidence: Evidence = "any"
    """``needed``: a segment that holds too little to be judged has no vote."""
    call: Call = "segment"
    """``segment``: one output for each segment; ``song``: all segments of a track in
    one call, and one output for all of them."""
    aggregation: Aggregation = "median"
    """How a track's score comes out of its segments'."""
    segments_output: str = ""
    """Output with one probability for each segment of a song that was called once; empty:
    there is none."""
    evidence_output: str = ""
    """Output with one number for each of ``branches``; empty: there is none."""
    branches: tuple[str, ...] = ()
    """Names of the branches whose findings the evidence holds, in its order."""
    lines_output: str = ""
    """Output (1 + n_segments, n_bins), decibels of 0 and more by which each bin of the spectrum
    stands out of its neighbours: the song's mean, then each segment; empty: there is none."""
    lines_hz: float = 0.0
    """Distance of these bins, Hz; bin 0 is 0 Hz."""
    url: str = ""
    notice: str = ""
    """A notice to read before installing it, beside the licence."""
    architecture: str = ""
    error_rates: Mapping[str, Any] = field(default_factory=dict)
    """The error rates that the thresholds were calibrated to, and the music."""

    @property
    def label(self) -> str:
        """Id and version in one word, as it is stored with every score."""
        return f"{self.model_id}-{self.version}"

    @property
    def is_read_at_once(self) -> bool:
        """Whether all segments of a track are held in memory together."""
        return self.call == "song" or len(self.inputs) > 1


def read_card(path: Path) -> ModelCard:
    """Return the card in a ``card.json``.

    Raises:
        ModelError: It is missing, is no JSON, or a field is missing or has a value
            that it cannot have; the message names the field.
    """
    return parse_card(read_card_values(path), str(path))


def read_card_values(path: Path) -> Any:
    """Return the JSON values of a ``card.json``, unchecked.

    Raises:
        ModelError: It is missing, no regular file, too large, or no JSON.
    """
    try:
        text = read_file(path, MAX_CARD_BYTES)
    except ModelError as error:
        raise ModelError(f"{error}; a model needs its card") from error
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from error


def parse_card(values: object, origin: str) -> ModelCard:
    """Return the card that these JSON values describe.

    Args:
        values: What ``json.loads`` made of a card.
        origin: Where they came from, for the messages.

    Raises:
        ModelError: As :func:`read_card`.
    """
    card = _Fields(values, origin)
    card.check_names(_FIELDS)
    expected = card.section("output")
    crop = card.choice("crop", Crop, "even")
    parsed = ModelCard(
        model_id=card.name("model_id"),
        version=card.text("version"),
        licence=card.text("licence"),
        files=card.files("files"),
        inputs=card.inputs(),
        output_name=expected.text("name", ""),
        output_kind=expected.choice("kind", OutputKind),
        segments_output=expected.text("segments", ""),
        evidence_output=expected.text("evidence", ""),
        branches=expected.names("branches"),
        lines_output=expected.text("lines", ""),
        lines_hz=expected.lines_hz(),
        thresholds=card.thresholds("thresholds"),
        crop=crop,
        max_segments=card.max_segments(None if crop == "even" else 1),
        minimum_s=card.number("minimum_s", 86_400, "seconds", 1.0),
        padding=card.choice("padding", Padding, "zero"),
        placement=card.choice("placement", Placement, "published"),
        down_mix=card.choice("down_mix", DownMix, "mean"),
        level=card.choice("level", Level, "kept"),
        hum=card.choice("hum", Hum, "kept"),
        evidence=card.choice("evidence", Evidence, "any"),
        call=card.choice("call", Call, "segment"),
        aggregation=card.choice("aggregation", Aggregation, "median"),
        url=card.text("url", ""),
        notice=card.text("notice", ""),
        architecture=card.text("architecture", ""),
        error_rates=card.mapping("error_rates", {}),
    )
    _check_together(parsed, card)
    return parsed


def _check_together(card: ModelCard, fields: _Fields) -> None:
    """Check what no field can tell alone."""
    spans = [given.segment_s for given in card.inputs]
    if max(spans) - min(spans) > _SAME_SPAN_S:
        found = ", ".join(f"{span:g} s" for span in spans)
        raise fields.bad("inputs", found, "inputs that all cover the same seconds")
    if card.call != "song" and (
        card.segments_output or card.evidence_output or card.lines_output
    ):
        raise fields.bad(
            "call", card.call, "'song' where output names segments, evidence or lines"
        )
    if bool(card.evidence_output) != bool(card.branches):
        raise fields.bad("output.branches", list(card.branches), "the names of the evidence")
    if bool(card.lines_output) != bool(card.lines_hz):
        raise fields.bad("output.lines_hz", card.lines_hz, "given where output names lines")
    if not card.is_read_at_once:
        return
    if card.max_segments is None:
        raise fields.bad(
            "max_segments", None, "given where a song is one call or inputs are several"
        )
    n_samples = card.max_segments * sum(given.segment_samples for given in card.inputs)
    if n_samples > MAX_SAMPLES:
        raise fields.bad("max_segments", card.max_segments, f"{MAX_SAMPLES} samples at most")


class _Fields:
    """A JSON object whose fields are read by type, with errors that name them."""

    def __init__(self, values: object, origin: str, prefix: str = "") -> None:
        if not isinstance(values, dict):
            raise ModelError(f"{origin}: {prefix.rstrip('.') or 'the card'} must be an object")
        self._values: dict[str, Any] = values
        self._origin, self._prefix = origin, prefix

    def _get(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key, default)
        if value is None:
            raise ModelError(f"{self._origin}: {self._prefix}{key} is missing")
        return value

    def bad(self, key: str, value: object, allowed: str) -> ModelError:
        """Return the error for a value that a field cannot have."""
        return ModelError(
            f"{self._origin}: {self._prefix}{key} is {value!r}, it must be {allowed}"
        )

    def check_names(self, allowed: Set[str]) -> None:
        """Refuse a field that nothing reads: it may be a misspelt one that matters."""
        unknown = sorted(set(self._values) - allowed)
        if unknown:
            raise ModelError(
                f"{self._origin}: {self._prefix}{unknown[0]} is no field of a card; "
                f"there are {', '.join(sorted(allowed))}"
            )

    def section(self, key: str) -> _Fields:
        return _Fields(self._get(key), self._origin, f"{self._prefix}{key}.")

    def lacks(self, key: str) -> bool:
        return self._values.get(key) is None

    def mapping(self, key: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        value = self._get(key, default)
        if not isinstance(value, dict):
            raise self.bad(key, value, "an object")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        # It is shown in a terminal and stands in messages, which are one line each.
        if (
            not isinstance(value, str)
            or not value.isprintable()
            or not (value or default == "")
        ):
            raise self.bad(key, value, "a text of one line")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of different words, empty where it is left out."""
        values = self._values.get(key, [])
        if not isinstance(values, list) or len(set(map(str, values))) < len(values):
            raise self.bad(key, values, "a list of different names")
        for value in values:
            if not isinstance(value, str) or not value or not value.isprintable():
                raise self.bad(key, value, "a text of one line")
        return tuple(values)

    def name(self, key: str) -> str:
        value = self.text(key)
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", value):
            raise self.bad(
                key, value, "lower-case letters, digits, '.', '_' and '-', 100 at most"
            )
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.bad(key, value, f"a whole number from {low} to {high}")
        return value

    def lines_hz(self) -> float:
        key = "lines_hz"
        return 0.0 if self.lacks(key) else self.number(key, _MAX_LINES_HZ, "hertz")

    def max_segments(self, default: int | None) -> int | None:
        key = "max_segments"
        return default if self.lacks(key) else self.integer(key, 1, _MAX_SEGMENTS)

    def number(self, key: str, most: float, unit: str, default: float | None = None) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.bad(key, value, f"a number of {unit}")
        if not 0 < value <= most:
            raise self.bad(key, value, f"above 0 and at most {most:g} {unit}")
        return float(value)

    def choice(self, key: str, kind: Any, default: str | None = None) -> Any:
        """Return a value that must be one of a ``Literal``'s."""
        value, allowed = self._get(key, default), get_args(kind)
        if value not in allowed:
            words = [repr(word) for word in allowed]
            raise self.bad(key, value, f"{', '.join(words[:-1])} or {words[-1]}")
        return value

    def inputs(self) -> tuple[ModelInput, ...]:
        """Return the inputs: the objects of ``inputs``, or the one object ``input``."""
        if "inputs" not in self._values:
            return (self.section("input").input(),)
        values = self._get("inputs")
        if "input" in self._values:
            raise self.bad("input", self._values["input"], "left out beside inputs")
        if not isinstance(values, list) or not values:
            raise self.bad("inputs", values, "a list of at least one input")
        inputs = tuple(
            _Fields(value, self._origin, f"{self._prefix}inputs[{place}].").input()
            for place, value in enumerate(values)
        )
        names = [given.name for given in inputs]
        if len(set(names)) < len(names):
            raise self.bad("inputs", names, "inputs of different names")
        return inputs

    def input(self) -> ModelInput:
        return ModelInput(
            name=self.text("name"),
            sample_rate=self.integer("sample_rate", 4_000, 768_000),
            segment_samples=self.integer("segment_samples", 1, 1 << 26),
        )

    def files(self, key: str) -> dict[str, str]:
        value = self.mapping(key)
        if not value:
            raise self.bad(key, value, "at least one file name with its sha256")
        for name, sha256 in value.items():
            if not is_plain_name(name) or name == CARD_FILE:
                raise self.bad(key, name, "file names without a folder")
            if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
                raise self.bad(f"{key}.{name}", sha256, "a sha256 in 64 hex digits")
        if not next(iter(value)).endswith(".onnx"):
            raise self.bad(key, next(iter(value)), "an .onnx file first")
        return cast("dict[str, str]", value)

    def thresholds(self, key: str) -> Thresholds:
        value = self.mapping(key)
        try:
            return Thresholds(ai=_number(value.get("ai")), unsure=_number(value.get("unsure")))
        except (ValueError, OverflowError) as error:
            raise self.bad(key, value, "0 < unsure <= ai <= 1") from error


def is_plain_name(name: str) -> bool:
    """Tell whether a name is that of a file in its folder, wherever that lies."""
    length = len(name.encode("utf-8", "surrogatepass"))
    return 0 < length <= 255 and not set(name) & set("/\\:\0") and name not in {".", ".."}


def _number(value: object) -> float:
    """Return a JSON number; anything else counts as 0, which no threshold can be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return float(value)
