"""A file's tags as pairs of name and text, whatever its container."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from beetsplug.artifactnet.scoring.provenance.files import BoundedFile
from beetsplug.artifactnet.scoring.provenance.ogg import first_pages

log = logging.getLogger("beetsplug.artifactnet")

_MOST_TEXTS = 10_000
_LONGEST_TEXT = 1 << 20
"""Characters; ComfyUI's graphs are the longest texts that count."""
_ID3_NAMES = {
    "COMM": "comment",
    "TPE1": "artist",
    "TPE2": "artist",
    "TSSE": "encoder",
    "TENC": "encoder",
}
_NAMES = {
    "\xa9cmt": "comment",
    "\xa9art": "artist",
    "aart": "artist",
    "\xa9too": "encoder",
    "description": "comment",
    "albumartist": "artist",
    "album artist": "artist",
    "author": "artist",
    "wm/albumartist": "artist",
    "encoded-by": "encoder",
    "encodedby": "encoder",
    "encoded_by": "encoder",
    "wm/encodedby": "encoder",
}
"""A format's own name in lower case -> the name that the claims go by."""
_MANIFEST_TYPES = frozenset(
    {"application/c2pa", "application/x-c2pa-manifest-store", "application/jumbf"}
)


def read_tags(stream: BoundedFile) -> Iterator[Any]:
    """Yield the file's tags, as mutagen has them; those that cannot be read are left out.

    A file can have several: ID3 in front of FLAC's own comments, APE behind ID3.
    """
    for reader in _readers(stream):
        stream.seek(0)
        try:
            tags = reader(stream)
        except Exception as error:  # noqa: BLE001 - a tag parser meets whatever is in the wild
            log.debug("tags left out: %r", error)
            continue
        if tags is not None:
            yield tags


def _readers(stream: BoundedFile) -> Iterator[Callable[[BoundedFile], Any]]:
    from mutagen import apev2, flac, id3

    head = stream.at(0, 10)
    if head[:3] == b"ID3":
        yield id3.ID3
        if stream.at(_id3_size(head), 4) == b"fLaC":
            yield lambda s: flac.FLAC(s).tags  # type: ignore[no-untyped-call]
    else:
        yield _ogg if head[:4] == b"OggS" else _any_format
    if _has_ape_footer(stream):
        yield apev2.APEv2


def _any_format(stream: BoundedFile) -> Any:
    import mutagen

    file = mutagen.File(stream)
    return None if file is None else file.tags


def _ogg(stream: BoundedFile) -> Any:
    """Return the comments of an Ogg file, whose audio may not be its first stream.

    mutagen looks for the codec in the first page alone, or in the whole file.
    """
    from mutagen import oggflac, oggopus, oggspeex, oggvorbis

    kinds: dict[bytes, Any] = {
        b"\x01vorbi": oggvorbis.OggVorbis,
        b"OpusHe": oggopus.OggOpus,
        b"\x7fFLAC\x01": oggflac.OggFLAC,
        b"Speex ": oggspeex.OggSpeex,
    }
    for page in first_pages(stream):
        kind = kinds.get(bytes(page.packets[0][:6])) if page.packets else None
        if kind is not None:
            stream.seek(0)
            return kind(stream).tags
    return None


def _id3_size(head: bytes) -> int:
    """Return the length in bytes of the ID3v2 tag that begins with these ten."""
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    has_footer = len(head) == 10 and bool(head[5] & 0x10)
    return 10 + size + 10 * has_footer


def _has_ape_footer(stream: BoundedFile) -> bool:
    end = stream.at(max(0, stream.size - 160), 160)
    # Alone, or before an ID3v1 tag of 128 bytes.
    return b"APETAGEX" in (end[-32:-24], end[-160:-152])


def texts(tags: Any) -> Iterator[tuple[str, str]]:
    """Yield name and text of each entry: names in lower case, the same in every format.

    Free-form entries (``TXXX``, ``----:com.apple.iTunes:...``) go by their own names;
    ID3's ``WOAS`` is ``woas``.
    """
    pairs = _id3_pairs(tags) if hasattr(tags, "getall") else _pairs(tags)
    for name, text in islice(pairs, _MOST_TEXTS):
        if len(text) <= _LONGEST_TEXT:
            yield name, text.strip("\0 \t\r\n")


def _id3_pairs(tags: Any) -> Iterator[tuple[str, str]]:
    for frame in tags.values():
        if frame.FrameID == "WOAS":
            yield "woas", str(frame.url)
        elif frame.FrameID == "TXXX":
            yield from _each(_common(str(frame.desc)), frame.text)
        elif frame.FrameID in _ID3_NAMES:
            yield from _each(_ID3_NAMES[frame.FrameID], frame.text)


def _pairs(tags: Any) -> Iterator[tuple[str, str]]:
    # Vorbis and ASF are lists of pairs, MP4 and APE are mappings.
    entries = tags if isinstance(tags, list) else tags.items()
    for key, value in entries:
        name = _common(str(key).rpartition(":")[2] if str(key)[:4] == "----" else str(key))
        yield from _each(name, value if isinstance(value, list) else [value])


def _each(name: str, values: Iterable[object]) -> Iterator[tuple[str, str]]:
    for value in values:
        yield name, value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _common(name: str) -> str:
    name = name.strip().casefold()
    return _NAMES.get(name, name)


def manifests_in_tags(tags: Any) -> Iterator[bytes]:
    """Yield the C2PA manifest stores among ID3's objects (``GEOB``)."""
    frames = tags.getall("GEOB") if hasattr(tags, "getall") else []
    for frame in frames:
        mime = str(frame.mime).partition(";")[0].strip("\0 ").casefold()
        # JUMBF may hold something else.
        if mime in _MANIFEST_TYPES and (
            mime != "application/jumbf" or b"c2pa" in frame.data[:64]
        ):
            yield bytes(frame.data)
