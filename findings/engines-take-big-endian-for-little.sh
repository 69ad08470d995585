#!/usr/bin/env bash
# onnxruntime and tract read a big-endian array as if it were little-endian, without an error.
#
# onnxruntime 1.32.0, tract 0.23.9, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: NumPy tells the byte order in the dtype; an array is converted, or refused as one of
# another type is (both refuse float64 where the graph takes float32).
# Seen: ">f4" is taken for float32 and its bytes are read in the wrong order: 1.0 becomes 4.6e-41.
# Samples of AIFF or AU may come so. np.ascontiguousarray(x, "<f4") helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tract==0.23.9 onnxruntime==1.32.0 onnx==1.20.0 numpy==2.3.5
cat > "$folder/order.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnx.helper as make
import onnxruntime
import tract

value = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy"]
graph = make.make_graph([make.make_node("Add", ["x", "x"], ["y"])], "g", value[:1], value[1:])
model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
onnx.save(model, sys.argv[1])
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
loaded = tract.onnx().load(sys.argv[1])
loaded.set_input_fact(0, "2,f32")
runnable = loaded.into_model().into_runnable()
engines = {
    "onnxruntime": lambda x: session.run(None, {"x": x})[0],
    "tract": lambda x: runnable.run([x])[0].to_numpy(),
}
for name, run in engines.items():
    for dtype in ("<f4", ">f4", "<f8"):
        try:
            print(name, dtype, "1 and 2 doubled:", run(np.array([1.0, 2.0], dtype)).tolist())
        except Exception as error:
            print(name, dtype, "refused:", str(error).splitlines()[0][:60])
PYTHON
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" "$folder/order.py" "$folder/model.onnx" \
    | tee "$folder/out"
for engine in onnxruntime tract; do
    grep -q "^$engine <f4 1 and 2 doubled: \[2.0, 4.0\]" "$folder/out"
    grep "^$engine >f4 1 and 2 doubled:" "$folder/out" | grep -vq '\[2.0, 4.0\]'
    grep -q "^$engine <f8 refused" "$folder/out"
done
