"""The WebSocket: upgrade, frames, replies, limits, slow peers, life and death."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from recording_site import UPGRADE, Peer, Site, frame, messages

from faye_redis.concurrency import monotonic
from faye_redis.errors import BadRequest
from faye_redis.transports import sockets, websocket
from faye_redis.transports.sockets import State
from support.nonsense import no_json
from support.waiting import eventually

TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0
MESSAGE = b'{"channel":"/a","id":"\xc3\xa4"}'
REPLY = [{"channel": "/a", "id": "ä", "ok": True}]


def bound(site: Site, peer: Peer) -> Any:
    """The stream of ``peer``, as connections get it."""
    peer.text({"channel": "/meta/connect", "clientId": "c"})
    eventually(lambda: site.connections.bound)
    return site.connections.bound[-1][0]


def sweep(site: Site, seconds: float) -> None:
    site.transports._table.sweep(monotonic() + seconds)


# Upgrade

def test_upgrade(site: Site) -> None:
    lines = site.websocket().head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    headers = dict(line.split(": ") for line in lines[1:-2])
    del headers["Date"]
    assert headers == {"Upgrade": "websocket", "Connection": "Upgrade",
                       "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}
    assert site.transports.open_sockets == 1


def test_extensions_and_subprotocols_are_not_taken_up(site: Site) -> None:
    head = site.websocket(HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate",
                          HTTP_SEC_WEBSOCKET_PROTOCOL="chat").head
    assert b"Sec-WebSocket-Extensions" not in head
    assert b"Sec-WebSocket-Protocol" not in head


@pytest.mark.parametrize(("change", "status"), [
    ({"HTTP_SEC_WEBSOCKET_KEY": None}, 400),
    ({"HTTP_SEC_WEBSOCKET_KEY": "short"}, 400),
    ({"HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA==,AAAAAAAAAAAAAAAAAAAAAA=="}, 400),
    ({"HTTP_SEC_WEBSOCKET_VERSION": "12"}, 426),
    ({"HTTP_SEC_WEBSOCKET_VERSION": None}, 400),
    ({"HTTP_CONNECTION": "keep-alive"}, 400),
    ({"HTTP_UPGRADE": None}, 400),
    ({"REQUEST_METHOD": "POST"}, 400),
    ({"SERVER_PROTOCOL": "HTTP/1.0"}, 400),
    ({"CONTENT_LENGTH": "5"}, 400),
    ({"HTTP_TRANSFER_ENCODING": "chunked"}, 400),
    ({"HTTP_ORIGIN": "http://evil.com"}, 403),
    ({"HTTP_ORIGIN": "null"}, 403),
    ({"gunicorn.socket": None}, 501),
])
def test_refused_upgrade(site: Site, change: dict[str, Any], status: int) -> None:
    environ = {**site.environ("GET"), **UPGRADE, **change}
    answer = site.call({name: value for name, value in environ.items() if value is not None})
    assert answer.status.startswith(f"{status} ")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers.get("Sec-WebSocket-Version") == ("13" if status == 426 else None)
    assert site.transports.open_sockets == 0


def test_same_origin_may_upgrade(site: Site) -> None:
    assert site.websocket(HTTP_ORIGIN="http://example.org").head


def test_no_more_than_max_connections(make_site: Callable[..., Site]) -> None:
    site = make_site(max_connections=1)
    first = site.websocket()
    answer = site.call({**site.environ("GET"), **UPGRADE, "gunicorn.socket": object()})
    assert (answer.status, answer.body) == (
        "503 Service Unavailable", b"Service unavailable: max_connections (1) sockets are open")
    assert answer.headers["Retry-After"] == "5"
    first.sock.close()
    eventually(lambda: site.transports.open_sockets == 0)
    site.websocket()


def test_headers_that_are_too_long_to_be_kept(site: Site) -> None:
    long = {f"HTTP_X_{number}": "x" * 8000 for number in range(5)}
    answer = site.call({**site.environ("GET", **UPGRADE, **long), "gunicorn.socket": object()})
    assert answer.status == "431 Request Header Fields Too Large"
    assert site.post(MESSAGE, **long).status == "200 OK"


# Messages

def test_early_frames_are_handled(site: Site) -> None:
    half = frame(TEXT, b'{"channel":"/b"}')
    peer = site.websocket(early=frame(TEXT, MESSAGE) + half[:5])
    assert peer.replies() == REPLY
    peer.send(half[5:])
    assert peer.replies()[0]["channel"] == "/b"


def test_bytes_that_only_tls_knows_of_are_handled(site: Site) -> None:
    early = frame(TEXT, MESSAGE)
    late = frame(TEXT, b'{"channel":"/b"}') * 1000
    peer = site.connect({**site.environ("GET"), **UPGRADE}, early[:9], decrypted=early[9:] + late)
    peer.read_until(b"\r\n\r\n")
    assert peer.replies() == REPLY
    assert {peer.replies()[0]["channel"] for _ in range(1000)} == {"/b"}


def test_each_frame_gets_one_frame_of_replies(site: Site) -> None:
    peer = site.websocket()
    peer.text([{"channel": "/a", "id": 1}, {"channel": "/b", "id": 2}])
    peer.text({"channel": "/c", "id": 3})
    assert [reply["id"] for reply in peer.replies()] == [1, 2]
    assert [reply["id"] for reply in peer.replies()] == [3]


def test_connect_is_bound_and_answered_later(site: Site) -> None:
    peer = site.websocket()
    peer.text([{"channel": "/meta/connect", "clientId": "c", "id": 7}, {"channel": "/a", "id": 8}])
    assert [reply["id"] for reply in peer.replies()] == [8]
    [(stream, pending)] = site.connections.bound
    stream.reply(pending.finish())
    assert [reply["id"] for reply in peer.replies()] == [7]


def test_frame_with_only_a_connect_gets_no_frame(site: Site) -> None:
    peer = site.websocket()
    bound(site, peer)
    peer.text({"channel": "/a"})
    assert peer.replies()[0]["channel"] == "/a"


def test_pushed_messages(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    assert stream.push(messages(b'{"id":"1"}', b'{"id":"2"}'), 1) is True
    assert stream.push(messages(b'{"id":"3"}'), 1) is True
    assert peer.replies() == [{"id": "1"}, {"id": "2"}]
    assert peer.replies() == [{"id": "3"}]


NEITHER = "400::neither an object nor an array"
NONE = "400::an array without any message"


@pytest.mark.parametrize(("junk", "error"), [
    *((junk, no_json(junk)) for junk in (b"", b"{", b"NaN", b"[" * 2000, b"\xc2\x80", b"\0")),
    (b"1", NEITHER), (b'"x"', NEITHER), (b"null", NEITHER),
    (b"[null]", NONE), (b"[[{}]]", NONE),
    (b"[" * 32 + b"{}" + b"]" * 32, "400::nested deeper than max_depth, 32"),
    (b"[%b]" % b",".join([MESSAGE] * 101), "413::101 messages, max_batch is 100"),
])
def test_what_cannot_be_parsed_is_answered_with_an_error(
    site: Site, junk: bytes, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "faye_redis")
    peer = site.websocket()
    peer.send(frame(TEXT, junk) + frame(TEXT, MESSAGE))
    assert peer.replies() == [{"successful": False, "error": error}]
    assert peer.replies() == REPLY
    status, _, reason = error.partition("::")
    assert caplog.messages == [f"WebSocket message refused ({status}): {reason}"]
    assert site.channels == ["/a"]


def test_an_error_is_short_and_printable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise BadRequest("ä\n" + "x" * 300, 413)
    monkeypatch.setattr(websocket, "parse", refuse)
    peer = site.websocket()
    peer.text({})
    assert peer.replies() == [{"successful": False, "error": "413::??" + "x" * 249}]


def test_empty_array_is_answered(site: Site) -> None:
    peer = site.websocket()
    peer.text([])
    assert peer.frame() == (TEXT, b"[]")


def test_superseded_message_is_not_answered(site: Site) -> None:
    peer = site.websocket()
    peer.text([{"channel": "/superseded"}, {"channel": "/a"}])
    assert [reply["channel"] for reply in peer.replies()] == ["/a"]


def test_frames_are_handled_in_order_and_reading_pauses(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.text({"channel": "/wait"})
    eventually(lambda: "/wait" in site.channels)
    for number in range(17):
        assert stream.reading
        peer.text({"channel": f"/{number}"})
        eventually(lambda expected=number + 1: len(stream._inbox) == expected)
    assert not stream.reading
    site.server.gate.set()
    assert [peer.replies()[0]["channel"] for _ in range(18)] == [
        "/wait", *(f"/{number}" for number in range(17))]
    eventually(lambda: stream.reading and stream._inbox is None)


# Publishing in place

def test_publishes_are_answered_together_in_order(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.send(frame(TEXT, b'{"channel":"/soon","id":1}')
              + frame(TEXT, b'[{"channel":"/soon","id":2},{"channel":"/soon","id":3}]'))
    eventually(lambda: len(site.server.unanswered) == 3)
    assert stream._inbox is None  # no greenlet
    site.server.answer_all()
    assert [reply["id"] for reply in peer.replies()] == [1]
    assert [reply["id"] for reply in peer.replies()] == [2, 3]


def test_replies_of_one_array_keep_their_places(site: Site) -> None:
    peer = site.websocket()
    peer.text([{"channel": "/soon", "id": number} for number in range(3)])
    eventually(lambda: len(site.server.unanswered) == 3)
    site.server.unanswered.reverse()
    site.server.answer_all()
    assert [reply["id"] for reply in peer.replies()] == [0, 1, 2]


def test_what_follows_a_publish_waits_for_it(site: Site) -> None:
    peer = site.websocket()
    peer.text({"channel": "/soon"})
    peer.text(5)
    peer.text({"channel": "/b"})
    peer.text({"channel": "/soon"})
    eventually(lambda: site.server.unanswered)
    peer.send(frame(PING, b"seen"))
    assert peer.frame() == (PONG, b"seen")
    assert site.channels == ["/soon"]
    site.server.answer_all()
    assert [peer.replies()[0].get("channel") for _ in range(4)] == ["/soon", None, "/b", "/soon"]


def test_reading_pauses_while_many_publishes_wait(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.send(b"".join(frame(TEXT, b'{"channel":"/soon","id":%d}' % n) for n in range(17)))
    eventually(lambda: not stream.reading)
    site.server.answer_all()
    assert [peer.replies()[0]["id"] for _ in range(17)] == list(range(17))
    eventually(lambda: stream.reading)


def test_close_waits_for_the_reply_to_a_publish(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.text({"channel": "/soon"})
    eventually(lambda: site.server.unanswered)
    stream.close(1000, "")
    site.server.answer_all()
    assert peer.replies()[0]["channel"] == "/soon"
    assert peer.close_code() == 1000


def test_what_comes_between_a_reply_and_its_sending_is_handled_once(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.text({"channel": "/soon"})
    eventually(lambda: site.server.unanswered)
    site.server.answer_all()
    stream.received(frame(TEXT, b'{"channel":"/wait"}'))  # in the same turn of the hub
    eventually(lambda: "/wait" in site.channels)
    peer.text({"channel": "/soon"})
    peer.send(frame(PING, b"seen"))
    assert peer.replies()[0]["channel"] == "/soon"
    assert peer.frame() == (PONG, b"seen")
    assert site.server.unanswered == []  # not ahead of what is being handled
    site.server.gate.set()
    assert peer.replies()[0]["channel"] == "/wait"
    eventually(lambda: "/soon" in site.channels[-1:])


def test_a_publisher_that_goes_on_does_not_put_off_the_end(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.text({"channel": "/soon"})
    eventually(lambda: site.server.unanswered)
    stream.close(1001, "")
    peer.text({"channel": "/soon"})
    peer.send(frame(PING, b"seen"))
    assert peer.frame() == (PONG, b"seen")
    assert len(site.server.unanswered) == 1
    site.server.answer_all()
    assert peer.replies()[0]["channel"] == "/soon"
    assert peer.close_code() == 1001


def test_reply_to_a_publisher_that_is_gone(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.text({"channel": "/soon"})
    eventually(lambda: site.server.unanswered)
    peer.sock.close()
    eventually(lambda: stream.state is State.GONE)
    site.server.answer_all()


def test_crash_of_a_message_closes(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    peer = site.websocket()
    peer.text({"channel": "/crash"})
    opcode, data = peer.frame()
    assert (opcode, data) == (CLOSE, b"\x03\xf3internal error")  # 1011
    peer.expect_end()
    assert "RuntimeError: secret detail" in caplog.text


def test_request_keeps_what_extensions_need(site: Site) -> None:
    marker = object()
    peer = site.websocket(HTTP_COOKIE="a=b", **{"my.session": marker})
    peer.text({"channel": "/a"})
    peer.replies()
    [kept] = site.server.requests
    request = kept()
    assert request["my.session"] is marker
    assert (request["HTTP_COOKIE"], request["REMOTE_ADDR"]) == ("a=b", "192.0.2.1")
    assert not {"gunicorn.socket", "wsgi.input", "HTTP_SEC_WEBSOCKET_KEY"} & set(request)


# Frames: what is sent, channels of the messages that arrive, close code (None: stays open)

SPLIT = [frame(TEXT, MESSAGE[:23], fin=False), frame(CONT, MESSAGE[23:])]  # inside the "ä"
assert MESSAGE[22:24] == "ä".encode()

FRAMES: list[tuple[str, list[bytes], list[str], int | None]] = [
    ("one frame", [frame(TEXT, MESSAGE)], ["/a"], None),
    ("byte by byte", [bytes([byte]) for byte in frame(TEXT, MESSAGE)], ["/a"], None),
    ("16-bit length", [frame(TEXT, MESSAGE + b" " * 200)], ["/a"], None),
    ("64-bit length", [frame(TEXT, MESSAGE + b" " * 70_000)], ["/a"], None),
    ("fragments, split inside a character", SPLIT, ["/a"], None),
    ("fragments in one segment", [b"".join(SPLIT)], ["/a"], None),
    ("empty fragments", [frame(TEXT, b"", fin=False), frame(CONT, b"", fin=False),
                         frame(CONT, MESSAGE)], ["/a"], None),
    ("control frames between fragments", [
        SPLIT[0], frame(PING, b"p"), frame(PONG, b"q"), SPLIT[1]], ["/a"], None),
    ("unasked pong", [frame(PONG, b"x"), frame(TEXT, MESSAGE)], ["/a"], None),
    ("control frame of 125 bytes", [frame(PING, b"x" * 125), frame(TEXT, MESSAGE)], ["/a"], None),
    ("control frame of 126 bytes", [frame(PING, b"x" * 126)], [], 1002),
    ("fragmented ping", [frame(PING, b"x", fin=False)], [], 1002),
    ("fragmented close", [frame(CLOSE, b"", fin=False)], [], 1002),
    ("unmasked", [frame(TEXT, MESSAGE, mask=False)], [], 1002),
    ("RSV1", [frame(TEXT, MESSAGE, rsv=0x40)], [], 1002),
    ("RSV2", [frame(PING, b"", rsv=0x20)], [], 1002),
    ("RSV3", [frame(CLOSE, b"", rsv=0x10)], [], 1002),
    *((f"reserved opcode {code}", [frame(code)], [], 1002) for code in (3, 7, 11, 15)),
    ("continuation of nothing", [frame(CONT, MESSAGE)], [], 1002),
    ("new message inside another", [SPLIT[0], frame(TEXT, MESSAGE)], [], 1002),
    ("binary", [frame(BINARY, MESSAGE)], [], 1003),
    ("binary fragment", [frame(BINARY, b"", fin=False)], [], 1003),
    ("invalid UTF-8", [frame(TEXT, b"\xce\xba\xff")], [], 1007),
    ("UTF-8 of a surrogate", [frame(TEXT, b"\xed\xa0\x80")], [], 1007),
    ("overlong UTF-8", [frame(TEXT, b"\xc0\xaf")], [], 1007),
    ("UTF-8 cut off", [frame(TEXT, b"[]\xc3")], [], 1007),
    ("invalid UTF-8 over fragments", [frame(TEXT, b"\xc3", fin=False), frame(CONT, b"(")],
     [], 1007),
    ("too long", [frame(TEXT, b" " * 100_001)], [], 1009),
    ("much too long", [frame(TEXT, b" " * 100_126)[:14]], [], 1009),
    ("too long over fragments", [frame(TEXT, b" " * 60_000, fin=False),
                                 frame(CONT, b" " * 40_001)], [], 1009),
    ("as long as allowed", [frame(TEXT, MESSAGE.ljust(100_000))], ["/a"], None),
    ("length of 2^63", [b"\x81\xff" + b"\xff" * 8], [], 1009),
    ("1024 fragments", [frame(TEXT, MESSAGE, fin=False), *[frame(CONT, b"", fin=False)] * 1022,
                        frame(CONT)], ["/a"], None),
    ("1025 fragments", [frame(TEXT, MESSAGE, fin=False), *[frame(CONT, b"", fin=False)] * 1024],
     [], 1008),
    ("1001 pings", [frame(PING)] * 1001, [], 1008),
    ("good before bad", [frame(TEXT, MESSAGE), frame(BINARY)], ["/a"], 1003),
    ("good before a broken frame, in one segment",
     [frame(TEXT, MESSAGE) * 2 + frame(TEXT, b"", rsv=0x40)], ["/a", "/a"], 1002),
    ("good before a close, in one segment",
     [frame(TEXT, MESSAGE) * 2 + frame(CLOSE, b"\x03\xe8")], ["/a", "/a"], 1000),
    ("nothing after bad", [frame(BINARY) + frame(TEXT, MESSAGE)], [], 1003),
    ("nothing after close", [frame(CLOSE, b"\x03\xe8") + frame(TEXT, MESSAGE)], [], 1000),
    ("close without code", [frame(CLOSE)], [], 1005),
    ("close 1000", [frame(CLOSE, b"\x03\xe8")], [], 1000),
    ("close with reason", [frame(CLOSE, b"\x03\xe9bye \xc3\xa4")], [], 1001),
    ("close 3000", [frame(CLOSE, b"\x0b\xb8")], [], 3000),
    ("close 4999", [frame(CLOSE, b"\x13\x87")], [], 4999),
    ("close of one byte", [frame(CLOSE, b"\x03")], [], 1002),
    *((f"close {code}", [frame(CLOSE, code.to_bytes(2, "big"))], [], 1002)
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
    ("close with invalid UTF-8", [frame(CLOSE, b"\x03\xe8\xff")], [], 1007),
    ("close inside a message", [SPLIT[0], frame(CLOSE, b"\x03\xe8")], [], 1002),
]


@pytest.mark.parametrize(("pieces", "channels", "code"), [case[1:] for case in FRAMES],
                         ids=[case[0] for case in FRAMES])
def test_frames(make_site: Callable[..., Site], pieces: list[bytes], channels: list[str],
                code: int | None) -> None:
    site = make_site(max_message_size=100_000)
    peer = site.websocket()
    for piece in pieces:
        peer.send(piece)
    opcode, data = peer.frame()
    while opcode in (PONG, TEXT) and code is not None:
        opcode, data = peer.frame()
    while opcode == PONG:
        opcode, data = peer.frame()
    if code is None:
        assert (opcode, orjson.loads(data)) == (TEXT, REPLY)
        peer.send(frame(CLOSE, b"\x03\xe8"))
        assert peer.close_code() == 1000
    else:
        assert opcode == CLOSE
        assert (int.from_bytes(data[:2], "big") if data else 1005) == code
        peer.expect_end()
    peer.sock.close()
    eventually(lambda: site.transports.open_sockets == 0 and site.channels == channels)


def test_pongs_carry_what_the_pings_did(site: Site) -> None:
    peer = site.websocket()
    peer.send(b"".join(frame(PING, bytes([number])) for number in range(10)))
    assert [peer.frame() for _ in range(10)] == [(PONG, bytes([n])) for n in range(10)]


def test_of_many_pings_at_once_the_last_are_answered(site: Site) -> None:
    peer = site.websocket()
    early = b"".join(frame(PING, b"%d" % number) for number in range(500))
    stream = bound(site, peer)
    stream.received(early)
    peer.text({"channel": "/a"})
    assert [peer.frame() for _ in range(16)] == [(PONG, b"%d" % n) for n in range(484, 500)]
    assert peer.replies()[0]["channel"] == "/a"


def test_parser_is_shared_between_messages_only(site: Site) -> None:
    first, second = site.websocket(), site.websocket()
    data = frame(PING, b"") + frame(TEXT, MESSAGE)  # a text frame that is all there needs no parser
    first.send(data[:8])  # the whole header: nothing waits, but a frame is due
    transport = site.transports._websocket
    eventually(lambda: any(sock._unread == 2 for sock in site.transports._table.sockets()))
    second.send(data)
    assert second.frame() == (PONG, b"")
    assert second.replies() == REPLY
    first.send(data[8:])
    assert first.frame() == (PONG, b"")
    assert first.replies() == REPLY
    first.send(frame(TEXT, MESSAGE[:10], fin=False))
    second.send(data)
    assert second.frame() == (PONG, b"")
    assert second.replies() == REPLY
    first.send(frame(CONT, MESSAGE[10:]))
    assert first.replies() == REPLY
    assert [sock._protocol for sock in site.transports._table.sockets()] == [None, None]
    assert len(transport._idle) == 2


def test_length_written_longer_than_need_be(site: Site) -> None:
    peer = site.websocket()
    data = frame(TEXT, MESSAGE)
    peer.send((data[:1] + b"\xfe\x00" + bytes([data[1] & 0x7F]) + data[2:]) * 2)
    assert [peer.replies(), peer.replies()] == [REPLY, REPLY]


# Closing

def test_close_from_here(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    stream.close(1000, "good-bye")
    assert peer.frame() == (CLOSE, b"\x03\xe8good-bye")
    peer.expect_end()
    assert stream.push(messages(b"{}"), 1) is False
    stream.reply([b"{}"])
    stream.close(1001, "again")
    peer.send(frame(CLOSE, b"\x03\xe8"))
    peer.sock.close()
    eventually(lambda: stream.state is State.GONE)
    assert site.connections.closed_streams == [stream]


def test_close_waits_for_the_reply_to_the_message_at_hand(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.text({"channel": "/wait"})
    peer.text({"channel": "/after"})
    eventually(lambda: "/wait" in site.channels)
    stream.close(1000, "")
    site.server.gate.set()
    assert peer.replies()[0]["channel"] == "/wait"
    assert peer.close_code() == 1000


def test_messages_received_before_the_peer_left_are_handled(site: Site) -> None:
    peer = site.websocket()
    peer.text({"channel": "/wait"})
    peer.text({"channel": "/after"})
    eventually(lambda: "/wait" in site.channels)
    peer.sock.close()
    eventually(lambda: site.transports.open_sockets == 0)
    site.server.gate.set()
    eventually(lambda: site.channels == ["/wait", "/after"])


def test_connect_of_a_socket_that_is_gone_is_not_bound(site: Site) -> None:
    peer = site.websocket()
    peer.text({"channel": "/wait"})
    peer.text({"channel": "/meta/connect", "clientId": "c"})
    eventually(lambda: "/wait" in site.channels)
    peer.sock.close()
    eventually(lambda: site.transports.open_sockets == 0)
    site.server.gate.set()
    eventually(lambda: site.channels == ["/wait", "/meta/connect"])
    assert site.connections.bound == []


@pytest.mark.parametrize("last", [b"", frame(TEXT, MESSAGE)[:9], b"\x81"])
def test_peer_that_goes_without_a_word(site: Site, last: bytes) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.send(last)
    peer.sock.close()
    eventually(lambda: site.connections.closed_streams == [stream])
    assert stream.state is State.GONE


def test_descriptor_is_closed_at_the_end(site: Site) -> None:
    peer = site.websocket()
    descriptor = bound(site, peer)._sock.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(peer.fd)  # the server's own is closed; that does not end the connection
    os.fstat(descriptor)
    peer.sock.close()
    eventually(lambda: site.transports.open_sockets == 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_nothing_stays_in_memory(site: Site) -> None:
    for _ in range(5):
        site.websocket().sock.close()
    eventually(lambda: len(site.connections.closed_streams) == 5)
    site.connections.closed_streams.clear()

    def left() -> list[Any]:
        gc.collect()
        return [thing for thing in gc.get_objects() if isinstance(thing, websocket.WebSocket)
                and thing._transport is site.transports._websocket]
    eventually(lambda: not left())


@pytest.mark.parametrize("jitter", [0, 0.05])
def test_worker_stops(site: Site, jitter: float) -> None:
    peers = [site.websocket() for _ in range(3)]
    site.transports.close(jitter)
    assert [peer.close_code() for peer in peers] == [1001, 1001, 1001]
    assert len(site.connections.let_go_streams) == 3
    answer = site.call({**site.environ("GET"), **UPGRADE, "gunicorn.socket": object()})
    assert answer.status == "503 Service Unavailable"


# Life

def test_pings_and_pongs(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    for minute in range(1, 6):
        sweep(site, minute * 60)
        assert peer.frame() == (PING, b"0")
        assert not stream._alive
        peer.send(frame(PONG))
        eventually(lambda: stream._alive)


def test_sweeper_runs_by_itself_while_there_are_sockets(make_site: Callable[..., Site]) -> None:
    site = make_site(ping=0.1)
    peer = site.websocket()
    assert peer.frame() == (PING, b"0")
    peer.sock.close()
    eventually(lambda: not site.transports._table._sweeping)
    assert site.websocket().frame() == (PING, b"0")


def test_ping_comes_after_its_interval(make_site: Callable[..., Site]) -> None:
    site = make_site(ping=40)
    peer = site.websocket()
    stream = bound(site, peer)
    sweep(site, 39)
    assert stream._alive
    sweep(site, 41)
    assert not stream._alive


def test_silent_peer_is_dropped(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    sweep(site, 26)
    sweep(site, 9)
    assert stream.state is State.OPEN
    sweep(site, 11)
    assert stream.state is State.GONE
    assert peer.frame() == (PING, b"0")
    peer.expect_end()


def test_a_pong_confirms_what_was_sent_before_its_ping(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    done: list[int] = []
    for number in (1, 2, 3):
        stream.push(messages(b"{}"), 1)
        stream.checkpoint(lambda number=number: done.append(number))
        assert peer.frame() == (TEXT, b"[{}]")
        assert peer.frame() == (PING, b"%d" % number)
    for payload in (b"", b"x", b"-1", b"9" * 100, b"0"):
        peer.send(frame(PONG, payload))
    peer.send(frame(PONG, b"2"))
    eventually(lambda: done)
    assert done == [1, 2]
    peer.send(frame(PONG, b"2"))
    peer.send(frame(PONG, b"3"))
    eventually(lambda: len(done) > 2)
    assert done == [1, 2, 3]


def test_peer_whose_input_waits_is_not_silent(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.text({"channel": "/wait"})
    peer.send(frame(TEXT, b"{}") * 17)
    eventually(lambda: not stream.reading)
    for minute in range(1, 9):
        sweep(site, minute * 60)
    assert stream.state is State.OPEN


def test_without_pings(make_site: Callable[..., Site]) -> None:
    site = make_site(ping=0)
    peer = site.websocket()
    stream = bound(site, peer)
    for minute in range(1, 9):
        sweep(site, minute * 60)
    assert stream.state is State.OPEN
    peer.text({"channel": "/a"})
    assert peer.replies()[0]["channel"] == "/a"


def test_socket_that_says_nothing_is_closed(site: Site) -> None:
    peer = site.websocket()
    sweep(site, 49)
    assert peer.frame() == (PING, b"0")
    peer.send(frame(PONG, b"0"))
    eventually(lambda: not site.transports._table._expected)
    sweep(site, 49 + 26)
    assert peer.frame() == (CLOSE, b"\x03\xf0no message")


def test_pings_count_from_one_visit_to_the_next(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    for minute in (1, 2):
        peer.send(frame(PING) * 900)
        eventually(lambda: stream._pings == 900)
        sweep(site, minute * 60)
    assert stream.state is State.OPEN


# Slow peers

def slow(site: Site) -> tuple[Peer, Any]:
    """A peer whose kernel buffers are small and that does not read yet."""
    peer = site.connect({**site.environ("GET"), **UPGRADE}, send_buffer=4096)
    peer.head = peer.read_until(b"\r\n\r\n")
    return peer, bound(site, peer)


def test_what_does_not_fit_is_sent_later_in_order(make_site: Callable[..., Site]) -> None:
    site = make_site(max_buffer=100_000)
    peer, stream = slow(site)
    pushed = []
    while stream.push(messages(b'{"n":%d,"data":"%s"}' % (len(pushed), b"x" * 10_000)), 1):
        pushed.append(len(pushed))
    pushed.append(len(pushed))
    assert 100_000 < len(stream._buffer) < 111_000
    assert site.connections.drained_streams == []
    assert [peer.replies()[0]["n"] for _ in pushed] == pushed
    eventually(lambda: site.connections.drained_streams == [stream])
    assert stream._buffer is None
    assert stream.push(messages(b'{"n":-1}'), 1) is True
    assert peer.replies() == [{"n": -1}]


def test_buffer_below_the_limit_drains_without_a_word(make_site: Callable[..., Site]) -> None:
    site = make_site(max_buffer=1_000_000)
    peer, stream = slow(site)
    assert stream.push(messages(b'"%s"' % (b"x" * 500_000)), 1) is True
    assert stream._buffer
    assert len(peer.replies()[0]) == 500_000
    eventually(lambda: stream._buffer is None)
    assert site.connections.drained_streams == []


def test_full_buffer_stops_reading(make_site: Callable[..., Site]) -> None:
    site = make_site(max_buffer=1000)
    peer, stream = slow(site)
    assert stream.push(messages(b'"%s"' % (b"x" * 500_000)), 1) is False
    assert not stream.reading
    peer.text({"channel": "/a"})
    assert len(peer.replies()[0]) == 500_000
    assert peer.replies()[0]["channel"] == "/a"


def test_close_comes_behind_what_waits(make_site: Callable[..., Site]) -> None:
    site = make_site(max_buffer=1_000_000)
    peer, stream = slow(site)
    stream.push(messages(b'"%s"' % (b"x" * 500_000)), 1)
    stream.close(1000, "")
    assert len(peer.replies()[0]) == 500_000
    assert peer.close_code() == 1000


def test_peer_that_reads_nothing_is_dropped(make_site: Callable[..., Site]) -> None:
    site = make_site(max_buffer=1000, ping=0)
    _, stream = slow(site)
    stream.push(messages(b'"%s"' % (b"x" * 500_000)), 1)
    sweep(site, sockets.WRITE_TIMEOUT - 1)
    assert stream.state is State.OPEN
    sweep(site, sockets.WRITE_TIMEOUT + 1)
    assert stream.state is State.GONE
    eventually(lambda: site.connections.closed_streams == [stream])


def test_peer_that_does_not_close_is_dropped(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    stream.close(1000, "")
    sweep(site, sockets.CLOSE_TIMEOUT - 1)
    assert stream.state is State.CLOSING
    sweep(site, sockets.CLOSE_TIMEOUT + 1)
    assert stream.state is State.GONE


def test_push_to_a_peer_that_is_gone(site: Site) -> None:
    peer = site.websocket()
    stream = bound(site, peer)
    peer.sock.close()
    assert stream.push(messages(b"{}"), 1) is False
    eventually(lambda: site.connections.closed_streams == [stream])


# Rate

def test_a_socket_that_does_not_mind_being_refused_is_closed(
    make_site: Callable[..., Site]
) -> None:
    site = make_site(max_message_rate=2, ping=0)
    peer = site.websocket()
    stream = bound(site, peer)
    for _ in range(2):
        assert [stream.admit({}) for _ in range(28)] == [*[True] * 8, *[False] * 20]
        assert stream.state is State.OPEN
        sweep(site, 26)  # a visit forgets; here so late that it may send all that again
    [stream.admit({}) for _ in range(29)]
    assert peer.close_code() == 1008


def test_what_cannot_be_parsed_counts_as_a_message(make_site: Callable[..., Site]) -> None:
    peer = make_site(max_message_rate=2, ping=0).websocket()
    peer.send(frame(TEXT, b"1") * 40)
    answers = 8 + 20 + 1  # within the rate, refused, and the one too many
    assert {peer.frame()[0] for _ in range(answers)} == {TEXT}
    assert peer.close_code() == 1008


def test_any_number_of_messages(site: Site) -> None:
    stream = bound(site, site.websocket())
    assert all(stream.admit({}) for _ in range(10_000))
