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
        expect(_MASK_AND_HEAD + len(payload) <= end - at and end <= len(data), found)
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
    head = _MASK_AND_HEAD if size < _MEDIUM else _MASK_AND_HEAD + 2
    shortest = data[1] & 0x7F == (size if size < _MEDIUM else _MEDIUM) and len(data) >= head + size
    expect(not shortest or size >= _LARGE, "not read", data)
