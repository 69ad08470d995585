"""The reference that the network must beat: logistic regression on one spectrum.

Per segment: the mean over time of the log power spectrum, minus its lower envelope,
clipped to 0 to 5 dB: what stands out of the spectrum by a few hertz and stays. One
weight a bin. The network's heads of this resolution do the same to what stands out of each
frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.training.dataset import SAMPLE_RATE
from beetsplug.artifactnet.training.stages import Autocorrelation

N_FFT, HOP_LENGTH = 32_768, 8_192
POWER_FLOOR = 8e-6
"""Power of a Hann-windowed bin below which 16-bit quantisation noise drowns all."""
ENVELOPE_BINS = 3
"""A bin and its neighbours: the narrower, the less of it follows the music."""
GROUND_BINS = 17
"""A bin and its neighbours, whose mean level in a frame is the ground that it stands on."""
COARSE_ENVELOPE_BINS = 5
"""A Hann window's line and one bin on each side; three bins find no more in this one."""
COARSE_N_FFT, COARSE_HOP = 16_384, 4_096
"""The second resolution: the two together find more than either alone."""
CLIP_DB = 5.0
BAND_HZ = (1_000.0, 13_500.0)
"""Above it the spectrum tells more about a lossy codec than about a decoder."""
CONTRAST_BINS = 129
EMPTY_DB = 3.0
"""A bin at the power floor is empty; one that is so far above it is not."""


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
    far below its mean and never rises far above it, so in a plain mean over frames the
    depth of a few cells drowns a line of a decibel.

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


def short_time_spectrum(
    samples: NDArray[np.int16] | NDArray[np.float32], n_fft: int, hop_length: int
) -> Tensor:
    """Return complex spectra (n_segments, n_bins, n_frames) of segments, by torch's STFT."""
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
def reference_features(
    samples: NDArray[np.int16] | NDArray[np.float32],
    *,
    n_fft: int = N_FFT,
    hop_length: int = HOP_LENGTH,
    envelope_bins: int = ENVELOPE_BINS,
) -> NDArray[np.float32]:
    """Return the fine structure of segments (n_segments, n_samples) in the band."""
    chosen = band(n_fft)

    def features_of(some: NDArray[np.int16] | NDArray[np.float32]) -> Tensor:
        spectrum = short_time_spectrum(some, n_fft, hop_length)
        power_db = 10 * torch.log10(spectrum.abs().square() + power_floor(n_fft)).mean(-1)
        return fine_structure(power_db, envelope_bins)[:, chosen]

    return in_batches(features_of, samples, chosen.stop - chosen.start)


@torch.no_grad()
def standing_features(
    samples: NDArray[np.int16] | NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return what the finer heads hear of segments (n_segments, n_samples) in the band.

    As :func:`reference_features`, of what stands out of each frame.
    """
    chosen = band(N_FFT)

    def features_of(some: NDArray[np.int16] | NDArray[np.float32]) -> Tensor:
        spectrum = short_time_spectrum(some, N_FFT, HOP_LENGTH)[:, : chosen.stop + GROUND_BINS]
        levels = 10 * torch.log10(spectrum.abs().square() + POWER_FLOOR)
        return fine_structure(standing_out(levels.transpose(1, 2)))[:, chosen]

    return in_batches(features_of, samples, chosen.stop - chosen.start)


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
    """Return the features (n_segments, n_values) of segments, 16 of them at a time.

    The array is made at once: small rows among large buffers would keep the heap from
    shrinking.
    """
    features = np.empty((len(samples), n_values), np.float32)
    for first in range(0, len(samples), 16):
        features[first : first + 16] = features_of(samples[first : first + 16]).numpy()
    return features


def coarse_features(
    samples: NDArray[np.int16] | NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the fine structure of segments (n_segments, n_samples) at half the length."""
    return reference_features(
        samples,
        n_fft=COARSE_N_FFT,
        hop_length=COARSE_HOP,
        envelope_bins=COARSE_ENVELOPE_BINS,
    )


@dataclass(frozen=True)
class Reference:
    """A fitted logistic regression over the bins of the band."""

    weights: NDArray[np.float64]
    """(n_bins,), logit per decibel."""
    bias: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (n_segments,) logits of :func:`reference_features`."""
        return features @ self.weights + self.bias


def fit_reference(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    sample_weight: NDArray[np.float64],
    *,
    inverse_penalty: float = 1e-4,
) -> Reference:
    """Return the regression fitted to these segments, L2-penalised.

    On one thread: with another number the sums differ in their last digits, and what is
    trained from there comes out as with another seed.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=inverse_penalty, max_iter=500)
    with threadpool_limits(1):
        model.fit(features, labels, sample_weight=sample_weight)
    return Reference(model.coef_[0].astype(np.float64), float(model.intercept_[0]))


