"""What the training reports of folds and calibration."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from beetsplug.artifactnet.training.choices import AGGREGATION
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.fit import judging
from beetsplug.artifactnet.training.fit.calibration import calibrate
from beetsplug.artifactnet.training.fit.judging import Judged
from beetsplug.artifactnet.training.model.fusion import fuse
from beetsplug.artifactnet.training.report import tables
from tests.training.fit.made_folds import N_AI, N_REAL, is_excerpt, make_fold


def test_the_models_page_has_the_branches() -> None:
    """The table of the page is that of the code."""
    page = Path(__file__).parents[3] / "docs" / "model.md"
    assert tables.branch_table() in page.read_text(encoding="utf-8")


def test_report_tells_what_each_branch_is_worth(tmp_path: Path) -> None:
    """The one branch that knows, and the network by it, find everything; another, nothing."""
    report = tables.held_out_report([make_fold(tmp_path, seed) for seed in (0, 1)])
    assert report["coarse, as they are"]["all"]["auc"] > 0.99
    assert report["network, as they are"]["all"]["auc"] > 0.99
    assert abs(report["cnn, as they are"]["all"]["auc"] - 0.5) < 0.2
    assert report["network, as they are"]["all"]["n_ai"] == 2 * sum(
        number % 8 != 0 for number in range(N_REAL, N_REAL + N_AI)
    )
    for name in ("median", "tercile", "mean", "max"):
        assert len(report[f"network, {name} of three segments"]["folds"]) == 2


def test_report_as_tables(tmp_path: Path) -> None:
    """A row each detector, kind and family, and one each generator of a family of several."""
    report = tables.held_out_report([make_fold(tmp_path, seed) for seed in (0, 1)])
    detectors, kinds, families, generators = tables.markdown(report).strip().split("\n\n")
    assert len(detectors.splitlines()) == 2 + len(report)
    assert kinds.splitlines()[0] == "| kind | clips | network | recoded | baseline |"
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
    found = tables.by_generator(judged)
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
    found = tables.by_kind(judged)
    assert {name: (rates["n_ai"], rates["auc"]) for name, rates in found.items()} == {
        "full songs": (2, 0.0),
        "neural codecs": (1, 0.0),
        "short demos": (3, 0.6667),
    }


def test_calibration_table(tmp_path: Path) -> None:
    """Every part of the calibration set has a row, and all its tracks are in one."""
    held = make_fold(tmp_path, 0)
    folds = [make_fold(tmp_path, 1)]
    calibrated = calibrate(held, folds)
    table = tables.calibration_table(held, folds, calibrated)
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


def test_reliability_table(tmp_path: Path) -> None:
    """Every held-out full-band clip is in one row, and generated ones are higher up."""
    folds = [make_fold(tmp_path, seed) for seed in (0, 1)]
    calibrated = calibrate(make_fold(tmp_path, 2), folds)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in tables.reliability_table(folds, calibrated).splitlines()[2:]
    ]
    judged = [
        j
        for f in folds
        for j in judging.full_band(f.judge(fuse(f.branches), aggregation=AGGREGATION))
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
    calibrated = calibrate(make_fold(tmp_path, 2), folds)
    genres = {
        "debian:source 1": "chiptune",
        "debian:source 2": "folk",
        "debian:source 3": "folk",
    }
    rows = {
        cells[1].strip(): [int(cell) for cell in cells[2:6]]
        for cells in (
            line.split("|")
            for line in tables.genre_table(folds, calibrated, genres).splitlines()[2:]
        )
    }
    assert set(rows) == {"chiptune", "folk", "excerpts of unknown genre"}
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
