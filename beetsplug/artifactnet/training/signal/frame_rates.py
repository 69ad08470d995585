"""Combs of every frame rate that a decoder may have, looked for in two spectra.

A decoder does the same to each of its frames, so its trace repeats with them
(cyclostationarity; Gardner, IEEE Signal Processing Magazine, April 1991). The spectrum has
lines at multiples of the frame rate. The level of each band rises and falls with it, which
makes lines in the band's modulation spectrum. A frame rate is a sample rate over the product
of a few small strides: there are some three hundred. A regression that weighs combs instead
of single bins has little else to learn than that there is such a comb.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import (
    BAND_HZ,
    FRAME_RATES_HZ,
    LEVEL_FLOOR,
    LEVEL_LIMIT,
    MODULATION_BANDS,
    MODULATION_BINS,
    MODULATION_FLOOR,
    MODULATION_HOP,
    MODULATION_HZ,
    MODULATION_LIMITS_DB,
    MODULATION_N_FFT,
    MODULATION_POINTS,
    N_FFT,
    NEIGHBOURHOOD,
    SAMPLE_RATE,
    SAMPLE_RATES_HZ,
    STRIDES,
)
from beetsplug.artifactnet.training.signal.features import (
    Segments,
    band,
    in_batches,
    local_contrast,
    one_thread,
    short_time_spectrum,
)
from beetsplug.artifactnet.training.signal.stages import TwoStepDFT, constant

N_MODULATIONS = MODULATION_POINTS // 2
N_PARTS = len(MODULATION_BANDS) + 2
"""Values for each frame rate: of each band's modulations, and of the lines in the lower and
the upper half of the spectrum."""


@cache
def frame_rates() -> tuple[float, ...]:
    """Return the frame rates, Hz, rising: a sample rate over a product of small strides."""
    low, high = FRAME_RATES_HZ
    found = {
        round(rate / hop, 4)
        for rate in SAMPLE_RATES_HZ
        for hop in range(math.ceil(rate / high), math.floor(rate / low) + 1)
        if _is_product(hop)
    }
    return tuple(sorted(found))


def _is_product(hop: int) -> bool:
    for stride in STRIDES:
        while hop % stride == 0:
            hop //= stride
    return hop == 1


@cache
def modulation_combs() -> NDArray[np.float32]:
    """Return a comb (n_rates, n_modulations) for each frame rate, of length 1."""
    bin_hz = SAMPLE_RATE / MODULATION_HOP / MODULATION_POINTS
    combs = np.zeros((len(frame_rates()), N_MODULATIONS), np.float32)
    for comb, rate in zip(combs, frame_rates(), strict=True):
        multiples = rate * np.arange(1, math.floor(MODULATION_HZ / rate) + 1)
        comb[np.round(multiples / bin_hz).astype(int)] = 1
    return _of_length_1(combs)


@cache
def line_combs(n_fft: int = N_FFT) -> NDArray[np.float32]:
    """Return a comb (n_rates, n_bins) for each frame rate, of mean 0 and length 1.

    Over the bins of :func:`~.features.band`; a multiple between two bins is shared by them.
    """
    bins, bin_hz = band(n_fft), SAMPLE_RATE / n_fft
    n_bins = bins.stop - bins.start
    combs = np.zeros((len(frame_rates()), n_bins), np.float32)
    low, high = BAND_HZ
    for comb, rate in zip(combs, frame_rates(), strict=True):
        multiples = rate * np.arange(math.ceil(low / rate), math.floor(high / rate) + 1)
        place = multiples / bin_hz - bins.start
        below = np.floor(place).astype(int)
        for neighbour, share in ((below, below + 1 - place), (below + 1, place - below)):
            inside = (neighbour >= 0) & (neighbour < n_bins)
            np.add.at(comb, neighbour[inside], share[inside])
    return _of_length_1(combs - combs.mean(1, keepdims=True))


def _of_length_1(combs: NDArray[np.float32]) -> NDArray[np.float32]:
    return combs / np.linalg.norm(combs, axis=1, keepdims=True)


def above_ground(modulation_db: Tensor) -> Tensor:
    """Return how far modulations (batch, n_bands, n_modulations) stand out, within limits.

    Args:
        modulation_db: Their powers, in decibels.
    """
    half = NEIGHBOURHOOD // 2
    padded = nn.functional.pad(modulation_db, (half, half), mode="replicate")
    ground = nn.functional.avg_pool1d(padded, NEIGHBOURHOOD, stride=1)
    return (modulation_db - ground).clamp(*MODULATION_LIMITS_DB)


def _levels(power: Tensor) -> Tensor:
    """Return the log power (batch, n_bins, n_frames) about its mean over time, held."""
    levels = (power + LEVEL_FLOOR).log()
    return (levels - levels.mean(2, keepdim=True)).clamp(-LEVEL_LIMIT, LEVEL_LIMIT)


def _of_bands(power: Tensor) -> Tensor:
    """Return (batch, n_bands, n_modulations) of each bin's modulations, above their ground."""
    bands = [part.mean(1) for part in power.split(MODULATION_BANDS, 1)]
    return above_ground(10 * torch.log10(torch.stack(bands, 1) + MODULATION_FLOOR))


