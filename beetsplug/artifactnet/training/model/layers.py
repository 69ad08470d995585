"""The two networks of ArtifactNet's stages, sized for a laptop, and what stands between them.

A UNet that masks the magnitude, the seven channels of the residual, and a CNN over them, after
arXiv 2604.16254.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import (
    CHANNEL_FLOOR,
    DYNAMIC_RANGE_DB,
    MASK_BOUND,
    NetworkConfig,
)
from beetsplug.artifactnet.training.signal.stages import differences


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

    First the log powers of residual, harmonic and percussive part under one 80-dB clamp, each
    minus its mean over its block of ``whitening_bins`` bins. Then the residual's first and
    second difference in time, harmonic minus percussive, and the size of the first difference.
    All are in units of 10 dB. Whitened, a channel shows the fine shape of a spectrum, not the
    kind of music.
    """
    powers = torch.stack([residual, harmonic, percussive], 1).square()
    levels = 10 * torch.log10(powers + CHANNEL_FLOOR)
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
