"""Hard negatives: signals that no decoder made and that stand on a comb all the same.

Tones, test signals, mains hum, drones, click trains, loops and old synthesis have lines
at fixed places, as the output of a neural decoder has. A detector must never call one of
them ``ai``. All of them are made from a seed; none is music of others, except where hum
is laid over music that the caller gives.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 44_100
"""Hz, of all signals."""
STEP = 1 / 32_768
"""One step of 16-bit audio."""
_MOST_SPEED = 2 ** (4 / 12)

Samples = NDArray[np.float32]
_Float = NDArray[np.float64]
_Make = Callable[..., _Float]


@dataclass(frozen=True)
class HardNegative:
    """One signal; its samples are made when they are asked for."""

    kind: str
    """What it is one of, such as ``tone``."""
    name: str
    """Unique."""
    make: Callable[[], Samples]
    """Returns float32 (n_samples,) at 44.1 kHz, in [-1, 1], on the grid of 16 bits."""


def hard_negatives(
    music: Sequence[Samples] = (), *, duration_s: float = 12.0, seed: int = 0
) -> list[HardNegative]:
    """Return all signals, in a fixed order.

    Args:
        music: Human-made music, mono at 44.1 kHz, for hum to be laid over.
        duration_s: Length of a signal that is not made of music.
        seed: Of everything random. Of any but 0 each signal is played at a speed of its own,
            so that none of its frequencies and periods is that of another seed.
    """
    n_samples = round(duration_s * SAMPLE_RATE)
    n_made = round(n_samples * _MOST_SPEED) if seed else n_samples
    signals = [signal for kind in _KINDS for signal in kind(n_made, seed)]
    if seed:
        signals = [_at_own_speed(signal, n_samples, seed) for signal in signals]
    for place, samples in enumerate(music):
        signals += _hum_on(samples, place)
    return signals


def _at_own_speed(signal: HardNegative, n_samples: int, seed: int) -> HardNegative:
    """Return a signal at up to four semitones more or less, cut to ``n_samples``."""
    rng = np.random.default_rng([seed, *signal.name.encode()])
    speed = _MOST_SPEED ** rng.uniform(-1, 1)

    def make() -> Samples:
        return quantised(
            soxr.resample(signal.make(), SAMPLE_RATE, SAMPLE_RATE / speed)[:n_samples]
        )

    return replace(signal, make=make)


# Building blocks.


def decibels(level_db: float) -> float:
    """Return an amplitude, 1 at 0 dB."""
    return float(10 ** (level_db / 20))


def quantised(samples: _Float | Samples, rng: np.random.Generator | None = None) -> Samples:
    """Return samples on the grid of 16 bits, with triangular dither if there is a ``rng``."""
    steps = np.asarray(samples, dtype=np.float64) / STEP
    if rng is not None:
        steps = steps + rng.random(len(steps)) - rng.random(len(steps))
    return (np.clip(np.round(steps), -32_768, 32_767) * STEP).astype(np.float32)


def _time_s(n_samples: int) -> _Float:
    return np.arange(n_samples) / SAMPLE_RATE


def _sine(frequency_hz: float, n_samples: int, phase: float = 0.0) -> _Float:
    return np.sin(2 * np.pi * frequency_hz * _time_s(n_samples) + phase)


def _normal(samples: _Float, level_db: float = -6.0) -> _Float:
    return decibels(level_db) * samples / max(float(np.abs(samples).max()), 1e-12)


def _harmonics(
    frequency_hz: float, amplitude: Callable[[int], float], n_samples: int, top_hz: float = 20e3
) -> _Float:
    """Return a sum of harmonics, with one period computed where it is whole samples long."""
    period = SAMPLE_RATE / frequency_hz
    length = round(period) if period.is_integer() else n_samples
    turns = 2 * np.pi * frequency_hz * _time_s(length)
    # sin(n x) = 2 cos(x) sin((n - 1) x) - sin((n - 2) x): a sine costs five times as much.
    twice_cosine, before, sine = 2 * np.cos(turns), np.zeros(length), np.sin(turns)
    total = np.zeros(length)
    for number in range(1, int(top_hz / frequency_hz) + 1):
        total += amplitude(number) * sine
        before, sine = sine, twice_cosine * sine - before
    return np.resize(total, n_samples)


def _saw(number: int) -> float:
    return 1 / number


def _square(number: int) -> float:
    return 1 / number if number % 2 else 0.0


def _triangle(number: int) -> float:
    return (-1) ** (number // 2) / number**2 if number % 2 else 0.0


def _comb_of_equals(_number: int) -> float:
    return 1.0


_SHAPES: dict[str, Callable[[int], float]] = {
    "saw": _saw,
    "square": _square,
    "triangle": _triangle,
    "pulse": _comb_of_equals,
}


def _naive(shape: str, phase: _Float) -> _Float:
    """Return a waveform of old hardware, aliases and all, of a phase in periods."""
    part = phase % 1.0
    if shape == "saw":
        return 2 * part - 1
    if shape == "triangle":
        return 4 * np.abs(part - 0.5) - 1
    duty = {"square": 0.5, "pulse": 0.125, "quarter": 0.25}[shape]
    return np.where(part < duty, 1.0, -1.0)


def _note_hz(note: float) -> float:
    """Return the frequency of a MIDI note."""
    return float(440.0 * 2 ** ((note - 69) / 12))


def _coloured(rng: np.random.Generator, n_samples: int, slope: float) -> _Float:
    """Return noise whose amplitude falls with frequency to the power of ``slope``."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    place = np.maximum(np.arange(len(spectrum)), 1.0)
    return _normal(np.fft.irfft(spectrum / place**slope, n_samples))


