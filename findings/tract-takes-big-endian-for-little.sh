#!/usr/bin/env bash
# tract's Python package reads a big-endian array as if it were little-endian, without an error.
#
# tract 0.23.9, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: NumPy tells the byte order in the dtype; an array is converted, or refused as one of
# another type is (float64 is refused).
# Seen: ">f4" is taken for float32 and its bytes are read in the wrong order: 1.0 becomes 4.6e-41.
# soundfile and wave data of AIFF or AU may come so. np.ascontiguousarray(x, "<f4") helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tract==0.23.9 onnx==1.20.0 numpy==2.3.5
cat > "$folder/order.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnx.helper as make
import tract

value = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy"]
graph = make.make_graph([make.make_node("Add", ["x", "x"], ["y"])], "g", value[:1], value[1:])
onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), sys.argv[1])
model = tract.onnx().load(sys.argv[1])
model.set_input_fact(0, "2,f32")
run = model.into_model().into_runnable().run
for dtype in ("<f4", ">f4", "<f8"):
    given = np.array([1.0, 2.0], dtype)
    try:
        print(dtype, "1 and 2 doubled:", run([given])[0].to_numpy().tolist())
    except tract.TractError as error:
        print(dtype, "refused:", str(error).splitlines()[0][:80])
PYTHON
"$folder/venv/bin/python" "$folder/order.py" "$folder/model.onnx" | tee "$folder/out"
grep -q '^<f4 1 and 2 doubled: \[2.0, 4.0\]' "$folder/out"
grep '^>f4 1 and 2 doubled:' "$folder/out" | grep -vq '\[2.0, 4.0\]'
grep -q '^<f8 refused' "$folder/out"
