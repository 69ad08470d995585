"""Which resolution carries the cue: the per-bin regression on other spectra, same folds.

``python -m beetsplug.artifactnet.training.ablate --corpus DIR --work DIR``, after the
training, whose crops it uses. Prints four Markdown tables: linear bins at six window
lengths and five widths of the envelope, two lengths side by side, mel bands, and the
median over frames, or what stands out of each, in place of the mean; what each stratum of
the augmentation does for each stratum of what is judged; three ways to make one score of a
song's segments; and what it does to let real music weigh more.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch
    from torch import Tensor

    from beetsplug.artifactnet.training import corpus, evaluate
    from beetsplug.artifactnet.training.corpus import Clip
    from beetsplug.artifactnet.training.dataset import (
        SAMPLE_RATE,
        SEGMENT_SAMPLES,
        Crop,
        Dataset,
        sample_weights,
    )
    from beetsplug.artifactnet.training.evaluate import Judged
    from beetsplug.artifactnet.training.programs import open_dataset, work_parser
    from beetsplug.artifactnet.training.reference import (
        BAND_HZ,
        COARSE_ENVELOPE_BINS,
        ENVELOPE_BINS,
        Reference,
        band,
        fine_structure,
        fit_reference,
        in_batches,
        power_floor,
        standing_out,
    )
    from beetsplug.artifactnet.training.train import class_weights

log = logging.getLogger(__name__)

N_MELS = 128
WIDTHS = (5, 7, 13, 27)


@dataclass(frozen=True)
class Spectrum:
    """One way to turn a segment into a row of values."""

    name: str
    n_fft: int
    mel: bool = False
    over_frames: str = "mean"
    """``mean`` or ``median`` of the log power, or ``standing``: :func:`standing_out`."""
    lowest_db: float = 0.0
    """Of what stands out."""
    envelope_bins: int = ENVELOPE_BINS

    @property
    def file_name(self) -> str:
        """What its cached features are called."""
        mel = "-mel" if self.mel else ""
        lowest = f"{self.lowest_db:g}" if self.lowest_db else ""
        return f"{self.n_fft}{mel}-{self.over_frames}{lowest}-{self.envelope_bins}.npy"


SPECTRA = (
    *(Spectrum(f"n_fft {n:,}", n) for n in (2_048, 4_096, 8_192, 16_384, 32_768, 65_536)),
    *(Spectrum(f"n_fft 32,768, envelope of {n} bins", 32_768, envelope_bins=n) for n in WIDTHS),
    Spectrum("n_fft 16,384, envelope of 5 bins", 16_384, envelope_bins=COARSE_ENVELOPE_BINS),
    Spectrum(f"n_fft 2,048, {N_MELS} mel bands", 2_048, mel=True),
    Spectrum(f"n_fft 32,768, {N_MELS} mel bands", 32_768, mel=True),
    Spectrum("n_fft 32,768, median over frames", 32_768, over_frames="median"),
    *(
        Spectrum(
            f"n_fft 32,768, what stands out, {lowest_db:g} dB the lowest",
            32_768,
            over_frames="standing",
            lowest_db=lowest_db,
        )
        for lowest_db in (-6.0, -3.0)
    ),
    Spectrum("n_fft 32,768, what stands out", 32_768, over_frames="standing"),
)
SIDE_BY_SIDE = (SPECTRA[3], SPECTRA[4])
TABLES = ("spectra", "augmentation", "songs", "weights")
WEIGHED = (SPECTRA[4], SPECTRA[-1])
REAL_WEIGHTS = (1.0, 4.0, 16.0, 64.0)

TRAINED_ON: Mapping[str, Callable[[Clip, Crop], bool]] = {
    "files as they are": lambda clip, crop: not clip.is_module and crop.variant == 0,
    "and recoded": lambda clip, crop: (
        not clip.is_module and (crop.variant == 0 or crop.is_full_band)
    ),
    "and recoded at narrow band": lambda clip, _: not clip.is_module,
    "the same without the added packages": lambda clip, _: not clip.is_added,
    "the same and tracker modules": lambda *_: True,
}
"""Which crops of the training clips a regression is fitted to."""


@dataclass(frozen=True)
class Stratum:
    """Which crops of the held-out clips are judged."""

    name: str
    variant: int
    is_full_band: bool


STRATA = (
    Stratum("as they are", 0, is_full_band=True),
    Stratum("recoded", 1, is_full_band=True),
    Stratum("narrow-band, recoded", 1, is_full_band=False),
)


def mel_matrix(n_fft: int, n_mels: int) -> NDArray[np.float32]:
    """Return triangular bands (n_mels, n_bins) over the band, even on the mel scale.

    The mel scale is 2595 log10(1 + f / 700); every band sums to 1.
    """
    low, high = (2595 * np.log10(1 + hz / 700) for hz in BAND_HZ)
    edges = 700 * (10 ** (np.linspace(low, high, n_mels + 2) / 2595) - 1)
    bins = np.arange(n_fft // 2 + 1) * SAMPLE_RATE / n_fft
    left, centre, right = (edges[i : i + n_mels, None] for i in range(3))
    triangles = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    # A narrow band between two bins takes the nearer one.
    nearest = np.abs(bins - centre).argmin(1)
    triangles = np.maximum(triangles, 0)
    triangles[np.arange(n_mels), nearest] += 1e-6
    return (triangles / triangles.sum(1, keepdims=True)).astype(np.float32)


def spectrum_features(samples: NDArray[np.int16], spectrum: Spectrum) -> NDArray[np.float32]:
    """Return the fine structure (n_segments, n_values) of int16 segments."""
    chosen = band(spectrum.n_fft)
    return in_batches(
        lambda some: fine_of_levels(_levels_db(some, spectrum), spectrum),
        samples,
        N_MELS if spectrum.mel else chosen.stop - chosen.start,
    )


def song_features(samples: NDArray[np.int16], spectrum: Spectrum) -> NDArray[np.float32]:
    """Return one row (1, n_values): the fine structure of the segments' mean spectrum."""
    return fine_of_levels(_levels_db(samples, spectrum).mean(0, keepdim=True), spectrum).numpy()


