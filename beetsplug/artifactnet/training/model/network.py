"""The detector: all segments of a song in, one verdict on what they hold together out.

Per segment STFT, UNet mask, residual, HPSS, seven channels and CNN, as in ArtifactNet's
pipeline. Then the frames of all segments are averaged and judged together: a comb too weak
for any single segment shows in the mean of seven. Each segment is judged by the same heads
as a song of its own, for the timeline.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import (
    CNN_LIMIT,
    CNN_WEIGHT,
    EMPTY_WEIGHT,
    MASK_BOUND,
    POWER_FLOOR,
    NetworkConfig,
)
from beetsplug.artifactnet.training.model.layers import (
    MaskUNet,
    ResidualCNN,
    seven_channels,
)
from beetsplug.artifactnet.training.model.weights import CountedRegression, Weights
from beetsplug.artifactnet.training.signal.pooled import (
    at_speeds,
    audible_frames,
    band,
    empty_share,
    mean_frames,
    near_clip,
    speed_margin,
    standing,
    standing_lines,
)
from beetsplug.artifactnet.training.signal.stages import HarmonicPercussive, Magnitude


class Output(NamedTuple):
    """What the network finds in one song."""

    probability: Tensor
    """(1,), P(AI) of the song."""
    segment_probabilities: Tensor
    """(n_segments,), P(AI) of each segment, judged as a song of its own."""
    evidence: Tensor
    """(n_branches,), the song's logit of each branch, in the order of ``BRANCHES``; of
    *standing* at the speed that tells most."""
    lines: Tensor
    """(1 + n_segments, n_bins), decibels, 0 to ``CLIP_DB``, by which each bin stands out
    of its neighbours: of the mean over the song's audible frames, then of each segment's."""


class Features(NamedTuple):
    """What the branches read: the song first, then its segments."""

    lines: Tensor
    """(1 + n_segments, n_bins), decibels, as in :class:`Output`."""
    cnn: Tensor
    """(1 + n_segments, n_features), of the CNN; of the song the mean over audible frames."""
    share: Tensor
    """(1 + n_segments,), one over the number of segments averaged."""
    frames: Tensor
    """(1 + n_segments,), audible ones."""
    empty: Tensor
    """(1 + n_segments,), share of bins, 0 to 1, that hold no more than the power floor."""


_SPEEDS_AT_ONCE = 15
"""The weights for so many speeds are in memory as float32 at the same time."""


class LineHead(nn.Module):
    """One weight a bin, and a bias that depends on how much was averaged.

    What stands out of a mean by chance shrinks with the number of frames in it, so few
    segments need another bias than many. A comb whose song was played a little faster or slower
    lies off its bins: the weights are moved along with it.
    """

    weight: Tensor
    unit: Tensor
    bias: Tensor
    of_count: Tensor

    def __init__(self, bins: slice) -> None:
        super().__init__()
        self.first_bin = bins.start
        weight = torch.zeros(bins.stop - bins.start, 1)
        moved, unit = at_speeds(weight[:, 0], self.first_bin)
        self.register_buffer("weight", weight)
        self.moved = nn.ParameterList(
            nn.Parameter(part.clone(), requires_grad=False)
            for part in moved.split(_SPEEDS_AT_ONCE, dim=1)
        )
        self.register_buffer("unit", unit)
        self.register_buffer("bias", torch.zeros(1))
        self.register_buffer("of_count", torch.zeros(2))

    def set(self, fitted: CountedRegression) -> None:
        """Take over a regression."""
        self.weight.copy_(torch.from_numpy(fitted.weights)[:, None])
        moved, unit = at_speeds(self.weight[:, 0], self.first_bin)
        for part, values in zip(self.moved, moved.split(_SPEEDS_AT_ONCE, dim=1), strict=True):
            part.copy_(values)
        self.unit.copy_(unit)
        self.bias.fill_(fitted.bias)
        self.of_count.copy_(torch.from_numpy(fitted.of_count))

    def forward(self, lines: Tensor, share: Tensor) -> Tensor:
        """Return logits (batch,), of the speed at which the lines tell most.

        Args:
            lines: (batch, n_bins), decibels.
            share: (batch,), one over the number of segments averaged.
        """
        bias = self.bias + self.of_count[0] * torch.sqrt(share) + self.of_count[1] * share
        own = (lines @ self.weight)[:, 0]
        others = torch.stack([(lines @ part).amax(1) for part in self.moved]).amax(0)
        return torch.maximum(own, others * self.unit - speed_margin(share)) + bias


class ArtifactNetwork(nn.Module):
    """Segments (n_segments, 176400) of one song at 44.1 kHz to :class:`Output`."""

    thresholds: Tensor
    slope: Tensor

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        sizes = self.config
        self.magnitude = Magnitude(sizes.n_fft, sizes.hop_length, sizes.n_bins)
        self.mask = MaskUNet(sizes.mask_channels, sizes.patch)
        self.hpss = HarmonicPercussive(sizes.time_taps, sizes.frequency_taps)
        self.cnn = ResidualCNN(sizes)
        self.of_cnn = nn.Linear(self.cnn.n_features, 1)
        self.band = band(sizes.n_fft)
        self.standing = LineHead(self.band)
        self.register_buffer("thresholds", torch.zeros(2))
        self.register_buffer("slope", torch.ones(1))

    @torch.no_grad()
    def set(self, fitted: Weights) -> None:
        """Take over fitted heads and the thresholds."""
        self.standing.set(fitted.standing)
        self.of_cnn.weight.copy_(torch.from_numpy(fitted.cnn.weights)[None])
        self.of_cnn.bias.fill_(fitted.cnn.bias)
        self.thresholds.copy_(torch.tensor([fitted.song_threshold, fitted.clip_threshold]))
        self.slope.fill_(fitted.slope)

    def levels(self, magnitude: Tensor) -> Tensor:
        """Return log powers on the power floor, decibels."""
        return 10 * torch.log10(magnitude.square() + POWER_FLOOR)

    def residual(self, magnitude: Tensor, levels: Tensor) -> Tensor:
        """Return mask x magnitude (batch, n_frames, n_bins), over half the mask's bound.

        Args:
            magnitude: (batch, n_frames, n_bins).
            levels: Its :meth:`levels`.
        """
        mean = levels.mean(dim=(1, 2), keepdim=True)
        return self.mask((levels - mean) / 20) * magnitude * (2 / MASK_BOUND)

    def channels(self, magnitude: Tensor) -> Tensor:
        """Return the CNN's input (batch, 7, n_pooled_frames, n_bins) of magnitudes."""
        residual = self.residual(magnitude, self.levels(magnitude))
        pooled = residual.unflatten(1, (-1, self.config.pooled_frames)).mean(2)
        parts = self.hpss(pooled)
        return seven_channels(pooled, *parts, whitening_bins=self.config.whitening_bins)

    def features(self, audio: Tensor) -> Features:
        """Return what the branches read of a song and of each of its segments.

        Args:
            audio: (n_segments, 176400).
        """
        magnitude = self.magnitude(audio)
        frames = audible_frames(audio, self.config.n_fft, self.config.hop_length)
        counts = frames.sum(1)
        total = counts.sum(0, keepdim=True)
        heard = torch.cat([total, counts])
        share = frames.shape[1] / heard.clamp(min=1.0)
        levels = self.levels(magnitude)
        lines = standing_lines(mean_frames(standing(levels), frames))
        means = mean_frames(levels, frames)[:, self.band]
        each = self.cnn(self.channels(magnitude))
        mean = (each * counts[:, None]).sum(0, keepdim=True) / total.clamp(min=1.0)
        empty = empty_share(means, POWER_FLOOR)
        return Features(lines, torch.cat([mean, each]), share, heard, empty)

    def threshold(self, share: Tensor) -> Tensor:
        """Return the sum (batch,) at which a song is called AI.

        Args:
            share: (batch,), one over the number of segments, above 1 where part of one is
                silent. The threshold is linear in it: that of a whole song, that of a single
                segment, and more where there is less to judge by.
        """
        song, clip = self.thresholds[0], self.thresholds[1]
        return song + (clip - song) * near_clip(share)

    def forward(self, audio: Tensor) -> Output:
        """Return what segments (n_segments, 176400) of one song hold.

        Where no frame is audible the probability is 0: silence is no evidence.
        """
        found = self.features(audio)
        # Of less than one segment the bias is not known: it was fitted to whole ones.
        of_lines = self.standing(found.lines[:, self.band], found.share.clamp(max=1.0))
        of_cnn = self.of_cnn(found.cnn)[:, 0]
        total = of_lines + CNN_WEIGHT * of_cnn.clamp(max=CNN_LIMIT)
        total = total - EMPTY_WEIGHT * found.empty
        probabilities = torch.sigmoid((total - self.threshold(found.share)) * self.slope)
        probabilities = probabilities * (found.frames > 0).float()
        evidence = torch.cat([of_lines[:1], of_cnn[:1]])
        return Output(probabilities[:1], probabilities[1:], evidence, found.lines)
