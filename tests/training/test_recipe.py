"""What the recipe makes of the logits of its folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training import evaluate, recipe
from beetsplug.artifactnet.training.corpus import Clip, Split
from beetsplug.artifactnet.training.dataset import Crop, Dataset
from beetsplug.artifactnet.training.evaluate import Judged
from beetsplug.artifactnet.training.recipe import (
    AGGREGATION,
    BRANCHES,
    N_BRANCHES,
    Fold,
    fuse,
)

N_REAL, N_AI, N_PLACES, N_VARIANTS = 400, 30, 3, 2
COARSE = BRANCHES.index("coarse head")
EMPTY = BRANCHES.index("empty share")


def make_fold(
    folder: Path,
    seed: int,
    *,
    knowing: tuple[int, ...] = (COARSE,),
    n_variants: int = N_VARIANTS,
) -> Fold:
    """Return a fold of tracks whose branches are noise, but for those that know."""
    rng = np.random.default_rng(seed)
    clips = tuple(
        Clip(
            path=folder / f"{seed}-{number}.{'ogg' if number % 2 else 'flac'}",
            label=int(number >= N_REAL),
            family="Suno" if number >= N_REAL else "",
            generator=f"suno-{number % 3}" if number >= N_REAL else "",
            source=f"{'debian:' if number % 4 else ''}source {number % 10}",
            track=f"track {number}",
            sample_rate=44_100 if number % 8 else 22_050,
        )
        for number in range(N_REAL + N_AI)
    )
    crops = tuple(
        Crop(number, place, variant, clip.is_full_band)
        for number, clip in enumerate(clips)
        for place in range(N_PLACES)
        for variant in range(n_variants)
    )
    samples = np.zeros((len(crops), 1), dtype=np.int16)
    dataset = Dataset(clips, crops, samples)
    fold = Fold(dataset, Split((), clips), np.arange(len(crops)))
    labels = dataset.labels
    fold.branches = rng.normal(0, 1, (len(crops), N_BRANCHES))
    fold.branches[:, EMPTY] = 0.0
    for branch in knowing:
        fold.branches[:, branch] += 32.0 * labels
    fold.reference = rng.normal(0, 1, len(crops)) + 2.0 * labels
    return fold


def test_report_tells_what_each_branch_is_worth(tmp_path: Path) -> None:
    """Without the one branch that knows, the network knows nothing."""
    report = recipe.held_out_report([make_fold(tmp_path, seed) for seed in (0, 1)])
    assert report["coarse head, as they are"]["all"]["auc"] > 0.99
    assert report["network, as they are"]["all"]["auc"] > 0.99
    assert report["network without cnn, as they are"]["all"]["auc"] > 0.99
    assert abs(report["network without coarse head, as they are"]["all"]["auc"] - 0.5) < 0.1
    assert report["network, as they are"]["all"]["n_ai"] == 2 * sum(
        number % 8 != 0 for number in range(N_REAL, N_REAL + N_AI)
    )
    for name in ("median", "tercile", "mean", "max"):
        assert len(report[f"network, {name} of three segments"]["folds"]) == 2


def test_report_as_tables(tmp_path: Path) -> None:
    """A row each detector, kind and family, and one each generator of a family of several."""
    report = recipe.held_out_report([make_fold(tmp_path, seed) for seed in (0, 1)])
    detectors, kinds, families, generators = evaluate.markdown(report).strip().split("\n\n")
    assert len(detectors.splitlines()) == 2 + len(report)
    assert kinds.splitlines()[0] == "| kind | clips | network | recoded | reference |"
    assert [row.split(" | ")[0] for row in kinds.splitlines()[2:]] == ["| full songs"]
    assert families.splitlines()[-1].startswith("| Suno | ")
    rows = [row.split(" | ")[0] for row in generators.splitlines()[2:]]
    assert rows == ["| Suno, suno-0", "| Suno, suno-1", "| Suno, suno-2"]
    of_family = report["network, as they are"]["families"]["Suno"]["n_ai"]
    of_each = report["network, as they are"]["generators"].values()
    assert sum(rates["n_ai"] for rates in of_each) == of_family


def test_a_generator_belongs_to_its_family(tmp_path: Path) -> None:
    """Two families with a generator of the same name have a row each; a family of one, none."""
    names = [("A", "x"), ("A", "y"), ("B", "x"), ("B", "z"), ("C", "x")]
    judged = [
        Judged(Clip(tmp_path / str(i), 1, family, name, "s", str(i), 44_100), float(i))
        for i, (family, name) in enumerate(names)
    ]
    judged.append(Judged(Clip(tmp_path / "real", 0, "", "", "r", "r", 44_100), 2.5))
    found = evaluate.by_generator(judged)
    assert {name: (rates["n_ai"], rates["auc"]) for name, rates in found.items()} == {
        "A, x": (1, 0.0),
        "A, y": (1, 0.0),
        "B, x": (1, 0.0),
        "B, z": (1, 1.0),
    }


def test_kinds_of_generators(tmp_path: Path) -> None:
    """Every family is of one kind, and each kind is held against all real music."""
    families = ["Suno", "YuE", "DAC", "MusicGen", "Riffusion", "of another"]
    judged = [
        Judged(Clip(tmp_path / family, 1, family, family, "s", family, 44_100), float(i))
        for i, family in enumerate(families)
    ]
    judged.append(Judged(Clip(tmp_path / "real", 0, "", "", "r", "r", 44_100), 3.5))
    found = evaluate.by_kind(judged)
    assert {name: (rates["n_ai"], rates["auc"]) for name, rates in found.items()} == {
        "full songs": (2, 0.0),
        "neural codecs": (1, 0.0),
        "short demos": (3, 0.6667),
    }


def test_thresholds_hold_on_every_set(tmp_path: Path) -> None:
    """One set of real music that scores high lifts the thresholds for all."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1), make_fold(tmp_path, 2)]
    before = recipe.calibrate(held, folds)
    real = folds[1].dataset.labels == 0
    for head in ("per-bin head", "coarse head"):
        folds[1].branches[real, BRANCHES.index(head)] += 3.0
    after = recipe.calibrate(held, folds)
    assert after.ai > before.ai + 1
    assert after.unsure > before.unsure + 1
    for rates in (before.rates, after.rates):
        assert rates["calibration_tracks"] == N_REAL
        assert all(
            value <= (0.001 if "_ai" in name else 0.05)
            for name, value in rates.items()
            if name.startswith("false_positive_rate")
        )
    assert after.thresholds.ai == 0.5
    assert 0 < after.thresholds.unsure < 0.5


