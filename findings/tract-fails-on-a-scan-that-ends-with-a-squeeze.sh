#!/usr/bin/env bash
# tract fails on a Scan whose body ends with a Squeeze, where the value has another use before it.
#
# tract 0.23.9, onnxruntime 1.32.0, onnx 1.20.0, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: the body of a Scan computes what the same nodes compute elsewhere.
# Seen: tract moves a Squeeze at the end of the body behind the Scan, though something else in the
# body reads the value in its old shape. It raises, when the graph is loaded or when it is run.
# onnxruntime runs it. A ReduceMean over the axis of one in place of the Squeeze is exact, and both
# engines run it; in a large graph a ReduceMax failed as the Squeeze does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tract==0.23.9 onnxruntime==1.32.0 onnx==1.20.0 numpy==2.3.5
cat > "$folder/scan.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnx.helper as make
import onnxruntime
import tract
from onnx import numpy_helper

x = np.arange(12, dtype=np.float32).reshape(4, 3)


def value(name, shape):
    return make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def model(end):
    """Return rows of three numbers to their sums, and to the rows times their sums."""

    def removed(name, row):
        if end == "Squeeze":
            return make.make_node("Squeeze", [name, "zero"], [row])
        return make.make_node(end, [name], [row], axes=[0], keepdims=0)

    nodes = [
        make.make_node("ReduceSum", ["x", "one"], ["sum"], keepdims=0),
        make.make_node("Unsqueeze", ["sum", "one"], ["column"]),
        make.make_node("Mul", ["x", "column"], ["product"]),
        removed("sum", "row"),
        removed("product", "row_2"),
    ]
    numbers = [numpy_helper.from_array(np.array([n]), name) for n, name in enumerate(("zero", "one"))]
    body = make.make_graph(
        nodes, "body", [value("x", [1, 3])], [value("row", None), value("row_2", None)], numbers
    )
    outer = [
        make.make_node("Unsqueeze", ["rows", "one_outside"], ["batches"]),
        make.make_node("Scan", ["batches"], ["sums", "products"], body=body, num_scan_inputs=1),
    ]
    results = [value("sums", ["n"]), value("products", ["n", 3])]
    constants = [numpy_helper.from_array(np.array([1]), "one_outside")]
    graph = make.make_graph(outer, "g", [value("rows", ["n", 3])], results, constants)
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)


for end in ("Squeeze", "ReduceMean"):
    onnx.save(model(end), sys.argv[1])
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    right = session.run(None, {"rows": x})
    loaded = tract.onnx().load(sys.argv[1])
    loaded.set_input_fact(0, "4,3,f32")
    try:
        found = loaded.into_model().into_runnable().run([x])
    except Exception as error:
        print(end, "fails:", str(error).partition("\n")[0])
    else:
        same = all(np.array_equal(a, b.to_numpy()) for a, b in zip(right, found))
        print(end, "the same" if same else "different")
PYTHON
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" "$folder/scan.py" "$folder/model.onnx" 2> "$folder/log" \
    | tee "$folder/out"
grep -q '^Squeeze fails: ' "$folder/out"
grep -qx 'ReduceMean the same' "$folder/out"
