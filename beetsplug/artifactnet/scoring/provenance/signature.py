"""The state of a C2PA manifest's signature, by c2pa-python (extra ``c2pa``).

Nothing requires a signature to be valid: a declaration counts without it, and a valid one
does not say who signed. The state is shown beside the issuer's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.scoring.provenance.reader import carries_manifest

_SETTINGS: dict[str, Any] = {
    # Nothing is fetched: the file alone is looked at.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True}
}


class SignatureState(StrEnum):
    """The result of checking a manifest's signature and hashes."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    """Unchanged. Anybody can sign, under any name: without anchors nobody is trusted."""
    EXPIRED = "expired"
    CHANGED = "changed"
    INVALID = "invalid"
    UNSUPPORTED = "unsupported"
    """The library cannot look in this container."""
    UNKNOWN = "unknown"
    """It was not checked: the extra ``c2pa`` is not installed, or the file not readable."""
    NO_MANIFEST = "no_manifest"


PHRASES: Mapping[SignatureState, str] = {
    SignatureState.TRUSTED: "unchanged, signer trusted",
    SignatureState.UNTRUSTED: "unchanged, signer not verified",
    SignatureState.EXPIRED: "certificate expired",
    SignatureState.CHANGED: "file or manifest changed since it was signed",
    SignatureState.INVALID: "not valid",
    SignatureState.UNSUPPORTED: "cannot look in this container",
    SignatureState.UNKNOWN: "unknown",
    SignatureState.NO_MANIFEST: "no manifest",
}
"""Each state for people to read."""


@dataclass(frozen=True)
class Signature:
    """A manifest's signature."""

    state: SignatureState
    issuer: str = ""
    """Organisation that the certificate names; empty where it was not read."""
    detail: str = ""
    """Why it was not checked, or what is not valid, in a few words."""


NO_SIGNATURE = Signature(SignatureState.NO_MANIFEST)


def check_signature(path: Path, anchors: str | None = None) -> Signature:
    """Return the state of the signature in a file, whatever it is.

    Args:
        path: The file.
        anchors: Certificates of those to trust, PEM; None: nobody is.
    """
    if not carries_manifest(path):
        return NO_SIGNATURE
    try:
        import c2pa
    except ImportError:
        return Signature(SignatureState.UNKNOWN, detail="pip install 'beets-artifactnet[c2pa]'")
    try:
        return _signature(_report(path, anchors))
    except (c2pa.C2paError.NotSupported, c2pa.C2paError.ManifestNotFound):
        # It looks for fewer MIME types and in fewer containers than the claims' reader.
        return Signature(SignatureState.UNSUPPORTED)
    except c2pa.C2paError.Io as error:
        return Signature(SignatureState.UNKNOWN, detail=str(error)[:200])
    except Exception as error:  # noqa: BLE001 - a broken manifest is what it says it is
        return Signature(SignatureState.INVALID, detail=str(error)[:200])


def _report(path: Path, anchors: str | None) -> dict[str, Any]:
    import c2pa

    trust = {} if anchors is None else {"trust": {"user_anchors": anchors}}
    with (
        c2pa.Context.from_dict({**_SETTINGS, **trust}) as context,
        c2pa.Reader(path, context=context) as reader,
    ):
        report: dict[str, Any] = json.loads(reader.json())
    return report


def _signature(report: dict[str, Any]) -> Signature:
    manifest = report.get("manifests", {}).get(report.get("active_manifest"), {})
    issuer = str(manifest.get("signature_info", {}).get("issuer") or "")
    codes = [str(entry.get("code")) for entry in report.get("validation_status", [])]
    state = _state(str(report.get("validation_state")), codes)
    detail = ", ".join(dict.fromkeys(codes)) if state is SignatureState.INVALID else ""
    return Signature(state, issuer, detail[:200])


def _state(word: str, codes: list[str]) -> SignatureState:
    if any(code.endswith(".mismatch") for code in codes):
        return SignatureState.CHANGED
    if any(code.endswith((".expired", ".outsideValidity")) for code in codes):
        return SignatureState.EXPIRED
    known = {"Trusted": SignatureState.TRUSTED, "Valid": SignatureState.UNTRUSTED}
    return known.get(word, SignatureState.INVALID)