class ModulationSpectrum(nn.Module):
    """The spectrum of each band's level: how often in a second it rises and falls.

    Args:
        n_samples: Length of a segment.
    """

    kernels: Tensor
    window: Tensor

    def __init__(self, n_samples: int) -> None:
        super().__init__()
        bins, samples = np.array(MODULATION_BINS), np.arange(MODULATION_N_FFT)
        transform = np.exp(-2j * np.pi * np.outer(bins, samples) / MODULATION_N_FFT)
        transform *= np.hanning(MODULATION_N_FFT + 1)[:-1]
        constant(self, "kernels", np.concatenate([transform.real, transform.imag])[:, None])
        n_frames = (n_samples - MODULATION_N_FFT) // MODULATION_HOP + 1
        if n_frames > MODULATION_POINTS:
            raise ValueError(f"{n_frames} frames are more than {MODULATION_POINTS}")
        constant(self, "window", np.hanning(n_frames + 1)[:-1])
        self.padding = MODULATION_POINTS - n_frames
        self.dft = TwoStepDFT(MODULATION_POINTS, N_MODULATIONS)

    def forward(self, audio: Tensor) -> Tensor:
        """Return (batch, n_bands, n_modulations) of (batch, n_samples), above their ground."""
        parts = nn.functional.conv1d(audio[:, None], self.kernels, stride=MODULATION_HOP)
        real, imaginary = parts.chunk(2, 1)
        levels = _levels(real * real + imaginary * imaginary)
        padded = nn.functional.pad(levels * self.window, (0, self.padding))
        return _of_bands(self.dft.power(*self.dft.grid(padded).chunk(2, dim=-2)))


@torch.no_grad()
def modulation_features(samples: Segments) -> Tensor:
    """Return what :class:`ModulationSpectrum` gives, by way of torch's own transforms."""
    spectrum = short_time_spectrum(samples, MODULATION_N_FFT, MODULATION_HOP)
    bins = slice(MODULATION_BINS.start, MODULATION_BINS.stop, MODULATION_BINS.step)
    levels = _levels(spectrum[:, bins].abs().square())
    window = torch.hann_window(levels.shape[2])
    cells = torch.fft.rfft(levels * window, MODULATION_POINTS)[..., :N_MODULATIONS]
    return _of_bands(cells.abs().square())


def rate_features(samples: Segments, fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what stands on each frame rate's combs: (n_segments, n_rates * n_parts).

    Args:
        samples: (n_segments, n_samples).
        fine: (n_segments, n_bins), their fine structure.

    On one thread, so that the same comes out everywhere.
    """
    modulations = torch.from_numpy(modulation_combs().T.copy())
    lines = torch.from_numpy(line_combs().T.copy())
    half = len(lines) // 2
    # Both are cut into batches of the same rows.
    rows = np.arange(len(samples))

    def features_of(some: NDArray[np.int64]) -> Tensor:
        contrast = local_contrast(torch.from_numpy(np.array(fine[some])))
        parts = [
            *(modulation_features(samples[some]) @ modulations).unbind(1),
            contrast[:, :half] @ lines[:half],
            contrast[:, half:] @ lines[half:],
        ]
        return torch.stack(parts, 2).flatten(1)

    with one_thread():
        return in_batches(features_of, rows, len(frame_rates()) * N_PARTS)
