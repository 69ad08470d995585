"""False accusations of human-made music that the model was not trained on.

``python -m beetsplug.artifactnet.training.report.unseen --folder DIR`` fetches the Debian
packages of ``unseen_packages.tsv`` and ``unseen_modules.tsv``, none of which is in the
training's lists. It renders the tracker modules of the latter and scores every track of 30 s
and more as the plugin does. It prints a Markdown table for each list: flagged tracks of each
package, and of all with 95 % intervals.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

from scipy.stats import binomtest

from beetsplug.artifactnet.models.card import Aggregation
from beetsplug.artifactnet.models.store import Model, find_model
from beetsplug.artifactnet.results import Thresholds
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.training import train_extra

with train_extra():
    from beetsplug.artifactnet.training.choices import N_SEGMENTS
    from beetsplug.artifactnet.training.data import debian
    from beetsplug.artifactnet.training.data.corpus import DEBIAN_PREFIX, Clip

PACKAGES = Path(debian.__file__).with_name("unseen_packages.tsv")
MODULES = Path(debian.__file__).with_name("unseen_modules.tsv")
N_HIGHEST = 5
"""How many tracks are named below the table."""
Scores = Mapping[str, Sequence[tuple[str, float]]]
"""By source, the names and scores of its tracks."""


def main() -> None:
    """Fetch what is not there yet, score it and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m beetsplug.artifactnet.training.report.unseen"
    )
    parser.add_argument("--folder", type=Path, required=True, help="unpacked packages")
    parser.add_argument("--model", default="default", help="name or path, as in the options")
    parser.add_argument(
        "--aggregation", choices=get_args(Aggregation), help="instead of what the card asks for"
    )
    parser.add_argument(
        "--segments", type=int, default=N_SEGMENTS, help="of each track (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="tracks scored at once")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    for packages in (PACKAGES, MODULES):
        debian.fetch_packages(packages, folder)
    debian.render_modules(MODULES, folder)
    tracks = debian.list_tracks(folder)
    model = find_model(arguments.model)
    if arguments.aggregation:
        model = replace(model, card=replace(model.card, aggregation=arguments.aggregation))
    sys.stdout.write(f"{model.card.label}\n")
    for packages in (PACKAGES, MODULES):
        genres = debian.read_genres(packages)
        listed = [clip for clip in tracks if clip.source in genres]
        scores = score_tracks(listed, model, arguments.threads, arguments.segments)
        sys.stdout.write(f"\n{table(scores, model.card.thresholds, genres)}")
        sys.stdout.write(f"\n{highest(scores)}")


def score_tracks(
    clips: Sequence[Clip], model: Model, n_processes: int, n_segments: int = N_SEGMENTS
) -> Scores:
    """Return the score of every track that has one."""
    scored = partial(_score, Detector(model), n_segments)
    with ProcessPoolExecutor(n_processes) as pool:
        found = list(pool.map(scored, clips))
    by_source: dict[str, list[tuple[str, float]]] = {}
    for clip, score in zip(clips, found, strict=True):
        if score is not None:
            by_source.setdefault(clip.source, []).append((clip.path.name, score))
    return by_source


def _score(detector: Detector, n_segments: int, clip: Clip) -> float | None:
    score = score_file(clip.path, detector, n_segments).score
    return None if score is None else score.probability


def table(scores: Scores, thresholds: Thresholds, genres: Mapping[str, str]) -> str:
    """Return a row for each package, and for all of them with intervals."""
    lines = ["| package | genre | tracks | `ai` | `ai` or `unsure` |", "|---|---|---|---|---|"]
    levels = (thresholds.ai, thresholds.unsure)
    for source, tracks in sorted(scores.items()):
        flagged = [sum(score >= level for _, score in tracks) for level in levels]
        name, genre = source.removeprefix(DEBIAN_PREFIX), genres.get(source, "")
        lines.append(f"| {name} | {genre} | {len(tracks)} | {flagged[0]} | {flagged[1]} |")
    together = [score for tracks in scores.values() for _, score in tracks]
    cells = [
        _rate(sum(score >= level for score in together), len(together)) for level in levels
    ]
    lines.append(f"| all | | {len(together)} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def _rate(n_flagged: int, n_tracks: int) -> str:
    # Clopper and Pearson's.
    low, high = binomtest(n_flagged, n_tracks).proportion_ci(0.95, method="exact")
    return f"{n_flagged} ({n_flagged / n_tracks:.1%}, {low:.1%} to {high:.1%})"


def highest(scores: Scores) -> str:
    """Return the tracks that scored highest, a line each."""
    ranked = sorted(
        ((score, name, source) for source, tracks in scores.items() for name, score in tracks),
        reverse=True,
    )
    return "".join(
        f"- {score:.4f} {name} ({source.removeprefix(DEBIAN_PREFIX)})\n"
        for score, name, source in ranked[:N_HIGHEST]
    )


if __name__ == "__main__":
    main()
