"""A web server on this machine that serves models, well and badly."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HANG_S = 20.0
"""No test waits so long: a client that does not give up fails by its time."""


@dataclass
class ModelServer:
    """Serves a folder; ``answers`` says what it does otherwise, request by request."""

    folder: Path
    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    """One is used up by each request; then files are served as they are."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """File name and headers of each request."""
    closing: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        state = self.server.state
        name = self.path.rpartition("/")[2]
        state.requests.append((name, dict(self.headers)))
        answer = state.answers.pop(0) if state.answers else serve
        # A client that has seen enough hangs up.
        with suppress(ConnectionError):
            answer(self, state.folder / name)

    def start(self, status: int, **headers: object) -> None:
        """Send status and headers; ``_`` in a name is a hyphen."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Answer = Callable[[_Handler, Path], None]


class _Server(ThreadingHTTPServer):
    state: ModelServer
    daemon_threads = True


@contextmanager
def model_server(folder: Path) -> Iterator[ModelServer]:
    """Yield a server of a folder's files on a free port."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.state = ModelServer(folder, f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.state
        finally:
            server.state.closing.set()
            server.shutdown()
            thread.join()


def serve(handler: _Handler, path: Path) -> None:
    """Serve a file, or from an offset if that is asked for and the file is the same."""
    if not path.is_file():
        handler.start(404, Content_Length=0)
        return
    data = path.read_bytes()
    tag = etag(data)
    wanted = handler.headers.get("Range", "")
    if wanted and handler.headers.get("If-Range", tag) == tag:
        first = int(wanted.removeprefix("bytes=").rstrip("-"))
        handler.start(
            206,
            Content_Length=len(data) - first,
            Content_Range=f"bytes {first}-{len(data) - 1}/{len(data)}",
            ETag=tag,
        )
        handler.wfile.write(data[first:])
        return
    handler.start(200, Content_Length=len(data), ETag=tag)
    handler.wfile.write(data)


def etag(data: bytes) -> str:
    """Return the tag that :func:`serve` gives a file's content."""
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'


def breaks_after(n_bytes: int, *, tagged: bool = True) -> Answer:
    """Announce the whole file, send part of it and hang up."""

    def answer(handler: _Handler, path: Path) -> None:
        data = path.read_bytes()
        headers = {"ETag": etag(data)} if tagged else {}
        handler.start(200, Content_Length=len(data), **headers)
        handler.wfile.write(data[:n_bytes])
        handler.close_connection = True

    return answer


def truncates(n_bytes: int) -> Answer:
    """Send part of the file as if it were all of it."""

    def answer(handler: _Handler, path: Path) -> None:
        handler.start(200, Content_Length=n_bytes)
        handler.wfile.write(path.read_bytes()[:n_bytes])

    return answer


def says(status: int, **headers: object) -> Answer:
    """Answer with a status and no body."""

    def answer(handler: _Handler, _: Path) -> None:
        handler.start(status, Content_Length=0, **headers)

    return answer


def redirects(url: str) -> Answer:
    """Send the client elsewhere."""
    return says(302, Location=url)


def announces(sha256: str) -> Answer:
    """Serve the file, and say that its sha256 is this, as Hugging Face's hub does."""

    def answer(handler: _Handler, path: Path) -> None:
        data = path.read_bytes()
        handler.start(200, Content_Length=len(data), X_Linked_Etag=f'"{sha256}"')
        handler.wfile.write(data)

    return answer


def announces_length(length: str) -> Answer:
    """Say that the file is so long, and send it all."""

    def answer(handler: _Handler, path: Path) -> None:
        handler.start(200, Content_Length=length)
        handler.wfile.write(path.read_bytes())
        handler.close_connection = True

    return answer


def never_ends(handler: _Handler, _: Path) -> None:
    """Send zeros until the client hangs up, without saying how many."""
    handler.start(200)
    while not handler.server.state.closing.is_set():
        handler.wfile.write(bytes(1 << 16))


def hangs(handler: _Handler, _: Path) -> None:
    """Say nothing at all."""
    handler.server.state.closing.wait(HANG_S)


def hangs_after(n_bytes: int) -> Answer:
    """Send part of the file and then nothing."""

    def answer(handler: _Handler, path: Path) -> None:
        data = path.read_bytes()
        handler.start(200, Content_Length=len(data), ETag=etag(data))
        handler.wfile.write(data[:n_bytes])
        handler.wfile.flush()
        handler.server.state.closing.wait(HANG_S)

    return answer


def trickles(handler: _Handler, _: Path) -> None:
    """Send a byte now and then, and never the last one."""
    handler.start(200)
    _drip(handler)


def trickles_headers(handler: _Handler, _: Path) -> None:
    """Send a header that never ends, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip(handler)


def _drip(handler: _Handler) -> None:
    while not handler.server.state.closing.wait(0.05):
        handler.wfile.write(b"x")
        handler.wfile.flush()
