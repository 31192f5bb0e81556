"""The transports over a server and connections that only record, and a hand-made gunicorn."""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
from gevent.event import Event

from faye_redis.engines import base
from faye_redis.errors import Superseded, UnknownClient
from faye_redis.settings import Settings
from faye_redis.transports import Transports

Message = dict[str, Any]


class RecordingPending:
    """What the server makes of a connect: its reply, and how long it may be held."""

    def __init__(self, message: Message) -> None:
        self.client_id: str = message["clientId"]
        self.reply = answer(message)

    def finish(self, payloads: Sequence[bytes] = ()) -> list[bytes]:
        return [self.reply, *payloads]


def answer(message: Message) -> bytes:
    return orjson.dumps({"channel": message["channel"], "id": message.get("id"), "ok": True})


class RecordingServer:
    """Answers every message; some channels misbehave."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.strangers: list[Any] = []
        """Members of batches that are no messages."""
        self.requests: list[Any] = []
        self.gate = Event()
        self.unanswered: list[tuple[Message, Callable[[list[bytes]], None]]] = []
        """Publishes on /soon, until a test answers them."""

    def check_owner(self, client_id: str, request: Any) -> None:
        if client_id == "foreign":
            raise UnknownClient(client_id)

    def can_publish_soon(self, batch: Sequence[Message]) -> bool:
        return all(isinstance(one, dict) and one["channel"] == "/soon" for one in batch)

    def publish_soon(
        self, message: Message, request: Any, link: Any, done: Callable[[list[bytes]], None]
    ) -> None:
        self.seen.append(message)
        self.unanswered.append((message, done))

    def answer_all(self) -> None:
        waiting, self.unanswered = self.unanswered, []
        for message, done in waiting:
            done([answer(message)])

    def process(self, message: Any, request: Any, link: Any) -> list[bytes]:
        if not isinstance(message, dict):
            self.strangers.append(message)
            return []
        self.seen.append(message)
        self.requests.append(request)
        channel = message["channel"]
        if channel == "/meta/connect":
            return list(link.connect(RecordingPending(message)))
        if channel == "/wait":
            self.gate.wait()
        if channel == "/superseded":
            raise Superseded("newer")
        if channel == "/crash":
            raise RuntimeError("secret detail")
        return [answer(message)]


class RecordingConnections:
    """Knows the client "known"; writes down what transports ask for."""

    def __init__(self) -> None:
        self.polls: list[tuple[str, bool, Any]] = []
        self.bound: list[tuple[Any, RecordingPending]] = []
        self.opened: list[tuple[str, Any]] = []
        self.drained_streams: list[Any] = []
        self.closed_streams: list[Any] = []
        self.let_go_streams: list[Any] = []
        self.marks: list[str] = []
        self.superseded = False
        self.on_open: Callable[[Any], None] = lambda stream: None

    def poll(self, pending: RecordingPending, hold: bool, sock: Any) -> list[bytes]:
        self.polls.append((pending.client_id, hold, sock))
        if self.superseded:
            raise Superseded("newer")
        return pending.finish([b'{"channel":"/news","data":1}'])

    def bind(self, stream: Any, pending: RecordingPending) -> None:
        self.bound.append((stream, pending))

    def open(self, client_id: str, stream: Any, mark: str) -> None:
        if client_id != "known":
            raise UnknownClient(client_id)
        self.marks.append(mark)
        self.opened.append((client_id, stream))
        self.on_open(stream)

    def let_go(self, stream: Any, code: int, reason: str) -> None:
        self.let_go_streams.append(stream)
        stream.close(code, reason)

    def drained(self, stream: Any) -> None:
        self.drained_streams.append(stream)

    def closed(self, stream: Any) -> None:
        self.closed_streams.append(stream)


class Answer:
    """A WSGI response, with its body joined."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        assert len({name.lower() for name, _ in headers}) == len(headers), "a header twice"
        self.status, self.headers = status, dict(headers)


class Stalled:
    """A request body that never comes."""

    def read(self, size: int) -> bytes:
        Event().wait(30)
        raise AssertionError("nobody stopped waiting")


