"""Chapters 1 to 5 of the Autobahn test suite: echoes, pings, reserved bits and opcodes,
fragments."""

from __future__ import annotations

import itertools

import pytest
from autobahn import (
    BINARY,
    CLOSE,
    CONT,
    END,
    HELLO,
    NORMAL,
    ONE_CHOP,
    OPCODES,
    PER_FRAME,
    PING,
    PONG,
    START,
    TEXT,
    Case,
    after_hello,
    check,
    chopped,
    deliver,
    fragments,
    message,
    padded,
    reply,
)
from recording_site import Site, frame

SIZES = (125, 126, 127, 128, 65535, 65536)
"""Around the limits of the three forms of a length (RFC 6455, 5.2)."""

OCTETS = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
PARTS = (b'{"channel":"/a"', b"", b',"id":"part', b's"', b"}")


# 1: echoes

ECHOES = [
    Case("1.1.1", [frame(TEXT)], junk=[b""]),
    *(Case(f"1.1.{number}", [frame(TEXT, message(padded(size)))], ids=[padded(size)],
           chops=[ONE_CHOP])
      for number, size in enumerate(SIZES, 2)),
]


@pytest.mark.parametrize("case", ECHOES, ids=lambda case: case.number)
def test_echo(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


@pytest.mark.parametrize(("size", "chop"), [
    *((size, 1) for size in SIZES[:4]), (65535, 997), (65536, 997), (65536, 16384)])
def test_echo_of_a_message_in_chops(site: Site, size: int, chop: int) -> None:
    peer = site.websocket()
    deliver(peer, chopped(frame(TEXT, message(padded(size))), chop))  # 1.1.8: 65536 in 997
    assert peer.frame() == (TEXT, reply(padded(size)))


BINARIES = [
    Case(f"1.2.{number}", chopped(frame(BINARY, b"\xfe" * size), 997), code=1003,
         chops=[ONE_CHOP, PER_FRAME])
    for number, size in enumerate((0, *SIZES), 1)
]


@pytest.mark.parametrize("case", BINARIES, ids=lambda case: case.number)
def test_binary_is_refused(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


# 2: pings and pongs

PINGS = [
    Case("2.1", [frame(PING)], [b""]),
    Case("2.2", [frame(PING, b"Hello, world!")], [b"Hello, world!"]),
    Case("2.3", [frame(PING, OCTETS)], [OCTETS]),
    Case("2.4, 2.6", [frame(PING, b"\xfe" * 125)], [b"\xfe" * 125]),
    Case("2.5", [frame(PING, b"\xfe" * 126)], code=1002),
    Case("2.5 as a pong", [frame(PONG, b"\xfe" * 126)], code=1002),
    Case("2.5 as a close", [frame(CLOSE, NORMAL + b"x" * 124)], code=1002),
    Case("2.5, 64-bit length", [frame(PING, b"\xfe" * 65536)], code=1002, chops=[ONE_CHOP]),
    Case("2.7", [frame(PONG)]),
    Case("2.8", [frame(PONG, b"unsolicited")]),
    Case("2.9", [frame(PONG, b"unsolicited"), frame(PING, b"solicited")], [b"solicited"]),
    Case("2.10, 2.11", [frame(PING, b"payload-%d" % n) for n in range(10)],
         [b"payload-%d" % n for n in range(10)]),
]


@pytest.mark.parametrize("case", PINGS, ids=lambda case: case.number)
def test_ping(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


# 3, 4: reserved bits and opcodes

RESERVED = [
    *(after_hello(f"3, RSV {rsv} of {OPCODES[opcode]}",
                  frame(opcode, NORMAL if opcode == CLOSE else b"x", rsv=rsv << 4))
      for rsv, opcode in itertools.product(range(1, 8), OPCODES)),
    *(after_hello(f"4.1.{opcode - 2}, {len(data)} octets", frame(opcode, data))
      for opcode, data in itertools.product(range(3, 8), (b"", b"reserved"))),
    *(after_hello(f"4.2.{opcode - 10}, {len(data)} octets", frame(opcode, data))
      for opcode, data in itertools.product(range(11, 16), (b"", b"reserved"))),
    after_hello("reserved bit of a later fragment",
                frame(TEXT, PARTS[0], fin=False), frame(CONT, b"}", rsv=0x40)),
    after_hello("reserved opcode as a fragment",
                frame(TEXT, PARTS[0], fin=False), frame(3, b"}")),
]


@pytest.mark.parametrize("case", RESERVED, ids=lambda case: case.number)
def test_reserved(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


# 5: fragments

FIRST, SECOND, THIRD, FOURTH, FIFTH = fragments(*PARTS)
NOTHING_TO_CONTINUE = frame(CONT, b"non-continuation payload")
NOTHING_TO_CONTINUE_YET = frame(CONT, b"non-continuation payload", fin=False)

FRAGMENTS = [
    Case("5.1", fragments(b"fragment1", b"fragment2", opcode=PING), code=1002),
    Case("5.2", fragments(b"fragment1", b"fragment2", opcode=PONG), code=1002),
    Case("5.3 to 5.5", [START, END], ids=["parts"]),
    Case("5.6 to 5.8", [START, frame(PING, b"ping payload"), END], [b"ping payload"], ["parts"]),
    Case("5.9 to 5.11", [NOTHING_TO_CONTINUE, HELLO], code=1002),
    Case("5.12 to 5.14", [NOTHING_TO_CONTINUE_YET, HELLO], code=1002),
    Case("5.15", [START, END, NOTHING_TO_CONTINUE_YET, HELLO], ids=["parts"], code=1002),
    Case("5.16", [NOTHING_TO_CONTINUE_YET, START, END] * 2, code=1002),
    Case("5.17", [NOTHING_TO_CONTINUE, START, END] * 2, code=1002),
    Case("5.18", [START, frame(TEXT, b"fragment2")], code=1002),
    Case("5.18, three of them", [START, frame(TEXT, b"", fin=False), END], code=1002),
    Case("5.18, binary", [START, frame(BINARY, b"fragment2")], code=1002),
    Case("5.19, 5.20",
         [FIRST, SECOND, frame(PING, b"pongme 1!"), THIRD, FOURTH, frame(PING, b"pongme 2!"),
          FIFTH], [b"pongme 1!", b"pongme 2!"], ["parts"]),
    Case("one after the other", [START, END, HELLO, START, END], ids=["parts", "hello", "parts"]),
    Case("unasked pongs in between", [START, frame(PONG, b"1"), frame(PONG), END], ids=["parts"]),
    Case("fragmented ping inside a message",
         [START, frame(PING, b"1", fin=False), END], code=1002),
    Case("one octet in each", fragments(*chopped(message("parts"), 1)), ids=["parts"]),
]


@pytest.mark.parametrize("case", FRAGMENTS, ids=lambda case: case.number)
def test_fragments(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


def test_ping_inside_a_message_is_answered_before_its_end(site: Site) -> None:
    peer = site.websocket()
    deliver(peer, [FIRST, SECOND, frame(PING, b"pongme 1!")])
    assert peer.frame() == (PONG, b"pongme 1!")
    deliver(peer, [THIRD, FOURTH, frame(PING, b"pongme 2!")])
    assert peer.frame() == (PONG, b"pongme 2!")
    assert site.server.seen == []
    deliver(peer, [FIFTH])
    assert peer.frame() == (TEXT, reply("parts"))
