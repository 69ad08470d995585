"""What may happen to a track: codecs, other rates, and small changes of the sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from beetsplug.artifactnet.benchmark.transport import REFERENCE, Encoding, encode

Samples = NDArray[np.float32]
"""float32 (n_frames, n_channels), nominal [-1, 1]."""
Alter = Callable[[Samples, int], tuple[Samples, int]]
"""From samples and their rate in Hz to others and theirs."""

SEMITONE = 2 ** (1 / 12)


@dataclass(frozen=True)
class Change:
    """One thing that happens to a track."""

    name: str
    kind: Literal["reference", "transport", "attack"]
    """The demands are on ``transport`` alone."""
    suffix: str
    write: Callable[[Path, Samples, int], None]
    """Writes samples of a rate in Hz as a file with that suffix."""


def _written(name: str, suffix: str, codec: str, sample_format: str, kbit_s: int) -> Change:
    """Return a round trip through a lossy codec at a bit rate."""
    encoding = Encoding(name, suffix, codec, sample_format, kbit_s * 1000)
    return Change(name, "transport", suffix, partial(encode, encoding=encoding))


def _altered(
    name: str, alter: Alter, kind: Literal["transport", "attack"] = "attack"
) -> Change:
    """Return a change of the samples, which are then written like the reference."""

    def write(path: Path, samples: Samples, sample_rate: int) -> None:
        encode(path, *alter(samples, sample_rate), REFERENCE)

    return Change(name, kind, REFERENCE.suffix, write)


def write_vorbis(path: Path, samples: Samples, sample_rate: int) -> None:
    """Write samples as Ogg Vorbis of quality 5, by libvorbis."""
    # FFmpeg's own Vorbis encoder, the one that PyAV brings, is not what libraries hold.
    # libsndfile's level is 1 - quality / 10, and a long write makes it crash.
    with soundfile.SoundFile(
        path,
        "w",
        sample_rate,
        samples.shape[1],
        "VORBIS",
        format="OGG",
        compression_level=0.5,
    ) as file:
        for start in range(0, len(samples), sample_rate):
            file.write(samples[start : start + sample_rate])


def to_48_khz(samples: Samples, sample_rate: int) -> tuple[Samples, int]:
    """Return samples at 48 kHz; at 44.1 kHz where they were at 48."""
    rate = 44_100 if sample_rate == 48_000 else 48_000
    return soxr.resample(samples, sample_rate, rate), rate


def at_speed(samples: Samples, sample_rate: int, *, factor: float) -> tuple[Samples, int]:
    """Return samples played ``factor`` times as fast: tempo and pitch change together."""
    return soxr.resample(samples, sample_rate * factor, sample_rate), sample_rate


def at_pitch(samples: Samples, sample_rate: int, *, factor: float) -> tuple[Samples, int]:
    """Return samples of ``factor`` times the pitch in the same time.

    Played faster or slower, then brought back to their length by FFmpeg's ``atempo``:
    overlap-add of the pieces that fit best (WSOLA), no phase vocoder.
    """
    from av.audio.frame import AudioFrame
    from av.error import EOFError as EndOfStreamError
    from av.filter import Graph

    n_channels = samples.shape[1]
    layout = "mono" if n_channels == 1 else "stereo"
    fast = np.ascontiguousarray(at_speed(samples, sample_rate, factor=factor)[0])
    graph = Graph()
    source = graph.add_abuffer(sample_rate=sample_rate, format="flt", layout=layout)
    stretched = graph.add("atempo", f"{1 / factor:.9f}")
    sink = graph.add("abuffersink")
    graph.link_nodes(source, stretched, sink).configure()
    frame = AudioFrame.from_ndarray(fast.reshape(1, -1), "flt", layout)
    frame.sample_rate = sample_rate
    frame.pts = 0
    source.push(frame)
    source.push(None)
    blocks: list[Samples] = []
    while True:
        try:
            block = cast("AudioFrame", sink.pull())
        except EndOfStreamError:
            break
        blocks.append(block.to_ndarray().reshape(-1, n_channels).astype(np.float32))
    return np.concatenate(blocks)[: len(samples)], sample_rate


def quieter(samples: Samples, sample_rate: int) -> tuple[Samples, int]:
    """Return samples 6 dB down."""
    return samples * np.float32(10 ** (-6 / 20)), sample_rate


def limited(samples: Samples, sample_rate: int) -> tuple[Samples, int]:
    """Return samples 6 dB up through tanh, which clips softly."""
    return np.tanh(samples * np.float32(10 ** (6 / 20))), sample_rate


def without_head(samples: Samples, sample_rate: int) -> tuple[Samples, int]:
    """Return samples without the first half second."""
    return samples[sample_rate // 2 :], sample_rate


UNCHANGED = Change(
    "none (float WAV)", "reference", REFERENCE.suffix, partial(encode, encoding=REFERENCE)
)
_PCM16 = Encoding("16-bit WAV", ".wav", "pcm_s16le", "s16")
CHANGES = (
    UNCHANGED,
    *(
        _written(f"MP3 {rate} kb/s CBR", ".mp3", "libmp3lame", "fltp", rate)
        for rate in (320, 192, 128, 96)
    ),
    *(_written(f"AAC {rate} kb/s", ".m4a", "aac", "fltp", rate) for rate in (256, 128)),
    *(_written(f"Opus {rate} kb/s", ".opus", "libopus", "flt", rate) for rate in (128, 96)),
    Change("Vorbis q5", "transport", ".ogg", write_vorbis),
    _altered("48 kHz (48 to 44.1)", to_48_khz, "transport"),
    Change(_PCM16.name, "transport", ".wav", partial(encode, encoding=_PCM16)),
    *(
        _altered(f"speed {percent:+g} %", partial(at_speed, factor=1 + percent / 100))
        for percent in (-1, -0.5, 0.5, 1)
    ),
    *(
        _altered(f"pitch {steps:+d} semitone", partial(at_pitch, factor=SEMITONE**steps))
        for steps in (-1, 1)
    ),
    _altered("gain -6 dB", quieter),
    _altered("+6 dB, soft clip", limited),
    _altered("0.5 s off the head", without_head),
)
