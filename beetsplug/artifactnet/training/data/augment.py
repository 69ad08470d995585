"""What happens to audio on its way into a music library, done to both classes alike.

Codec round trips at library bit rates decide; gain, mild equalising, limiting and a
trip to 48 kHz are the rest. Nothing here is an attack: low-pass, speed change and
noise destroy the cue and are measured apart.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy import signal

from beetsplug.artifactnet.training.choices import (
    CODEC_SETTINGS,
    CODEC_SHARES,
    EQUALISER_DB,
    EQUALISER_HZ,
    EQUALISER_Q,
    GAIN_DB,
    SHARE_48_KHZ,
    SHARE_EQUALISED,
    SHARE_GAIN,
    SHARE_LIMITED,
    SHARE_TWICE_CODED,
)

Samples = NDArray[np.float32]


def mp3(samples: Samples, sample_rate: int, *, level: float) -> Samples:
    """Return a mono MP3 round trip; ``level`` 0 is 160 kb/s, 0.99 about 45 kb/s."""
    return _round_trip(
        samples, sample_rate, "MP3", "MPEG_LAYER_III", level, bitrate_mode="CONSTANT"
    )


def vorbis(samples: Samples, sample_rate: int, *, level: float) -> Samples:
    """Return an Ogg Vorbis round trip; ``level`` 0 is quality 10, 1 is quality 0."""
    return _round_trip(samples, sample_rate, "OGG", "VORBIS", level)


def opus(samples: Samples, sample_rate: int, *, level: float) -> Samples:
    """Return an Opus round trip at 48 kHz; ``level`` 0 is 256 kb/s a channel."""
    up = soxr.resample(samples, sample_rate, 48_000)
    return soxr.resample(_round_trip(up, 48_000, "OGG", "OPUS", level), 48_000, sample_rate)


def _round_trip(
    samples: Samples, sample_rate: int, container: str, subtype: str, level: float, **how: str
) -> Samples:
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.clip(samples, -1, 1),
        sample_rate,
        format=container,
        subtype=subtype,
        compression_level=level,
        **how,
    )
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")[0]


def aac(samples: Samples, sample_rate: int, *, bit_rate: int) -> Samples:
    """Return a mono AAC-LC round trip at ``bit_rate`` bit/s, in an MP4 container."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=sample_rate, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples)[None], format="fltp", layout="mono"
        )
        frame.sample_rate = sample_rate
        frame.pts = 0
        fifo = av.AudioFifo()
        fifo.write(frame)
        while (part := fifo.read(1024, partial=True)) is not None:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as back:
        frames = [frame.to_ndarray()[0] for frame in back.decode(audio=0)]
    return np.concatenate(frames)


def library_chain(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the clip as some library might hold it: same length, aligned within a frame."""
    n_samples = len(samples)
    if rng.random() < SHARE_EQUALISED:
        samples = _equalise(samples, sample_rate, rng)
    if rng.random() < SHARE_GAIN:
        samples = samples * np.float32(10 ** (rng.uniform(*GAIN_DB) / 20))
    if rng.random() < SHARE_LIMITED:
        samples = np.tanh(samples).astype(np.float32)
    if rng.random() < SHARE_48_KHZ:
        samples = soxr.resample(
            soxr.resample(samples, sample_rate, 48_000), 48_000, sample_rate
        )
    n_codecs = 1 + (rng.random() < SHARE_TWICE_CODED)
    for _ in range(n_codecs):
        samples = _random_codec(np.clip(samples, -1, 1), sample_rate, rng)
    return np.pad(samples, (0, max(0, n_samples - len(samples))))[:n_samples]


def _random_codec(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    name = str(rng.choice(list(CODEC_SHARES), p=list(CODEC_SHARES.values())))
    setting = float(rng.uniform(*CODEC_SETTINGS[name]))
    if name == "aac":
        return aac(samples, sample_rate, bit_rate=int(setting))
    codec = {"mp3": mp3, "opus": opus, "vorbis": vorbis}[name]
    return codec(samples, sample_rate, level=setting)


def _equalise(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the clip through one or two broad peaks or dips of up to 5 dB."""
    for _ in range(rng.integers(1, 3)):
        centre_hz = float(np.exp(rng.uniform(*np.log(EQUALISER_HZ))))
        peak_b, peak_a = signal.iirpeak(centre_hz, EQUALISER_Q, fs=sample_rate)
        gain = 10 ** (rng.uniform(*EQUALISER_DB) / 20) - 1
        samples = samples + np.float32(gain) * signal.lfilter(peak_b, peak_a, samples).astype(
            np.float32
        )
    return samples
