"""The pages of an Ogg file, as far as tags and a C2PA manifest need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from beetsplug.artifactnet.scoring.provenance.files import LARGEST_STORE_BYTES, BoundedFile

_MOST_PAGES = 1 << 13
_IDENTIFIER = b"\0c2pa"
"""How the stream that holds a manifest begins (C2PA 2.3, section A.3.5)."""


def first_pages(stream: BoundedFile) -> Iterator[Any]:
    """Yield the first page of each stream: they stand together, before any other."""
    stream.seek(0)
    for page in _pages(stream):
        if not page.first:
            return
        yield page


def manifests_in_ogg(stream: BoundedFile) -> Iterator[bytes]:
    """Yield the manifest store that an Ogg file has in a stream of its own."""
    from mutagen.ogg import OggPage

    for page in first_pages(stream):
        if page.packets and page.packets[0].startswith(_IDENTIFIER):
            packets = OggPage.to_packets([page, *_rest_of(page, stream)], strict=False)  # type: ignore[no-untyped-call]
            yield b"".join(packets)[len(_IDENTIFIER) : LARGEST_STORE_BYTES]
            return


def _pages(stream: BoundedFile) -> Iterator[Any]:
    """Yield the pages from here on, up to one that cannot be read."""
    from mutagen.ogg import OggPage, error

    with suppress(error, EOFError):
        while stream.tell() < stream.size:
            yield OggPage(stream)  # type: ignore[no-untyped-call]


def _rest_of(first: Any, stream: BoundedFile) -> Iterator[Any]:
    """Yield the pages of a stream behind its first, while it is not too large."""
    size = 0
    if first.last:
        return
    for page in islice(_pages(stream), _MOST_PAGES):
        if page.serial == first.serial:
            size += page.size
            yield page
            if page.last or size > LARGEST_STORE_BYTES:
                return
