"""Serves the page on 127.0.0.1 to whoever has its token.

The page is one document. It gets frames as server-sent events, and asks for a pause or another
operating point with small POST requests. A request without the token, or whose Host header names
another machine (a page from elsewhere that resolves its own name to 127.0.0.1), is answered with
403.
"""

import errno
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ann2sdnn.support.errors import UsageError

LOOPBACK = "127.0.0.1"
_LONGEST_REQUEST = 1024  # bytes of a POST request
_ALIVE_S = 5.0  # a comment is sent after so long without a frame, which finds closed pages
_TOKEN_BYTES = 16

Command = Callable[[int], None]


class Latest:
    """The latest frame as JSON; a page that is slow misses some."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._text, self._number = "", 0

    def put(self, reading: Mapping[str, Any]) -> None:
        """Show ``reading`` to every page."""
        with self._changed:
            self._text, self._number = json.dumps(reading), self._number + 1
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> tuple[str, int]:
        """The latest text and its number, once that is above ``number`` or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, timeout_s)
            return self._text, self._number


class LiveServer(ThreadingHTTPServer):
    """Serves ``page`` below a random token. ``commands``: what a page may ask for, by name; each
    gets a whole number, and raises ValueError for one that means nothing.

    ``port``: None takes a free one. Raises UsageError for one that cannot be used.
    """

    daemon_threads = True
    block_on_close = False  # pages stay open
    allow_reuse_address = True

    def __init__(
        self, page: str, latest: Latest, commands: Mapping[str, Command], port: int | None = None
    ) -> None:
        try:
            super().__init__((LOOPBACK, port or 0), _Handler)
        except OSError as error:
            if port is None:
                raise
            reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "is not open to this user"}
            reason = reasons.get(error.errno or 0, f"cannot be used ({error.strerror})")
            raise UsageError(
                f"--port {port}: the port {reason}; name another, or leave it out for a free one"
            ) from error
        self.page, self.latest, self.commands = page.encode(), latest, commands
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where the page is; the token in it is the only key."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host headers of requests that were meant for this server."""
        return tuple(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))

    def __enter__(self) -> "LiveServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = self._asked()
        if asked == "":
            self._answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif asked == "frames":
            self._stream()
        elif asked is not None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def do_POST(self) -> None:
        asked = self._asked()
        if asked is None:
            return
        command = self.server.commands.get(asked)
        if command is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such command.")
            return
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 <= length <= _LONGEST_REQUEST:
                raise ValueError("too long")
            command(int(self.rfile.read(length) or b"0"))
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST, "Expected a whole number that means something.")
            return
        self._answer(HTTPStatus.OK, b"", "text/plain")

    def _asked(self) -> str | None:
        """The path below the token; None where the request was refused."""
        _, token, *rest = (*self.path.split("/", 2), "", "")
        known = secrets.compare_digest(token.encode(), self.server.token.encode())
        if not known or self.headers.get("Host") not in self.server.hosts:
            self._refuse(HTTPStatus.FORBIDDEN, "Open the address that `ann2sdnn live` printed.")
            return None
        return rest[0]

    def _stream(self) -> None:
        self._head(HTTPStatus.OK, "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        number = 0
        while True:
            text, latest = self.server.latest.after(number, _ALIVE_S)
            line = f"data: {text}\n\n" if latest > number else ": waiting\n\n"
            number = latest
            try:
                self.wfile.write(line.encode())
            except OSError:  # the page was closed
                return

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self.close_connection = True  # what was sent with the request is not read
        self._answer(status, sentence.encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self._head(status, kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; img-src data:; style-src 'unsafe-inline';"
            " script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none';"
            " base-uri 'none'; form-action 'none'",
        )

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: the terminal shows the address alone."""
