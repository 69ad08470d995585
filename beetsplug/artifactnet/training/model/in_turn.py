"""A graph that takes a song's segments one after another instead of all at once.

What it computes of each segment becomes the body of a Scan. So a song needs the working memory
of one segment, whatever their number, and a segment's values do not depend on the others'.

    python -m beetsplug.artifactnet.training.model.in_turn FOLDER

does that to the model in a folder, unless it is done, and enters its checksum into the card.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

_SCAN = "Scan"
_OF_ONE, _ROW, _BATCHES, _AXIS = "_of_one", "_row", "_batches", "axis_of_one"


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and those within it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs_of(attribute.g)


def take_in_turn(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose segments are taken one after another; as it is where they are.

    Args:
        model: Its one input is (n_segments, n_samples). It sums over the segments in
            ``ReduceSum`` nodes of axis 0: what these are given is computed a segment at a
            time.
    """
    import onnx

    graph = model.graph
    if any(node.op_type == _SCAN for node in graph.node):
        return model
    constants = _constants(graph)
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    inner = _ancestors(nodes, _summed(nodes, constants))
    body = [node for place, node in enumerate(nodes) if place in inner]
    rest = [node for place, node in enumerate(nodes) if place not in inner]
    crossing = _crossing(body, rest)
    fixed = _fixed(model, crossing)
    of_segments = [name for name in crossing if name not in fixed]
    taken = {graph.input[0].name, *(name for node in rest for name in node.input)}
    taken.discard("")  # of an input that is left out
    scan = _scan(graph.input[0], _renamed(body, taken), of_segments, constants)
    axis = onnx.numpy_helper.from_array(np.ones(1, np.int64), _AXIS)
    known = {**constants, **fixed, _AXIS: axis}
    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.graph.node[:], found.graph.initializer[:], found.graph.value_info[:]
    found.graph.initializer.extend(_initializers([*scan, *rest], known))
    found.graph.node.extend([*scan, *rest])
    onnx.checker.check_model(found)
    return found


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the weights and constants of a graph by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = node.attribute[0].t
    return found


def _summed(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> list[str]:
    """Return what is summed over the segments."""
    import onnx

    return [
        node.input[0]
        for node in nodes
        if node.op_type == "ReduceSum"
        and node.input[1] in constants
        and np.array_equal(onnx.numpy_helper.to_array(constants[node.input[1]]), [0])
    ]


def _ancestors(nodes: Sequence[onnx.NodeProto], names: Iterable[str]) -> set[int]:
    """Return the places of the nodes that values come from."""
    source = {name: place for place, node in enumerate(nodes) for name in node.output}
    found: set[int] = set()
    waiting = [source[name] for name in names]
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting.extend(source[name] for name in nodes[place].input if name in source)
    return found


def _crossing(body: Sequence[onnx.NodeProto], rest: Sequence[onnx.NodeProto]) -> list[str]:
    """Return what one part makes and the other takes."""
    wanted = {name for node in rest for name in node.input}
    return [name for node in body for name in node.output if name in wanted]


def _fixed(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, onnx.TensorProto]:
    """Return those of some values that are the same whatever the segments: sizes."""
    import onnx
    import onnxruntime

    probe = onnx.ModelProto()
    probe.CopyFrom(onnx.shape_inference.infer_shapes(model))
    types = {found.name: found for found in probe.graph.value_info}
    del probe.graph.output[:]
    probe.graph.output.extend(types[name] for name in names)
    session = onnxruntime.InferenceSession(probe.SerializeToString())
    (given,) = session.get_inputs()
    values: list[list[NDArray[np.generic]]] = [
        session.run(list(names), {given.name: np.zeros((n, given.shape[1]), np.float32)})
        for n in (2, 3)
    ]
    return {
        name: onnx.numpy_helper.from_array(np.asarray(two), name)
        for name, two, three in zip(names, *values, strict=True)
        if two.shape == three.shape
    }


def _renamed(nodes: Sequence[onnx.NodeProto], taken: Set[str]) -> list[onnx.NodeProto]:
    """Return nodes whose values have other names than those that are taken outside."""
    found = []
    for node in nodes:
        new = type(node)()
        new.CopyFrom(node)
        for names in (new.input, new.output):
            names[:] = [name + _OF_ONE if name in taken else name for name in names]
        found.append(new)
    return found


def _scan(
    given: onnx.ValueInfoProto,
    body: Sequence[onnx.NodeProto],
    outputs: Sequence[str],
    constants: Mapping[str, onnx.TensorProto],
) -> list[onnx.NodeProto]:
    """Return nodes that take segments in turn: a batch of one in, its values out."""
    from onnx import TensorProto, helper

    n_samples = given.type.tensor_type.shape.dim[1].dim_value
    rows = {name: name + _OF_ONE + _ROW for name in outputs}
    nodes = [
        *body,
        # The mean of one value is that value. tract 0.23.9 fails where a Squeeze or a ReduceMax
        # ends the body, and where a Squeeze follows the Scan.
        *(
            helper.make_node("ReduceMean", [name + _OF_ONE], [row], axes=[0], keepdims=0)
            for name, row in rows.items()
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "one_segment",
        [
            helper.make_tensor_value_info(
                given.name + _OF_ONE, TensorProto.FLOAT, [1, n_samples]
            )
        ],
        [helper.make_tensor_value_info(row, TensorProto.FLOAT, None) for row in rows.values()],
        _initializers(nodes, constants),
    )
    batches = given.name + _BATCHES
    return [
        helper.make_node("Unsqueeze", [given.name, _AXIS], [batches]),
        helper.make_node(
            _SCAN, [batches], list(rows), "segments", body=graph, num_scan_inputs=1
        ),
    ]


def _initializers(
    nodes: Sequence[onnx.NodeProto], known: Mapping[str, onnx.TensorProto]
) -> list[onnx.TensorProto]:
    """Return the constants that nodes take, under the names that they have there."""
    from onnx import TensorProto

    found = []
    for name in dict.fromkeys(name for node in nodes for name in node.input):
        own = name if name in known else name.removesuffix(_OF_ONE)
        if own in known:
            tensor = TensorProto()
            tensor.CopyFrom(known[own])
            tensor.name = name
            found.append(tensor)
    return found


def main(folder: Path) -> None:
    """Rewrite the model in a folder."""
    import onnx

    graph, card = folder / "model.onnx", folder / "card.json"
    onnx.save(take_in_turn(onnx.load(str(graph))), str(graph))
    fields = json.loads(card.read_text(encoding="utf-8"))
    fields["files"] = {graph.name: hashlib.sha256(graph.read_bytes()).hexdigest()}
    card.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
