"""Decoding with libsndfile: WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3 and kin.

Its seek is exact to the sample, but for Vorbis, where it may land 20 ms off; so only the wanted
ranges are decoded. It is the fast way and never the last word. A file whose length is doubtful
is left to FFmpeg when it is opened. So is the rest of a file that it stops in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio.down_mix import (
    Levels,
    Mix,
    Mixed,
    Mixer,
    Polarities,
    Range,
    Samples,
)
from beetsplug.artifactnet.audio.headers import read_mp3_tag
from beetsplug.artifactnet.audio.source import (
    CODEC_DELAY_S,
    TRUNCATION_TOLERANCE,
)
from beetsplug.artifactnet.errors import AudioError, TruncatedError
from beetsplug.artifactnet.memory import refuse_without_memory
from beetsplug.artifactnet.models.card import DownMix

if TYPE_CHECKING:
    import soundfile

_BLOCK_SAMPLES, _MP3_BLOCK_SAMPLES = 1 << 17, 1 << 24
"""Decoded at once, of all channels together. Each block of an MP3 needs its own lead-in."""
_TAIL_FRAMES = 1 << 12
_LEAD_IN_FRAMES = 1 << 12
"""Decoded ahead of a range and dropped: after a seek MP3 and Vorbis start garbled."""
_MP3_PHASES, _MP3_PHASE = 2 * 1_152, 1_105 - 576
"""mpg123 sums in another order from one MP3 frame to the next. Decoding from an even frame
gives the samples of a whole decode to the last bit. LAME's delay of 1,105 is assumed."""
_MOST_FRAMES = 1 << 48
"""More than a file can hold: libsndfile's word for a length that it does not know."""
_SIZE_LINE = re.compile(
    r"(?:data|SSND|BODY|Data Size|Data length) *:? *(\d+) \(?should be (\d+)"
)
_FILE_SIZE_LINE = re.compile(r"^riff *: *(\d+) \(should be (\d+)\)", re.MULTILINE)
_FRAMES_LINE = re.compile(r"\s(?:Frames|Cols) *: *(\d+)")
_FRAMES_IN_LOG = {"AVR", "MAT4", "MAT5", "MPC2K", "RF64"}
"""Formats whose frames libsndfile writes down as the header tells them."""
_STREAMED_CHUNK_SIZE = 0x7FFF0000
"""WAV writers that cannot seek back leave a size near 2 or 4 GiB in the header."""
_MOST_TAG_BYTES = 256 << 20
"""What a file may hold beside its audio: as much as an ID3v2 tag can."""
_SAMPLE_BYTES = 8
_MISREAD = {"RAW", "VOC"}
"""What it takes for audio by its name alone, and what it reads the headers of all blocks but
the first of as audio."""
_FINE = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32"}
"""libsndfile's words for samples of more than 16 bits that are kept as they are."""


class UndecidedError(Exception):
    """libsndfile does not read the file, or not in a way to be relied on."""


