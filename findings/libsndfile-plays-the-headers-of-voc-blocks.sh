#!/usr/bin/env bash
# libsndfile plays the headers of a VOC file's blocks as samples: 88,200 samples become 88,242.
#
# soundfile 0.14.0 (libsndfile 1.2.2), PyAV 18.1.0 with the FFmpeg of its wheel, numpy 2.3.5.
#
# Expected: a Creative Voice file is a row of blocks with a kind and a size of their own, and two
# libraries that take it give the same samples. libsndfile writes one block, FFmpeg many.
# Seen: libsndfile takes all that follows the first block's header for samples, without an error.
# Each further header is a click of a sample or two, and what comes behind it is shifted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.3.5
cat > "$folder/voc.py" <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

path, tone = f"{sys.argv[1]}/a.voc", (9000 * np.sin(np.arange(88200) / 10)).astype(np.int16)
with av.open(path, "w", format="voc") as out:
    stream = out.add_stream("pcm_s16le", rate=44100)
    stream.codec_context.layout = "mono"
    for start in range(0, len(tone), 4096):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + 4096], "s16", "mono")
        frame.sample_rate, frame.pts = 44100, start
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
with av.open(path) as container:
    by_ffmpeg = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
by_libsndfile = soundfile.read(path, dtype="int16")[0]
n_same = int((by_libsndfile[: len(tone)] == tone).cumprod().sum())
print(f"{len(tone)} samples written; FFmpeg reads {len(by_ffmpeg)}, all the same: "
      f"{np.array_equal(by_ffmpeg, tone)}")
print(f"libsndfile reads {len(by_libsndfile)}, the first {n_same} the same")
PYTHON
"$folder/venv/bin/python" "$folder/voc.py" "$folder" | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
88200 samples written; FFmpeg reads 88200, all the same: True
libsndfile reads 88242, the first 4096 the same
SEEN
