"""Labelled tracks: ArtifactBench's manifests, training lists, CSV files and folders.

Whatever the source, a track is a :class:`LabelledTrack`. A track whose audio is not
there has no path: that lowers the coverage and is no error. Anything else that is wrong
is one line that names row and field.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn

from beetsplug.artifactnet.errors import ConfigError
from beetsplug.artifactnet.suffixes import AUDIO_SUFFIXES

Label = Literal["ai", "real"]
LABELS: tuple[Label, ...] = ("ai", "real")
SPLITS = ("calibration", "validation", "test", "train")

ARTIFACTBENCH_V1 = "ArtifactBench v1"
ARTIFACTBENCH_V1_1 = "ArtifactBench v1.1"
ARTIFACTBENCH_V2 = "ArtifactBench v2"
TRAINING_LIST = "training list"

_HASHED_ID = re.compile(r"([0-9a-f]{16})_.+", re.DOTALL)
_MAX_NAMED = 3


@dataclass(frozen=True)
class LabelledTrack:
    """One track of known origin."""

    track_id: str
    """Unique in its manifest."""
    path: Path | None
    """None: its audio was not found."""
    label: Label
    source: str = ""
    """Where the track was collected."""
    generator: str = ""
    lineage_id: str = ""
    """Tracks that share it are not independent; empty: the track stands alone."""
    split: str = ""
    """One of :data:`SPLITS`, or empty."""

    @property
    def lineage(self) -> str:
        """The unit that is resampled as a whole."""
        return self.lineage_id or self.track_id


@dataclass(frozen=True)
class Manifest:
    """The tracks of one benchmark and what kind of list they came from."""

    name: str
    """File or folder name, for display."""
    schema: str
    """In words: ``ArtifactBench v1``, ``CSV``, ..."""
    tracks: tuple[LabelledTrack, ...]

    @property
    def is_artifactbench(self) -> bool:
        """Whether it has the form of ArtifactBench's own manifests."""
        return self.schema in {ARTIFACTBENCH_V1, ARTIFACTBENCH_V1_1, ARTIFACTBENCH_V2}


def read_manifest(path: Path, audio_root: Path | None = None) -> Manifest:
    """Return the labelled tracks of a manifest file or folder.

    Args:
        path: A JSON manifest (ArtifactBench v1, v1.1 or v2, or a training list), a
            ``.csv`` file with the columns ``path`` and ``label``, or a folder that
            holds ``ai`` and ``real``.
        audio_root: Where the audio of a manifest lies. A row's file is looked for by
            the longest end of its path that exists below it, then by its name alone.
            Without it paths are taken as they stand, relative ones from the manifest's
            folder. A folder needs none.

    Raises:
        ConfigError: It cannot be read, a row or field is not as it must be, a file name
            stands for several files, or :func:`check_tracks` refuses it.
    """
    manifest = read_labelled(path, audio_root)
    check_tracks(manifest.tracks, str(path))
    return manifest


def read_labelled(path: Path, audio_root: Path | None = None) -> Manifest:
    """Return the labelled tracks of a manifest, of one label or both.

    Args:
        path: As for :func:`read_manifest`.
        audio_root: As for :func:`read_manifest`.

    Raises:
        ConfigError: As :func:`read_manifest`; whether metrics can be taken is not checked.
    """
    if audio_root is not None and path.is_dir():
        raise ConfigError("--audio-root goes with a manifest or a CSV file, not with a folder")
    if audio_root is not None and not audio_root.is_dir():
        raise ConfigError(f"{audio_root} is no folder; the audio root must be one")
    if path.is_dir():
        return _read_folder(path)
    if path.suffix.lower() == ".csv":
        return _read_csv(path, _AudioFiles(path.parent, audio_root))
    return _read_json(path, _AudioFiles(path.parent, audio_root))


def judged_split(tracks: Iterable[LabelledTrack]) -> str:
    """Return the split that metrics are taken from.

    That is ``test``. Where no track is in it, the tracks without a split are judged. A list
    that has nothing but training tracks is judged on those.
    """
    found = {track.split for track in tracks}
    return next((split for split in ("test", "", "train") if split in found), "test")


