"""The transport test: does a score survive the codecs that a library is kept in?

A track is decoded once. The same samples are then written as float WAV, which is the
reference, as 16-bit WAV, and through lossy codecs, and each of these files goes through
the whole pipeline.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.benchmark.manifest import LabelledTrack
from beetsplug.artifactnet.benchmark.report.pages import Section, Table
from beetsplug.artifactnet.benchmark.runner import (
    Answer,
    AnswerLog,
    Job,
    Setup,
    by_contract,
    file_stamp,
    lost_answers,
    question,
    score_job,
)
from beetsplug.artifactnet.errors import AudioError, ConfigError
from beetsplug.artifactnet.results import Outcome
from beetsplug.artifactnet.scoring.detector import Detector
from beetsplug.artifactnet.scoring.pipeline import open_detectors
from beetsplug.artifactnet.workers import Lost, run_each

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

TRANSPORT_FILE = "transport.json"
MAX_S = 300.0
"""Seconds of a track, from its start, that are encoded: its samples are held in memory."""


@dataclass(frozen=True)
class Encoding:
    """One way to write the samples."""

    name: str
    suffix: str
    codec: str
    """FFmpeg's name of the encoder."""
    sample_format: str
    bit_rate: int | None = None
    """bit/s for all channels; None: lossless."""


REFERENCE = Encoding("float WAV", ".wav", "pcm_f32le", "flt")
ENCODINGS = (
    REFERENCE,
    Encoding("PCM16 WAV", ".wav", "pcm_s16le", "s16"),
    *(
        Encoding(f"{name} {kbit_s}", suffix, codec, sample_format, kbit_s * 1000)
        for kbit_s in (128, 64)
        for name, suffix, codec, sample_format in (
            ("MP3", ".mp3", "libmp3lame", "fltp"),
            ("AAC", ".m4a", "aac", "fltp"),
            ("Opus", ".opus", "libopus", "flt"),
        )
    ),
)
GATED = tuple(e.name for e in ENCODINGS if e.bit_rate is None or e.bit_rate >= 128_000)
"""Encodings that the gates are held against, the reference included."""
_FORMATS = {".wav": "wav", ".mp3": "mp3", ".m4a": "ipod", ".opus": "opus"}
_LAYOUTS = {1: "mono", 2: "stereo"}
_BLOCK_FRAMES = 1 << 14

MAX_MEAN_SHIFT = 0.15
MAX_SHIFT = 0.35
MAX_SOURCE_FPR = 0.05
MIN_TPR = 0.90


@dataclass(frozen=True)
class Shifts:
    """How far one encoding took the scores from the reference's."""

    encoding: str
    n_tracks: int
    """Scored in this encoding and as the reference."""
    mean_shift: float | None
    """Mean of the absolute differences; None where there is no such track."""
    max_shift: float | None
    n_flips: int
    """Tracks that only one of the two flags, at the model's own threshold."""
    n_failed: int
    """Tracks of the reference that were not scored in this encoding."""


@dataclass(frozen=True)
class Gate:
    """A bound that transport must keep to."""

    name: str
    found: float | None
    """None: there was nothing to measure."""
    bound: str
    """In words: ``at most 0.15``."""
    passed: bool | None


@dataclass(frozen=True)
class Transported:
    """What the test says of one model."""

    model: str
    threshold: float
    """The model's own ``ai`` threshold."""
    n_tracks: int
    """Scored as the reference."""
    by_encoding: tuple[Shifts, ...]
    gated: Shifts
    """All pairs of the gated encodings with the reference."""
    total: Shifts
    """All pairs of an encoding with the reference."""
    mean_range: float | None
    """Mean over tracks of the highest minus the lowest score in any encoding."""
    max_range: float | None
    n_flipped_tracks: int
    """Tracks that flip in at least one encoding."""
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class TransportJob:
    """A file and the models that hear its encodings, as a worker gets it."""

    job: Job
    encodings: tuple[Encoding, ...]
    folder: Path
    """Where encoded files are put for the time that they are needed."""


Key = tuple[int, Encoding, Detector]
"""Place of the track, how it was encoded, and who heard it."""