class Site:
    """One ``Transports`` with recording neighbours."""

    def __init__(self, **options: Any) -> None:
        self.server = RecordingServer()
        self.connections = RecordingConnections()
        self.settings = Settings.load(options, {})
        self.transports = Transports(
            self.server, self.connections, self.settings)  # type: ignore[arg-type]
        self.peers: list[Peer] = []

    def environ(self, method: str, path: str = "/bayeux", body: Any = b"", **more: Any) -> Any:
        return {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "",
            "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
            "HTTP_HOST": "example.org", "REMOTE_ADDR": "192.0.2.1",
            "wsgi.input": io.BytesIO(body) if isinstance(body, bytes) else body, **more,
        }

    def call(self, environ: Any) -> Answer:
        """One request; raises StopIteration as gunicorn would see it."""
        answer = Answer()
        answer.body = b"".join(self.transports(environ, answer.start))
        assert answer.headers["Content-Length"] == str(len(answer.body)) or not answer.body
        return answer

    def request(self, method: str, path: str = "/bayeux", body: Any = b"", **more: Any) -> Answer:
        return self.call(self.environ(method, path, body, **more))

    def post(self, body: Any, content_type: str = "application/json", **more: Any) -> Answer:
        return self.request("POST", body=body, CONTENT_TYPE=content_type, **more)

    def connect(self, environ: Any, early: bytes = b"", **options: Any) -> Peer:
        """A request whose socket is taken over; ``early`` came in behind it."""
        peer = Peer(self, environ, early, **options)
        self.peers.append(peer)
        return peer

    def websocket(self, early: bytes = b"", path: str = "/bayeux", **more: Any) -> Peer:
        peer = self.connect(self.environ("GET", path, **{**UPGRADE, **more}), early)
        peer.head = peer.read_until(b"\r\n\r\n")
        return peer

    @property
    def channels(self) -> list[str]:
        return [message["channel"] for message in self.server.seen]


UPGRADE = {
    "HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==", "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


class TlsLike(socket.socket):
    """A socket that holds bytes which its descriptor knows nothing of, as TLS does."""

    decrypted = b""

    def pending(self) -> int:
        return len(self.decrypted)

    def recv(self, size: int, flags: int = 0) -> bytes:
        data, self.decrypted = self.decrypted[:size], self.decrypted[size:]
        return data or super().recv(size, flags)


class Peer:
    """The client's end of a socket; the other end went through ``Transports``."""

    def __init__(self, site: Site, environ: Any, early: bytes, send_buffer: int = 0,
                 decrypted: bytes | None = None) -> None:
        self.sock, server = socket.socketpair()
        if decrypted is not None:
            server = TlsLike(fileno=server.detach())
            server.decrypted = decrypted
        self.sock.settimeout(10)
        self.fd = server.fileno()
        if send_buffer:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        unreader = SimpleNamespace(take_buffered=lambda: early)
        environ["wsgi.input"] = SimpleNamespace(reader=SimpleNamespace(unreader=unreader))
        environ["gunicorn.socket"] = server
        self.head = b""
        self.received = b""
        self.answer = Answer()
        try:
            site.transports(environ, self.answer.start)
            raise AssertionError(f"answered {self.answer.status}")
        except StopIteration:
            server.close()  # as gunicorn does

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def text(self, value: Any) -> None:
        self.send(frame(1, orjson.dumps(value)))

    def read_until(self, end: bytes) -> bytes:
        while end not in self.received:
            data = self.sock.recv(65536)
            assert data, f"end of stream after {self.received!r}"
            self.received += data
        head, _, self.received = self.received.partition(end)
        return head + end

    def _exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            data = self.sock.recv(65536)
            assert data, f"end of stream after {self.received!r}"
            self.received += data
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def frame(self) -> tuple[int, bytes]:
        """The next frame: first byte without FIN, payload."""
        first, length = self._exactly(2)
        assert first & 0x80 and not length & 0x80, "whole and unmasked"
        if length == 126:
            [length] = struct.unpack("!H", self._exactly(2))
        elif length == 127:
            [length] = struct.unpack("!Q", self._exactly(8))
        return first & 0x7F, self._exactly(length)

    def replies(self) -> Any:
        opcode, data = self.frame()
        assert opcode == 1, (opcode, data)
        return orjson.loads(data)

    def close_code(self) -> int:
        """Code of the close frame that comes next; after it the stream must end."""
        opcode, data = self.frame()
        assert opcode == 8, (opcode, data)
        self.expect_end()
        return int.from_bytes(data[:2], "big") if data else 1005

    def expect_end(self) -> None:
        assert self.received == b""
        assert self.sock.recv(1) == b""


def frame(
    opcode: int, data: bytes = b"", fin: bool = True, mask: bool = True, rsv: int = 0
) -> bytes:
    """A client's frame."""
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    bit = 0x80 if mask else 0
    if len(data) < 126:
        head += bytes([bit | len(data)])
    elif len(data) < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", len(data))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(data))
    if not mask:
        return head + data
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


def messages(*payloads: bytes) -> list[base.Message]:
    """Messages as they are pushed to a stream, all with the id 1."""
    return [base.Message(1, "/a", payload) for payload in payloads]