def check_tracks(tracks: Sequence[LabelledTrack], origin: str) -> None:
    """Check that metrics can be taken from these tracks.

    Args:
        tracks: Of one benchmark.
        origin: Where they came from, for the message.

    Raises:
        ConfigError: There are none, the split that is judged has no track, or it or the
            calibration split has one label alone.
    """
    if not tracks:
        raise ConfigError(f"{origin}: there are no tracks in it")
    judged = judged_split(tracks)
    splits = {track.split for track in tracks}
    if judged not in splits or (judged == "train" and splits != {"train"}):
        raise ConfigError(
            f"{origin}: no track has the split 'test', there are only "
            f"{', '.join(repr(split) for split in sorted(splits))}"
        )
    for split in sorted({judged, "calibration"} & splits):
        _check_labels([track for track in tracks if track.split == split], split, origin)


def _check_labels(tracks: Sequence[LabelledTrack], split: str, origin: str) -> None:
    labels = {track.label for track in tracks}
    if len(labels) == 1:
        where = f" in the split {split!r}" if split else ""
        raise ConfigError(
            f"{origin}: one label only: all {len(tracks)} tracks{where} are "
            f"{labels.pop()!r}; metrics need both 'ai' and 'real'"
        )


class _AudioFiles:
    """Finds the file that a row means."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self._folder, self._root = folder, root
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, file: str, where: str) -> Path | None:
        """Return the path of a row's file, or None where there is none.

        Raises:
            ConfigError: Its name stands for several files below the root.
        """
        if not file or "\0" in file:
            return None
        if self._root is None:
            # Joining leaves an absolute path as it is.
            path = self._folder / file
            return path if _is_file(path) else None
        parts = _parts(file)
        for start in range(len(parts)):
            path = self._root.joinpath(*parts[start:])
            if _is_file(path):
                return path
        return self._find_by_name(self._root, parts, where)

    def _find_by_name(self, root: Path, parts: Sequence[str], where: str) -> Path | None:
        if not parts:
            return None
        if self._by_name is None:
            self._by_name = {}
            for path in _files_below(root):
                self._by_name.setdefault(path.name, []).append(path)
        found = self._by_name.get(parts[-1], [])
        shared = [_n_shared_at_end(path.parts, parts) for path in found]
        best = [path for path, n in zip(found, shared, strict=True) if n == max(shared)]
        if len(best) > 1:
            names = ", ".join(str(path.relative_to(root)) for path in best[:_MAX_NAMED])
            raise ConfigError(
                f"{where}: path {'/'.join(parts)!r} could be any of {len(best)} files below "
                f"{root} ({names}{', ...' if len(best) > _MAX_NAMED else ''}); "
                f"keep the manifest's folders there, or give the files unique names"
            )
        return best[0] if best else None


def _parts(file: str) -> list[str]:
    """Return the parts of a path after its last ``..``, so that none leads out of a root."""
    parts = [part for part in PurePosixPath(file.replace("\\", "/")).parts if part != "/"]
    last_up = max((place for place, part in enumerate(parts) if part == ".."), default=-1)
    return parts[last_up + 1 :]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name that the file system refuses, such as one that is too long.
        return False


def _n_shared_at_end(first: Sequence[str], second: Sequence[str]) -> int:
    pairs = zip(reversed(first), reversed(second), strict=False)
    return next(
        (place for place, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second))
    )


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, without hidden ones."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _read_folder(folder: Path) -> Manifest:
    if not any((folder / label).is_dir() for label in LABELS):
        raise ConfigError(
            f"{folder}: there is no folder 'ai' or 'real' in it; "
            f"a folder of labelled audio holds both"
        )
    tracks = tuple(
        _folder_track(folder, path, label)
        for label in LABELS
        for path in _files_below(folder / label)
        if path.suffix.lower() in AUDIO_SUFFIXES
    )
    return Manifest(folder.resolve().name, "folder", tracks)


def _folder_track(folder: Path, path: Path, label: Label) -> LabelledTrack:
    relative = path.relative_to(folder)
    source = relative.parts[1] if len(relative.parts) > 2 else ""
    return LabelledTrack(relative.as_posix(), path, label, source=source)


class _Row:
    """One row whose fields are read by type, with errors that name row and field."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self.where = values, where

    def bad(self, key: str, value: object, allowed: str) -> NoReturn:
        raise ConfigError(f"{self.where}: {key} is {value!r}, it must be {allowed}")

    def text(self, key: str) -> str:
        """Return a text; empty where the field is missing or null."""
        value = self._values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.bad(key, value, "a text")
        return value

    def needed(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise ConfigError(f"{self.where}: {key} is missing")
        return value

    def label(self) -> Label:
        value = self.needed("label")
        for label in LABELS:
            if value == label:
                return label
        return self.bad("label", value, "'ai' or 'real'")

    def one_of(self, key: str, allowed: Sequence[str]) -> str:
        value = self.text(key)
        if value and value not in allowed:
            self.bad(key, value, ", ".join(repr(name) for name in allowed))
        return value


class _Rows:
    """Collects the tracks of a file and refuses an id that was there before."""

    def __init__(self) -> None:
        self.tracks: list[LabelledTrack] = []
        self._places: dict[str, str] = {}

    def add(self, track: LabelledTrack, key: str, where: str, place: str) -> None:
        if track.track_id in self._places:
            raise ConfigError(
                f"{where}: {key} {track.track_id!r} is that of "
                f"{self._places[track.track_id]} already"
            )
        self._places[track.track_id] = place
        self.tracks.append(track)


def _read_text(path: Path) -> str:
    # A pipe without a writer would block for ever.
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is no file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason}") from error


