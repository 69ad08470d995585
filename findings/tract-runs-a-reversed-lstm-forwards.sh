#!/usr/bin/env bash
# tract takes direction="reverse" of LSTM, GRU and RNN for forward; "bidirectional" is right.
#
# tract 0.23.9, onnxruntime 1.32.0, onnx 1.20.0, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: an engine that has the second half of a bidirectional layer has the reversed layer too,
# or refuses it when the model is loaded.
# Seen: it loads without a word and gives what the same weights give forwards. In a bidirectional
# layer both halves agree with onnxruntime and with ONNX's reference.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tract==0.23.9 onnxruntime==1.32.0 onnx==1.20.0 numpy==2.3.5
cat > "$folder/direction.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnx.helper as make
import onnxruntime
import tract
from onnx import numpy_helper

random = np.random.default_rng(0)
x = random.standard_normal((5, 1, 3)).astype(np.float32)


def run(layer, gates, direction):
    """Return what onnxruntime and tract make of five steps of three numbers."""
    n = 2 if direction == "bidirectional" else 1
    weights = [
        numpy_helper.from_array(np.resize(values, (n, gates * 4, width)), name)
        for name, values, width in (("w", INPUT[layer], 3), ("r", RECURRENT[layer], 4))
    ]
    node = make.make_node(layer, ["x", "w", "r"], ["y"], hidden_size=4, direction=direction)
    taken = [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)]
    given = [make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [5, n, 1, 4])]
    graph = make.make_graph([node], "g", taken, given, weights)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, sys.argv[1])
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    loaded = tract.onnx().load(sys.argv[1])
    loaded.set_input_fact(0, "5,1,3,f32")
    found = loaded.into_model().into_runnable().run([x])[0].to_numpy()
    return session.run(None, {"x": x})[0], found


LAYERS = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUT = {k: random.standard_normal((2, n * 4, 3)).astype(np.float32) for k, n in LAYERS.items()}
RECURRENT = {k: random.standard_normal((2, n * 4, 4)).astype(np.float32) for k, n in LAYERS.items()}
for layer, gates in LAYERS.items():
    forwards = run(layer, gates, "forward")
    for direction in ("forward", "reverse", "bidirectional"):
        right, found = run(layer, gates, direction)
        words = "the same" if np.allclose(right, found, atol=1e-5) else "different"
        if words == "different" and np.allclose(found, forwards[1], atol=1e-6):
            words = "different: as forwards"
        print(layer, direction, words)
PYTHON
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" "$folder/direction.py" "$folder/model.onnx" \
    | tee "$folder/out"
for layer in LSTM GRU RNN; do
    grep -qx "$layer forward the same" "$folder/out"
    grep -qx "$layer reverse different: as forwards" "$folder/out"
    grep -qx "$layer bidirectional the same" "$folder/out"
done