def transport_tracks(
    tracks: Sequence[LabelledTrack],
    setup: Setup,
    log: AnswerLog,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Transported, ...]:
    """Return what the transport test says of each model.

    Args:
        tracks: Those without a path are left out.
        setup: The models and how they are run; the time limit is for one encoding.
        log: As in :func:`~.runner.score_tracks`.
        on_progress: Told the number of tracks done and to do in this run.

    Raises:
        ModelError: A model is broken.
        ConfigError: The log or the temporary folder cannot be written to.
    """
    questions = {
        (place, encoding, detector): question(
            track, file_stamp(track.path), detector.card, setup.count, encoding.name
        )
        for place, track in enumerate(tracks)
        if track.path is not None
        for encoding in ENCODINGS
        for detector in setup.detectors
    }
    known = {key: log.get(asked) for key, asked in questions.items()}
    answers = {key: answer for key, answer in known.items() if answer is not None}
    due = [key for key in questions if key not in answers]
    # A worker that was stopped may still be writing.
    with tempfile.TemporaryDirectory(prefix="aibench-", ignore_cleanup_errors=True) as folder:
        jobs = _jobs(tracks, due, setup, Path(folder))
        with closing(_run(jobs, setup, on_progress)) as found:
            for key, answer in found:
                answers[key] = answer
                if questions[key].stamp:
                    log.add(questions[key], answer)
    return tuple(_transported(detector, tracks, answers) for detector in setup.detectors)


def _jobs(
    tracks: Sequence[LabelledTrack], due: Iterable[Key], setup: Setup, folder: Path
) -> list[TransportJob]:
    by_place: dict[int, list[Key]] = {}
    for key in due:
        by_place.setdefault(key[0], []).append(key)
    return [
        TransportJob(
            job=Job(place, path, tuple(dict.fromkeys(det for *_, det in keys)), setup.count),
            encodings=tuple(dict.fromkeys(encoding for _, encoding, _ in keys)),
            folder=folder,
        )
        for place, keys in by_place.items()
        if (path := tracks[place].path) is not None
    ]


def _run(
    jobs: Sequence[TransportJob], setup: Setup, on_progress: Callable[[int, int], None]
) -> Generator[tuple[Key, Answer]]:
    if not jobs:
        return
    open_detectors(setup.detectors, setup.workers)
    limit_s = setup.time_limit_s and setup.time_limit_s * len(ENCODINGS)
    on_progress(0, len(jobs))
    results = run_each(_transport, jobs, setup.workers, time_limit_s=limit_s)
    for n_done, (_, task, result) in enumerate(results, start=1):
        if isinstance(result, Lost):
            table = (lost_answers(task.job, result),) * len(task.encodings)
        else:
            table = result
        for encoding, row in zip(task.encodings, table, strict=True):
            for detector, answer in zip(task.job.detectors, row, strict=True):
                yield (task.job.place, encoding, detector), answer
        on_progress(n_done, len(jobs))


def _transport(task: TransportJob) -> tuple[tuple[Answer, ...], ...]:
    """Return for each encoding the answers of the models, in their orders."""
    job = task.job
    try:
        samples, sample_rate = decode(job.path)
    except AudioError as error:
        failed = Answer(None, f"{Outcome.UNREADABLE.value}: {error}")
        return ((failed,) * len(job.detectors),) * len(task.encodings)
    return tuple(_answers(task, encoding, samples, sample_rate) for encoding in task.encodings)


def _answers(
    task: TransportJob, encoding: Encoding, samples: NDArray[np.float32], sample_rate: int
) -> tuple[Answer, ...]:
    from av.error import FFmpegError

    job = task.job
    # Another machine's worker does not see this one's temporary folder.
    parent = task.folder if task.folder.is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        path = Path(folder, f"track{encoding.suffix}")
        try:
            encode(path, samples, sample_rate, encoding)
        except (FFmpegError, ValueError) as error:
            failed = Answer(None, f"{Outcome.UNREADABLE.value}: not encoded: {error}")
            return (failed,) * len(job.detectors)
        except OSError as error:
            # A full disk is no fault of the track's.
            raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
        answers: dict[Detector, Answer] = {}
        for group in by_contract(job.detectors):
            found = score_job(Job(job.place, path, group, job.count))
            answers.update(zip(group, found, strict=True))
    return tuple(answers[detector] for detector in job.detectors)


