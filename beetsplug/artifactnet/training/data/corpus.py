"""The training audio: one :class:`Clip` a file, and who may stand on which side.

Clips come from the corpus folder's ``manifest.csv`` and from the Debian packages of
:mod:`~beetsplug.artifactnet.training.data.debian`. AI clips are held out by family and real
ones by source. A source on the test side gives nothing to the training side, so that no
page, uploader or album stands on both.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from beetsplug.artifactnet.training.choices import CALIBRATION_PARTS

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

FOLD_FAMILIES = (
    ("Suno", "AudioLDM", "hifigan", "Riffusion", "UNAGAN", "Msanii"),
    ("ACE-Step", "DAC", "Stable Audio", "Noise2Music (Google)", "UniAudio", "univnet"),
    ("YuE", "MuCodec", "DITTO (Adobe)", "SemantiCodec", "MSDM", "sc-wavernn"),
    ("MusicGen", "MusicHiFi (Adobe)", "Musika", "bigvgan", "HiFi-Codec"),
)
"""Families of each fold; one that is in none of them is dealt to the fourth."""

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
    is_added: bool = False
    """Whether it is in every training and nothing is judged by it, so that the test sides stay
    the same from version to version."""
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

    @property
    def is_full_band_excerpt(self) -> bool:
        """Whether it is a full-band clip of no package: most like a library's music."""
        return self.is_full_band and not self.is_whole_track


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


@dataclass(frozen=True)
class Split:
    """Clips to train on and clips to judge by; no family, source or track in both."""

    train: tuple[Clip, ...]
    test: tuple[Clip, ...]


def fold_of_family(family: str) -> int:
    """Return the fold in which an AI family is held out."""
    for fold, families in enumerate(FOLD_FAMILIES):
        if family in families:
            return fold
    return len(FOLD_FAMILIES) - 1


def deal_sources(clips: Iterable[Clip], n_folds: int, seed: int = 0) -> dict[str, int]:
    """Deal the real sources into folds with about as many tracks each."""
    tracks: dict[str, set[str]] = {}
    for clip in clips:
        if not clip.label:
            tracks.setdefault(clip.source, set()).add(clip.track)
    names = sorted(tracks)
    random.Random(seed).shuffle(names)
    sizes = [0] * n_folds
    dealt = {}
    # Packages of game music and sources of the corpus are balanced one by one.
    for kind in (True, False):
        for name in sorted(
            (n for n in names if n.startswith(DEBIAN_PREFIX) is kind),
            key=lambda n: -len(tracks[n]),
        ):
            fold = sizes.index(min(sizes))
            dealt[name] = fold
            sizes[fold] += len(tracks[name])
    return dealt


def split_folds(clips: Sequence[Clip]) -> list[Split]:
    """Return the folds of the leave-families-and-sources-out judgement.

    Added clips are in no fold's test side.
    """
    n_folds = len(FOLD_FAMILIES)
    dealt = [clip for clip in clips if not clip.is_added]
    source_fold = deal_sources(dealt, n_folds)
    splits = []
    for fold in range(n_folds):
        test = [
            clip
            for clip in dealt
            if (fold_of_family(clip.family) if clip.label else source_fold[clip.source]) == fold
        ]
        splits.append(Split(without(clips, test), tuple(test)))
    return splits


def without(clips: Iterable[Clip], held_out: Sequence[Clip]) -> tuple[Clip, ...]:
    """Return the clips that share no family, source or track with the held-out ones."""
    of_ai = {clip.family for clip in held_out if clip.label}
    sources = {clip.source for clip in held_out}
    tracks = {clip.track for clip in held_out}
    return tuple(
        clip
        for clip in clips
        if clip.family not in of_ai and clip.source not in sources and clip.track not in tracks
    )


def without_modules(clips: Iterable[Clip]) -> list[Clip]:
    """Return the clips that were not rendered from tracker modules."""
    return [clip for clip in clips if not clip.is_module]


def decoder_music(clips: Iterable[Clip]) -> list[Clip]:
    """Return the real full-band clips that a decoder may learn from.

    None of the demo's source, and none that was added, which would make other decoders of
    all.
    """
    return [
        clip
        for clip in clips
        if not (clip.label or clip.is_added)
        and clip.is_full_band
        and clip.source != DEMO_SOURCE
    ]


def calibration_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Return the real clips of the sources that the shipped model is not trained on.

    A third of the sources: those that hold no AI clips, which training needs, and no added
    ones.
    """
    kept = {clip.source for clip in clips if clip.label or clip.is_added}
    pure = [clip for clip in clips if clip.source not in kept]
    part = deal_sources(pure, CALIBRATION_PARTS, seed=1)
    return [clip for clip in pure if part[clip.source] == 0]
