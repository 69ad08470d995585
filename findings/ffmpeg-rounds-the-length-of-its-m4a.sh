#!/usr/bin/env bash
# The length of an M4A file that FFmpeg wrote is not where its last packet ends.
#
# PyAV 18.1.0 with the FFmpeg of its wheel, numpy 2.3.5.
#
# Expected: the time base of an AAC stream of 44.1 kHz is 1/44100, so stream.duration is a number of
# samples, and the last packet, whose duration is cut to fit, ends there.
# Seen: the edit list of an MP4 file counts in the units of its movie header, a millisecond by
# default. A length that is no whole number of them is rounded on the way, up to 44 samples either
# way. Who compares both to find a file cut short takes nearly every such file for one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.3.5
cat > "$folder/m4a.py" <<'PYTHON'
import sys

import av
import numpy as np

path = f"{sys.argv[1]}/a.m4a"
for n in (44100, 44101, 44117, 44140):
    tone = np.sin(np.arange(n, dtype=np.float32) / 10)[None] / 2
    with av.open(path, "w", format="ipod") as out:
        stream = out.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
        frame.sample_rate, frame.pts = 44100, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(path) as container:
        stream = container.streams.audio[0]
        end = max(p.pts + p.duration for p in container.demux(stream) if p.size)
        print(f"{n} samples: stream.duration {stream.duration}, end of the last packet {end}")
PYTHON
"$folder/venv/bin/python" "$folder/m4a.py" "$folder" | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
44100 samples: stream.duration 44100, end of the last packet 44100
44101 samples: stream.duration 44100, end of the last packet 44101
44117 samples: stream.duration 44100, end of the last packet 44117
44140 samples: stream.duration 44144, end of the last packet 44140
SEEN
