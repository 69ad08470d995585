"""Make the bundled model: every step, from the audio to the model folder.

UNet and CNN are those of the model that is bundled already. The CNN's last layer and the head
on what stands out are fitted here. What was reduced of each file is kept in the work folder.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beetsplug.artifactnet.models.store import BUNDLED_MODELS, DEFAULT_MODEL
from beetsplug.artifactnet.results import Thresholds as CardThresholds
from beetsplug.artifactnet.training.choices import PLATFORMS, SEGMENT_SAMPLES
from beetsplug.artifactnet.training.data import debian
from beetsplug.artifactnet.training.data.corpus import DEMO_SOURCE, Clip, write_manifest
from beetsplug.artifactnet.training.fit.heads import (
    Thresholds,
    fit_weights,
    is_song,
    judge_family_out,
    judge_sources_out,
    set_thresholds,
)
from beetsplug.artifactnet.training.fit.rows import (
    Rows,
    chosen_clips,
    clip_rows,
    hard_rows,
    join,
    listed_clips,
    spectra_rows,
)
from beetsplug.artifactnet.training.model.bundled_stages import load_stages
from beetsplug.artifactnet.training.model.export import export_model
from beetsplug.artifactnet.training.model.network import ArtifactNetwork
from beetsplug.artifactnet.training.report.tables import results

log = logging.getLogger(__name__)
VERSION = "3.0"
N_DEALS = 3
"""Ways of dealing the sources into folds, that their chance shows."""


def main() -> None:
    """Run every step; files that were reduced before are not reduced again."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    network = ArtifactNetwork().eval()
    load_stages(network.mask, network.cnn, arguments.stages)
    packages = arguments.debian or arguments.work / "debian"
    debian.fetch_training_packages(arguments.corpus, packages)
    every = debian.training_clips(arguments.corpus, packages)
    chosen = listed_clips(every, arguments.clips) if arguments.clips else chosen_clips(every)
    clips = [clip for clip in chosen if clip.source != DEMO_SOURCE]
    rows = all_rows(clips, network, arguments.spectra, arguments.work)
    log.info("%d rows", len(rows.rows))
    judged = judge_sources_out(rows)
    weights, at = fit_weights(rows, judged)
    found = results(rows, judged, at) | {
        "families left out": families_out(rows, at),
        "deals": [deal(rows, seed) for seed in range(N_DEALS)],
    }
    (arguments.work / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    network.set(weights)
    card = card_of(network, found)
    thresholds = CardThresholds(ai=0.5, unsure=unsure_score(at, weights.slope))
    worst = export_model(network, arguments.out, card, thresholds, first_segments(clips))
    log.info("graph and network differ by %.1e at most", worst)
    write_manifest(clips, arguments.out / "training-manifest.csv")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m beetsplug.artifactnet.training")
    parser.add_argument("--corpus", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--spectra", type=Path, required=True, help="folder with spectra.npz")
    parser.add_argument("--clips", type=Path, help="manifest of clips to take alone")
    parser.add_argument("--work", type=Path, required=True, help="caches and results")
    parser.add_argument("--debian", type=Path, help="unpacked packages (default: WORK/debian)")
    bundled = BUNDLED_MODELS / DEFAULT_MODEL
    parser.add_argument("--out", type=Path, default=bundled, help="model folder")
    parser.add_argument(
        "--stages", type=Path, default=bundled / "model.onnx", help="graph with UNet and CNN"
    )
    return parser.parse_args()


def all_rows(clips: list[Clip], network: ArtifactNetwork, spectra: Path, work: Path) -> Rows:
    """Return the rows of song spectra, files and hard negatives."""
    n_features = network.cnn.n_features
    return join(
        [
            spectra_rows(spectra, n_features, network.config.n_bins),
            clip_rows(clips, network, work),
            hard_rows(network),
        ]
    )


def families_out(rows: Rows, at: Thresholds) -> dict[str, Any]:
    """Return what is found of each platform by heads that never saw its family."""
    found: dict[str, Any] = {}
    for family in PLATFORMS:
        totals = judge_family_out(rows, family).total()
        found[family] = {}
        for name, songs, ai in (
            ("songs", True, at.song_ai),
            ("single segments", False, at.clip_ai),
        ):
            known = np.array([is_song(row) == songs for row in rows.rows])
            flagged = totals[known & np.isfinite(totals)] >= ai
            found[family][name] = f"{flagged.sum()} of {len(flagged)}"
    return found


def deal(rows: Rows, seed: int) -> dict[str, Any]:
    """Return how songs are told where the sources are dealt into folds in some way."""
    judged = judge_sources_out(rows, seed)
    found = results(rows, judged, set_thresholds(rows, judged.total()))["songs"]
    return found["platforms"] | {
        "ai": found["found"]["platforms"]["ai"],
        "human ai": found["human"]["ai"]["rows"],
        "modules ai": found["modules"]["ai"]["rows"],
    }


def unsure_score(at: Thresholds, slope: float) -> float:
    """Return the probability from which on neither kind has too many ``unsure``."""
    margins = np.array([at.song_unsure - at.song_ai, at.clip_unsure - at.clip_ai])
    return round(float((1 / (1 + np.exp(-slope * margins))).max()), 4)


def card_of(network: ArtifactNetwork, found: dict[str, Any]) -> dict[str, Any]:
    """Return the card's fields that the graph does not tell."""
    return {
        "model_id": DEFAULT_MODEL,
        "version": VERSION,
        "licence": "MIT",
        "network": network.config.as_dict(),
        "error_rates": rates_of(found),
    }


def rates_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return false-positive rates of human-made songs, and how both kinds are ranked."""
    human = found["songs"]["human"]
    rates: dict[str, Any] = {
        "songs": {
            "human": {
                "tracks": human["tracks"],
                "sources": human["sources"],
                "ai": {"rate": human["ai"]["rate"]},
                "unsure or ai": {"rate": human["unsure or ai"]["rate"]},
            }
        }
    }
    for name in ("songs", "single segments"):
        ranked = found[name]["platforms"]
        for key in ("n_human", "n_generated", "auc", "tpr_at_fpr_5", "tpr_at_fpr_1"):
            value = ranked[key]
            rates[f"{name}, {key}"] = value[0] if isinstance(value, list) else value
    return rates


def first_segments(clips: list[Clip], n: int = 24) -> Iterator[NDArray[np.float32]]:
    """Yield a segment of every so many-th file, (1, 176400)."""
    from beetsplug.artifactnet.audio import open_audio

    for clip in clips[:: max(1, len(clips) // n)]:
        with open_audio(clip.path) as reader:
            yield np.stack(list(reader.spans([0], SEGMENT_SAMPLES, 44_100)))
