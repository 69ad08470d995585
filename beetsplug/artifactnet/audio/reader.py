"""The one door to audio files: open, ask for spans at a rate, get mono samples."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from beetsplug.artifactnet.audio.pyav import PyavSource
from beetsplug.artifactnet.audio.sndfile import SndfileSource, UnknownLengthError
from beetsplug.artifactnet.audio.source import CODEC_DELAY_S, Range, Samples, Source
from beetsplug.artifactnet.errors import AudioError, MissingFileError, TruncatedError

_QUALITY = "HQ"
_SAMPLE_RATES_HZ = (4_000, 768_000)
_MARGIN_S = 0.05
"""Context on either side of a span, well beyond the resampler's impulse response."""


@dataclass(frozen=True)
class Waveform:
    """A whole file, decoded."""

    samples: Samples
    """float32 (n_samples,), mono, in [-1, 1]."""
    sample_rate: int
    """Hz."""


@contextmanager
def open_audio(path: Path) -> Iterator[AudioReader]:
    """Open a file for reading spans out of it.

    Raises:
        MissingFileError: There is no file.
        AudioError: It is not a regular file, is empty, encrypted, truncated, or holds
            no audio that libsndfile or FFmpeg can decode.
    """
    with _system_errors():
        _refuse_odd_file(path)
        source = _open_source(path)
    try:
        yield AudioReader(source)
    finally:
        source.close()


def read_waveform(path: Path, sample_rate: int) -> Waveform:
    """Return a whole file at ``sample_rate`` Hz.

    Raises:
        AudioError: As :func:`open_audio`.
    """
    with open_audio(path) as reader:
        n_samples = reader.n_samples(sample_rate)
        samples = next(reader.spans([0], n_samples, sample_rate))
    return Waveform(samples, sample_rate)


class AudioReader:
    """An open file, read by spans at any sample rate."""

    def __init__(self, source: Source) -> None:
        low, high = _SAMPLE_RATES_HZ
        if not low <= source.sample_rate <= high:
            raise AudioError(f"a sample rate of {source.sample_rate} Hz")
        if source.n_frames <= 0:
            raise AudioError("no audio in it")
        self._source = source

    @property
    def sample_rate(self) -> int:
        """The file's own rate, Hz."""
        return self._source.sample_rate

    @property
    def duration_s(self) -> float:
        """Length of the track, seconds."""
        return self._source.n_frames / self._source.sample_rate

    def n_samples(self, sample_rate: int) -> int:
        """Return the track's length in samples at ``sample_rate`` Hz."""
        return max(1, round(self._source.n_frames * sample_rate / self._source.sample_rate))

    def spans(
        self, starts: Sequence[int], n_samples: int, sample_rate: int
    ) -> Iterator[Samples]:
        """Yield ``n_samples`` samples from each start, mono float32 in [-1, 1].

        Args:
            starts: First sample of each span at ``sample_rate``, in ascending order.
            n_samples: Length of every span; past the track's end it is zeros.
            sample_rate: Hz.

        Raises:
            AudioError: The file cannot be decoded there.
        """
        cuts = [self._cut(start, n_samples, sample_rate) for start in starts]
        decoded = self._decode([(first, last) for first, last, _ in cuts])
        for (_, _, offset), samples in zip(cuts, decoded, strict=True):
            span = self._resample(samples, sample_rate)[offset : offset + n_samples]
            yield np.clip(np.pad(span, (0, n_samples - len(span))), -1.0, 1.0)

    def _decode(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        # A disk may go while the file is read, and PyAV opens it more than once.
        with _system_errors():
            decoded = self._source.ranges(ranges)
            for (start, stop), samples in zip(ranges, decoded, strict=True):
                found_s = (start + len(samples)) / self.sample_rate
                # A file that was cut while open; Vorbis may lack some samples anyway.
                if found_s < stop / self.sample_rate - CODEC_DELAY_S:
                    raise TruncatedError(found_s, self.duration_s)
                yield samples

    def _resample(self, samples: Samples, sample_rate: int) -> Samples:
        if sample_rate == self._source.sample_rate:
            return samples
        return soxr.resample(samples, self._source.sample_rate, sample_rate, quality=_QUALITY)

    def _cut(self, start: int, n_samples: int, sample_rate: int) -> tuple[int, int, int]:
        """Return the frames to decode for a span, and where it starts among them.

        The first frame is one that falls on a sample of the resampled track, so that
        resampling the cut and cutting the resampled track give the same grid.
        """
        source_rate = self._source.sample_rate
        if source_rate == sample_rate:
            first, last = start, start + n_samples
            return *self._clamp(first, last), 0
        divisor = math.gcd(source_rate, sample_rate)
        frames_per_step, samples_per_step = source_rate // divisor, sample_rate // divisor
        margin = math.ceil(_MARGIN_S * source_rate)
        earliest = max(0, start * source_rate // sample_rate - margin)
        step = earliest // frames_per_step
        last = math.ceil((start + n_samples) * source_rate / sample_rate) + margin
        return (
            *self._clamp(step * frames_per_step, last),
            start - step * samples_per_step,
        )

    def _clamp(self, first: int, last: int) -> Range:
        n_frames = self._source.n_frames
        return min(first, n_frames), min(last, n_frames)


@contextmanager
def _system_errors() -> Iterator[None]:
    """Turn what the system says of a file into this package's words."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingFileError from error
    except OSError as error:
        raise AudioError(error.strerror or type(error).__name__) from error


def _open_source(path: Path) -> Source:
    try:
        return SndfileSource(path)
    except (soundfile.SoundFileError, UnknownLengthError, TypeError):
        # TypeError: libsndfile takes the suffix .raw for headerless samples.
        return PyavSource(path)


def _refuse_odd_file(path: Path) -> None:
    """Raise for what would block, or is nothing, before a decoder sees it."""
    if "\0" in os.fspath(path):
        raise MissingFileError
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("not a regular file")
    if status.st_size == 0:
        raise AudioError("empty file")
