"""Frames in short, against those of the websockets library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from faye_redis.transports.frames import PONG, TEXT, ping_frame, read_frame, text_frame

LIMIT = 70_000
SIZES = (0, 1, 123, 124, 125, 126, 127, 300, 65_533, 65_534, 65_535, 65_536, 70_000)


@pytest.mark.parametrize("size", SIZES)
def test_text_frames_are_those_of_websockets(size: int) -> None:
    item = b"x" * size
    assert text_frame([item]) == Frame(Opcode.TEXT, b"[" + item + b"]").serialize(mask=False)


def test_several_items_and_none() -> None:
    assert text_frame([b"1", b"{}"]) == b"\x81\x06[1,{}]"
    assert text_frame([]) == b"\x81\x02[]"


@pytest.mark.parametrize("number", [0, 7, 10**15])
def test_pings_are_those_of_websockets(number: int) -> None:
    expected = Frame(Opcode.PING, str(number).encode()).serialize(mask=False)
    assert ping_frame(number) == expected


@pytest.mark.parametrize("size", SIZES)
def test_what_is_read_is_what_was_written(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"y" * (size % 256)
    data = b"before" + Frame(Opcode.TEXT, payload).serialize(mask=True) + b"after"
    found = read_frame(data, 6, LIMIT)
    if size < 65_536:
        assert found == (TEXT, payload, len(data) - 5)
    else:
        assert found is None  # websockets reads it


@given(st.sampled_from([Opcode.TEXT, Opcode.PONG, Opcode.PING, Opcode.BINARY, Opcode.CLOSE,
                        Opcode.CONT]), st.binary(max_size=125), st.booleans(), st.booleans(),
       st.integers(0, 200))
def test_anything_else_is_left_alone(
    opcode: Opcode, payload: bytes, fin: bool, mask: bool, cut: int
) -> None:
    fin = fin or opcode in (Opcode.PONG, Opcode.PING, Opcode.CLOSE)
    whole = Frame(opcode, payload, fin=fin).serialize(mask=mask)
    data = whole[: max(0, len(whole) - cut)]
    found = read_frame(data, 0, LIMIT)
    if opcode in (Opcode.TEXT, Opcode.PONG) and fin and mask and len(data) == len(whole):
        assert found == (TEXT if opcode is Opcode.TEXT else PONG, payload, len(whole))
    else:
        assert found is None


@given(st.binary(max_size=20))
def test_no_bytes_are_an_error(data: bytes) -> None:
    found = read_frame(data, 0, LIMIT)
    assert found is None or found[2] <= len(data)


def test_limits_and_lengths_that_are_written_too_long() -> None:
    frame = Frame(Opcode.TEXT, b"x" * 200).serialize(mask=True)
    assert read_frame(frame, 0, 199) is None
    assert read_frame(frame, 0, 200) is not None
    assert read_frame(b"\x81\xfe\x00\x01\x00\x00\x00\x00x", 0, LIMIT) is None
