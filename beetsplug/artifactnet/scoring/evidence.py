"""What a segment must hold to be judged, and what is made right before it is.

A model that listens for weak lines at fixed places finds them in signals that no decoder
made: undithered tones, click trains, drones, mains hum. They differ from music in three
ways that can be measured on one spectrogram. Music fills the bins between its lines, its
spectrum is rough from bin to bin, and it changes within a few seconds. A segment without
all of that is no evidence, neither for ``ai`` nor for ``real``.

Which of these steps are taken for a model stands on its card.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
_Powers = NDArray[np.float64]

_STEP = 2.0**-15
"""One step of 16-bit audio."""
_NOISE_FLOOR = 0.7 * _STEP**2
"""Power of white noise 4.5 dB above that of 16-bit audio with triangular dither."""
_FRAME_S = 0.3715
"""Frames of 16,384 samples at 44.1 kHz: bins of 2.7 Hz."""
_BAND_HZ = (1_000.0, 13_500.0)
"""Below it music hides all traces; above it a codec cuts off."""
_BLOCK_BINS = 64
_OCCUPIED = 10.0
"""A block whose mean power is so many times the noise floor holds something."""
_LEAST_BLOCKS = 12
"""Occupied blocks that a segment needs: 2.1 kHz of the band, less than a telephone has. Of
less the model does not recognise what it knows at full level, and calls it ``real``."""
_FAINT, _LEAST_BLOCKS_OF_FAINT = 2.0**-8, 24
"""The same where the peak lies below -48 dBFS: what is left stands near the noise."""
_LEAST_SHARE = 0.3
"""Share of the cells of occupied blocks that must hold more than noise: where tones or
a few clicks are all that there is, most hold nothing."""
_SPARSE_SHARE, _BARE_LINES_DB = 0.6, 18.0
"""Where fewer cells hold something, and the roughest tenth of the blocks is rougher than that,
lines stand alone in digital silence, as those of a synthesised bell do. Of 1,349 segments of
music and noises none is so; of those with so few cells the roughest has 16.7 dB. Quiet music
in 16 bits is, and exempt: its lines stand alone in noise."""
_ROUGHNESS_DB = (1.2, 21.0)
"""How far the strongest bin of a block stands above the middle one: less in the smooth
spectrum of a click or sweep, more where there is nothing between lines."""
_LEAST_CHANGE_DB = 1.15
"""Standard deviation over time of the level of a block, which the most lively tenth of
the blocks of music exceeds. Steady noise has 0.8, whatever lines stand in it."""
_LEAST_FRAMES = 4

_STEADY_DB = 0.6
"""Standard deviation of the level over time; of music one in a thousand segments has 0.7."""
_LOUD_ENOUGH = 2.0**-4
"""-24 dB: a segment with a higher peak keeps its level."""


def is_suspect(samples: Samples, sample_rate: int) -> bool:
    """Tell, at little cost, whether a segment may be without evidence.

    It is where it is quiet, or where the level of its first difference hardly changes from
    one tenth of a second to the next.

    Args:
        samples: float32 (n_samples,) in [-1, 1].
        sample_rate: Hz.
    """
    if not is_loud(samples):
        return True
    rises = np.diff(samples)
    length = min(sample_rate // 10, len(rises))
    frames = rises[: len(rises) // length * length].reshape(-1, length)
    energies = np.einsum("ij,ij->i", frames, frames) + _STEP**2
    return float((10 * np.log10(energies)).std()) < _STEADY_DB


def is_loud(samples: Samples) -> bool:
    """Tell whether a segment's peak lies at -24 dBFS or above."""
    return float(np.abs(samples).max(initial=0.0)) >= _LOUD_ENOUGH


def raised(samples: Samples) -> Samples:
    """Return a segment at a level that a model knows from music.

    A segment whose peak lies below -24 dBFS is multiplied by the power of two that brings
    its peak to between -6 and 0 dBFS. That is exact in float32. A louder one is returned
    as it is, and so is digital silence.

    Args:
        samples: float32 (n_samples,) in [-1, 1].
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if not 0.0 < peak < _LOUD_ENOUGH:
        return samples
    return np.ldexp(samples, -math.frexp(peak)[1])


def has_evidence(samples: Samples, sample_rate: int) -> bool:
    """Tell whether a segment holds enough to be judged, over the noise of 16-bit audio.

    Args:
        samples: float32 (n_samples,) in [-1, 1], at the level that they have in their file.
            Those of more than 16 bits are given at the model's level (:func:`raised`): what
            is quiet there is as exact as what is loud.
        sample_rate: Hz.
    """
    powers, floor = _spectrogram(samples, sample_rate)
    occupied = powers.mean((0, 2)) > _OCCUPIED * floor
    is_faint = float(np.abs(samples).max(initial=0.0)) < _FAINT
    if occupied.sum() < (_LEAST_BLOCKS_OF_FAINT if is_faint else _LEAST_BLOCKS):
        return False
    powers = powers[:, occupied]
    share, roughness_db = (powers > floor).mean(), _roughness_db(powers, floor)
    if share < _LEAST_SHARE:
        return False
    if is_loud(samples) and share < _SPARSE_SHARE and _are_bare_lines(roughness_db):
        return False
    low, high = _ROUGHNESS_DB
    if not low < np.median(roughness_db) < high:
        return False
    return len(powers) < _LEAST_FRAMES or _change_db(powers, floor) > _LEAST_CHANGE_DB


def _are_bare_lines(roughness_db: NDArray[np.float64]) -> bool:
    return bool(np.quantile(roughness_db, 0.9) > _BARE_LINES_DB)


def _roughness_db(powers: _Powers, floor: float) -> NDArray[np.float64]:
    """Return how far each block's strongest bin stands above its middle one, decibels.

    Of the mean over time.
    """
    means = powers.mean(0) + floor
    found: NDArray[np.float64] = 10 * np.log10(means.max(1) / np.median(means, 1))
    return found


def _change_db(powers: _Powers, floor: float) -> float:
    """Return the standard deviation over time that a tenth of the blocks exceeds, decibels."""
    levels = 10 * np.log10(powers.mean(2) + floor)
    return float(np.quantile(levels.std(0), 0.9))


def _spectrogram(samples: Samples, sample_rate: int) -> tuple[_Powers, float]:
    """Return power (n_frames, n_blocks, bins of a block), and that of 16-bit noise."""
    n_fft = min(2 ** round(math.log2(_FRAME_S * sample_rate)), len(samples))
    n_frames = len(samples) // n_fft
    frames = samples[: n_frames * n_fft].reshape(n_frames, n_fft)
    low, high = (round(hz * n_fft / sample_rate) for hz in _BAND_HZ)
    n_blocks = (min(high, n_fft // 2) - low) // _BLOCK_BINS
    # In float64: NumPy's transform is more than twice as fast there as in float32.
    spectrum = np.fft.rfft(frames * _hann(n_fft))[:, low : low + n_blocks * _BLOCK_BINS]
    powers = np.square(spectrum.real) + np.square(spectrum.imag)
    floor = _NOISE_FLOOR * float(np.square(_hann(n_fft)).sum())
    return powers.reshape(n_frames, n_blocks, _BLOCK_BINS), floor


@lru_cache(maxsize=4)
def _hann(n_samples: int) -> _Powers:
    """Return a periodic Hann window."""
    turns = np.arange(n_samples) / n_samples
    return 0.5 - 0.5 * np.cos(2 * np.pi * turns)
