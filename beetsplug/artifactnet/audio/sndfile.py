"""Decoding with libsndfile: WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3 and kin.

Its seek is exact to the sample, but for Vorbis, where it may land 20 ms off; so only
the wanted ranges are decoded. The tail is read when a file is opened, and where it is
missing the file is decoded once from start to end to learn its true length. An MP3
without a length tag is left to PyAV: libsndfile guesses its length from the first
frame, and reads nothing beyond a guess too short.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from beetsplug.artifactnet.audio.mp3_frames import Mp3Frames, find_frames
from beetsplug.artifactnet.audio.source import (
    TRUNCATION_TOLERANCE,
    Range,
    Samples,
    cut_ranges,
    down_mix,
    is_truncated,
)
from beetsplug.artifactnet.errors import AudioError, TruncatedError

_UNDECODABLE = (soundfile.SoundFileError, RuntimeError, ValueError)
"""ValueError: libsndfile stands behind the end that the header told."""
_BLOCK_FRAMES = 1 << 16
_NOTHING = np.empty(0, np.float32)
_TAIL_FRAMES = 1 << 12
_LEAD_IN_FRAMES = 1 << 12
"""Decoded ahead of a range and dropped: after a seek MP3 and Vorbis start garbled."""
_MOST_CLIP_S = 60
"""What is cut out of an MP3 to be decoded by itself is held in memory."""
_CHUNK_SIZE_LINE = re.compile(r"\n *(?:data|SSND) *: *(\d+) \(should be (\d+)\)")
_STREAMED_CHUNK_SIZE = 0x7FFF0000
"""WAV writers that cannot seek back leave a size near 2 or 4 GiB in the header."""
_MOST_TAG_BYTES = 256 << 20
"""What a file may hold beside its audio: as much as an ID3v2 tag can."""
_SAMPLE_BYTES = 8
_OGG_LAST_PAGE_BYTES = 1 << 17
_OGG_SERIAL = slice(14, 18)
"""Where an Ogg page header names its stream."""
_OGG_N_LACING = 26
"""Where an Ogg page header holds the number of its lacing values."""
_MP3_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")


class UnknownLengthError(Exception):
    """libsndfile reads the file, and only guesses how long it is."""


class SndfileSource:
    """A file that libsndfile decodes.

    Raises:
        soundfile.SoundFileError: libsndfile does not read this file.
        UnknownLengthError: It is an MP3 without a length tag, or a chain of Ogg streams.
        TruncatedError: The file ends before the audio that its header announces.
        AudioError: It opens, and cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _refuse_odd_ogg(path)
        self._file = _open(path)
        self.sample_rate = int(self._file.samplerate)
        self.n_frames = int(self._file.frames)
        self._seekable = True
        self._mp3: Mp3Frames | None = None
        try:
            _refuse_hole(self._file, path)
            _refuse_guessed_length(self._file, path)
            self._mp3 = self._mp3_frames()
            _refuse_truncated_chunk(self._file, self.sample_rate)
            if self._file.format == "OGG":
                _refuse_truncated_ogg(path, self.n_frames / self.sample_rate)
            if not self._tail_is_there():
                self._measure()
        except BaseException:
            self.close()
            raise

    def ranges(self, ranges: Sequence[Range]) -> Iterator[Samples]:
        """Yield each range: by seeking, or in one pass where the length was wrong."""
        if self._seekable:
            return (self._read(start, stop) for start, stop in ranges)
        return cut_ranges(self._blocks(), ranges)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._mp3 is not None:
            self._mp3.file.close()

    def _tail_is_there(self) -> bool:
        start = max(0, self.n_frames - _TAIL_FRAMES)
        try:
            return len(self._read(start, self.n_frames)) == self.n_frames - start
        except AudioError:
            return False

    def _mp3_frames(self) -> Mp3Frames | None:
        """Return where an MP3's frames lie, if they hold as much as libsndfile says."""
        found = find_frames(self._path) if self._file.format == "MP3" else None
        if found is not None and found.n_samples < self.n_frames:
            found.file.close()
            return None
        return found

    def _measure(self) -> None:
        """Decode from start to end and keep the length that was really there."""
        announced, self._seekable = self.n_frames, False
        self.n_frames = sum(len(block) for block in self._blocks())
        found_s, announced_s = self.n_frames / self.sample_rate, announced / self.sample_rate
        if is_truncated(found_s, announced_s):
            raise TruncatedError(found_s, announced_s)

    def _read(self, start: int, stop: int) -> Samples:
        try:
            if self._mp3 is not None and stop - start <= _MOST_CLIP_S * self.sample_rate:
                clip, offset = self._mp3.clip(start, stop)
                with soundfile.SoundFile(clip) as file:
                    return _decoded(file, offset, offset + stop - start)
            first = max(0, start - _LEAD_IN_FRAMES)
            self._file.seek(first)
            return _decoded(self._file, start - first, stop - first)
        except _UNDECODABLE as error:
            raise AudioError(f"decoding stopped: {_reason(error)}") from error

    def _blocks(self) -> Iterator[Samples]:
        """Yield the file in blocks; an undecodable rest ends it, as the end would."""
        with _open(self._path) as file:
            try:
                yield from _blocks(file, file.frames)
            except _UNDECODABLE:
                return


