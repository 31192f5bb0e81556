"""Plain WSGI responses, and the one form of a refusal.

A refusal is ``text/plain``: the name of its status and the reason. Faye answers every refusal with
400 and ``Bad request``, in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
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
    text = _UNPRINTABLE.sub("?", f"{phrase}: {reason}" if reason else phrase)[:LONGEST_TEXT]
    headers = [("Content-Type", "text/plain; charset=utf-8"), *_EXTRA.get(status, [])]
    body = respond(start_response, status, headers, text.encode("ascii"))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body
