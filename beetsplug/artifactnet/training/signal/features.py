"""What the linear heads read off segments: pure functions of samples and of spectra.

In training torch's own transforms compute these; the network computes the same with stages
that export to ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import (
    BAND_HZ,
    CLIP_DB,
    COARSE_ENVELOPE_BINS,
    COARSE_HOP,
    COARSE_N_FFT,
    CONTRAST_BINS,
    EMPTY_DB,
    ENVELOPE_BINS,
    GROUND_BINS,
    HOP_LENGTH,
    N_FFT,
    POWER_FLOOR,
    SAMPLE_RATE,
    NetworkConfig,
)
from beetsplug.artifactnet.training.signal.stages import Autocorrelation

Segments = NDArray[np.int16] | NDArray[np.float32]
"""(n_segments, n_samples), full scale 32767 or 1."""
_AT_ONCE = 16
"""Segments that are worked on together."""


def fine_structure(log_spectrum_db: Tensor, envelope_bins: int = ENVELOPE_BINS) -> Tensor:
    """Return how far each bin stands above its neighbourhood, 0 to :data:`CLIP_DB` dB.

    Args:
        log_spectrum_db: (batch, n_bins), mean over time, decibels.
        envelope_bins: Odd; the neighbourhood whose lowest bin is the ground.
    """
    half = envelope_bins // 2
    padded = nn.functional.pad(log_spectrum_db[:, None], (half, half), mode="replicate")
    envelope = -nn.functional.max_pool1d(-padded, envelope_bins, stride=1)[:, 0]
    return (log_spectrum_db - envelope).clamp(0.0, CLIP_DB)


def standing_out(levels_db: Tensor) -> Tensor:
    """Return how far each bin stands above the ground, mean over frames: (batch, n_bins), dB.

    What lies below the ground of its frame counts as ground. The log power of noise falls
    far below its mean and never rises far above it. In a plain mean over frames the depth
    of a few cells would drown a line of a decibel.

    Args:
        levels_db: (batch, n_frames, n_bins), log powers, decibels.
    """
    half = GROUND_BINS // 2
    padded = nn.functional.pad(levels_db, (half, half), mode="replicate")
    ground = nn.functional.avg_pool1d(padded, GROUND_BINS, stride=1)
    return (levels_db - ground).clamp(min=0.0).mean(1)


def empty_share(log_spectrum_db: Tensor, floor: float) -> Tensor:
    """Return the share of bins (batch,), 0 to 1, in which there is nothing.

    Args:
        log_spectrum_db: (batch, n_bins), mean over time, decibels.
        floor: The power that was added to each cell.
    """
    limit = 10 * math.log10(floor) + EMPTY_DB
    # By degrees: a share that leaps would leap on a rounding error, too.
    return ((limit - log_spectrum_db) / EMPTY_DB).clamp(0.0, 1.0).mean(1)


def local_contrast(fine: Tensor) -> Tensor:
    """Return fine structures (batch, n_bins) minus their mean over :data:`CONTRAST_BINS`.

    A small decoder is noisier than its comb is strong; the noise lifts whole
    neighbourhoods, a comb single bins.
    """
    half = CONTRAST_BINS // 2
    padded = nn.functional.pad(fine[:, None], (half, half), mode="replicate")
    return fine - nn.functional.avg_pool1d(padded, CONTRAST_BINS, stride=1)[:, 0]


def power_floor(n_fft: int) -> float:
    """Return :data:`POWER_FLOOR` for another window length: a level in dB re full scale."""
    return POWER_FLOOR * n_fft / N_FFT


def band(n_fft: int) -> slice:
    """Return the bins between 1 and 13.5 kHz of an ``n_fft``-point spectrum at 44.1 kHz."""
    low, high = (round(hz * n_fft / SAMPLE_RATE) for hz in BAND_HZ)
    return slice(low, high)


def short_time_spectrum(samples: Segments, n_fft: int, hop_length: int) -> Tensor:
    """Return complex spectra (n_segments, n_bins, n_frames) of segments by torch's STFT."""
    audio = torch.from_numpy(samples.astype(np.float32))
    if samples.dtype == np.int16:
        audio /= 32767
    return torch.stft(
        audio,
        n_fft,
        hop_length=hop_length,
        window=torch.hann_window(n_fft),
        center=False,
        return_complex=True,
    )


@torch.no_grad()
def mean_features(
    samples: Segments, n_fft: int, hop_length: int, envelope_bins: int
) -> NDArray[np.float32]:
    """Return the fine structure (n_segments, n_bins) in the band of the mean log spectrum.

    Args:
        samples: The segments.
        n_fft: Window length in samples.
        hop_length: Samples between frames.
        envelope_bins: As in :func:`fine_structure`.
    """
    chosen = band(n_fft)

    def features_of(some: Segments) -> Tensor:
        spectrum = short_time_spectrum(some, n_fft, hop_length)
        power_db = 10 * torch.log10(spectrum.abs().square() + power_floor(n_fft)).mean(-1)
        return fine_structure(power_db, envelope_bins)[:, chosen]

    return in_batches(features_of, samples, chosen.stop - chosen.start)


def coarse_features(samples: Segments) -> NDArray[np.float32]:
    """Return the coarse head's input (n_segments, n_coarse_bins), decibels."""
    return mean_features(samples, COARSE_N_FFT, COARSE_HOP, COARSE_ENVELOPE_BINS)


@torch.no_grad()
def standing_features(samples: Segments) -> NDArray[np.float32]:
    """Return the finer heads' input (n_segments, n_bins): what stands out of each frame, dB."""
    chosen = band(N_FFT)

    def features_of(some: Segments) -> Tensor:
        spectrum = short_time_spectrum(some, N_FFT, HOP_LENGTH)[:, : chosen.stop + GROUND_BINS]
        levels = 10 * torch.log10(spectrum.abs().square() + POWER_FLOOR)
        return fine_structure(standing_out(levels.transpose(1, 2)))[:, chosen]

    return in_batches(features_of, samples, chosen.stop - chosen.start)


@torch.no_grad()
def contrast_features(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the local contrast (n_segments, n_bins) of fine structures."""
    batches = (torch.tensor(fine[i : i + 256]) for i in range(0, len(fine), 256))
    return np.concatenate([local_contrast(batch).numpy() for batch in batches])


@torch.no_grad()
def comb_features(
    fine: NDArray[np.float32], n_lags: int = NetworkConfig().n_lags
) -> NDArray[np.float32]:
    """Return the autocorrelation (n_segments, n_lags) of fine structures."""
    autocorrelation = Autocorrelation(fine.shape[1], n_lags)
    batches = (torch.tensor(fine[i : i + 64]) for i in range(0, len(fine), 64))
    return np.concatenate([autocorrelation(batch).numpy() for batch in batches])


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch use one thread: with another number the last digits of sums differ."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def in_batches(
    features_of: Callable[[NDArray[Any]], Tensor], samples: NDArray[Any], n_values: int
) -> NDArray[np.float32]:
    """Return the features (n_segments, n_values) of segments, some of them at a time.

    The array is made at once: small rows among large buffers would keep the heap from
    shrinking.
    """
    features = np.empty((len(samples), n_values), np.float32)
    for first in range(0, len(samples), _AT_ONCE):
        features[first : first + _AT_ONCE] = features_of(
            samples[first : first + _AT_ONCE]
        ).numpy()
    return features
