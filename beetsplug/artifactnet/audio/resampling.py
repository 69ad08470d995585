"""To another sample rate: by soxr, and by FFmpeg (PyAV) where soxr is not installed.

Both give sample ``k`` of the result for the time ``k / to_hz``, and the same number of samples.
The signal counts as silent before its start and after its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from beetsplug.artifactnet.audio.down_mix import Samples

if TYPE_CHECKING:
    from av.filter import Graph
    from av.filter.context import FilterContext

_QUALITY = "HQ"
_TAPS = 256
_OPTIONS = f"filter_size={_TAPS}:phase_shift=10:cutoff=0.956:filter_type=kaiser:kaiser_beta=12"
"""FFmpeg's own filter of 32 taps lets aliases through 14 dB down, which models at 16 kHz
see. With this one they are 100 dB down, and what lies in the band is as soxr has it."""
_LEAD_IN_TAPS, _LEAD_OUT_TAPS = 160, 320
"""Silence around a signal, in taps of a filter of 256: FFmpeg mirrors the signal at its
start, and holds back what the end of the filter has not passed."""
_BLOCK_FRAMES = 1 << 16


class Resampler(Protocol):
    """Takes a signal by pieces, mono float32."""

    def push(self, samples: Samples) -> Samples:
        """Return what is known of the result after the next piece."""

    def end(self) -> Samples:
        """Return the rest of the result."""
        ...


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Return a signal at another rate, ``round(len(samples) * to_hz / from_hz)`` samples.

    Args:
        samples: Mono float32 (n_samples,), nominal [-1, 1].
        from_hz: Its sample rate.
        to_hz: The result's.
    """
    soxr = _soxr()
    if soxr is not None:
        return soxr.resample(samples, from_hz, to_hz, quality=_QUALITY)
    by_ffmpeg = _FfmpegResampler(from_hz, to_hz)
    return np.concatenate([by_ffmpeg.push(samples), by_ffmpeg.end()])


def resampler(from_hz: int, to_hz: int) -> Resampler:
    """Return what resamples a signal piece by piece.

    Args:
        from_hz: The signal's sample rate.
        to_hz: The result's.
    """
    soxr = _soxr()
    if soxr is not None:
        return _SoxrResampler(soxr, from_hz, to_hz)
    return _FfmpegResampler(from_hz, to_hz)


@cache
def _soxr() -> ModuleType | None:
    """Return soxr, None where it is not installed: it has no wheels for musl."""
    try:
        import soxr
    except ImportError:
        return None
    return soxr


class _SoxrResampler:
    def __init__(self, soxr: ModuleType, from_hz: int, to_hz: int) -> None:
        self._stream: Any = soxr.ResampleStream(
            from_hz, to_hz, 1, dtype="float32", quality=_QUALITY
        )

    def push(self, samples: Samples) -> Samples:
        return self._stream.resample_chunk(samples)

    def end(self) -> Samples:
        return self._stream.resample_chunk(np.empty(0, np.float32), last=True)


class _FfmpegResampler:
    """FFmpeg's ``aresample`` with a long filter, between two stretches of silence."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz, self._to_hz = from_hz, to_hz
        self._n_in = self._n_pushed = self._n_out = 0
        divisor = math.gcd(from_hz, to_hz)
        n_steps = -(-self._silence(_LEAD_IN_TAPS) // (from_hz // divisor))
        self._n_unwanted = n_steps * (to_hz // divisor)
        self._graph, self._source, self._sink = _graph(from_hz, to_hz)
        self._lead_in = np.zeros(n_steps * (from_hz // divisor), np.float32)

    def push(self, samples: Samples) -> Samples:
        self._n_in += len(samples)
        lead_in, self._lead_in = self._lead_in, self._lead_in[:0]
        return self._wanted(np.concatenate([lead_in, samples]))

    def end(self) -> Samples:
        n_total = int(self._n_in / (self._from_hz / self._to_hz) + 0.5)  # as soxr has it
        n_left = n_total - self._n_out
        rest = self._wanted(np.zeros(self._silence(_LEAD_OUT_TAPS), np.float32))[:n_left]
        return np.pad(rest, (0, n_left - len(rest)))

    def _silence(self, n_taps: int) -> int:
        """Return the frames that a part of the filter spans."""
        return math.ceil(n_taps * max(1, self._from_hz / self._to_hz))

    def _wanted(self, samples: Samples) -> Samples:
        """Return what comes out for some frames, without that of the silence ahead."""
        found = np.concatenate([np.empty(0, np.float32), *self._filtered(samples)])
        n_unwanted = min(self._n_unwanted, len(found))
        self._n_unwanted -= n_unwanted
        self._n_out += len(found) - n_unwanted
        return found[n_unwanted:]

    def _filtered(self, samples: Samples) -> Iterator[Samples]:
        from av.audio.frame import AudioFrame

        for start in range(0, len(samples), _BLOCK_FRAMES):
            block = np.ascontiguousarray(samples[start : start + _BLOCK_FRAMES], np.float32)
            frame = AudioFrame.from_ndarray(block[None], "fltp", "mono")
            frame.sample_rate, frame.pts = self._from_hz, self._n_pushed
            self._n_pushed += len(block)
            self._source.push(frame)
            yield from self._pulled()

    def _pulled(self) -> Iterator[Samples]:
        while True:
            try:
                frame: Any = self._sink.pull()
            except BlockingIOError:  # it wants more
                return
            yield frame.to_ndarray().reshape(-1)


def _graph(from_hz: int, to_hz: int) -> tuple[Graph, FilterContext, FilterContext]:
    """Return FFmpeg's filters and their two ends, which crash without the graph."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_abuffer(
        format="fltp", sample_rate=from_hz, layout="mono", time_base=Fraction(1, from_hz)
    )
    change = graph.add("aresample", f"{to_hz}:{_OPTIONS}")
    sink = graph.add("abuffersink")
    source.link_to(change)
    change.link_to(sink)
    graph.configure()
    return graph, source, sink
