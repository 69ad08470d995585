"""How far small changes of the sound move a model's scores.

``python -m beetsplug.artifactnet.training.report.robustness --folder DIR`` takes every audio
file of 30 s and more below a folder. It scores the middle minute as it is and after each
change, and prints a Markdown table. With ``--joined`` it takes excerpts: those of one folder,
as a corpus has them of one generator, are joined to a song. What codecs do is measured by
``beet aibench``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from beetsplug.artifactnet.audio import Waveform, open_audio, read_waveform
from beetsplug.artifactnet.errors import FileError
from beetsplug.artifactnet.models.store import find_model
from beetsplug.artifactnet.results import Thresholds, Verdict
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file
from beetsplug.artifactnet.training import train_extra

with train_extra():
    from beetsplug.artifactnet.training.choices import N_SEGMENTS, SAMPLE_RATE
    from beetsplug.artifactnet.training.data import debian

Samples = NDArray[np.float32]
"""(n_samples,), mono at 44.1 kHz."""
SEMITONE = 2 ** (1 / 12)
EXCERPT_S = 60
N_EXCERPTS = 8
"""Of a joined song: seven segments of 4 s lie side by side in as many of 4 s and more."""
UNCHANGED = "none"


def at_speed(samples: Samples, *, factor: float) -> Samples:
    """Return samples played ``factor`` times as fast: tempo and pitch change together."""
    return soxr.resample(samples, SAMPLE_RATE * factor, SAMPLE_RATE)


def at_pitch(samples: Samples, *, factor: float) -> Samples:
    """Return samples of ``factor`` times the pitch in the same time.

    Played faster or slower, then brought back to their length by FFmpeg's ``atempo``
    (overlap-add of the pieces that fit best, WSOLA).
    """
    import av
    from av.error import EOFError as EndOfStreamError

    fast = np.ascontiguousarray(at_speed(samples, factor=factor))
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono")
    stretched = graph.add("atempo", f"{1 / factor:.9f}")
    sink = graph.add("abuffersink")
    graph.link_nodes(source, stretched, sink).configure()
    frame = av.AudioFrame.from_ndarray(fast[None], "flt", "mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    source.push(frame)
    source.push(None)
    blocks: list[Samples] = []
    while True:
        try:
            block: Any = sink.pull()
            blocks.append(block.to_ndarray()[0])
        except EndOfStreamError:
            return np.concatenate(blocks)[: len(samples)]


def with_gain(samples: Samples, *, gain_db: float) -> Samples:
    """Return samples louder or quieter; above full scale tanh clips them softly."""
    louder = samples * np.float32(10 ** (gain_db / 20))
    return np.tanh(louder) if gain_db > 0 else louder


CHANGES: dict[str, Callable[[Samples], Samples]] = {
    UNCHANGED: lambda samples: samples,
    **{
        f"speed {percent:+g} %": partial(at_speed, factor=1 + percent / 100)
        for percent in (-1, -0.5, 0.5, 1)
    },
    **{
        f"pitch {steps:+d} semitone": partial(at_pitch, factor=SEMITONE**steps)
        for steps in (-1, 1)
    },
    "gain -6 dB": partial(with_gain, gain_db=-6),
    "+6 dB, soft clip": partial(with_gain, gain_db=6),
    "0.5 s off the head": lambda samples: samples[SAMPLE_RATE // 2 :],
}


def songs_of(folder: Path) -> Iterator[Samples]:
    """Yield the files of 30 s and more below a folder.

    Raises:
        AudioError: One cannot be decoded.
    """
    for clip in debian.list_tracks(folder):
        yield read_waveform(clip.path, SAMPLE_RATE).samples


def joined_songs_of(folder: Path) -> Iterator[Samples]:
    """Yield a song of the first excerpts in each folder below, of one that has enough.

    Excerpts with a rate below 44.1 kHz are left out, so are files that cannot be decoded.
    """
    for inner in sorted(path for path in folder.rglob("*") if path.is_dir()):
        excerpts = filter(None, map(_excerpt, sorted(inner.iterdir())))
        first = [excerpt.samples for excerpt in islice(excerpts, N_EXCERPTS)]
        if len(first) == N_EXCERPTS:
            yield np.concatenate(first)


def _excerpt(path: Path) -> Waveform | None:
    try:
        with open_audio(path) as reader:
            if reader.sample_rate < SAMPLE_RATE:
                return None
        return read_waveform(path, SAMPLE_RATE)
    except FileError:
        return None


def scores_of(samples: Samples, detector: Detector) -> dict[str, float]:
    """Return a track's score after each change that leaves one."""
    start = max(0, (len(samples) - EXCERPT_S * SAMPLE_RATE) // 2)
    excerpt = samples[start : start + EXCERPT_S * SAMPLE_RATE]
    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder, "changed.wav")
        for name, change in CHANGES.items():
            soundfile.write(changed, change(excerpt), SAMPLE_RATE, subtype="FLOAT")
            score = score_file(changed, detector, N_SEGMENTS).score
            if score is not None:
                scores[name] = score.probability
    return scores


def table(scores: Sequence[dict[str, float]], thresholds: Thresholds) -> str:
    """Return a row for each change.

    Args:
        scores: Of each track, by change.
        thresholds: That decide verdicts.
    """
    lines = [
        "| change | tracks | mean shift | largest shift | verdicts changed | called `ai` |",
        "|---|---|---|---|---|---|",
    ]
    for name in CHANGES:
        pairs = [(row[UNCHANGED], row[name]) for row in scores if {UNCHANGED, name} <= {*row}]
        if pairs:
            lines.append(f"| {name} | {len(pairs)} | {_cells(pairs, thresholds)} |")
    return "\n".join(lines) + "\n"


def _cells(pairs: Sequence[tuple[float, float]], thresholds: Thresholds) -> str:
    shifts = [abs(after - before) for before, after in pairs]
    verdicts = [[thresholds.verdict(score) for score in pair] for pair in pairs]
    n_changed = sum(before is not after for before, after in verdicts)
    n_ai = sum(after is Verdict.AI for _, after in verdicts)
    return f"{statistics.fmean(shifts):.3f} | {max(shifts):.3f} | {n_changed} | {n_ai}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table.

    Raises:
        ModelError: There is no such model, or it is broken.
    """
    program = "python -m beetsplug.artifactnet.training.report.robustness"
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--folder", type=Path, required=True, help="of audio files")
    parser.add_argument("--joined", action="store_true", help="songs of a folder's excerpts")
    parser.add_argument("--model", default="default", help="name or path, as in the options")
    options = parser.parse_args(arguments)
    detector = Detector(find_model(options.model))
    songs = joined_songs_of(options.folder) if options.joined else songs_of(options.folder)
    scores = [scores_of(samples, detector) for samples in songs]
    sys.stdout.write(table(scores, detector.card.thresholds))


if __name__ == "__main__":
    main()
