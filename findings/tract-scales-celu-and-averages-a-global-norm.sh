#!/usr/bin/env bash
# tract's Celu is 1 / alpha times too large below zero; its GlobalLpPool is a root of a mean.
#
# tract 0.23.9, onnxruntime 1.32.0, onnx 1.20.0, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: an operator that an engine loads is computed as ONNX defines it:
# Celu(x) = max(0, x) + min(0, alpha (exp(x / alpha) - 1)), GlobalLpPool the p-th root of the sum
# of p-th powers. Other pooling operators that tract lacks (LpPool) it refuses with an error.
# Seen: both load. Celu lacks the factor alpha, so alpha = 1 alone is right. GlobalLpPool divides
# by the number of values under the root.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tract==0.23.9 onnxruntime==1.32.0 onnx==1.20.0 numpy==2.3.5
cat > "$folder/operators.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnx.helper as make
import onnxruntime
import tract

x = np.array([[[-3.0, -4.0, 0.0, 0.0]]], np.float32)
for operator, attributes, shape in (
    ("Celu", {"alpha": 1.0}, [1, 1, 4]),
    ("Celu", {"alpha": 0.5}, [1, 1, 4]),
    ("GlobalLpPool", {"p": 2}, [1, 1, 1]),
):
    taken = [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)]
    given = [make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)]
    graph = make.make_graph([make.make_node(operator, ["x"], ["y"], **attributes)], "g", taken, given)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, sys.argv[1])
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    loaded = tract.onnx().load(sys.argv[1])
    loaded.set_input_fact(0, "1,1,4,f32")
    found = loaded.into_model().into_runnable().run([x])[0].to_numpy()
    right = session.run(None, {"x": x})[0]
    print(operator, attributes, f"first value: onnxruntime {right[0, 0, 0]:.4f}, tract {found[0, 0, 0]:.4f}")
PYTHON
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" "$folder/operators.py" "$folder/model.onnx" \
    | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
Celu {'alpha': 1.0} first value: onnxruntime -0.9502, tract -0.9502
Celu {'alpha': 0.5} first value: onnxruntime -0.4988, tract -0.9975
GlobalLpPool {'p': 2} first value: onnxruntime 5.0000, tract 2.5000
SEEN
