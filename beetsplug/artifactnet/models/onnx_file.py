"""Which other files an ONNX file reads, found without loading it.

ONNX keeps large tensors in *external data* files, by a path in the graph. onnxruntime
before 1.24 follows that path wherever it leads, so it is read here first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def external_files(path: Path) -> set[str]:
    """Return the paths of external data that an ONNX file names, as it names them.

    Raises:
        ModelError: The file cannot be read, or is no ONNX file.
    """
    content = memoryview(read_file(path))
    try:
        return {
            bytes(location).decode("utf-8", "surrogateescape")
            for location in _locations(content, "Model", 0)
        }
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path} is no ONNX file, or a damaged one") from error


def _locations(content: memoryview, message: str, depth: int) -> Iterator[memoryview]:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    kinds = _MESSAGES[message]
    for number, value in _fields(content):
        kind = kinds.get(number)
        if kind is None or value is None:
            continue
        if kind == "ExternalData":
            yield from _entry_location(value)
        else:
            yield from _locations(value, kind, depth + 1)


def _entry_location(content: memoryview) -> list[memoryview]:
    """Return the values of one key-value pair that is a location, repeated ones too.

    A value that is left out is the empty one: protobuf writes no default.
    """
    pairs = [(number, value) for number, value in _fields(content) if value is not None]
    if not any(number == _KEY and value == _LOCATION for number, value in pairs):
        return []
    return [value for number, value in pairs if number == _VALUE] or [memoryview(b"")]


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Yield number and bytes of each field of a protobuf message; None for a number."""
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
            _, place = _varint(content, place)
            yield number, None
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
