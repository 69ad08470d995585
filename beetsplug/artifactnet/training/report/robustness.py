"""How far a score moves when a track is carried to another encoding, or changed a little.

``python -m beetsplug.artifactnet.training.report.robustness`` with ``--corpus`` and
``--work``, after the training. Prints a Markdown table, one row a change, and whether the
demands on transport are met.

A track is decoded once; of a whole one, 60 s from the middle of its first five minutes
are used. The reference is these samples as float WAV. Every change is written as a file,
scored as the plugin scores it, and deleted.

The real tracks are of the calibration sources, which were not trained on, though the
thresholds were set on them. Of what is generated there are clips of one segment, and songs,
the three excerpts of each one after another. Both are scored by the network of the fold
that was trained without their family. ``--model`` names a model that scores all tracks
instead.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from beetsplug.artifactnet.errors import AudioError
from beetsplug.artifactnet.models.store import DEFAULT_MODEL, Model, find_model, open_model
from beetsplug.artifactnet.results import Thresholds, Verdict
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.scoring.track import decide
from beetsplug.artifactnet.training import train_extra

with train_extra():
    from beetsplug.artifactnet.training.choices import N_SEGMENTS
    from beetsplug.artifactnet.training.data import corpus
    from beetsplug.artifactnet.training.programs import (
        FOLD_MODEL,
        fold_folder,
        open_dataset,
        work_parser,
    )
    from beetsplug.artifactnet.training.report.changes import CHANGES, UNCHANGED, Change
    from beetsplug.artifactnet.training.report.tracks import (
        SIDES,
        Side,
        Track,
        choose_tracks,
        excerpt,
    )

log = logging.getLogger(__name__)

Scores = dict[str, float | None]
"""Name of a change -> the score after it; None where there was none."""

MAX_MEAN_SHIFT = 0.05
MAX_SHIFT = 0.3
MAX_CHANGED = 0.02
CACHE_FILE = "robustness.json"


class Cache:
    """The scores of one model, in a file that several models share."""

    def __init__(self, path: Path, model: Model) -> None:
        self._path = path
        # A model that was made anew may keep its version while it is worked on.
        digest = next(iter(model.card.files.values()))
        self._model = f"{model.card.label} {digest[:12]}"
        self._all: dict[str, dict[str, Scores]] = {}
        if path.exists():
            self._all = json.loads(path.read_text(encoding="utf-8"))

    def scores(self, track: Track) -> Scores:
        """Return what is known of a track."""
        return dict(self._all.get(self._model, {}).get(track.key, {}))

    def add(self, track: Track, scores: Scores) -> None:
        """Keep a track's scores, on disk as well."""
        of_model = self._all.setdefault(self._model, {})
        of_model.setdefault(track.key, {}).update(scores)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial_file = self._path.with_suffix(".partial")
        partial_file.write_text(json.dumps(self._all, indent=1), encoding="utf-8")
        partial_file.replace(self._path)


def score_changes(track: Track, changes: Iterable[Change], detector: Detector) -> Scores:
    """Return a track's score after each change; one file at a time lies on the disk.

    Raises:
        ModelError: The model is broken.
    """
    try:
        samples, sample_rate = excerpt(track)
    except AudioError as error:
        log.warning("%s: %s", track.key, error)
        return {change.name: None for change in changes}
    scores: Scores = {}
    with tempfile.TemporaryDirectory(prefix="robustness-") as folder:
        for change in changes:
            path = Path(folder, f"track{change.suffix}")
            change.write(path, samples, sample_rate)
            result = score_file(path, detector, N_SEGMENTS)
            path.unlink()
            if result.score is None:
                log.warning("%s, %s: %s", track.key, change.name, result.detail)
            scores[change.name] = None if result.score is None else result.score.probability
    return scores


def score_tracks(
    tracks: Sequence[Track], model: Model, cache: Cache, threads: int = 1
) -> list[Scores]:
    """Return the scores of each track, those that the cache does not hold found first.

    Args:
        tracks: What to score.
        model: Who hears them.
        cache: Told of each track when it is done.
        threads: Tracks that are worked on at once.

    Raises:
        ModelError: The model is broken.
    """
    detector = Detector(model)
    pool = ThreadPoolExecutor(threads)
    try:
        waiting = {}
        for track in tracks:
            known = cache.scores(track)
            due = [change for change in CHANGES if change.name not in known]
            if due:
                waiting[pool.submit(score_changes, track, due, detector)] = track
        for n_done, future in enumerate(as_completed(waiting), 1):
            cache.add(waiting[future], future.result())
            log.info("scored %d of %d tracks", n_done, len(waiting))
    finally:
        pool.shutdown(cancel_futures=True)
    return [cache.scores(track) for track in tracks]


def score_by_models(
    tracks: Sequence[Track], models: Sequence[Model], path: Path, threads: int = 1
) -> list[Scores]:
    """Return the scores of each track by a model of its own.

    Args:
        tracks: What to score.
        models: Of each track.
        path: File of the scores that are known.
        threads: Tracks that are worked on at once.

    Raises:
        ModelError: A model is broken.
    """
    found: dict[int, Scores] = {}
    for graph in dict.fromkeys(model.graph for model in models):
        places = [place for place, model in enumerate(models) if model.graph == graph]
        model = models[places[0]]
        some = [tracks[place] for place in places]
        scores = score_tracks(some, model, Cache(path, model), threads)
        found.update(zip(places, scores, strict=True))
    return [found[place] for place in range(len(tracks))]


