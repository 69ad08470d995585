"""Rows of songs: the recipe of the song spectra, caps by source, and what is kept."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from beetsplug.artifactnet.training.choices import (
    CLIP_DB,
    HOP_LENGTH,
    N_FFT,
    N_SEGMENTS,
    PACKAGE_TRACKS,
    PLATFORM_CLIPS,
    RESEARCH_CLIPS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.data.corpus import Clip, write_manifest
from beetsplug.artifactnet.training.fit.rows import (
    chosen_clips,
    clip_rows,
    fine_lines,
    listed_clips,
    spectra_rows,
)
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.signal.pooled import band


def _clip(path: Path, source: str = "a/b", label: int = 0, family: str = "") -> Clip:
    return Clip(path, label, family, family, source, path.stem, SAMPLE_RATE)


def _by_the_recipe(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what stands out of a segment's bins, written after the song spectra's recipe."""
    window = np.hanning(N_FFT)
    window /= np.sqrt((window**2).sum())
    found = []
    for start in range(0, len(samples) - N_FFT + 1, HOP_LENGTH):
        frame = samples[start : start + N_FFT]
        if np.abs(frame).max() >= 1e-3:
            level = 10 * np.log10(np.abs(np.fft.rfft(frame * window)) ** 2 + 1e-9)
            found.append(np.maximum(level - uniform_filter1d(level, 17, mode="nearest"), 0))
    mean = np.mean(found, axis=0)
    lines = np.minimum(mean - minimum_filter1d(mean, 3, mode="nearest"), CLIP_DB)
    return lines[band(N_FFT)].astype(np.float32)


@pytest.fixture(scope="module")
def network() -> ArtifactNetwork:
    return ArtifactNetwork().eval()


def _swelling(n_samples: int) -> NDArray[np.float32]:
    """Return noise and clicks that rise and fall, as music does."""
    rng = np.random.default_rng(0)
    clicks = np.arange(n_samples) % 441 == 0
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * np.arange(n_samples) / SAMPLE_RATE)
    return (swell * (rng.normal(0, 0.05, n_samples) + 0.1 * clicks)).astype(np.float32)


def test_a_clip_gives_what_the_recipe_gives(network: ArtifactNetwork, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    samples = _swelling(SEGMENT_SAMPLES)
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    rows = clip_rows([_clip(path)], network, tmp_path / "work")
    assert [(row.n_segments, row.variant) for row in rows.rows] == [(1, 0), (1, 1)]
    np.testing.assert_allclose(rows.lines[0], _by_the_recipe(samples), atol=0.02)
    assert rows.has_cnn.all()


def test_a_track_gives_itself_and_one_segment(network: ArtifactNetwork, tmp_path: Path) -> None:
    path = tmp_path / "track.wav"
    soundfile.write(path, _swelling(8 * SEGMENT_SAMPLES), SAMPLE_RATE)
    track = _clip(path, source="debian:made")
    rows = clip_rows([track], network, tmp_path)
    assert [row.n_segments for row in rows.rows] == [N_SEGMENTS, 1, N_SEGMENTS, 1]
    path.unlink()  # what was reduced is kept: the file is not opened again
    again = clip_rows([track], network, tmp_path)
    np.testing.assert_array_equal(again.lines, rows.lines)


def test_a_file_without_evidence_gives_no_row(network: ArtifactNetwork, tmp_path: Path) -> None:
    """What the plugin does not judge is no example either."""
    path = tmp_path / "tone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE)
    soundfile.write(path, tone, SAMPLE_RATE, subtype="FLOAT")
    assert not [
        row for row in clip_rows([_clip(path)], network, tmp_path).rows if not row.variant
    ]


def test_a_file_that_cannot_be_decoded_is_left_out(
    network: ArtifactNetwork, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, _swelling(SEGMENT_SAMPLES), SAMPLE_RATE)
    bad.write_bytes(b"no audio")
    rows = clip_rows([_clip(bad), _clip(good)], network, tmp_path)
    assert {row.track for row in rows.rows} == {"good"}


def test_no_source_gives_more_than_its_share(tmp_path: Path) -> None:
    clips = [
        _clip(tmp_path / f"{source}-{family}-{n}.wav", source, int(bool(family)), family)
        for source, family in (
            ("debian:game", ""),
            ("a/songs", "Suno"),
            ("b/paper", "MusicGen"),
        )
        for n in range(60)
    ]
    kept = chosen_clips(clips)
    sizes = [sum(c.source == s for c in kept) for s in ("debian:game", "a/songs", "b/paper")]
    assert sizes == [PACKAGE_TRACKS, PLATFORM_CLIPS, RESEARCH_CLIPS]
    assert chosen_clips(clips[::-1]) == kept  # whatever the order they come in
    manifest = tmp_path / "training-manifest.csv"
    write_manifest(kept, manifest)
    assert sorted(map(str, listed_clips(clips, manifest))) == sorted(map(str, kept))


def _song(label: str, family: str, source: str) -> dict[str, str]:
    return {
        "label": label,
        "family": family,
        "generator": "",
        "source": source,
        "seconds": "9",
    }


def test_song_spectra_become_rows(tmp_path: Path) -> None:
    n_bins, first = 400, 371
    stored = np.random.default_rng(0).integers(0, 50, (2, n_bins), dtype=np.uint8)
    np.savez(tmp_path / "spectra.npz", standing_7=stored)
    with (tmp_path / "songs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["label", "family", "generator", "source", "seconds"])
        writer.writeheader()
        writer.writerow(_song("ai", "Suno", "a/b"))
        writer.writerow(_song("real", "real", "pkg"))
    rows = spectra_rows(tmp_path, n_features=3, n_bins=10_240)
    assert [(r.label, r.family, r.source) for r in rows.rows] == [
        (1, "Suno", "a/b"),
        (0, "", "debian:pkg"),
    ]
    assert not rows.has_cnn.any()
    means = np.zeros((2, 10_240), np.float32)
    means[:, first : first + n_bins] = stored * 0.03
    np.testing.assert_allclose(rows.lines, fine_lines(means), atol=1e-3)