def fine_of_levels(levels_db: Tensor, spectrum: Spectrum) -> Tensor:
    """Return the fine structure (n_rows, n_values) in the band of spectra in decibels."""
    fine = fine_structure(levels_db, spectrum.envelope_bins)
    return fine if spectrum.mel else fine[:, band(spectrum.n_fft)]


@torch.no_grad()
def _levels_db(samples: NDArray[np.int16], spectrum: Spectrum) -> Tensor:
    """Return the levels (n_segments, n_bins) of int16 segments over all frames."""
    window = torch.hann_window(spectrum.n_fft)
    mel = torch.from_numpy(mel_matrix(spectrum.n_fft, N_MELS)) if spectrum.mel else None
    floor = power_floor(spectrum.n_fft)
    audio = torch.from_numpy(samples.astype(np.float32) / 32767)
    power = (
        torch.stft(
            audio,
            spectrum.n_fft,
            hop_length=spectrum.n_fft // 4,
            window=window,
            center=False,
            return_complex=True,
        )
        .abs()
        .square()
    )
    levels = 10 * torch.log10((power if mel is None else mel @ power) + floor)
    if spectrum.over_frames == "standing":
        return standing_out(levels.transpose(1, 2), spectrum.lowest_db)
    return levels.mean(2) if spectrum.over_frames == "mean" else levels.median(2).values


def cached_spectrum(dataset: Dataset, spectrum: Spectrum, folder: Path) -> NDArray[np.float32]:
    """Return the features of every crop, from disk when they are there."""
    path = folder / spectrum.file_name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        log.info("features: %s", spectrum.name)
        np.save(path, spectrum_features(dataset.samples[:, :SEGMENT_SAMPLES], spectrum))
    return np.load(path, mmap_mode="r")


@dataclass(frozen=True)
class FittedFold:
    """A regression fitted to the training clips of one fold."""

    dataset: Dataset
    features: NDArray[np.float32]
    split: corpus.Split
    fitted: Reference

    def judge(self, stratum: Stratum = STRATA[0]) -> list[Judged]:
        """Return the clips that were held out, in one stratum."""
        return evaluate.judge(
            self.dataset,
            self.split.test,
            lambda rows: self.fitted.logits(self.features[rows]),
            variant=stratum.variant,
            is_full_band=stratum.is_full_band,
        )


def fit_folds(
    dataset: Dataset,
    features: NDArray[np.float32],
    is_used: Callable[[Clip, Crop], bool] = TRAINED_ON["and recoded at narrow band"],
    real_weight: float = 1.0,
) -> list[FittedFold]:
    """Return a regression for each fold, fitted to those of its crops that are used.

    Args:
        dataset: To split.
        features: (n_crops, n_values), of all its crops.
        is_used: Which crops count.
        real_weight: Of a real crop against a generated one.
    """
    folds = []
    for split in corpus.split_folds(dataset.clips):
        rows = dataset.rows(split.train)
        crops = [dataset.crops[row] for row in rows]
        rows = rows[[is_used(dataset.clips[crop.clip], crop) for crop in crops]]
        labels = dataset.labels[rows]
        weights = sample_weights(dataset, rows) * len(rows) * class_weights(labels, real_weight)
        fitted = fit_reference(features[rows], labels, weights)
        folds.append(FittedFold(dataset, features, split, fitted))
    return folds


def table_row(name: str, folds: Sequence[FittedFold]) -> str:
    """Return one line: all folds together, their AUCs, and the worst family at FPR 1 %."""
    judged = [fold.judge() for fold in folds]
    together = [j for fold in judged for j in fold]
    whole, families = evaluate.summary(together), evaluate.by_family(together)
    worst = min(families, key=lambda family: families[family]["tpr_at_fpr_1"])
    of_folds = ", ".join(f"{evaluate.summary(fold)['auc']:.3f}" for fold in judged)
    worst_rate = families[worst]["tpr_at_fpr_1"]
    return f"| {name} | {_rates(whole)} | {of_folds} | {worst} {worst_rate:.2f} |"