def test_thresholds_hold_on_excerpts_alone(tmp_path: Path) -> None:
    """A few excerpts that score high among many tracks that do not lift them, too."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1), make_fold(tmp_path, 2)]
    before = recipe.calibrate(held, folds)
    for fold in folds:
        clips = [fold.dataset.clips[crop.clip] for crop in fold.dataset.crops]
        # An eighth of all real music.
        lifted = [not clip.label and is_excerpt(clip) for clip in clips]
        for head in ("per-bin head", "coarse head"):
            fold.branches[lifted, BRANCHES.index(head)] += 1.0
    after = recipe.calibrate(held, folds)
    judged = [
        judged
        for fold in folds
        for judged in fold.judge(fuse(fold.branches), 0, AGGREGATION)
        if not judged.clip.label
    ]
    excerpts = [clip for clip in judged if is_excerpt(clip.clip)]

    def share(some: list[Judged], threshold: float) -> float:
        return float(np.mean([clip.logit >= threshold for clip in some]))

    assert share(judged, after.unsure) < 0.05
    assert share(excerpts, before.unsure) > 0.1
    assert 0 < share(excerpts, after.unsure) <= 0.05
    assert after.rates["false_positive_rate_unsure_folds_excerpts"] == round(
        share(excerpts, after.unsure), 4
    )


def test_thresholds_hold_on_every_variant(tmp_path: Path) -> None:
    """A codec that lifts the score of one track lifts the threshold, whichever it is."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1, n_variants=4)]
    before = recipe.calibrate(held, folds)
    crops = folds[0].dataset.crops
    lifted = [crop.variant == 3 and crop.clip == 5 for crop in crops]
    for head in ("per-bin head", "coarse head"):
        folds[0].branches[lifted, BRANCHES.index(head)] += 9.0
    after = recipe.calibrate(held, folds)
    assert after.ai > before.ai + 1
    assert after.rates["false_positive_rate_ai_recoded_3_folds"] == 0
    assert "false_positive_rate_ai_recoded_3" not in after.rates


def is_excerpt(clip: Clip) -> bool:
    """Return whether a clip of :func:`make_fold` is full-band and of no package."""
    return clip.sample_rate >= 44_100 and not clip.source.startswith("debian:")


def test_slope_is_the_one_that_the_labels_were_drawn_with(tmp_path: Path) -> None:
    """Of labels drawn with a slope of 0.7 about the threshold, that slope is found."""
    rng = np.random.default_rng(0)
    clip = make_fold(tmp_path, 0).dataset.clips[0]
    logits = rng.normal(-1.5, 3, 20_000)
    labels = rng.random(len(logits)) < 1 / (1 + np.exp(-0.7 * (logits + 1.5)))
    judged = [
        evaluate.Judged(replace(clip, label=int(label)), float(logit))
        for logit, label in zip(logits, labels, strict=True)
    ]
    assert evaluate.fitted_slope(judged, -1.5) == pytest.approx(0.7, abs=0.03)
    assert evaluate.probability(-1.5, -1.5, 0.7) == 0.5
    assert evaluate.probability(0.5, -1.5, 0.7) == pytest.approx(1 / (1 + np.exp(-1.4)))


