"""Says the same over each transport, and tells in one form what the server answered."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from parity import JSON, parse_body
from raw_client import PATIENCE, Message
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

MOUNT = "/faye"

LONGEST_LINE = 4094
"""Bytes of a request line (gunicorn's ``limit_request_line``); what is longer gets 414."""


class Refusal(NamedTuple):
    """A status instead of replies."""

    status: int
    text: str
    headers: Mapping[str, str]


class Closed(NamedTuple):
    """The WebSocket was closed with this code (RFC 6455, 7.4.1)."""

    code: int


Answer = list[Message] | Refusal | Closed


class Request(NamedTuple):
    """One HTTP request that carries a document."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_too_long(self) -> bool:
        return len(f"{self.method} {self.path} HTTP/1.1") > LONGEST_LINE


def json_body(document: bytes) -> Request:
    return Request("POST", MOUNT, document, JSON)


def form_body(document: bytes) -> Request:
    body = b"message=" + quote(document).encode()
    return Request("POST", MOUNT, body, {"Content-Type": "text/plain;charset=UTF-8"})


def script_query(document: bytes) -> Request:
    return Request("GET", f"{MOUNT}?message={quote(document)}&jsonp=cb", b"", {})


class Line(Protocol):
    """A connection to the server, opened again by the next ``say`` when it was closed."""

    def say(self, document: str | bytes) -> Answer:
        """Send a document (JSON, or what should be) and return all that is answered."""

    def close(self) -> None:
        """End it."""


class HttpLine:
    """One transport of single requests; ``form`` makes the request for a document."""

    def __init__(self, port: int, form: Callable[[bytes], Request]) -> None:
        self._form = form
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def say(self, document: str | bytes) -> Answer:
        request = self._form(encoded(document))
        self._connection.request(request.method, request.path, request.body, dict(request.headers))
        with self._connection.getresponse() as response:
            if response.status != 200:
                return Refusal(response.status, response.read().decode(), dict(response.headers))
            replies = parse_body(response.headers["Content-Type"], response.read())
            return replies[1:] if self._form is script_query else replies

    def close(self) -> None:
        self._connection.close()


class SocketLine:
    """One WebSocket, which no client is bound to."""

    def __init__(self, port: int, _: Any = None) -> None:
        self._url = f"ws://127.0.0.1:{port}{MOUNT}"
        self._numbers = itertools.count()
        self._socket: ClientConnection | None = None
        self._stack = ExitStack()

    def say(self, document: str | bytes) -> Answer:
        """Frames are answered in order, so what comes before the answer to another frame is all
        that this one gets."""
        socket = self._opened()
        mark = f"mark{next(self._numbers)}"
        frames: list[list[Message]] = []
        try:
            socket.send(encoded(document), text=True)
            socket.send(json.dumps({"channel": "/meta/mark", "id": mark}))
            while not (frames and any(reply.get("id") == mark for reply in frames[-1])):
                frames.append(json.loads(socket.recv(PATIENCE)))
        except ConnectionClosed as closed:
            self.close()
            return Closed(closed.rcvd.code if closed.rcvd else 1006)
        assert frames[1:], f"passed over: {document!r}"
        return [reply for frame in frames[:-1] for reply in frame]

    def _opened(self) -> ClientConnection:
        if self._socket is None:
            self._socket = self._stack.enter_context(open_websocket(self._url, proxy=None))
        return self._socket

    def close(self) -> None:
        self._socket = None
        self._stack.close()


CARRIERS: dict[str, Callable[[int], Line]] = {
    "long-polling": lambda port: HttpLine(port, json_body),
    "cross-origin-long-polling": lambda port: HttpLine(port, form_body),
    "callback-polling": lambda port: HttpLine(port, script_query),
    "websocket": SocketLine,
}


def encoded(document: str | bytes) -> bytes:
    """A document as it is sent; lone surrogates cannot be, and have to be escaped."""
    return document.encode() if isinstance(document, str) else document


def fits(carrier: str, document: str | bytes) -> bool:
    """Can it be sent at all? A request line ends somewhere."""
    return carrier != "callback-polling" or not script_query(encoded(document)).is_too_long


def ask(port: int, document: str | bytes) -> Answer:
    """One document over a connection of its own."""
    with closing(HttpLine(port, json_body)) as line:
        return line.say(document)
