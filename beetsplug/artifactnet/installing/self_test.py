"""A known-answer test: what this machine's decoders and engine make of known signals.

The signals are made from a seed, written as files of several kinds in a temporary folder,
and scored like any other file. A machine whose libraries decode or compute differently
gets other probabilities than those that are recorded here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.audio.encode import Encoding, encode
from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.results import Outcome, TrackResult
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import score_file

Samples = NDArray[np.float32]

_SAMPLE_RATE = 44_100
_DURATION_S = 6.0
_LOSSLESS, _LOSSY = 0.01, 0.15
"""How far a probability may lie from the recorded one."""
_CLICK = 0.1


@dataclass(frozen=True)
class _Case:
    """A signal in a container, and what is known of its score."""

    name: str
    signal: Callable[[], Samples]
    encoding: Encoding
    expected: float | Outcome
    tolerance: float = _LOSSLESS


def self_test(detector: Detector, folder: Path) -> list[str]:
    """Return a line for each known signal that gets its known answer on this machine.

    There is none for a model that no answers are known for.

    Args:
        detector: The model.
        folder: Where the signals are written. The caller removes it: a worker that is
            ended could not.

    Raises:
        ModelError: One does not; the message says which, and what came instead.
    """
    cases = _CASES.get(detector.card.label, ())
    return [_tried(case, folder, detector) for case in cases]


def _tried(case: _Case, folder: Path, detector: Detector) -> str:
    path = folder / f"signal{case.encoding.suffix}"
    encode(path, case.signal()[:, None], _SAMPLE_RATE, case.encoding)
    return _compared(case, score_file(path, detector, 3))


def _compared(case: _Case, result: TrackResult) -> str:
    """Return what came of a case in one line."""
    found = result.outcome if result.score is None else result.score.probability
    line = f"self-test: {case.name} in {case.encoding.name}: {_word(found)}"
    if isinstance(case.expected, Outcome) or isinstance(found, Outcome):
        agrees = found == case.expected
    else:
        agrees = abs(found - case.expected) <= case.tolerance
    if not agrees:
        reason = f" ({result.detail})" if result.detail else ""
        raise ModelError(
            f"{line}{reason}, where {_word(case.expected)} is known: a decoder or "
            f"the engine works differently here; reinstall soundfile, av and onnxruntime"
        )
    return line


def _word(answer: float | Outcome) -> str:
    return answer.value if isinstance(answer, Outcome) else f"{answer:.4f}"


def _swell() -> NDArray[np.float64]:
    """Return a level that rises and falls, as that of music does, (n_samples,)."""
    time_s = np.arange(round(_DURATION_S * _SAMPLE_RATE)) / _SAMPLE_RATE
    return 0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * time_s)


def _noise() -> Samples:
    noise = np.random.default_rng(33).standard_normal(round(_DURATION_S * _SAMPLE_RATE))
    return (0.05 * noise * _swell()).astype(np.float32)


def _comb() -> Samples:
    """Return noise with a click each 512 samples, rising and falling together."""
    clicks = np.zeros(round(_DURATION_S * _SAMPLE_RATE))
    clicks[::512] = _CLICK
    return (_noise() + clicks * _swell()).astype(np.float32)


def _tone() -> Samples:
    time_s = np.arange(round(_DURATION_S * _SAMPLE_RATE)) / _SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * 1_000 * time_s)).astype(np.float32)


def _silence() -> Samples:
    return np.zeros(round(_DURATION_S * _SAMPLE_RATE), np.float32)


_WAV = Encoding("WAV", ".wav", "pcm_s16le", "s16")
_FLAC = Encoding("FLAC", ".flac", "flac", "s16")
_OPUS = Encoding("Opus", ".opus", "libopus", "flt", 128_000)
_MP3 = Encoding("MP3", ".mp3", "libmp3lame", "fltp", 128_000)
_AAC = Encoding("m4a (AAC)", ".m4a", "aac", "fltp", 128_000)

_CASES: dict[str, tuple[_Case, ...]] = {
    "finecomb-3.1": (
        _Case("comb", _comb, _WAV, 0.2881),
        _Case("comb", _comb, _FLAC, 0.2881),
        _Case("comb", _comb, _OPUS, 0.3095, _LOSSY),
        _Case("comb", _comb, _MP3, 0.3330, _LOSSY),
        _Case("comb", _comb, _AAC, 0.2946, _LOSSY),
        _Case("noise", _noise, _WAV, 0.0783),
        _Case("tone", _tone, _FLAC, Outcome.NO_EVIDENCE),
        _Case("silence", _silence, _WAV, Outcome.SILENT),
    )
}
"""By the label of the model that gave the answers."""
