"""What stands out of the mean of many frames: a song's, or a segment's.

The features of the network's heads, in torch operators that export to ONNX. The recipe is that
of the song spectra.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import (
    AUDIBLE_PEAK,
    BAND_HZ,
    CLIP_DB,
    EMPTY_DB,
    ENVELOPE_BINS,
    GROUND_BINS,
    SAMPLE_RATE,
)


def audible_frames(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Return 1 for each frame whose peak is above -60 dBFS, 0 else: (n_segments, n_frames).

    Args:
        audio: (n_segments, n_samples).
        n_fft: Samples of a frame; a multiple of ``hop_length``.
        hop_length: Samples between frames.
    """
    n_hops, per_frame = audio.shape[1] // hop_length, n_fft // hop_length
    hops = audio[:, : n_hops * hop_length].unflatten(1, (n_hops, hop_length))
    peaks = hops.abs().amax(2)
    n_frames = n_hops - per_frame + 1
    peak = torch.stack([peaks[:, i : i + n_frames] for i in range(per_frame)], 2).amax(2)
    return (peak >= AUDIBLE_PEAK).float()


def mean_frames(values: Tensor, frames: Tensor) -> Tensor:
    """Return means over frames, the first over all segments': (1 + n_segments, n_bins).

    Args:
        values: (n_segments, n_frames, n_bins).
        frames: (n_segments, n_frames), 1 for those that count. Where none does, 0 is returned.
    """
    sums = (values * frames[:, :, None]).sum(1)
    counts = frames.sum(1, keepdim=True)
    song = sums.sum(0, keepdim=True) / counts.sum(0, keepdim=True).clamp(min=1.0)
    return torch.cat([song, sums / counts.clamp(min=1.0)])


def standing(levels_db: Tensor) -> Tensor:
    """Return how far each cell stands above the ground of its frame, 0 where it lies below.

    Args:
        levels_db: (n_segments, n_frames, n_bins), decibels; the ground is the mean of
            ``GROUND_BINS`` bins.
    """
    half = GROUND_BINS // 2
    padded = nn.functional.pad(levels_db, (half, half), mode="replicate")
    return (levels_db - nn.functional.avg_pool1d(padded, GROUND_BINS, stride=1)).clamp(min=0.0)


def standing_lines(mean_standing: Tensor) -> Tensor:
    """Return how far bins (batch, n_bins) rise above the lowest of their neighbours, dB.

    Up to ``CLIP_DB``.
    """
    half = ENVELOPE_BINS // 2
    padded = nn.functional.pad(mean_standing[:, None], (half, half), mode="replicate")
    lowest = -nn.functional.max_pool1d(-padded, ENVELOPE_BINS, stride=1)[:, 0]
    return (mean_standing - lowest).clamp(max=CLIP_DB)


def empty_share(log_spectrum_db: Tensor, floor: float) -> Tensor:
    """Return the share of bins (batch,), 0 to 1, in which there is nothing.

    Args:
        log_spectrum_db: (batch, n_bins), mean over time, decibels.
        floor: The power that was added to each cell.
    """
    limit = 10 * math.log10(floor) + EMPTY_DB
    # By degrees: a share that leaps would leap on a rounding error, too.
    return ((limit - log_spectrum_db) / EMPTY_DB).clamp(0.0, 1.0).mean(1)


def band(n_fft: int) -> slice:
    """Return the bins between 1 and 13.5 kHz of an ``n_fft``-point spectrum at 44.1 kHz."""
    low, high = (round(hz * n_fft / SAMPLE_RATE) for hz in BAND_HZ)
    return slice(low, high)
