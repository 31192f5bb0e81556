"""WebSocket (RFC 6455): the frames of one connection, and how they meet Bayeux.

A text message is a Bayeux message or an array of them. The replies to what one message holds go
back in one frame, but for ``/meta/connect``: its reply comes when it is due. Messages of one
connection are handled one after the other, in a greenlet that is there only as long as they last;
those that only publish need none.

A message that cannot be parsed is answered with an error, so that its sender need not wait; Faye
passes most of them over. Frames that break RFC 6455 close the connection with the code that section
7.4.1 names.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.server import ServerProtocol

from ..bayeux.messages import encode, parse, refusal
from ..concurrency import monotonic, run_soon, sleep, spawn
from ..errors import BadRequest, Superseded
from .frames import PONG, SharedFrame, ping_frame, read_frame, size_on_wire, text_frame
from .replies import Replies
from .responses import Environ, printable
from .sockets import Deed, KeptRequest, State, TakenSocket

if TYPE_CHECKING:
    from ..bayeux.exchange import Request
    from ..bayeux.pending import PendingReply
    from ..engines.base import Message
    from .upgrade import WebSocketTransport

MAX_WAITING: Final = 16
"""Messages of one connection that may wait for an earlier one before reading pauses."""

MAX_FRAGMENTS: Final = 1024
MAX_PINGS: Final = 1000
"""Pings accepted between two visits of the sweeper."""

REFUSAL_SECONDS: Final = 10
"""Seconds' worth of messages that may be refused between two visits of the sweeper."""

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
_TOO_BIG: Final = (CloseCode.MESSAGE_TOO_BIG, "over max_message_size")
_INVALID_UTF8: Final = (CloseCode.INVALID_DATA, "invalid UTF-8")

log = logging.getLogger("faye_redis.websocket")


_shared = SharedFrame()
_NOTHING: list[bytes] = []


