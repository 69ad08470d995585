#!/usr/bin/env bash
# FFmpeg loses the end of ALAC in CAF: 44,100 samples written by libsndfile become 43,144.
#
# soundfile 0.14.0 (libsndfile 1.2.2), PyAV 18.1.0 with the FFmpeg of its wheel, numpy 2.3.5.
#
# Expected: a lossless file has as many samples by either decoder. The header says 44,100, and says
# by how many its last packet falls short of 4,096.
# Seen: where the last packet is nearly full, FFmpeg takes the samples that it falls short off the
# decoded end once more. A last packet that is half empty keeps them. A length that is a multiple
# of 4,096 ends in an error in place of its last packet. libsndfile reads all of each.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.3.5
cat > "$folder/alac.py" <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

path = f"{sys.argv[1]}/alac.caf"
for n in (44100, 45000, 100000, 40960):
    soundfile.write(path, np.sin(np.arange(n) / 10) / 2, 44100, format="CAF", subtype="ALAC_16")
    found, words = 0, ""
    with av.open(path) as container:
        try:
            for frame in container.decode(audio=0):
                found += frame.samples
        except av.error.InvalidDataError:
            words = ", then an error"
    print(f"{n} samples, the last packet short of {-n % 4096}: libsndfile reads "
          f"{len(soundfile.read(path)[0])}, FFmpeg {found}{words}")
PYTHON
"$folder/venv/bin/python" "$folder/alac.py" "$folder" | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
44100 samples, the last packet short of 956: libsndfile reads 44100, FFmpeg 43144
45000 samples, the last packet short of 56: libsndfile reads 45000, FFmpeg 44944
100000 samples, the last packet short of 2400: libsndfile reads 100000, FFmpeg 100000
40960 samples, the last packet short of 0: libsndfile reads 40960, FFmpeg 36864, then an error
SEEN