class SndfileSource:
    """A file that libsndfile decodes.

    Args:
        path: The file.
        down_mix: From channels to one.

    Raises:
        UndecidedError: libsndfile is not installed, does not read it, takes it by its name
            alone for samples without a header, does not know its length, or finds less
            audio than that.
        TruncatedError: The file ends before the audio that its header announces.
        AudioError: It is mostly something else than audio.
    """

    decoder = "libsndfile"

    def __init__(self, path: Path, down_mix: DownMix = "mean") -> None:
        self._mixer = Mixer(down_mix)
        self._file = _open(path)
        self.sample_rate = int(self._file.samplerate)
        self.n_frames = int(self._file.frames)
        self.is_fine = self._file.subtype in _FINE
        self._is_mp3 = self._file.format == "MP3"
        self._block_samples = _MP3_BLOCK_SAMPLES if self._is_mp3 else _BLOCK_SAMPLES
        try:
            self._check(path)
        except BaseException:
            self.close()
            raise

    @property
    def mixes(self) -> set[Mix]:
        """The down-mixes that were used so far."""
        return self._mixer.mixes

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        """Yield each range, by seeking.

        Raises:
            AudioError: libsndfile stops on the way.
        """
        return self._mixer.choose(self._read_all, ranges)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self, path: Path) -> None:
        if not 0 < self.n_frames < _MOST_FRAMES or self._file.format in _MISREAD:
            raise UndecidedError
        if self._is_mp3 and not _knows_mp3_length(path):
            raise UndecidedError
        _refuse_hole(self._file, path)
        _refuse_truncated_chunk(self._file)
        start = max(0, self.n_frames - _TAIL_FRAMES)
        try:
            found = len(self._read(start, self.n_frames, None).samples)
        except AudioError as error:
            raise UndecidedError from error
        if found < self.n_frames - start:
            raise UndecidedError

    def _read_all(
        self, ranges: Sequence[Range], polarities: Polarities | None
    ) -> Iterator[Mixed]:
        for start, stop in ranges:
            mixed = self._read(start, stop, polarities)
            # Vorbis may lack some samples after a seek.
            if start + len(mixed.samples) < stop - CODEC_DELAY_S * self.sample_rate:
                raise AudioError("decoding stopped before its end")
            yield mixed

    def _read(self, start: int, stop: int, polarities: Polarities | None) -> Mixed:
        """Return the frames from ``start`` to ``stop``, fewer where the file ends.

        By blocks: a span of a thousand channels would not fit into memory.
        """
        parts, levels = [np.empty(0, np.float32)], Levels()
        n_block = max(1, self._block_samples // self._file.channels)
        try:
            for first in range(start, stop, n_block):
                frames = self._read_block(first, min(first + n_block, stop), first == start)
                mixed = self._mixer.mix(frames, polarities)
                parts.append(mixed.samples)
                levels += mixed.levels
        except (AudioError, MemoryError, OSError):
            raise
        except Exception as error:
            raise AudioError(f"decoding stopped: {_reason(error)}") from error
        return Mixed(np.concatenate(parts), levels)

    def _read_block(self, start: int, stop: int, is_first: bool) -> NDArray[np.float32]:
        """Return ``(n_frames, n_channels)``, which follow the block before unless first."""
        lead_in = 0
        if is_first or self._is_mp3:
            lead_in = min(start, _LEAD_IN_FRAMES)
            if self._is_mp3:
                lead_in = min(start, lead_in + (start - lead_in + _MP3_PHASE) % _MP3_PHASES)
            self._file.seek(start - lead_in)
        # In one call: soundfile seeks after each, and MP3 starts garbled behind a seek.
        n_frames = lead_in + stop - start
        return self._file.read(n_frames, dtype="float32", always_2d=True)[lead_in:]


@cache
def _soundfile() -> ModuleType | None:
    """Return soundfile, None where it or libsndfile is not installed: FFmpeg reads all."""
    try:
        import soundfile
    except ImportError as error:
        refuse_without_memory(error)
        return None
    except OSError as error:
        # The pure wheel, for musl among others, comes without the library and says so.
        if error.errno is not None:
            raise
        refuse_without_memory(error)
        return None
    return soundfile


def _open(path: Path) -> soundfile.SoundFile:
    """Open a file, whatever bytes its name is made of.

    soundfile encodes names strictly, except on Windows, where they are text.
    """
    soundfile = _soundfile()
    if soundfile is None:
        raise UndecidedError
    try:
        return soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
    except MemoryError:
        raise
    except Exception as error:
        # TypeError among others: libsndfile takes the suffix .raw for headerless samples.
        raise UndecidedError from error


def _knows_mp3_length(path: Path) -> bool:
    """Tell whether an MP3 has a tag that libsndfile reads, and that speaks of all of it."""
    tag = read_mp3_tag(path)
    if tag is None or tag.name == b"VBRI":
        return False
    return tag.n_frames > 0 and tag.n_bytes > 0 and tag.covers_file


def _reason(error: Exception) -> str:
    """Return libsndfile's words without the file's name in them."""
    text = getattr(error, "error_string", "") or str(error)
    return text.strip().rstrip(".") or "libsndfile gives no reason"


def _refuse_truncated_chunk(file: soundfile.SoundFile) -> None:
    """Raise where a file holds less audio than its header says.

    libsndfile shortens such a file to the audio that is there, and says so in its log alone.
    """
    seconds = file.frames / file.samplerate
    for announced, present in _announced_and_present(file):
        if present < TRUNCATION_TOLERANCE * announced:
            raise TruncatedError(seconds, seconds * announced / max(present, 1))


def _announced_and_present(file: soundfile.SoundFile) -> Iterator[tuple[int, int]]:
    """Yield announced and present sizes, in bytes or frames."""
    log = file.extra_info
    if found := _SIZE_LINE.search(log):
        announced, present = int(found[1]), int(found[2])
        if TRUNCATION_TOLERANCE * announced < _STREAMED_CHUNK_SIZE:
            yield announced, present
    if file.format == "W64" and (found := _FILE_SIZE_LINE.search(log)):
        yield int(found[1]), int(found[2])
    if file.format in _FRAMES_IN_LOG:
        for line in _FRAMES_LINE.finditer(log):
            if int(line[1]) < _MOST_FRAMES:
                yield int(line[1]), file.frames


def _refuse_hole(file: soundfile.SoundFile, path: Path) -> None:
    """Raise where a large FLAC is mostly something else than the audio announced.

    libFLAC looks for the next frame through gigabytes of zeros.
    """
    if file.format != "FLAC":
        return
    n_audio_bytes = file.frames * file.channels * _SAMPLE_BYTES
    if path.stat().st_size > _MOST_TAG_BYTES + n_audio_bytes:
        raise AudioError(f"{file.frames / file.samplerate:.1f} s of audio in a file far larger")
