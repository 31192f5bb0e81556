"""Chapters 9 and 10 of the Autobahn test suite: long messages, many of them, many fragments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from autobahn import (
    BINARY,
    CONT,
    ONE_CHOP,
    PER_FRAME,
    PING,
    PONG,
    TEXT,
    Case,
    check,
    chopped,
    fragments,
    header,
    message,
    padded,
    refusal,
    reply,
)
from recording_site import Site, frame

KIB, MIB = 1024, 1024 * 1024
LIMIT = 1000
LONGEST = message(padded(MIB))
"""As long as a message may be; the suite goes up to 16 MiB."""


def case(number: str, frames: Sequence[bytes], **expected: Any) -> Case:
    return Case(number, frames, chops=(ONE_CHOP, PER_FRAME), **expected)


def echo(number: str, size: int, part: int) -> Case:
    """A message in fragments of ``part`` bytes."""
    return case(number, fragments(*chopped(message(padded(size)), part)), ids=[padded(size)])


LONG = [
    *(echo(f"9.1, {size // KIB} KiB", size, size) for size in (64 * KIB, 256 * KIB, MIB)),
    case("9.1, 1 MiB and an octet", [frame(TEXT, message(padded(MIB + 1)))], code=1009),
    *(case(f"9.1, {size} MiB, announced", [header(TEXT, size * MIB)], code=1009)
      for size in (4, 8, 16)),
    case("9.2, 1 MiB", [frame(BINARY, bytes(MIB))], code=1003),
    case("9.2, 4 MiB, announced", [header(BINARY, 4 * MIB)], code=1009),
    *(case(f"9.3, {part} octets", fragments(*chopped(LONGEST, part)), code=1008)
      for part in (64, 256)),  # more fragments than MAX_FRAGMENTS
    *(echo(f"9.3, {part // KIB} KiB", MIB, part)
      for part in (KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB)),
    case("9.3, an octet more", [*fragments(*chopped(LONGEST, 64 * KIB), b"")[:-1],
                                frame(CONT, b" ")], code=1009),
    case("9.3, more announced", [frame(TEXT, b" ", fin=False), header(CONT, MIB + 125)],
         code=1009),
    case("9.4", fragments(*chopped(bytes(MIB), 256 * KIB), opcode=BINARY), code=1003),
    case("9.5, chops of 64", chopped(frame(TEXT, message(padded(64 * KIB))), 64),
         ids=[padded(64 * KIB)]),
    case("9.5, chops of 1024", chopped(frame(TEXT, LONGEST), KIB), ids=[padded(MIB)]),
    case("9.6, chops of 2048", chopped(frame(BINARY, bytes(MIB)), 2 * KIB), code=1003),
    echo("10.1.1", 64 * KIB, 1300),
]


@pytest.mark.parametrize("long", LONG, ids=lambda case: case.number)
def test_long_message(site: Site, long: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, long, caplog)


@pytest.mark.parametrize("size", [64, 256, 1024, 4096])
def test_thousand_echoes(site: Site, size: int) -> None:
    """9.7."""
    peer = site.websocket()
    for _ in range(1000):
        peer.send(frame(TEXT, message(padded(size))))
        assert peer.frame() == (TEXT, reply(padded(size)))


def test_thousand_messages_at_once(site: Site) -> None:
    peer = site.websocket()
    ids = [f"{number:0{number % 300}}" for number in range(1000)]
    peer.send(b"".join(frame(TEXT, message(number)) for number in ids))
    assert [peer.frame() for _ in ids] == [(TEXT, reply(number)) for number in ids]


def test_thousand_empty_messages_of_no_meaning(site: Site) -> None:
    """9.7.1, 9.8.1: an empty text is no JSON."""
    peer = site.websocket()
    peer.send(frame(TEXT) * 1000 + frame(TEXT, message("last")))
    assert [peer.frame() for _ in range(1001)] == [
        *[(TEXT, refusal(b""))] * 1000, (TEXT, reply("last"))]


# Control frames are no part of the message they come in

@pytest.mark.parametrize("size", [100, 1000, 65_000])
def test_limit_is_kept_to_the_octet(
    make_site: Any, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(max_message_size=size)
    check(site, case("within", [frame(TEXT, bytes(size)), *fragments(bytes(size), b"")],
                     junk=[bytes(size)] * 2), caplog)
    check(site, case("whole", [frame(TEXT, bytes(size + 1))], code=1009), caplog)
    check(site, case("fragment", fragments(bytes(size), b"x"), code=1009), caplog)


def test_control_frames_around_messages_of_full_length(
    make_site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole, full = message(padded(LIMIT)), b"x" * 125
    check(make_site(max_message_size=LIMIT), case(
        "around", [frame(PING, full), frame(TEXT, whole), frame(PONG, full),
                   *fragments(whole, b""), frame(PONG, full), frame(TEXT, whole)],
        pongs=[full], ids=[padded(LIMIT)] * 3), caplog)


@pytest.mark.parametrize("left", [0, 3])
@pytest.mark.parametrize("opcode", [PING, PONG])
def test_control_frame_inside_a_message_that_is_nearly_too_long(
    make_site: Any, opcode: int, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = message(padded(LIMIT))
    cut = LIMIT - left
    parts = fragments(whole[:cut], whole[cut:])
    pings = [b"1234"] if opcode == PING else []
    check(make_site(max_message_size=LIMIT),
          case("inside", [parts[0], frame(opcode, b"1234"), parts[1]], pongs=pings,
               ids=[padded(LIMIT)]), caplog)


def test_control_frame_longer_than_any_message(
    make_site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    full = b"x" * 125
    check(make_site(max_message_size=100), case("ping", [frame(PING, full)], pongs=[full]), caplog)
