"""WebSocket frames (RFC 6455, 5.2) as they nearly always are, at a tenth of the usual cost.

What is anything else, or not all here yet, is left to the ``websockets`` library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from websockets.frames import Frame

    from ..engines.base import Message

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled part for this platform
    from websockets.utils import apply_mask

TEXT: Final = 0x81
"""First byte of a text message in one frame."""

PING: Final = 0x89
PONG: Final = 0x8A
MAX_CONTROL: Final = 125
"""Bytes that a control frame may carry (RFC 6455, 5.5)."""

_MASKED: Final = 0x80
_SHORT: Final = 126  # a length below it is in the second byte; as it is, in the next two bytes
_LONG: Final = 127


def text_frame(items: Sequence[bytes]) -> bytes:
    """One unmasked text frame with a JSON array of ``items``."""
    return _frame(TEXT, b"[%b]" % b",".join(items))


def ping_frame(number: int) -> bytes:
    """One unmasked ping that carries ``number``."""
    return _frame(PING, b"%d" % number)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < _SHORT:
        return b"%c%c%b" % (first, size, payload)
    if size < 65536:
        return b"%c%c%b%b" % (first, _SHORT, size.to_bytes(2, "big"), payload)
    return b"%c%c%b%b" % (first, _LONG, size.to_bytes(8, "big"), payload)


class SharedFrame:
    """The sockets owed the same messages are served one after the other, and share one frame."""

    __slots__ = ("bytes", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.bytes = b""

    def make(self, messages: list[Message]) -> None:
        self.messages = messages
        self.bytes = text_frame([message.payload for message in messages])


def read_frame(data: bytes, at: int, limit: int) -> tuple[int, bytes, int] | None:
    """A masked frame with a whole text message of medium size, or a pong.

    :param at: where it begins.
    :param limit: bytes of a message at most.
    :returns: :data:`TEXT` or :data:`PONG`, the payload, and where the next frame begins; None if
        it is another kind of frame, too long, or not all there.
    """
    if len(data) < at + 6:
        return None
    first, size, mask = data[at], data[at + 1] - _MASKED, at + 2
    if not (first == TEXT or (first == PONG and size < _SHORT)) or not 0 <= size < _LONG:
        return None
    if size == _SHORT:
        size, mask = int.from_bytes(data[mask : mask + 2], "big"), at + 4
        if size < _SHORT:
            return None
    start = mask + 4
    end = start + size
    if size > limit or end > len(data):
        return None
    return first, apply_mask(data[start:end], data[mask:start]), end


def size_on_wire(frame: Frame) -> int:
    """Bytes of a client's frame, at least: its length may be written longer than it has to be."""
    size = len(frame.data)
    return size + (6 if size < 126 else 8 if size < 65536 else 14)
