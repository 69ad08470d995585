"""Fetching one file over HTTPS: bounded, checked, and taken up again after a break."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from multiprocessing import TimeoutError as NoResultError
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, BinaryIO

import requests
import tqdm
import urllib3
from requests.adapters import HTTPAdapter

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.files import sha256_of

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")
_PASSING = frozenset({408, 416, 429, 500, 502, 503, 504})
"""Answers after which another attempt may do better."""
_Broken = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
)


@dataclass(frozen=True)
class Limits:
    """How much a download may take, and how long it is waited for."""

    max_bytes: int = 256 << 20
    """Of one file, whatever the server says of its size."""
    timeout_s: float = 30.0
    """Without a byte from the server; twice as long for its first answer."""
    least_rate: float = 10_000.0
    """Bytes a second on average, once ``timeout_s`` is over."""
    n_attempts: int = 3
    pause_s: float = 1.0
    """Before the second attempt; twice as long before the third, and so on."""


def check_url(url: str, *, allows_http: bool = True) -> None:
    """Check that a file may be fetched from an address: https, or http from this machine.

    Raises:
        ModelError: It may not.
    """
    try:
        scheme, _, host, *_ = urllib3.util.parse_url(url)
    except ValueError:
        scheme = host = None
    is_local = allows_http and scheme == "http" and _LOOPBACK.fullmatch(host or "")
    if not host or not (scheme == "https" or is_local):
        raise ModelError(f"{shown(url)}: models are fetched over https alone")


def shown(url: str) -> str:
    """Return an address without user, password and query, which are nobody's business."""
    try:
        parts = urllib3.util.parse_url(url)
    except ValueError:
        return "an address that is none"
    return parts._replace(auth=None, query=None, fragment=None).url


class _Adapter(HTTPAdapter):
    """Asks no address that models may not come from, redirections included."""

    allows_http = False

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        check_url(request.url, allows_http=self.allows_http)
        return super().send(request, *args, **kwargs)


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
    answer = None
    with path.open("wb") as file, requests.Session() as session:
        adapter = _Adapter()
        adapter.allows_http = url.startswith("http:")
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        for attempt in range(1, limits.n_attempts + 1):
            try:
                answer = _ask(session, url, _headers(answer, file.tell()), limits.timeout_s)
                _receive(answer, file, limits, progress=progress)
                break
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason, may_pass = _reason(error, file.tell(), limits)
                if attempt == limits.n_attempts or not may_pass:
                    raise ModelError(f"{shown(url)}: {reason}") from error
                if isinstance(error, requests.HTTPError):
                    answer = None
                time.sleep(limits.pause_s * attempt)
    if answer is not None and not _is_announced(answer, path):
        raise ModelError(f"{shown(url)}: what came is not the file that the server announced")


def _headers(broken: requests.Response | None, n_bytes: int) -> dict[str, str]:
    tag = "" if broken is None else broken.headers.get("ETag", "")
    resumed = {"Range": f"bytes={n_bytes}-", "If-Range": tag} if tag[:1] == '"' else {}
    return {"Accept-Encoding": "identity", **resumed}


def _ask(
    session: requests.Session, url: str, headers: dict[str, str], timeout_s: float
) -> requests.Response:
    """Return an answer whose body has yet to come."""
    options = {"headers": headers, "stream": True, "timeout": timeout_s}
    # In a thread: names are looked up in C, and a server may trickle its headers.
    with ThreadPool(1) as pool:
        try:
            answer = pool.apply_async(session.get, (url,), options).get(2 * timeout_s)
        except NoResultError:
            raise requests.Timeout from None
    answer.raise_for_status()
    return answer


def _receive(
    answer: requests.Response, file: BinaryIO, limits: Limits, *, progress: bool
) -> None:
    """Append the body to what came before it broke off, or begin anew."""
    if answer.headers.get("Content-Range", "").partition("-")[0] != f"bytes {file.tell()}":
        file.seek(0)
        file.truncate()
    started, first = time.monotonic(), file.tell()
    n_left = answer.raw.length_remaining or 0
    with (
        answer,
        tqdm.tqdm(
            total=(first + n_left) or None,
            initial=first,
            unit="B",
            unit_scale=True,
            disable=not progress,
        ) as bar,
    ):
        _check_size(answer.url, first + n_left, limits)
        while chunk := answer.raw.read1(1 << 16):
            bar.update(file.write(chunk))
            _check_size(answer.url, file.tell(), limits)
            past_s = time.monotonic() - started
            if past_s > limits.timeout_s and file.tell() - first < limits.least_rate * past_s:
                raise ModelError(
                    f"{shown(answer.url)}: slower than {limits.least_rate / 1e3:g} kB/s, "
                    f"given up after {file.tell():,} bytes"
                )


def _check_size(url: str, n_bytes: int, limits: Limits) -> None:
    if n_bytes > limits.max_bytes:
        raise ModelError(
            f"{shown(url)} is larger than {limits.max_bytes / 1e6:,.0f} MB, the most allowed"
        )


def _reason(error: Exception, n_bytes: int, limits: Limits) -> tuple[str, bool]:
    """Return why an attempt failed, and whether another one may do better."""
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        return f"the server answered {status} ({error.response.reason})", status in _PASSING
    if not isinstance(error, _Broken):
        return str(error), False
    if n_bytes:
        return f"the transfer broke off after {n_bytes:,} bytes", True
    if isinstance(error, requests.Timeout):
        return f"no answer within {limits.timeout_s:g} s", True
    return "cannot be reached; are you offline? Files at hand: --from DIR", True


def _is_announced(answer: requests.Response, path: Path) -> bool:
    """Tell whether a file has the sha256 that Hugging Face's hub names in its first answer."""
    tags = [given.headers.get("X-Linked-Etag", "") for given in (*answer.history, answer)]
    sha256s = {tag.strip('"') for tag in tags if re.fullmatch(r'"?[0-9a-f]{64}"?', tag)}
    return not sha256s or sha256s == {sha256_of(path)}
