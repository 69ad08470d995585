"""The signal stages as torch modules that export to plain ONNX operators.

Every stage has an oracle in the tests: NumPy's FFT, SciPy's median filter, librosa's
HPSS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn


class TwoStepDFT(nn.Module):
    """The discrete Fourier transform of real rows, as two matrix products.

    Two steps of about ``sqrt(n)`` points with a twiddle between them (Cooley and
    Tukey, 1965), each one product with a constant matrix for all rows together. Rows are
    real, so the first step's upper half mirrors its lower one and is left out. Several
    times faster than ONNX's own ``STFT`` and ``DFT`` operators, with weights of some
    6 x ``n`` instead of ``n`` x ``n``, and exact to 5e-6.

    Args:
        n: Points, a power of two.
        n_bins: Bins to compute, from 0 up; a multiple of :func:`first_step`.
    """

    first: Tensor
    twiddle_re: Tensor
    twiddle_im: Tensor
    second: Tensor

    def __init__(self, n: int, n_bins: int) -> None:
        super().__init__()
        if n < 4 or n & (n - 1):
            raise ValueError(f"n={n} must be a power of two")
        n_first = first_step(n)
        if n_bins % n_first or not 0 < n_bins <= n:
            raise ValueError(f"n_bins={n_bins} must be a multiple of {n_first}, up to {n}")
        n_second = n // n_first
        self.n_first, self.n_second, self.n_columns = n_first, n_second, n_bins // n_first
        i, j, m = np.arange(n_first), np.arange(n_second), np.arange(self.n_columns)
        k = np.arange(n_first // 2 + 1)
        first = np.exp(-2j * np.pi * np.outer(i, k) / n_first)
        twiddle = np.exp(-2j * np.pi * np.outer(k, j) / n)
        # Row k also holds the conjugates of row n_first - k, its columns from the end.
        lower = np.exp(-2j * np.pi * np.outer(j, m) / n_second)
        upper = np.exp(-2j * np.pi * np.outer(j, n_second - 1 - m) / n_second)
        from_re = [lower.real, lower.imag, upper.real, -upper.imag]
        from_im = [-lower.imag, lower.real, -upper.imag, -upper.real]
        constant(self, "first", np.concatenate([first.real, first.imag], axis=1))
        constant(self, "twiddle_re", twiddle.real)
        constant(self, "twiddle_im", twiddle.imag)
        second = [np.concatenate(columns, axis=1) for columns in (from_re, from_im)]
        constant(self, "second", np.concatenate(second))

    def grid(self, rows: Tensor) -> Tensor:
        """Return (..., n_second, n_samples / n_second) of samples (..., n_samples).

        Sample n_second * i + j stands in row j and column i, so that the grid of a row is
        that of its parts side by side.
        """
        return rows.unflatten(-1, (-1, self.n_second)).transpose(-1, -2)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the real and imaginary part (batch, n_rows, n_bins) of (batch, n_rows, n)."""
        low_re, low_im, up_re, up_im = self._halves(self.grid(rows))
        return self._joined(low_re, up_re), self._joined(low_im, up_im)

    def power(self, grid: Tensor) -> Tensor:
        """Return the power (batch, n_rows, n_bins).

        Args:
            grid: (batch, n_rows, n_second, n_first), as :meth:`grid` returns it.
        """
        low_re, low_im, up_re, up_im = self._halves(grid)
        return self._joined(low_re * low_re + low_im * low_im, up_re * up_re + up_im * up_im)

    def _halves(self, grid: Tensor) -> tuple[Tensor, ...]:
        """Return four times (batch, n_rows, n_first / 2 + 1, n_columns)."""
        # Turned before the twiddle: a turn right before a product is done inside it by
        # onnxruntime, which is twice as slow.
        stepped = (grid @ self.first).transpose(-1, -2)
        re, im = stepped.chunk(2, dim=-2)
        turned = torch.cat(
            [
                re * self.twiddle_re - im * self.twiddle_im,
                re * self.twiddle_im + im * self.twiddle_re,
            ],
            dim=-1,
        )
        return (turned @ self.second).split(self.n_columns, dim=-1)

    def _joined(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return (batch, n_rows, n_bins): bin k + n_first * m from row k and column m."""
        rows = torch.cat([lower, upper[:, :, 1:-1].flip(2)], dim=2)
        return rows.transpose(2, 3).flatten(2)


def first_step(n: int) -> int:
    """Return the points of the first step: ``sqrt(n)``, or the power of two below it."""
    return 1 << (n.bit_length() - 1) // 2


def constant(module: nn.Module, name: str, values: np.ndarray) -> None:
    """Give a module a float32 constant that is not part of its checkpoints."""
    tensor = torch.tensor(values, dtype=torch.float32)
    module.register_buffer(name, tensor, persistent=False)


class Magnitude(nn.Module):
    """STFT magnitude: Hann window, whole frames alone.

    Nothing is padded: a mirrored end would repeat phases that the music never had, in
    a fifth of all frames.

    Args:
        n_fft: Window length in samples, a power of two.
        hop_length: Samples between frames; a power of two from ``sqrt(n_fft)`` up, at
            most ``n_fft``.
        n_bins: Bins to compute, from 0 Hz up; at most ``n_fft // 2``.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int, n_bins: int) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.dft = TwoStepDFT(n_fft, n_bins)
        if n_fft % hop_length or hop_length % self.dft.n_second or n_bins > n_fft // 2:
            raise ValueError(f"n_fft={n_fft} does not fit hop {hop_length} and {n_bins} bins")
        constant(self, "window", np.hanning(n_fft + 1)[:-1])

    def forward(self, audio: Tensor) -> Tensor:
        """Return magnitudes (batch, n_bins, n_frames) of (batch, n_samples)."""
        power = self.dft.power(self._frames(audio) * self.dft.grid(self.window))
        return torch.sqrt(power + 1e-12).transpose(1, 2)

    def _frames(self, audio: Tensor) -> Tensor:
        """Return the frames' grids (batch, n_frames, ...), by joining those of hops."""
        hop = self.hop_length
        n_hops = audio.shape[1] // hop
        hops = self.dft.grid(audio[:, : n_hops * hop].unflatten(1, (n_hops, hop)))
        per_frame = self.n_fft // hop
        n_frames = n_hops - per_frame + 1
        return torch.cat([hops[:, i : i + n_frames] for i in range(per_frame)], dim=3)


class Autocorrelation(nn.Module):
    """Autocorrelation of a spectrum: a comb shows at its spacing, wherever it starts.

    Args:
        n_bins: Length of the spectrum.
        n_lags: Lags to return, from 1 bin up.
        n: Points of the transform, a power of two, at least ``n_bins + n_lags``.
    """

    def __init__(self, n_bins: int, n_lags: int, n: int = 16384) -> None:
        super().__init__()
        if n < n_bins + n_lags:
            raise ValueError(f"{n} points wrap around with {n_bins} bins and {n_lags} lags")
        step = first_step(n)
        self.padding, self.n_lags = n - n_bins, n_lags
        self.forth = TwoStepDFT(n, n)
        self.back = TwoStepDFT(n, step * math.ceil((n_lags + 1) / step))

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return (batch, n_lags) in [-1, 1] for (batch, n_bins), its mean removed."""
        centred = spectrum - spectrum.mean(1, keepdim=True)
        padded = nn.functional.pad(centred, (0, self.padding))[:, None]
        power = self.forth.power(self.forth.grid(padded))
        correlation = self.back(power)[0][:, 0]
        return correlation[:, 1 : self.n_lags + 1] / (correlation[:, :1] + 1e-3)


def selection_network(n: int, *places: int) -> list[tuple[int, int]]:
    """Return the comparators that bring the right values of ``n`` to these places.

    Batcher's odd-even merge sort (1968) without the comparators that the places do not
    depend on.
    """
    pairs = [pair for pair in _batcher(1 << (n - 1).bit_length()) if max(pair) < n]
    needed, kept = set(places), []
    for low, high in reversed(pairs):
        if low in needed or high in needed:
            needed |= {low, high}
            kept.append((low, high))
    return kept[::-1]


def _batcher(n: int) -> Iterator[tuple[int, int]]:
    """Yield the comparators of the merge sort of ``n`` values, ``n`` a power of two."""
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        yield i, i + k
            k //= 2
        p *= 2


def sliding_median(values: Tensor, taps: int, dim: int) -> Tensor:
    """Return the centred median over ``taps`` neighbours along ``dim``, edges reflected.

    Two neighbouring medians share all values but one each: the two middle ones of those
    that they share are found once, and a median is its own value held between them.

    Args:
        values: (batch, n_bins, n_frames).
        taps: Odd.
        dim: 1 for frequency, 2 for time.
    """
    half = taps // 2
    length = values.shape[dim]
    if half == 0:
        return values
    n_pairs = (length + 1) // 2
    pad = (half, half, 0, 0) if dim == 2 else (0, 0, half, half)
    padded = nn.functional.pad(values[:, None], pad, mode="reflect")[:, 0]
    if length % 2:
        # One more, that only the second of the last pair depends on.
        padded = torch.cat([padded, padded.narrow(dim, 0, 1)], dim)
    ranges = [slice(i, i + 2 * n_pairs - 1, 2) for i in range(taps + 1)]
    slots = [padded[:, r] if dim == 1 else padded[:, :, r] for r in ranges]
    first, *shared, second = slots
    low, high = _middle_two(shared)
    medians = [torch.maximum(low, torch.minimum(high, own)) for own in (first, second)]
    return torch.stack(medians, dim + 1).flatten(dim, dim + 1).narrow(dim, 0, length)


def _middle_two(slots: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the two middle values of an even number of tensors, place by place."""
    middle = len(slots) // 2
    network = selection_network(len(slots), middle - 1, middle)
    last_use = {slot: i for i, pair in enumerate(network) for slot in pair}
    for i, (low, high) in enumerate(network):
        a, b = slots[low], slots[high]
        # Where a place is not read again, its half of the comparator is dead.
        if last_use[low] > i or low in (middle - 1, middle):
            slots[low] = torch.minimum(a, b)
        if last_use[high] > i or high in (middle - 1, middle):
            slots[high] = torch.maximum(a, b)
    return slots[middle - 1], slots[middle]


class HarmonicPercussive(nn.Module):
    """Median-filter HPSS with soft masks of power 2 (Fitzgerald, DAFx 2010).

    Args:
        time_taps: Frames of the median that keeps what is steady.
        frequency_taps: Bins of the median that keeps what is sudden.
    """

    def __init__(self, time_taps: int, frequency_taps: int) -> None:
        super().__init__()
        self.time_taps, self.frequency_taps = time_taps, frequency_taps

    def forward(self, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        """Return the harmonic and percussive parts of (batch, n_bins, n_frames)."""
        with torch.no_grad():
            harmonic = sliding_median(magnitude, self.time_taps, 2).square()
            percussive = sliding_median(magnitude, self.frequency_taps, 1).square()
            share = (harmonic + 5e-11) / (harmonic + percussive + 1e-10)
        return magnitude * share, magnitude * (1 - share)


def differences(values: Tensor) -> Tensor:
    """Return the difference of each frame to the one before it; the first is zero."""
    return nn.functional.pad(values[..., 1:] - values[..., :-1], (1, 0))
