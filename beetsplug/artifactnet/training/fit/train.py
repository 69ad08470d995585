"""One training run: a dataset and a set of clips in, a network out, resumable.

The two linear heads start where the reference regressions of the same clips ended;
mask and CNN start from random weights and a mask of 0.25 everywhere; the grid head is
fitted apart and takes no part in training. Each branch is trained on its own logit, so
none can lean on another; how they are weighed against each other is decided on clips
that none of them heard.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.training.corpus import Clip, without_modules
from beetsplug.artifactnet.training.dataset import (
    CROP_SAMPLES,
    SEGMENT_SAMPLES,
    Dataset,
    sample_weights,
    weighted_rows,
)
from beetsplug.artifactnet.training.frame_rates import rate_features
from beetsplug.artifactnet.training.network import ArtifactNetwork, NetworkConfig
from beetsplug.artifactnet.training.pairs import Pairs
from beetsplug.artifactnet.training.reference import (
    Reference,
    ScaledReference,
    coarse_features,
    comb_features,
    fit_reference,
    fit_scaled,
    one_thread,
    reference_features,
    standing_features,
)

log = logging.getLogger(__name__)

_PAIRS_OF_COARSE, _PAIRS_OF_RATES = 0.1, 0.3
"""Weight of all pairs against all crops, of coarse and frame-rate regression."""
REAL_WEIGHT, _REAL_WEIGHT_OF_COARSE = 16.0, 4.0
"""Weight of a real crop against a generated one, of per-bin and coarse head. Balanced, a
regression puts up with a few real crops that score high; a threshold that lets none of them
through is then set by these few, and out of reach for what is generated."""
_MODULE_WEIGHT = 2.0
"""Weight of a module's crop against others in both: beside pairs, in which there are no
modules, more of them were suspects."""


@dataclass(frozen=True)
class TrainConfig:
    """The budget and the optimiser."""

    n_segments: int = 16_000
    """Segments seen in all, with repetition."""
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    head_learning_rate: float = 5e-5
    """For the linear heads, which start fitted."""
    weight_decay: float = 0.02
    head_anchor: float = 2e-3
    """Pull of the linear heads towards the references' weights."""
    real_weight: float = REAL_WEIGHT
    """Of a real segment against a generated one, in the per-bin head's loss."""
    bin_dropout: float = 0.25
    ema_decay: float = 0.985
    gain_db: float = 6.0
    seed: int = 0
    checkpoint_steps: int = 50
    network: NetworkConfig = field(default_factory=NetworkConfig)


@dataclass(frozen=True)
class Features:
    """The reference features of every crop of a dataset."""

    fine: NDArray[np.float32]
    """(n_crops, n_bins), decibels: of the reference alone."""
    standing: NDArray[np.float32]
    """(n_crops, n_bins), decibels: of all heads that hear the finer resolution."""
    comb: NDArray[np.float32]
    """(n_crops, n_lags), of these."""
    coarse: NDArray[np.float32]
    """(n_crops, n_coarse_bins), decibels."""
    rates: NDArray[np.float32]
    """(n_crops, n_rates * n_parts), decibels."""


@dataclass(frozen=True)
class References:
    """The regressions of the network's linear heads.

    Per-bin and comb head start from theirs. Coarse and frame-rate head take their own as
    they are, after the training.
    """

    bins: Reference
    comb: ScaledReference
    coarse: Reference
    rates: ScaledReference


def cached_features(dataset: Dataset, folder: Path) -> Features:
    """Return the reference features of every crop, from disk when they are there."""
    fine_path, comb_path = folder / "features-fine.npy", folder / "features-comb.npy"
    standing_path = folder / "features-standing.npy"
    coarse_path, rates_path = folder / "features-coarse.npy", folder / "features-rates.npy"
    if not fine_path.exists():
        # A segment's length from the start of the crop: as the detector reads.
        np.save(fine_path, reference_features(dataset.samples[:, :SEGMENT_SAMPLES]))
    fine = np.load(fine_path, mmap_mode="r")
    if not standing_path.exists():
        np.save(standing_path, standing_features(dataset.samples[:, :SEGMENT_SAMPLES]))
    standing = np.load(standing_path, mmap_mode="r")
    if not comb_path.exists():
        np.save(comb_path, comb_features(standing))
    if not coarse_path.exists():
        np.save(coarse_path, coarse_features(dataset.samples[:, :SEGMENT_SAMPLES]))
    if not rates_path.exists():
        np.save(rates_path, rate_features(dataset.samples[:, :SEGMENT_SAMPLES], standing))
    paths = (comb_path, coarse_path, rates_path)
    return Features(fine, standing, *(np.load(path, mmap_mode="r") for path in paths))