def test_calibration_table(tmp_path: Path) -> None:
    """Every part of the calibration set has a row, and all its tracks are in one."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1)]
    calibrated = recipe.calibrate(held, folds)
    table = recipe.calibration_table(held, folds, calibrated)
    rows = {
        cells[1].strip(): [int(cell) for cell in cells[2:5]]
        for cells in (line.split("|") for line in table.splitlines()[2:])
    }
    for parts in (("game music", "excerpts"), ("FLAC", "OGG"), ("full-band", "narrow-band")):
        assert [sum(column) for column in zip(*(rows[p] for p in parts), strict=True)] == rows[
            "calibration tracks"
        ]
    logits = fuse(held.branches)
    judged = held.judge(logits, aggregation=AGGREGATION)
    flagged = [j for j in judged if not j.clip.label and j.logit >= calibrated.ai]
    assert rows["calibration tracks"][:2] == [N_REAL, len(flagged)]
    assert rows["held-out folds, AI songs of three segments"][1] > 0
    assert rows["held-out folds, full-band, real"][1] <= 0.01 * N_REAL
    n_excerpts = sum(is_excerpt(clip) for clip in held.dataset.clips if not clip.label)
    for part in ("full-band excerpts", "held-out folds, full-band, real excerpts"):
        assert rows[part][0] == n_excerpts
        assert rows[part][1] <= rows[part][2] <= 0.05 * n_excerpts


def test_branch_table(tmp_path: Path) -> None:
    """Without the one branch that knows, next to nothing is found; without another, all."""
    folds = [make_fold(tmp_path, seed) for seed in (0, 1)]
    table = recipe.branch_table(make_fold(tmp_path, 2), folds)
    rows = {
        cells[1].strip(): [float(cell.strip().rstrip("%")) for cell in cells[2:6]]
        for cells in (line.split("|") for line in table.splitlines()[2:])
    }
    assert set(rows) == {"all", *(f"without {name}" for name in BRANCHES)}
    assert rows["all"] == rows["without cnn"] == [100.0] * 4
    assert all(share < 20 for share in rows["without coarse head"])
    for at_ai, at_unsure, songs_at_ai, songs_at_unsure in rows.values():
        assert at_ai <= at_unsure
        assert songs_at_ai <= songs_at_unsure


def test_reliability_table(tmp_path: Path) -> None:
    """Every held-out full-band clip is in one row, and generated ones are higher up."""
    folds = [make_fold(tmp_path, seed) for seed in (0, 1)]
    calibrated = recipe.calibrate(make_fold(tmp_path, 2), folds)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in recipe.reliability_table(folds, calibrated).splitlines()[2:]
    ]
    judged = [
        j
        for f in folds
        for j in evaluate.full_band(f.judge(fuse(f.branches), aggregation=AGGREGATION))
    ]
    n_ai = sum(clip.clip.label for clip in judged)
    assert sum(int(row[1]) for row in rows) == n_ai
    assert sum(int(row[2]) for row in rows) == len(judged) - n_ai
    assert rows[-1][3] == "100.0%"
    assert float(rows[0][3].rstrip("%")) < 5
    above = sum(int(row[2]) for row in rows if float(row[0].split()[0]) >= 0.5)
    assert above == sum(c.logit >= calibrated.ai for c in judged if not c.clip.label)


def test_genre_table(tmp_path: Path) -> None:
    """Every real track of the folds is in one row; sources without a genre share one."""
    folds = [make_fold(tmp_path, seed) for seed in (0, 1)]
    calibrated = recipe.calibrate(make_fold(tmp_path, 2), folds)
    genres = {
        "debian:source 1": "chiptune",
        "debian:source 2": "folk",
        "debian:source 3": "folk",
    }
    rows = {
        cells[1].strip(): [int(cell) for cell in cells[2:6]]
        for cells in (
            line.split("|")
            for line in recipe.genre_table(folds, calibrated, genres).splitlines()[2:]
        )
    }
    assert set(rows) == {"chiptune", "folk", "excerpts, of genres not told"}
    assert rows["folk"][0] == 2
    assert sum(row[1] for row in rows.values()) == 2 * N_REAL
    flagged = [
        sum(
            j.logit >= threshold
            for f in folds
            for j in f.judge(fuse(f.branches), aggregation=AGGREGATION)
            if not j.clip.label
        )
        for threshold in (calibrated.ai, calibrated.unsure)
    ]
    assert [sum(row[i] for row in rows.values()) for i in (2, 3)] == flagged


def test_graph_and_network_are_compared_on_every_clip(tmp_path: Path) -> None:
    """One segment of each, its first place as it is, whatever else there is of it."""
    fold = make_fold(tmp_path, 0)
    samples = np.array(
        [
            [crop.clip] if (crop.place, crop.variant) == (0, 0) else [-1]
            for crop in fold.dataset.crops
        ],
        dtype=np.int16,
    )
    batches = list(recipe.first_segments(replace(fold.dataset, samples=samples)))
    found = np.concatenate(batches) * 32767
    assert np.round(found[:, 0]).tolist() == list(range(N_REAL + N_AI))
    assert max(len(batch) for batch in batches) < N_REAL
