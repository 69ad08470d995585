#!/usr/bin/env bash
# An empty file named "._" in the current folder keeps libsndfile from reading MP3 in memory.
#
# soundfile 0.14.0 (libsndfile 1.2.2), Linux x86-64, Python 3.11.
#
# Expected: an MP3 that lies in a BytesIO has no name, so no file plays a part in reading it.
# Seen: libsndfile looks for a resource fork beside every MP3, "._" before the file's name. With
# no name that is "._" itself, in the current folder. If such a file is there it is taken for
# half of the MP3, and the read fails; with another format, or without the file, it works.
# macOS leaves files of such names on network drives and USB sticks.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.3.5
cd "$folder"
cat > read.py <<'PYTHON'
import io

import numpy as np
import soundfile

print("libsndfile", soundfile.__libsndfile_version__)
for kind in ("MP3", "OGG"):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(44100), 44100, format=kind)
    file.seek(0)
    try:
        print(kind, "samples:", len(soundfile.read(file)[0]))
    except soundfile.LibsndfileError as error:
        print(kind, "fails:", error)
PYTHON
venv/bin/python read.py | tee without
touch ._
venv/bin/python read.py | tee with
grep -q '^MP3 samples: 44100' without
grep -q '^OGG samples: 44100' with
grep -q '^MP3 fails: ' with
