"""What is compared: spectra, strata of the augmentation, ways to score a song."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training.ablate import (  # noqa: E402
    N_MELS,
    REAL_WEIGHTS,
    SPECTRA,
    STRATA,
    TRAINED_ON,
    WEIGHED,
    Spectrum,
    augmentation_table,
    fit_folds,
    mel_matrix,
    song_features,
    song_table,
    spectra_table,
    spectrum_features,
    weight_table,
)
from beetsplug.artifactnet.training.corpus import FOLD_FAMILIES, Clip  # noqa: E402
from beetsplug.artifactnet.training.dataset import Crop, Dataset  # noqa: E402
from beetsplug.artifactnet.training.reference import (  # noqa: E402
    reference_features,
    standing_features,
)

FAMILIES = [family for fold in FOLD_FAMILIES for family in list(fold)[:2]]


def segments() -> np.ndarray:
    """Return two int16 segments of noise."""
    noise = np.random.default_rng(0).normal(0, 2_000, (2, 65_536))
    return noise.astype(np.int16)


def test_one_of_the_spectra_is_the_networks() -> None:
    """At 32,768 points, linear, mean over frames, the values are the reference's."""
    (chosen,) = [s for s in SPECTRA if s.name == "n_fft 32,768"]
    np.testing.assert_allclose(
        spectrum_features(segments(), chosen), reference_features(segments()), atol=1e-3
    )


def test_one_of_the_spectra_is_the_per_bin_heads() -> None:
    """What stands out of each frame at 32,768 points."""
    (chosen,) = [s for s in SPECTRA if s.name == "n_fft 32,768, what stands out"]
    np.testing.assert_allclose(
        spectrum_features(segments(), chosen), standing_features(segments()), atol=1e-3
    )


def test_real_music_that_weighs_more_is_accused_less(tmp_path: Path) -> None:
    """Of a kind of real music that looks generated, and is rare, less is taken for it."""
    dataset = make_dataset(tmp_path)
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (len(dataset.crops), 2)).astype(np.float32)
    features[:, 0] += 2.0 * dataset.labels
    accused = []
    for weight in (1.0, 16.0):
        folds = fit_folds(dataset, features, real_weight=weight)
        logits = [j.logit for fold in folds for j in fold.judge() if not j.clip.label]
        accused.append(np.mean(np.array(logits) > 0))
    assert accused[0] > 2 * accused[1]


def test_the_table_of_weights(tmp_path: Path) -> None:
    """A row for both kinds of features and each weight, of both strata all that is asked."""
    dataset = make_dataset(tmp_path)
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.1, (len(dataset.crops), 2)).astype(np.float32)
    features[:, 0] += 5.0 * dataset.labels
    for spectrum in WEIGHED:
        np.save(tmp_path / spectrum.file_name, features)
    header, _, *rows = weight_table(dataset, tmp_path).splitlines()
    assert len(rows) == len(WEIGHED) * len(REAL_WEIGHTS)
    for row in rows:
        cells = [cell.strip() for cell in row[1:-1].split("|")]
        assert len(cells) == header.count("|") - 1
        assert cells[0] in {spectrum.name for spectrum in WEIGHED}
        assert all(float(cell) > 0.99 for cell in cells[2:])


def test_some_spectra_can_be_asked_for(tmp_path: Path) -> None:
    """Their rows alone, and none of two side by side."""
    dataset = make_dataset(tmp_path, n_samples=65_536, n_clips=32)
    dataset.samples[:] = np.random.default_rng(0).normal(0, 500, dataset.samples.shape)
    _, _, row = spectra_table(dataset, tmp_path, SPECTRA[:1]).splitlines()
    assert row.startswith(f"| {SPECTRA[0].name} |")


@pytest.mark.parametrize("spectrum", SPECTRA, ids=lambda s: s.file_name)
def test_every_spectrum_gives_a_row_a_segment(spectrum: Spectrum) -> None:
    """Finite, from 0 to the clip."""
    features = spectrum_features(segments(), spectrum)
    assert len(features) == 2
    assert np.isfinite(features).all()
    assert features.min() >= 0
    assert features.max() <= 5


def test_mel_bands_are_averages_within_the_band() -> None:
    """Every band sums to one, and a flat spectrum stays flat."""
    matrix = mel_matrix(2_048, N_MELS)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    centres = (matrix * np.arange(1_025)).sum(1)
    assert (np.diff(centres) >= 0).all()
    assert not matrix[:, : int(1_000 / 44_100 * 2_048) - 1].any()


