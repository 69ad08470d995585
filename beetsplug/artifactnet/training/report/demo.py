"""The demo clips: an excerpt of a human-made song, and the same through an autoencoder.

``python -m beetsplug.artifactnet.training.report.demo`` with ``--corpus``, ``--work`` and
``--out docs/demo``, after the training, whose caches it uses.
"""

from __future__ import annotations

from pathlib import Path

import mediafile
import numpy as np
import soundfile
import soxr

from beetsplug.artifactnet.audio import read_waveform
from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch

    from beetsplug.artifactnet.training.choices import SAMPLE_RATE
    from beetsplug.artifactnet.training.data import corpus
    from beetsplug.artifactnet.training.model.autoencoder import (
        AutoencoderConfig,
        resynthesise,
        train_autoencoder,
    )
    from beetsplug.artifactnet.training.programs import (
        open_dataset,
        packages_of,
        work_parser,
    )

SONG = "Feelings"
ARTIST = "Sectoid"
START_S, DURATION_S = 40, 24
RATE = 48_000
"""Hz that the autoencoder runs at."""
_FADE_S = 0.05


def main() -> None:
    """Make both clips, training the decoder first where that was not done."""
    parser = work_parser("report.demo")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = open_dataset(arguments)
    music = corpus.decoder_music(dataset.clips)
    rows = dataset.rows(music, plain=True)
    path = arguments.work / "demo-autoencoder.pt"
    autoencoder = train_autoencoder(dataset, rows, path, AutoencoderConfig())
    # At 48 kHz, 240 samples a frame make a comb at 200 Hz, as many generators'.
    song = _excerpt(
        packages_of(arguments) / corpus.DEMO_SOURCE.removeprefix(corpus.DEBIAN_PREFIX)
    )
    _write(arguments.out / "human.ogg", song, f"{SONG} (excerpt)")
    at_rate = soxr.resample(song, SAMPLE_RATE, RATE)
    again = soxr.resample(resynthesise(autoencoder, at_rate), RATE, SAMPLE_RATE)
    _write(
        arguments.out / "resynthesised.ogg",
        again[: len(song)],
        f"{SONG} (excerpt, re-synthesised)",
    )


def _excerpt(package: Path) -> np.ndarray:
    """Return the song's tracks mixed, mono, from the middle."""
    (folder,) = package.rglob(SONG)
    tracks = [read_waveform(path, SAMPLE_RATE).samples for path in sorted(folder.glob("*.ogg"))]
    n_samples = min(len(track) for track in tracks)
    mix = np.sum([track[:n_samples] for track in tracks], axis=0)
    cut = mix[START_S * SAMPLE_RATE : (START_S + DURATION_S) * SAMPLE_RATE]
    fade = np.minimum(1, np.arange(len(cut)) / (_FADE_S * SAMPLE_RATE))
    return (cut / np.abs(cut).max() * 0.9 * fade * fade[::-1]).astype(np.float32)


def _write(path: Path, samples: np.ndarray, title: str) -> None:
    # 44.1 kHz Ogg Vorbis at quality 6, both alike. libsndfile crashes on long writes.
    with soundfile.SoundFile(
        path, "w", SAMPLE_RATE, 1, "VORBIS", format="OGG", compression_level=0.4
    ) as file:
        for first in range(0, len(samples), SAMPLE_RATE):
            file.write(samples[first : first + SAMPLE_RATE])
    tags = mediafile.MediaFile(path)
    tags.update({"title": title, "artist": ARTIST})
    tags.save()


if __name__ == "__main__":
    main()