def decode(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return a file's samples, up to :data:`MAX_S`, and its sample rate in Hz.

    Returns:
        float32 (n_frames, n_channels); more than two channels are mixed to two.

    Raises:
        AudioError: FFmpeg cannot decode it.
    """
    import av
    from av.audio.resampler import AudioResampler
    from av.error import FFmpegError

    blocks: list[NDArray[np.float32]] = []
    n_frames = 0
    try:
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"protocol_whitelist": "none"}) as c,
        ):
            if not c.streams.audio:
                raise AudioError("no audio in it")
            stream = c.streams.audio[0]
            sample_rate = int(stream.rate or 0)
            layout = _LAYOUTS[min(2, stream.codec_context.layout.nb_channels)]
            resampler = AudioResampler("flt", layout, sample_rate)
            for frame in c.decode(stream):
                for packed in resampler.resample(frame):
                    block = packed.to_ndarray().reshape(-1, packed.layout.nb_channels)
                    blocks.append(block.astype(np.float32, copy=False))
                    n_frames += len(blocks[-1])
                if n_frames >= MAX_S * sample_rate:
                    break
    except (FFmpegError, ValueError, OSError) as error:
        raise AudioError(f"not decoded: {error}") from error
    if not n_frames:
        raise AudioError("no audio in it")
    return np.concatenate(blocks)[: round(MAX_S * sample_rate)], sample_rate


def encode(
    path: Path, samples: NDArray[np.float32], sample_rate: int, encoding: Encoding
) -> None:
    """Write samples as one of :data:`ENCODINGS`.

    An encoder that does not take the rate gets the next higher one that it takes. What
    an encoder puts before the first sample is told in the file's headers, and decoders
    drop it again.

    Args:
        path: Where to write.
        samples: float32 (n_frames, n_channels), nominal [-1, 1].
        sample_rate: Hz.
        encoding: How.

    Raises:
        FFmpegError: The encoder does not take them.
    """
    import av
    from av.audio.resampler import AudioResampler

    with path.open("wb") as file, av.open(file, "w", format=_FORMATS[path.suffix]) as out:
        layout = _LAYOUTS[samples.shape[1]]
        rates = av.Codec(encoding.codec, "w").audio_rates or [sample_rate]
        rate = min((r for r in rates if r >= sample_rate), default=max(rates))
        stream: Any = out.add_stream(encoding.codec, rate=rate, layout=layout)
        stream.codec_context.format = encoding.sample_format
        if encoding.bit_rate is not None:
            stream.bit_rate = encoding.bit_rate
        stream.codec_context.open()
        resampler = AudioResampler(
            encoding.sample_format, layout, rate, frame_size=stream.codec_context.frame_size
        )
        for frame in _frames(np.clip(samples, -1, 1), sample_rate, layout):
            for converted in resampler.resample(frame):
                out.mux(stream.encode(converted))
        for converted in resampler.resample(None):
            out.mux(stream.encode(converted))
        out.mux(stream.encode(None))


def _frames(
    samples: NDArray[np.float32], sample_rate: int, layout: str
) -> Iterator[AudioFrame]:
    from av.audio.frame import AudioFrame

    for start in range(0, len(samples), _BLOCK_FRAMES):
        packed = np.ascontiguousarray(samples[start : start + _BLOCK_FRAMES]).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate = sample_rate
        frame.pts = start
        yield frame


# From scores to what they mean.


def _transported(
    detector: Detector, tracks: Sequence[LabelledTrack], answers: Mapping[Key, Answer]
) -> Transported:
    rows: dict[int, dict[str, float]] = {}
    for (place, encoding, heard_by), answer in answers.items():
        if heard_by is detector and answer.probability is not None:
            rows.setdefault(place, {})[encoding.name] = answer.probability
    return summarise(
        detector.card.label,
        detector.card.thresholds.ai,
        [
            (tracks[place], rows[place])
            for place in sorted(rows)
            if REFERENCE.name in rows[place]
        ],
    )


def summarise(
    model: str, threshold: float, rows: Sequence[tuple[LabelledTrack, Mapping[str, float]]]
) -> Transported:
    """Return what the scores of one model say.

    Args:
        model: Its label.
        threshold: At or above which a score is flagged.
        rows: Each track with its score by encoding, the reference among them.
    """
    encoded = [e.name for e in ENCODINGS if e is not REFERENCE]
    by_encoding = tuple(_shifts(name, [name], rows, threshold) for name in encoded)
    gated = [name for name in encoded if name in GATED]
    of_gated = _shifts("gated encodings", gated, rows, threshold)
    ranges = [max(row.values()) - min(row.values()) for _, row in rows]
    return Transported(
        model=model,
        threshold=threshold,
        n_tracks=len(rows),
        by_encoding=by_encoding,
        gated=of_gated,
        total=_shifts("all encodings", encoded, rows, threshold),
        mean_range=statistics.fmean(ranges) if ranges else None,
        max_range=max(ranges, default=None),
        n_flipped_tracks=sum(
            len({score >= threshold for score in row.values()}) > 1 for _, row in rows
        ),
        gates=_gates(of_gated, rows, threshold),
    )


def _shifts(
    name: str,
    encodings: Sequence[str],
    rows: Sequence[tuple[LabelledTrack, Mapping[str, float]]],
    threshold: float,
) -> Shifts:
    pairs = [
        (row[REFERENCE.name], row[encoding])
        for _, row in rows
        for encoding in encodings
        if encoding in row
    ]
    shifts = [abs(score - reference) for reference, score in pairs]
    return Shifts(
        encoding=name,
        n_tracks=len(pairs),
        mean_shift=statistics.fmean(shifts) if shifts else None,
        max_shift=max(shifts, default=None),
        n_flips=sum((ref >= threshold) != (score >= threshold) for ref, score in pairs),
        n_failed=len(rows) * len(encodings) - len(pairs),
    )


def _gates(
    shifts: Shifts,
    rows: Sequence[tuple[LabelledTrack, Mapping[str, float]]],
    threshold: float,
) -> tuple[Gate, ...]:
    """Return the gates, rates being those of the worst encoding."""
    flags: dict[tuple[str, str, str], list[bool]] = {}
    for track, row in rows:
        for encoding in GATED:
            if encoding in row:
                source = track.source if track.label == "real" else ""
                key = track.label, source, encoding
                flags.setdefault(key, []).append(row[encoding] >= threshold)
    rates = {key: sum(found) / len(found) for key, found in flags.items()}
    fpr = max((rate for (label, *_), rate in rates.items() if label == "real"), default=None)
    tpr = min((rate for (label, *_), rate in rates.items() if label == "ai"), default=None)
    return (
        _at_most("mean shift", shifts.mean_shift, MAX_MEAN_SHIFT),
        _at_most("maximum shift", shifts.max_shift, MAX_SHIFT),
        _at_most("FPR of each source, in each encoding", fpr, MAX_SOURCE_FPR),
        Gate(
            "TPR in each encoding",
            tpr,
            f"at least {MIN_TPR:g}",
            None if tpr is None else tpr >= MIN_TPR,
        ),
    )


def _at_most(name: str, found: float | None, bound: float) -> Gate:
    return Gate(name, found, f"at most {bound:g}", None if found is None else found <= bound)


def transport_values(results: Sequence[Transported]) -> list[dict[str, Any]]:
    """Return what ``transport.json`` holds."""
    return [asdict(result) for result in results]


def transport_sections(results: Sequence[Transported]) -> tuple[Section, ...]:
    """Return what a reader is told."""
    if not results:
        return ()
    intro = Section(
        "Transport",
        (
            "The same decoded audio, the first five minutes of a track at most, as float WAV "
            "(the reference), 16-bit WAV, and MP3, AAC and Opus at 128 and at 64 kb/s. A shift "
            "is how far an encoding takes a track's score from the reference's; a flip is a "
            "track that only one of the two flags. The gates look at everything but 64 kb/s.",
        ),
    )
    return (intro, *(_section(result) for result in results))


def _section(result: Transported) -> Section:
    shifts = tuple(
        (
            found.encoding,
            str(found.n_tracks),
            _number(found.mean_shift),
            _number(found.max_shift),
            str(found.n_flips),
            str(found.n_failed),
        )
        for found in (*result.by_encoding, result.total)
    )
    gates = tuple(
        (gate.name, _number(gate.found), gate.bound, passed(gate)) for gate in result.gates
    )
    return Section(
        f"Transport of {result.model}",
        (
            f"{result.n_tracks} tracks; flags at {result.threshold:g}. From its lowest to its "
            f"highest score a track moves by {_number(result.mean_range)} on average and by "
            f"{_number(result.max_range)} at most; {result.n_flipped_tracks} flip in at least "
            f"one encoding.",
        ),
        (
            Table(
                ("encoding", "scored", "mean shift", "maximum shift", "flips", "failed"), shifts
            ),
            Table(("gate", "found", "must be", "result"), gates),
        ),
        level=3,
    )


def passed(gate: Gate) -> str:
    """Return a gate's result in one word."""
    return "not measured" if gate.passed is None else ("pass" if gate.passed else "fail")


def _number(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.4f}"


def transport_lines(result: Transported) -> list[str]:
    """Return the same for a terminal."""
    return [
        f"{result.model}: transport of {result.n_tracks} tracks",
        *(
            f"    {found.encoding:<14} mean shift {_number(found.mean_shift)}, "
            f"maximum {_number(found.max_shift)}, {found.n_flips} of {found.n_tracks} flip"
            for found in (*result.by_encoding, result.total)
        ),
        *(
            f"    {passed(gate)}: {gate.name} {_number(gate.found)}, must be {gate.bound}"
            for gate in result.gates
        ),
    ]
