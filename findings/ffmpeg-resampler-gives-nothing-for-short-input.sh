#!/usr/bin/env bash
# FFmpeg's resampler gives nothing at all for input shorter than half its filter.
#
# PyAV 18.1.0 with the FFmpeg of its wheel, numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: n samples at 16 kHz become about n * 44100 / 16000 when the graph is flushed. A longer
# filter makes the edges softer, not the output shorter.
# Seen: with aresample's filter_size=256, 100 samples become 0 and 200 become fewer than they
# should. With the default of 32 taps 10 samples become 0. No error and no warning; end of stream.
# Padding with zeros and cutting afterwards helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.3.5
cat > "$folder/short.py" <<'PYTHON'
import av
import numpy as np
from av.filter import Graph


def resampled(n, taps):
    """Return how many samples n samples at 16 kHz become at 44.1 kHz."""
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=16000, format="flt", layout="mono", time_base="1/16000"
    )
    resampler = graph.add("aresample", f"44100:filter_size={taps}")
    sink = graph.add("abuffersink")
    source.link_to(resampler)
    resampler.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ones((1, n), np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts = 16000, 0
    graph.push(frame)
    graph.push(None)
    total = 0
    while True:
        try:
            total += graph.pull().samples
        except (av.BlockingIOError, av.EOFError):
            return total


for taps, n in ((32, 10), (32, 100), (256, 100), (256, 200), (256, 1000)):
    print(f"{taps} taps, {n} samples: {resampled(n, taps)} of {n * 44100 / 16000:.0f}")
PYTHON
"$folder/venv/bin/python" "$folder/short.py" | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
32 taps, 10 samples: 0 of 28
32 taps, 100 samples: 276 of 276
256 taps, 100 samples: 0 of 276
256 taps, 200 samples: 475 of 551
256 taps, 1000 samples: 2757 of 2756
SEEN
