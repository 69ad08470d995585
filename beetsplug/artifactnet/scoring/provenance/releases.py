"""The date of a release: evidence for a human, and never a decision."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from beetsplug.artifactnet.results import ReleaseTags
from beetsplug.artifactnet.scoring.provenance.files import open_bounded

if TYPE_CHECKING:
    from mediafile import MediaFile

log = logging.getLogger("beetsplug.artifactnet")

FIRST_YEAR = 2023
"""The first songs that generators sang as a whole were released then (Suno, Udio)."""
_EARLIEST = 1860
"""The oldest recording known; a smaller number is no year."""


def describe_release(original_year: int, year: int = 0) -> str:
    """Return what the years of a recording's release say, empty where they say nothing.

    Args:
        original_year: Of the recording's first release; 0 where it is unknown.
        year: Of this release, which counts where the first one is unknown; 0: so is this.
    """
    evidence = early_year(original_year, year)
    if not evidence:
        return ""
    word = "first released" if evidence == original_year else "released"
    return f"{word} {evidence}, before {FIRST_YEAR}: speaks for human"


def early_year(original_year: int, year: int = 0) -> int:
    """Return the year that speaks for a human, 0 where none does.

    Args:
        original_year: As for :func:`describe_release`.
        year: As for :func:`describe_release`.
    """
    known = next((one for one in (original_year, year) if one >= _EARLIEST), 0)
    return known if known < FIRST_YEAR else 0


def read_release(path: Path) -> ReleaseTags:
    """Return the years and artists' ids in a file's tags; none where it cannot be read."""
    from mediafile import MediaFile

    # Before anything opens it: a pipe without a writer would block for ever.
    if not path.is_file():
        return ReleaseTags()
    try:
        with open_bounded(path) as stream:
            return _release(MediaFile(stream))
    except Exception as error:  # noqa: BLE001 - parsers meet whatever is in the wild
        log.debug("dates of a file, left out: %r", error)
        return ReleaseTags()


def _release(file: MediaFile) -> ReleaseTags:
    ids = [file.mb_artistid, *(file.mb_artistids or ())]
    return ReleaseTags(
        original_year=int(file.original_year or 0),
        year=int(file.year or 0),
        artist_ids=tuple(dict.fromkeys(str(one) for one in ids if one)),
    )
