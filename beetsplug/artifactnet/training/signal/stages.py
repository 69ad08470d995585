"""The signal stages as torch modules that export to plain ONNX operators.

Every stage has an oracle in the tests: NumPy's FFT, SciPy's median filter, librosa's
HPSS.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class TwoStepDFT(nn.Module):
    """The discrete Fourier transform of real rows, as two steps of matrix products.

    Sample ``n_second * i + j`` goes to bin ``k + n_first * m``, after Cooley and Tukey (1965).
    It takes a transform over i, a twiddle, and a transform over j. Half of the products are
    spared three times. In either step the sums of both halves of the samples give the even
    outputs, and the differences the odd ones. And rows are real, so bins ``n_first - k`` come
    from the same products as bins ``k``. Several times faster than ONNX's own ``STFT`` and
    ``DFT`` operators, and exact to 5e-6. The weights are some 4 x ``n`` numbers instead of
    ``n`` x ``n``.

    Args:
        n: Points, a power of two from 16 up.
        n_bins: Bins to compute, from 0 up; a multiple of twice :func:`first_step`.
    """

    first_even: Tensor
    first_odd: Tensor
    turn_even: Tensor
    turn_odd: Tensor
    second_even: Tensor
    second_odd: Tensor
    order: Tensor

    def __init__(self, n: int, n_bins: int) -> None:
        super().__init__()
        if n < 16 or n & (n - 1):
            raise ValueError(f"n={n} must be a power of two from 16 up")
        n_first = first_step(n)
        if n_bins % (2 * n_first) or not 0 < n_bins <= n:
            raise ValueError(f"n_bins={n_bins} must be a multiple of {2 * n_first}, up to {n}")
        self.n_first, self.n_second = n_first, n // n_first
        half = self.n_second // 2
        even, odd = np.arange(0, n_first // 2 + 1, 2), np.arange(1, n_first // 2, 2)
        for name, k in (("even", even), ("odd", odd)):
            first = _rotations(np.outer(k, np.arange(n_first // 2)), n_first)
            constant(self, f"first_{name}", np.concatenate([first.real, first.imag]))
            turn = _rotations(np.outer(k, np.arange(self.n_second)), n)
            turn = turn.reshape(len(k), 2, half).transpose(1, 0, 2)
            constant(self, f"turn_{name}", np.stack([turn.real, turn.imag]))
        # Column n_bins / n_first is there for the mirrored bins below it.
        columns = np.arange(n_bins // n_first + 1)
        for name, m in (("even", columns[::2]), ("odd", columns[1::2])):
            second = _rotations(np.outer(np.arange(half), m), self.n_second)
            matrix = np.concatenate([second.real, -second.imag], axis=1)
            constant(self, f"second_{name}", matrix)
        self.register_buffer("order", _row_order(even, odd, n_first), persistent=False)

    def grid(self, rows: Tensor) -> Tensor:
        """Return (..., 2, n_samples / n_second, n_second / 2) of samples (..., n_samples).

        Sample n_second * i + j stands in row i and column j, of the first half of the
        columns or the second. So the grid of a row is that of its parts on top of each
        other.
        """
        return rows.unflatten(-1, (-1, 2, self.n_second // 2)).transpose(-3, -2)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the real and imaginary part (batch, n_rows, n_bins) of (batch, n_rows, n)."""
        products = self._products(*self.grid(rows).chunk(2, dim=-2))
        real, imaginary = zip(*(_parts(*of) for of in products), strict=True)
        return self._joined(*real), self._joined(*imaginary)

    def power(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the power (batch, n_rows, n_bins).

        Args:
            first: (batch, n_rows, 2, n_first / 2, n_second / 2), the rows' first half as
                :meth:`grid` returns it.
            second: Their second half.
        """
        products = self._products(first, second)
        parts = (_parts(*of) for of in products)
        powers = [
            (low_re * low_re + low_im * low_im, up_re * up_re + up_im * up_im)
            for (low_re, up_re), (low_im, up_im) in parts
        ]
        return self._joined(*powers)

    def _products(self, first: Tensor, second: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield cosine and sine products of real and imaginary rows, of even columns and odd.

        Four times (batch, n_rows, n_first / 2 + 1, n_columns / 2), one more in the even
        columns.
        """
        even_re, even_im = _turned(self.first_even @ (first + second), self.turn_even)
        odd_re, odd_im = _turned(self.first_odd @ (first - second), self.turn_odd)
        rows = torch.cat([even_re, odd_re, even_im, odd_im], dim=-2)
        near, far = rows.unbind(2)
        for folded, matrix in ((near + far, self.second_even), (near - far, self.second_odd)):
            of_re, of_im = (folded @ matrix).chunk(2, dim=-2)
            yield *of_re.chunk(2, dim=-1), *of_im.chunk(2, dim=-1)

    def _joined(self, even: tuple[Tensor, Tensor], odd: tuple[Tensor, Tensor]) -> Tensor:
        """Return (batch, n_rows, n_bins) of the lower and the mirrored rows of each."""
        (low_even, up_even), (low_odd, up_odd) = even, odd
        n_columns = low_odd.shape[-1]
        # A mirrored bin lies one column below that of the row it comes from.
        rows = [low_even[..., :n_columns], up_odd, low_odd, up_even[..., 1:]]
        ordered = torch.cat(rows, dim=2).index_select(2, self.order)
        return ordered.transpose(2, 3).flatten(2)


def _rotations(steps: NDArray[np.int64], n: int) -> NDArray[np.complex128]:
    return np.asarray(np.exp(-2j * np.pi * steps / n))


def _row_order(even: NDArray[np.int64], odd: NDArray[np.int64], n_first: int) -> Tensor:
    """Return which row of lower and mirrored rows holds bin k, for both kinds of columns."""
    k = np.concatenate([even, odd])
    place = np.empty(n_first, np.int64)
    place[k] = np.arange(len(k))
    mirrored = (k > 0) & (k < n_first // 2)
    place[n_first - k[mirrored]] = len(k) + np.flatnonzero(mirrored)
    return torch.from_numpy(np.concatenate([place, place + 2 * len(k)]))


def _turned(stepped: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """Return real and imaginary rows, stacked in dimension -2, times the twiddle."""
    re, im = stepped.chunk(2, dim=-2)
    return re * turn[0] - im * turn[1], re * turn[1] + im * turn[0]


def _parts(
    re_cos: Tensor, re_sin: Tensor, im_cos: Tensor, im_sin: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the real and the imaginary part, each of the lower and the mirrored rows."""
    return (re_cos + im_sin, re_cos - im_sin), (im_cos - re_sin, -im_cos - re_sin)


def first_step(n: int) -> int:
    """Return the points of the first step: ``sqrt(n)``, or the power of two below it."""
    return 1 << (n.bit_length() - 1) // 2


def constant(module: nn.Module, name: str, values: NDArray[np.float64]) -> None:
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
            most half of ``n_fft``.
        n_bins: Bins to compute, from 0 Hz up; at most ``n_fft // 2``.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int, n_bins: int) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.dft = TwoStepDFT(n_fft, n_bins)
        misfit = (n_fft // 2) % hop_length or hop_length % self.dft.n_second
        if misfit or n_bins > n_fft // 2:
            raise ValueError(f"n_fft={n_fft} does not fit hop {hop_length} and {n_bins} bins")
        constant(self, "window", np.hanning(n_fft + 1)[:-1])

    def forward(self, audio: Tensor) -> Tensor:
        """Return magnitudes (batch, n_frames, n_bins) of (batch, n_samples)."""
        first, second = self.dft.grid(self.window).chunk(2, dim=-2)
        halves, hops_per_half = self._half_frames(audio)
        power = self.dft.power(
            halves[:, :-hops_per_half] * first, halves[:, hops_per_half:] * second
        )
        return torch.sqrt(power + 1e-12)

    def _half_frames(self, audio: Tensor) -> tuple[Tensor, int]:
        """Return the grids of half frames, a hop apart, by joining those of hops."""
        hop = self.hop_length
        n_hops, per_half = audio.shape[1] // hop, self.n_fft // hop // 2
        hops = self.dft.grid(audio[:, : n_hops * hop].unflatten(1, (n_hops, hop)))
        n_halves = n_hops - per_half + 1
        return torch.cat([hops[:, i : i + n_halves] for i in range(per_half)], 3), per_half


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

    Two neighbouring medians share all values but one each. The two middle ones of the shared
    values are found once, and a median is its own value held between them.

    Args:
        values: (batch, n_frames, n_bins).
        taps: Odd.
        dim: 1 for time, 2 for frequency.
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
    # Every other value side by side: runs are copied faster than steps.
    parities = padded.unflatten(dim, (-1, 2)).unbind(dim + 1)
    slots = [parities[i % 2].narrow(dim, i // 2, n_pairs) for i in range(taps + 1)]
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
        """Return the harmonic and percussive parts of (batch, n_frames, n_bins)."""
        with torch.no_grad():
            harmonic = sliding_median(magnitude, self.time_taps, 1).square()
            percussive = sliding_median(magnitude, self.frequency_taps, 2).square()
            share = (harmonic + 5e-11) / (harmonic + percussive + 1e-10)
        return magnitude * share, magnitude * (1 - share)


def differences(values: Tensor) -> Tensor:
    """Return the difference of each frame (..., n_frames, n_bins) to the one before it.

    The first is zero.
    """
    steps = values[..., 1:, :] - values[..., :-1, :]
    return nn.functional.pad(steps, (0, 0, 1, 0))
