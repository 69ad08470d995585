"""Files that carry a real C2PA manifest, signed with a certificate of the test's own.

c2pa-python signs MP3, FLAC, WAV and M4A. In Ogg the same bytes are put in place by hand,
as C2PA 2.3, section A.3.5, has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import c2pa
import mutagen.id3
import mutagen.ogg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.audio_files import SAMPLE_RATES, encode, music

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
CAPTURED = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
MIME_TYPES = {
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "m4a": "audio/mp4",
}
"""Containers that c2pa-python signs."""

id3: Any = mutagen.id3
OggPage: Any = mutagen.ogg.OggPage


@dataclass(frozen=True)
class Identity:
    """A signer: certificate and key, PEM."""

    certificate: bytes
    key: bytes

    def signer(self) -> c2pa.Signer:
        """Return what c2pa-python signs with."""
        info = c2pa.C2paSignerInfo(
            alg=c2pa.C2paSigningAlg.ES256,
            sign_cert=self.certificate,
            private_key=self.key,
            ta_url=None,
        )
        return c2pa.Signer.from_info(info)


@cache
def identity(organisation: str = "Eleven Labs Inc.", valid_s: float = 86_400) -> Identity:
    """Return a signer with a self-signed certificate that holds from now on so long."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Test signer"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
        ]
    )
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "crl_sign"),
            *("key_agreement", "key_cert_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(seconds=valid_s))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def manifest(
    action: str = "c2pa.created",
    source_type: str | None = TRAINED,
    agent: object = None,
    **assertions: object,
) -> dict[str, Any]:
    """Return a manifest's definition; assertions by label, ``__`` for a dot."""
    made: dict[str, object] = {"action": action}
    if source_type is not None:
        made["digitalSourceType"] = source_type
    if agent is not None:
        made["softwareAgent"] = agent
    extra = [
        {"label": label.replace("__", "."), "data": data} for label, data in assertions.items()
    ]
    return {
        "claim_generator_info": [{"name": "maker", "version": "1.0"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [made]}},
            *extra,
        ],
    }


def sign(
    path: Path, definition: Mapping[str, Any] | None = None, signer: Identity | None = None
) -> bytes:
    """Put a signed manifest into a file of :data:`MIME_TYPES`; return the manifest store."""
    builder = c2pa.Builder(json.dumps(definition or manifest()))
    target = path.with_name(f"signed-{path.name}")
    with path.open("rb") as source, target.open("w+b") as signed:
        store = builder.sign(
            (signer or identity()).signer(), MIME_TYPES[path.suffix[1:]], source, signed
        )
    target.replace(path)
    return bytes(store)


def store_of(definition: Mapping[str, Any] | None, folder: Path) -> bytes:
    """Return the manifest store of a signed WAV file."""
    path = encode(folder / "store.wav", music(0.1), 44_100)
    store = sign(path, definition)
    path.unlink()
    return store


def write_signed(
    path: Path, definition: Mapping[str, Any] | None = None, signer: Identity | None = None
) -> Path:
    """Write a second of music with a signed manifest, in any container that can hold one."""
    container = path.suffix[1:]
    encode(path, music(1.0), SAMPLE_RATES.get(container, 44_100))
    if container in MIME_TYPES:
        sign(path, definition, signer)
    else:
        add_ogg_stream(path, store_of(definition, path.parent))
    return path


def add_object(path: Path, store: bytes, mime: str = "application/c2pa") -> Path:
    """Put a manifest store into a file's ID3 tag, as an object of this MIME type."""
    try:
        tags = id3.ID3(path)
    except id3.ID3NoHeaderError:
        tags = id3.ID3()
    tags.add(id3.GEOB(encoding=3, mime=mime, filename="c2pa", desc="", data=store))
    tags.save(path)
    return path


def add_ogg_stream(path: Path, store: bytes, *, is_first: bool = False) -> Path:
    """Put a manifest store into an Ogg file, as a logical bitstream of its own."""
    pages = OggPage.from_packets([b"\0c2pa" + store])
    for page in pages:
        page.serial = 0xC2FA
        page.position = 0
    pages[0].first = pages[-1].last = True
    data = path.read_bytes()
    end_of_first = data.index(b"OggS", 4)
    new = [page.write() for page in pages]
    audio = [data[:end_of_first], data[end_of_first:]]
    order = [new[0], audio[0]] if is_first else [audio[0], new[0]]
    path.write_bytes(b"".join([*order, *new[1:], audio[1]]))
    return path
