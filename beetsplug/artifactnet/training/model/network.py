"""ArtifactNet's stages, sized for a laptop: audio in, one logit a segment out.

STFT -> UNet mask in [0, 0.5] -> residual = mask x magnitude -> HPSS -> 7 channels ->
CNN -> logit, after arXiv 2604.16254, with four changes that were measured to
matter: bins of 1.3 Hz instead of 21.5 Hz, a second look at 2.7 Hz, heads that weigh
every bin of a segment's spectrum by itself, since where a comb stands tells more than that
there is one, and a head that hears how the level of each band rises and falls.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.dataset import SEGMENT_SAMPLES
from beetsplug.artifactnet.training.frame_rates import (
    MODULATION_BANDS,
    N_MODULATIONS,
    N_PARTS,
    ModulationSpectrum,
    line_combs,
    modulation_combs,
)
from beetsplug.artifactnet.training.reference import (
    COARSE_ENVELOPE_BINS,
    COARSE_HOP,
    COARSE_N_FFT,
    POWER_FLOOR,
    GridReference,
    Reference,
    ScaledReference,
    band,
    empty_share,
    fine_structure,
    local_contrast,
    power_floor,
    standing_out,
)
from beetsplug.artifactnet.training.stages import (
    Autocorrelation,
    HarmonicPercussive,
    Magnitude,
    differences,
)

MASK_BOUND = 0.5
DYNAMIC_RANGE_DB = 80.0


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; stored in the checkpoint and the model card."""

    n_fft: int = 32_768
    hop_length: int = 8_192
    n_bins: int = 10_240
    """Up to 13.8 kHz: where a lossy codec cuts off says nothing about who made a song."""
    time_taps: int = 5
    frequency_taps: int = 15
    mask_channels: tuple[int, ...] = (16, 32, 48)
    cnn_channels: tuple[int, ...] = (24, 32, 48, 64)
    patch: tuple[int, int] = (3, 32)
    """Frames and bins that the UNet's first layer takes together."""
    pooled_frames: int = 3
    """Frames averaged for HPSS and CNN; the mean spectrum needs them all."""
    n_lags: int = 1_600
    """Comb spacings that are heard, in bins: up to 2.15 kHz."""
    coarse_bins: int = 5_120
    """Of the second spectrum, up to the same frequency."""
    n_grids: int = 5
    """Decoders whose grids are heard."""
    whitening_bins: int = 128
    n_pooled_bands: int = 8
    dropout: float = 0.4

    def as_dict(self) -> dict[str, object]:
        """Return the sizes as JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def _block(n_in: int, n_out: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


class MaskUNet(nn.Module):
    """A small UNet over patches of the log magnitude: how much of each cell to keep."""

    def __init__(self, channels: tuple[int, ...], patch: tuple[int, int]) -> None:
        super().__init__()
        one, two, three = channels
        self.patch = patch
        self.stem = nn.Sequential(
            nn.Conv2d(1, one, patch, stride=patch, bias=False),
            nn.BatchNorm2d(one),
            nn.ReLU(inplace=True),
            _block(one, one),
        )
        self.down_1 = nn.Sequential(_block(one, two, (2, 2)), _block(two, two))
        self.down_2 = nn.Sequential(_block(two, three, (1, 2)), _block(three, three))
        self.up_1 = _block(three + two, two)
        self.up_2 = _block(two + one, one)
        self.head = nn.Linear(one, patch[0] * patch[1])
        # Zero weights: the untrained mask is 0.25 everywhere, and changes nothing.
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, log_magnitude: Tensor) -> Tensor:
        """Return the mask (batch, n_frames, n_bins), in [0, 0.5]."""
        stem = self.stem(log_magnitude[:, None])
        middle = self.down_1(stem)
        bottom = self.down_2(middle)
        up = nn.functional.interpolate(bottom, scale_factor=(1.0, 2.0), mode="nearest")
        up = self.up_1(torch.cat([up, middle], 1))
        up = nn.functional.interpolate(up, scale_factor=(2.0, 2.0), mode="nearest")
        up = self.up_2(torch.cat([up, stem], 1))
        # (batch, patches in time, in frequency, cells of a patch)
        cells = self.head(up.permute(0, 2, 3, 1)).unflatten(3, self.patch)
        return MASK_BOUND * torch.sigmoid(cells.transpose(2, 3).flatten(3).flatten(1, 2))


def seven_channels(
    residual: Tensor, harmonic: Tensor, percussive: Tensor, *, whitening_bins: int
) -> Tensor:
    """Return the CNN's input (batch, 7, n_frames, n_bins).

    Log powers of residual, harmonic and percussive part under one 80-dB clamp, each
    minus its mean over its block of ``whitening_bins`` bins; the residual's first and
    second difference in time, harmonic minus percussive, and the size of the first
    difference; in units of 10 dB. Whitened, a channel tells how a spectrum is built
    up, and not what kind of music it is.
    """
    powers = torch.stack([residual, harmonic, percussive], 1).square()
    levels = 10 * torch.log10(powers + POWER_FLOOR)
    peak = levels.amax(dim=(1, 2, 3), keepdim=True)
    levels = torch.maximum(levels, peak - DYNAMIC_RANGE_DB)
    blocks = levels.unflatten(3, (-1, whitening_bins))
    levels = (blocks - blocks.mean(4, keepdim=True)).flatten(3) / 10
    first = differences(levels[:, 0])
    second = differences(first)
    contrast = levels[:, 1] - levels[:, 2]
    rest = torch.stack([first, second, contrast, first.abs()], 1)
    return torch.cat([levels, rest], 1)


class ResidualCNN(nn.Module):
    """The CNN over the seven channels: one logit from what the mean spectrum lacks."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        first, *rest = config.cnn_channels
        patch = (1, config.patch[1])
        self.stem = nn.Sequential(
            nn.Conv2d(7, first, patch, stride=patch, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
        )
        blocks, n_in = [], first
        for n_out in rest:
            blocks.append(_block(n_in, n_out, (2, 2)))
            n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.band_bins = config.n_bins // patch[1] // 2 ** len(rest) // config.n_pooled_bands
        self.drop = nn.Dropout(config.dropout)
        self.out = nn.Linear(n_in * (config.n_pooled_bands + 1), 1)

    def forward(self, channels: Tensor) -> Tensor:
        """Return (batch,) logits of (batch, 7, n_frames, n_bins)."""
        features = self.blocks(self.stem(channels)).mean(2)
        bands = features.unflatten(2, (-1, self.band_bins)).mean(3)
        pooled = torch.cat([bands.flatten(1), features.amax(2)], 1)
        return self.out(self.drop(pooled))[:, 0]


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

    def set(self, grids: GridReference) -> None:
        """Take over the regressions of :func:`reference.fit_grids`.

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

    def set(self, coarse: Reference) -> None:
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

    def set(self, rates: ScaledReference) -> None:
        """Take over a regression on :func:`frame_rates.rate_features`."""
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


class Spectra(NamedTuple):
    """What a network hears of segments."""

    magnitude: Tensor
    """(batch, n_frames, n_bins)."""
    coarse: Tensor
    """(batch, n_coarse_bins), mean over frames, decibels."""
    modulation: Tensor
    """(batch, n_bands, n_modulations), decibels."""

    def joined(self) -> Spectra:
        """Return the spectra of all segments as of one: all their frames, the others' means."""
        return Spectra(
            self.magnitude.flatten(0, 1)[None],
            self.coarse.mean(0, keepdim=True),
            self.modulation.mean(0, keepdim=True),
        )


BRANCH_LIMITS = (math.inf, 1.0, 1.0, 4.0, math.inf, 4.0, math.inf)
"""The most that each of :meth:`ArtifactNetwork.all_branches` counts for. Heads of combs and
grids are loudest where music itself stands on a grid, as looped samples do; up to these
limits they say of generated clips all that they have to say. The CNN, which knows its training
clips by heart, is now and then sure beyond measure of what it never heard, and one such track
would set the threshold for all."""


_BINS, _COARSE = 0, 4
"""Places of per-bin and coarse head in :meth:`ArtifactNetwork.all_branches`."""


def counted(branches: Tensor) -> Tensor:
    """Return what branches (n, 7) count for: up to their limits, one resolution by the other.

    A decoder's lines stand out at either resolution. The loops of a tracker module stand
    out most at the finer one, so the per-bin head counts for no more than the coarse head,
    which has heard modules, says.
    """
    limited = torch.minimum(branches, torch.tensor(BRANCH_LIMITS, dtype=branches.dtype))
    confirmed = torch.minimum(branches[:, _BINS], branches[:, _COARSE])
    return torch.cat([confirmed[:, None], limited[:, 1:]], 1)


class ArtifactNetwork(nn.Module):
    """The whole detector: (batch, 176400) samples at 44.1 kHz to (batch,) logits."""

    fusion: Tensor

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        c = self.config
        self.magnitude = Magnitude(c.n_fft, c.hop_length, c.n_bins)
        self.mask = MaskUNet(c.mask_channels, c.patch)
        self.hpss = HarmonicPercussive(c.time_taps, c.frequency_taps)
        self.cnn = ResidualCNN(c)
        self._band = band(c.n_fft)
        n_band = self._band.stop - self._band.start
        self.bins = nn.Linear(n_band, 1)
        self.comb = CombHead(n_band, c.n_lags)
        self.grid = GridHead(n_band, c.n_grids).requires_grad_(False)
        self.coarse = CoarseHead(c.coarse_bins).requires_grad_(False)
        self.rates = FrameRateHead(n_band).requires_grad_(False)
        self.register_buffer("fusion", torch.ones(7))

    def set_heads(self, bins: Reference, comb: ScaledReference) -> None:
        """Start the linear heads that are trained where the reference regressions ended."""
        with torch.no_grad():
            self.bins.weight.copy_(torch.tensor(bins.weights)[None])
            self.bins.bias.fill_(bins.bias)
            self.comb.lags.weight.copy_(torch.tensor(comb.weights)[None])
            self.comb.lags.bias.fill_(comb.bias)
            self.comb.mean.copy_(torch.tensor(comb.mean))
            self.comb.scale.copy_(torch.tensor(comb.scale))

    def residual(self, magnitude: Tensor, log_magnitude: Tensor) -> Tensor:
        """Return mask x magnitude (batch, n_frames, n_bins), scaled to keep its level.

        Args:
            magnitude: (batch, n_frames, n_bins).
            log_magnitude: Its log power, base 10, on the power floor.

        Divided by 0.25, the mask of an untrained UNet, so that the power floor means
        the same before and after training.
        """
        level = log_magnitude.mean(dim=(1, 2), keepdim=True)
        mask = self.mask((log_magnitude - level) / 2)
        return mask * magnitude * (2 / MASK_BOUND)

    def branches(
        self, magnitude: Tensor, *, bin_dropout: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits of per-bin head, comb head and CNN, (batch,) each.

        Args:
            magnitude: (batch, n_frames, n_bins).
            bin_dropout: Share of bins that the per-bin head does without, in training.
        """
        log_magnitude = torch.log10(magnitude.square() + POWER_FLOOR)
        residual = self.residual(magnitude, log_magnitude)
        levels = 10 * torch.log10(residual.square() + POWER_FLOOR)
        fine = fine_structure(standing_out(levels))[:, self._band]
        per_bin = self.bins(nn.functional.dropout(fine, bin_dropout, self.training))[:, 0]
        pooled = residual.unflatten(1, (-1, self.config.pooled_frames)).mean(2)
        channels = seven_channels(
            pooled, *self.hpss(pooled), whitening_bins=self.config.whitening_bins
        )
        return per_bin, self.comb(fine), self.cnn(channels)

    def spectra(self, audio: Tensor) -> Spectra:
        """Return all that is heard of (batch, 176400) samples."""
        return Spectra(
            self.magnitude(audio), self.coarse.spectrum(audio), self.rates.modulation(audio)
        )

    def all_branches(self, audio: Tensor) -> Tensor:
        """Return (batch, 7), of (batch, 176400) samples, what :meth:`weighed` gives."""
        return self.weighed(self.spectra(audio))

    def weighed(self, spectra: Spectra) -> Tensor:
        """Return (batch, 7): logits of :meth:`branches` and the other heads, the empty share.

        Grid, coarse and frame-rate head hear the whole spectrum and not the residual: their
        weights were fitted to that, and must mean the same whatever the mask becomes. Where
        a band is empty the heads hear no music in it, which is not the same as hearing none
        of what tells music from a decoder's output.
        """
        magnitude, coarse, modulation = spectra
        levels = 10 * torch.log10(magnitude.square() + POWER_FLOOR)
        whole = fine_structure(standing_out(levels))[:, self._band]
        fitted = [self.grid(whole), self.coarse(coarse), self.rates(modulation, whole)]
        empty = empty_share(levels.mean(1)[:, self._band], POWER_FLOOR)
        return torch.stack([*self.branches(magnitude), *fitted, empty], 1)

    def forward(self, audio: Tensor) -> Tensor:
        """Return (batch,) logits: the weighted sum of what the branches count for."""
        return counted(self.all_branches(audio)) @ self.fusion