def _read_csv(path: Path, files: _AudioFiles) -> Manifest:
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""), strict=True)
    rows = _Rows()
    try:
        for key in ("path", "label"):
            if key not in (reader.fieldnames or ()):
                raise ConfigError(
                    f"{path}: line 1: the column {key} is missing; "
                    f"the header is path,label[,source,generator,lineage_id,split]"
                )
        for values in reader:
            place = f"line {reader.line_num}"
            row = _Row(values, f"{path}: {place}")
            rows.add(_csv_track(row, files), "path", row.where, place)
    except csv.Error as error:
        raise ConfigError(f"{path}: line {reader.reader.line_num}: {error}") from error
    return Manifest(path.name, "CSV", tuple(rows.tracks))


def _csv_track(row: _Row, files: _AudioFiles) -> LabelledTrack:
    file = row.needed("path")
    return LabelledTrack(
        track_id=file,
        path=files.find(file, row.where),
        label=row.label(),
        source=row.text("source"),
        generator=row.text("generator"),
        lineage_id=row.text("lineage_id"),
        split=row.one_of("split", SPLITS),
    )


def _read_json(path: Path, files: _AudioFiles) -> Manifest:
    try:
        values = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a manifest must be an object, this is {_kind(values)}")
    schema, lists = _schema(values, path)
    rows = _Rows()
    for name in lists:
        found = values.get(name, [])
        if not isinstance(found, list):
            raise ConfigError(f"{path}: {name} is {_kind(found)}, it must be a list of rows")
        for number, row_values in enumerate(found, start=1):
            place = f"row {number} of {name}"
            where = f"{path}: {place}"
            if not isinstance(row_values, dict):
                raise ConfigError(f"{where} is {_kind(row_values)}, it must be an object")
            row = _Row(row_values, where)
            split = name if schema == TRAINING_LIST else ""
            rows.add(_json_track(row, files, split), "track_id", where, place)
    return Manifest(path.name, schema, tuple(rows.tracks))


def _schema(values: Mapping[str, Any], path: Path) -> tuple[str, tuple[str, ...]]:
    """Return a manifest's schema and the names of the lists that hold its rows."""
    version = values.get("schema_version")
    if version is not None and (version != 2 or isinstance(version, bool)):
        raise ConfigError(
            f"{path}: schema_version is {version!r}, it must be 2, or missing as in v1 and v1.1"
        )
    if "bench" in values:
        return ARTIFACTBENCH_V1, ("bench",)
    if "tracks" in values:
        return (ARTIFACTBENCH_V2 if version == 2 else ARTIFACTBENCH_V1_1), ("tracks",)
    if "train" in values or "test" in values:
        return TRAINING_LIST, ("train", "test")
    raise ConfigError(f"{path}: there is no list 'bench', 'tracks', 'train' or 'test' in it")


def _json_track(row: _Row, files: _AudioFiles, split: str) -> LabelledTrack:
    track_id = row.needed("track_id")
    # ArtifactBench's test partition is what its bench_origin names; v2 splits it anew.
    origin = row.one_of("bench_origin", ("test", "train"))
    protocol = row.one_of("protocol_split", ("calibration", "validation", "test"))
    return LabelledTrack(
        track_id=track_id,
        path=files.find(row.text("runtime_path") or row.text("path"), row.where),
        label=row.label(),
        source=row.text("source"),
        generator=row.text("generator"),
        lineage_id=row.text("lineage_id") or _lineage(track_id),
        split=split or protocol or origin,
    )


def _lineage(track_id: str) -> str:
    """Return the hash in an id of v1, which tracks of the same origin share."""
    hashed = _HASHED_ID.fullmatch(track_id)
    return hashed.group(1) if hashed else track_id


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return kinds.get(type(value), "a truth value" if isinstance(value, bool) else "a number")
