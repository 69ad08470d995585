"""Short clips of tracks, for pages that play them, and what a page plays without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.audio.down_mix import Samples
from beetsplug.artifactnet.audio.encode import Encoding, encoded
from beetsplug.artifactnet.audio.reader import open_audio
from beetsplug.artifactnet.errors import FileError

CLIP_S = 10.0
"""Length of a clip, seconds."""
CLIP_TYPE = "audio/ogg"
"""Its MIME type."""
CLIP_RATE = 48_000
"""Its sample rate, Hz."""
_OPUS = Encoding("opus", ".opus", "libopus", "flt", 64_000)
_PLAYED_CODECS = {"AAC", "FLAC", "MP3", "OGG", "Opus", "WAVE"}
"""Formats that browsers play, by beets' names; not ALAC, AIFF, WMA, WavPack and others."""


@dataclass(frozen=True)
class Place:
    """Where in a file a clip is cut out."""

    path: Path
    start_s: float


@dataclass(frozen=True)
class Clip:
    """A piece of a track, encoded."""

    data: bytes
    """Ogg with Opus, mono."""
    start_s: float
    """Where in the track it begins, seconds."""


def cut_clip(place: Place) -> Clip | str:
    """Return ten seconds of a track, or why there are none.

    A place near the end of a track gives its last ten seconds.

    Raises:
        OSError, MemoryError: The machine is in trouble.
    """
    try:
        samples, start_s = excerpt(place.path, place.start_s)
        return Clip(encoded(samples, CLIP_RATE, _OPUS), start_s)
    except FileError as error:
        return str(error)


def excerpt(path: Path, start_s: float) -> tuple[Samples, float]:
    """Return ten seconds of a track, and where they begin, seconds.

    Args:
        path: Its file.
        start_s: Where they are to begin; before the start they begin there, and near the
            end they are the last ones.

    Returns:
        Samples, float32 (n_samples, 1) at :data:`CLIP_RATE`, and their place.

    Raises:
        FileError: The file cannot be decoded there.
        OSError, MemoryError: The machine is in trouble.
    """
    with open_audio(path) as reader:
        n_samples = reader.n_samples(CLIP_RATE)
        length = min(n_samples, round(CLIP_S * CLIP_RATE))
        start = max(0, min(round(start_s * CLIP_RATE), n_samples - length))
        samples = next(reader.spans([start], length, CLIP_RATE))
    return samples[:, None], start / CLIP_RATE


def is_played(path: Path, codec: str) -> bool:
    """Tell whether browsers play a file, and at the place that they are asked for.

    They guess where a second of an MP3 lies whose first frame does not tell its length.

    Args:
        path: The file.
        codec: beets' name of its format; empty where it is unknown.
    """
    if codec == "MP3":
        return _tells_length(path)
    return codec in _PLAYED_CODECS


def _tells_length(path: Path) -> bool:
    from mutagen.mp3 import MP3, BitrateMode

    try:
        info: Any = MP3(path).info  # type: ignore[no-untyped-call]
        return bool(info.bitrate_mode != BitrateMode.UNKNOWN)
    except Exception:  # noqa: BLE001 - mutagen raises much; such a file gets a clip
        return False
