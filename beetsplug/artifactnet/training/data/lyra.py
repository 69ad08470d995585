"""Lyra v2 as a decoder for training pairs, at any declared sample rate.

Lyra (Apache-2.0, https://github.com/google/lyra) is a speech codec whose decoder is a small
GAN: 16 kHz, frames of 320 samples, strides 2, 2, 5 and 16. Audio that is declared to be of
another rate is coded all the same, and the comb moves with the rate: one decoder stands for
the grid of any frame rate. Its three networks are TFLite files and are read from a folder;
nothing of them is in the package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from beetsplug.artifactnet.training import train_extra
from beetsplug.artifactnet.training.choices import SAMPLE_RATE

FRAME_SAMPLES = 320
_BITS_PER_QUANTIZER = 4
_ENCODER, _QUANTIZER, _DECODER = "soundstream_encoder", "quantizer", "lyragan"


class Lyra:
    """The codec: samples in, the same length of re-synthesised samples out.

    Args:
        folder: Holds ``soundstream_encoder.tflite``, ``quantizer.tflite`` and
            ``lyragan.tflite``.

    Raises:
        FileNotFoundError: One of them is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._networks = {
            name: (folder / f"{name}.tflite").read_bytes()
            for name in (_ENCODER, _QUANTIZER, _DECODER)
        }

    def resynthesise(
        self, samples: NDArray[np.float32], bits: int | None = None
    ) -> NDArray[np.float32]:
        """Return samples (n,), of any declared rate, through encoder and decoder.

        Args:
            samples: Full scale 1.
            bits: Of each frame: 64, 120 or 184, as Lyra's bit rates have. None leaves
                the quantiser out.
        """
        # Encoder and decoder remember the frames before, and only a new one has none.
        encode, decode = (self._runner(name)[0] for name in (_ENCODER, _DECODER))
        quantise = self._quantiser(bits)
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).astype(np.float32)
        frames = [
            decode(input_audio=quantise(encode(input_audio=frame[None])["output_0"]))
            for frame in padded.reshape(-1, FRAME_SAMPLES)
        ]
        return np.concatenate([frame["output_0"][0] for frame in frames])[: len(samples)]

    def resynthesise_at_rate(
        self, samples: NDArray[np.float32], frame_rate: float, bits: int | None = None
    ) -> NDArray[np.float32]:
        """Return a clip (n,) at 44.1 kHz, declared to be of so many frames a second.

        What lies above half of the declared rate stays as it was.
        """
        rate = round(frame_rate * FRAME_SAMPLES)
        return at_rate(lambda down: self.resynthesise(down, bits), samples, rate)

    def _quantiser(self, bits: int | None) -> Any:
        if bits is None:
            return lambda features: features
        encode, decode = self._runner(_QUANTIZER, "encode", "decode")
        n_quantizers = np.array(bits // _BITS_PER_QUANTIZER, np.int32)

        def quantise(features: NDArray[np.float32]) -> NDArray[np.float32]:
            codes = encode(input_frames=features, num_quantizers=n_quantizers)["output_0"]
            return decode(encoding_indices=codes)["output_0"]

        return quantise

    def _runner(self, name: str, *signatures: str) -> list[Any]:
        with train_extra():
            from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=self._networks[name], num_threads=1)
        return [
            interpreter.get_signature_runner(signature)
            for signature in signatures or ("serving_default",)
        ]


def at_rate(
    resynthesise: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    samples: NDArray[np.float32],
    sample_rate: int,
) -> NDArray[np.float32]:
    """Return a clip (n_samples,) at 44.1 kHz re-synthesised at another rate.

    The band above half that rate stays as it was, so that no cut-off gives the pair away.
    """
    down = soxr.resample(samples, SAMPLE_RATE, sample_rate)
    change = soxr.resample(resynthesise(down) - down, sample_rate, SAMPLE_RATE)
    change = np.pad(change, (0, max(0, len(samples) - len(change))))[: len(samples)]
    return np.clip(samples + change, -1, 1)
