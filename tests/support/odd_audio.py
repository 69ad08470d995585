"""Audio files that the usual writers do not make: DSD, APE, other layouts, joined streams."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from tests.support.audio_files import Samples

LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "2.1",
    4: "quad",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
"""Channels -> FFmpeg's name of the usual layout."""
_BLOCK_FRAMES = 1 << 14
_DSF_BLOCK = 4_096
_OPUS_FRAMES = 960


def write_with_sndfile(
    path: Path, samples: Samples, sample_rate: int, major: str, subtype: str
) -> Path:
    """Write ``(n_samples, n_channels)`` in one of libsndfile's formats; return the path."""
    with (
        path.open("wb") as stream,
        soundfile.SoundFile(
            stream, "w", sample_rate, samples.shape[1], format=major, subtype=subtype
        ) as file,
    ):
        file.write(samples)
    return path


def write_with_ffmpeg(
    path: Path, samples: Samples, sample_rate: int, form: str, codec: str, kind: str = ""
) -> Path:
    """Write ``(n_samples, n_channels)`` with one of FFmpeg's codecs; return the path.

    Args:
        path: Where to write.
        samples: float32, nominal [-1, 1].
        sample_rate: Hz.
        form: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        kind: Its sample format; empty is its first.
    """
    layout = LAYOUTS[samples.shape[1]]
    with path.open("wb") as file, av.open(file, "w", format=form) as out:
        stream = out.add_stream(codec, rate=sample_rate, options={"strict": "-2"})
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = layout
        if kind:
            stream.codec_context.format = AudioFormat(kind)
        for start in range(0, len(samples), _BLOCK_FRAMES):
            block = np.ascontiguousarray(samples[start : start + _BLOCK_FRAMES])
            frame = AudioFrame.from_ndarray(block.reshape(1, -1), "flt", layout)
            frame.sample_rate, frame.pts = sample_rate, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def encode_to_pipe(path: Path, samples: Samples, form: str, codec: str) -> Path:
    """Write as :func:`write_with_ffmpeg` does, through what cannot seek; return the path."""
    path.write_bytes(b"")

    class Pipe:
        def write(self, data: bytes) -> int:
            with path.open("ab") as file:
                return file.write(data)

    layout = LAYOUTS[samples.shape[1]]
    with av.open(Pipe(), "w", format=form) as out:
        stream = out.add_stream(codec, rate=44_100)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = layout
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", layout)
        frame.sample_rate, frame.pts = 44_100, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def write_dsf(path: Path, samples: Samples, sample_rate: int = 44_100) -> Path:
    """Write DSD64 in Sony's DSF container and return the path.

    A first-order sigma-delta modulator makes each sample 64 one-bit ones, 8 to a byte. The
    oldest is in the lowest bit ("DSF File Format Specification" 1.01, Sony, 2005).

    Args:
        path: Where to write.
        samples: float32 (n_samples, n_channels), at most 0.5.
        sample_rate: Hz of ``samples``; the DSD stream has 64 times as many.
    """
    n_samples, n_channels = samples.shape
    held = np.repeat(samples.astype(np.float64), 64, axis=0)
    # Of a first-order modulator the running sum, rounded down, counts the ones so far.
    ones = np.floor(np.cumsum((held + 1) / 2, axis=0)).astype(np.int64)
    bits = np.diff(ones, axis=0, prepend=0).clip(0, 1).astype(np.uint8)
    packed = np.packbits(bits, axis=0, bitorder="little")
    n_blocks = -(-len(packed) // _DSF_BLOCK)
    padded = np.zeros((n_blocks * _DSF_BLOCK, n_channels), np.uint8)
    padded[: len(packed)] = packed
    data = padded.reshape(n_blocks, _DSF_BLOCK, n_channels).transpose(0, 2, 1).tobytes()
    form = struct.pack(
        "<4sQIIIIIIQII",
        b"fmt ",
        52,
        1,
        0,
        n_channels,
        n_channels,
        64 * sample_rate,
        1,
        64 * n_samples,
        _DSF_BLOCK,
        0,
    )
    body = form + struct.pack("<4sQ", b"data", 12 + len(data)) + data
    path.write_bytes(struct.pack("<4sQQQ", b"DSD ", 28, 28 + len(body), 0) + body)
    return path


def write_silent_ape(path: Path, n_frames: int, n_channels: int = 2) -> Path:
    """Write digital silence as Monkey's Audio 3.99 at 44.1 kHz and 16 bits; return the path.

    A frame that is silent in all channels says so in the flags behind its checksum, and holds
    no coded sample. Descriptor, header and frames are as in the Monkey's Audio SDK.

    Args:
        path: Where to write.
        n_frames: Frames of 73,728 samples.
        n_channels: 1 or 2.
    """
    all_silent = 3
    frame = np.array([1 << 31, all_silent, 0, 0], "<u4").tobytes()
    wav = b"RIFF" + bytes(40)
    descriptor = struct.pack(
        "<4sHHIIIIIII16s",
        b"MAC ",
        3_990,
        0,
        52,
        24,
        4 * n_frames,
        len(wav),
        n_frames * len(frame),
        0,
        0,
        bytes(16),
    )
    header = struct.pack(
        "<HHIIIHHI", 1_000, 0, 73_728, 73_728, n_frames, 16, n_channels, 44_100
    )
    start = len(descriptor) + len(header) + 4 * n_frames + len(wav)
    seek_table = [start + index * len(frame) for index in range(n_frames)]
    path.write_bytes(
        descriptor + header + struct.pack(f"<{n_frames}I", *seek_table) + wav + n_frames * frame
    )
    return path


def join(path: Path, parts: Sequence[Path]) -> Path:
    """Write the bytes of files one after another and return the path."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def write_opus(path: Path, samples: Samples, layout: str = "stereo", late_by: int = 0) -> Path:
    """Write Opus at 48 kHz as FFmpeg muxes it, and return the path.

    Args:
        path: Where to write.
        samples: float32 (n_samples, n_channels).
        layout: FFmpeg's name of the channels' layout.
        late_by: Samples by which the time stamps jump after the first second. An overlap,
            a negative number, is what a cut leaves; libsndfile calls it malformed.
    """
    family = {"mapping_family": "255"} if samples.shape[1] > 2 else {}
    with path.open("wb") as file, av.open(file, "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=48_000, options=family)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = layout
        packets = []
        for start in range(0, len(samples), _OPUS_FRAMES):
            block = np.ascontiguousarray(samples[start : start + _OPUS_FRAMES])
            frame = AudioFrame.from_ndarray(block.reshape(1, -1), "flt", layout)
            frame.sample_rate, frame.pts = 48_000, start
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets[50:]:
            packet.pts = packet.dts = int(packet.pts or 0) + late_by
        for packet in packets:
            out.mux(packet)
    return path


def with_vbri_tag(mp3: bytes) -> bytes:
    """Return an MP3 with a VBRI tag, as Fraunhofer's encoder writes it, for its Xing tag.

    Args:
        mp3: An MP3 whose Xing or Info tag tells frames and bytes.
    """
    start, flags, n_frames, n_bytes = _xing(mp3)
    assert flags & 3 == 3
    frame = mp3.rfind(b"\xff", 0, start)
    tag = struct.pack(">4sHHHIIHHHH", b"VBRI", 1, 0, 75, n_bytes, n_frames, 0, 1, 2, 1)
    header = mp3[frame : frame + 4] + bytes(32) + tag
    return mp3[:frame] + header.ljust(200, b"\0") + mp3[frame + 200 :]


def with_xing_flags(mp3: bytes, flags: int) -> bytes:
    """Return an MP3 whose Xing tag tells only some things: 1 frames, 2 bytes."""
    start, _, n_frames, n_bytes = _xing(mp3)
    values = [n_frames] * (flags & 1) + [n_bytes] * (flags >> 1 & 1)
    tag = b"Xing" + struct.pack(f">I{len(values)}I", flags, *values)
    return mp3[:start] + tag.ljust(120, b"\0") + mp3[start + 120 :]


def _xing(mp3: bytes) -> tuple[int, int, int, int]:
    """Return place, flags, frames and bytes of a Xing or Info tag."""
    start = max(mp3.find(b"Xing", 0, 1_000), mp3.find(b"Info", 0, 1_000))
    return start, *struct.unpack_from(">III", mp3, start + 4)


def wavpack_correction(wv: bytes) -> bytes:
    """Return the first block of a WavPack file as one of a correction file.

    Its sub-block of samples gets the number of a correction's (ID_WVC_BITSTREAM).
    """
    block = bytearray(wv[: 8 + int.from_bytes(wv[4:8], "little")])
    place = 32
    while block[place] & 0x3F != 0x0A:
        size = int.from_bytes(block[place + 1 : place + 4], "little")
        is_large = block[place] & 0x80
        place += 4 + 2 * size if is_large else 2 + 2 * block[place + 1]
    block[place] |= 0x01
    return bytes(block)


def half_of(path: Path) -> Path:
    """Write the first half of a file beside it and return the path."""
    data = path.read_bytes()
    half = path.with_name(f"half-{path.name}")
    half.write_bytes(data[: len(data) // 2])
    return half