def spectra_table(dataset: Dataset, folder: Path, spectra: Sequence[Spectrum] = SPECTRA) -> str:
    """Return the Markdown table of spectra; their features are kept in the folder.

    Where all are asked for, two of them side by side as well.
    """
    lines = [
        "| spectrum | AUC | TPR at FPR 5 % | TPR at FPR 1 % | AUC of each fold "
        "| worst family at FPR 1 % |",
        "|---|---|---|---|---|---|",
    ]
    for spectrum in spectra:
        features = cached_spectrum(dataset, spectrum, folder)
        lines.append(table_row(spectrum.name, fit_folds(dataset, features)))
    if spectra != SPECTRA:
        return "\n".join(lines)
    both = [cached_spectrum(dataset, spectrum, folder) for spectrum in SIDE_BY_SIDE]
    name = " and ".join(f"{spectrum.n_fft:,}" for spectrum in SIDE_BY_SIDE)
    folds = fit_folds(dataset, np.concatenate(both, axis=1))
    return "\n".join([*lines, table_row(f"n_fft {name} side by side", folds)])


def augmentation_table(dataset: Dataset, features: NDArray[np.float32]) -> str:
    """Return a Markdown table: what was trained on against what is judged."""
    lines = [
        "| trained on | judged | AI, real | AUC | TPR at FPR 5 % | TPR at FPR 1 % |",
        "|---|---|---|---|---|---|",
    ]
    for name, is_used in TRAINED_ON.items():
        folds = fit_folds(dataset, features, is_used)
        for stratum in STRATA:
            found = evaluate.summary([j for fold in folds for j in fold.judge(stratum)])
            lines.append(
                f"| {name} | {stratum.name} | {found['n_ai']}, {found['n_real']} "
                f"| {_rates(found)} |"
            )
    return "\n".join(lines)


def weight_table(dataset: Dataset, folder: Path) -> str:
    """Return a Markdown table: real music weighed more and more, by two kinds of features."""
    rates = " | ".join(
        f"{stratum.name}: AUC | TPR at FPR 5 % | TPR at FPR 1 % | above all real ones"
        for stratum in STRATA[:2]
    )
    lines = [f"| features | real music weighs | {rates} |", "|---" * 10 + "|"]
    for spectrum in WEIGHED:
        features = cached_spectrum(dataset, spectrum, folder)
        for weight in REAL_WEIGHTS:
            folds = fit_folds(dataset, features, real_weight=weight)
            cells = []
            for stratum in STRATA[:2]:
                judged = [j for fold in folds for j in fold.judge(stratum)]
                cells += [_rates(evaluate.summary(judged)), f"{_above_all_real(judged):.3f}"]
            lines.append(f"| {spectrum.name} | {weight:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _above_all_real(judged: Sequence[Judged]) -> float:
    """Return the share of AI clips that score higher than any real one."""
    highest = max(j.logit for j in judged if not j.clip.label)
    return float(np.mean([j.logit > highest for j in judged if j.clip.label]))


def song_table(folds: Sequence[FittedFold], spectrum: Spectrum) -> str:
    """Return a Markdown table of songs of three segments, by what makes one score of them."""
    judged: dict[str, list[Judged]] = {"median": [], "mean": [], "mean spectrum": []}
    for fold in folds:
        samples = fold.dataset.samples
        for clip, rows in evaluate.song_rows(fold.dataset, fold.split.test):
            logits = fold.fitted.logits(fold.features[rows])
            segments = samples[rows, :SEGMENT_SAMPLES]
            together = fold.fitted.logits(song_features(segments, spectrum))
            judged["median"].append(Judged(clip, float(np.median(logits))))
            judged["mean"].append(Judged(clip, float(logits.mean())))
            judged["mean spectrum"].append(Judged(clip, float(together[0])))
    lines = [
        "| a song's segments | AUC | TPR at FPR 5 % | TPR at FPR 1 % |",
        "|---|---|---|---|",
        *(f"| {name} | {_rates(evaluate.summary(songs))} |" for name, songs in judged.items()),
    ]
    return "\n".join(lines)


def _rates(found: Mapping[str, float]) -> str:
    return " | ".join(f"{found[key]:.3f}" for key in evaluate.MEASURES)


def main() -> None:
    """Print the tables; the features are kept in the work folder."""
    parser = work_parser("ablate")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    names = [spectrum.name for spectrum in SPECTRA]
    parser.add_argument("--spectra", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = open_dataset(arguments)
    folder = arguments.work / "ablation"
    chosen = SIDE_BY_SIDE[1]
    spectra = tuple(s for s in SPECTRA if s.name in arguments.spectra)
    makers: Mapping[str, Callable[[], str]] = {
        "spectra": lambda: spectra_table(dataset, folder, spectra),
        "augmentation": lambda: augmentation_table(
            dataset, cached_spectrum(dataset, chosen, folder)
        ),
        "songs": lambda: song_table(
            fit_folds(dataset, cached_spectrum(dataset, chosen, folder)), chosen
        ),
        "weights": lambda: weight_table(dataset, folder),
    }
    tables = [makers[name]() for name in arguments.tables]
    sys.stdout.write("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