@dataclass(frozen=True)
class Examples:
    """What a regression is fitted to."""

    features: NDArray[np.float32]
    """(n, n_features)."""
    labels: NDArray[np.int64]
    """(n,), 1 for AI."""
    weights: NDArray[np.float64]
    """(n,)."""

    def with_heavier_real(self, factor: float) -> Examples:
        """Return these with real ones that weigh so much more; all together weigh the same.

        Both classes weigh the same before.
        """
        return replace(self, weights=self.weights * class_weights(self.labels, factor))

    def with_generated(self, features: NDArray[np.float32], weight: float) -> Examples:
        """Return these and more that are generated, which weigh so much together."""
        n_more = len(features)
        return Examples(
            np.concatenate([self.features, features]),
            np.append(self.labels, np.ones(n_more, np.int64)),
            np.append(self.weights, np.full(n_more, weight / n_more)),
        )


def class_weights(labels: NDArray[np.int64], factor: float) -> NDArray[np.float64]:
    """Return weights (n,) of labels: of 0 ``factor`` times that of 1, the mean of both 1."""
    return np.where(labels == 0, factor, 1.0) * 2 / (1 + factor)


def fit_references(
    dataset: Dataset,
    features: Features,
    clips: Sequence[Clip],
    pairs: Sequence[Pairs] = (),
) -> References:
    """Return the reference regressions of these clips, all variants.

    Coarse and frame-rate head alone hear modules and pairs. With modules the per-bin head
    lost more of what is generated than it gained, and the comb head's limit does for them;
    with pairs it lost more in one fold than it gained in another.

    Args:
        dataset: What the clips are of.
        features: Of all its crops.
        clips: To fit to; of the pairs, those made of their crops alone are heard.
        pairs: Of every decoder.
    """
    rows, weights = weighted_rows(dataset, without_modules(clips))
    labels = dataset.labels[rows]
    bins = Examples(features.standing[rows], labels, weights).with_heavier_real(REAL_WEIGHT)
    return References(
        fit_reference(bins.features, labels, bins.weights),
        fit_scaled(features.comb[rows], labels, weights, inverse_penalty=1e-3),
        fit_coarse(dataset, features, clips, pairs),
        fit_rates(rate_examples(dataset, features, clips, pairs)),
    )


def fit_coarse(
    dataset: Dataset, features: Features, clips: Sequence[Clip], pairs: Sequence[Pairs] = ()
) -> Reference:
    """Return the coarse head's regression, as :func:`fit_references` does."""
    of_pairs = [(made.rows, made.coarse) for made in pairs]
    examples = _examples(dataset, features.coarse, clips, of_pairs, _PAIRS_OF_COARSE)
    examples = examples.with_heavier_real(_REAL_WEIGHT_OF_COARSE)
    return fit_reference(examples.features, examples.labels, examples.weights)


def rate_examples(
    dataset: Dataset, features: Features, clips: Sequence[Clip], pairs: Sequence[Pairs] = ()
) -> Examples:
    """Return what the frame-rate head's regression is fitted to in :func:`fit_references`."""
    of_pairs = [(made.rows, made.rates) for made in pairs]
    return _examples(dataset, features.rates, clips, of_pairs, _PAIRS_OF_RATES)


def _examples(
    dataset: Dataset,
    features: NDArray[np.float32],
    clips: Sequence[Clip],
    of_pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]],
    share: float,
) -> Examples:
    """Return the crops of clips, and what was made of them, which weighs that share of them.

    Args:
        dataset: What the clips are of.
        features: (n_crops, n_features), of all its crops.
        clips: Whose crops.
        of_pairs: Of each decoder, the rows (n,) that it was given and what came out
            (n, n_features).
        share: Weight of all pairs against all crops.
    """
    rows, weights = weighted_rows(dataset, clips)
    is_module = [dataset.clips[dataset.crops[row].clip].is_module for row in rows]
    examples = Examples(
        features[rows], dataset.labels[rows], weights * np.where(is_module, _MODULE_WEIGHT, 1.0)
    )
    heard = [values[np.isin(made_of, rows)] for made_of, values in of_pairs]
    if heard:
        examples = examples.with_generated(np.concatenate(heard), share * weights.sum())
    return examples


def fit_rates(examples: Examples) -> ScaledReference:
    """Return the regression of the frame-rate head on features of its kind."""
    return fit_scaled(
        examples.features, examples.labels, examples.weights, inverse_penalty=1e-4
    )


def train(
    dataset: Dataset,
    clips: Sequence[Clip],
    references: References,
    folder: Path,
    config: TrainConfig | None = None,
) -> ArtifactNetwork:
    """Return a network trained on these clips, with averaged weights, in eval mode.

    Modules are left out: they teach heads that are not trained here. On one thread, so
    that the same comes out everywhere.

    A checkpoint in ``folder`` is resumed; a finished run is loaded. The log of losses
    is ``log.jsonl`` in ``folder``.
    """
    config = config or TrainConfig()
    with one_thread():
        run = _Run(dataset, clips, references, config)
        run.finish(folder)
    network = ArtifactNetwork(config.network)
    network.load_state_dict(run.average)
    return network.eval()


