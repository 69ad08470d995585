"""What the song network's heads learn from: one row for each song, track, clip or signal.

Rows come from the spectra of whole songs, of which the corpus holds excerpts alone, from the
corpus's clips and the packages' tracks, and from hard negatives. Clips and tracks are cut,
recoded and reduced once; each file's share is kept in the work folder.
"""

from __future__ import annotations

import csv
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import AudioError
from beetsplug.artifactnet.scoring.segments import segment_starts
from beetsplug.artifactnet.training.choices import (
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
from beetsplug.artifactnet.training.data.corpus import DEBIAN_PREFIX, RELATED_FAMILIES, Clip
from beetsplug.artifactnet.training.data.dataset import clip_key
from beetsplug.artifactnet.training.data.hard_negatives import hard_negatives
from beetsplug.artifactnet.training.model.song_network import SongNetwork
from beetsplug.artifactnet.training.signal.features import band
from beetsplug.artifactnet.training.signal.pooled import (
    audible_frames,
    mean_frames,
    standing,
    standing_lines,
)

log = logging.getLogger(__name__)

HARD_PREFIX = "hard:"
"""Of the sources that are kinds of hard negatives."""
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
class SongRows:
    """Rows and their features, in one order."""

    rows: tuple[Row, ...]
    lines: NDArray[np.float16]
    """(n, n_bins), decibels: what the standing head weighs."""
    cnn: Floats
    """(n, n_features), of the CNN; NaN where only spectra are known."""

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

    def where(self, chosen: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the places of the chosen rows."""
        return np.flatnonzero(np.asarray(chosen))


def join(parts: Iterable[SongRows]) -> SongRows:
    """Return the rows of several sets, one after the other."""
    kept = [part for part in parts if part.rows]
    return SongRows(
        tuple(row for part in kept for row in part.rows),
        np.concatenate([part.lines for part in kept]),
        np.concatenate([part.cnn for part in kept]),
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


@dataclass(frozen=True)
class _Reduced:
    """What is kept of one file."""

    standing: NDArray[np.float16]
    """(n_variants, n_segments, n_bins), mean over audible frames."""
    frames: NDArray[np.int64]
    """(n_variants, n_segments), audible ones."""
    picked: int
    """The segment that stands for itself, and whose CNN features these are."""
    cnn: Floats
    """(n_features,), of the plain variant."""


def clip_rows(clips: Sequence[Clip], network: SongNetwork, work: Path) -> SongRows:
    """Return the rows of these files: as a whole and, of a track, one segment by itself.

    Args:
        clips: As :func:`chosen_clips` returns them; one that cannot be decoded is left out.
        network: Its UNet and CNN filled.
        work: Where what was reduced is kept, so that an interrupted run goes on.
    """
    folder = work / "songs"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for n_done, clip in enumerate(clips, 1):
        reduced = _kept(clip, network, folder)
        parts += list(_rows_of(clip, reduced)) if reduced else []
        if n_done % 200 == 0:
            log.info("reduced %d of %d files", n_done, len(clips))
    return join(parts)


def _kept(clip: Clip, network: SongNetwork, folder: Path) -> _Reduced | None:
    path = folder / f"{zlib.crc32(clip_key(clip).encode()):08x}.npz"
    if not path.exists():
        try:
            segments = _segments(clip)
        except AudioError as error:
            log.warning("left out %s: %s", clip.path.name, error)
            return None
        if segments is None:
            return None
        reduced = _reduce(clip, segments, network)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **vars(reduced))
        partial.rename(path)
    with np.load(path) as kept:
        return _Reduced(kept["standing"], kept["frames"], int(kept["picked"]), kept["cnn"])


def _segments(clip: Clip) -> Floats | None:
    """Return the segments (n, 176400) of a file, one of a clip and seven of a track."""
    with open_audio(clip.path) as reader:
        n_samples = reader.n_samples(SAMPLE_RATE)
        if n_samples < _MINIMUM_S * SAMPLE_RATE:
            return None
        if clip.is_whole_track:
            starts = segment_starts(n_samples, SEGMENT_SAMPLES, N_SEGMENTS)
        else:
            last = max(0, n_samples - SEGMENT_SAMPLES)
            starts = [min(last, round(clip.skip_s * SAMPLE_RATE))]
        return np.stack(list(reader.spans(starts, SEGMENT_SAMPLES, SAMPLE_RATE)))


@torch.no_grad()
def _reduce(clip: Clip, segments: Floats, network: SongNetwork) -> _Reduced:
    rng = np.random.default_rng(zlib.crc32(clip_key(clip).encode()))
    recoded = library_chain(segments.ravel(), SAMPLE_RATE, rng).reshape(segments.shape)
    reduced = [standing_means(part, network) for part in (segments, recoded)]
    picked = int(rng.integers(len(segments)))
    magnitude = network.magnitude(torch.from_numpy(segments[picked : picked + 1]))
    return _Reduced(
        np.stack([means for means, _ in reduced]).astype(np.float16),
        np.stack([frames for _, frames in reduced]),
        picked,
        network.cnn.features(network.channels(magnitude))[0].numpy(),
    )


@torch.no_grad()
def standing_means(segments: Floats, network: SongNetwork) -> tuple[Floats, NDArray[np.int64]]:
    """Return what stands out of each segment (n, n_bins), and its audible frames (n,)."""
    audio, config = torch.from_numpy(segments), network.config
    levels = network.levels(network.magnitude(audio))
    frames = audible_frames(audio, config.stages.n_fft, config.hop_length)
    return mean_frames(standing(levels), frames)[1:].numpy(), frames.sum(1).long().numpy()


def _rows_of(clip: Clip, reduced: _Reduced) -> Iterator[SongRows]:
    n_segments = len(reduced.frames[0])
    for variant, (means, frames) in enumerate(
        zip(reduced.standing, reduced.frames, strict=True)
    ):
        if n_segments > 1 and frames.sum():
            together = np.average(means.astype(np.float32), axis=0, weights=frames)
            yield _one(_row(clip, n_segments, variant), together, reduced.cnn)
        # A segment that is silent in part is no example of what one holds.
        if frames[reduced.picked] == reduced.frames.max():
            alone = means[reduced.picked].astype(np.float32)
            yield _one(_row(clip, 1, variant), alone, reduced.cnn)


def _row(clip: Clip, n_segments: int, variant: int) -> Row:
    kind = "module" if clip.is_module else "track" if clip.is_whole_track else "clip"
    return Row(clip.label, clip.family, clip.source, clip.track, n_segments, kind, variant)


def _one(row: Row, means: Floats, cnn: Floats) -> SongRows:
    return SongRows((row,), fine_lines(means[None]), cnn[None])


@torch.no_grad()
def fine_lines(means: Floats) -> NDArray[np.float16]:
    """Return the standing head's input (n, n_bins) of means (n, all bins)."""
    chosen = band(N_FFT)
    lines = standing_lines(torch.from_numpy(means.astype(np.float32)))[:, chosen]
    return lines.numpy().astype(np.float16)


def spectra_rows(folder: Path, n_features: int, n_bins: int) -> SongRows:
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
    return SongRows(
        rows, fine_lines(means), np.full((len(rows), n_features), np.nan, np.float32)
    )


def _spectra_row(place: int, song: Mapping[str, str]) -> Row:
    is_ai = song["label"] == "ai"
    family = RELATED_FAMILIES.get(song["family"], song["family"]) if is_ai else ""
    # A source without a slash is a package.
    source = song["source"] if "/" in song["source"] else DEBIAN_PREFIX + song["source"]
    return Row(int(is_ai), family, source, f"spectra:{place}", N_SEGMENTS, "spectra")


def hard_rows(network: SongNetwork, n_features: int) -> SongRows:
    """Return a row of three segments for each hard negative that is not silent."""
    parts = []
    for signal in hard_negatives():
        samples = signal.make()
        starts = segment_starts(len(samples), SEGMENT_SAMPLES, 3)
        segments = np.stack([samples[s : s + SEGMENT_SAMPLES] for s in starts])
        means, frames = standing_means(segments, network)
        if frames.sum():
            together = np.average(means, axis=0, weights=frames)
            row = Row(0, "", HARD_PREFIX + signal.kind, signal.name, len(starts), "hard")
            parts.append(_one(row, together, np.full(n_features, np.nan, np.float32)))
    return join(parts)