def _decoded(file: soundfile.SoundFile, start: int, stop: int) -> Samples:
    """Return the frames from ``start`` to ``stop``, counted from where the file stands.

    By blocks: a span of a thousand channels would not fit into memory.
    """
    return np.concatenate([*_blocks(file, stop), _NOTHING])[start:]


def _blocks(file: soundfile.SoundFile, n_frames: int) -> Iterator[Samples]:
    """Yield at most ``n_frames`` frames from where the file stands, down-mixed."""
    while n_frames > 0:
        block = file.read(min(_BLOCK_FRAMES, n_frames), dtype="float32", always_2d=True)
        if not len(block):
            return
        n_frames -= len(block)
        yield down_mix(block)


def _open(path: Path) -> soundfile.SoundFile:
    """Open a file, whatever bytes its name is made of.

    soundfile encodes names strictly, except on Windows, where they are text.
    """
    return soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))


def _reason(error: Exception) -> str:
    """Return libsndfile's words without the file's name in them."""
    text = getattr(error, "error_string", "") or str(error)
    return text.strip().rstrip(".") or "libsndfile gives no reason"


def _refuse_truncated_chunk(file: soundfile.SoundFile, sample_rate: int) -> None:
    """Raise where a WAV or AIFF holds less audio than its chunk header says.

    libsndfile shortens such a file to what is there and says so in its log alone.
    """
    found = _CHUNK_SIZE_LINE.search(file.extra_info)
    if found is None:
        return
    announced, present = int(found[1]), int(found[2])
    if present < TRUNCATION_TOLERANCE * announced < _STREAMED_CHUNK_SIZE:
        seconds = file.frames / sample_rate
        raise TruncatedError(seconds, seconds * announced / max(present, 1))


def _refuse_hole(file: soundfile.SoundFile, path: Path) -> None:
    """Raise where a large FLAC is mostly something else than the audio announced.

    libFLAC looks for the next frame through gigabytes of zeros.
    """
    if file.format != "FLAC":
        return
    n_audio_bytes = file.frames * file.channels * _SAMPLE_BYTES
    if path.stat().st_size > _MOST_TAG_BYTES + n_audio_bytes:
        raise AudioError(f"{file.frames / file.samplerate:.1f} s of audio in a file far larger")


def _refuse_odd_ogg(path: Path) -> None:
    """Raise where the last page is missing: libsndfile searches all of the file for it.

    Raises:
        AudioError: There is none.
        UnknownLengthError: It belongs to another stream than the first page. libsndfile
            reads one song of several in a chain, and takes its length for the file's.
    """
    with path.open("rb") as file:
        head = file.read(_OGG_SERIAL.stop)
        if head[:4] != b"OggS":
            return
        file.seek(max(0, path.stat().st_size - _OGG_LAST_PAGE_BYTES))
        tail = file.read()
    start = tail.rfind(b"OggS")
    if start < 0:
        raise AudioError("truncated: no page at its end")
    if tail[start:][_OGG_SERIAL] != head[_OGG_SERIAL]:
        raise UnknownLengthError


def _refuse_truncated_ogg(path: Path, found_s: float) -> None:
    """Raise where an Ogg file is cut within its last page (RFC 3533, section 6).

    A missing end-of-stream flag alone is no sign: some encoders never set it.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _OGG_LAST_PAGE_BYTES))
        tail = file.read()
    start = tail.rfind(b"OggS")
    page = tail[start:] if start >= 0 else b""
    n_lacing = page[_OGG_N_LACING] if len(page) > _OGG_N_LACING else 0
    lacing = page[_OGG_N_LACING + 1 : _OGG_N_LACING + 1 + n_lacing]
    complete = len(lacing) == n_lacing and len(page) >= _OGG_N_LACING + 1 + n_lacing + sum(
        lacing
    )
    if not complete:
        raise AudioError(f"truncated: cut off after {found_s:.1f} s")


def _refuse_guessed_length(file: soundfile.SoundFile, path: Path) -> None:
    """Raise for an MP3 whose first frame carries no Xing, Info or VBRI tag.

    A Xing or Info tag stands behind the frame's side information and a VBRI tag 32
    bytes behind its header: all within the first kilobyte after an ID3v2 tag.
    """
    if file.format != "MP3":
        return
    with path.open("rb") as stream:
        head = stream.read(10)
        if head[:3] == b"ID3":
            size = 0
            for byte in head[6:10]:
                size = size << 7 | byte & 0x7F
            stream.seek(10 + size)
        else:
            stream.seek(0)
        frame = stream.read(1024)
    if not any(tag in frame for tag in _MP3_LENGTH_TAGS):
        raise UnknownLengthError
