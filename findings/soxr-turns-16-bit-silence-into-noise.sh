#!/usr/bin/env bash
# soxr gives noise for silence where samples are 16-bit numbers.
#
# soxr 1.1.0 (python-soxr), numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: a filter is linear, so zeros at 44.1 kHz are zeros at 48 kHz, in whatever type; and
# silence can be told by looking for samples other than zero.
# Seen: with int16 a second of zeros comes back as -1, 0 and 1: nearly one sample in four is
# silence no more. With float32 it stays zeros, with int32 too. The same noise comes each time.
# libsoxr dithers what it rounds to 16 bits; the Python function has no argument to turn it off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soxr==1.1.0 numpy==2.3.5
cat > "$folder/silence.py" <<'PYTHON'
import numpy as np
import soxr

for kind in (np.int16, np.int32, np.float32):
    first, second = (soxr.resample(np.zeros(44100, kind), 44100, 48000) for _ in range(2))
    values = sorted({int(value) for value in first})
    assert np.array_equal(first, second)
    print(f"{kind.__name__}: {values}, {np.mean(first != 0):.1f} of them not zero")
PYTHON
"$folder/venv/bin/python" "$folder/silence.py" | tee "$folder/out"
diff "$folder/out" - <<'EOF2'
int16: [-1, 0, 1], 0.2 of them not zero
int32: [0], 0.0 of them not zero
float32: [0], 0.0 of them not zero
EOF2
