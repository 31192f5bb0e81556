"""Bytes of a WebSocket's client: frames as they should be, as they may be, and as they may not."""

from __future__ import annotations

from .values import Source, request

_FIRST = (0x81, 0x81, 0x81, 0x8A, 0x89, 0x88, 0x01, 0x80, 0x00, 0x82, 0x02, 0xC1, 0x83, 0x8B, 0x08)
"""FIN, reserved bits and opcode; whole texts and pongs are what the server reads itself."""

_CLOSES = (b"", b"\x03\xe8", b"\x03\xe9bye", b"\x03", b"\x03\xed", b"\x03\xee", b"\x0b\xb8",
           b"\x13\x88", b"\x03\xe8\xff", b"\x00\x00")
_PAYLOADS = (b"", b"[]", b"[{}]", b"0", b"1", b"9" * 16, b"x" * 124, b"\xff", b"\xc3", b"\xa9",
             b'[{"channel":"/a",', b'"data":1}]', b" " * 200, *_CLOSES)


def frame(source: Source, limit: int) -> bytes:
    """One frame, complete or not.

    :param limit: bytes of a message that the server takes; sizes are often near to it.
    """
    first = source.PickValueInList(list(_FIRST))
    kind = source.ConsumeIntInRange(0, 4)
    if kind == 0:
        payload = request(source) if first & 0x0F == 1 else source.PickValueInList(list(_PAYLOADS))
    elif kind == 1:
        payload = source.PickValueInList(list(_PAYLOADS))
    elif kind == 2:
        payload = source.ConsumeBytes(source.ConsumeIntInRange(0, 300))
    else:
        payload = b"a" * source.ConsumeIntInRange(0, 2 * limit)
    return framed(source, first, payload)


def framed(source: Source, first: int, payload: bytes) -> bytes:
    """``payload`` in a frame, whose length is seldom written in too many bytes, or wrongly, and
    which is seldom not masked."""
    size = len(payload)
    odd = source.ConsumeIntInRange(0, 31)
    if odd == 31:
        size = source.ConsumeIntInRange(0, 2**64 - 1)
    width = 0 if size < 126 else 2 if size < 65536 else 8
    if odd == 30:
        width = 8
    elif odd == 29:
        width = max(2, width)
    mask = 0x00 if odd == 28 else 0x80
    length = bytes([mask | {0: size, 2: 126, 8: 127}[width]])
    key = source.ConsumeBytes(4).ljust(4, b"\x00") if mask else b""
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if any(key) else payload
    return bytes([first]) + length + (size.to_bytes(width, "big") if width else b"") + key + masked


def stream(source: Source, limit: int) -> bytes:
    """Several frames in a row, sometimes with anything behind them."""
    frames = [frame(source, limit) for _ in range(source.ConsumeIntInRange(0, 8))]
    if source.ConsumeIntInRange(0, 3) == 3:
        frames.append(source.ConsumeBytes(source.remaining_bytes()))
    return b"".join(frames)
