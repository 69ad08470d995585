"""A C2PA manifest store, read without checking it.

The store is JUMBF, boxes within boxes (ISO 19566-5), around CBOR (RFC 8949). The newest
manifest counts; what its ingredients say of themselves is said of the ingredients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from beetsplug.artifactnet.results import Claim
from beetsplug.artifactnet.scoring.provenance.platform_marks import named_generator, shown, slug

_MOST_BOXES = 4_096
_LARGEST_CBOR_BYTES = 1 << 20
_DEEPEST_CBOR = 32
_X5CHAIN = 33
"""COSE's header for the certificates (RFC 9360)."""
_UPDATE_MANIFEST = b"c2um"
TRAINED = "trainedalgorithmicmedia"
COMPOSITE = "compositewithtrainedalgorithmicmedia"


@dataclass(frozen=True)
class Action:
    """An action on the recording, as the manifest has it."""

    name: str
    """``c2pa.created`` and the like."""
    source_type: str
    """Last part of the ``digitalSourceType``; empty where there is none."""
    agent: str
    """The software that did it; empty where there is none."""


@dataclass(frozen=True)
class Manifest:
    """The newest manifest of a store, whatever its signature is worth."""

    actions: tuple[Action, ...] = ()
    generator: str = ""
    """The program that wrote the manifest."""
    issuer: str = ""
    """Organisation of the certificate's subject; anybody can put any name there."""
    labels: tuple[str, ...] = ()
    """Of its assertions."""

    @property
    def source_type(self) -> str:
        """The ``digitalSourceType`` of its creation, else of its first action with one."""
        created = [a for a in self.actions if a.name == "c2pa.created"]
        return next((a.source_type for a in (*created, *self.actions) if a.source_type), "")

    @property
    def agent(self) -> str:
        """The software of the first action that names one, else the manifest's program."""
        return next((a.agent for a in self.actions if a.agent), self.generator)

    def claim(self) -> Claim:
        """Return what the manifest claims."""
        return Claim(self._maker(), self._source(), self._text())

    def _source(self) -> str:
        pairs = [(action.name, action.source_type.casefold()) for action in self.actions]
        if ("c2pa.created", TRAINED) in pairs:
            return "c2pa"
        return "c2pa-composite" if any(t == COMPOSITE for _, t in pairs) else "c2pa-other"

    def _maker(self) -> str:
        agents = [action.agent for action in self.actions]
        known = named_generator(*self._own_labels(), *agents, self.issuer, self.generator)
        return known or slug(self.issuer or self.generator)

    def _own_labels(self) -> Iterator[str]:
        """Yield the names in assertions of a maker's own: ``com.suno.provenance``."""
        return (label for label in self.labels if not label.startswith("c2pa."))

    def _text(self) -> str:
        kinds = [f"{a.name} {a.source_type}".strip() for a in self.actions[:4]]
        parts = [", ".join(kinds), self.agent, f"issuer {self.issuer}" if self.issuer else ""]
        return shown("; ".join(part for part in parts if part))


def read_manifest(store: bytes) -> Manifest:
    """Return what the newest manifest of a store says.

    Raises:
        ValueError: It is no manifest store.
    """
    parts = dict(_parts(_newest(store)))
    claim = parts.get("c2pa.claim.v2") or parts.get("c2pa.claim")
    assertions = list(_parts(parts.get("c2pa.assertions", memoryview(b""))))
    return Manifest(
        actions=tuple(a for name, body in assertions for a in _actions(name, body)),
        generator=_generator(_map(_cbor(claim))),
        issuer=_issuer(parts.get("c2pa.signature")),
        labels=tuple(name for name, _ in assertions),
    )


