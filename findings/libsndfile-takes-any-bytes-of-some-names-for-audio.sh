#!/usr/bin/env bash
# libsndfile opens a text as telephone audio if the file is named .au, .snd, .gsm or .vox.
#
# soundfile 0.14.0 (libsndfile 1.2.2), numpy 2.3.5, Linux x86-64, Python 3.11.
#
# Expected: a format is told by a file's first bytes. AU has a magic number, and what lacks it is
# refused, as it is under any other name.
# Seen: under these names, and no others of nine, what has no known header is taken for raw audio at
# 8 kHz (u-law, GSM 6.10 or Dialogic ADPCM), without an error. A picture or a log file of such a
# name has a length, a sample rate and, for whoever listens, a score.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.3.5
cat > "$folder/names.py" <<'PYTHON'
import sys
from pathlib import Path

import soundfile

for suffix in ("au", "snd", "gsm", "vox", "wav", "aiff", "flac", "mp3", "txt"):
    path = Path(sys.argv[1], f"text.{suffix}")
    path.write_text("This is a text. " * 1000)
    try:
        with soundfile.SoundFile(path) as file:
            print(f".{suffix}: {file.format} {file.subtype}, {file.samplerate} Hz, {len(file)} samples")
    except soundfile.LibsndfileError:
        print(f".{suffix}: refused")
PYTHON
"$folder/venv/bin/python" "$folder/names.py" "$folder" | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
.au: RAW ULAW, 8000 Hz, 16000 samples
.snd: RAW ULAW, 8000 Hz, 16000 samples
.gsm: RAW GSM610, 8000 Hz, 77600 samples
.vox: RAW VOX_ADPCM, 8000 Hz, 32000 samples
.wav: refused
.aiff: refused
.flac: refused
.mp3: refused
.txt: refused
SEEN
