"""Human-made music out of Debian packages: fetch, unpack, list.

The packages, their versions and genres stand in a list, those of the training in the corpus
folder's ``debian_packages.tsv``; all were frozen in Debian 12, before song generators.
"""

from __future__ import annotations

import csv
import logging
import shutil
import subprocess
import zipfile
from pathlib import Path

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import AudioError
from beetsplug.artifactnet.training.corpus import Clip

log = logging.getLogger(__name__)

TRAINING_LIST = "debian_packages.tsv"
"""In the corpus folder."""
_AUDIO_SUFFIXES = {".ogg", ".oga", ".mp3", ".flac", ".opus", ".wav"}
_MINIMUM_S = 30.0
"""Shorter files are sound effects."""


def fetch_packages(packages: Path, folder: Path) -> None:
    """Download and unpack every listed package that is not there yet.

    Args:
        packages: A list with tab-separated columns, ``package`` and ``version`` first.
        folder: Each package gets a folder of its name there.

    Raises:
        RuntimeError: ``apt-get`` or ``dpkg-deb`` is missing or fails.
    """
    missing = [row for row in _rows(packages) if not (folder / row["package"]).exists()]
    for tool in ("apt-get", "dpkg-deb") if missing else ():
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is needed to get the Debian packages")
    for row in missing:
        _fetch(row["package"], row["version"], folder)


def read_genres(packages: Path) -> dict[str, str]:
    """Return the genre that a list of packages gives for each source of tracks."""
    return {f"debian:{row['package']}": row["genre"] for row in _rows(packages)}


def _rows(packages: Path) -> list[dict[str, str]]:
    with packages.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _fetch(package: str, version: str, folder: Path) -> None:
    downloads = folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    log.info("fetching %s %s", package, version)
    subprocess.run(
        ["apt-get", "download", "-qq", f"{package}={version}"], cwd=downloads, check=True
    )
    archive = next(downloads.glob(f"{package}_*.deb"))
    partial = folder / f"{package}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", str(archive), str(partial)], check=True)
    for pack in partial.rglob("*.pk3"):
        zipfile.ZipFile(pack).extractall(pack.with_suffix(".d"))
    partial.rename(folder / package)
    archive.unlink()


def list_tracks(folder: Path) -> list[Clip]:
    """Return the music of the unpacked packages: one clip a track, sorted by path."""
    clips: dict[str, Clip] = {}
    for path in sorted(folder.rglob("*")):
        if (
            "downloads" in path.parts
            or path.suffix.lower() not in _AUDIO_SUFFIXES
            or not path.is_file()
        ):
            continue
        try:
            with open_audio(path) as reader:
                duration_s, sample_rate = reader.duration_s, reader.sample_rate
        except AudioError as error:
            log.warning("%s: %s", path, error)
            continue
        if duration_s >= _MINIMUM_S:
            clip = _clip(folder, path, sample_rate)
            clips.setdefault(clip.track, clip)
    return list(clips.values())


def _clip(folder: Path, path: Path, sample_rate: int) -> Clip:
    inside = path.relative_to(folder)
    package = inside.parts[0]
    return Clip(
        path=path,
        label=0,
        family="",
        generator="",
        source=f"debian:{package}",
        # One piece in two formats or versions is one track.
        track=f"{package}:{path.stem.lower()}",
        sample_rate=sample_rate,
    )
