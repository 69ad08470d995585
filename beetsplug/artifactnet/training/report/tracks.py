"""Real tracks, generated clips and generated songs to try a detector on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from beetsplug.artifactnet.benchmark.transport import decode
from beetsplug.artifactnet.errors import AudioError
from beetsplug.artifactnet.training.data import corpus
from beetsplug.artifactnet.training.data.corpus import Clip
from beetsplug.artifactnet.training.data.dataset import clip_key
from beetsplug.artifactnet.training.report.changes import Samples

Side = Literal["real", "clip", "song"]
"""A human-made track, a generated clip of one segment, a generated song."""

SIDES: tuple[Side, ...] = get_args(Side)
N_EXCERPTS = 3
"""Of a song, as in the judgement of songs."""
EXCERPT_S = 60.0
"""How much of a whole track is used."""


@dataclass(frozen=True)
class Track:
    """What is scored as one: a clip, or the excerpts of a song one after another."""

    clips: tuple[Clip, ...]

    @property
    def key(self) -> str:
        """What it is known by, wherever its folder lies."""
        return " + ".join(clip_key(clip) for clip in self.clips)

    @property
    def side(self) -> Side:
        """Which of the table's sides it is on."""
        if not self.clips[0].label:
            return "real"
        return "clip" if len(self.clips) == 1 else "song"


def choose(
    clips: Iterable[Clip], n: int, group_of: Callable[[Clip], str], seed: int = 0
) -> list[Clip]:
    """Return ``n`` full-band clips, or all there are, one a track, dealt from the groups.

    Whatever ``n``, the choice begins with those of a smaller one.
    """
    groups: dict[str, dict[tuple[str, str], Clip]] = {}
    for clip in sorted(clips, key=clip_key):
        if clip.is_full_band:
            groups.setdefault(group_of(clip), {}).setdefault((clip.source, clip.track), clip)
    rng = random.Random(seed)
    names = sorted(groups)
    rng.shuffle(names)
    hands = [list(groups[name].values()) for name in names]
    for hand in hands:
        rng.shuffle(hand)
    rounds = range(max((len(hand) for hand in hands), default=0))
    dealt = [hand[turn] for turn in rounds for hand in hands if turn < len(hand)]
    return dealt[:n]


def choose_tracks(clips: Sequence[Clip], n: int) -> list[Track]:
    """Return ``n`` real tracks that the shipped model never heard, AI clips, and AI songs.

    Args:
        clips: Those that the training used: which sources it held back hangs on them all.
        n: Of each side, or all there are.
    """
    # As in the training, which kept the demo's source out of the dealing.
    dealt = [clip for clip in clips if clip.source != corpus.DEMO_SOURCE]
    generated = [clip for clip in dealt if clip.label]
    excerpts: dict[tuple[str, str], list[Clip]] = {}
    for clip in sorted(generated, key=clip_key):
        excerpts.setdefault((clip.source, clip.track), []).append(clip)
    songs = {key: tuple(of) for key, of in excerpts.items() if len(of) == N_EXCERPTS}
    of_songs = [clip for clip in generated if (clip.source, clip.track) in songs]
    real = choose(corpus.calibration_clips(dealt), n, lambda clip: clip.source)
    single = choose(generated, n, lambda clip: clip.family)
    heads = choose(of_songs, n, lambda clip: clip.family)
    return [
        *(Track((clip,)) for clip in real + single),
        *(Track(songs[clip.source, clip.track]) for clip in heads),
    ]


def excerpt(track: Track) -> tuple[Samples, int]:
    """Return what is used of a track, and its rate in Hz.

    Raises:
        AudioError: It cannot be decoded, or its excerpts are of several rates.
    """
    parts = [_excerpt(clip) for clip in track.clips]
    if len({(rate, samples.shape[1]) for samples, rate in parts}) > 1:
        raise AudioError(f"{track.key}: excerpts of several rates or channel counts")
    return np.concatenate([samples for samples, _ in parts]), parts[0][1]


def _excerpt(clip: Clip) -> tuple[Samples, int]:
    samples, sample_rate = decode(clip.path)
    samples = samples[round(clip.skip_s * sample_rate) :]
    n_frames = round(EXCERPT_S * sample_rate)
    start = max(0, (len(samples) - n_frames) // 2)
    return samples[start : start + n_frames], sample_rate
