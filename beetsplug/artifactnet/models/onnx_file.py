"""Inputs and outputs of an ONNX file, read without loading it into an engine.

ONNX keeps large tensors in *external data* files, by a path in the graph. Versions of
onnxruntime before 1.24 follow that path wherever it leads, so it is read here first. The engine
tract does not keep the names of outputs, so inputs and outputs are read here too.

Not by the package protobuf: its form in pure Python, the only one on some systems, and the
engines do not agree on every file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.files import read_file

# Field numbers of onnx.proto3: which fields of a message hold which message.
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "ExternalData"},
}
_KEY, _VALUE = 1, 2
_LOCATION = b"location"
_MAX_DEPTH = 64
_MAX_TAG = (1 << 32) - 1
"""onnxruntime drops the bits above, and so would read another field than is read here."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH = 7
_INITIALIZERS, _SPARSE_INITIALIZERS, _INPUTS, _OUTPUTS = 5, 15, 11, 12
_TENSOR_NAME, _SPARSE_VALUES = 8, 1
_VALUE_NAME, _VALUE_TYPE, _TENSOR_TYPE, _ELEMENT, _SHAPE, _DIMENSION = 1, 2, 1, 1, 2, 1
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2
_OPERATOR, _ATTRIBUTES, _ATTRIBUTE_NAME, _ATTRIBUTE_TEXT = 4, 5, 1, 4
_ELEMENTS = {
    1: "float",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "double",
    12: "uint32",
    13: "uint64",
}
"""TensorProto.DataType in onnxruntime's words."""


@dataclass(frozen=True)
class GraphValue:
    """An input or output of a graph, told as onnxruntime tells it."""

    name: str
    type: str
    """``tensor(float)`` and kin; empty where the file tells none."""
    shape: list[int | str | None]
    """A number, or the name of a size that is free, for each dimension."""


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a graph, each in its order."""

    inputs: tuple[GraphValue, ...]
    """Those with an initializer, which have a value already, are not among them."""
    outputs: tuple[GraphValue, ...]


def external_files(path: Path) -> set[str]:
    """Return the paths of external data that an ONNX file names, as it names them.

    Raises:
        ModelError: The file cannot be read, or is no ONNX file.
    """
    content = memoryview(read_file(path))
    with _damage(path):
        return {
            bytes(location).decode("utf-8", "surrogateescape")
            for entry in _found(content, "Model", "ExternalData")
            for location in _entry_location(entry)
        }


def read_signature(path: Path) -> Signature:
    """Return the inputs and outputs of an ONNX file.

    Raises:
        ModelError: The file cannot be read, or is no ONNX file.
    """
    content = memoryview(read_file(path))
    with _damage(path):
        graph = _joined(_messages(content, _MODEL_GRAPH))
        inputs = map(_graph_value, _messages(graph, _INPUTS))
        outputs = map(_graph_value, _messages(graph, _OUTPUTS))
        given = set(_initialized(graph))
        return Signature(
            tuple(value for value in inputs if value.name not in given), tuple(outputs)
        )


def read_operators(path: Path) -> set[tuple[str, str]]:
    """Return the operators of an ONNX file, each with its direction, empty where it has none.

    Recurrent layers alone have a direction. Subgraphs and functions are searched too.

    Raises:
        ModelError: The file cannot be read, or is no ONNX file.
    """
    content = memoryview(read_file(path))
    with _damage(path):
        return {_operator(node) for node in _found(content, "Model", "Node")}


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path} is no ONNX file, or a damaged one") from error


def _initialized(graph: memoryview) -> Iterator[str]:
    """Yield the names of a graph's initializers."""
    for tensor in _messages(graph, _INITIALIZERS):
        yield _text(tensor, _TENSOR_NAME)
    for sparse in _messages(graph, _SPARSE_INITIALIZERS):
        yield _text(_joined(_messages(sparse, _SPARSE_VALUES)), _TENSOR_NAME)


def _graph_value(content: memoryview) -> GraphValue:
    """Return what a ValueInfoProto tells of a tensor."""
    tensor = _joined(_messages(_joined(_messages(content, _VALUE_TYPE)), _TENSOR_TYPE))
    element = _ELEMENTS.get(_number(tensor, _ELEMENT) or 0)
    shape = _joined(_messages(tensor, _SHAPE))
    return GraphValue(
        _text(content, _VALUE_NAME),
        f"tensor({element})" if element else "",
        [_size(dimension) for dimension in _messages(shape, _DIMENSION)],
    )


def _size(dimension: memoryview) -> int | str | None:
    number = _number(dimension, _DIMENSION_VALUE)
    if number is None:
        return _text(dimension, _DIMENSION_NAME) or None
    return number - (1 << 64) if number >> 63 else number


def _messages(content: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the bytes of each field of a number."""
    for found, value in _fields(content):
        if found == number and isinstance(value, memoryview):
            yield value


def _joined(messages: Iterator[memoryview]) -> memoryview:
    """Return a message that may come in parts: protobuf merges them into one."""
    parts = list(messages)
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _text(content: memoryview, number: int) -> str:
    """Return the last value of a field that is text, empty where there is none."""
    values = [bytes(value) for value in _messages(content, number)]
    return values[-1].decode("utf-8", "backslashreplace") if values else ""


def _number(content: memoryview, number: int) -> int | None:
    """Return the last value of a field that is a number, None where there is none."""
    values = [
        value for found, value in _fields(content) if found == number and isinstance(value, int)
    ]
    return values[-1] if values else None


def _found(
    content: memoryview, message: str, wanted: str, depth: int = 0
) -> Iterator[memoryview]:
    """Yield every message of the wanted kind that a message holds, however deep."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    kinds = _MESSAGES.get(message, {})
    for number, value in _fields(content) if kinds else ():
        kind = kinds.get(number)
        if kind is None or not isinstance(value, memoryview):
            continue
        if kind == wanted:
            yield value
        yield from _found(value, kind, wanted, depth + 1)


def _operator(node: memoryview) -> tuple[str, str]:
    directions = [
        _text(attribute, _ATTRIBUTE_TEXT)
        for attribute in _messages(node, _ATTRIBUTES)
        if _text(attribute, _ATTRIBUTE_NAME) == "direction"
    ]
    return _text(node, _OPERATOR), directions[-1] if directions else ""


def _entry_location(content: memoryview) -> list[memoryview]:
    """Return the values of one key-value pair that is a location, repeated ones too.

    A value that is left out is the empty one: protobuf writes no default.
    """
    pairs = [
        (number, value) for number, value in _fields(content) if isinstance(value, memoryview)
    ]
    if not any(number == _KEY and value == _LOCATION for number, value in pairs):
        return []
    return [value for number, value in pairs if number == _VALUE] or [memoryview(b"")]


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | int | None]]:
    """Yield number and value of each field of a protobuf message.

    The value is bytes, or a number of variable length; None for one of four or eight bytes.
    """
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        if tag > _MAX_TAG:
            raise ValueError("a field number of more than 29 bits")
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _BYTES:
            length, place = _varint(content, place)
            if place + length > len(content):
                raise ValueError("a field is longer than its message")
            yield number, content[place : place + length]
            place += length
        elif wire_type == _VARINT:
            value, place = _varint(content, place)
            yield number, value
        elif wire_type in {_FIXED64, _FIXED32}:
            place += 8 if wire_type == _FIXED64 else 4
            yield number, None
        else:
            raise ValueError(f"wire type {wire_type}")


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """Return a variable-length number and the place behind it."""
    value = shift = 0
    while True:
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
