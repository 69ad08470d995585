"""The linear heads: one weight for each bin, spacing, grid or frame rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import (
    COARSE_ENVELOPE_BINS,
    COARSE_HOP,
    COARSE_N_FFT,
    MODULATION_BANDS,
    SEGMENT_SAMPLES,
)
from beetsplug.artifactnet.training.model.weights import (
    GridRegressions,
    Regression,
    ScaledRegression,
)
from beetsplug.artifactnet.training.signal.features import (
    band,
    fine_structure,
    local_contrast,
    power_floor,
)
from beetsplug.artifactnet.training.signal.frame_rates import (
    N_MODULATIONS,
    N_PARTS,
    ModulationSpectrum,
    line_combs,
    modulation_combs,
)
from beetsplug.artifactnet.training.signal.stages import Autocorrelation, Magnitude


class CombHead(nn.Module):
    """One weight a spacing: how much of a comb stands in the residual, of which grid."""

    mean: Tensor
    scale: Tensor

    def __init__(self, n_bins: int, n_lags: int) -> None:
        super().__init__()
        self.autocorrelation = Autocorrelation(n_bins, n_lags)
        self.register_buffer("mean", torch.zeros(n_lags))
        self.register_buffer("scale", torch.ones(n_lags))
        self.lags = nn.Linear(n_lags, 1)

    def forward(self, fine: Tensor) -> Tensor:
        """Return (batch,) logits of the fine structure (batch, n_bins)."""
        correlation = self.autocorrelation(fine)
        return self.lags((correlation - self.mean) * self.scale)[:, 0]

    def set(self, comb: ScaledRegression) -> None:
        """Take over a regression on :func:`~..signal.features.comb_features`."""
        with torch.no_grad():
            self.lags.weight.copy_(torch.tensor(comb.weights)[None])
            self.lags.bias.fill_(comb.bias)
            self.mean.copy_(torch.tensor(comb.mean))
            self.scale.copy_(torch.tensor(comb.scale))


class GridHead(nn.Module):
    """How much the sound is like the output of the likeliest of the decoders in the pairs.

    The regressions weigh the local contrast of the fine structure. That is linear in it,
    so the weights here are theirs with the contrast worked in.
    """

    def __init__(self, n_bins: int, n_grids: int) -> None:
        super().__init__()
        self.grids = nn.Linear(n_bins, n_grids)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, fine: Tensor) -> Tensor:
        """Return (batch,) logits of the fine structure (batch, n_bins)."""
        return self.grids(fine).amax(1)

    def set(self, grids: GridRegressions) -> None:
        """Take over the regressions of :func:`~..fit.regressions.fit_grids`.

        Raises:
            ValueError: They are of another number of decoders.
        """
        n_grids = self.grids.out_features
        if len(grids.weights) != n_grids:
            raise ValueError(f"{len(grids.weights)} grids for {n_grids} places")
        with torch.no_grad():
            self.grids.weight.copy_(on_fine_structure(torch.tensor(grids.weights)))
            self.grids.bias.copy_(torch.tensor(grids.bias))


def on_fine_structure(weights: Tensor) -> Tensor:
    """Return weights (n, n_bins) of the local contrast as such of the fine structure."""
    # The gradient of a linear function is its weights.
    fine = torch.zeros_like(weights, requires_grad=True)
    with torch.enable_grad():
        weighed = (local_contrast(fine) * weights).sum()
    return torch.autograd.grad(weighed, fine)[0]


class CoarseHead(nn.Module):
    """The per-bin regression on a spectrum of half the window length."""

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.magnitude = Magnitude(COARSE_N_FFT, COARSE_HOP, n_bins)
        self._band = band(COARSE_N_FFT)
        self.bins = nn.Linear(self._band.stop - self._band.start, 1)

    def spectrum(self, audio: Tensor) -> Tensor:
        """Return the mean log spectrum (batch, n_bins), decibels, of (batch, n_samples)."""
        powers = self.magnitude(audio).square() + power_floor(COARSE_N_FFT)
        return 10 * torch.log10(powers).mean(1)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return (batch,) logits of :meth:`spectrum`."""
        fine = fine_structure(spectrum, COARSE_ENVELOPE_BINS)[:, self._band]
        return self.bins(fine)[:, 0]

    def set(self, coarse: Regression) -> None:
        """Take over a regression."""
        with torch.no_grad():
            self.bins.weight.copy_(torch.tensor(coarse.weights)[None])
            self.bins.bias.fill_(coarse.bias)


class FrameRateHead(nn.Module):
    """One weight for each frame rate and each place where its comb may show.

    The regression weighs what stands on combs, which is linear in both spectra, so the
    weights here are its own with the combs worked in.
    """

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.modulation = ModulationSpectrum(SEGMENT_SAMPLES)
        self.rises = nn.Linear(len(MODULATION_BANDS) * N_MODULATIONS, 1)
        self.lines = nn.Linear(n_bins, 1, bias=False)

    def forward(self, modulation: Tensor, fine: Tensor) -> Tensor:
        """Return (batch,) logits.

        Args:
            modulation: (batch, n_bands, n_modulations), decibels.
            fine: (batch, n_bins), the fine structure of the spectrum.
        """
        return (self.rises(modulation.flatten(1)) + self.lines(fine))[:, 0]

    def set(self, rates: ScaledRegression) -> None:
        """Take over a regression on :func:`~..signal.frame_rates.rate_features`."""
        raw = torch.tensor(rates.weights * rates.scale).unflatten(0, (-1, N_PARTS))
        of_bands, of_halves = raw[:, : len(MODULATION_BANDS)], raw[:, len(MODULATION_BANDS) :]
        combs = torch.from_numpy(line_combs()).double()
        halves = torch.tensor_split(combs, [combs.shape[1] // 2], 1)
        lines = torch.cat([w @ half for w, half in zip(of_halves.T, halves, strict=True)])
        with torch.no_grad():
            rises = of_bands.T @ torch.from_numpy(modulation_combs()).double()
            self.rises.weight.copy_(rises.reshape(1, -1))
            self.rises.bias.fill_(rates.bias - rates.mean.astype(float) @ raw.flatten().numpy())
            self.lines.weight.copy_(on_fine_structure(lines[None]))