@dataclass(frozen=True)
class ScaledReference:
    """A fitted logistic regression over features of different spread."""

    weights: NDArray[np.float64]
    """(n_features,), on standardised values."""
    bias: float
    mean: NDArray[np.float32]
    """(n_features,), of the clips it was fitted to."""
    scale: NDArray[np.float32]
    """(n_features,), one over their standard deviation."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (n_segments,) logits of features (n_segments, n_features)."""
        return ((features - self.mean) * self.scale) @ self.weights + self.bias


@torch.no_grad()
def comb_features(fine: NDArray[np.float32], *, n_lags: int = 1_600) -> NDArray[np.float32]:
    """Return the autocorrelation (n_segments, n_lags) of fine structures."""
    autocorrelation = Autocorrelation(fine.shape[1], n_lags)
    batches = (torch.tensor(fine[i : i + 64]) for i in range(0, len(fine), 64))
    return np.concatenate([autocorrelation(batch).numpy() for batch in batches])


def fit_scaled(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    sample_weight: NDArray[np.float64],
    *,
    inverse_penalty: float,
) -> ScaledReference:
    """Return the regression fitted to these segments' features, standardised."""
    mean = features.mean(0)
    scale = (1 / np.maximum(features.std(0), 1e-6)).astype(np.float32)
    fitted = fit_reference(
        (features - mean) * scale, labels, sample_weight, inverse_penalty=inverse_penalty
    )
    return ScaledReference(fitted.weights, fitted.bias, mean, scale)


@dataclass(frozen=True)
class GridReference:
    """Regressions that tell real music from one decoder's re-synthesis each."""

    weights: NDArray[np.float64]
    """(n_grids, n_bins), on :func:`contrast_features`."""
    bias: NDArray[np.float64]
    """(n_grids,): on real music each logit has mean 0 and, by its weights, deviation 1."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (n_segments,), each segment's highest logit."""
        return (features @ self.weights.T + self.bias).max(1)


@torch.no_grad()
def contrast_features(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the local contrast (n_segments, n_bins) of fine structures."""
    batches = (torch.tensor(fine[i : i + 256]) for i in range(0, len(fine), 256))
    return np.concatenate([local_contrast(batch).numpy() for batch in batches])


def fit_grids(
    real: NDArray[np.float32],
    real_weight: NDArray[np.float64],
    resynthesised: Sequence[NDArray[np.float32]],
    *,
    inverse_penalty: float = 3e-4,
) -> GridReference:
    """Return one regression for each decoder.

    One weight a bin cannot stand for several grids at once: trained on all decoders
    together a single regression finds none of them better than before.

    Args:
        real: (n_real, n_bins), contrast features.
        real_weight: (n_real,).
        resynthesised: The contrast features (n, n_bins) of each decoder's output.
        inverse_penalty: As in :func:`fit_reference`.
    """
    weights, bias = [], []
    for pairs in resynthesised:
        fitted = fit_reference(
            np.concatenate([real, pairs]),
            np.repeat([0, 1], [len(real), len(pairs)]),
            np.append(real_weight, np.full(len(pairs), real_weight.sum() / len(pairs))),
            inverse_penalty=inverse_penalty,
        )
        logits = fitted.logits(real)
        weights.append(fitted.weights / logits.std())
        bias.append((fitted.bias - logits.mean()) / logits.std())
    return GridReference(np.array(weights), np.array(bias))
