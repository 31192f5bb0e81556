"""How the cases of the Autobahn test suite (chapters 1 to 10) are put to a WebSocket of ours.

The suite wants every message echoed. Here the reply to a message carries its ``id``, which stands
for the echo. The suite sends each case in one of three chops; here each is sent in all of them,
unless that would take too long or the chop is what the case is about.
"""

from __future__ import annotations

import fcntl
import logging
import termios
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson
from recording_site import Peer, Site, frame

from support.nonsense import no_json
from support.waiting import eventually

TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0
OPCODES = {CONT: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping",
           PONG: "pong"}
NORMAL = b"\x03\xe8"
"""Payload of a close frame with code 1000."""

ONE_CHOP, PER_FRAME, PER_OCTET = CHOPS = ("one chop", "per frame", "per octet")

_STILL_THERE = b"still there?"


@dataclass(frozen=True)
class Case:
    """What is sent, and what must come of it.

    :param ids: of the messages that the server gets to see.
    :param code: of the close frame that ends it (1005: it has none); None if the peer has to end
        it, which it does with code 1000.
    :param chops: those it is sent in.
    :param junk: the messages that are no JSON; they are in front of those with ids.
    """

    number: str
    frames: Sequence[bytes]
    pongs: Sequence[bytes] = ()
    ids: Sequence[str] = ()
    code: int | None = None
    chops: Sequence[str] = CHOPS
    junk: Sequence[bytes] = ()

    def pieces(self, chop: str) -> list[bytes]:
        data = b"".join(self.frames)
        if chop == ONE_CHOP:
            return [data]
        return list(self.frames) if chop == PER_FRAME else chopped(data, 1)

    def answers(self, chop: str) -> list[tuple[int, bytes]]:
        """What comes before the end, replies first. A close frame overtakes the replies to what
        came in the same chop, as the suite allows ("NON-STRICT")."""
        overtaken = chop == ONE_CHOP and self.code is not None
        replies = [*map(refusal, self.junk), *map(reply, self.ids)]
        return [*((TEXT, text) for text in replies if not overtaken),
                *((PONG, payload) for payload in self.pongs)]


def message(number: str) -> bytes:
    return b'{"channel":"/a","id":"%b"}' % number.encode()


def reply(number: str) -> bytes:
    """All that comes back for ``message(number)``."""
    return b'[{"channel":"/a","id":"%b","ok":true}]' % number.encode()


def refusal(junk: bytes) -> bytes:
    """All that comes back for what is no JSON."""
    return orjson.dumps([{"successful": False, "error": no_json(junk)}])


def padded(size: int) -> str:
    """An id that makes a message of ``size`` bytes."""
    return "*" * (size - len(message("")))


def chopped(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def fragments(*parts: bytes, opcode: int = TEXT) -> list[bytes]:
    """The frames of one message."""
    last = len(parts) - 1
    return [frame(CONT if at else opcode, part, fin=at == last) for at, part in enumerate(parts)]


def header(opcode: int, size: int) -> bytes:
    """Of a frame whose length is written in 64 bits, with a mask that changes nothing."""
    return frame(opcode)[:1] + b"\xff" + size.to_bytes(8, "big") + bytes(4)


HELLO = frame(TEXT, message("hello"))
START, END = fragments(message("parts")[:9], message("parts")[9:])


def after_hello(number: str, *frames: bytes, code: int = 1002) -> Case:
    """A message before, which is answered, and a ping behind, which is not."""
    return Case(number, [HELLO, *frames, frame(PING)], ids=["hello"], code=code)


def deliver(peer: Peer, pieces: Sequence[bytes]) -> None:
    """Send pieces, each when the one before has been read (Linux): else they become one."""
    unread = array("i", [0])

    def is_read() -> bool:
        fcntl.ioctl(peer.sock.fileno(), termios.TIOCOUTQ, unread)
        return unread[0] == 0
    for piece in pieces:
        peer.send(piece)
        eventually(is_read, interval=1e-6)  # not 0: the hub must get to its sockets


def outcome(peer: Peer) -> tuple[list[tuple[int, bytes]], int]:
    """The frames that come before the close frame, and its code; behind it the stream ends."""
    frames = [peer.frame()]
    while frames[-1][0] != CLOSE:
        frames.append(peer.frame())
    peer.expect_end()
    payload = frames.pop()[1]
    return frames, int.from_bytes(payload[:2], "big") if payload else 1005


@contextmanager
def unnoticed(site: Site, log: Any) -> Iterator[None]:
    """Another peer of the site is served as before, and nothing went wrong enough to be logged.

    :param log: pytest's caplog.
    """
    innocent = site.websocket()
    yield
    innocent.send(frame(TEXT, message("innocent")))
    assert innocent.frame() == (TEXT, reply("innocent"))
    ours = ("faye_redis.transports", "faye_redis.sockets", "faye_redis.websocket")
    assert [record.message for record in log.records
            if record.levelno > logging.INFO and record.name.startswith(ours)] == []


def check(site: Site, case: Case, log: Any) -> None:
    """Put ``case`` to the site, in all its chops."""
    with unnoticed(site, log):
        for chop in case.chops:
            _check(site, case, chop)


def _check(site: Site, case: Case, chop: str) -> None:
    site.server.seen.clear()
    peer = site.websocket()
    deliver(peer, case.pieces(chop))
    expected, code = case.answers(chop), case.code
    if code is None:
        deliver(peer, [frame(PING, _STILL_THERE), frame(CLOSE, NORMAL)])
        expected, code = [*expected, (PONG, _STILL_THERE)], 1000
    frames, end = outcome(peer)
    frames.sort(key=itemgetter(0))  # in one chop, pongs come before replies
    assert (frames, end) == (expected, code), (chop, frames, end)
    peer.sock.close()
    eventually(lambda: [seen["id"] for seen in site.server.seen] == list(case.ids))
