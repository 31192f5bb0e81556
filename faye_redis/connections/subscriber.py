"""The connection of a stream: a socket that stays, to which messages are pushed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..concurrency import spawn
from .connection import Connection

if TYPE_CHECKING:
    from ..bayeux.server import BayeuxServer, PendingReply


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


class Subscriber(Connection):
    """Pushes what comes to its stream, and answers the connects that come by it.

    :param server: passes pushed messages through the outgoing extensions.
    """

    is_stream = True

    __slots__ = ("_gone", "_pending", "_pushing", "_server", "catching_up", "full", "stream")

    def __init__(self, client_id: str, stream: Stream, server: BayeuxServer) -> None:
        super().__init__(client_id)
        self.stream = stream
        self.catching_up = False
        """A greenlet reads its logs now; there is one at most."""
        self.full = False
        """The stream takes no more until it has drained."""
        self._server = server
        self._gone = False
        self._pending: PendingReply | None = None
        self._pushing = False

    @property
    def is_behind(self) -> bool:
        """Has it something to catch up with, and room for it?"""
        return not (self.closed or self.full) and (self.is_outdated or not self.live)

    # The connect that is held

    def hold(self, pending: PendingReply) -> None:
        """Owe this reply; one that was owed before is sent."""
        self.complete()
        self._pending = pending

    def owes(self, pending: PendingReply) -> bool:
        return self._pending is pending

    def complete(self) -> None:
        """Send the reply that is owed, if there is one. May wait for an outgoing extension."""
        pending, self._pending = self._pending, None
        if pending:
            self.stream.reply(pending.finish())

    def forget_stream(self) -> None:
        """The stream has closed: nobody would get a reply, and it may come to serve another
        client."""
        self._gone = True
        self._pending = None

    def retire(self) -> None:
        spawn(self.complete)

    def end(self) -> None:
        spawn(self._say_goodbye)  # later, so that the reply to a disconnect goes out before

    def _say_goodbye(self) -> None:
        self.complete()
        if not self._gone:
            self.stream.close(1000, "")

    # Messages

    def flush(self) -> bool:
        if self.closed:
            return True  # what has not been sent stays in ``outgoing``, to be known as unsent
        if self._server.changes_outgoing:
            if not self._pushing:
                spawn(self._push_through_extensions)
            return True
        messages, self.outgoing = self.outgoing, []
        return self._push([message.payload for message in messages])

    def _push(self, payloads: Sequence[bytes]) -> bool:
        if payloads and not self.closed and not self.stream.push(payloads):
            self.live, self.full = False, True
            return False
        return True

    def _push_through_extensions(self) -> None:
        """Extensions may wait, so this has a greenlet; one per connection keeps the order."""
        if self._pushing:
            return
        self._pushing = True
        try:
            while self.outgoing and not self.closed:
                message = self.outgoing[0]
                payloads = self._server.deliver([message.payload], self.stream.request)
                self.outgoing.remove(message)  # not the first any more if others were merged in
                self._push(payloads)
        finally:
            self._pushing = False