class _Builder:
    """Adds signals of one kind, each with a seed of its own."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self._seed = kind, seed
        self._numbers = itertools.count()

    def rng(self) -> np.random.Generator:
        """Return a generator for one signal."""
        key = [self._seed, *self.kind.encode(), next(self._numbers)]
        return np.random.default_rng(key)

    def plain(self, name: str, make: _Make) -> HardNegative:
        """Return a signal that is rounded to 16 bits without dither."""
        return HardNegative(self.kind, f"{self.kind}: {name}", lambda: quantised(make()))

    def dithered(self, name: str, make: _Make) -> HardNegative:
        """Return a signal with triangular dither."""
        rng = self.rng()
        state = rng.bit_generator.state

        def made() -> Samples:
            again = np.random.default_rng()
            again.bit_generator.state = state
            return quantised(make(), again)

        return HardNegative(self.kind, f"{self.kind}: {name}, dithered", made)

    def random(self, name: str, make: _Make) -> HardNegative:
        """Return a signal with randomness of its own."""
        state = self.rng().bit_generator.state

        def made() -> Samples:
            again = np.random.default_rng()
            again.bit_generator.state = state
            return quantised(make(again))

        return HardNegative(self.kind, f"{self.kind}: {name}", made)


# The kinds.

_TONES_HZ = (50, 100, 220, 400, 440, 997, 1_000, 1_500, 2_000, 3_000, 5_000, 7_350, 10_000)


def _tones(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("tone", seed)
    for frequency, level in itertools.product(_TONES_HZ, (-1.0, -20.0, -50.0)):
        yield build.plain(
            f"{frequency} Hz at {level:g} dB",
            lambda f=frequency, v=level: decibels(v) * _sine(f, n_samples),
        )
    for frequency in _TONES_HZ:
        yield build.dithered(f"{frequency} Hz", lambda f=frequency: 0.5 * _sine(f, n_samples))


_CHORDS_HZ: tuple[tuple[float, ...], ...] = (
    (19_000, 20_000),
    (60, 7_000),
    (250, 8_000),
    (697, 1_209),
    (220, 277.18, 329.63),
    (261.63, 329.63, 392.0, 523.25),
    tuple(100.0 * n for n in range(1, 130)),
    tuple(31.25 * 2 ** (n / 3) for n in range(27)),
    (1_000, 1_001),
    (440, 660, 880, 1_100),
)


def _chords(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("tones together", seed)

    def chord(frequencies: tuple[float, ...]) -> _Float:
        tones = [_sine(f, n_samples, phase=0.7 * n) for n, f in enumerate(frequencies)]
        return _normal(np.sum(tones, axis=0))

    for frequencies in _CHORDS_HZ:
        name = f"{len(frequencies)} from {frequencies[0]:g} to {frequencies[-1]:g} Hz"
        yield build.plain(name, lambda f=frequencies: chord(f))
        yield build.dithered(name, lambda f=frequencies: chord(f))


def _sweeps(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("sweep", seed)

    def sweep(low: float, high: float, n_times: int, *, is_log: bool) -> _Float:
        part = (np.arange(n_samples) * n_times / n_samples) % 1.0
        hz = low * (high / low) ** part if is_log else low + (high - low) * part
        return 0.5 * np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE)

    ends = ((20.0, 20_000.0), (20_000.0, 20.0), (1_000.0, 4_000.0))
    for (low, high), n_times, is_log in itertools.product(ends, (1, 12), (False, True)):
        name = f"{low:g} to {high:g} Hz, {n_times} times, {'log' if is_log else 'linear'}"
        yield build.plain(
            name, lambda a=low, b=high, n=n_times, g=is_log: sweep(a, b, n, is_log=g)
        )
        yield build.dithered(
            name, lambda a=low, b=high, n=n_times, g=is_log: sweep(a, b, n, is_log=g)
        )


_DRONES_HZ = (50.0, 55.0, 60.0, 75.0, 86.1328125, 100.0, 150.0, 200.0, 220.5, 400.0)


def _drones(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("drone", seed)
    for frequency, (shape, amplitude) in itertools.product(_DRONES_HZ, _SHAPES.items()):
        name = f"{shape} of {frequency:g} Hz"

        def drone(f: float = frequency, a: Callable[[int], float] = amplitude) -> _Float:
            return _normal(_harmonics(f, a, n_samples))

        yield build.plain(name, drone)
        yield build.random(
            f"{name} in pink noise",
            lambda rng, d=drone: 0.7 * d() + 0.1 * _coloured(rng, n_samples, 0.5),
        )


_PERIODS = (64, 128, 147, 256, 320, 441, 512, 600, 735, 882, 1_024, 2_048, 4_410)


def _click_trains(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("click train", seed)

    def clicks(period: int, size: float) -> _Float:
        train = np.zeros(n_samples)
        train[::period] = size
        return train

    def noisy(rng: np.random.Generator, period: int, level_db: float) -> _Float:
        return clicks(period, 0.5) + decibels(level_db) * rng.standard_normal(n_samples)

    for period in _PERIODS:
        name = f"each {period} samples"
        yield build.plain(name, lambda p=period: clicks(p, 0.5))
        for level_db in (-30.0, -45.0, -60.0):
            yield build.random(
                f"{name} in noise at {level_db:g} dB",
                lambda rng, p=period, v=level_db: noisy(rng, p, v),
            )


def _metronomes(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("metronome", seed)

    def metronome(per_minute: float, hz: float, decay_s: float) -> _Float:
        period = round(SAMPLE_RATE * 60 / per_minute)
        time_s = _time_s(period)
        beat = np.exp(-time_s / decay_s) * np.sin(2 * np.pi * hz * time_s)
        return 0.5 * np.resize(beat, n_samples)

    for tempo, (hz, decay_s) in itertools.product(
        (60, 90, 120, 150, 200, 240, 600), ((1_000, 0.01), (2_500, 0.003))
    ):
        name = f"{tempo} a minute, {hz} Hz"
        yield build.plain(name, lambda t=tempo, h=hz, d=decay_s: metronome(t, h, d))
        yield build.dithered(name, lambda t=tempo, h=hz, d=decay_s: metronome(t, h, d))


def _near_silence(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("near silence", seed)

    def rectangular(rng: np.random.Generator) -> _Float:
        return STEP * (rng.random(n_samples) - 0.5) * 1.01

    def one_step(rng: np.random.Generator) -> _Float:
        return STEP * rng.integers(-1, 2, n_samples).astype(np.float64)

    def shaped(rng: np.random.Generator) -> _Float:
        noise = rng.standard_normal(n_samples)
        return 4 * STEP * np.diff(noise, 2, append=[0.0, 0.0])

    yield build.random("rectangular dither", rectangular)
    yield build.random("one step up or down", one_step)
    yield build.random("shaped dither", shaped)
    yield build.dithered("zeros", lambda: np.zeros(n_samples))
    yield build.dithered("a constant", lambda: np.full(n_samples, 0.3))
    for level_db in (-96.0, -90.0, -84.0, -78.0, -72.0, -60.0):
        yield build.random(
            f"noise at {level_db:g} dB",
            lambda rng, v=level_db: decibels(v) * rng.standard_normal(n_samples),
        )
    for frequency in (100, 440, 1_000, 3_000):
        yield build.dithered(
            f"{frequency} Hz at -84 dB", lambda f=frequency: decibels(-84) * _sine(f, n_samples)
        )


def _noises(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("noise", seed)
    for colour, slope in (("white", 0.0), ("pink", 0.5), ("brown", 1.0)):
        yield build.random(colour, lambda rng, s=slope: _coloured(rng, n_samples, s))
        for rate in (2.0, 10.0, 50.0, 86.1328125, 100.0):
            yield build.random(
                f"{colour} in bursts, {rate:g} a second",
                lambda rng, s=slope, r=rate: (
                    _coloured(rng, n_samples, s) * (_time_s(n_samples) * r % 1.0 < 0.5)
                ),
            )


def _sequence(n_bits: int) -> _Float:
    """Return a maximum-length sequence of a shift register, in -1 and 1."""
    taps = {7: (7, 6), 9: (9, 5), 10: (10, 7), 11: (11, 9), 15: (15, 14)}[n_bits]
    register, bits = [1] * n_bits, []
    for _ in range(2**n_bits - 1):
        bits.append(register[-1])
        register = [register[taps[0] - 1] ^ register[taps[1] - 1], *register[:-1]]
    return 2.0 * np.array(bits) - 1.0


def _loops(n_samples: int, seed: int) -> Iterator[HardNegative]:
    """Yield what repeats to the sample: noise registers, sequences, looped samples."""
    build = _Builder("loop", seed)
    for n_bits, hold in itertools.product((7, 9, 10, 11, 15), (1, 4)):
        yield build.plain(
            f"sequence of {2**n_bits - 1}, each held {hold} samples",
            lambda n=n_bits, h=hold: 0.3 * np.resize(np.repeat(_sequence(n), h), n_samples),
        )

    def loop(rng: np.random.Generator, period: int, slope: float) -> _Float:
        return np.resize(_coloured(rng, period, slope), n_samples)

    for period, slope in itertools.product((441, 2_205, 4_410, 11_025, 22_050), (0.0, 0.5)):
        yield build.random(
            f"{'pink' if slope else 'white'} noise of {period} samples",
            lambda rng, p=period, s=slope: loop(rng, p, s),
        )


def _telephony(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("telephony", seed)
    rows, columns = (697, 770, 852, 941), (1_209, 1_336, 1_477, 1_633)

    def dial(rng: np.random.Generator, on_s: float, pause_s: float) -> _Float:
        total = np.zeros(n_samples)
        n_on, n_step = round(on_s * SAMPLE_RATE), round((on_s + pause_s) * SAMPLE_RATE)
        for start in range(0, n_samples - n_on, n_step):
            row, column = rng.choice(rows), rng.choice(columns)
            total[start : start + n_on] = _sine(row, n_on) + _sine(column, n_on)
        return 0.25 * total

    def gated(hz: tuple[float, ...], on_s: float, pause_s: float) -> _Float:
        tone = np.sum([_sine(f, n_samples) for f in hz], axis=0)
        return 0.25 * tone * (_time_s(n_samples) % (on_s + pause_s) < on_s)

    def keyed(rng: np.random.Generator, low: float, high: float, baud: float) -> _Float:
        bits = rng.integers(0, 2, int(n_samples * baud / SAMPLE_RATE) + 1)
        chosen = bits[(_time_s(n_samples) * baud).astype(int)]
        return 0.4 * np.sin(2 * np.pi * np.cumsum(np.where(chosen, high, low)) / SAMPLE_RATE)

    for on_s, pause_s in ((0.1, 0.1), (0.05, 0.05), (0.5, 0.5)):
        yield build.random(
            f"digits of {on_s:g} s", lambda rng, a=on_s, b=pause_s: dial(rng, a, b)
        )
    for name, hz, on_s, pause_s in (
        ("dial tone", (350.0, 440.0), 1.0, 0.0),
        ("ringing", (440.0, 480.0), 2.0, 4.0),
        ("busy", (480.0, 620.0), 0.5, 0.5),
        ("line-up", (1_000.0,), 2.75, 0.25),
        ("morse dots", (600.0,), 0.06, 0.06),
        ("pips", (1_000.0,), 0.1, 0.9),
    ):
        yield build.plain(name, lambda f=hz, a=on_s, b=pause_s: gated(f, a, b))
    for low, high, baud in ((1_070, 1_270, 300), (1_200, 2_200, 1_200), (2_125, 2_295, 45.45)):
        yield build.random(
            f"modem of {baud:g} baud", lambda rng, a=low, b=high, c=baud: keyed(rng, a, b, c)
        )


def _chiptunes(n_samples: int, seed: int) -> Iterator[HardNegative]:
    build = _Builder("chiptune", seed)
    scale = (0, 2, 3, 5, 7, 8, 10, 12)

    def voice(rng: np.random.Generator, shape: str, base: int, steps_a_second: float) -> _Float:
        step = (_time_s(n_samples) * steps_a_second).astype(int)
        notes = base + rng.choice(scale, int(step[-1]) + 1)
        hz = np.array([_note_hz(note) for note in notes])[step]
        return _naive(shape, np.cumsum(hz) / SAMPLE_RATE)

    def drums(rng: np.random.Generator, steps_a_second: float) -> _Float:
        place = _time_s(n_samples) * steps_a_second % 1.0
        held = np.repeat(rng.choice([-1.0, 1.0], n_samples // 8 + 1), 8)[:n_samples]
        return held * np.exp(-8 * place)

    def tune(rng: np.random.Generator, lead: str, *, has_drums: bool) -> _Float:
        pace = rng.choice((4.0, 7.5, 8.0, 15.0))
        mix = 0.3 * voice(rng, lead, 60, pace) + 0.3 * voice(rng, "triangle", 36, pace / 2)
        mix = mix + 0.2 * voice(rng, "quarter", 67, 60.0)  # an arpeggio at the frame rate
        return _normal(mix + (0.2 * drums(rng, pace) if has_drums else 0.0))

    for number, lead, has_drums in itertools.product(
        range(4), ("square", "pulse", "saw"), (False, True)
    ):
        yield build.random(
            f"{number}, {lead}{' and drums' if has_drums else ''}",
            lambda rng, w=lead, d=has_drums: tune(rng, w, has_drums=d),
        )


def _synthesis(n_samples: int, seed: int) -> Iterator[HardNegative]:  # noqa: C901
    build = _Builder("synthesis", seed)

    def struck(length_s: float, tone: Callable[[int, int], _Float]) -> _Float:
        """Return notes of a fixed length, one behind the other."""
        length = round(length_s * SAMPLE_RATE)
        count = -(-n_samples // length)
        notes = [tone(number, length) for number in range(count)]
        return _normal(np.concatenate(notes)[:n_samples])

    def bell(ratio: float, index: float, length_s: float) -> _Float:
        def tone(number: int, length: int) -> _Float:
            fall = np.exp(-3 * _time_s(length) / length_s)
            hz = _note_hz(60 + 7 * number % 24)
            return fall * np.sin(
                2 * np.pi * hz * _time_s(length) + index * fall * _sine(ratio * hz, length)
            )

        return struck(length_s, tone)

    def plucked(rng: np.random.Generator, damping: float) -> _Float:
        def tone(number: int, length: int) -> _Float:
            period = round(SAMPLE_RATE / _note_hz(48 + 5 * number % 24))
            row, rows = rng.uniform(-1, 1, period), []
            for _ in range(-(-length // period)):
                rows.append(row)
                row = damping * 0.5 * (row + np.roll(row, 1))
            return np.concatenate(rows)[:length]

        return struck(1.5, tone)

    def many_saws(rng: np.random.Generator, note: int, spread: float) -> _Float:
        hz = _note_hz(note) * 2 ** (spread * rng.standard_normal(7) / 1_200)
        saws = [_naive("saw", f * _time_s(n_samples) + rng.random()) for f in hz]
        return _normal(np.sum(saws, axis=0))

    def ring(low: float, high: float) -> _Float:
        return 0.5 * _sine(low, n_samples) * _naive("square", high * _time_s(n_samples))

    for ratio, index, length_s in itertools.product((1.4, 2.0, 3.5), (2.0, 8.0), (1.0, 4.0)):
        yield build.plain(
            f"bell, ratio {ratio:g}, index {index:g}, {length_s:g} s",
            lambda r=ratio, i=index, s=length_s: bell(r, i, s),
        )
    for damping in (0.98, 0.995, 1.0):
        yield build.random(
            f"plucked string, {damping:g}", lambda rng, d=damping: plucked(rng, d)
        )
    for note, spread in itertools.product((36, 48, 60), (2.0, 15.0)):
        yield build.random(
            f"seven saws on note {note}, {spread:g} cents",
            lambda rng, n=note, s=spread: many_saws(rng, n, s),
        )
    for low, high in ((440.0, 100.0), (300.0, 441.0), (1_000.0, 50.0)):
        yield build.plain(f"ring of {low:g} and {high:g} Hz", lambda a=low, b=high: ring(a, b))


def _converters(n_samples: int, seed: int) -> Iterator[HardNegative]:
    """Yield what bad converters do: few bits, held samples, zeros between them."""
    build = _Builder("converter", seed)

    def tune(rng: np.random.Generator) -> _Float:
        hz = [_note_hz(45 + note) for note in rng.choice((0, 3, 7, 10, 12), 6)]
        tones = [_naive("saw", f * _time_s(n_samples)) * 0.5 for f in hz]
        swell = 0.6 + 0.4 * _sine(0.5, n_samples)
        return _normal(np.sum(tones, axis=0) * swell + _coloured(rng, n_samples, 0.5))

    def coarse(samples: _Float, n_bits: int) -> _Float:
        return np.round(samples * 2 ** (n_bits - 1)) / 2 ** (n_bits - 1)

    def held(samples: _Float, factor: int) -> _Float:
        return np.repeat(samples[::factor], factor)[: len(samples)]

    def spread(samples: _Float, factor: int) -> _Float:
        out = np.zeros_like(samples)
        out[::factor] = samples[::factor]
        return out

    for n_bits in (4, 6, 8):
        yield build.random(f"{n_bits} bits", lambda rng, n=n_bits: coarse(tune(rng), n))
    for factor in (2, 4, 8):
        yield build.random(
            f"each sample held {factor}", lambda rng, k=factor: held(tune(rng), k)
        )
        yield build.random(
            f"zeros between each {factor}", lambda rng, k=factor: spread(tune(rng), k)
        )


_KINDS: tuple[Callable[[int, int], Iterator[HardNegative]], ...] = (
    _tones,
    _chords,
    _sweeps,
    _drones,
    _click_trains,
    _metronomes,
    _near_silence,
    _noises,
    _loops,
    _telephony,
    _chiptunes,
    _synthesis,
    _converters,
)


# Hum on music.

_MAINS_HZ = (49.98, 50.0, 50.01, 59.99, 60.0)
_HUMS: dict[str, Callable[[int], float]] = {
    "buzz": _saw,
    "odd buzz": _square,
    "rectifier": lambda number: 0.0 if number % 2 else 1 / number,
}


_WANDERING = ((49.9, 0.0), (60.1, 0.0), (50.0, 0.002), (59.98, -0.005))
"""Hz at the start, and Hz a second: a load on the mains, or a tape, moves all harmonics."""


def with_hum(
    music: Samples,
    mains_hz: float,
    level_db: float,
    amplitude: Callable[[int], float] = _saw,
    glide: float = 0.0,
) -> Samples:
    """Return music with mains hum: harmonics up to 20 kHz, the first at ``level_db``.

    Args:
        music: Mono at 44.1 kHz.
        mains_hz: Frequency of the mains, at the start.
        level_db: Amplitude of a first harmonic of size 1, dB of full scale.
        amplitude: Size of each harmonic, by its number.
        glide: Change of that frequency, Hz a second.
    """
    if glide:
        hum = _gliding(mains_hz, amplitude, len(music), glide)
    else:
        hum = _harmonics(mains_hz, amplitude, len(music))
    return quantised(np.clip(music + decibels(level_db) * hum, -1, 1))


def _gliding(
    frequency_hz: float, amplitude: Callable[[int], float], n_samples: int, glide: float
) -> _Float:
    """Return harmonics up to 20 kHz, out of a table of one period."""
    place = np.arange(1 << 16) / (1 << 16)
    period = np.zeros(len(place))
    for number in range(1, int(20e3 / frequency_hz) + 1):
        period += amplitude(number) * np.sin(2 * np.pi * number * place)
    time_s = _time_s(n_samples)
    turns = (frequency_hz * time_s + glide / 2 * np.square(time_s)) % 1.0
    return np.interp(turns, place, period, period=1.0)


def _hum_on(music: Samples, place: int) -> Iterator[HardNegative]:
    for mains_hz, level_db, (shape, amplitude) in itertools.product(
        _MAINS_HZ, (-30.0, -40.0), _HUMS.items()
    ):
        yield HardNegative(
            "hum",
            f"hum: {shape} of {mains_hz:g} Hz at {level_db:g} dB on music {place}",
            partial(with_hum, music, mains_hz, level_db, amplitude),
        )
    for mains_hz, glide in _WANDERING:
        yield HardNegative(
            "hum",
            f"hum: buzz of {mains_hz:g} Hz, {glide:+g} a second, at -20 dB on music {place}",
            partial(with_hum, music, mains_hz, -20.0, _saw, glide),
        )
