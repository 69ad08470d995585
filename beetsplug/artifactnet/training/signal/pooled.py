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
    N_SEGMENTS,
    SAMPLE_RATE,
    SPEED_MARGIN_CLIP,
    SPEED_MARGIN_SONG,
    SPEED_REACH,
    SPEED_STEP,
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


def at_speeds(weights: Tensor, first_bin: int) -> tuple[Tensor, Tensor]:
    """Return the weights of a song's lines as they lie at other speeds, and their unit.

    Played ``speed`` times as fast, a song has each line at ``speed`` times its frequency. Bins
    that the song's own spectrum does not reach weigh nothing.

    Args:
        weights: (n_bins,), of the speed that the song was made at.
        first_bin: Number of the first one in the whole spectrum; bin 0 is 0 Hz.

    Returns:
        (n_bins, n_speeds), whole numbers from -127 to 127, so that a file needs a byte for
        each, and (), what one of them weighs.
    """
    n_bins, n_steps = len(weights), round(SPEED_REACH / SPEED_STEP)
    steps = [step for step in range(-n_steps, n_steps + 1) if step]
    shifts = torch.tensor([1 / (1 + SPEED_STEP * step) - 1 for step in steps])
    bins = torch.arange(n_bins)[:, None]
    moved = (bins + first_bin) * shifts
    below = moved.floor()
    part = moved - below
    # Two bins of nothing remain on either side once the weights are blurred.
    padded = nn.functional.pad(weights, (4, 4))
    blurred = padded[1:-1] * 0.75 + (padded[:-2] + padded[2:]) * 0.125
    places = (bins + below.long() + 3).clamp(0, n_bins + 4)
    values = blurred[places] * (1 - part) + blurred[places + 1] * part
    unit = values.abs().max().clamp(min=1e-9) / 127
    return (values / unit).round(), unit


def speed_margin(share: Tensor) -> Tensor:
    """Return by how much another speed must be above the file's own to count, (batch,).

    Args:
        share: (batch,), one over the number of segments averaged.
    """
    return SPEED_MARGIN_SONG + (SPEED_MARGIN_CLIP - SPEED_MARGIN_SONG) * near_clip(share)


def near_clip(share: Tensor) -> Tensor:
    """Return how near a mean is to that of one segment: 0 of whole songs, 1 of one, (batch,).

    Args:
        share: (batch,), one over the number of segments averaged.
    """
    return ((share - 1 / N_SEGMENTS) / (1 - 1 / N_SEGMENTS)).clamp(min=0.0)
