"""Frames read in short, against the ``websockets`` library."""

from __future__ import annotations

from typing import NamedTuple

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from faye_redis.transports.frames import PONG, TEXT, read_frame

from .finding import expect
from .values import Source
from .wire import stream

LIMIT = 300
_KINDS = {Opcode.TEXT: TEXT, Opcode.PONG: PONG}
_MASK_AND_HEAD = 6
_MEDIUM = 126  # sizes from here on take two bytes more
_LARGE = 65_536


class Case(NamedTuple):
    data: bytes
    at: int
    """Bytes before the first frame."""


def generate(source: Source) -> Case:
    before = source.ConsumeBytes(source.ConsumeIntInRange(0, 3))
    return Case(before + stream(source, LIMIT), len(before))


def check(case: Case) -> list[str]:
    data, at = case
    outcomes = []
    while found := read_frame(data, at, LIMIT):
        kind, payload, end = found
        expect(end == at + _head(len(payload)) + len(payload) <= len(data), found)
        [frame] = _read(data[at:end])
        expect((_KINDS.get(frame.opcode), bytes(frame.data)) == (kind, payload), frame, found)
        expect(frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3), frame, found)
        outcomes.append(frame.opcode.name.lower())
        at = end
    _check_left(data[at:])
    return outcomes or ["left alone"]


def _read(data: bytes) -> list[Frame]:
    """What the library reads; nothing from a frame that breaks the protocol on."""
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


def _check_left(data: bytes) -> None:
    """Nothing is left to the library that is said to be read here."""
    frame = next(iter(_read(data)), None)
    if frame is None or frame.opcode not in _KINDS or not frame.fin:
        return
    size = len(frame.data)
    shortest = data[1] & 0x7F == min(size, _MEDIUM)
    expect(not shortest or size >= _LARGE, "not read", data)


def _head(size: int) -> int:
    """Bytes before a payload whose length is written as short as can be (RFC 6455, 5.2)."""
    return _MASK_AND_HEAD if size < _MEDIUM else _MASK_AND_HEAD + 2