class _Run:
    """The state of one training: weights, their average, optimiser, random numbers."""

    def __init__(
        self,
        dataset: Dataset,
        clips: Sequence[Clip],
        references: References,
        config: TrainConfig,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.dataset = config, dataset
        self.rows = dataset.rows(without_modules(clips))
        self.weights = sample_weights(dataset, self.rows)
        self.labels = dataset.labels
        self.network = ArtifactNetwork(config.network)
        self.network.set_heads(references.bins, references.comb)
        self.heads = [self.network.bins, self.network.comb.lags]
        self.anchors = [head.weight.detach().clone() for head in self.heads]
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.n_steps = math.ceil(config.n_segments / config.batch_size)
        self.step = 0
        self.started = time.monotonic()
        heads = [p for head in self.heads for p in head.parameters()]
        rest = [
            p
            for p in self.network.parameters()
            if p.requires_grad and not any(p is h for h in heads)
        ]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": rest, "lr": config.learning_rate},
                {"params": heads, "lr": config.head_learning_rate, "weight_decay": 0.0},
            ],
            weight_decay=config.weight_decay,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._pace)

    def _pace(self, step: int) -> float:
        warm = min(1.0, (step + 1) / 40)
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.n_steps)))

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Draw a batch; its random numbers depend on the step alone, so runs resume."""
        rng = np.random.default_rng([self.config.seed, self.step])
        rows = rng.choice(self.rows, self.config.batch_size, p=self.weights)
        starts = rng.integers(0, CROP_SAMPLES - SEGMENT_SAMPLES, len(rows))
        gains = 10 ** (rng.uniform(-self.config.gain_db, 0, len(rows)) / 20)
        audio = np.stack(
            [
                self.dataset.samples[row, start : start + SEGMENT_SAMPLES] * np.float32(gain)
                for row, start, gain in zip(rows, starts, gains, strict=True)
            ]
        )
        labels = torch.tensor(self.labels[rows], dtype=torch.float32)
        return torch.from_numpy(audio.astype(np.float32) / 32767), labels

    def _magnitude(self, audio: Tensor) -> Tensor:
        config = self.network.config
        spectrum = torch.stft(
            audio,
            config.n_fft,
            hop_length=config.hop_length,
            window=self.network.magnitude.window,
            center=False,
            return_complex=True,
        )
        return spectrum[:, : config.n_bins].abs().transpose(1, 2)

    def train_step(self) -> tuple[float, ...]:
        """Take one step; return the losses of per-bin head, comb head and CNN."""
        self.network.train()
        audio, labels = self._batch()
        branches = self.network.branches(
            self._magnitude(audio), bin_dropout=self.config.bin_dropout
        )
        loss_of = nn.functional.binary_cross_entropy_with_logits
        weights = torch.from_numpy(class_weights(labels.numpy(), self.config.real_weight))
        losses = [
            loss_of(logit, labels, weight=weight)
            for logit, weight in zip(branches, (weights, None, None), strict=True)
        ]
        drifts = [
            (head.weight - anchor).square().sum()
            for head, anchor in zip(self.heads, self.anchors, strict=True)
        ]
        total = torch.stack(losses).sum() + self.config.head_anchor * torch.stack(drifts).sum()
        self.optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        self._average()
        return tuple(loss.item() for loss in losses)

    def _average(self) -> None:
        decay = min(self.config.ema_decay, self.step / (self.step + 10))
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def finish(self, folder: Path) -> None:
        """Train to the end, from where the folder's checkpoint is."""
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            self.load(checkpoint)
        while self.step < self.n_steps:
            steps = min(self.config.checkpoint_steps, self.n_steps - self.step)
            losses = [self.train_step() for _ in range(steps)]
            self.save(checkpoint)
            with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.summary(losses)) + "\n")
            log.info("%s: %s", folder.name, self.summary(losses))

    def summary(self, losses: Sequence[tuple[float, ...]]) -> dict[str, float]:
        """Return where the run stands and the mean losses since the last summary."""
        per_bin, comb, cnn = np.mean(losses, axis=0)
        return {
            "step": self.step,
            "of": self.n_steps,
            "loss_bins": round(float(per_bin), 4),
            "loss_comb": round(float(comb), 4),
            "loss_cnn": round(float(cnn), 4),
            "minutes": round((time.monotonic() - self.started) / 60, 1),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        partial = path.with_suffix(".partial")
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "config": asdict(self.config),
        }
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration.

        Raises:
            ValueError: It belongs to another configuration.
        """
        state = torch.load(path, weights_only=True)
        if state["config"] != asdict(self.config):
            raise ValueError(f"{path} was trained with another configuration: remove it")
        self.step = state["step"]
        torch.set_rng_state(state["random"])
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
