"""Labelled and scored tracks, and the same ones in each schema of a manifest."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.benchmark.manifest import Label, LabelledTrack, Manifest
from beetsplug.artifactnet.benchmark.metrics import ModelRun, ScoredTrack
from beetsplug.artifactnet.results import Thresholds

OWN = Thresholds(ai=0.5, unsure=0.2)


def scored(
    probability: float | None,
    label: Label,
    *,
    track_id: str = "",
    reason: str = "",
    path: Path | None = Path("a.wav"),
    **fields: Any,
) -> ScoredTrack:
    """Return a scored track; without an id it gets one of its own."""
    track_id = track_id or f"track-{next(_numbers)}"
    return ScoredTrack(LabelledTrack(track_id, path, label, **fields), probability, reason)


_numbers = iter(range(1 << 62))


def run_of(tracks: Iterable[ScoredTrack], model: str = "finecomb-1.0") -> ModelRun:
    """Return a run of these tracks with the own threshold 0.5."""
    return ModelRun(model, model.rpartition("-")[0], OWN, tuple(tracks))


def ai(*probabilities: float, **fields: Any) -> list[ScoredTrack]:
    return [scored(p, "ai", **fields) for p in probabilities]


def real(*probabilities: float, **fields: Any) -> list[ScoredTrack]:
    return [scored(p, "real", **fields) for p in probabilities]


@dataclass(frozen=True)
class BenchTrack:
    """One track as every schema can tell of it."""

    number: int
    label: Label
    source: str
    generator: str
    split: str
    lineage: int

    @property
    def path(self) -> str:
        """The author's path of the file."""
        return f"/data/author/bench/{self.source}/{self.number:04}.flac"


def bench_tracks(n: int = 300, seed: int = 1) -> list[BenchTrack]:
    """Return tracks of four sources, some of which share a lineage."""
    rng = random.Random(seed)
    tracks = []
    for number in range(n):
        label: Label = "ai" if number % 2 else "real"
        source = rng.choice(["suno", "yue"] if label == "ai" else ["fma", "debian"])
        generator = f"{source}-{rng.randint(1, 3)}" if label == "ai" else ""
        # Odd with odd and even with even: a lineage has one label and one split.
        lineage = number - 2 if number % 10 in {2, 3} else number
        split = "train" if lineage % 6 < 2 else "test"
        tracks.append(BenchTrack(number, label, source, generator, split, lineage))
    return tracks


def probability(track: BenchTrack, seed: int = 0) -> float:
    """Return what a middling detector makes of a track."""
    rng = random.Random(1000 * seed + track.number)
    return min(1.0, max(0.0, rng.gauss(0.65 if track.label == "ai" else 0.35, 0.2)))


def _hash(text: object, n: int) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()[:n]


def _v1_row(track: BenchTrack) -> dict[str, Any]:
    return {
        "path": track.path,
        "label": track.label,
        "source": track.source,
        "track_id": f"{_hash(track.lineage, 16)}_{track.number}",
        "bench_origin": track.split,
        "generator": track.generator or None,
    }


def v1(tracks: Sequence[BenchTrack]) -> dict[str, Any]:
    return {"bench": [_v1_row(track) for track in tracks], "metadata": {"built": "2026"}}


def v1_1(tracks: Sequence[BenchTrack]) -> dict[str, Any]:
    metadata = {"built": "2026", "purged_leak_train_overlap": 0, "purged_track_ids": []}
    return {"tracks": [_v1_row(track) for track in tracks], "metadata": metadata}


def v2(tracks: Sequence[BenchTrack]) -> dict[str, Any]:
    rows = [
        {
            "track_id": f"ab2-{_hash(track.path, 20)}",
            "label": track.label,
            "source": track.source,
            "generator": track.generator or None,
            "generator_family": track.generator or None,
            "bench_origin": track.split,
            "protocol_split": {"test": "test", "train": "calibration"}[track.split],
            "audio_sha256": _hash(track.path, 64),
            "audio_bytes": 1000,
            "audio_format": "flac",
            "lineage_id": f"lineage-{track.lineage}",
            "retrieval": {"kind": "url"},
            "runtime_path": track.path,
        }
        for track in tracks
    ]
    return {"schema_version": 2, "tracks": rows}


def training_list(tracks: Sequence[BenchTrack]) -> dict[str, Any]:
    return {
        split: [_v1_row(track) for track in tracks if track.split == split]
        for split in ("train", "test")
    }


def write_json(path: Path, values: object) -> Path:
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def bench_run(
    manifest: Manifest, tracks: Sequence[BenchTrack], seed: int = 0, model: str = "finecomb-1.0"
) -> ModelRun:
    """Return a run over a manifest whose tracks stand in this order."""
    return run_of(
        [
            ScoredTrack(labelled, probability(track, seed))
            for labelled, track in zip(manifest.tracks, tracks, strict=True)
        ],
        model,
    )
