"""The training audio: one :class:`Clip` a file.

Clips come from the corpus folder's ``manifest.csv`` and from the Debian packages of
:mod:`~beetsplug.artifactnet.training.data.debian`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RELATED_FAMILIES = {
    "DITTO-2 (Adobe)": "DITTO (Adobe)",
    "MusiConGen": "MusicGen",
    "M2UGen (MusicGen decoder)": "MusicGen",
    "EnCodec": "MusicGen",
    "MuCodec GAN baseline": "MuCodec",
    "DAC (lac)": "DAC",
    "Musika AE": "Musika",
    "bigvgan-base": "bigvgan",
    "AudioLDM2": "AudioLDM",
    "MusicLDM": "AudioLDM",
    "Tango": "AudioLDM",
    "Mustango": "AudioLDM",
    "QA-MDT": "AudioLDM",
    "MSG-LD": "AudioLDM",
    "MGE-LDM": "Stable Audio",
}
"""Families that share a decoder with another, and are held out together with it."""

DEBIAN_PREFIX = "debian:"
"""Of the sources that are packages."""
DEMO_SOURCE = f"{DEBIAN_PREFIX}fretsonfire-songs-sectoid"
"""The demo clips come from here: the shipped model was neither trained nor calibrated on it."""


@dataclass(frozen=True)
class Clip:
    """One audio file of known origin."""

    path: Path
    label: int
    """1 generated or re-synthesised, 0 human-made."""
    family: str
    """Decoder family of an AI clip; empty for a real one."""
    generator: str
    source: str
    """Where it came from: a public repository, or ``debian:PACKAGE``."""
    track: str
    """Excerpts of one track share it."""
    sample_rate: int
    """Hz, of the file."""
    skip_s: float = 0.0
    """Seconds at the head that are not used."""
    is_module: bool = False
    """Whether it was rendered from a tracker module: looped samples on steady pitches, lines
    like a decoder's."""

    @property
    def is_full_band(self) -> bool:
        """Whether the file's own rate carries the whole audible band."""
        return self.sample_rate >= 44_100

    @property
    def is_whole_track(self) -> bool:
        """Whether it is a package's track, mostly of a game, and not an excerpt."""
        return self.source.startswith(DEBIAN_PREFIX)


def read_manifest(corpus: Path) -> list[Clip]:
    """Return the clips of a corpus folder, in the manifest's order."""
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return [_clip(corpus, row) for row in csv.DictReader(file)]


def _clip(corpus: Path, row: dict[str, str]) -> Clip:
    is_ai = row["label"] == "ai"
    family = RELATED_FAMILIES.get(row["family"], row["family"]) if is_ai else ""
    return Clip(
        path=corpus / row["file"],
        label=int(is_ai),
        family=family,
        generator=row["generator"] if is_ai else "",
        source=row["source"],
        track=row["track"],
        sample_rate=int(row["sample_rate"]),
        skip_s=float(row["skip_s"]),
    )


def clip_key(clip: Clip) -> str:
    """Return what a clip is known by, wherever its folder lies."""
    return f"{clip.source}|{clip.track}|{clip.path.name}"


def write_manifest(clips: Sequence[Clip], path: Path) -> None:
    """Write what a model was trained on: one row a clip, nothing of this machine."""
    columns = ["source", "track", "label", "family", "generator", "sample_rate"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for clip in clips:
            writer.writerow([getattr(clip, column) for column in columns])
