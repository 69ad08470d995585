"""The down-mix: the mean, and what is used where it cancels what is there to hear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.audio import open_audio, read_waveform
from beetsplug.artifactnet.audio.down_mix import CANCELLING, Mixer
from tests.support.audio_files import Samples, encode, music, suffix
from tests.support.odd_audio import join, write_opus, write_with_sndfile

RATE = 48_000


def opposed(samples: Samples, *gains: float) -> Samples:
    """Return one channel at several gains, as channels."""
    return np.hstack([np.float32(gain) * samples for gain in gains])


@pytest.mark.parametrize("container", ["wav", "flac", "m4a", "opus", "ogg", "wv"])
def test_opposite_polarity_is_heard(container: str, tmp_path: Path) -> None:
    """R = -L is silent as a mean, and L when what is audible is asked for."""
    mono = music(3.0, RATE, 1)
    path = tmp_path / f"a{suffix(container)}"
    encode(path, opposed(mono, 1, -1), RATE, container)
    encode(tmp_path / f"mono{suffix(container)}", mono, RATE, container)
    assert read_waveform(path, RATE).samples.std() < 0.01
    with open_audio(path, "audible") as reader:
        (found,) = reader.spans([0], reader.n_samples(RATE), RATE)
        assert reader.mixes == {"aligned"}
    assert np.corrcoef(found[: len(mono)], mono[: len(found), 0])[0, 1] > 0.97
    assert pytest.approx(float(mono.std()), rel=0.05) == float(found.std())


@pytest.mark.parametrize("container", ["wav", "flac", "wv"])
def test_lossless_and_opposed_is_the_channel_itself(container: str, tmp_path: Path) -> None:
    """Without a codec in between the span is the channel, to the last bit."""
    mono = np.round(music(2.0, RATE, 1) * 2**14) / np.float32(2**15)
    path = encode(tmp_path / "a", opposed(mono, 1, -1), RATE, container)
    found = read_waveform(path, RATE, "audible").samples
    np.testing.assert_array_equal(np.abs(mono[:, 0]), np.abs(found))


@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "ogg", "m4a", "opus"])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_ordinary_files_keep_the_mean(container: str, n_channels: int, tmp_path: Path) -> None:
    """Ordinary mono and stereo come out as their mean, bit for bit."""
    path = encode(tmp_path / "a", music(3.0, RATE, n_channels), RATE, container)
    mean, audible = (read_waveform(path, RATE, mix).samples for mix in ("mean", "audible"))
    np.testing.assert_array_equal(mean, audible)
    with open_audio(path, "audible") as reader:
        list(reader.spans([0, RATE], RATE, RATE))
        assert reader.mixes == {"mean"}


@pytest.mark.parametrize(
    ("gains", "mix"),
    [
        ((1, 1), "mean"),
        ((1, 0), "mean"),
        ((1, -0.1), "mean"),
        ((1, -0.7), "aligned"),
        ((0.3, -1), "mean"),
        ((1, -1, 1, -1), "aligned"),
        ((1, 1, -1, -1, 0, 0), "aligned"),
        ((1, 1, 1, 1, 1, 1), "mean"),
        ((1, -1, 0.9), "mean"),
    ],
)
def test_when_the_mean_cancels(gains: tuple[float, ...], mix: str, tmp_path: Path) -> None:
    """The mean is kept until it is 6 dB below what uncorrelated channels would leave."""
    mono = music(1.0, RATE, 1)
    samples = opposed(mono, *gains)
    expected = np.square(gains).sum() / len(gains) ** 2
    assert (np.mean(gains) ** 2 < CANCELLING * expected) == (mix == "aligned")
    path = write_with_sndfile(tmp_path / "a.wav", samples, RATE, "WAV", "FLOAT")
    with open_audio(path, "audible") as reader:
        (found,) = reader.spans([0], RATE, RATE)
        assert reader.mixes == {mix}
    level = np.abs(gains).mean() if mix == "aligned" else abs(np.mean(gains))
    np.testing.assert_allclose(np.abs(found), level * np.abs(mono[:, 0]), rtol=0, atol=1e-6)


def test_each_span_is_judged_by_itself(tmp_path: Path) -> None:
    """A passage of opposite polarity changes no other span."""
    samples = music(6.0, RATE)
    samples[2 * RATE : 4 * RATE, 1] = -samples[2 * RATE : 4 * RATE, 0]
    path = encode(tmp_path / "a.flac", samples, RATE)
    starts = [0, 2 * RATE, 3 * RATE, 5 * RATE]
    with open_audio(path) as reader:
        means = list(reader.spans(starts, RATE, RATE))
    with open_audio(path, "audible") as reader:
        found = list(reader.spans(starts, RATE, RATE))
        assert reader.mixes == {"mean", "aligned"}
    for number in (0, 3):
        np.testing.assert_array_equal(means[number], found[number])
    for number in (1, 2):
        assert means[number].std() < 1e-4
        assert found[number].std() > 0.03


def test_sixteen_channels_that_cancel(tmp_path: Path) -> None:
    """Many channels cancel as two do."""
    mono = music(2.0, RATE, 1)
    path = write_opus(tmp_path / "a.opus", opposed(mono, *[1, -1] * 8), "hexadecagonal")
    found = read_waveform(path, RATE, "audible").samples
    assert np.corrcoef(found[: len(mono)], mono[: len(found), 0])[0, 1] > 0.97


def test_links_are_mixed_each_by_itself(tmp_path: Path) -> None:
    """Of a chain one link may cancel and another not."""
    mono = music(2.0, RATE, 1)
    links = [
        encode(tmp_path / "0.ogg", opposed(mono, 1, -1), RATE),
        encode(tmp_path / "1.ogg", music(2.0, RATE), RATE),
    ]
    path = join(tmp_path / "chain.ogg", links)
    with open_audio(path, "audible") as reader:
        spans = list(reader.spans([0, 2 * RATE], 2 * RATE, RATE))
        assert reader.mixes == {"mean", "aligned"}
    assert min(float(span.std()) for span in spans) > 0.03


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_aligned_channels_never_cancel(n_channels: int, seed: int) -> None:
    """After alignment the mean keeps at least what the loudest channel brings."""
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((400, n_channels)).astype(np.float32)
    frames -= np.float32(0.99) * frames.mean(axis=1, keepdims=True)
    mixer = Mixer("audible")
    levels = mixer.mix(frames).levels
    assert levels.cancels
    aligned = mixer.mix(frames, levels.polarities()).samples
    loudest = np.square(frames).sum(axis=0).max()
    assert np.square(aligned).sum() > 0.99 * loudest / n_channels**2
