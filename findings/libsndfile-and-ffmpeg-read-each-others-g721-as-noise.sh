#!/usr/bin/env bash
# libsndfile and FFmpeg each read their own G.721 well, and the other's as hoarse noise.
#
# soundfile 0.14.0 (libsndfile 1.2.2), PyAV 18.1.0 with the FFmpeg of its wheel, numpy 2.3.5.
#
# Expected: G.721 is an ITU standard of fixed tables, AU has had it as encoding 23 for decades, and
# both libraries take it. A file that both open has the same samples, so either may read it.
# Seen: a tone has 45 dB of signal to noise where the library that wrote it reads it, and under
# 20 dB by the other one, both ways and without an error. Where a fallback decoder takes over the
# music is another.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.3.5
cat > "$folder/g721.py" <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

RATE = 8000
N = 2 * RATE
tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(N) / RATE) * np.hanning(N)).astype(np.float32)


def write_by_ffmpeg(path):
    with av.open(path, "w", format="au") as container:
        stream = container.add_stream("g726le", rate=RATE, options={"code_size": "4"})
        stream.layout, stream.bit_rate = "mono", 32000
        whole = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16)[None], "s16", "mono")
        whole.sample_rate = RATE
        cutter = av.AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=160)
        for frame in [*cutter.resample(whole), *cutter.resample(None), None]:
            container.mux(stream.encode(frame))


def read_by_ffmpeg(path):
    with av.open(path) as container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    return np.concatenate(frames) / 32768


def ratio(samples):
    """Return the best ratio of tone to everything else, decibels, over small shifts and gains."""
    found = []
    for shift in range(-3, 4):
        moved = np.roll(samples[:N], shift)
        rest = tone - moved * (moved @ tone) / (moved @ moved)
        found.append(10 * np.log10((tone @ tone) / (rest @ rest)))
    return max(found)


ours, theirs = f"{sys.argv[1]}/libsndfile.au", f"{sys.argv[1]}/ffmpeg.au"
soundfile.write(ours, tone, RATE, format="AU", subtype="G721_32")
write_by_ffmpeg(theirs)
for writer, path in (("libsndfile", ours), ("FFmpeg", theirs)):
    print(f"written by {writer}, read by libsndfile: {ratio(soundfile.read(path)[0]):.0f} dB")
    print(f"written by {writer}, read by FFmpeg: {ratio(read_by_ffmpeg(path)):.0f} dB")
PYTHON
"$folder/venv/bin/python" "$folder/g721.py" "$folder" | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
written by libsndfile, read by libsndfile: 45 dB
written by libsndfile, read by FFmpeg: 15 dB
written by FFmpeg, read by libsndfile: 15 dB
written by FFmpeg, read by FFmpeg: 46 dB
SEEN
