"""Each signal stage against its oracle: NumPy, SciPy, librosa, and its own ONNX graph."""

from __future__ import annotations

import io
from typing import Any

import librosa
import numpy as np
import onnxruntime
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from beetsplug.artifactnet.training import choices  # noqa: E402
from beetsplug.artifactnet.training.model import layers  # noqa: E402
from beetsplug.artifactnet.training.signal import stages  # noqa: E402

DFT_TOLERANCE = 5e-6
"""Of the largest value: float32 against float64."""
EXPORT_TOLERANCE = 1e-5
"""Of the largest value: onnxruntime against torch, both float32."""

Array = NDArray[np.float32]


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def frames_first(values: NDArray[Any]) -> NDArray[Any]:
    """Return (..., n_frames, n_bins) of (..., n_bins, n_frames), or the other way round."""
    return np.ascontiguousarray(np.swapaxes(values, -1, -2))


def run(stage: Any, *inputs: Array) -> list[NDArray[Any]]:
    """Return a stage's outputs for arrays, as arrays."""
    with torch.no_grad():
        outputs = stage(*(torch.from_numpy(values) for values in inputs))
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else [outputs])]


def assert_close(found: NDArray[Any], expected: NDArray[Any], tolerance: float) -> None:
    """Hold the largest difference to a share of the largest value."""
    assert expected.shape == found.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    ("n", "n_bins"),
    [(16, 8), (32, 32), (64, 32), (2_048, 512), (32_768, 10_240), (16_384, 16_384)],
)
def test_dft(n: int, n_bins: int) -> None:
    """The two-step transform is NumPy's FFT to 5e-6."""
    rows = noise(2, 3, n)
    re, im = run(stages.TwoStepDFT(n, n_bins), rows)
    expected = np.fft.fft(rows.astype(np.float64))[..., :n_bins]
    assert_close(re + 1j * im, expected, DFT_TOLERANCE)


@pytest.mark.parametrize(("n", "n_bins"), [(8, 8), (1_000, 16), (16, 4), (16, 0), (16, 24)])
def test_dft_sizes(n: int, n_bins: int) -> None:
    """Sizes that the two steps cannot give are refused."""
    with pytest.raises(ValueError, match="must be a"):
        stages.TwoStepDFT(n, n_bins)


@pytest.mark.parametrize(
    ("n_fft", "hop_length", "n_samples"),
    [
        (1_024, 256, 8_192),
        (2_048, 1_024, 5_000),
        (4_096, 1_024, 20_001),
        (32_768, 8_192, 176_400),
    ],
)
def test_magnitude_is_librosas(n_fft: int, hop_length: int, n_samples: int) -> None:
    """The magnitude is that of librosa's STFT: Hann, whole frames alone."""
    audio = noise(2, n_samples)
    n_bins = n_fft // 2
    (found,) = run(stages.Magnitude(n_fft, hop_length, n_bins), audio)
    spectrum = librosa.stft(
        audio.astype(np.float64), n_fft=n_fft, hop_length=hop_length, center=False
    )
    assert_close(found, np.abs(spectrum)[:, :n_bins].transpose(0, 2, 1), DFT_TOLERANCE)


def test_magnitude_is_scipys() -> None:
    """The magnitude is that of SciPy's STFT, undone of its scaling."""
    audio = noise(1, 16_384)
    (found,) = run(stages.Magnitude(1_024, 256, 512), audio)
    window = scipy.signal.get_window("hann", 1_024)
    _, _, spectrum = scipy.signal.stft(
        audio[0].astype(np.float64),
        window=window,
        nperseg=1_024,
        noverlap=768,
        boundary=None,
        padded=False,
    )
    assert_close(found[0].T, np.abs(spectrum)[:512] * window.sum(), DFT_TOLERANCE)


@pytest.mark.parametrize(
    ("hop_length", "n_bins"), [(300, 512), (16, 512), (1_024, 512), (256, 576)]
)
def test_magnitude_sizes(hop_length: int, n_bins: int) -> None:
    """A hop that does not divide half a window, or its grid, is refused; bins beyond too."""
    with pytest.raises(ValueError, match="does not fit"):
        stages.Magnitude(1_024, hop_length, n_bins)


@pytest.mark.parametrize("taps", [1, 3, 5, 7, 15, 31])
@pytest.mark.parametrize("dim", [1, 2])
def test_sliding_median(taps: int, dim: int) -> None:
    """The median network gives SciPy's median filter to the last bit."""
    values = noise(2, 40, 35, seed=taps)
    size = (1, taps, 1) if dim == 1 else (1, 1, taps)
    found = stages.sliding_median(torch.from_numpy(values), taps, dim).numpy()
    expected = scipy.ndimage.median_filter(values, size=size, mode="mirror")
    np.testing.assert_array_equal(expected, found)


@given(st.integers(2, 31), st.data())
def test_selection_network(n: int, data: st.DataObject) -> None:
    """The comparators bring the values of any rank to its place."""
    values = data.draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    places = data.draw(st.sets(st.integers(0, n - 1), min_size=1))
    expected = sorted(values)
    for low, high in stages.selection_network(n, *places):
        values[low], values[high] = sorted((values[low], values[high]))
    assert [expected[place] for place in places] == [values[place] for place in places]


