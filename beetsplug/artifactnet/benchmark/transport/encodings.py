"""The encodings that a score should survive."""

from __future__ import annotations

from beetsplug.artifactnet.audio.encode import Encoding

REFERENCE = Encoding("float WAV", ".wav", "pcm_f32le", "flt")
ENCODINGS = (
    REFERENCE,
    Encoding("PCM16 WAV", ".wav", "pcm_s16le", "s16"),
    *(
        Encoding(f"{name} {kbit_s}", suffix, codec, sample_format, kbit_s * 1000)
        for kbit_s in (128, 64)
        for name, suffix, codec, sample_format in (
            ("MP3", ".mp3", "libmp3lame", "fltp"),
            ("AAC", ".m4a", "aac", "fltp"),
            ("Opus", ".opus", "libopus", "flt"),
        )
    ),
)
GATED = tuple(e.name for e in ENCODINGS if e.bit_rate is None or e.bit_rate >= 128_000)
"""Encodings that the gates are held against, the reference included."""
