"""The exceptions of this package.

Two kinds must not be confused. A :class:`FileError` concerns one file: the pipeline
turns it into that file's :class:`~beetsplug.artifactnet.results.Outcome` and goes on.
Anything else under :class:`ArtifactNetError` means that the tool itself cannot work:
the plugin shows its message, one line that says what to do, and stops.
"""

from __future__ import annotations


class ArtifactNetError(Exception):
    """Base of every error that this package raises on purpose."""


class FileError(ArtifactNetError):
    """One file cannot be scored; the others can."""


class AudioError(FileError):
    """The file holds no audio that can be decoded whole."""


class MissingFileError(AudioError):
    """There is no file at the path."""

    def __init__(self) -> None:
        super().__init__("no such file")


class TruncatedError(AudioError):
    """The file ends before the audio that its header announces."""

    def __init__(self, found_s: float, announced_s: float) -> None:
        super().__init__(f"truncated: {found_s:.1f} s of {announced_s:.1f} s")


class TooShortError(FileError):
    """The track is shorter than the shortest one that can be scored."""

    def __init__(self, duration_s: float, minimum_s: float) -> None:
        super().__init__(f"{duration_s:.2f} s, at least {minimum_s:g} s are needed")


class SilentError(FileError):
    """Every segment of the track is silent."""

    def __init__(self) -> None:
        super().__init__("no sound in any segment")


class NoEvidenceError(FileError):
    """There is sound in the track, and nothing in it that can be judged."""

    def __init__(self) -> None:
        super().__init__("noise, tones or clicks alone, or too quiet to be judged")


class ModelOutputError(FileError):
    """The model gave too few finite probabilities for this track."""

    def __init__(self, n_finite: int, n_segments: int, n_needed: int) -> None:
        super().__init__(
            f"{n_finite} of {n_segments} segments gave a finite probability, "
            f"{n_needed} are needed"
        )


class ModelError(ArtifactNetError):
    """The model is missing, broken, or not what its card says."""


class ConfigError(ArtifactNetError):
    """An option has a value that it cannot have."""


class LibraryError(ArtifactNetError):
    """The library's database cannot be used."""


class MachineError(ArtifactNetError):
    """The machine is in trouble: its memory, file handles, disks or network.

    No file is to blame, and none is marked.
    """


class MissingPackageError(ArtifactNetError):
    """A package that this feature needs is not installed."""

    def __init__(self, package: str, install: str) -> None:
        super().__init__(f"the package {package} is missing: pip install '{install}'")