@pytest.mark.parametrize(("time_taps", "frequency_taps"), [(7, 15), (31, 31), (3, 5)])
def test_hpss_is_librosas(time_taps: int, frequency_taps: int) -> None:
    """Away from the edges, which librosa repeats, the parts are librosa's to 1e-5."""
    magnitude = np.abs(noise(2, 80, 70))
    parts = run(stages.HarmonicPercussive(time_taps, frequency_taps), frames_first(magnitude))
    found = [frames_first(part) for part in parts]
    expected = librosa.decompose.hpss(
        magnitude, kernel_size=(time_taps, frequency_taps), power=2.0, margin=1.0
    )
    rows = slice(frequency_taps // 2, -(frequency_taps // 2))
    columns = slice(time_taps // 2, -(time_taps // 2))
    for part, librosas in zip(found, expected, strict=True):
        assert_close(part[:, rows, columns], librosas[:, rows, columns], 1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-6, 1.0, 1e3]))
def test_hpss_parts_add_up(seed: int, level: float) -> None:
    """Harmonic and percussive part are not negative and add up to the magnitude."""
    magnitude = np.float32(level) * np.abs(noise(1, 32, 20, seed=seed))
    harmonic, percussive = run(stages.HarmonicPercussive(7, 15), magnitude)
    assert harmonic.min() >= 0
    assert percussive.min() >= 0
    np.testing.assert_allclose(harmonic + percussive, magnitude, rtol=1e-6)


def test_hpss_tells_a_tone_from_a_click() -> None:
    """A steady bin goes to the harmonic part and a single frame to the percussive."""
    magnitude = np.full((1, 40, 64), 1e-3, np.float32)
    magnitude[0, :, 20] = 1.0
    magnitude[0, 30, :] = 1.0
    harmonic, percussive = run(stages.HarmonicPercussive(7, 15), magnitude)
    assert harmonic[0, 10, 20] > 0.99
    assert percussive[0, 30, 50] > 0.99


def seven_channels_in_numpy(parts: list[Array], whitening_bins: int) -> NDArray[np.float64]:
    levels = [
        10 * np.log10(part.astype(np.float64) ** 2 + choices.CHANNEL_FLOOR) for part in parts
    ]
    stacked = np.stack(levels, axis=1)
    floor = stacked.max(axis=(1, 2, 3), keepdims=True) - choices.DYNAMIC_RANGE_DB
    stacked = np.maximum(stacked, floor)
    for first in range(0, stacked.shape[3], whitening_bins):
        block = stacked[..., first : first + whitening_bins]
        block -= block.mean(axis=3, keepdims=True)
    residual, harmonic, percussive = np.moveaxis(stacked / 10, 1, 0)
    once = np.diff(residual, axis=1, prepend=residual[:, :1])
    twice = np.diff(once, axis=1, prepend=once[:, :1])
    return np.stack(
        [residual, harmonic, percussive, once, twice, harmonic - percussive, np.abs(once)],
        axis=1,
    )


@pytest.mark.parametrize("level", [1e-4, 1.0, 1e4])
def test_seven_channels(level: float) -> None:
    """The seven channels are those of a NumPy rewrite, quiet, loud and clamped."""
    parts = [np.float32(level) * np.abs(noise(2, 10, 128, seed=seed)) ** 4 for seed in range(3)]
    tensors = [torch.from_numpy(part) for part in parts]
    found = layers.seven_channels(*tensors, whitening_bins=64).numpy()
    np.testing.assert_allclose(found, seven_channels_in_numpy(parts, 64), rtol=0, atol=2e-5)


def untrained_mask() -> Any:
    torch.manual_seed(0)
    return layers.MaskUNet((4, 6, 8), (2, 16)).eval()


def test_untrained_mask_is_a_quarter() -> None:
    """The mask of an untrained network is 0.25 everywhere."""
    (found,) = run(untrained_mask(), noise(2, 8, 128))
    np.testing.assert_array_equal(np.full((2, 8, 128), 0.25, np.float32), found)


def test_mask_is_bounded() -> None:
    """Whatever its weights, a mask lies in [0, 0.5], one value a cell."""
    mask = untrained_mask()
    with torch.no_grad():
        mask.head.weight.normal_(0, 20)
        mask.head.bias.normal_(0, 20)
    (found,) = run(mask, 10 * noise(2, 8, 128))
    assert found.shape == (2, 8, 128)
    assert found.min() >= 0
    assert found.max() <= 0.5
    assert found.std() > 0.05


class _SlidingMedians(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    def forward(self, values: Any) -> Any:
        return stages.sliding_median(values, 7, 1), stages.sliding_median(values, 15, 2)


class _SevenChannels(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    def forward(self, residual: Any, harmonic: Any, percussive: Any) -> Any:
        return layers.seven_channels(residual, harmonic, percussive, whitening_bins=64)


EXPORTED: dict[str, tuple[Any, list[Array]]] = {
    "dft": (stages.TwoStepDFT(1_024, 512), [noise(2, 3, 1_024)]),
    "magnitude": (stages.Magnitude(1_024, 256, 512), [noise(2, 8_192)]),
    "median": (_SlidingMedians(), [noise(2, 20, 64)]),
    "hpss": (stages.HarmonicPercussive(7, 15), [np.abs(noise(2, 20, 64))]),
    "mask": (untrained_mask(), [noise(2, 8, 128)]),
    "seven channels": (
        _SevenChannels(),
        [np.abs(noise(2, 10, 128, seed=seed)) for seed in range(3)],
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EXPORTED)
def test_exported_stage(name: str) -> None:
    """Each stage's ONNX graph gives what torch gives."""
    pytest.importorskip("onnx")
    stage, inputs = EXPORTED[name]
    expected = run(stage, *inputs)
    names = [f"input_{place}" for place in range(len(inputs))]
    file = io.BytesIO()
    torch.onnx.export(
        stage,
        tuple(torch.from_numpy(values) for values in inputs),
        file,
        input_names=names,
        opset_version=17,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    found = session.run(None, dict(zip(names, inputs, strict=True)))
    assert len(expected) == len(found)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, EXPORT_TOLERANCE)
