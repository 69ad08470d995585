"""The transport test: does a score survive the codecs that a library is kept in?

A track is decoded once. The same samples are then written as float WAV, which is the reference,
as 16-bit WAV, and through lossy codecs. Each of these files goes through the whole pipeline.
"""

from __future__ import annotations

from beetsplug.artifactnet.audio.encode import Encoding, encode
from beetsplug.artifactnet.benchmark.transport.decode import decode
from beetsplug.artifactnet.benchmark.transport.encodings import ENCODINGS, GATED, REFERENCE
from beetsplug.artifactnet.benchmark.transport.report import (
    transport_lines,
    transport_sections,
)
from beetsplug.artifactnet.benchmark.transport.run import transport_tracks
from beetsplug.artifactnet.benchmark.transport.shifts import Transported, summarise

__all__ = [
    "ENCODINGS",
    "GATED",
    "REFERENCE",
    "Encoding",
    "Transported",
    "decode",
    "encode",
    "summarise",
    "transport_lines",
    "transport_sections",
    "transport_tracks",
]
