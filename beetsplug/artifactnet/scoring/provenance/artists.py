"""Lists of artists who are said to use generators, in the format of Soul Over AI.

The list (souloverai.com, CC BY 4.0) is the user's own download. It is compiled by a
community, from disclosures and from signs, so it is shown and never decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.errors import ConfigError

CREDIT = "Soul Over AI (souloverai.com), CC BY 4.0"
_LARGEST_BYTES = 64 << 20
_DISCLOSURES = {
    "confirmed": "AI use confirmed by the artist",
    "full": "said by the artist to be generated in full",
    "partial": "said by the artist to be generated in part",
    "none": "not disclosed by the artist",
}
_ID_KEYS = ("spotify", "musicbrainz")


@dataclass(frozen=True)
class ListedArtist:
    """An artist in a list."""

    name: str
    disclosure: str
    """``confirmed``, ``full``, ``partial`` or ``none``; empty where the list says nothing."""
    ids: tuple[str, ...] = ()
    """The artist's Spotify and MusicBrainz ids, as far as the list has them."""

    def line(self, source: str) -> str:
        """Return the entry for people to read; control characters are not escaped."""
        note = _DISCLOSURES.get(self.disclosure, "")
        return f"listed by {source}: {self.name}" + (f" ({note})" if note else "")


@dataclass(frozen=True)
class ArtistList:
    """A list of artists, searched by id alone: others have the same names."""

    source: str
    """Whose it is, for people to read."""
    by_id: Mapping[str, ListedArtist]

    def find(self, ids: Iterable[str]) -> ListedArtist | None:
        """Return the artist that has one of these ids, None where there is none.

        Args:
            ids: Spotify or MusicBrainz ids of one artist; empty ones find nobody.
        """
        listed = (self.by_id.get(_key(one)) for one in ids)
        return next((artist for artist in listed if artist), None)


def read_artists(path: Path) -> ArtistList:
    """Return the list in a file: a JSON array of objects with ``name`` and ids.

    Raises:
        ConfigError: The file cannot be read, or is no such list.
    """
    entries = _entries(path)
    artists = [artist for artist in map(_artist, entries) if artist is not None]
    if entries and not artists:
        raise ConfigError(f"{path}: no entry has a name and an id of Spotify or MusicBrainz")
    by_id = {_key(one): artist for artist in artists for one in artist.ids}
    return ArtistList(_source(entries, path), by_id)


def _entries(path: Path) -> list[Any]:
    try:
        # A pipe without a writer would block for ever.
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is no file")
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigError(f"{path} is too large for a list of artists")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, list):
        raise ConfigError(f"{path} must be an array of artists")
    return values


def _artist(entry: object) -> ListedArtist | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return None
    ids = tuple(v for v in map(entry.get, _ID_KEYS) if isinstance(v, str) and v.strip())
    disclosure = entry.get("disclosure")
    text = disclosure if isinstance(disclosure, str) else ""
    return ListedArtist(entry["name"], text, ids) if ids else None


def _source(entries: list[Any], path: Path) -> str:
    """Return whose list it is: Soul Over AI's entries have fields that no other has."""
    first = entries[0] if entries and isinstance(entries[0], dict) else {}
    return CREDIT if {"disclosure", "markers"} <= first.keys() else path.name


def _key(identifier: str) -> str:
    """Return an id as it is compared: upper and lower case differ in Spotify's alone."""
    one = identifier.strip()
    return one.casefold() if "-" in one else one
