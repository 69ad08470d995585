"""What the network's branches count for: logits of branches in, one logit out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beetsplug.artifactnet.training.choices import BRANCHES, Branch
from beetsplug.artifactnet.training.signal.stages import constant

Logits = NDArray[np.float64]


class Fusion(nn.Module):
    """The weighted sum of the branches, each up to its limit and to the one that confirms it.

    Args:
        branches: The table that it is built from.

    Raises:
        ValueError: A branch is confirmed by one that there is not.
    """

    weights: Tensor

    def __init__(self, branches: Sequence[Branch] = BRANCHES) -> None:
        super().__init__()
        self.branches = tuple(branches)
        names = {branch.name for branch in branches}
        for branch in branches:
            if branch.confirmed_by and branch.confirmed_by not in names:
                raise ValueError(f"{branch.name} is confirmed by {branch.confirmed_by}")
        constant(self, "weights", np.array([branch.weight for branch in branches]))

    def forward(self, logits: Mapping[str, Tensor]) -> Tensor:
        """Return (batch,) logits.

        Args:
            logits: (batch,) of every branch by name.
        """
        counted = torch.stack([_counted(branch, logits) for branch in self.branches], 1)
        return counted @ self.weights.to(counted.dtype)


def _counted(branch: Branch, logits: Mapping[str, Tensor]) -> Tensor:
    logit = logits[branch.name]
    if math.isfinite(branch.limit):
        logit = logit.clamp(max=branch.limit)
    if branch.confirmed_by:
        logit = torch.minimum(logit, logits[branch.confirmed_by])
    return logit


def column(name: str) -> int:
    """Return the place of a branch in arrays (n, n_branches)."""
    return [branch.name for branch in BRANCHES].index(name)


def fuse(branches: Logits) -> Logits:
    """Return the logits (n,) of branches (n, n_branches), in the order of ``BRANCHES``."""
    columns = torch.from_numpy(branches).unbind(1)
    names = [branch.name for branch in BRANCHES]
    fused: Logits = Fusion()(dict(zip(names, columns, strict=True))).numpy()
    return fused
