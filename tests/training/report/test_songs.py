"""A song's segments as one spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch

from beetsplug.artifactnet.training.choices import (
    BRANCHES,
    COARSE_N_FFT,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    Branch,
)
from beetsplug.artifactnet.training.data.corpus import Clip, Split
from beetsplug.artifactnet.training.data.dataset import Crop, Dataset
from beetsplug.artifactnet.training.fit.folds import Fold
from beetsplug.artifactnet.training.model.fusion import Fusion, column, fuse
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.model.weights import Regression
from beetsplug.artifactnet.training.report import songs
from beetsplug.artifactnet.training.signal.features import coarse_features, fine_structure
from tests.training.model.test_network import network, segments

N_SONGS, N_PLACES, LINE_HZ = 4, 3, 100.0


def test_the_same_segment_again_adds_nothing() -> None:
    """Heads that know no order of frames give a segment, three times over, the same logit."""
    made, audio = network(), torch.from_numpy(segments(1))
    with torch.no_grad():
        once = made.logits(made.spectra(audio))
        thrice = made.logits(made.spectra(audio.repeat(3, 1)).joined())
    for name in ("grid", "coarse", "frame-rate", "empty share"):
        assert thrice[name].item() == pytest.approx(once[name].item(), abs=1e-4), name


def test_levels_are_averaged_before_what_stands_out_of_them_is_told() -> None:
    """The coarse head reads the lines of the segments' mean spectrum."""
    made, audio = network(), segments(3)
    weights = made.coarse.bins.weight.detach()[0]
    with torch.no_grad():
        spectra = made.spectra(torch.from_numpy(audio))
        found = made.logits(spectra.joined())["coarse"][0]
        mean = fine_structure(spectra.coarse.mean(0, keepdim=True), 5)[0]
    low = round(1_000 * COARSE_N_FFT / SAMPLE_RATE)
    expected = mean[low : low + len(weights)] @ weights + made.coarse.bins.bias[0]
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)
    one_by_one = coarse_features(audio).mean(0) @ weights.numpy()
    assert abs(found.item() - made.coarse.bins.bias.item() - one_by_one) > 1e-2


def test_a_comb_in_the_audio_shows_in_its_row_alone(tmp_path: Path) -> None:
    """A network that weighs the lines of a comb finds the songs that have it."""
    fold = make_songs(tmp_path)
    made = ArtifactNetwork().eval()
    n_bins = made.coarse.bins.in_features
    low = round(1_000 * COARSE_N_FFT / SAMPLE_RATE)
    lines = np.arange(LINE_HZ, 13_000, LINE_HZ) * COARSE_N_FFT / SAMPLE_RATE
    weights = np.zeros(n_bins)
    weights[[round(line) - low for line in lines if low <= line < low + n_bins - 1]] = 1.0
    made.coarse.set(Regression(weights, 0.0))
    made.fusion = Fusion([Branch("coarse", weight=1.0)])

    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in songs.table([fold], [made]).splitlines()[2:]
    ]

    assert [row[0] for row in rows] == ["median", "tercile", "mean", "max", songs.ONE_SPECTRUM]
    assert {row[1] for row in rows} == {f"{N_SONGS}, {N_SONGS}"}
    assert [row[2:] for row in rows[-1:]] == [["1.000"] * 4]
    # What the fold was judged by before knows nothing.
    assert all(float(row[2]) < 1 for row in rows[:-1])


def make_songs(folder: Path) -> Fold:
    """Return a fold of songs of noise; the generated ones have a faint comb."""
    rng = np.random.default_rng(3)
    clips = tuple(
        Clip(
            path=folder / f"{number}.flac",
            label=int(number >= N_SONGS),
            family="Suno" if number >= N_SONGS else "",
            generator="suno" if number >= N_SONGS else "",
            source=f"source {number}",
            track=f"track {number}",
            sample_rate=44_100,
        )
        for number in range(2 * N_SONGS)
    )
    crops = tuple(
        Crop(number, place, 0, True)
        for number in range(len(clips))
        for place in range(N_PLACES)
    )
    t = np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE
    comb = np.zeros(SEGMENT_SAMPLES)
    for harmonic in np.arange(LINE_HZ, 13_000, LINE_HZ):
        comb += np.sin(2 * np.pi * harmonic * t + rng.uniform(0, 6))
    samples = [
        0.05 * rng.normal(0, 1, SEGMENT_SAMPLES) + 0.001 * clips[crop.clip].label * comb
        for crop in crops
    ]
    dataset = Dataset(clips, crops, np.round(np.stack(samples) * 32767).astype(np.int16))
    fold = Fold(dataset, Split((), clips), np.arange(len(crops)))
    fold.branches = np.zeros((len(crops), len(BRANCHES)))
    known = np.tile([0.0, 1.0], len(crops) // 2)
    fold.branches[:, column("coarse")] = known
    assert len(np.unique(fuse(fold.branches))) == 2
    return fold
