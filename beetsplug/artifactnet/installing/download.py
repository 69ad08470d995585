"""Fetching one file over HTTPS: bounded, checked, and taken up again after a break."""

from __future__ import annotations

import ipaddress
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.store import sha256_of

if TYPE_CHECKING:
    import requests

_CHUNK_BYTES = 1 << 16
_PASSING = frozenset({408, 416, 429, 500, 502, 503, 504})
"""Answers after which another attempt may do better."""
_SHA256_TAG = re.compile(r'"?([0-9a-f]{64})"?')


@dataclass(frozen=True)
class Limits:
    """How much a download may take, and how long it is waited for."""

    max_bytes: int = 1 << 30
    """Of one file, whatever the server says of its size."""
    timeout_s: float = 30.0
    """Without a byte from the server."""
    n_attempts: int = 3
    pause_s: float = 1.0
    """Before the second attempt; twice as long before the third, and so on."""


def check_url(url: str) -> None:
    """Check that a file may be fetched from an address: https, or http from this machine.

    Raises:
        ModelError: It may not.
    """
    try:
        parts = urlsplit(url)
        allowed = bool(parts.hostname) and (
            parts.scheme == "https"
            or (parts.scheme == "http" and _is_loopback(str(parts.hostname)))
        )
    except ValueError:
        allowed = False
    if not allowed:
        raise ModelError(f"{shown(url)}: models are fetched over https alone")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """Return an address without user, password and query, which are nobody's business."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{host}{parts.path}" if host else url.partition("?")[0]


def download(url: str, path: Path, limits: Limits, *, progress: bool = False) -> None:
    """Write the file at an address to a path.

    A broken transfer is taken up where it broke if the server has named the version that
    it sends, and begun anew if not. A sha256 that the server announces must be the file's.

    Args:
        url: https, or http for loopback hosts; so must be every redirection.
        path: Replaced where it exists; left with whatever came where an error is raised.
        limits: Of size and time.
        progress: Whether a bar is drawn on standard error.

    Raises:
        ModelError: The file cannot be fetched whole, in one line that says why.
        OSError: It cannot be written.
    """
    check_url(url)
    with path.open("w+b") as file:
        transfer = _Transfer(url, file, limits)
        for attempt in range(1, limits.n_attempts + 1):
            failure = transfer.attempt(progress=progress)
            if failure is None:
                break
            if attempt < limits.n_attempts:
                time.sleep(limits.pause_s * attempt)
        else:
            raise ModelError(f"{shown(url)}: {failure}")
    if transfer.sha256 and sha256_of(path) != transfer.sha256:
        raise ModelError(
            f"{shown(url)}: what came is not the file that the server announced "
            f"(another sha256 than {transfer.sha256[:12]}...)"
        )


class _Transfer:
    """A file on its way: what pooch writes to, and who looks at each answer first."""

    def __init__(self, url: str, file: BinaryIO, limits: Limits) -> None:
        self._url, self._file, self._limits = url, file, limits
        self._n_bytes = 0
        self._n_expected: int | None = None
        self._etag = ""
        self._status, self._phrase = 0, ""
        self.sha256 = ""
        """As the server announced it; empty if it did not."""

    def attempt(self, *, progress: bool) -> str | None:
        """Fetch what is missing; return why that failed if another attempt makes sense.

        Raises:
            ModelError: No attempt makes sense.
        """
        import requests
        import urllib3
        from pooch import HTTPDownloader

        fetch = HTTPDownloader(
            progressbar=progress,
            chunk_size=_CHUNK_BYTES,
            timeout=self._limits.timeout_s,
            headers=self._headers(),
            hooks={"response": self.inspect},
        )
        try:
            fetch(self._url, self, None)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            return self._reason(error)
        if self._n_expected is not None and self._n_bytes != self._n_expected:
            return self._broken_off()
        return None

    def _reason(self, error: Exception) -> str:
        """Return why an attempt failed if another one makes sense, else raise."""
        import requests
        import urllib3

        if isinstance(error, requests.HTTPError):
            return self._refusal(error)
        if isinstance(error, requests.Timeout):
            return f"no answer within {self._limits.timeout_s:g} s"
        broken = (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError)
        if isinstance(error, broken) or (
            isinstance(error, requests.ConnectionError) and self._n_bytes
        ):
            return self._broken_off()
        if isinstance(error, requests.ConnectionError):
            return "cannot be reached; are you offline? Files at hand: --from DIR"
        raise ModelError(f"{shown(self._url)}: {error}") from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self._n_bytes and self._etag:
            headers |= {"Range": f"bytes={self._n_bytes}-", "If-Range": self._etag}
        return headers

    def _broken_off(self) -> str:
        whole = "" if self._n_expected is None else f" of {self._n_expected:,}"
        return f"the transfer broke off after {self._n_bytes:,}{whole} bytes"

    def _refusal(self, error: requests.HTTPError) -> str:
        refusal = f"the server answered {self._status} ({self._phrase})"
        if self._status not in _PASSING:
            raise ModelError(f"{shown(self._url)}: {refusal}") from error
        # With 416 the server has less than came of it: nothing fits together any more.
        self._etag = ""
        return refusal

    def inspect(self, response: requests.Response, **_: Any) -> None:
        """Look at an answer before it is followed or its body read.

        Raises:
            ModelError: It leads where no model is fetched from, or is too large.
        """
        self._status, self._phrase = response.status_code, response.reason
        self._note_sha256(response)
        if response.is_redirect:
            target = urljoin(response.url, response.headers["location"])
            check_url(target)
            if urlsplit(response.url).scheme == "https" != urlsplit(target).scheme:
                raise ModelError(f"{shown(target)}: models are fetched over https alone")
        elif response.ok:
            self._begin(response)

    def _note_sha256(self, response: requests.Response) -> None:
        # Hugging Face's hub names the sha256 of a large file in its first answer.
        match = _SHA256_TAG.fullmatch(response.headers.get("X-Linked-Etag", ""))
        if match:
            self.sha256 = match[1]

    def _begin(self, response: requests.Response) -> None:
        """Prepare for a body: go on where the last one broke off, or start anew."""
        goes_on = response.headers.get("Content-Range", "").startswith(
            f"bytes {self._n_bytes}-"
        )
        if response.status_code != 206 or not goes_on:
            self._file.seek(0)
            self._file.truncate()
            self._n_bytes = 0
        tag = response.headers.get("ETag", "")
        self._etag = "" if tag.startswith("W/") else tag
        length = response.headers.get("Content-Length")
        if length is None or "Content-Encoding" in response.headers:
            self._n_expected = None
            return
        if not re.fullmatch(r"[0-9]{1,18}", length):
            raise ModelError(f"{shown(self._url)}: Content-Length is {length!r}")
        self._n_expected = self._n_bytes + int(length)
        self._check_size(self._n_expected)

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self._limits.max_bytes:
            raise ModelError(
                f"{shown(self._url)} is larger than {self._limits.max_bytes / 1e6:,.0f} MB, "
                f"the most that is fetched"
            )

    def write(self, chunk: bytes) -> None:
        """Append bytes, as long as there are not too many."""
        self._check_size(self._n_bytes + len(chunk))
        self._file.write(chunk)
        self._n_bytes += len(chunk)

    def flush(self) -> None:
        """Let the file decide when to write: pooch asks for it with each chunk."""
