#!/usr/bin/env bash
# Importing onnxruntime and opening a session leaves an id and a database below the home.
#
# onnxruntime 1.32.0, Linux x86-64, Python 3.11.
#
# Expected: a library that runs models writes nothing unless it is asked to; its telemetry has
# been a matter of Windows.
# Seen: since 1.29 the wheels for Linux and macOS have it too. ORT_DISABLE_TELEMETRY=1 before the
# import prevents it; onnxruntime.disable_telemetry_events() after the import comes too late for
# the files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.20.0 numpy==2.3.5
cat > "$folder/session.py" <<'PYTHON'
import sys

import onnx
import onnx.helper as make
import onnxruntime

if "late" in sys.argv:
    onnxruntime.disable_telemetry_events()
value = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
graph = make.make_graph([make.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
PYTHON
run() {  # run HOME ARGUMENT...
    mkdir "$folder/$1"
    env -u XDG_CACHE_HOME HOME="$folder/$1" "${@:2}"
    (cd "$folder/$1" && find . -type f | sort)
}
python=$folder/venv/bin/python
echo "as it is:"; run plain "$python" "$folder/session.py" | tee "$folder/plain.txt"
echo "disabled after the import:"; run late "$python" "$folder/session.py" late | tee "$folder/late.txt"
echo "ORT_DISABLE_TELEMETRY=1:"
run off env ORT_DISABLE_TELEMETRY=1 "$python" "$folder/session.py" | tee "$folder/off.txt"
grep -q 'onnxruntime/deviceid' "$folder/plain.txt"
grep -q 'onnxruntime/deviceid' "$folder/late.txt"
test ! -s "$folder/off.txt"
