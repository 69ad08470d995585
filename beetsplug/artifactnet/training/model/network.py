"""ArtifactNet's stages, sized for a laptop: audio in, one logit a segment out.

STFT -> UNet mask in [0, 0.5] -> residual = mask x magnitude -> HPSS -> 7 channels -> CNN ->
logit, after arXiv 2604.16254. Four changes were measured to matter. Bins are 1.3 Hz wide
instead of 21.5 Hz. A second resolution has bins of 2.7 Hz. Linear heads weigh every bin of a
segment's spectrum by itself: the place of a comb is better evidence than its presence. And
one head reads how the level of each band rises and falls.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import (
    DYNAMIC_RANGE_DB,
    MASK_BOUND,
    POWER_FLOOR,
    NetworkConfig,
)
from beetsplug.artifactnet.training.model.fusion import Fusion
from beetsplug.artifactnet.training.model.heads import (
    CoarseHead,
    CombHead,
    FrameRateHead,
    GridHead,
)
from beetsplug.artifactnet.training.model.weights import HeadWeights
from beetsplug.artifactnet.training.signal.features import (
    band,
    empty_share,
    fine_structure,
    standing_out,
)
from beetsplug.artifactnet.training.signal.stages import (
    HarmonicPercussive,
    Magnitude,
    differences,
)


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
        # An odd number of patches in time became one more on the way down and up.
        up = self.up_2(torch.cat([up[:, :, : stem.shape[2]], stem], 1))
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
    difference; in units of 10 dB. Whitened, a channel shows the fine shape of a
    spectrum, not the kind of music.
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
    """The CNN over the seven channels: features that the mean spectrum lacks."""

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
        self.n_features = n_in * (config.n_pooled_bands + 1)

    def forward(self, channels: Tensor) -> Tensor:
        """Return (batch, n_features) of (batch, 7, n_frames, n_bins)."""
        features = self.blocks(self.stem(channels)).mean(2)
        bands = features.unflatten(2, (-1, self.band_bins)).mean(3)
        return torch.cat([bands.flatten(1), features.amax(2)], 1)


class Spectra(NamedTuple):
    """What the branches read of segments."""

    magnitude: Tensor
    """(batch, n_frames, n_bins)."""
    coarse: Tensor
    """(batch, n_coarse_bins), mean over frames, decibels."""
    modulation: Tensor
    """(batch, n_bands, n_modulations), decibels."""


class ArtifactNetwork(nn.Module):
    """The whole detector: (batch, 176400) samples at 44.1 kHz to (batch,) logits."""

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
        self.fusion = Fusion()

    def start_heads(self, fitted: HeadWeights) -> None:
        """Start the linear heads that are trained where their regressions ended."""
        with torch.no_grad():
            self.bins.weight.copy_(torch.tensor(fitted.bins.weights)[None])
            self.bins.bias.fill_(fitted.bins.bias)
        self.comb.set(fitted.comb)

    def set_heads(self, fitted: HeadWeights) -> None:
        """Fill the linear heads that are fitted apart."""
        self.grid.set(fitted.grids)
        self.coarse.set(fitted.coarse)
        self.rates.set(fitted.rates)

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
        """Return what the branches read of (batch, 176400) samples."""
        return Spectra(
            self.magnitude(audio), self.coarse.spectrum(audio), self.rates.modulation(audio)
        )

    def logits(self, spectra: Spectra) -> dict[str, Tensor]:
        """Return the logits (batch,) of every branch by name, in the order of ``BRANCHES``.

        Grid, coarse and frame-rate head read the whole spectrum and not the residual: their
        weights were fitted to that, and must mean the same with any mask. Where
        a band is empty, heads that find nothing in it say nothing about the music.
        """
        magnitude, coarse, modulation = spectra
        levels = 10 * torch.log10(magnitude.square() + POWER_FLOOR)
        whole = fine_structure(standing_out(levels))[:, self._band]
        grid, rates = self.grid(whole), self.rates(modulation, whole)
        empty = empty_share(levels.mean(1)[:, self._band], POWER_FLOOR)
        per_bin, comb, cnn = self.branches(magnitude)
        return {
            "per-bin": per_bin,
            "comb": comb,
            "cnn": cnn,
            "grid": grid,
            "coarse": self.coarse(coarse),
            "frame-rate": rates,
            "empty share": empty,
        }

    def forward(self, audio: Tensor) -> Tensor:
        """Return (batch,) logits of (batch, 176400) samples."""
        return self.fusion(self.logits(self.spectra(audio)))
