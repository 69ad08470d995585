#!/usr/bin/env bash
# tract gives a number where the input is NaN: its sigmoid of NaN is 4.5e-7.
#
# tract 0.23.9, onnxruntime 1.32.0, onnx 1.20.0, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: NaN in, NaN out, as IEEE arithmetic and ONNX's reference have it. A caller that looks
# for NaN in the output so learns that a model divided by zero.
# Seen: tract's Sigmoid, Tanh, Relu and Clip bound their input first, and the bound wins over NaN.
# A classifier that ends in a sigmoid gives a probability near 0 where onnxruntime gives NaN.
# Only a look at an output before the bounded operators can tell.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tract==0.23.9 onnxruntime==1.32.0 onnx==1.20.0 numpy==2.3.5
cat > "$folder/nan.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnx.helper as make
import onnxruntime
import tract
from onnx import numpy_helper

bounds = [numpy_helper.from_array(np.float32(x), name) for x, name in ((-1, "low"), (1, "high"))]
for operator, more in (("Sigmoid", []), ("Tanh", []), ("Relu", []), ("Clip", ["low", "high"])):
    value = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in "xy"]
    node = make.make_node(operator, ["x", *more], ["y"])
    graph = make.make_graph([node], "g", value[:1], value[1:], bounds if more else [])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, sys.argv[1])
    x = np.full(4, np.nan, np.float32)
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    loaded = tract.onnx().load(sys.argv[1])
    loaded.set_input_fact(0, "4,f32")
    found = loaded.into_model().into_runnable().run([x])[0].to_numpy()
    print(f"{operator} of NaN: onnxruntime {session.run(None, {'x': x})[0][0]}, tract {found[0]:.2g}")
PYTHON
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" "$folder/nan.py" "$folder/model.onnx" \
    | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
Sigmoid of NaN: onnxruntime nan, tract 4.5e-07
Tanh of NaN: onnxruntime nan, tract -1
Relu of NaN: onnxruntime nan, tract 0
Clip of NaN: onnxruntime nan, tract -1
SEEN
