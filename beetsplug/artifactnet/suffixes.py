"""Which files in a folder are taken for audio."""

from __future__ import annotations

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("aac", "ac3", "aif", "aifc", "aiff", "alac", "ape", "au", "caf", "dff", "dsf"),
        *("flac", "m4a", "m4b", "mka", "mp2", "mp3", "mp4", "mpc", "oga", "ogg", "opus", "ra"),
        *("spx", "tta", "w64", "wav", "webm", "wma", "wv"),
    )
)
"""In lower case. A file that is named by itself is tried whatever its name."""
