"""How held-out clips and songs are judged and ranked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.data.dataset import Dataset
from beetsplug.artifactnet.training.fit.judging import Judged, judge_songs, ranking


def test_songs_of_three_segments(dataset: Dataset) -> None:
    """A track is judged by as many segments as are asked for, or not at all."""
    clips = [replace(clip, source="one", track="one") for clip in dataset.clips]
    one_track = replace(dataset, clips=tuple(clips))

    def logits_of(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return rows.astype(np.float64)

    plain = one_track.rows(clips, plain=True)
    (judged,) = judge_songs(one_track, clips, logits_of, "mean", n_segments=2)
    assert judged.logit == (plain[0] + plain[-1]) / 2
    n_too_many = len(plain) + 1
    assert not judge_songs(one_track, clips, logits_of, "mean", n_segments=n_too_many)


def test_a_ranking_is_of_logits_however_large() -> None:
    """Logits that a sigmoid rounds to 1 keep their order: three of four pairs are in order."""
    logits = [(1, 901.0), (0, 900.0), (1, 400.0), (0, -900.0)]
    judged = [
        Judged(Clip(Path(str(i)), label, "", "", "", str(i), 44_100), logit)
        for i, (label, logit) in enumerate(logits)
    ]
    found = ranking(judged)
    assert found.auroc == 0.75
    assert found.tpr_at_fpr_1 == 0.5
    assert ranking(judged[:1]).auroc is None
