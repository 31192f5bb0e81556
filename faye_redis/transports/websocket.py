"""WebSocket (RFC 6455): the upgrade, the frames of one connection, and how they meet Bayeux.

A text message is a Bayeux message or an array of them. The replies to what one message holds go
back in one frame, but for ``/meta/connect``: its reply comes when it is due. Messages of one
connection are handled one after the other, in a greenlet that is there only as long as they last.

What is no JSON is logged and passed over, as Faye does. Frames that break RFC 6455 close the
connection with the code that section 7.4.1 names.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State as ProtocolState
from websockets.server import ServerProtocol

from ..bayeux.messages import parse
from ..concurrency import monotonic, sleep, spawn
from ..errors import BadRequest, Superseded
from .cors import Cors
from .responses import Environ, StartResponse
from .sockets import SocketTable, State, TakenSocket, kept, raw_socket, take_buffered

if TYPE_CHECKING:
    from ..bayeux.server import BayeuxServer, PendingReply
    from ..connections import Connections
    from ..settings import Settings

MAX_WAITING: Final = 16
"""Messages of one connection that may wait for an earlier one before reading pauses."""

MAX_FRAGMENTS: Final = 1024
MAX_PINGS: Final = 1000
"""Pings accepted between two visits of the sweeper."""

MAX_PONGS: Final = 16
"""Pongs sent for what one read brought: the last ones (RFC 6455, 5.5.3 asks for one)."""

MAX_SILENCE: Final = 2
"""Pings of ours without a sign of life from the peer, after which it counts as gone."""

VISIT_INTERVAL: Final = 25.0
"""Seconds between visits of the sweeper when pings are off."""

_PING: Final = Frame(Opcode.PING, b"").serialize(mask=False)

log = logging.getLogger("faye_redis.websocket")
_quiet = logging.getLogger("faye_redis.websocket.frames")
_quiet.setLevel(logging.WARNING)  # below it, websockets logs what clients say


def text_frame(items: Sequence[bytes]) -> bytes:
    """One text frame with a JSON array of ``items``."""
    return Frame(Opcode.TEXT, b"[%s]" % b",".join(items)).serialize(mask=False)


@lru_cache(maxsize=8)  # the sockets owed the same messages share one frame
def _shared_frame(items: tuple[bytes, ...]) -> bytes:
    return text_frame(items)


def wants_websocket(environ: Environ) -> bool:
    """True for a request to upgrade to WebSocket, well-formed or not."""
    return bool(environ.get("HTTP_UPGRADE", "").strip().lower() == "websocket")


class WebSocket(TakenSocket):
    """One open WebSocket: a ``Stream`` of ``connections``, a ``Link`` of the server."""

    __slots__ = ("_fragments", "_inbox", "_leave", "_parts", "_pings", "_protocol", "_silence",
                 "_speak_by", "_transport", "request")

    def __init__(
        self, sock: socket.socket, transport: WebSocketTransport, request: Environ
    ) -> None:
        settings = transport.settings
        super().__init__(sock, transport.table, settings.max_buffer,
                         settings.ping or VISIT_INTERVAL)
        self.request: Environ | None = kept(request)
        self._transport = transport
        self._protocol = ServerProtocol(
            state=ProtocolState.OPEN, max_size=settings.max_message_size, logger=_quiet)
        self._inbox: list[bytes] | None = None  # None: no greenlet handles messages now
        self._fragments: bytearray | None = None  # a message whose last frame has not come
        self._parts = 0
        self._leave: tuple[int, str] | None = None
        self._silence = 0
        self._pings = 0
        self._speak_by = monotonic() + 2 * settings.timeout

    # Stream

    def push(self, payloads: Sequence[bytes]) -> bool:
        """Send messages; see ``Stream.push``. A tuple is framed once for all its sockets."""
        return self.write(_shared_frame(tuple(payloads)))

    def reply(self, items: list[bytes]) -> None:
        """Send the replies ``items`` in one frame; see ``Stream.reply``."""
        self.write(text_frame(items))

    def close(self, code: int, reason: str) -> None:
        """Close the connection; if a message is being handled, after the reply to it."""
        if self._inbox is None:
            self._fail(code, reason)
        elif self._leave is None:
            self._leave = (code, reason)

    # Link

    def connect(self, pending: PendingReply) -> list[bytes]:
        """Let the client's messages come through this socket.

        :raises UnknownClient, Superseded: see ``Connections.bind``.
        """
        if self.state is State.OPEN:
            self._transport.connections.bind(self, pending)
            if self.state is not State.OPEN:  # it went meanwhile, perhaps before it was bound
                self.ended()
        return []

    def disconnected(self, client_id: str) -> None:
        """Nothing to do: ``connections`` closes the socket once the held connect is answered,
        and ``close`` waits for the reply to this message."""

    # TakenSocket

    def may_read(self) -> bool:
        return super().may_read() and (self._inbox is None or len(self._inbox) <= MAX_WAITING)

    def drained(self) -> None:
        self._transport.connections.drained(self)

    def ended(self) -> None:
        self._transport.connections.closed(self)

    def visit(self, now: float) -> None:
        self._pings = 0
        if now >= self._speak_by:
            self.close(CloseCode.POLICY_VIOLATION, "no message")
        elif self._transport.settings.ping:
            self._check_life()

    def _check_life(self) -> None:
        if not self.reading:
            self._silence = 0  # its pongs are not read: that is no fault of the peer
        if self._silence >= MAX_SILENCE:
            log.info("WebSocket dropped: its peer does not answer pings")
            self.abort()
            return
        self._silence += 1
        self.write(_PING)

    def received(self, data: bytes) -> None:
        self._silence = 0
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            assert isinstance(frame, Frame)
            if self._protocol.close_sent is not None and self._protocol.close_rcvd is None:
                break
            self._take(frame)
        self._emit()
        self.update_reading()

    # Frames

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._pings += 1
            if self._pings > MAX_PINGS:
                self._protocol.fail(CloseCode.POLICY_VIOLATION, "too many pings")
        elif frame.opcode is Opcode.BINARY:
            self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "text only")
        elif frame.opcode is Opcode.TEXT and frame.fin:
            self._accept(bytes(frame.data))
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._take_fragment(frame)

    def _take_fragment(self, frame: Frame) -> None:
        if self._fragments is None:
            self._fragments, self._parts = bytearray(), 0
        self._fragments += frame.data
        self._parts += 1
        if self._parts > MAX_FRAGMENTS:
            self._protocol.fail(CloseCode.POLICY_VIOLATION, "too many fragments")
        elif frame.fin:
            message, self._fragments = bytes(self._fragments), None
            self._accept(message)

    def _accept(self, message: bytes) -> None:
        try:
            message.decode("utf-8")
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            return
        self._speak_by = inf
        if self._inbox is None:
            self._inbox = [message]
            spawn(self._handle_all)
        else:
            self._inbox.append(message)

    def _emit(self) -> None:
        """Send what the protocol wants sent: pongs, then perhaps a close frame and the end."""
        writes = self._protocol.data_to_send()[-MAX_PONGS:]
        if writes:
            self.write(b"".join(writes))
        if self._protocol.eof_sent:
            self.finish()

    def _fail(self, code: int, reason: str) -> None:
        if self.state is State.OPEN:
            self._protocol.fail(code, reason)
            self._emit()

    # Messages

    def _handle_all(self) -> None:
        assert self._inbox is not None
        try:
            while self._inbox:
                self._handle(self._inbox.pop(0))
                self.update_reading()
                if self._inbox:
                    sleep(0)  # other connections have something to say too
        except Exception:
            log.exception("a WebSocket message failed")
            self._leave = (CloseCode.INTERNAL_ERROR, "internal error")
        finally:
            self._inbox = None
            if self._leave is not None:
                self._fail(*self._leave)
            self.update_reading()

    def _handle(self, data: bytes) -> None:
        limits = self._transport.settings
        try:
            messages = parse(data, limits.max_message_size, limits.max_batch, limits.max_depth)
        except BadRequest as problem:
            log.info("WebSocket message ignored: %s", problem.reason)
            return
        replies: list[bytes] = []
        for message in messages:
            try:
                replies += self._transport.server.process(message, self.request, self)
            except Superseded:
                continue  # a newer connection took the client over: it gets the answer
        if replies or not messages:  # an empty array is an old client's way to ask "still there?"
            self.reply(replies)
        if self._leave is not None:
            self._fail(*self._leave)


class WebSocketTransport:
    """Upgrades requests to WebSockets."""

    def __init__(
        self, server: BayeuxServer, connections: Connections, settings: Settings, cors: Cors,
        table: SocketTable,
    ) -> None:
        self.server = server
        self.connections = connections
        self.settings = settings
        self.table = table
        self._cors = cors

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the upgrade and take the socket over.

        :raises StopIteration: the socket is taken; ends the WSGI call.
        :raises BadRequest: the origin, the handshake or one more socket is refused.
        """
        self._cors.check(environ)
        response = _handshake(environ)
        self.table.check()
        sock = raw_socket(environ)
        if sock is None:
            raise BadRequest("no socket to take over: run gunicorn with `-k gevent`", 501)
        websocket = WebSocket(sock, self, environ)
        websocket.write(response.serialize())
        early = take_buffered(environ)
        websocket.start()
        if early and websocket.state is State.OPEN:
            websocket.received(early)
        raise StopIteration


def _handshake(environ: Environ) -> Response:
    """The 101 response (RFC 6455, 4.2.2).

    :raises BadRequest: status 426 for another version of the protocol, else 400.
    """
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION", "13") != "13":
        raise BadRequest("version of the WebSocket protocol is not 13", 426)
    if environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        raise BadRequest("WebSocket handshake with a body")
    names = ("Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
    keys = ((name, "HTTP_" + name.upper().replace("-", "_")) for name in names)
    headers = Headers([(name, environ[key]) for name, key in keys if key in environ])
    request = Request("/", headers, environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"])
    protocol = ServerProtocol(logger=_quiet)
    response = protocol.accept(request)
    if response.status_code != 101:
        raise BadRequest(f"WebSocket handshake: {protocol.handshake_exc}")
    return response
