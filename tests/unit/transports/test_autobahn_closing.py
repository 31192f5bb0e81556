"""Chapter 7 of the Autobahn test suite: the end of a connection, by the rules and against them."""

from __future__ import annotations

import socket

import pytest
from autobahn import (
    BINARY,
    CLOSE,
    CONT,
    END,
    HELLO,
    NORMAL,
    PING,
    START,
    TEXT,
    Case,
    check,
    deliver,
    message,
    outcome,
    padded,
    reply,
    unnoticed,
)
from recording_site import Peer, Site, frame

from support.waiting import eventually

GOODBYE = frame(CLOSE, NORMAL)
LONG = padded(256 * 1024)


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


# 7.1, 7.3: one close frame and its answer

CLOSES = [
    Case("7.1.1", [HELLO, GOODBYE], ids=["hello"], code=1000),
    Case("7.1.2", [GOODBYE, GOODBYE], code=1000),
    Case("7.1.3", [GOODBYE, frame(PING)], code=1000),
    Case("7.1.4", [GOODBYE, HELLO], code=1000),
    Case("7.1.4, a broken frame", [GOODBYE, frame(TEXT, b"", rsv=0x40)], code=1000),
    # The suite expects 1000: a control frame may be inside a message (RFC 6455, 5.4).
    Case("7.1.5", [START, GOODBYE, END], code=1002),
    Case("7.3.1", [frame(CLOSE)], code=1005),
    Case("7.3.2", [frame(CLOSE, b"a")], code=1002),
    Case("7.3.6", [closing(1000, b"*" * 124)], code=1002),
    Case("7.5.1", [closing(1000, b"\xce\xba\xed\xa0\x80edited")], code=1007),
    Case("reason cut inside a character", [closing(1000, b"bye \xc3")], code=1007),
    Case("behind a ping", [frame(PING, b"last"), GOODBYE], [b"last"], code=1000),
]


@pytest.mark.parametrize("case", CLOSES, ids=lambda case: case.number)
def test_close(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


@pytest.mark.parametrize("reason", ["", "Hello World!", "*" * 123, "ä" * 61], ids=len)
def test_code_and_reason_are_echoed(site: Site, reason: str) -> None:
    """7.3.3 to 7.3.5."""
    peer = site.websocket()
    peer.send(closing(1000, reason.encode()))
    assert peer.frame() == (CLOSE, NORMAL + reason.encode())
    peer.expect_end()


def test_long_message_before_a_close(site: Site) -> None:
    """7.1.6; the suite leaves open whether it is echoed."""
    peer = site.websocket()
    deliver(peer, [frame(TEXT, message(LONG)), HELLO, GOODBYE, frame(PING)])
    assert outcome(peer) == ([(TEXT, reply(LONG)), (TEXT, reply("hello"))], 1000)


# 7.7, 7.9, 7.13: codes (RFC 6455, 7.4; those above 1011 were registered later). The others of the
# suite are in test_websocket.py.

@pytest.mark.parametrize("code", [1002, 1003, *range(1007, 1015), 3999, 4000])
def test_code_that_is_echoed(site: Site, code: int, caplog: pytest.LogCaptureFixture) -> None:
    check(site, Case("7.7", [closing(code)], code=code), caplog)


@pytest.mark.parametrize("code", [1, 1100, 1999, 2000, 32768, 65534])
def test_code_that_nobody_may_send(
    site: Site, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    check(site, Case("7.9", [closing(code)], code=1002), caplog)
    check(site, Case("7.9", [closing(code, b"reason")], code=1002), caplog)


# After our close frame

AFTERWARDS = {
    "messages": HELLO * 20,
    "a long message": frame(TEXT, message(LONG)),
    "pings": frame(PING, b"late") * 20,
    "a second mistake": frame(BINARY, b"again", rsv=0x70),
    "its own close frame": GOODBYE,
    "no frames": b"\xff" * 70_000,
}


@pytest.mark.parametrize("late", AFTERWARDS.values(), ids=AFTERWARDS)
@pytest.mark.parametrize("mistake", [frame(BINARY), frame(TEXT, mask=False), frame(TEXT, b"\xff")],
                         ids=["binary", "unmasked", "no UTF-8"])
def test_nothing_is_done_after_our_close_frame(
    site: Site, mistake: bytes, late: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with unnoticed(site, caplog):
        peer = site.websocket()
        deliver(peer, [mistake])
        assert peer.frame()[0] == CLOSE
        deliver(peer, [late, late])
        peer.expect_end()
        assert site.transports.open_sockets == 2  # it is the peer's turn to close
        peer.sock.close()
        eventually(lambda: site.transports.open_sockets == 1)
        assert site.server.seen == []


def test_messages_in_the_chop_that_follows_our_close_frame(site: Site) -> None:
    peer = site.websocket()
    peer.text({"channel": "/meta/connect", "clientId": "c"})
    [(stream, _)] = eventually(lambda: site.connections.bound)
    stream.close(1000, "bye")
    deliver(peer, [HELLO, frame(PING), START, END])
    assert outcome(peer) == ([], 1000)
    assert site.channels == ["/meta/connect"]


# The end of TCP

CUT = {
    "text": HELLO,
    "16-bit length": frame(TEXT, message(padded(200)))[:24],
    "64-bit length": frame(TEXT, message(padded(70_000)))[:24],
    "ping": frame(PING, b"ping"),
    "close": GOODBYE,
    "fragment": frame(CONT, b"}"),
}


def half_closed(site: Site, sent: bytes) -> Peer:
    peer = site.websocket()
    peer.send(sent)
    peer.sock.shutdown(socket.SHUT_WR)
    return peer


@pytest.mark.parametrize("whole", CUT.values(), ids=CUT)
def test_tcp_ends_inside_a_frame(
    site: Site, whole: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = START if whole == CUT["fragment"] else b""
    with unnoticed(site, caplog):
        for size in range(1, len(whole)):
            peer = half_closed(site, before + whole[:size])
            peer.expect_end()  # no close frame, as nobody would hear it
            eventually(lambda: site.transports.open_sockets == 1)
        assert site.server.seen == []


@pytest.mark.parametrize("rest", [b"", HELLO[:7], START], ids=["", "frame", "message"])
def test_tcp_ends_behind_a_message(site: Site, rest: bytes) -> None:
    half_closed(site, HELLO + rest)
    eventually(lambda: site.transports.open_sockets == 0)
    eventually(lambda: [seen["id"] for seen in site.server.seen] == ["hello"])
