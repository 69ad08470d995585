"""External data found in ONNX files, wherever in a graph and however it is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.onnx_file import (
    GraphValue,
    external_files,
    read_signature,
)
from beetsplug.artifactnet.models.store import BUNDLED_MODELS
from tests.support.onnx_models import (
    move_out,
    write_external_model,
    write_inputs_model,
    write_model,
    write_song_model,
    write_v94_shaped,
)

GRAPH, INITIALIZER, EXTERNAL_DATA = 7, 5, 13
"""Field numbers of a model's graph, its initializers, and their external data."""


def found_in(data: bytes, folder: Path) -> set[str]:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return external_files(path)


def locations(message: Message) -> Iterator[str]:
    """Yield the locations in any message, as the onnx package reads it.

    What is no UTF-8 it gives as bytes; a path has them as surrogates.
    """
    if isinstance(message, TensorProto):
        for entry in message.external_data:
            if entry.key == "location":
                value: str | bytes = entry.value
                yield (
                    value
                    if isinstance(value, str)
                    else value.decode("utf-8", "surrogateescape")
                )
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                yield from locations(inner)


def tensor(location: str) -> TensorProto:
    """Return a tensor of which nothing is in the file but where it lies."""
    given = numpy_helper.from_array(np.ones(4, np.float32), "weights")
    given.ClearField("raw_data")
    given.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "16")):
        given.external_data.add(key=key, value=value)
    return given


def sparse(location: str) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(
        values=tensor(location), indices=tensor(f"{location}.indices"), dims=[4]
    )


def node(**attributes: Any) -> onnx.NodeProto:
    """Return a node of any attributes; messages are taken over as they are."""
    made = onnx.NodeProto(op_type="Any", output=["y"])
    for name, value in attributes.items():
        attribute = made.attribute.add(name=name)
        part = getattr(attribute, name)
        part.extend(value) if isinstance(value, list) else part.CopyFrom(value)
    return made


def graph(*nodes: onnx.NodeProto, **fields: Any) -> onnx.GraphProto:
    return onnx.GraphProto(name="g", node=nodes, **fields)


def model(given: onnx.GraphProto, **fields: Any) -> onnx.ModelProto:
    return onnx.ModelProto(ir_version=8, graph=given, **fields)


def function(*nodes: onnx.NodeProto, **fields: Any) -> onnx.FunctionProto:
    return onnx.FunctionProto(name="f", domain="own", node=nodes, **fields)


HIDDEN = {
    "initializer": model(graph(initializer=[tensor("w")])),
    "sparse initializer": model(graph(sparse_initializer=[sparse("w")])),
    "attribute": model(graph(node(t=tensor("w")))),
    "attribute's list": model(graph(node(tensors=[tensor("v"), tensor("w")]))),
    "sparse attribute": model(graph(node(sparse_tensor=sparse("w")))),
    "sparse attribute's list": model(graph(node(sparse_tensors=[sparse("w")]))),
    "subgraph": model(graph(node(g=graph(initializer=[tensor("w")])))),
    "subgraph's attribute": model(graph(node(g=graph(node(g=graph(node(t=tensor("w")))))))),
    "list of subgraphs": model(graph(node(graphs=[graph(), graph(node(t=tensor("w")))]))),
    "function": model(graph(), functions=[function(node(t=tensor("w")))]),
    "function's subgraph": model(
        graph(), functions=[function(node(g=graph(initializer=[tensor("w")])))]
    ),
    "function's default": model(
        graph(), functions=[function(attribute_proto=[node(t=tensor("w")).attribute[0]])]
    ),
    "training": model(
        graph(),
        training_info=[
            onnx.TrainingInfoProto(
                initialization=graph(initializer=[tensor("v")]),
                algorithm=graph(initializer=[tensor("w")]),
            )
        ],
    ),
}
"""Where a model can hold a tensor -> a model that holds one there."""


