"""One training run: a dataset and a set of clips in, a network out, resumable.

The two linear heads that are trained start where the regressions of the same clips ended;
mask and CNN start from random weights and a mask of 0.25 everywhere; the other heads are
fitted apart. Each branch is trained on its own logit, so none can lean on another; how
they are weighed against each other is decided on clips that none of them was trained on.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import CROP_SAMPLES, SEGMENT_SAMPLES, TrainConfig
from beetsplug.artifactnet.training.data.corpus import Clip, without_modules
from beetsplug.artifactnet.training.data.dataset import Dataset, sample_weights
from beetsplug.artifactnet.training.fit.regressions import class_weights
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.model.weights import HeadWeights
from beetsplug.artifactnet.training.signal.features import one_thread

log = logging.getLogger(__name__)


def train(
    dataset: Dataset,
    clips: Sequence[Clip],
    heads: HeadWeights,
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
        run = _Run(dataset, clips, heads, config)
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
        heads: HeadWeights,
        config: TrainConfig,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.dataset = config, dataset
        self.rows = dataset.rows(without_modules(clips))
        self.weights = sample_weights(dataset, self.rows)
        self.labels = dataset.labels
        self.network = ArtifactNetwork(config.network)
        self.network.start_heads(heads)
        self.linear = [self.network.bins, self.network.comb.lags]
        self.anchors = [head.weight.detach().clone() for head in self.linear]
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.n_steps = math.ceil(config.n_segments / config.batch_size)
        self.step = 0
        self.started = time.monotonic()
        linear = [p for head in self.linear for p in head.parameters()]
        rest = [
            p
            for p in self.network.parameters()
            if p.requires_grad and not any(p is w for w in linear)
        ]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": rest, "lr": config.learning_rate},
                {"params": linear, "lr": config.head_learning_rate, "weight_decay": 0.0},
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
            for head, anchor in zip(self.linear, self.anchors, strict=True)
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
