"""Audio files for tests: synthesised from a seed, then encoded for real.

Nothing is stored in the repository: a test asks for some music and writes it in the
container that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""float32 (n_samples, n_channels), nominal [-1, 1]."""


@dataclass(frozen=True)
class _Sndfile:
    """How libsndfile writes a container."""

    format: str
    subtype: str


@dataclass(frozen=True)
class _Pyav:
    """How FFmpeg writes a container."""

    format: str
    codec: str
    bit_rate: int | None = None
    codec_options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    has_video: bool = False
    sample_format: str = ""
    """Empty: the codec's first."""


_BLOCK_FRAMES = 1 << 14
_NO_XING = {"write_xing": "0"}
_VARIABLE_BIT_RATE = {"flags": "+qscale", "global_quality": str(4 * 118)}
"""LAME's -V 4, in FFmpeg's units of lambda."""
_SAME_NOISE = {"aac_pns": "0"}
"""What the encoder would leave out as noise is another noise for each decoder and seek."""
CONTAINERS: dict[str, _Sndfile | _Pyav] = {
    "wav": _Sndfile("WAV", "PCM_16"),
    "wav_float": _Sndfile("WAV", "FLOAT"),
    "aiff": _Sndfile("AIFF", "PCM_16"),
    "flac": _Sndfile("FLAC", "PCM_16"),
    "ogg": _Sndfile("OGG", "VORBIS"),
    "opus": _Sndfile("OGG", "OPUS"),
    "mp3": _Sndfile("MP3", "MPEG_LAYER_III"),
    "mp3_cbr_no_xing": _Pyav("mp3", "libmp3lame", 192_000, container_options=_NO_XING),
    "mp3_vbr_no_xing": _Pyav("mp3", "libmp3lame", None, _VARIABLE_BIT_RATE, _NO_XING),
    "m4a": _Pyav("ipod", "aac", 192_000, _SAME_NOISE),
    "m4a_faststart": _Pyav(
        "ipod", "aac", 192_000, _SAME_NOISE, container_options={"movflags": "+faststart"}
    ),
    "alac": _Pyav("ipod", "alac", sample_format="s16p"),
    "alac_faststart": _Pyav(
        "ipod",
        "alac",
        container_options={"movflags": "+faststart"},
        sample_format="s16p",
    ),
    "mp4_video": _Pyav("mp4", "aac", 192_000, _SAME_NOISE, has_video=True),
    "wma": _Pyav("asf", "wmav2", 128_000),
    "wv": _Pyav("wv", "wavpack", sample_format="s16p"),
    "wv_float": _Pyav("wv", "wavpack", sample_format="fltp"),
    "wv_8_bit": _Pyav("wv", "wavpack", sample_format="u8p"),
    "aac": _Pyav("adts", "aac", 192_000),
    "mka": _Pyav("matroska", "aac", 192_000),
    "tta": _Pyav("tta", "tta", sample_format="s16"),
}
"""Keyword -> how it is written."""
SAMPLE_RATES = {"opus": 48_000}
"""Keyword -> Hz, where the codec does not take 44.1 kHz."""
_SUFFIXES = {"mp4_video": ".mp4", "alac": ".m4a", "alac_faststart": ".m4a"}


def suffix(container: str) -> str:
    """Return the usual file name suffix of a container keyword."""
    return _SUFFIXES.get(container, f".{container.partition('_')[0]}")


def music(
    duration_s: float, sample_rate: int = 44_100, n_channels: int = 2, seed: int = 0
) -> Samples:
    """Return detuned decaying notes over a little noise: never silent, peak at 0.5."""
    rng = np.random.default_rng(seed)
    n_samples = round(duration_s * sample_rate)
    time_s = np.arange(n_samples, dtype=np.float32) / np.float32(sample_rate)
    # Below 3 kHz, so that 8 kHz files and lossy codecs hold all of it.
    pitches_hz = rng.uniform(110, 600, size=3)
    samples = np.float32(0.05) * _low_noise(rng, n_samples, n_channels)
    for channel in range(n_channels):
        for pitch_hz in pitches_hz:
            detuned_hz = np.float32(pitch_hz * (1 + rng.uniform(-0.003, 0.003)))
            # A note every 0.4 to 0.9 s; each dies away to a quarter, not to silence.
            age_s = np.mod(time_s + np.float32(rng.uniform(0, 1)), rng.uniform(0.4, 0.9))
            envelope = 0.25 + 0.75 * np.exp(-6 * age_s)
            for harmonic in range(1, 5):
                phase = rng.uniform(0, 2 * np.pi)
                tone = np.sin(2 * np.pi * harmonic * detuned_hz * time_s + phase)
                samples[:, channel] += (envelope * tone / harmonic).astype(np.float32)
    loudest = np.abs(samples).max(initial=1e-9)
    return (0.5 * samples / loudest).astype(np.float32)


