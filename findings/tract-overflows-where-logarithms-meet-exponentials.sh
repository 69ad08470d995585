#!/usr/bin/env bash
# tract's Softplus of 100 is infinite, and so are its log-sum-exp and log-softmax of 1000.
#
# tract 0.23.9, onnxruntime 1.32.0, onnx 1.20.0, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: softplus(100) = 100. These operators exist because ln(exp(x)) as written overflows
# at 89 in float32; ONNX's reference and onnxruntime take the maximum out first.
# Seen: tract computes them as written. A logit of 100 from a confident classifier becomes inf.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tract==0.23.9 onnxruntime==1.32.0 onnx==1.20.0 numpy==2.3.5
cat > "$folder/overflow.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnx.helper as make
import onnxruntime
import tract

for operator, x, attributes, shape in (
    ("Softplus", [[-100, 80, 100]], {}, [1, 3]),
    ("ReduceLogSumExp", [[80, 80]], {"axes": [1]}, [1, 1]),
    ("ReduceLogSumExp", [[1000, 1000]], {"axes": [1]}, [1, 1]),
    ("LogSoftmax", [[50, 0]], {"axis": 1}, [1, 2]),
    ("LogSoftmax", [[1000, 0]], {"axis": 1}, [1, 2]),
):
    samples = np.array(x, np.float32)
    taken = [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, samples.shape)]
    given = [make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)]
    graph = make.make_graph([make.make_node(operator, ["x"], ["y"], **attributes)], "g", taken, given)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, sys.argv[1])
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    loaded = tract.onnx().load(sys.argv[1])
    loaded.set_input_fact(0, ",".join(map(str, samples.shape)) + ",f32")
    found = loaded.into_model().into_runnable().run([samples])[0].to_numpy()
    right = session.run(None, {"x": samples})[0]
    print(f"{operator} of {x}: onnxruntime {right.round(2).tolist()}, tract {found.round(2).tolist()}")
PYTHON
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" "$folder/overflow.py" "$folder/model.onnx" \
    | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
Softplus of [[-100, 80, 100]]: onnxruntime [[0.0, 80.0, 100.0]], tract [[0.0, 80.0, inf]]
ReduceLogSumExp of [[80, 80]]: onnxruntime [[80.69000244140625]], tract [[80.69000244140625]]
ReduceLogSumExp of [[1000, 1000]]: onnxruntime [[1000.6900024414062]], tract [[inf]]
LogSoftmax of [[50, 0]]: onnxruntime [[0.0, -50.0]], tract [[0.0, -50.0]]
LogSoftmax of [[1000, 0]]: onnxruntime [[0.0, -1000.0]], tract [[0.0, -inf]]
SEEN
