"""WebSocket (RFC 6455): the frames of one connection, and how they meet Bayeux.

A text message is a Bayeux message or an array of them. The replies to what one message holds go
back in one frame, but for ``/meta/connect``: its reply comes when it is due. Messages of one
connection are handled one after the other, in a greenlet that is there only as long as they last.

What is no JSON is logged and passed over, as Faye does. Frames that break RFC 6455 close the
connection with the code that section 7.4.1 names.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.server import ServerProtocol

from ..bayeux.messages import parse
from ..concurrency import monotonic, sleep, spawn
from ..errors import BadRequest, Superseded
from .responses import Environ
from .sockets import Deed, State, TakenSocket, kept

if TYPE_CHECKING:
    from ..bayeux.server import PendingReply
    from ..engines.base import Message
    from .upgrade import WebSocketTransport

MAX_WAITING: Final = 16
"""Messages of one connection that may wait for an earlier one before reading pauses."""

MAX_FRAGMENTS: Final = 1024
MAX_PINGS: Final = 1000
"""Pings accepted between two visits of the sweeper."""

MAX_DIGITS: Final = 15
"""Length of a number that a pong may bring back."""

MAX_PONGS: Final = 16
"""Pongs sent for what one read brought: the last ones (RFC 6455, 5.5.3 asks for one)."""

PONG_TIMEOUT: Final = 10.0
"""Seconds a peer has to give a sign of life after a ping, or else it counts as gone."""

VISIT_INTERVAL: Final = 25.0
"""Seconds between visits of the sweeper when pings are off."""

Problem = tuple[CloseCode, str]
"""Why a connection must be closed: code and reason of the close frame."""

_TOO_MANY_PINGS: Final = (CloseCode.POLICY_VIOLATION, "too many pings")
_TOO_MANY_FRAGMENTS: Final = (CloseCode.POLICY_VIOLATION, "too many fragments")
_BINARY: Final = (CloseCode.UNSUPPORTED_DATA, "text only")
_INVALID_UTF8: Final = (CloseCode.INVALID_DATA, "invalid UTF-8")

log = logging.getLogger("faye_redis.websocket")


def text_frame(items: Sequence[bytes]) -> bytes:
    """One text frame with a JSON array of ``items``."""
    return Frame(Opcode.TEXT, b"[%s]" % b",".join(items)).serialize(mask=False)


class _SharedFrame:
    """The sockets owed the same messages are served one after the other, and share one frame."""

    __slots__ = ("bytes", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.bytes = b""

    def make(self, messages: list[Message]) -> None:
        self.messages = messages
        self.bytes = text_frame([message.payload for message in messages])


_shared = _SharedFrame()


def _ping(number: int) -> bytes:
    return Frame(Opcode.PING, b"%d" % number).serialize(mask=False)


def _size_on_wire(frame: Frame) -> int:
    """Bytes of a client's frame, at least: its length may be written longer than it has to be."""
    size = len(frame.data)
    return size + (6 if size < 126 else 8 if size < 65536 else 14)


