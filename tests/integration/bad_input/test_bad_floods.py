"""Connections on which there is always something to read: others must have their turn."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import gevent
import pytest
from carriers import MOUNT, HttpLine, Line, json_body
from raw_client import PATIENCE
from websockets.frames import Frame, Opcode
from wire import head, post, received
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node

GOOD = b'{"channel":"/a","data":1}'
MOST = 32 * 2**20  # bytes; 32 times max_message_size
REQUESTS, FRAMES = 5_000, 50_000  # many turns of the worker each

UPGRADE = head(f"GET {MOUNT}", "Upgrade: websocket", "Connection: Upgrade",
               "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def frame(kind: Opcode, data: bytes) -> bytes:
    return Frame(kind, data).serialize(mask=True)


@pytest.fixture
def line(node: Node) -> Iterator[Line]:
    with closing(HttpLine(node.port, json_body)) as opened:
        yield opened


# What opens the connection, what is sent again and again, and what ends it
FLOODS: dict[str, tuple[bytes, bytes, bytes]] = {
    "empty arrays": (b"", post(b"[]"), post(b"[]", "Connection: close")),
    "publishes": (b"", post(GOOD), post(GOOD, "Connection: close")),
    "what is refused": (b"", post(b"1"), post(b"1", "Connection: close")),
    "requests without a message": (b"", head(f"GET {MOUNT}"), head("GET /", "Connection: close")),
    "empty arrays, by WebSocket":
        (UPGRADE, frame(Opcode.TEXT, b"[]"), frame(Opcode.CLOSE, b"\x03\xe8")),
    "publishes, by WebSocket":
        (UPGRADE, frame(Opcode.TEXT, GOOD), frame(Opcode.CLOSE, b"\x03\xe8")),
    "what is refused, by WebSocket":
        (UPGRADE, frame(Opcode.TEXT, b"1"), frame(Opcode.CLOSE, b"\x03\xe8")),
}


@pytest.mark.parametrize("name", FLOODS)
def test_others_are_answered_before_a_flood_is(name: str, sock: socket.socket, line: Line) -> None:
    opening, again, end = FLOODS[name]
    sock.sendall(opening or again)
    assert sock.recv(7) == b"HTTP/1."
    flood = gevent.spawn(sock.sendall, again * (FRAMES if opening else REQUESTS) + end)
    answers = gevent.spawn(received, sock)
    assert line.say(GOOD) == [{"channel": "/a", "successful": True}]
    assert not answers.dead
    flood.get(timeout=PATIENCE)
    answers.get(timeout=PATIENCE)


UNREAD = {
    "too long": (f"POST {MOUNT}", "Content-Type: application/json"),
    "encoded": (f"POST {MOUNT}", "Content-Encoding: gzip"),
    "of another method": (f"PUT {MOUNT}",),
    "of another origin": (f"POST {MOUNT}", "Origin: http://evil.example"),
    "of a script": (f"POST {MOUNT}/client.js",),
    "of a GET": (f"GET {MOUNT}",),
}
FRAMINGS = {"by its length": (f"Content-Length: {10**15}", b" " * 65536),
            "in chunks": ("Transfer-Encoding: chunked", b"10000\r\n" + b" " * 65536 + b"\r\n")}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("refused", UNREAD)
def test_a_body_without_end_is_not_read_for_ever(
    refused: str, framing: str, sock: socket.socket, line: Line, witness: Witness
) -> None:
    (start, *headers), (header, piece) = UNREAD[refused], FRAMINGS[framing]
    sock.sendall(head(start, *headers, header))
    sent = 0
    with suppress(OSError):
        while sent < MOST:
            sock.sendall(piece)
            sent += len(piece)
    assert sent < MOST
    assert check_undisturbed(line, witness) == []