def make_dataset(
    folder: Path, n_clips: int = 320, n_excerpts: int = 1, n_samples: int = 1
) -> Dataset:
    """Return clips, half of them AI; of half of each, one crop in three is narrow-band."""
    clips = tuple(
        Clip(
            path=folder / f"{number}.flac",
            label=number % 2,
            family=FAMILIES[number // 2 % len(FAMILIES)] if number % 2 else "",
            generator="",
            source=f"source {number % 16}",
            track=f"track {number % 16} {number // 16 // n_excerpts}",
            sample_rate=44_100,
        )
        for number in range(n_clips)
    )
    crops = tuple(
        Crop(number, place, int(place > 0), is_full_band=place < 2 or number % 4 < 2)
        for number in range(len(clips))
        for place in range(3)
    )
    return Dataset(clips, crops, np.zeros((len(crops), n_samples), np.int16))


def test_what_is_trained_on_is_found(tmp_path: Path) -> None:
    """A cue that narrow-band crops alone have is learned from narrow-band crops alone."""
    dataset = make_dataset(tmp_path)
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.3, (len(dataset.crops), 2)).astype(np.float32)
    is_full = np.array([crop.is_full_band for crop in dataset.crops])
    features[is_full, 0] += 5.0 * dataset.labels[is_full]
    features[~is_full, 1] += 5.0 * dataset.labels[~is_full]
    rows = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in augmentation_table(dataset, features).splitlines()[2:]
    ]
    auc = {(row[0], row[1]): float(row[3]) for row in rows}
    assert len(auc) == len(TRAINED_ON) * len(STRATA)
    plain, recoded, every, *_ = TRAINED_ON
    full, chain, narrow = (stratum.name for stratum in STRATA)
    for name in TRAINED_ON:
        assert auc[name, full] > 0.99
        assert auc[name, chain] > 0.99
    assert auc[plain, narrow] < 0.8
    assert auc[recoded, narrow] < 0.8
    assert auc[every, narrow] > 0.99
    assert {row[2] for row in rows if row[1] == narrow} == {"80, 80"}


@pytest.mark.parametrize(
    ("is_module", "hears", "does_not"),
    [
        (False, "and recoded at narrow band", "the same without the added packages"),
        (True, "the same and tracker modules", "and recoded at narrow band"),
    ],
)
def test_added_music_is_trained_on_or_left_out(
    tmp_path: Path, is_module: bool, hears: str, does_not: str
) -> None:
    """Whatever it is like, a regression fitted without it does not know it."""
    heard = make_dataset(tmp_path)
    added = tuple(
        replace(
            heard.clips[0],
            path=tmp_path / f"{n}",
            source="added",
            track=f"{n}",
            is_added=True,
            is_module=is_module,
        )
        for n in range(40)
    )
    crops = tuple(Crop(len(heard.clips) + n, 0, 0, is_full_band=True) for n in range(40))
    dataset = Dataset(
        heard.clips + added,
        heard.crops + crops,
        np.zeros((len(heard.crops) + 40, 1), np.int16),
    )
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (len(dataset.crops), 2)).astype(np.float32)
    features[:, 0] += 2.0 * dataset.labels
    features[len(heard.crops) :] += (4.0, -9.0)
    with_added = fit_folds(dataset, features, TRAINED_ON[hears])
    without = fit_folds(dataset, features, TRAINED_ON[does_not])
    before = fit_folds(heard, features[: len(heard.crops)])
    for added_to, left_out, never in zip(with_added, without, before, strict=True):
        np.testing.assert_allclose(left_out.fitted.weights, never.fitted.weights)
        assert added_to.fitted.weights[1] > never.fitted.weights[1] + 0.01


def test_the_mean_spectrum_of_a_song() -> None:
    """Of one segment it is that segment's, of noise it is smoother than any."""
    (chosen,) = [s for s in SPECTRA if s.name == "n_fft 32,768"]
    one, both = segments()[:1], segments()
    np.testing.assert_array_equal(song_features(one, chosen), spectrum_features(one, chosen))
    assert song_features(both, chosen).mean() < spectrum_features(both, chosen).mean() - 0.2


def test_every_way_to_score_a_song_is_judged(tmp_path: Path) -> None:
    """Three excerpts a song, in which AI is a line in the spectrum and easily heard."""
    (chosen,) = [s for s in SPECTRA if s.name == "n_fft 2,048"]
    rng = np.random.default_rng(0)
    dataset = make_dataset(tmp_path, n_clips=192, n_excerpts=3, n_samples=8_192)
    line = 4_000 * np.sin(2 * np.pi * 5_000 / 44_100 * np.arange(8_192))
    dataset.samples[:] = rng.normal(0, 500, dataset.samples.shape)
    dataset.samples[dataset.labels == 1] += line.astype(np.int16)
    features = spectrum_features(dataset.samples, chosen)
    rows = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in song_table(fit_folds(dataset, features), chosen).splitlines()[2:]
    ]
    assert [row[0] for row in rows] == ["median", "mean", "mean spectrum"]
    assert all(float(row[1]) > 0.99 for row in rows)