class WebSocket(TakenSocket):
    """One open WebSocket: a ``Stream`` of ``connections``, a ``Link`` of the server."""

    __slots__ = ("_alive", "_answers", "_checkpoint", "_deferred", "_due", "_fragments", "_inbox",
                 "_leave", "_parts", "_pings", "_protocol", "_publishing", "_refused", "_speak_by",
                 "_transport", "_unconfirmed", "_unread", "request")

    confirms = True

    def __init__(
        self, sock: socket.socket, transport: WebSocketTransport, request: Environ
    ) -> None:
        settings = transport.settings
        super().__init__(sock, transport.table, settings.max_buffer,
                         settings.ping or VISIT_INTERVAL)
        self.request: Request | None = KeptRequest(request)
        self._transport = transport
        self._protocol: ServerProtocol | None = None  # None: between two messages
        self._unread = 0  # bytes given to the protocol since its last whole frame
        self._inbox: list[bytes] | None = None  # None: no message is being handled or waits
        self._deferred = False  # the inbox waits until everything published has been answered
        self._publishing = 0  # messages published in place whose replies are to come
        self._answers: list[bytes] = _NOTHING  # those that have come, to be sent in one piece
        self._fragments: bytearray | None = None  # a message whose last frame has not come
        self._parts = 0
        self._leave: tuple[int, str] | None = None
        self._alive = True  # nothing is expected
        self._pings = 0
        self._due = 0.0  # state of its rate of messages
        self._refused = 0  # messages that were too many, since the last visit
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
        self.write(ping_frame(self._checkpoint))

    def reply(self, items: list[bytes]) -> None:
        """Send the replies ``items`` in one frame; see ``Stream.reply``."""
        self.write(text_frame(items))

    def close(self, code: int, reason: str) -> None:
        """Close the connection; if a message is being handled, after the reply to it."""
        if self._leave is None:
            self._leave = (code, reason)
        self._leave_if_idle()

    # Link

    def admit(self, client_id: object) -> bool:
        """A socket that does not mind being refused is closed in the end."""
        rate = self._transport.rate
        due = rate.admit(self._due, monotonic()) if rate.per_second else 0.0
        if due is not None:
            self._due = due
            return True
        self._refused += 1
        if self._refused > REFUSAL_SECONDS * rate.per_second:
            self.close(CloseCode.POLICY_VIOLATION, "max_message_rate")
        return False

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
        waiting = self._publishing + (len(self._inbox) if self._inbox else 0)
        return super().may_read() and waiting <= MAX_WAITING

    def drained(self) -> None:
        self._transport.connections.drained(self)

    def leave(self, code: int, reason: str) -> None:
        self._transport.connections.let_go(self, code, reason)

    def ended(self) -> None:
        self._transport.connections.closed(self)

    def visit(self, now: float) -> None:
        self._pings = self._refused = 0
        if self._due < now:
            self._due = 0.0  # one object for all sockets that are silent
        if now >= self._speak_by:
            self.close(CloseCode.POLICY_VIOLATION, "no message")
        elif self._transport.settings.ping:
            self._check_life()

    def _check_life(self) -> None:
        self.write(ping_frame(self._checkpoint))
        if self.reading:  # else its pongs are not read: that is no fault of the peer
            self._alive = False
            self._table.expect(self, Deed.ANSWER, PONG_TIMEOUT)

    def received(self, data: bytes) -> None:
        if not self._alive:
            self._alive = True
            self._table.unexpect(self, Deed.ANSWER)
        if self._protocol is None and self._fragments is None:
            data = self._take_whole_frames(data)
        if data and self.state is State.OPEN:
            self._take_others(data)
        self.update_reading()

    # Frames

    def _take_whole_frames(self, data: bytes) -> bytes:
        """Returns what is left, for the protocol."""
        at, limit = 0, self._transport.settings.max_message_size
        while self.state is State.OPEN and (frame := read_frame(data, at, limit)):
            kind, payload, at = frame
            if kind == PONG:
                self._confirm(payload)
            elif problem := self._accept(payload):
                self._fail(*problem)
        return data[at:]

    def _take_others(self, data: bytes) -> None:
        protocol = self._parser()
        protocol.receive_data(data)
        self._unread += len(data)
        for frame in protocol.events_received():
            assert isinstance(frame, Frame)
            self._unread -= size_on_wire(frame)
            if problem := self._take(frame):
                protocol.fail(*problem)
                break
        self._emit()
        self._rest()

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
        if len(message) > self._transport.settings.max_message_size:
            return _TOO_BIG
        try:
            message.decode("utf-8")
        except UnicodeDecodeError:
            return _INVALID_UTF8
        self._speak_by = inf
        if self._leave is not None:
            return None  # it would only put off the end
        if self._inbox is not None:
            self._inbox.append(message)
        elif not self._publish_in_place(message):
            self._inbox = [message]
            self._deferred = bool(self._publishing or self._answers)
            if not self._deferred:
                spawn(self._handle_all)
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

    def _publish_in_place(self, data: bytes) -> bool:
        """Publish without a greenlet, if that is all there is to do; what comes next may be
        published before this one is answered.

        :returns: False if nothing was done.
        """
        server = self._transport.server
        try:
            messages = self._parse(data)
        except BadRequest:
            return False
        if not messages or not server.can_publish_soon(messages):
            return False
        self._publishing += 1
        replies = Replies(len(messages), self._published)
        for number, message in enumerate(messages):
            server.publish_soon(message, self.request, self, partial(replies.put, number))
        return True

    def _published(self, replies: list[bytes]) -> None:
        self._publishing -= 1
        if not self._answers:
            self._answers = []
            run_soon(self._send_answers)
        self._answers.append(text_frame(replies))

    def _send_answers(self) -> None:
        answers, self._answers = self._answers, _NOTHING
        self.write(b"".join(answers))
        if self._deferred and not self._publishing:
            self._deferred = False
            spawn(self._handle_all)
        self._leave_if_idle()
        self.update_reading()

    def _leave_if_idle(self) -> None:
        busy = self._inbox is not None or self._publishing or self._answers
        if self._leave is not None and not busy:
            self._fail(*self._leave)

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
            self._leave_if_idle()
            self.update_reading()

    def _parse(self, data: bytes) -> list[dict[str, Any]]:
        limits = self._transport.settings
        return parse(data, limits.max_message_size, limits.max_batch, limits.max_depth)

    def _handle(self, data: bytes) -> None:
        try:
            self._carry_out(self._parse(data))
        except BadRequest as problem:
            log.info("WebSocket message refused (%d): %s", problem.status, problem.reason)
            self.admit(None)  # counts as one
            self.reply([encode(refusal({}, printable(f"{problem.status}::{problem.reason}")))])
        if self._leave is not None:
            self._fail(*self._leave)

    def _carry_out(self, messages: list[Any]) -> None:
        replies: list[bytes] = []
        for message in messages:
            try:
                replies += self._transport.server.process(message, self.request, self)
            except Superseded:
                continue  # a newer connection took the client over: it gets the answer
        if replies or not messages:  # an empty array is an old client's way to ask "still there?"
            self.reply(replies)
