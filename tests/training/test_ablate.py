"""The spectra that are compared."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training.ablate import (  # noqa: E402
    N_MELS,
    SPECTRA,
    Spectrum,
    mel_matrix,
    spectrum_features,
)
from beetsplug.artifactnet.training.reference import reference_features  # noqa: E402


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
