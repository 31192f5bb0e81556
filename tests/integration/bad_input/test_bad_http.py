"""Requests that are wrong as HTTP, byte by byte over sockets of their own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from carriers import MOUNT, Closed, HttpLine, Line, SocketLine, form_body, json_body
from raw_client import PATIENCE, RawClient
from refusals import check_refusal, check_refused_message
from wire import answer, chunked, head, post, received
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node

GOOD = '{"channel":"/a","data":1}'
QUERY = quote(GOOD)
LIMIT = 2**20  # max_message_size


@dataclass(frozen=True)
class Row:
    """One request.

    :param sent: its bytes, after which the client's side of the connection is closed.
    :param reason: words of the text that goes with the status.
    """

    name: str
    sent: bytes
    status: int
    reason: Sequence[str] = ()


def upgrade(*headers: str, start: str = f"GET {MOUNT}") -> bytes:
    return head(start, "Upgrade: websocket", *headers)


CONNECTION = "Connection: Upgrade"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
ARRAY = f"[{GOOD}]".encode()
OVER = GOOD.ljust(LIMIT + 1).encode()

BODIES = [
    Row("POST without a body", head(f"POST {MOUNT}", "Content-Type: application/json"), 400),
    Row("POST without a type", post(ARRAY, kind=""), 400, ["Content-Type: application/json"]),
    Row("form without a message", post(b"other=1", kind="text/plain"), 400),
    Row("form of too many fields", post(b"&".join([b"a=1"] * 65), kind="text/plain"), 400),
    Row("form with bad UTF-8", post(b"message=%FF", kind="text/plain"), 400),
    Row("GET without a message", head(f"GET {MOUNT}"), 400),
    Row("GET with an empty message", head(f"GET {MOUNT}?message="), 400),
    Row("GET with bad UTF-8", head(f"GET {MOUNT}?message=%FF"), 400),
    Row("body that ends too early", post(ARRAY, length=len(ARRAY) + 1), 400),
    Row("chunk of no length", chunked(end=b"zz\r\n[]\r\n0\r\n\r\n"), 400),
    Row("chunk of a negative length", chunked(end=b"-2\r\n[]\r\n0\r\n\r\n"), 400),
    Row("chunk that ends too early", chunked(end=b"ff\r\n[]"), 400),
    Row("chunks without an end", chunked(ARRAY, end=b""), 400),
    Row("one byte over", post(OVER), 413, ["max_message_size", str(LIMIT)]),
    Row("one byte over, in a form", post(OVER, kind="text/plain"), 413,
        ["max_message_size", str(LIMIT)]),
    Row("one byte over, in chunks", chunked(OVER[:9], OVER[9:]), 413,
        ["max_message_size", str(LIMIT)]),
    Row("length one byte over, and no body", post(b"", length=LIMIT + 1), 413,
        ["max_message_size", str(LIMIT)]),
    Row("length of 20 digits", post(b"", length=10**19), 413, ["max_message_size"]),
    *(Row(f"{encoding} body", post(ARRAY, f"Content-Encoding: {encoding}"), 415,
          ["Content-Encoding"])
      for encoding in ("gzip", "deflate", "br", "x", "gzip, identity", "GZIP")),
]

METHODS = [Row(f"method {method}", head(f"{method} {MOUNT}", "Content-Length: 0"), 405)
           for method in ("PUT", "DELETE", "PATCH", "TRACE", "BREW")]

PATHS = [Row(f"script {path}", head(f"GET {path}"), 404) for path in (
    f"{MOUNT}.js.map", f"{MOUNT}/other.js", f"{MOUNT}/a/client.js", f"{MOUNT}/../setup.cfg.js",
    f"{MOUNT}/%2e%2e/x.js", f"{MOUNT}/../../../etc/passwd%00.js", f"{MOUNT}/..%2f..%2fx.map")]

CALLBACKS = [
    Row(f"callback {callback!a}", head(f"GET {MOUNT}?message={QUERY}&jsonp={quote(callback)}"),
        400, ["callback"])
    for callback in ("alert(1)//", "a b", "a\r\nb", "a\n", "a;b", "a[0]", "a\u2028", "a.", "a..b",
                     "1a", "\xe4", "a" * 65, "delete", "this.x", "<b>", "CWS\x07")]

UPGRADES = [
    Row("no version", upgrade(CONNECTION, KEY), 400),
    Row("version 12", upgrade(CONNECTION, KEY, "Sec-WebSocket-Version: 12"), 426),
    Row("no key", upgrade(CONNECTION, VERSION), 400),
    Row("short key", upgrade(CONNECTION, VERSION, "Sec-WebSocket-Key: YQ=="), 400),
    Row("key that is no Base64", upgrade(CONNECTION, VERSION, "Sec-WebSocket-Key: ?"), 400),
    Row("no Connection: Upgrade", upgrade(KEY, VERSION), 400),
    Row("upgrade by POST", upgrade(CONNECTION, KEY, VERSION, start=f"POST {MOUNT}"), 400),
    Row("upgrade with a body", upgrade(CONNECTION, KEY, VERSION, "Content-Length: 2") + b"[]", 400),
    Row("no Upgrade", head(f"GET {MOUNT}", CONNECTION, KEY, VERSION), 400),
]

STREAMS = [
    Row(f"stream of {client_id[:20]!a}, {len(client_id)} long",
        head(f"GET {MOUNT}/{quote(client_id)}", "Accept: text/event-stream"), 404)
    for client_id in ("", "unknown", "index", "../x", "a/..", "UPPER", "a:b", "*", "a b", "a\n",
                      "\x00", "\u0663", "a" * 65, "{x}")
] + [Row("stream of nobody", head(f"GET {MOUNT}", "Accept: text/event-stream"), 404)]

REFUSED = [*BODIES, *METHODS, *PATHS, *CALLBACKS, *UPGRADES, *STREAMS]

NO_HTTP = [  # refused by gunicorn, in its words
    Row("length and chunks", chunked(ARRAY).replace(b"Host", b"Content-Length: 2\r\nHost"), 400),
    Row("two lengths", post(ARRAY, "Content-Length: 3"), 400),
    Row("negative length", post(b"", length=-1), 400),
    Row("length with a sign", post(ARRAY).replace(b"Length: ", b"Length: +"), 400),
    Row("space before the colon", head(f"GET {MOUNT}", "X : a"), 400),
    Row("NUL in a header", head(f"GET {MOUNT}", "X: a\0b"), 400),
    Row("header of 9000 characters", head(f"GET {MOUNT}", "X: " + "a" * 9000), 431),
    Row("200 headers", head(f"GET {MOUNT}", *["X: a"] * 200), 431),
    Row("request line of 5000 characters", head(f"GET {MOUNT}?" + "a" * 5000), 414),
    Row("two hosts", head(f"GET {MOUNT}", "Host: b"), 400),
    Row("HTTP/9.9", b"GET / HTTP/9.9\r\n\r\n", 400),
    Row("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    Row("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    Row("small letters", head(f"get {MOUNT}"), 400),
    Row("nothing", b"\r\n\r\n", 400),
]


@pytest.fixture
def line(node: Node) -> Iterator[Line]:
    with closing(HttpLine(node.port, json_body)) as opened:
        yield opened


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_refused(row: Row, sock: socket.socket, line: Line, witness: Witness) -> None:
    sock.sendall(row.sent)
    sock.shutdown(socket.SHUT_WR)
    refusal = answer(sock)
    check_refusal(refusal, row.status, row.reason)
    more = {405: {"Allow": "GET, POST, OPTIONS"},
            426: {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"}}
    assert refusal.headers.items() >= more.get(row.status, {}).items()
    assert check_undisturbed(line, witness) == []


@pytest.mark.parametrize("row", NO_HTTP, ids=lambda row: row.name)
def test_no_http(row: Row, sock: socket.socket, line: Line, witness: Witness) -> None:
    sock.sendall(row.sent)
    sock.shutdown(socket.SHUT_WR)
    assert answer(sock).status == row.status
    assert check_undisturbed(line, witness) == []


def test_a_head_request_gets_the_headers_only(sock: socket.socket) -> None:
    sock.sendall(head(f"HEAD {MOUNT}"))
    refusal = answer(sock, "HEAD")
    assert (refusal.status, refusal.headers["Allow"]) == (405, "GET, POST, OPTIONS")
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(1) == b""


STAYS = [row for row in (*METHODS, *CALLBACKS, *BODIES) if row.status in (400, 405, 415)
         and "early" not in row.name and "chunk" not in row.name]


@pytest.mark.parametrize("row", STAYS, ids=lambda row: row.name)
def test_what_comes_next_on_the_connection_is_not_taken_for_a_part_of_it(
    row: Row, sock: socket.socket, witness: Witness
) -> None:
    """It is answered, or the connection is closed before that; never is it read as something
    else."""
    word = witness.word()
    sock.sendall(row.sent)
    assert answer(sock).status == row.status
    with suppress(OSError):
        sock.sendall(post(word.encode(), "Connection: close"))
        sock.shutdown(socket.SHUT_WR)
    rest = received(sock)
    assert rest[:15] in (b"", b"HTTP/1.1 200 OK")
    if rest:
        assert json.loads(rest.split(b"\r\n\r\n")[1]) == [
            {"channel": json.loads(word)["channel"], "successful": True}]
        assert witness.hear(word) == []


@pytest.mark.parametrize("sent", [
    post(GOOD.ljust(LIMIT).encode()),
    post(ARRAY, "Content-Encoding: identity"),
    chunked(ARRAY[:5], ARRAY[5:]),
    post(ARRAY, "Expect: 100-continue").replace(b"Expect: 100-continue\r\n", b""),
    head(f"GET {MOUNT}?message={QUERY}&jsonp=a.b"),
], ids=["as long as allowed", "identity", "in chunks", "by length", "by JSON-P"])
def test_accepted(sent: bytes, sock: socket.socket, line: Line, witness: Witness) -> None:
    sock.sendall(sent)
    assert answer(sock).status == 200
    assert check_undisturbed(line, witness) == [{"channel": "/a", "data": 1}]


def test_a_script_cannot_be_ended_by_data(node: Node, sock: socket.socket) -> None:
    message = quote('{"channel":"/\u2028\u2029</script>*/","data":1}')
    sock.sendall(head(f"GET {MOUNT}?message={message}&jsonp=cb"))
    script = answer(sock)
    assert script.status == 200
    assert script.text.startswith("/**/cb([")
    assert script.text.endswith("]);")
    assert [bad for bad in ("\u2028", "\u2029", "<", "*/") if bad in script.text[4:]] == []
    assert script.headers.items() >= {
        "Content-Type": "text/javascript; charset=utf-8", "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment; filename=f.txt",
        "Cache-Control": "no-cache, no-store"}.items()


def test_of_two_streams_of_one_client_the_newer_gets_the_messages(node: Node, line: Line) -> None:
    client = RawClient([node.url + MOUNT])
    client.subscribe("/a")
    opening = head(f"GET {MOUNT}/{client.client_id}", "Accept: text/event-stream")
    with ExitStack() as stack:
        older, newer = (stack.enter_context(
            socket.create_connection(("127.0.0.1", node.port), PATIENCE)) for _ in range(2))
        older.sendall(opening)
        assert older.recv(15) == b"HTTP/1.1 200 OK"
        newer.sendall(opening)
        assert newer.recv(15) == b"HTTP/1.1 200 OK"
        line.say(GOOD)
        with newer.makefile() as events:
            assert next(text for text in events if text.startswith("data:")).count('"/a"') == 1
        assert b"data:" not in older.recv(65536)  # what is left of its head
    client.disconnect()


def test_slow_heads_hold_up_nobody(node: Node, line: Line, witness: Witness) -> None:
    with ExitStack() as stack:
        for _ in range(500):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            sock.sendall(head(f"POST {MOUNT}")[:-3])
        assert check_undisturbed(line, witness) == []


# Memory

def resident(pid: int) -> int:
    """MiB that a process has in memory (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


HUGE = [OVER, b"[" * LIMIT, b'{"a":' * (LIMIT // 5), b'["' + b"\\u0000" * (LIMIT // 6),
        b"[" + b"1," * (LIMIT // 2 - 2) + b"1]", b"\xff" * LIMIT]


def send_huge(node: Node) -> None:
    with closing(HttpLine(node.port, json_body)) as line:
        refusals = [line.say(document) for document in HUGE]
    assert [refusal.status for refusal in refusals] == [413, 400, 400, 400, 413, 400]
    with closing(HttpLine(node.port, form_body)) as line:  # longer when it is encoded
        assert [line.say(document).status for document in HUGE] == [413] * len(HUGE)
    with closing(SocketLine(node.port)) as line:
        first, *answers, last = [line.say(document) for document in HUGE]
    assert (first, last) == (Closed(1009), Closed(1007))
    for answered, refusal in zip(answers, refusals[1:-1], strict=True):
        check_refused_message(answered, refusal)


def test_huge_inputs_leave_nothing_in_memory(node: Node, line: Line, witness: Witness) -> None:
    [pid] = node.worker_pids()
    for _ in range(3):
        send_huge(node)
    before = resident(pid)
    for _ in range(4):
        send_huge(node)
    assert resident(pid) <= before + 8  # 24 MiB have come by each transport
    assert check_undisturbed(line, witness) == []
