"""Beyond the Autobahn test suite: frames that nobody should send, far too many of them, and any of
them in any chops."""

from __future__ import annotations

import itertools

import pytest
from autobahn import (
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
    header,
    message,
    padded,
    reply,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording_site import Site, frame

from faye_redis.transports.websocket import MAX_FRAGMENTS, MAX_PINGS, MAX_PONGS


def stretched(data: bytes, form: int) -> bytes:
    """A short frame with its length in the 16-bit (126) or the 64-bit form (127)."""
    size = 2 if form == 126 else 8
    length = bytes([data[1] & 0x7F])
    return data[:1] + bytes([0x80 | form]) + length.rjust(size, b"\0") + data[2:]


# Masks and lengths (RFC 6455, 5.1 and 5.2)

BROKEN = [
    *(after_hello(f"unmasked {name}", frame(opcode, NORMAL, mask=False))
      for opcode, name in OPCODES.items()),
    after_hello("unmasked and empty", frame(TEXT, mask=False)),
    after_hello("unmasked fragment", START, frame(CONT, b"}", mask=False)),
    after_hello("unmasked ping in a message", START, frame(PING, mask=False), END),
    *(after_hello(f"{name} of 2^63", header(opcode, 2**63), code=1009)
      for opcode, name in OPCODES.items()),
    *(after_hello(f"{name} of 2^64 - 1", header(opcode, 2**64 - 1), code=1009)
      for opcode, name in OPCODES.items()),
    after_hello("fragment of 2^63", START, header(CONT, 2**63), code=1009),
    after_hello("reserved opcode of 2^63", header(3, 2**63)),
    after_hello("unmasked of 2^63", b"\x81\x7f" + b"\xff" * 8),
    *(after_hello(f"{OPCODES[opcode]} of 200 octets", frame(opcode, NORMAL.ljust(200)))
      for opcode in (CLOSE, PING, PONG)),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.number)
def test_broken_frame(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


@pytest.mark.parametrize("form", [126, 127])
def test_length_in_a_longer_form(
    site: Site, form: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It should be in the shortest form, but what is meant is clear, and goes on to be."""
    long = [stretched(data, form) for data in (START, frame(PING, b"p"), END, frame(PONG), HELLO)]
    check(site, Case("stretched", long * 5, [b"p"] * 5, ["parts", "hello"] * 5), caplog)
    check(site, Case("close", [stretched(frame(CLOSE, NORMAL), form)], code=1000), caplog)


# Chops that only whole frames should be taken from

IN_TWO = {
    "text": (HELLO, (TEXT, reply("hello"))),
    "16-bit length": (frame(TEXT, message(padded(200))), (TEXT, reply(padded(200)))),
    "fragments": (START + END, (TEXT, reply("parts"))),
    "ping": (frame(PING, b"ping"), (PONG, b"ping")),
}


@pytest.mark.parametrize(("data", "answer"), IN_TWO.values(), ids=IN_TWO)
def test_two_chops(site: Site, data: bytes, answer: tuple[int, bytes]) -> None:
    peer = site.websocket()
    for cut in range(1, len(data)):
        deliver(peer, [data[:cut], data[cut:] + data[:cut], data[cut:]])
        assert [peer.frame(), peer.frame()] == [answer, answer]


def test_payload_that_looks_like_a_frame(site: Site) -> None:
    peer = site.websocket()
    deliver(peer, [b"\x89%c\0\0\0\0" % (0x80 + len(HELLO)), HELLO, HELLO])
    assert [peer.frame(), peer.frame()] == [(PONG, HELLO), (TEXT, reply("hello"))]
    assert len(site.server.seen) == 1


# Floods

PINGS = [frame(PING, b"%d" % number) for number in range(MAX_PINGS + 1)]
EMPTY = frame(CONT, b"", fin=False)


def test_ping_flood_inside_a_message(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    pongs = [b"%d" % number for number in range(MAX_PINGS + 1)]
    check(site, Case("one by one", [START, *PINGS, END], pongs, code=1008, chops=[PER_FRAME]),
          caplog)
    last = pongs[-(MAX_PONGS - 2) :]  # a close frame and the end of the stream take a place each
    check(site, Case("at once", [START, *PINGS, END], last, code=1008, chops=[ONE_CHOP]), caplog)


@pytest.mark.parametrize("octet", [b"", b"x"], ids=["empty", "of an octet"])
@pytest.mark.parametrize("between", [[], [frame(PONG)]], ids=["", "with pongs"])
def test_fragment_flood(
    site: Site, octet: bytes, between: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    flood = [frame(CONT, octet, fin=False), *between] * (MAX_FRAGMENTS + 100)
    check(site, Case("flood", [START, *flood, END], code=1008, chops=[ONE_CHOP, PER_FRAME]),
          caplog)


def test_fragments_count_anew_for_each_message(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    many = [START, *[EMPTY] * (MAX_FRAGMENTS - 2), END]
    check(site, Case("many", many * 3, ids=["parts"] * 3, chops=[ONE_CHOP, PER_FRAME]), caplog)


def test_pongs_are_no_flood(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    check(site, Case("pongs", [frame(PONG, b"9" * 125), START, frame(PONG), END] * MAX_PINGS,
                     ids=["parts"] * MAX_PINGS, chops=[ONE_CHOP]), caplog)


# Any frames in any order: what comes of them does not depend on the chops. (Mistakes that only we
# see, and not the websockets library, do depend on them: see test_autobahn_closing.py.)

FRAMES = {
    "hello": HELLO, "start": START, "end": END, "ping": frame(PING, b"p"), "pong": frame(PONG),
    "close": frame(CLOSE, NORMAL), "RSV": frame(TEXT, rsv=0x10), "reserved": frame(11),
    "unmasked": frame(PONG, mask=False), "long": frame(PONG, b"x" * 126),
    "half": frame(PING, fin=False),
}
NEXT = {("hello", False): False, ("start", False): True, ("end", True): False,
        ("ping", False): False, ("ping", True): True, ("pong", False): False, ("pong", True): True}
"""By frame, and by whether it comes inside a message: does the next one? Whatever is not here ends
the connection."""

IDS = {"hello": "hello", "end": "parts"}
"""Frames that end a message, and its id."""


def verdict(names: list[str]) -> Case:
    """What is to become of these frames (and of the end of the last message)."""
    inside, code = False, None
    taken: list[str] = []
    for name in names:
        if (name, inside) not in NEXT:
            code = 1000 if name == "close" and not inside else 1002
            break
        inside = NEXT[name, inside]
        taken.append(name)
    if code is None and inside:
        return verdict([*names, "end"])
    return Case(str(names), [FRAMES[name] for name in names], [b"p"] * taken.count("ping"),
                [IDS[name] for name in taken if name in IDS], code)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*FRAMES, *(name for name, _ in NEXT)]), max_size=MAX_PONGS - 3))
def test_any_frames_in_any_chops(
    site: Site, caplog: pytest.LogCaptureFixture, names: list[str]
) -> None:
    check(site, verdict(names), caplog)


# One parser serves many peers, and none may get to see what another one has sent.

def said(kind: str, owner: str) -> tuple[bytes, tuple[int, bytes]]:
    """What a peer sends, and what it must get back."""
    if kind == "ping":
        return frame(PING, owner.encode()), (PONG, owner.encode())
    whole = message(owner)
    parts = [whole] if kind == "text" else [whole[:9], whole[9:]]
    return b"".join(fragments(*parts)), (TEXT, reply(owner))


KINDS = st.lists(st.sampled_from(["text", "fragments", "ping"]), max_size=5)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(KINDS, KINDS, KINDS), st.tuples(*[st.integers(1, 30)] * 3))
def test_peers_that_take_turns(
    site: Site, kinds: tuple[list[str], ...], sizes: tuple[int, ...]
) -> None:
    """Each sends its bytes in chops of its own size."""
    scripts = [[said(kind, f"{owner}{number}") for number, kind in enumerate(script)]
               for owner, script in zip("abc", kinds, strict=True)]
    streams = [chopped(b"".join(data for data, _ in script), size)
               for script, size in zip(scripts, sizes, strict=True)]
    peers = [site.websocket() for _ in scripts]
    for turn in itertools.zip_longest(*streams, fillvalue=b""):
        for peer, piece in zip(peers, turn, strict=True):
            deliver(peer, [piece])
    for peer, script in zip(peers, scripts, strict=True):
        answers = [answer for _, answer in script]
        assert sorted(peer.frame() for _ in answers) == sorted(answers)
        peer.sock.close()