@pytest.mark.parametrize("place", HIDDEN)
def test_every_place_of_a_tensor(place: str, tmp_path: Path) -> None:
    """External data are found wherever the onnx package sees them."""
    found = found_in(HIDDEN[place].SerializeToString(), tmp_path)
    assert "w" in found
    assert set(locations(HIDDEN[place])) == found


@pytest.mark.parametrize(
    "location",
    ["weights.bin", "/etc/passwd", "../x", "nested/x", "a b\n", "C:\\x", "", "ключ", "*/mem/*"],
)
def test_any_location(location: str, tmp_path: Path) -> None:
    """A location comes back as it is written, plain name or not."""
    data = model(graph(initializer=[tensor(location)])).SerializeToString()
    assert found_in(data, tmp_path) == {location}


def test_location_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are no way to hide a location."""
    data = model(graph(initializer=[tensor("weights.bin")])).SerializeToString()
    (found,) = found_in(data.replace(b"weights.bin", b"weight\xff\xfebin"), tmp_path)
    assert found.encode("utf-8", "surrogateescape") == b"weight\xff\xfebin"


@pytest.mark.parametrize(
    "write", [write_model, write_song_model, write_inputs_model, write_external_model]
)
def test_real_graphs(write: Callable[[Path], Path], tmp_path: Path) -> None:
    """Our own graphs give what the onnx package reads from them."""
    path = write(tmp_path) / "model.onnx"
    expected = set(locations(onnx.load(str(path), load_external_data=False)))
    assert expected == external_files(path)
    assert expected == ({"weights.bin"} if write is write_external_model else set())


def test_the_official_shape(tmp_path: Path) -> None:
    """A graph in the shape of the official model names its one data file."""
    name, data = write_v94_shaped(tmp_path)
    assert external_files(tmp_path / name) == {data}


def test_the_bundled_models() -> None:
    """The bundled models are whole in themselves."""
    paths = list(BUNDLED_MODELS.glob("*/model.onnx"))
    assert paths
    assert all(external_files(path) == set() for path in paths)


def test_many_locations(tmp_path: Path) -> None:
    """Each file that a graph names is there, and once."""
    names = [f"part{place % 7}.bin" for place in range(40)]
    data = model(graph(initializer=[tensor(name) for name in names])).SerializeToString()
    assert found_in(data, tmp_path) == set(names)


def varint(value: int, width: int = 1) -> bytes:
    """Return a variable-length number in ``width`` bytes or more."""
    parts: list[int] = []
    while value or len(parts) < width:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts[:-1], parts[-1] & 0x7F])


def field(number: int, content: bytes, width: int = 1) -> bytes:
    return varint(number << 3 | 2, width) + varint(len(content), width) + content


def by_hand(entry: bytes, width: int = 1) -> bytes:
    """Return a model with one initializer whose external data is this one entry."""
    plain = tensor("")
    plain.ClearField("external_data")
    weights = plain.SerializeToString() + field(EXTERNAL_DATA, entry, width)
    return model(graph()).SerializeToString() + field(
        GRAPH, field(INITIALIZER, weights, width), width
    )


KEY = field(1, b"location")
ENTRIES = {
    "in order": (KEY + field(2, b"w"), {"w"}),
    "value first": (field(2, b"w") + KEY, {"w"}),
    "two values": (KEY + field(2, b"harmless") + field(2, b"w"), {"harmless", "w"}),
    "value on both sides": (field(2, b"v") + KEY + field(2, b"w"), {"v", "w"}),
    "another key first": (field(1, b"offset") + field(2, b"w") + KEY, {"w"}),
    "unknown fields between": (KEY + field(90, b"x" * 300) + field(2, b"w"), {"w"}),
    "numbers between": (KEY + b"\x18\x01\x21" + b"\0" * 8 + b"\x2d\0\0\0\0\x12\x01w", {"w"}),
    "no value": (KEY, {""}),
    "no key": (field(2, b"w"), set()),
    "another key": (field(1, b"checksum") + field(2, b"w"), set()),
}
"""How an entry is written -> its bytes, and the locations in it."""


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("how", ENTRIES)
def test_every_way_to_write_an_entry(how: str, width: int, tmp_path: Path) -> None:
    """The order, repeats and the length of its numbers hide no location."""
    entry, expected = ENTRIES[how]
    data = by_hand(entry, width)
    seen = set(locations(onnx.ModelProto.FromString(data)))
    assert seen <= expected
    assert expected == found_in(data, tmp_path)


@pytest.mark.parametrize("high", [0x10, 0x40, 0x70])
def test_field_number_beyond_32_bits(high: int, tmp_path: Path) -> None:
    """A field number that onnxruntime would cut down to another one is refused."""
    real = onnx.load(str(write_model(tmp_path) / "model.onnx"))
    move_out(real, "")
    (gain,) = [given for given in real.graph.initializer if given.name == "gain"]
    real.graph.initializer.remove(gain)
    gain.ClearField("external_data")
    entry = KEY + field(2, b"no-such-file.bin")
    tag = bytes([EXTERNAL_DATA << 3 & 0x7F | 2 | 0x80, 0x80, 0x80, 0x80, high])
    hidden = gain.SerializeToString() + tag + varint(len(entry)) + entry
    data = real.SerializeToString() + field(GRAPH, field(INITIALIZER, hidden))
    with pytest.raises(ModelError, match="no ONNX file, or a damaged one"):
        found_in(data, tmp_path)
    # Why it matters: onnxruntime looks for the file that is not seen otherwise.
    with pytest.raises(Exception, match=r"no-such-file\.bin"):
        onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))


DAMAGED = {
    "text": b"no graph at all\n" * 20,
    "cut": model(graph(initializer=[tensor("w")])).SerializeToString()[:-3],
    "length of more than 64 bits": b"\x3a" + b"\xff" * 12,
    "number without an end": b"\x08\x80",
    "group": b"\x3b\x3c",
    "page": b"<!DOCTYPE html><html><body>404</body></html>",
}


@pytest.mark.parametrize("how", DAMAGED)
def test_no_onnx_file(how: str, tmp_path: Path) -> None:
    """What is no ONNX file is refused in one line, with its path."""
    with pytest.raises(ModelError) as caught:
        found_in(DAMAGED[how], tmp_path)
    expected = f"{tmp_path / 'model.onnx'} is no ONNX file, or a damaged one"
    assert str(caught.value) == expected


def test_missing_file(tmp_path: Path) -> None:
    """A file that cannot be read is refused with its path and why."""
    with pytest.raises(ModelError, match=r"model\.onnx: No such file"):
        external_files(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="is no regular file"):
        external_files(tmp_path)


def test_deep_graphs(tmp_path: Path) -> None:
    """Subgraphs in subgraphs are followed some way and then refused, never a crash."""
    inner = graph(initializer=[tensor("w")])
    for _ in range(10):
        inner = graph(node(g=inner))
    assert found_in(model(inner).SerializeToString(), tmp_path) == {"w"}
    data = b""
    for _ in range(5_000):
        data = field(1, field(5, field(6, data)))
    with pytest.raises(ModelError):
        found_in(field(GRAPH, data), tmp_path)


def test_time_is_bounded(tmp_path: Path) -> None:
    """A megabyte of the smallest fields, nested as deeply as it is followed, is read soon."""
    data = b"\x3a\0" * 200_000
    for _ in range(20):
        data = field(1, field(5, field(6, data)))
    started = time.process_time()
    assert found_in(field(GRAPH, data), tmp_path) == set()
    assert time.process_time() - started < 10


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=4_000))
def test_any_bytes(data: bytes, tmp_path: Path) -> None:
    """Any bytes give a set of paths or are refused; nothing else happens."""
    try:
        found = found_in(data, tmp_path)
    except ModelError:
        return
    assert all(isinstance(name, str) for name in found)


@settings(suppress_health_check=list(HealthCheck), max_examples=300)
@given(
    place=st.sampled_from(sorted(HIDDEN)),
    edits=st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 2), st.binary(max_size=3)), max_size=4
    ),
)
@example(place="sparse initializer", edits=[(110, 1, b"\x1a")])
@example(place="sparse initializer", edits=[(251, 2, b"\x00\x80")])
def test_damaged_graphs(
    place: str, edits: list[tuple[int, int, bytes]], tmp_path: Path
) -> None:
    """However a file is changed, no location is missed that the onnx package reads."""
    data = HIDDEN[place].SerializeToString()
    for at, n_replaced, new in edits:
        first = at % len(data) if data else 0
        data = data[:first] + new + data[first + n_replaced :]
    try:
        seen = set(locations(onnx.ModelProto.FromString(data)))
        found = found_in(data, tmp_path)
    except (DecodeError, ModelError):
        return
    assert seen <= found


def test_data_that_onnxruntime_reads(tmp_path: Path) -> None:
    """The name that is found is the file that onnxruntime asks for."""
    path = write_model(tmp_path) / "model.onnx"
    given = onnx.load(str(path))
    data = move_out(given, "weights.bin")
    path.write_bytes(given.SerializeToString())
    assert external_files(path) == {"weights.bin"}
    with pytest.raises(Exception, match=r"weights\.bin"):
        onnxruntime.InferenceSession(str(path))
    (tmp_path / "weights.bin").write_bytes(data)
    assert onnxruntime.InferenceSession(str(path)).get_inputs()


SIGNATURES: dict[str, Callable[[Path], object]] = {
    "one input": write_model,
    "logit": lambda folder: write_model(folder, kind="logit", output_shape="batch1"),
    "fixed batch": lambda folder: write_model(folder, batch=4, dtype=np.float64),
    "several inputs": write_inputs_model,
    "song": write_song_model,
    "external data": write_external_model,
}


@pytest.mark.parametrize("write", SIGNATURES.values(), ids=SIGNATURES)
def test_signature_is_what_onnxruntime_tells(
    write: Callable[[Path], object], tmp_path: Path
) -> None:
    """Names, types and shapes in their order, without loading the file."""
    write(tmp_path)
    path = tmp_path / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = read_signature(path)
    for values, expected in (
        (found.inputs, session.get_inputs()),
        (found.outputs, session.get_outputs()),
    ):
        assert [(v.name, v.type, v.shape) for v in values] == [
            (v.name, v.type, v.shape) for v in expected
        ]


def test_signature_of_what_is_odd(tmp_path: Path) -> None:
    """Initializers are no inputs, a size may be free or have no name, a type be missing."""
    free = onnx.helper.make_tensor_value_info("free", TensorProto.FLOAT, [None, "n", -1, 3])
    given = onnx.helper.make_tensor_value_info("w", TensorProto.FLOAT, [4])
    untyped = onnx.ValueInfoProto(name="untyped")
    made = model(graph(input=[given, free], output=[untyped], initializer=[tensor("w")]))
    made.graph.initializer[0].name = "w"
    # A message may come in two parts, which are one.
    path = tmp_path / "model.onnx"
    more = model(onnx.GraphProto(output=[given]))
    path.write_bytes(made.SerializeToString() + more.SerializeToString())
    found = read_signature(path)
    assert found.inputs == (GraphValue("free", "tensor(float)", [None, "n", -1, 3]),)
    assert found.outputs == (
        GraphValue("untyped", "", []),
        GraphValue("w", "tensor(float)", [4]),
    )


@pytest.mark.parametrize("data", [b"no graph at all", b"\x3a\x7f\x01", b"\xff" * 20])
def test_signature_of_a_damaged_file(data: bytes, tmp_path: Path) -> None:
    """It is refused in one line."""
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"is no ONNX file, or a damaged one$"):
        read_signature(path)
