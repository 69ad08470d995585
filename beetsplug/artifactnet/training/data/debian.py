"""Human-made music out of Debian packages: fetch, unpack, list.

The packages, their versions and genres stand in lists: those of the corpus folder's
``debian_packages.tsv``, and ``added_packages.tsv`` and ``added_modules.tsv``, which came
later. All were frozen in Debian 12, before song generators. Of the last list's packages,
tracker modules are music, too: notes and samples, which a player turns into audio.
"""

from __future__ import annotations

import csv
import filecmp
import logging
import os
import shutil
import subprocess
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from beetsplug.artifactnet.audio import open_audio
from beetsplug.artifactnet.errors import AudioError
from beetsplug.artifactnet.training.data.corpus import DEBIAN_PREFIX, Clip, read_manifest

log = logging.getLogger(__name__)

TRAINING_LIST = "debian_packages.tsv"
"""In the corpus folder."""
ADDED_LIST = Path(__file__).with_name("added_packages.tsv")
ADDED_MODULES_LIST = Path(__file__).with_name("added_modules.tsv")
"""Packages that are in every training, and that nothing is judged by."""
_AUDIO_SUFFIXES = {".ogg", ".oga", ".mp3", ".flac", ".opus", ".wav"}
_MINIMUM_S = 30.0
"""Shorter files are sound effects."""
_MODULE_SUFFIXES = {".669", ".it", ".med", ".mod", ".mtm", ".s3m", ".stm", ".xm"}
_MODULE_S = 240
"""A module may repeat for ever: no more of it is rendered."""
_INTERPOLATIONS = (1, 2, 4, 8)
"""Taps of openmpt123's interpolation: players differ, and each leaves traces of its own."""


def fetch_packages(packages: Path, folder: Path) -> None:
    """Download and unpack every listed package that is not there yet.

    Args:
        packages: A list with tab-separated columns, ``package`` and ``version`` first.
        folder: Each package gets a folder of its name there.

    Raises:
        RuntimeError: ``apt-get`` or ``dpkg-deb`` is missing or fails.
    """
    missing = [row for row in _rows(packages) if not (folder / row["package"]).exists()]
    if missing:
        _require("get the Debian packages", "apt-get", "dpkg-deb")
    for row in missing:
        _fetch(row["package"], row["version"], folder)


def _require(purpose: str, *tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is needed to {purpose}")


def unpack_archives(folder: Path) -> None:
    """Unpack the audio out of every ``.pk3`` and ``.zip`` below, into a folder beside it."""
    for path in [*folder.rglob("*.pk3"), *folder.rglob("*.zip")]:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if _is_audio(Path(name))]
            archive.extractall(path.with_suffix(".d"), members)


def read_genres(packages: Path) -> dict[str, str]:
    """Return the genre that a list of packages gives for each source of tracks."""
    return {DEBIAN_PREFIX + row["package"]: row["genre"] for row in _rows(packages)}


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
    unpack_archives(partial)
    partial.rename(folder / package)
    archive.unlink()


def render_modules(packages: Path, folder: Path) -> None:
    """Render the tracker modules of every listed package to FLAC, each beside its own.

    44.1 kHz, stereo, without dither, with one of four interpolations, picked by the module's
    content. What is there is not rendered again. A file that is no module is passed over. So is
    one that plays at random, as instruments may: a training on it could not be repeated.

    Raises:
        RuntimeError: ``openmpt123`` is missing.
    """
    modules = [
        path
        for row in _rows(packages)
        for path in sorted((folder / row["package"]).rglob("*"))
        if path.suffix.lower() in _MODULE_SUFFIXES and path.is_file()
    ]
    missing = [path for path in modules if not _rendered(path).exists()]
    if missing:
        _require("render tracker modules", "openmpt123")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_render, missing))


def _rendered(module: Path) -> Path:
    return module.with_name(f"{module.name}.flac")


def _render(module: Path) -> None:
    partial, again = (
        module.with_name(f"{module.name}.{way}.flac") for way in ("partial", "again")
    )
    try:
        errors = _play(module, partial) or _play(module, again)
        if errors:
            log.warning("%s: no tracker module: %s", module, errors)
        elif filecmp.cmp(partial, again, shallow=False):
            partial.rename(_rendered(module))
        else:
            log.warning("%s: plays at random, no two times alike", module)
    finally:
        partial.unlink(missing_ok=True)
        again.unlink(missing_ok=True)


def _play(module: Path, path: Path) -> str:
    """Write a module's audio to a file, and return what went wrong, if anything."""
    taps = _INTERPOLATIONS[zlib.crc32(module.read_bytes()) % len(_INTERPOLATIONS)]
    command = ["openmpt123", "--quiet", "--batch", "--no-float", "--force"]
    command += ["--samplerate", "44100", "--channels", "2", "--dither", "0"]
    command += ["--filter", str(taps), "--end-time", str(_MODULE_S)]
    command += ["--output", str(path), "--", str(module)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode or not path.exists():
        return result.stderr.strip() or "nothing was written"
    return ""


def fetch_training_packages(corpus_folder: Path, folder: Path) -> None:
    """Download and unpack the packages of the three training lists."""
    for packages in (corpus_folder / TRAINING_LIST, ADDED_LIST, ADDED_MODULES_LIST):
        fetch_packages(packages, folder)
    render_modules(ADDED_MODULES_LIST, folder)


def training_clips(corpus_folder: Path, folder: Path) -> list[Clip]:
    """Return all that there is to train on: the corpus's clips, then the packages' tracks."""
    return read_manifest(corpus_folder) + training_tracks(folder)


def training_tracks(folder: Path) -> list[Clip]:
    """Return the music of the three training lists, each list's after the one before.

    An added track of the same title as a listed one is left out. It may be the same piece, and
    that one may be held out.
    """
    added, modules = read_genres(ADDED_LIST), read_genres(ADDED_MODULES_LIST)
    tracks = list_tracks(folder)
    listed = [clip for clip in tracks if clip.source not in added | modules]
    titles = {_title(clip) for clip in listed}
    return listed + [
        replace(clip, is_module=sources is modules)
        for sources in (added, modules)
        for clip in tracks
        if clip.source in sources and _title(clip) not in titles
    ]


def _title(clip: Clip) -> str:
    """Return the letters and digits of a track's name."""
    return "".join(filter(str.isalnum, clip.track.partition(":")[2]))


def list_tracks(folder: Path) -> list[Clip]:
    """Return the music of the unpacked packages: one clip a track, sorted by path."""
    clips: dict[str, Clip] = {}
    for path in sorted(folder.rglob("*")):
        if "downloads" in path.parts or not _is_audio(path) or not path.is_file():
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


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in _AUDIO_SUFFIXES


def _clip(folder: Path, path: Path, sample_rate: int) -> Clip:
    inside = path.relative_to(folder)
    package = inside.parts[0]
    return Clip(
        path=path,
        label=0,
        family="",
        generator="",
        source=DEBIAN_PREFIX + package,
        # One piece in two formats or versions is one track.
        track=f"{package}:{path.stem.lower()}",
        sample_rate=sample_rate,
    )
