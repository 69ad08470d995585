"""All claims of one file, with the state of its signature: for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.results import Claim, ReleaseTags
from beetsplug.artifactnet.scoring.provenance.manifest import Manifest
from beetsplug.artifactnet.scoring.provenance.reader import (
    if_readable,
    read_claims,
    read_manifests,
)
from beetsplug.artifactnet.scoring.provenance.releases import read_release
from beetsplug.artifactnet.scoring.provenance.signature import (
    NO_SIGNATURE,
    PHRASES,
    Signature,
    SignatureState,
    check_signature,
)


@dataclass(frozen=True)
class Description:
    """The claims of a file."""

    claims: tuple[Claim, ...] = ()
    manifests: tuple[Manifest, ...] = ()
    signature: Signature = NO_SIGNATURE
    release: ReleaseTags = field(default_factory=ReleaseTags)

    def lines(self) -> Iterator[str]:
        """Yield a line for each claim and one for the signature; none for neither.

        The texts are the file's own: escape control characters before printing.
        """
        for claim in self.claims:
            text = f": {claim.text}" if claim.text else ""
            yield f"{claim.word} ({claim.strength.value}){text}"
        if self.signature.state is not SignatureState.NO_MANIFEST:
            yield f"signature: {self._issuer()}, {self._state()}"

    def as_dict(self) -> dict[str, Any]:
        """Return the same for JSON: ``claims`` and ``c2pa``, None without a manifest."""
        values: dict[str, Any] = {
            "claims": [
                {"claim": c.word, "strength": c.strength.value, "text": c.text}
                for c in self.claims
            ],
            "c2pa": None,
        }
        if self.signature.state is not SignatureState.NO_MANIFEST:
            values["c2pa"] = {
                "issuer": self._issuer(),
                "state": self.signature.state.value,
                "detail": self.signature.detail,
                **self._manifest(),
            }
        return values

    def _issuer(self) -> str:
        named = (m.issuer for m in self.manifests if m.issuer)
        return self.signature.issuer or next(named, "") or "unknown issuer"

    def _state(self) -> str:
        state, detail = self.signature.state, self.signature.detail
        note = f" ({detail})" if detail and state is not SignatureState.UNKNOWN else ""
        return f"{PHRASES[state]}{note}"

    def _manifest(self) -> dict[str, Any]:
        if not self.manifests:
            return {}
        manifest = self.manifests[-1]
        return {
            "actions": [action.name for action in manifest.actions],
            "source_type": manifest.source_type,
            "generator": manifest.agent,
        }


def describe(path: Path, anchors: str | None = None) -> Description:
    """Return what a file says of itself; empty for one that says nothing or is not there.

    Args:
        path: The file.
        anchors: Certificates of signers to trust, PEM; None: nobody is.
    """
    return Description(
        read_claims(path),
        read_manifests(path),
        check_signature(path, anchors),
        read_release(path),
    )


def describe_many(paths: Iterable[Path]) -> list[Description | None]:
    """Return what each file says of itself; None for one that cannot be read."""
    return [if_readable(describe, path) for path in paths]
