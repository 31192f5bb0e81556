"""A whole WebSocket: any bytes in any pieces, over a socket, to a real server."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State as ProtocolState
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from faye_redis.bayeux.messages import decode, parse
from faye_redis.bayeux.server import NO_OBJECT
from faye_redis.errors import BadRequest
from faye_redis.transports.frames import MAX_CONTROL
from faye_redis.transports.websocket import WebSocket

from .finding import expect, no_error_logged
from .peer import Peer, Site, no_error_in_hub
from .values import Message, Source
from .wire import stream
from .world import LIMITS, numbered_clients

_LIMIT = 1000
_LONGEST_HEAD = 14  # of a frame
_ASK = b'\x81\x9b\x00\x00\x00\x00[{"channel":"/a","data":1}]'
_HEAD = 6  # bytes of it
_ANSWER = {"channel": "/a", "successful": True}
_URI = parse_uri("ws://example.org/bayeux")
_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011}
"""RFC 6455, 7.4.1: those that may stand in a close frame."""

_ECHOED = {1012, 1013, 1014, *range(3000, 5000)}
"""Others that a peer may close with, and is told again: IANA's registry, and 7.4.2."""
_FRAMING = {1002, 1009}
"""Those for which the library's word is enough: a frame is wrong, or too long."""


class Case(NamedTuple):
    data: bytes
    cuts: list[int]
    """Sizes of the pieces that it comes in; the last one is the rest."""


def generate(source: Source) -> Case:
    cuts = [source.ConsumeIntInRange(0, 200) for _ in range(source.ConsumeIntInRange(0, 6))]
    return Case(stream(source, _LIMIT), cuts)


def check(case: Case) -> list[str]:
    with numbered_clients(), no_error_logged(), no_error_in_hub():
        site = Site(_LIMIT)
        pieces = _cut(case)
        peer, neighbour = Peer(site, next(pieces)), Peer(site, b"")
        for piece in pieces:
            peer.send(piece)
            peer.rest()
            _check_buffers(peer.websocket)
        expected = _expected(case.data)
        if expected is _Expected.ANSWER:
            peer.send(_ASK)
        peer.rest()
        _check_neighbour(neighbour)
        outcome = _check_received(peer, expected)
        if not peer.ended:
            _check_refusals(peer, case.data)
        peer.leave()
    return [outcome]


class _Expected(Enum):
    """What comes of some bytes, unless a message in them is no text."""

    ANSWER = "answered, if it is asked"
    NOTHING = "open, in the middle of a message"
    END = "closed"


def _expected(data: bytes) -> _Expected:
    """As the ``websockets`` library sees it."""
    if _read(data)[0] is not ProtocolState.OPEN:
        return _Expected.END
    _, frames = _read(data + _ASK)
    heard = frames and (frames[-1].opcode, frames[-1].data) == (Opcode.TEXT, _ASK[_HEAD:])
    return _Expected.ANSWER if heard else _Expected.NOTHING


def _read(data: bytes) -> tuple[ProtocolState, list[Frame]]:
    protocol = ServerProtocol(state=ProtocolState.OPEN, max_size=_LIMIT)
    protocol.receive_data(data)
    frames = [event for event in protocol.events_received() if isinstance(event, Frame)]
    return protocol.state, frames


def _check_neighbour(neighbour: Peer) -> None:
    """Another connection knows nothing of all this. It asks in two pieces: the library, whose
    parsers are shared, reads those."""
    for piece in (_ASK[:5], _ASK[5:]):
        neighbour.send(piece)
        neighbour.rest()
    expect(_check_received(neighbour, _Expected.ANSWER) == "answered", "the neighbour")
    neighbour.leave()


def _cut(case: Case) -> Iterator[bytes]:
    at = 0
    for size in case.cuts:
        yield case.data[at : at + size]
        at += size
    yield case.data[at:]


def _check_buffers(websocket: WebSocket) -> None:
    """What is kept of messages that are not all there, in the protocol and beside it."""
    protocol = websocket._protocol
    kept = len(protocol.reader.buffer) if protocol else 0
    kept += len(websocket._fragments or b"")
    expect(kept <= _LIMIT + MAX_CONTROL + _LONGEST_HEAD, "bytes kept", kept)


def _check_received(peer: Peer, expected: _Expected) -> str:
    """At the end a close frame, or an answer."""
    received = _frames(peer)
    answers = _answers(received)
    if peer.ended:
        return _check_close(received, expected)
    expect(expected is not _Expected.END, "not closed", received)
    expect(expected is _Expected.NOTHING or [_ANSWER] in answers, "not answered", answers)
    return "unfinished" if expected is _Expected.NOTHING else "answered"


def _frames(peer: Peer) -> list[Frame]:
    """Only frames that a client of RFC 6455 can read."""
    protocol = ClientProtocol(_URI, state=ProtocolState.OPEN, max_size=None)
    head, _, frames = peer.received.partition(b"\r\n\r\n")
    expect(head.startswith(b"HTTP/1.1 101 "), head)
    protocol.receive_data(frames)
    expect(protocol.parser_exc is None, protocol.parser_exc, frames)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


def _answers(received: list[Frame]) -> list[Any]:
    answers = [decode(frame.data) for frame in received if frame.opcode is Opcode.TEXT]
    expect(all(isinstance(answer, list) for answer in answers), answers)
    return answers


def _check_refusals(peer: Peer, data: bytes) -> None:
    """Each message that cannot be parsed has got its error in a frame, in order."""
    told = [answer for answer in _answers(_frames(peer)) if _is_refusal(answer)]
    expected = [refusal for text in _texts(data) if (refusal := _refusal(text))]
    expect(told == expected, "refusals", told, expected)


def _is_refusal(answer: list[Message]) -> bool:
    return (len(answer) == 1 and answer != [NO_OBJECT]
            and str(answer[0].get("error")).startswith(("400::", "413::")))


def _refusal(text: bytes) -> list[Message] | None:
    try:
        parse(text, _LIMIT, LIMITS["max_batch"], LIMITS["max_depth"])
    except BadRequest as problem:
        return [{"successful": False, "error": f"{problem.status}::{problem.reason}"}]
    return None


def _texts(data: bytes) -> Iterator[bytes]:
    """The messages that are all there; bytes of which nothing is wrong."""
    parts: list[bytes] = []
    for frame in _read(data)[1]:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            parts.append(bytes(frame.data))
            if frame.fin:
                yield b"".join(parts)
                parts.clear()


def _check_close(received: list[Frame], expected: _Expected) -> str:
    expect(received and received[-1].opcode is Opcode.CLOSE, "no close frame", received)
    data = received[-1].data
    if not data:
        expect(expected is _Expected.END, "closed without a code")
        return "closed without a code"
    code = Close.parse(data).code
    expect(code in _CODES | _ECHOED, "code", code)
    expect(expected is _Expected.END or code not in _FRAMING, "closed for no reason", code)
    return f"closed {code if code in _CODES else 'with another code'}"
