"""TFLite networks of Lyra's interface that a test can calculate by hand.

The encoder remembers: of each frame it gives half, and a quarter of what it gave before.
Quantiser and decoder scale: through 46 quantisers, the most there are, nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

N = 320
DECODER_GAIN = 2.0
N_QUANTIZERS = 46


class _Subgraph:
    """One signature: tensors, operators, and which tensors are named what."""

    def __init__(self, model: Any, key: str) -> None:
        self.model, self.graph = model, schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.signature = schema.SignatureDefT()
        self.signature.signatureKey = key
        self.signature.subgraphIndex = len(model.subgraphs)
        self.signature.inputs, self.signature.outputs = [], []
        model.subgraphs.append(self.graph)
        model.signatureDefs.append(self.signature)

    def tensor(
        self,
        shape: Sequence[int],
        *,
        values: NDArray[np.float32] | None = None,
        is_integer: bool = False,
        is_variable: bool = False,
    ) -> int:
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.name = f"tensor {len(self.graph.tensors)}"
        tensor.shape = list(shape)
        tensor.type = schema.TensorType.INT32 if is_integer else schema.TensorType.FLOAT32
        tensor.isVariable = is_variable
        if values is not None:
            buffer.data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
        tensor.buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def named(self, name: str, tensor: int, *, is_output: bool = False) -> int:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, tensor
        (self.signature.outputs if is_output else self.signature.inputs).append(entry)
        (self.graph.outputs if is_output else self.graph.inputs).append(tensor)
        return tensor

    def operator(self, name: str, inputs: Sequence[int], output: int) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = code.builtinCode
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes)
        operator.inputs, operator.outputs = list(inputs), [output]
        options = {"MUL": "MulOptions", "RNN": "RNNOptions", "CAST": "CastOptions"}[name]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(schema, f"{options}T")()
        self.model.operatorCodes.append(code)
        self.graph.operators.append(operator)


def _new_model() -> Any:
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    model.operatorCodes, model.subgraphs, model.signatureDefs = [], [], []
    return model


def _write(model: Any, path: Path) -> None:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def write_lyra(folder: Path) -> None:
    """Write the three networks."""
    encoder = _new_model()
    graph = _Subgraph(encoder, "serving_default")
    frame = graph.named("input_audio", graph.tensor((1, N)))
    parts = [
        graph.tensor((N, N), values=np.eye(N, dtype=np.float32) * 0.5),
        graph.tensor((N, N), values=np.eye(N, dtype=np.float32) * 0.25),
        graph.tensor((N,), values=np.zeros(N, np.float32)),
        graph.tensor((1, N), is_variable=True),
    ]
    features = graph.named("output_0", graph.tensor((1, N)), is_output=True)
    graph.operator("RNN", [frame, *parts], features)
    _write(encoder, folder / "soundstream_encoder.tflite")

    quantizer = _new_model()
    graph = _Subgraph(quantizer, "encode")
    features = graph.named("input_frames", graph.tensor((1, N)))
    number = graph.named("num_quantizers", graph.tensor((1,), is_integer=True))
    as_float = graph.tensor((1,))
    graph.operator("CAST", [number], as_float)
    codes = graph.named("output_0", graph.tensor((1, N)), is_output=True)
    graph.operator("MUL", [features, as_float], codes)
    _scaling(_Subgraph(quantizer, "decode"), "encoding_indices", 1 / N_QUANTIZERS)
    _write(quantizer, folder / "quantizer.tflite")

    decoder = _new_model()
    _scaling(_Subgraph(decoder, "serving_default"), "input_audio", DECODER_GAIN)
    _write(decoder, folder / "lyragan.tflite")


def _scaling(graph: _Subgraph, name: str, gain: float) -> None:
    entry = graph.named(name, graph.tensor((1, N)))
    factor = graph.tensor((1,), values=np.array([gain], np.float32))
    result = graph.named("output_0", graph.tensor((1, N)), is_output=True)
    graph.operator("MUL", [entry, factor], result)
