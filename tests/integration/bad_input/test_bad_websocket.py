"""Frames that break RFC 6455, and peers that misuse good ones: the close code of each.

The whole table of frames is in the unit tests; here is what only a real worker shows: that the
connection is let go, and that others have their turn.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from carriers import MOUNT, Line, SocketLine
from raw_client import PATIENCE
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node
from support.waiting import eventually

GOOD = b'{"channel":"/a","data":1}'
HEARD = {"channel": "/a", "data": 1}
LIMIT = 2**20  # max_message_size


def frame(kind: Opcode, data: bytes = b"", fin: bool = True) -> bytes:
    return Frame(kind, data, fin=fin).serialize(mask=True)


def odd(first: int, data: bytes = b"") -> bytes:
    """A short frame with any first byte, which the library would not make; its mask is zero."""
    return bytes([first, 0x80 | len(data)]) + bytes(4) + data


def announced(kind: Opcode, length: int) -> bytes:
    """The head of a frame of that length, and nothing of what is in it."""
    return bytes([0x80 | kind, 0xFF]) + length.to_bytes(8, "big") + bytes(4)


TEXT, CONT, BINARY, PING, PONG, CLOSE = (
    Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.PING, Opcode.PONG, Opcode.CLOSE)

# Name, what is sent behind a good message, close code
CLOSED: list[tuple[str, bytes, int]] = [
    ("frame without a mask", Frame(TEXT, GOOD).serialize(mask=False), 1002),
    ("compressed frame, not agreed upon", odd(0xC1, GOOD), 1002),
    ("reserved opcode", odd(0x83), 1002),
    ("ping in two frames", odd(0x09, b"x"), 1002),
    ("ping of 126 bytes", b"\x89\xfe\x00\x7e" + bytes(130), 1002),
    ("continuation of nothing", frame(CONT, GOOD), 1002),
    ("message inside a message", frame(TEXT, GOOD, fin=False) + frame(TEXT, GOOD), 1002),
    ("close of one byte", odd(0x88, b"\x03"), 1002),
    ("close with a code that is none", odd(0x88, b"\x03\xed"), 1002),  # 1005
    ("binary frame", frame(BINARY, GOOD), 1003),
    ("invalid UTF-8", frame(TEXT, b'{"channel":"/a","data":"\xff"}'), 1007),
    ("invalid UTF-8 in two frames", frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"("), 1007),
    ("UTF-8 cut off", frame(TEXT, b'"\xc3'), 1007),
    ("close with invalid UTF-8", odd(0x88, b"\x03\xe8\xff"), 1007),
    ("1001 pings", frame(PING) * 1001, 1008),
    ("4000 fragments", frame(TEXT, GOOD, fin=False) + frame(CONT, fin=False) * 3999, 1008),
    ("one byte over", frame(TEXT, b" " * (LIMIT + 1)), 1009),
    ("one byte over in two frames",
     frame(TEXT, b" " * LIMIT, fin=False) + frame(CONT, b" "), 1009),
    # A control frame may come within a message, so that much more is waited for.
    ("126 bytes over, announced", announced(TEXT, LIMIT + 126), 1009),
    ("126 bytes over, without an end",
     frame(TEXT, b" " * LIMIT, fin=False) + frame(CONT, b" " * 126, fin=False), 1009),
    ("length of 2^62", announced(TEXT, 2**62), 1009),
]

OPEN: list[tuple[str, bytes]] = [
    ("pong without a ping", frame(PONG, b"x")),
    ("pong of numbers nobody sent", frame(PONG, b"999999999999999") + frame(PONG, b"9" * 125)),
    ("1000 pongs", frame(PONG, b"1") * 1000),
    ("100 pings", frame(PING, b"x" * 125) * 100),
    ("ping between two fragments", frame(TEXT, b"[", fin=False) + frame(PING) + frame(CONT, b"]")),
    ("fragments of one byte", b"".join(
        [frame(TEXT, b"[", fin=False), *[frame(CONT, b" ", fin=False)] * 1000, frame(CONT, b"]")])),
]


@pytest.fixture
def peer(node: Node) -> Iterator[ClientConnection]:
    with open_websocket(f"ws://127.0.0.1:{node.port}{MOUNT}", proxy=None) as opened:
        yield opened


@pytest.fixture
def line(node: Node) -> Iterator[Line]:
    with closing(SocketLine(node.port)) as opened:
        yield opened


@pytest.mark.parametrize(("sent", "code"), [row[1:] for row in CLOSED],
                         ids=[row[0] for row in CLOSED])
def test_closed(
    sent: bytes, code: int, peer: ClientConnection, line: Line, witness: Witness
) -> None:
    """What came before is carried out, what comes behind is not."""
    peer.socket.sendall(frame(TEXT, GOOD) + sent + frame(TEXT, GOOD))
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            peer.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert check_undisturbed(line, witness) == [HEARD]


@pytest.mark.parametrize("sent", [row[1] for row in OPEN], ids=[row[0] for row in OPEN])
def test_passed_over(
    sent: bytes, peer: ClientConnection, line: Line, witness: Witness
) -> None:
    peer.socket.sendall(sent + frame(TEXT, GOOD))
    replies = []
    while not replies:  # an empty array is answered by one
        replies = json.loads(peer.recv(PATIENCE))
    assert replies == [{"channel": "/a", "successful": True}]
    assert check_undisturbed(line, witness) == [HEARD]


def test_no_compression_is_agreed_upon(node: Node) -> None:
    """So there is nothing that could inflate."""
    url = f"ws://127.0.0.1:{node.port}{MOUNT}"
    with open_websocket(url, proxy=None, compression="deflate") as peer:
        assert peer.protocol.extensions == []


# Peers that go

def open_files(node: Node) -> int:
    [pid] = node.worker_pids()
    return len(os.listdir(Path(f"/proc/{pid}/fd")))


LAST_WORDS = {
    "nothing": b"",
    "half a head": frame(TEXT, GOOD)[:1],
    "half a frame": frame(TEXT, GOOD)[:12],
    "half a message": frame(TEXT, GOOD, fin=False),
    "the head of a long frame": announced(TEXT, LIMIT),
    "a close and more": frame(CLOSE, b"\x03\xe8") + frame(TEXT, GOOD),
}


@pytest.mark.parametrize("last", LAST_WORDS)
def test_a_peer_that_goes_is_let_go(last: str, node: Node, line: Line, witness: Witness) -> None:
    assert check_undisturbed(line, witness) == []
    before = open_files(node)
    for reset in (False, True):
        with ExitStack() as stack:
            for _ in range(20):
                leave(node, LAST_WORDS[last], reset, stack)
            eventually(lambda: open_files(node) >= before + 20 or last == "a close and more")
        eventually(lambda: open_files(node) == before)
    assert check_undisturbed(line, witness) == []


def leave(node: Node, last: bytes, reset: bool, stack: ExitStack) -> None:
    """Open a WebSocket, and at the exit of ``stack`` go without a word (``reset``: with RST)."""
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", node.port), PATIENCE))
    sock.sendall(f"GET {MOUNT} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert sock.recv(12) == b"HTTP/1.1 101"
    sock.sendall(last)
    if reset:
        linger = (1).to_bytes(4, "little") + bytes(4)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
