"""What the heads learn from: one row for each song, track, clip or signal.

Rows come from the spectra of whole songs, of which the corpus holds excerpts alone. Others come
from the corpus's clips, the packages' tracks and hard negatives. Clips and tracks are cut,
recoded and reduced once; each file's share is kept in the work folder.
"""

from __future__ import annotations

import csv
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import FileError
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.scoring.segments import SegmentBatch, cut_segments, segment_starts
from beetsplug.artifactnet.scoring.voting import leveled, second_look
from beetsplug.artifactnet.training.choices import (
    HOP_LENGTH,
    HUMAN_CLIPS,
    N_FFT,
    N_SEGMENTS,
    NEITHER_CLASS,
    PACKAGE_TRACKS,
    PLATFORM_CLIPS,
    PLATFORMS,
    RESEARCH_CLIPS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.data.augment import library_chain
from beetsplug.artifactnet.training.data.corpus import (
    DEBIAN_PREFIX,
    RELATED_FAMILIES,
    Clip,
    clip_key,
)
from beetsplug.artifactnet.training.data.hard_negatives import hard_negatives
from beetsplug.artifactnet.training.model.network import ArtifactNetwork, Features
from beetsplug.artifactnet.training.signal.pooled import band, standing_lines

log = logging.getLogger(__name__)

HARD_PREFIX = "hard:"
"""Of the sources that are kinds of hard negatives."""
N_FRAMES = (SEGMENT_SAMPLES - N_FFT) // HOP_LENGTH + 1
"""Of a segment; all of them audible where none is silent."""
_MINIMUM_S = 3.3
"""Shorter clips are left out; a track is 20 s and longer."""
_SPECTRA_FIRST_BIN, _SPECTRA_STEP_DB = 371, 0.03
"""Of the array ``standing_7`` of the song spectra, after its recipe."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """Where one row comes from."""

    label: int
    """1 generated, 0 human-made or no music at all."""
    family: str
    source: str
    track: str
    n_segments: int
    """That the row averages."""
    kind: str
    """``spectra``, ``clip``, ``track``, ``module`` or ``hard``."""
    variant: int = 0
    """0 as it is, 1 through a library codec chain."""

    @property
    def is_hard(self) -> bool:
        """Whether it is a hard negative, which is no music of anyone."""
        return self.kind == "hard"

    @property
    def is_neither(self) -> bool:
        """Whether it belongs to neither class."""
        return self.source in NEITHER_CLASS


@dataclass(frozen=True)
class Rows:
    """Rows and their features, in one order."""

    rows: tuple[Row, ...]
    lines: NDArray[np.float16]
    """(n, n_bins), decibels: what the standing head weighs."""
    cnn: Floats
    """(n, n_features), of the CNN; NaN where only spectra are known."""
    empty: NDArray[np.floating]
    """(n,), share of empty bins."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,), 1 for AI."""
        return np.array([row.label for row in self.rows])

    @property
    def n_segments(self) -> NDArray[np.int64]:
        """(n,), of each row."""
        return np.array([row.n_segments for row in self.rows])

    @property
    def has_cnn(self) -> NDArray[np.bool_]:
        """(n,), whether the CNN's features are known."""
        return np.isfinite(self.cnn[:, 0])


def join(parts: Iterable[Rows]) -> Rows:
    """Return the rows of several sets, one after the other."""
    kept = [part for part in parts if part.rows]
    if not kept:
        none = np.empty((0, 0))
        return Rows((), none.astype(np.float16), none.astype(np.float32), np.empty(0))
    return Rows(
        tuple(row for part in kept for row in part.rows),
        np.concatenate([part.lines for part in kept]),
        np.concatenate([part.cnn for part in kept]),
        np.concatenate([part.empty for part in kept]),
    )


def chosen_clips(clips: Iterable[Clip]) -> list[Clip]:
    """Return the full-band clips and tracks that rows are made of, capped by source.

    Which ones of a source that has more is decided by their keys alone.
    """
    wide = sorted((c for c in clips if c.is_full_band), key=_group)
    kept = []
    for _, group in groupby(wide, key=_group):
        members = sorted(group, key=lambda c: zlib.crc32(clip_key(c).encode()))
        kept += members[: _cap(members[0])]
    return kept


def listed_clips(clips: Iterable[Clip], manifest: Path) -> list[Clip]:
    """Return the full-band clips that a training manifest lists, in its order of sources."""
    with manifest.open(newline="", encoding="utf-8") as file:
        listed = {(row["source"], row["track"]) for row in csv.DictReader(file)}
    wide = (clip for clip in clips if clip.is_full_band)
    return sorted((c for c in wide if (c.source, c.track) in listed), key=_group)


def _group(clip: Clip) -> tuple[str, str]:
    return clip.source, clip.family


def _cap(clip: Clip) -> int:
    if clip.is_whole_track:
        return PACKAGE_TRACKS
    if not clip.label:
        return HUMAN_CLIPS
    return PLATFORM_CLIPS if clip.family in PLATFORMS else RESEARCH_CLIPS


def clip_rows(clips: Sequence[Clip], network: ArtifactNetwork, work: Path) -> Rows:
    """Return the rows of these files: as a whole and, of a track, one segment by itself.

    Segments are chosen and prepared as the plugin does it before a song is called ``ai``.

    Args:
        clips: As :func:`chosen_clips` returns them; one that cannot be decoded is left out.
        network: Its UNet and CNN filled.
        work: Where what was reduced is kept, so that an interrupted run goes on.
    """
    folder = work / "songs"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for n_done, clip in enumerate(clips, 1):
        parts.append(_kept(clip, network, folder))
        if n_done % 200 == 0:
            log.info("reduced %d of %d files", n_done, len(clips))
    return join(parts)


def _kept(clip: Clip, network: ArtifactNetwork, folder: Path) -> Rows:
    path = folder / f"{zlib.crc32(clip_key(clip).encode()):08x}.npz"
    if not path.exists():
        try:
            batch = _segments(clip)
        except FileError as error:
            log.warning("left out %s: %s", clip.path.name, error)
            return join([])
        rows = join(_reduced(clip, batch, network)) if batch else join([])
        partial = path.with_suffix(".partial.npz")
        counts = [(row.n_segments, row.variant) for row in rows.rows]
        np.savez(partial, counts=counts, lines=rows.lines, cnn=rows.cnn, empty=rows.empty)
        partial.rename(path)
    with np.load(path) as kept:
        made = tuple(_row(clip, int(n), int(variant)) for n, variant in kept["counts"])
        return Rows(made, kept["lines"], kept["cnn"], kept["empty"])


def _segments(clip: Clip) -> SegmentBatch | None:
    """Return the segments of a file: one of a clip, of a track those that the plugin takes."""
    card = find_model("default").card
    with open_audio(clip.path, card.down_mix) as reader:
        n_samples = reader.n_samples(SAMPLE_RATE)
        if n_samples < _MINIMUM_S * SAMPLE_RATE:
            return None
        if clip.is_whole_track:
            (batch,) = cut_segments(reader, card, N_SEGMENTS)
            return batch
        last = max(0, n_samples - SEGMENT_SAMPLES)
        start = min(last, round(clip.skip_s * SAMPLE_RATE))
        samples = np.stack(list(reader.spans([start], SEGMENT_SAMPLES, SAMPLE_RATE)))
        return SegmentBatch((samples,), np.zeros(1))


def _reduced(clip: Clip, batch: SegmentBatch, network: ArtifactNetwork) -> Iterator[Rows]:
    """Yield the rows of a file as it is, and as it is after a library codec chain."""
    (plain,) = batch.samples
    rng = np.random.default_rng(zlib.crc32(clip_key(clip).encode()))
    recoded = library_chain(plain.ravel(), SAMPLE_RATE, rng).reshape(plain.shape)
    picked = int(rng.integers(len(plain)))
    card = find_model("default").card
    for variant, samples in enumerate((plain, recoded)):
        song = second_look(replace(batch, samples=(samples,)), card)
        n_segments = len(song.starts_s)
        if not n_segments:
            continue
        found = song_features(leveled(song, card).samples[0], network)
        heard = found.frames.numpy()
        if n_segments > 1 and heard[0]:
            yield _one(_row(clip, n_segments, variant), found, 0)
        # A segment that is silent in part is no example of what one holds.
        alone = 1 + picked % n_segments
        if heard[alone] == N_FRAMES:
            yield _one(_row(clip, 1, variant), found, alone)


@torch.no_grad()
def song_features(segments: Floats, network: ArtifactNetwork) -> Features:
    """Return what the network's branches read of segments (n, 176400)."""
    return network.features(torch.from_numpy(np.ascontiguousarray(segments)))


def _row(clip: Clip, n_segments: int, variant: int) -> Row:
    kind = "module" if clip.is_module else "track" if clip.is_whole_track else "clip"
    return Row(clip.label, clip.family, clip.source, clip.track, n_segments, kind, variant)


def _one(row: Row, found: Features, place: int) -> Rows:
    lines = found.lines[place : place + 1, band(N_FFT)].numpy().astype(np.float16)
    empty = found.empty[place : place + 1].numpy()
    return Rows((row,), lines, found.cnn[place : place + 1].numpy(), empty)


@torch.no_grad()
def fine_lines(means: Floats) -> NDArray[np.float16]:
    """Return the standing head's input (n, n_bins) of means (n, all bins)."""
    chosen = band(N_FFT)
    lines = standing_lines(torch.from_numpy(means.astype(np.float32)))[:, chosen]
    return lines.numpy().astype(np.float16)


def spectra_rows(folder: Path, n_features: int, n_bins: int) -> Rows:
    """Return a row of seven segments for each song of the song spectra.

    Args:
        folder: With ``songs.csv`` and ``spectra.npz``.
        n_features: Of the CNN, which never saw these songs.
        n_bins: Of the network's spectrum.
    """
    with (folder / "songs.csv").open(newline="", encoding="utf-8") as file:
        songs = list(csv.DictReader(file))
    with np.load(folder / "spectra.npz") as arrays:
        stored = arrays[f"standing_{N_SEGMENTS}"]
    means = np.zeros((len(songs), n_bins), np.float32)
    stored = stored[:, : n_bins - _SPECTRA_FIRST_BIN]
    last = _SPECTRA_FIRST_BIN + stored.shape[1]
    means[:, _SPECTRA_FIRST_BIN:last] = stored * np.float32(_SPECTRA_STEP_DB)
    rows = tuple(_spectra_row(place, song) for place, song in enumerate(songs))
    unknown = np.full((len(rows), n_features), np.nan, np.float32)
    return Rows(rows, fine_lines(means), unknown, np.zeros(len(rows)))


def _spectra_row(place: int, song: Mapping[str, str]) -> Row:
    is_ai = song["label"] == "ai"
    family = RELATED_FAMILIES.get(song["family"], song["family"]) if is_ai else ""
    # A source without a slash is a package.
    source = song["source"] if "/" in song["source"] else DEBIAN_PREFIX + song["source"]
    return Row(int(is_ai), family, source, f"spectra:{place}", N_SEGMENTS, "spectra")


def hard_rows(network: ArtifactNetwork) -> Rows:
    """Return a row of three segments for each hard negative that is not silent.

    Of those without evidence, too, which the plugin does not judge at all: they teach what
    tracker modules need.
    """
    parts = []
    card = find_model("default").card
    for signal in hard_negatives():
        samples = signal.make()
        starts = segment_starts(len(samples), SEGMENT_SAMPLES, 3)
        segments = np.stack([samples[s : s + SEGMENT_SAMPLES] for s in starts])
        batch = leveled(SegmentBatch((segments,), np.array(starts)), card)
        found = song_features(batch.samples[0], network)
        if found.frames[0]:
            row = Row(0, "", HARD_PREFIX + signal.kind, signal.name, len(starts), "hard")
            parts.append(_one(row, found, 0))
    return join(parts)