# Boxes.


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of the boxes that fill some bytes."""
    position = 0
    for _ in range(_MOST_BOXES):
        head = bytes(data[position : position + 16])
        size, body = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = len(data) - position
        if size < body:
            return
        yield head[4:8], data[position + body : position + size]
        position += size


def _description(box: memoryview) -> tuple[bytes, str]:
    """Return type and label of a superbox; both empty where it has no description."""
    kind, body = next(_boxes(box), (b"", memoryview(b"")))
    if kind != b"jumd" or len(body) < 17:
        return b"", ""
    return bytes(body[:4]), bytes(body[17:273]).partition(b"\0")[0].decode("utf-8", "replace")


def _superboxes(box: memoryview) -> Iterator[memoryview]:
    return (body for kind, body in _boxes(box) if kind == b"jumb")


def _parts(box: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Yield label and content of the superboxes in a superbox."""
    return ((_description(part)[1], part) for part in _superboxes(box))


def _newest(store: bytes) -> memoryview:
    outer = next(_superboxes(memoryview(store)), memoryview(b""))
    if _description(outer)[1] != "c2pa":
        raise ValueError("no C2PA manifest store")
    manifests = list(_superboxes(outer))
    if not manifests:
        raise ValueError("a C2PA manifest store without a manifest")
    # An update only adds to what the one before it says.
    full = [m for m in manifests if _description(m)[0] != _UPDATE_MANIFEST]
    return (full or manifests)[-1]


def _cbor(box: memoryview | None) -> Any:
    """Return the value of a superbox's CBOR, None where there is none to be read."""
    import cbor2

    if box is None:
        return None
    data = next((body for kind, body in _boxes(box) if kind == b"cbor"), memoryview(b""))
    if not 0 < len(data) <= _LARGEST_CBOR_BYTES:
        return None
    try:
        return cbor2.loads(bytes(data), max_depth=_DEEPEST_CBOR)
    except Exception:  # noqa: BLE001 - tags of CBOR lead into many a parser
        return None


# What stands in them.


def _map(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return list(islice(value, _MOST_BOXES)) if isinstance(value, list | tuple) else []


def _text(value: Any) -> str:
    return shown(value) if isinstance(value, str) else ""


def _name(value: Any) -> str:
    """Return a program's name: a text, or a map with ``name``, or a list of such."""
    first = next(iter(_list(value)), value)
    return _text(first) or _text(_map(first).get("name"))


def _generator(claim: dict[Any, Any]) -> str:
    return _name(claim.get("claim_generator_info")) or _text(claim.get("claim_generator"))


def _actions(label: str, body: memoryview) -> Iterator[Action]:
    if not label.startswith("c2pa.actions"):
        return
    assertion = _map(_cbor(body))
    agents = _list(assertion.get("softwareAgents"))
    for action in map(_map, _list(assertion.get("actions"))):
        place = action.get("softwareAgentIndex")
        if isinstance(place, int) and 0 <= place < len(agents):
            agent = agents[place]
        else:
            agent = action.get("softwareAgent")
        source_type = _text(action.get("digitalSourceType")).rstrip("/").rpartition("/")[2]
        yield Action(_text(action.get("action")), source_type, _name(agent))


def _issuer(box: memoryview | None) -> str:
    """Return the organisation of the certificate that signed, else its common name."""
    signature = _cbor(box)
    fields = _list(getattr(signature, "value", signature))
    try:
        return _organisation(_certificate(fields))
    except Exception:  # noqa: BLE001 - a certificate may hold anything
        return ""


def _certificate(fields: list[Any]) -> bytes:
    """Return the signer's certificate, DER, from a COSE_Sign1's headers."""
    import cbor2

    protected = _map(cbor2.loads(fields[0], max_depth=_DEEPEST_CBOR))
    headers = [protected, _map(fields[1])]
    chains = (h.get(key) for h in headers for key in (_X5CHAIN, "x5chain"))
    chain = next(chain for chain in chains if chain)
    return chain if isinstance(chain, bytes) else _list(chain)[0]


def _organisation(certificate: bytes) -> str:
    from asn1crypto.x509 import Certificate

    subject = Certificate.load(certificate).subject.native
    name = subject.get("organization_name") or subject.get("common_name") or ""
    return _text(name if isinstance(name, str) else name[0])
