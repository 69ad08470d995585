"""The one door to audio files: open, ask for spans at a rate, get mono samples."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beetsplug.artifactnet.audio.down_mix import Mix, Range, Samples
from beetsplug.artifactnet.audio.headers import check_header
from beetsplug.artifactnet.audio.parts import parts_of
from beetsplug.artifactnet.audio.pyav import PyavSource
from beetsplug.artifactnet.audio.sndfile import SndfileSource, UndecidedError
from beetsplug.artifactnet.audio.source import Joined, Resampled, Source, is_truncated
from beetsplug.artifactnet.errors import AudioError, MissingFileError, TruncatedError
from beetsplug.artifactnet.memory import excess_told_apart
from beetsplug.artifactnet.models.card import DownMix

_SAMPLE_RATES_HZ = (4_000, 2_822_400)
"""The highest is that of DSD512, eight bits of which FFmpeg makes one sample."""
_WORDS_ABOUT_A_PATH = {
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EILSEQ,
    errno.EINVAL,
}
"""What a path is, whatever the state of the machine: there never is a file at it."""


@dataclass(frozen=True)
class Waveform:
    """A whole file, decoded."""

    samples: Samples
    """float32 (n_samples,), mono, in [-1, 1]."""
    sample_rate: int
    """Hz."""


@contextmanager
def open_audio(path: Path, down_mix: DownMix = "mean") -> Iterator[AudioReader]:
    """Open a file for reading spans out of it.

    Args:
        path: The file.
        down_mix: ``"mean"`` of the channels, or ``"audible"``: the mean of a span unless
            it cancels what the channels hold, and otherwise their mean after those that
            oppose the loudest were inverted.

    Raises:
        MissingFileError: There is no file.
        AudioError: It is not a regular file, is empty, encrypted, truncated, or holds
            no audio that libsndfile or FFmpeg can decode. Whatever a decoder raises of a
            file becomes this error, here and when spans are read.
        OSError: The system does not let the file be read: no permission, no free
            descriptor, a disk or network that fails. It says nothing of the file.
        ExcessiveMemoryError: The file asks for an absurd amount of memory.
        MemoryError: There is no memory left.
    """
    with _told_apart():
        _refuse_odd_file(path)
        source = _open_source(path, down_mix)
    try:
        yield AudioReader(source)
    finally:
        source.close()


def read_waveform(path: Path, sample_rate: int, down_mix: DownMix = "mean") -> Waveform:
    """Return a whole file at ``sample_rate`` Hz.

    Raises:
        AudioError: As :func:`open_audio`, and so are other errors.
    """
    with open_audio(path, down_mix) as reader:
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
        """The file's own rate, Hz; of a file of several parts, the first one's."""
        return self._source.sample_rate

    @property
    def duration_s(self) -> float:
        """Length of the track, seconds."""
        return self._source.n_frames / self._source.sample_rate

    @property
    def decoder(self) -> str:
        """Name of the library that decodes the file; it may change while spans are read."""
        return self._source.decoder

    @property
    def mixes(self) -> frozenset[Mix]:
        """The down-mixes of the spans that were read so far: ``mean``, ``aligned``."""
        return frozenset(self._source.mixes)

    @property
    def is_fine(self) -> bool:
        """Whether the samples have more than 16 bits, and no codec changed them."""
        return self._source.is_fine

    def n_samples(self, sample_rate: int) -> int:
        """Return the track's length in samples at ``sample_rate`` Hz."""
        return max(1, Resampled(self._source, sample_rate).n_frames)

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
            OSError, MemoryError: As :func:`open_audio`.
        """
        ranges = [(start, start + n_samples) for start in starts]
        # A disk may go while the file is read, and PyAV opens it more than once.
        with _told_apart():
            for span in Resampled(self._source, sample_rate).ranges(ranges):
                yield np.clip(np.pad(span, (0, n_samples - len(span))), -1.0, 1.0)


class _WithFallback:
    """A file that libsndfile decodes, and FFmpeg from where libsndfile fails.

    Args:
        path: The file.
        source: It, opened by libsndfile.
        down_mix: From channels to one.
    """

    def __init__(self, path: Path, source: SndfileSource, down_mix: DownMix) -> None:
        self._path, self._down_mix = path, down_mix
        self._first = source
        self._second: Source | None = None
        self.sample_rate, self.n_frames = source.sample_rate, source.n_frames
        self.is_fine = source.is_fine

    @property
    def decoder(self) -> str:
        return (self._second or self._first).decoder

    @property
    def mixes(self) -> set[Mix]:
        return self._first.mixes | (self._second.mixes if self._second else set())

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        n_done = 0
        if self._second is None:
            try:
                for samples in self._first.ranges(ranges):
                    yield samples
                    n_done += 1
            except AudioError as error:
                self._second = self._open_second(error)
        if self._second is not None:
            yield from self._second.ranges(ranges[n_done:])

    def close(self) -> None:
        self._first.close()
        if self._second is not None:
            self._second.close()

    def _open_second(self, error: AudioError) -> Source:
        """Open the file with FFmpeg; ranges and length stay as libsndfile told them."""
        try:
            second = Resampled(PyavSource(self._path, self._down_mix), self.sample_rate)
        except TruncatedError:
            raise
        except AudioError:
            raise error from None
        first_s, second_s = (n / self.sample_rate for n in (self.n_frames, second.n_frames))
        if is_truncated(second_s, first_s):
            raise TruncatedError(second_s, first_s)
        if is_truncated(first_s, second_s):
            raise AudioError(f"{first_s:.1f} s for one decoder, {second_s:.1f} s for another")
        return second


@contextmanager
def _told_apart() -> Iterator[None]:
    """Turn the system's errors about a path or a file into this package's errors.

    Errors about the machine, or about permissions, are passed on.
    """
    try:
        with excess_told_apart():
            yield
    except FileNotFoundError as error:
        raise MissingFileError from error
    except OSError as error:
        if error.errno not in _WORDS_ABOUT_A_PATH:
            raise
        raise AudioError(error.strerror or type(error).__name__) from error


def _open_source(path: Path, down_mix: DownMix) -> Source:
    check_header(path)
    parts = parts_of(path)
    if len(parts) > 1:
        return Joined([PyavSource(path, down_mix, part) for part in parts])
    try:
        return _WithFallback(path, SndfileSource(path, down_mix), down_mix)
    except UndecidedError:
        return PyavSource(path, down_mix)


def _refuse_odd_file(path: Path) -> None:
    """Raise for a path that would block, or holds nothing, before a decoder sees it."""
    if "\0" in os.fspath(path):
        raise MissingFileError
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("not a regular file")
    if status.st_size == 0:
        raise AudioError("empty file")
