"""Fetching one file over HTTPS: bounded, checked, and taken up again after a break."""

from __future__ import annotations

import multiprocessing
import re
import time
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import BinaryIO

import requests
import tqdm
import urllib3
from requests.adapters import BaseAdapter

from beetsplug.artifactnet.errors import ModelError
from beetsplug.artifactnet.models.files import sha256_of

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")
_N_ATTEMPTS = 3
_PASSING = frozenset({408, 416, 429, 500, 502, 503, 504})
"""Answers after which another attempt may do better."""
_LEAST_RATE = 10_000
"""Bytes a second on average, once the time without a byte is over."""


@dataclass(frozen=True)
class Limits:
    """How much a download may take, and how long it is waited for."""

    max_bytes: int = 256 << 20
    """Of one file, whatever the server says of its size."""
    timeout_s: float = 30.0
    """Without a byte; twice as long for the server's first answer."""
    pause_s: float = 1.0
    """Before the second attempt; twice as long before the third."""


DEFAULT_LIMITS = Limits()


def check_url(url: str, *, allows_http: bool = True) -> None:
    """Raise a :class:`ModelError` unless it is https, or http from this machine."""
    try:
        parts = urllib3.util.parse_url(url)
    except ValueError:
        parts = urllib3.util.Url()
    is_local = parts.scheme == "http" and _LOOPBACK.fullmatch(parts.host or "")
    if not parts.host or not (parts.scheme == "https" or (is_local and allows_http)):
        raise ModelError(f"{shown(url)}: models are fetched over https alone")


def shown(url: str) -> str:
    """Return an address without user, password and query, which are nobody's business."""
    try:
        parts = urllib3.util.parse_url(url)
    except ValueError:
        return "an address that is none"
    return parts._replace(auth=None, query=None, fragment=None).url


class _Session(requests.Session):
    """Asks no address that models may not come from, redirections included."""

    allows_http = False

    def get_adapter(self, url: str) -> BaseAdapter:
        check_url(url, allows_http=self.allows_http)
        return super().get_adapter(url)


def download(url: str, path: Path, limits: Limits) -> None:
    """Write the file at an address to a path, which keeps what came if an error is raised.

    A broken transfer is taken up where it broke if the server has named the version that
    it sends, and begun anew if not. A sha256 that the server announces must be the file's.

    Raises:
        ModelError: The file cannot be fetched whole, in one line that says why.
        OSError: It cannot be written.
    """
    check_url(url)
    answer = None
    with path.open("wb") as file, _Session() as session:
        session.allows_http = url.startswith("http:")
        for attempt in range(1, _N_ATTEMPTS + 1):
            try:
                answer = _ask(session, url, answer, file.tell(), limits.timeout_s)
                _receive(answer, file, limits)
                break
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                refusal = getattr(error, "response", None)
                may_pass = refusal is None or refusal.status_code in _PASSING
                if attempt == _N_ATTEMPTS or not may_pass:
                    reason = _reason(error, file.tell(), limits)
                    raise ModelError(f"{shown(url)}: {reason}") from error
                answer = answer if refusal is None else None
                time.sleep(limits.pause_s * attempt)
    if answer is not None and not _announced(answer) <= {sha256_of(path)}:
        raise ModelError(f"{shown(url)}: what came is not the file that the server announced")


def _ask(
    session: requests.Session,
    url: str,
    broken: requests.Response | None,
    n_bytes: int,
    timeout_s: float,
) -> requests.Response:
    """Return an answer whose body has yet to come, or the rest of one that broke off."""
    headers = {"Accept-Encoding": "identity"}
    tag = "" if broken is None else broken.headers.get("ETag", "")
    if tag.startswith('"'):
        headers |= {"Range": f"bytes={n_bytes}-", "If-Range": tag}
    options = {"headers": headers, "stream": True, "timeout": timeout_s}
    # In a thread: names are looked up in C, and a server may trickle its headers.
    with ThreadPool(1) as pool:
        try:
            answer = pool.apply_async(session.get, (url,), options).get(2 * timeout_s)
        except multiprocessing.TimeoutError:
            raise requests.Timeout from None
    answer.raise_for_status()
    return answer


def _receive(answer: requests.Response, file: BinaryIO, limits: Limits) -> None:
    if answer.headers.get("Content-Range", "").partition("-")[0] != f"bytes {file.tell()}":
        file.seek(0)
        file.truncate()
    started, first = time.monotonic(), file.tell()
    total = first + (answer.raw.length_remaining or 0)
    # Its bar is drawn on a terminal alone.
    style = {"initial": first, "unit": "B", "unit_scale": True, "disable": None}
    with answer, tqdm.tqdm(total=total or None, **style) as bar:
        _check_size(answer.url, total, limits)
        while chunk := answer.raw.read1(1 << 16):
            bar.update(file.write(chunk))
            _check_size(answer.url, file.tell(), limits)
            past_s = time.monotonic() - started
            if past_s > limits.timeout_s and file.tell() - first < _LEAST_RATE * past_s:
                least = f"{_LEAST_RATE / 1e3:g} kB/s"
                raise ModelError(f"{shown(answer.url)}: slower than {least}, given up")


def _check_size(url: str, n_bytes: int, limits: Limits) -> None:
    if n_bytes > limits.max_bytes:
        most = f"{limits.max_bytes / 1e6:,.0f} MB"
        raise ModelError(f"{shown(url)} is larger than {most}, the most that is fetched")


def _reason(error: Exception, n_bytes: int, limits: Limits) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} ({error.response.reason})"
    if n_bytes:
        return f"the transfer broke off after {n_bytes:,} bytes"
    if isinstance(error, requests.Timeout):
        return f"no answer within {limits.timeout_s:g} s"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached; are you offline? Files at hand: --from DIR"
    return str(error)


def _announced(answer: requests.Response) -> set[str]:
    """Return the sha256 that Hugging Face's hub names in its first answer, or nothing."""
    tags = [given.headers.get("X-Linked-Etag", "") for given in (*answer.history, answer)]
    return {tag.strip('"') for tag in tags if re.fullmatch(r'"?[0-9a-f]{64}"?', tag)}
