"""One client's connection to this worker: what it has, what waits for it, how it is woken.

A connection is *live* when it hears of every new message by the worker's own table. Until then it
is catching up: it reads the logs up to a cut, while what it hears meanwhile is held back. A stream
that cannot take more is neither; what it misses stays in the logs.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from ..concurrency import Event, watch_read
from ..engines.base import Batch, Message, Session

if TYPE_CHECKING:
    from ..bayeux.server import PendingReply

_message_id = attrgetter("id")
_MOST_HELD = 10_000  # messages held back while catching up; beyond them it is read again


class Stream(Protocol):
    """A socket that stays: a WebSocket, an EventSource or the in-process client."""

    request: dict[str, Any] | None
    """WSGI environ of the request that opened it; None in process."""

    def push(self, payloads: Sequence[bytes]) -> bool:
        """Send messages. Called in any greenlet or the hub; neither blocks nor raises.

        :returns: False if so much is waiting now that no more should be pushed before the stream
            has called :meth:`Connections.drained`.
        """

    def reply(self, items: list[bytes]) -> None:
        """Send encoded replies as one array; neither blocks nor raises."""

    def close(self, code: int, reason: str) -> None:
        """Close it with a WebSocket close code; neither blocks nor raises."""


class Connection:
    """State common to polls and streams. Changed without yielding; waiting is done elsewhere.

    Everything up to ``position`` has been delivered or is in ``outgoing``; while the connection is
    live, what comes above it is appended by the worker's table.
    """

    __slots__ = ("client_id", "closed", "covered", "held", "live", "newest_version", "outgoing",
                 "position", "session")

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.session: Session = Session(0, 0, 0, {})
        self.position = 0
        self.covered: dict[str, int] = {}
        """The subscriptions for which ``position`` holds; others are read from their start."""
        self.outgoing: list[Message] = []
        self.held: list[Message] | None = None
        """Heard while catching up; None when it is not, or when it was too much to keep."""
        self.live = False
        self.closed = False
        self.newest_version = 0

    @property
    def is_outdated(self) -> bool:
        """Have the subscriptions changed since they were read?"""
        return self.newest_version > self.session.version

    @property
    def delivered(self) -> int:
        """Everything up to this id has been sent."""
        return self.outgoing[0].id - 1 if self.outgoing else self.position

    def begin(self, session: Session, former: Connection | None) -> None:
        """Start from what the engine's ``connect`` found, and from how far a stream of the client
        in this worker has come."""
        self.session = session
        self.position = session.cursor
        self.covered = session.subscriptions
        if isinstance(former, Subscriber) and session.repeat_to is None:
            self.position = max(session.cursor, former.delivered)
            self.covered = former.covered

    def hear(self, message: Message) -> bool:
        """A new message on one of its channels; it may come once per matching subscription.

        :returns: whether ``outgoing`` has just become non-empty.
        """
        if message.id <= self.position:
            return False
        if not self.live:
            self._hold(message)
            return False
        self.position = message.id
        self.outgoing.append(message)
        return len(self.outgoing) == 1

    def _hold(self, message: Message) -> None:
        if self.held is None or (self.held and self.held[-1].id == message.id):
            return
        self.held.append(message)
        if len(self.held) > _MOST_HELD:
            self.held = None

    def read_from(self, session: Session) -> dict[str, int]:
        """Where to read each log from when the subscriptions are those of ``session``: a new one
        from its beginning, even if other channels are further on."""
        covered = self.covered
        return {
            name: max(start, self.position) if covered.get(name) == start else start
            for name, start in session.subscriptions.items()
        }

    def merge(self, batch: Batch) -> bool:
        """Take what was read from the logs; if it reaches the cut, also what was held back, and
        be live.

        :returns: whether that is enough: a poll answers with a part and leaves the rest.
        """
        goal = self.position if self.session.repeat_to is None else self.session.repeat_to
        self.outgoing += batch.messages
        self.live = batch.complete and self.held is not None
        if self.live:
            self.outgoing += [m for m in self.held or () if m.id > batch.position]
        self.held = None
        self.outgoing.sort(key=_message_id)
        last = self.outgoing[-1].id if self.live and self.outgoing else 0
        if self.live or batch.position >= self.position:
            self.covered = self.session.subscriptions
        self.position = max(self.position, batch.position, last)
        return self.live or (bool(self.outgoing) and batch.position >= goal)

    def wake(self) -> None:
        """Something has changed that whoever waits for this connection has to look at."""


class Poll(Connection):
    """A held ``/meta/connect``: its greenlet waits here, and takes what has come when woken."""

    __slots__ = ("_woken", "abandoned")

    def __init__(self, client_id: str) -> None:
        super().__init__(client_id)
        self._woken = Event()
        self.abandoned = False
        """The peer has closed its socket; nobody would read an answer."""

    def wake(self) -> None:
        self._woken.set()

    def wait(self, seconds: float, sock: socket.socket | None) -> None:
        """Wait until woken, ``seconds`` have passed, or the peer has closed its socket."""
        self._woken.clear()
        watcher = watch_read(sock, lambda: self._check_end(sock)) if sock else None
        try:
            self._woken.wait(max(seconds, 0))
        finally:
            if watcher:
                watcher.stop()

    def _check_end(self, sock: socket.socket) -> None:
        """Readable means the end of the stream, or the next request, sent ahead of its time."""
        try:
            self.abandoned = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self.abandoned = True
        if self.abandoned:
            self._woken.set()


class Subscriber(Connection):
    """The connection of a stream. Nobody waits for it; its messages are pushed.

    ``pending`` is the ``/meta/connect`` reply it owes, if any.
    """

    __slots__ = ("catching_up", "pending", "pushing", "stream")

    def __init__(self, client_id: str, stream: Stream) -> None:
        super().__init__(client_id)
        self.stream = stream
        self.pending: PendingReply | None = None
        self.catching_up = False
        self.pushing = False

    def take_pending(self) -> PendingReply | None:
        pending, self.pending = self.pending, None
        return pending