class WebSocket(TakenSocket):
    """One open WebSocket: a ``Stream`` of ``connections``, a ``Link`` of the server."""

    __slots__ = ("_alive", "_checkpoint", "_fragments", "_inbox", "_leave", "_parts", "_pings",
                 "_protocol", "_speak_by", "_transport", "_unconfirmed", "_unread", "request")

    confirms = True

    def __init__(
        self, sock: socket.socket, transport: WebSocketTransport, request: Environ
    ) -> None:
        settings = transport.settings
        super().__init__(sock, transport.table, settings.max_buffer,
                         settings.ping or VISIT_INTERVAL)
        self.request: Environ | None = kept(request)
        self._transport = transport
        self._protocol: ServerProtocol | None = None  # None: between two messages
        self._unread = 0  # bytes given to the protocol since its last whole frame
        self._inbox: list[bytes] | None = None  # None: no greenlet handles messages now
        self._fragments: bytearray | None = None  # a message whose last frame has not come
        self._parts = 0
        self._leave: tuple[int, str] | None = None
        self._alive = True  # nothing is expected
        self._pings = 0
        self._checkpoint = 0
        self._unconfirmed: deque[tuple[int, Callable[[], None]]] | None = None
        self._speak_by = monotonic() + 2 * settings.timeout

    # Stream

    def push(self, messages: list[Message], version: int) -> bool:
        """Send messages; see ``Stream.push``. A list is framed once for all its sockets."""
        if _shared.messages is not messages:
            _shared.make(messages)
        return self.write(_shared.bytes)

    def checkpoint(self, done: Callable[[], None]) -> None:
        """See ``Stream.checkpoint``: the pong to a ping behind it tells that something has
        arrived (RFC 6455, 5.5.2: a peer must answer)."""
        self._checkpoint += 1
        if self._unconfirmed is None:
            self._unconfirmed = deque()
        self._unconfirmed.append((self._checkpoint, done))
        self.write(_ping(self._checkpoint))

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

    def leave(self, code: int, reason: str) -> None:
        self._transport.connections.let_go(self, code, reason)

    def ended(self) -> None:
        self._transport.connections.closed(self)

    def visit(self, now: float) -> None:
        self._pings = 0
        if now >= self._speak_by:
            self.close(CloseCode.POLICY_VIOLATION, "no message")
        elif self._transport.settings.ping:
            self._check_life()

    def _check_life(self) -> None:
        self.write(_ping(self._checkpoint))
        if self.reading:  # else its pongs are not read: that is no fault of the peer
            self._alive = False
            self._table.expect(self, Deed.ANSWER, PONG_TIMEOUT)

    def received(self, data: bytes) -> None:
        if not self._alive:
            self._alive = True
            self._table.unexpect(self, Deed.ANSWER)
        protocol = self._parser()
        protocol.receive_data(data)
        self._unread += len(data)
        for frame in protocol.events_received():
            assert isinstance(frame, Frame)
            self._unread -= _size_on_wire(frame)
            if problem := self._take(frame):
                protocol.fail(*problem)
                break
        self._emit()
        self._rest()
        self.update_reading()

    # Frames

    def _parser(self) -> ServerProtocol:
        if self._protocol is None:
            self._protocol = self._transport.borrow()
        return self._protocol

    def _rest(self) -> None:
        """Between two messages a protocol is as good as new: let another socket have it. That
        saves an idle socket 40 % of its memory."""
        between = not self._unread and self._fragments is None and self.state is State.OPEN
        if self._protocol is not None and between:
            self._transport.give_back(self._protocol)
            self._protocol = None

    def _take(self, frame: Frame) -> Problem | None:
        if frame.opcode is Opcode.PING:
            self._pings += 1
            return _TOO_MANY_PINGS if self._pings > MAX_PINGS else None
        if frame.opcode is Opcode.PONG:
            self._confirm(bytes(frame.data))
            return None
        if frame.opcode is Opcode.BINARY:
            return _BINARY
        if frame.opcode is Opcode.TEXT and frame.fin:
            return self._accept(bytes(frame.data))
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            return self._take_fragment(frame)
        return None

    def _confirm(self, payload: bytes) -> None:
        """A pong answers its ping and all before it, which need none of their own (RFC 6455,
        5.5.3); one that answers nothing is allowed, too."""
        if self._unconfirmed is None or not payload.isdigit() or len(payload) > MAX_DIGITS:
            return
        while self._unconfirmed and self._unconfirmed[0][0] <= int(payload):
            self._unconfirmed.popleft()[1]()
        if not self._unconfirmed:
            self._unconfirmed = None

    def _take_fragment(self, frame: Frame) -> Problem | None:
        if self._fragments is None:
            self._fragments, self._parts = bytearray(), 0
        self._fragments += frame.data
        self._parts += 1
        if self._parts > MAX_FRAGMENTS:
            return _TOO_MANY_FRAGMENTS
        if not frame.fin:
            return None
        message, self._fragments = bytes(self._fragments), None
        return self._accept(message)

    def _accept(self, message: bytes) -> Problem | None:
        try:
            message.decode("utf-8")
        except UnicodeDecodeError:
            return _INVALID_UTF8
        self._speak_by = inf
        if self._inbox is None:
            self._inbox = [message]
            spawn(self._handle_all)
        else:
            self._inbox.append(message)
        return None

    def _emit(self) -> None:
        """Send what the protocol wants sent: pongs, then perhaps a close frame and the end."""
        protocol = self._parser()
        writes = protocol.data_to_send()[-MAX_PONGS:]
        if writes:
            self.write(b"".join(writes))
        if protocol.eof_sent:
            self.finish()

    def _fail(self, code: int, reason: str) -> None:
        if self.state is State.OPEN:
            self._parser().fail(code, reason)
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
