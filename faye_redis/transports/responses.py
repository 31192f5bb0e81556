"""Plain WSGI responses, and the one form of a refusal.

A refusal is ``text/plain``: the name of its status and the reason. Faye answers every refusal with
400 and ``Bad request``, in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Headers = list[tuple[str, str]]

NO_CACHE = ("Cache-Control", "no-cache, no-store")
NO_SNIFF = ("X-Content-Type-Options", "nosniff")

LONGEST_TEXT = 256
_UNPRINTABLE = re.compile(r"[^ -~]")

_EXTRA: dict[int, Headers] = {
    403: [("Vary", "Origin")],
    405: [("Allow", "GET, POST, OPTIONS")],
    426: [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")],  # RFC 6455, 4.4
    503: [("Retry-After", "5")],
}


def printable(text: str) -> str:
    """``text`` as a peer may be told it, who may have had a hand in it."""
    return _UNPRINTABLE.sub("?", text)[:LONGEST_TEXT]


class Answer:
    """What a WSGI application answers to one request, for who sends it without a server."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, app: Callable[[Environ, StartResponse], Iterable[bytes]],
                 environ: Environ) -> None:
        self.body = app(environ, self._start)

    def _start(self, status: str, headers: Headers) -> None:
        self.status, self.headers = status, headers

    def encoded(self, server: str, persistence: str) -> bytes:
        """The HTTP/1.1 response.

        :param server: how the server names itself.
        :param persistence: "close" or "keep-alive".
        """
        lines = [f"HTTP/1.1 {self.status}", f"Server: {server}", f"Date: {_date(int(time()))}",
                 f"Connection: {persistence}",
                 *[f"{name}: {value}" for name, value in self.headers]]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + b"".join(self.body)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def respond(
    start_response: StartResponse, status: int, headers: Headers, body: bytes
) -> Iterable[bytes]:
    """Answer with exactly these headers and a Content-Length."""
    start_response(
        f"{status} {HTTPStatus(status).phrase}", [*headers, ("Content-Length", str(len(body)))]
    )
    return [body]


def refuse(
    environ: Environ, start_response: StartResponse, status: int, reason: str = ""
) -> Iterable[bytes]:
    """Answer with the status and the reason as text; a HEAD request gets the headers only."""
    phrase = HTTPStatus(status).phrase.capitalize()
    text = printable(f"{phrase}: {reason}" if reason else phrase)
    headers = [("Content-Type", "text/plain; charset=utf-8"), *_EXTRA.get(status, [])]
    body = respond(start_response, status, headers, text.encode("ascii"))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body
