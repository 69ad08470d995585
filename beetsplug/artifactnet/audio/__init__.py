"""From a file to mono samples, whole or only the wanted spans.

``open_audio`` tries libsndfile first, which seeks exactly, and PyAV for whatever libsndfile
refuses, stops in, or knows no length of; PyAV decodes from the start. Both yield mono float32
at the file's own rate. :class:`AudioReader` resamples the wanted spans alone. It gives the
samples that a resampled decode of the whole file would have there.
"""

from __future__ import annotations

from beetsplug.artifactnet.audio.down_mix import Mix
from beetsplug.artifactnet.audio.reader import (
    AudioReader,
    Waveform,
    open_audio,
    read_waveform,
)

__all__ = [
    "AudioReader",
    "Mix",
    "Waveform",
    "open_audio",
    "read_waveform",
]
