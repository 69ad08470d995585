"""All claims of one file about its own origin."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from beetsplug.artifactnet.memory import is_memory_left
from beetsplug.artifactnet.results import Claim
from beetsplug.artifactnet.scoring.provenance.containers import manifests_in_container
from beetsplug.artifactnet.scoring.provenance.files import LARGEST_STORE_BYTES, open_bounded
from beetsplug.artifactnet.scoring.provenance.manifest import Manifest, read_manifest
from beetsplug.artifactnet.scoring.provenance.platform_marks import UNKNOWN, claims_in
from beetsplug.artifactnet.scoring.provenance.tags import manifests_in_tags, read_tags, texts
from beetsplug.artifactnet.workers import Loss, trouble_of

log = logging.getLogger("beetsplug.artifactnet")

T = TypeVar("T")


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Return what a file says of its own origin, each claim once.

    Nothing is decoded and no signature is checked. A file that says nothing, or that
    cannot be parsed, claims nothing: this is extra evidence, never the reason for a failure.

    Raises:
        OSError: The machine is in trouble, as :func:`~...workers.trouble_of` knows it.
        MemoryError: So it is.
    """
    return tuple(dict.fromkeys(_passing_trouble(_claims(path))))


def read_many(paths: Iterable[Path]) -> list[tuple[Claim, ...] | None]:
    """Return the claims of each file; None for one that is not there or cannot be read."""
    return [if_readable(read_claims, path) for path in paths]


def if_readable(read: Callable[[Path], T], path: Path) -> T | None:
    """Return what a function reads from a file, None where that is not there or fails.

    Raises:
        OSError: File handles are short.
        MemoryError: Memory is.
    """
    if not opens(path):
        return None
    try:
        return read(path)
    except OSError as error:
        trouble = trouble_of(error)
        if trouble is not None and trouble.kind is Loss.SCARCITY:
            raise
        return None


def read_manifests(path: Path) -> tuple[Manifest, ...]:
    """Return what the C2PA manifests in a file say; those that cannot be read are left out."""
    manifests = (_manifest(store) for store in _safely(_stores(path)))
    return tuple(manifest for manifest in manifests if manifest is not None)


def carries_manifest(path: Path) -> bool:
    """Tell whether a file holds a C2PA manifest, readable or not."""
    return any(True for _ in _safely(_stores(path)))


def opens(path: Path) -> bool:
    """Tell whether a path is a file that can be opened for reading."""
    try:
        # Before anything opens it: a pipe without a writer would block for ever.
        if not path.is_file():
            return False
        with open_bounded(path):
            return True
    except OSError:
        return False


def _claims(path: Path) -> Iterator[Claim]:
    if not path.is_file():
        return
    with open_bounded(path) as stream:
        for tags in read_tags(stream):
            for pair in _passing_trouble(texts(tags)):
                yield from _passing_trouble(claims_in([pair]))
            for store in _passing_trouble(manifests_in_tags(tags)):
                yield _manifest_claim(store)
        for store in _passing_trouble(manifests_in_container(stream)):
            yield _manifest_claim(store)


def _stores(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        return
    with open_bounded(path) as stream:
        for tags in read_tags(stream):
            yield from _safely(manifests_in_tags(tags))
        yield from _safely(manifests_in_container(stream))


def _safely(parts: Iterable[T]) -> Iterator[T]:
    """Yield the parts up to the first that cannot be read."""
    try:
        yield from _passing_trouble(parts)
    except (OSError, MemoryError, ImportError) as error:
        log.debug("what a file says of itself, left out: %r", error)


def _passing_trouble(parts: Iterable[T]) -> Iterator[T]:
    """Yield the parts up to the first that cannot be parsed; raise trouble of the machine."""
    iterator = iter(parts)
    while True:
        try:
            part = next(iterator)
        except StopIteration:
            return
        except Exception as error:  # parsers meet whatever is in the wild
            trouble = trouble_of(error)
            # A tag may claim any size, so a parser can run out of memory by itself.
            is_of_the_file = isinstance(error, MemoryError) and is_memory_left()
            if trouble is not None and trouble.kind.is_trouble and not is_of_the_file:
                raise
            log.debug("what a file says of itself, left out: %r", error)
            return
        yield part


def _manifest(store: bytes) -> Manifest | None:
    if len(store) > LARGEST_STORE_BYTES:
        return None
    try:
        return read_manifest(store)
    except Exception as error:  # noqa: BLE001 - what is in the wild, again
        log.debug("manifest left out: %r", error)
        return None


def _manifest_claim(store: bytes) -> Claim:
    manifest = _manifest(store)
    return Claim(UNKNOWN, "c2pa-other") if manifest is None else manifest.claim()