@dataclass(frozen=True)
class Pair:
    """A track's score as the reference and after a change."""

    side: Side
    before: float
    after: float

    @property
    def shift(self) -> float:
        """How far the score moved, up or down."""
        return abs(self.after - self.before)

    def is_changed(self, thresholds: Thresholds) -> bool:
        """Tell whether the verdict is another one."""
        return decide(self.before, thresholds) is not decide(self.after, thresholds)

    def is_flagged(self, thresholds: Thresholds) -> bool:
        """Tell whether the verdict after the change is ``ai``."""
        return decide(self.after, thresholds) is Verdict.AI


def pairs_of(
    changes: Collection[Change], tracks: Sequence[Track], scores: Sequence[Scores]
) -> list[Pair]:
    """Return the pairs of these changes, of the tracks that were scored both times."""
    found = []
    for track, of_track in zip(tracks, scores, strict=True):
        before = of_track[UNCHANGED.name]
        for change in changes:
            after = of_track[change.name]
            if before is not None and after is not None:
                found.append(Pair(track.side, before, after))
    return found


def report(model: Model, tracks: Sequence[Track], scores: Sequence[Scores]) -> str:
    """Return the table and the demands, as Markdown.

    Args:
        model: Its label and thresholds are used.
        tracks: What was scored.
        scores: Of each track, by change.
    """
    thresholds = model.card.thresholds
    transport = [change for change in CHANGES if change.kind == "transport"]
    lines = [
        f"{model.card.label}: `ai` from {thresholds.ai:g}, `unsure` from "
        f"{thresholds.unsure:g}. A cell with three values: real tracks, AI clips, AI songs. "
        "Without its first half second a clip of 4.2 s is shorter than a segment of 4 s, and "
        "padded.",
        "",
        "| change | kind | mean shift | largest shift | verdicts changed | flagged `ai` "
        "| scored |",
        "|---|---|---|---|---|---|---|",
    ]
    for change in CHANGES:
        pairs = pairs_of([change], tracks, scores)
        lines.append(_row(change.name, change.kind, pairs, thresholds))
        if change is transport[-1]:
            pairs = pairs_of(transport, tracks, scores)
            lines.append(_row("all of transport", change.kind, pairs, thresholds))
    pairs = pairs_of(transport, tracks, scores)
    of_songs = [pair for pair in pairs if pair.side != "clip"]
    lines += ["", "Through transport, real tracks and AI songs:", ""]
    lines += [*demands(of_songs, thresholds), "", "And with AI clips:", ""]
    return "\n".join([*lines, *demands(pairs, thresholds)]) + "\n"


def _row(name: str, kind: str, pairs: Sequence[Pair], thresholds: Thresholds) -> str:
    sides = [[pair for pair in pairs if pair.side == side] for side in SIDES]
    cells = [
        name,
        kind,
        _cell([_number(_mean([p.shift for p in side])) for side in sides]),
        _cell([_number(max((p.shift for p in side), default=None)) for side in sides]),
        _cell([_percent(_mean([p.is_changed(thresholds) for p in s])) for s in sides]),
        _cell([_percent(_mean([p.is_flagged(thresholds) for p in s])) for s in sides]),
        _cell([str(len(side)) for side in sides]),
    ]
    return f"| {' | '.join(cells)} |"


def demands(pairs: Sequence[Pair], thresholds: Thresholds) -> list[str]:
    """Return a line for each demand on transport: met or missed, and by how much."""
    shifts = [pair.shift for pair in pairs]
    changed = _mean([pair.is_changed(thresholds) for pair in pairs])
    return [
        _demand("Mean shift", _mean(shifts), MAX_MEAN_SHIFT, _number),
        _demand("Largest shift", max(shifts, default=None), MAX_SHIFT, _number),
        _demand("Verdicts changed", changed, MAX_CHANGED, _percent),
    ]


def _demand(
    name: str, found: float | None, bound: float, form: Callable[[float | None], str]
) -> str:
    if found is None:
        return f"- {name}, at most {form(bound)}: not measured."
    verb = "met" if found <= bound else "missed"
    return (
        f"- {name}, at most {form(bound)}: {form(found)}, {verb} by {form(abs(found - bound))}."
    )


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _cell(cells: Sequence[str]) -> str:
    return ", ".join(cells)


def _number(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "\u2013" if value is None else f"{100 * value:.1f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; the scores are kept in the work folder.

    Raises:
        ModelError: There is no such model, or it is broken.
    """
    options = _parser().parse_args(arguments)
    shipped = find_model(options.model or DEFAULT_MODEL)
    folds = [] if options.model else fold_models(options.work)
    dataset = open_dataset(options)
    chosen = choose_tracks(dataset.clips, options.tracks)
    models = [model_of(track, shipped, folds) for track in chosen]
    scores = score_by_models(chosen, models, options.work / CACHE_FILE, options.threads)
    text = report(shipped, chosen, scores)
    sys.stdout.write(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


def fold_models(work: Path) -> list[Model]:
    """Return the models of the folds that the training left.

    Raises:
        ModelError: One is not there.
    """
    return [
        open_model(fold_folder(work, number) / FOLD_MODEL / "model.onnx")
        for number in range(len(corpus.FOLD_FAMILIES))
    ]


def model_of(track: Track, shipped: Model, folds: Sequence[Model]) -> Model:
    """Return who scores a track: of the folds' models, the one that its family is new to."""
    if track.side == "real" or not folds:
        return shipped
    return folds[corpus.fold_of_family(track.clips[0].family)]


def _parser() -> argparse.ArgumentParser:
    parser = work_parser("report.robustness")
    parser.add_argument(
        "--model", help="name or path, as in the options, of a model that scores all tracks"
    )
    parser.add_argument("--tracks", type=int, default=40, help="how many of each side")
    parser.add_argument("--out", type=Path, help="where the table is written as well")
    return parser


if __name__ == "__main__":
    main()
