"""What the network's branches count for: logits of branches in, one logit out.

Shared by all that judges with branches that are known: folds, calibration, ablations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from beetsplug.artifactnet.training.evaluate import Logits
from beetsplug.artifactnet.training.network import counted

BRANCHES = (
    "per-bin head",
    "comb head",
    "cnn",
    "grid head",
    "coarse head",
    "frame-rate head",
    "empty share",
)
N_BRANCHES = len(BRANCHES)
FUSION = (2.0, 0.2, 0.2, 1.0, 0.25, 0.5, -10.0)
"""Weights of the branches: two for the one that tells most by itself, one for the grids of
decoders, a half for frame rates, a fifth for two that know their training clips too well. The
coarse head, by which the first is confirmed, has a quarter of its own. Round numbers: fitted
ones gained nothing on folds that they were not fitted on. What is empty speaks against: most
narrow-band clips that there are to learn from are generated, and without that weight half of
the real ones would be suspects.
"""


def fuse(branches: Logits, weights: Sequence[float] | Logits = FUSION) -> Logits:
    """Return the logits (n,) of branches (n, 7): the weighted sum of what they count for."""
    return counted(torch.from_numpy(branches)).numpy() @ np.asarray(weights)