def _low_noise(rng: np.random.Generator, n_samples: int, n_channels: int) -> Samples:
    """Return noise smoothed over eight samples: lossy codecs keep most of it."""
    noise = rng.standard_normal((n_samples + 7, n_channels)).astype(np.float32)
    cumulated = np.cumsum(np.pad(noise, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    return ((cumulated[8:] - cumulated[:-8]) / np.sqrt(8)).astype(np.float32)


def tone(level: float, duration_s: float, sample_rate: int = 44_100) -> Samples:
    """Return a mono square wave of ±``level``: its mean absolute value is ``level``."""
    n_samples = round(duration_s * sample_rate)
    signs = np.where(np.arange(n_samples) // 64 % 2, -1.0, 1.0)
    return (level * signs).astype(np.float32)[:, None]


def encode(path: Path, samples: Samples, sample_rate: int, container: str = "") -> Path:
    """Write samples in one of :data:`CONTAINERS`, by default the suffix's, and return the path.

    Args:
        path: Where to write.
        samples: float32 (n_samples, n_channels).
        sample_rate: Hz; a container that does not take it raises.
        container: Keyword of the container.
    """
    recipe = CONTAINERS[container or path.suffix.lstrip(".")]
    if isinstance(recipe, _Sndfile):
        _encode_with_sndfile(path, samples, sample_rate, recipe)
    else:
        _encode_with_pyav(path, samples, sample_rate, recipe)
    return path


def _encode_with_sndfile(
    path: Path, samples: Samples, sample_rate: int, recipe: _Sndfile
) -> None:
    with (
        path.open("wb") as stream,
        soundfile.SoundFile(
            stream,
            "w",
            sample_rate,
            samples.shape[1],
            format=recipe.format,
            subtype=recipe.subtype,
        ) as file,
    ):
        # A minute of Vorbis in one call overflows libsndfile's stack.
        for start in range(0, len(samples), _BLOCK_FRAMES):
            file.write(samples[start : start + _BLOCK_FRAMES])


def _encode_with_pyav(path: Path, samples: Samples, sample_rate: int, recipe: _Pyav) -> None:
    n_channels = samples.shape[1]
    with (
        path.open("wb") as file,
        av.open(file, "w", format=recipe.format, options=recipe.container_options) as out,
    ):
        stream = out.add_stream(recipe.codec, rate=sample_rate, options=recipe.codec_options)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = _LAYOUTS[n_channels]
        if recipe.sample_format:
            stream.codec_context.format = AudioFormat(recipe.sample_format)
        if recipe.bit_rate is not None:
            stream.bit_rate = recipe.bit_rate
        if recipe.has_video:
            _mux_video(out, len(samples) / sample_rate)
        for frame in _frames(samples, sample_rate):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 6: "5.1", 8: "7.1"}


def _frames(samples: Samples, sample_rate: int) -> Iterator[AudioFrame]:
    for start in range(0, len(samples), _BLOCK_FRAMES):
        block = samples[start : start + _BLOCK_FRAMES]
        packed = np.ascontiguousarray(block).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, "flt", _LAYOUTS[samples.shape[1]])
        frame.sample_rate = sample_rate
        frame.pts = start
        yield frame


def _mux_video(out: OutputContainer, duration_s: float, rate: int = 5) -> None:
    stream: Any = out.add_stream("mpeg4", rate=rate)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    for index in range(round(duration_s * rate)):
        image = np.full((32, 32, 3), index % 256, np.uint8)
        frame = VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = index
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
