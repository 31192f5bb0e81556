"""Plain WSGI responses, and the one form of a refusal.

A refusal is ``text/plain`` and says no more than its status; the reason goes to the log. Faye
answers every refusal with 400 and ``Bad request``, in the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Headers = list[tuple[str, str]]

NO_CACHE = ("Cache-Control", "no-cache, no-store")
NO_SNIFF = ("X-Content-Type-Options", "nosniff")

_EXTRA: dict[int, Headers] = {
    403: [("Vary", "Origin")],
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


def refuse(environ: Environ, start_response: StartResponse, status: int) -> Iterable[bytes]:
    """Answer with the status and its phrase as text; a HEAD request gets the headers only."""
    text = HTTPStatus(status).phrase.capitalize().encode("ascii")
    headers = [("Content-Type", "text/plain; charset=utf-8"), *_EXTRA.get(status, [])]
    body = respond(start_response, status, headers, text)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body
