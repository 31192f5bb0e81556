"""The connection of a stream: a socket that stays, to which messages are pushed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..concurrency import Event, spawn
from ..engines.base import Batch, Message
from .connection import Connection, Reach

if TYPE_CHECKING:
    from ..bayeux.exchange import Request
    from ..bayeux.pending import PendingReply
    from ..bayeux.server import BayeuxServer


class Stream(Protocol):
    """A socket that stays: a WebSocket, an EventSource or the in-process client."""

    request: Request | None
    """The request that opened it; None in process."""

    confirms: bool
    """Can its peer be asked what has arrived? See :meth:`checkpoint`."""

    def push(self, messages: list[Message], version: int) -> bool:
        """Send messages. Called in any greenlet or the hub; neither blocks nor raises.

        :param messages: at least one; the list is shared with others and never changes.
        :param version: of the subscriptions that they are due to.
        :returns: False if so much is waiting now that no more should be pushed before the stream
            has called :meth:`Connections.drained`.
        """

    def checkpoint(self, done: Callable[[], None]) -> None:
        """Call ``done`` when the peer has everything that was pushed so far. Neither blocks nor
        raises. A stream that cannot confirm does so at once if nothing waits in its socket."""

    def reply(self, items: list[bytes]) -> None:
        """Send encoded replies as one array; neither blocks nor raises."""

    def close(self, code: int, reason: str) -> None:
        """Close it with a WebSocket close code; neither blocks nor raises."""


class Subscriber(Connection):
    """Pushes what comes to its stream, and answers the connects that come by it.

    :param server: passes pushed messages through the outgoing extensions.
    :param on_sent: called when something was pushed that is not confirmed yet.
    """

    is_stream = True

    __slots__ = ("_asked", "_done", "_gone", "_looked_at", "_on_sent", "_pending",
                 "_pushing", "_server", "catching_up", "confirmed", "follows", "fresh_at", "full",
                 "noted", "queued", "saved", "stream")

    def __init__(
        self, client_id: str, connect_id: str, stream: Stream, server: BayeuxServer,
        on_sent: Callable[[Subscriber], None],
    ) -> None:
        super().__init__(client_id, connect_id)
        self.stream = stream
        self.catching_up = False
        """A greenlet reads its logs now; there is one at most."""
        self.full = False
        """The stream takes no more until it has drained."""
        self.confirmed = Reach(0, {})
        """How far the peer is known to have everything."""
        self.noted: Reach | None = None
        """What the next connect will confirm, for a stream that cannot be asked."""
        self.queued = False
        """Will be asked soon what has arrived."""
        self.follows = False
        """Its client goes on from the worker's position if the worker dies."""
        self.saved: int | None = None
        """Its own position, as the engine has it; None as long as those of the streams before it
        are being asked for: saving would settle what they owe."""
        self.fresh_at = 0.0
        """When its peer last confirmed something, or had nothing to confirm."""
        self._on_sent = on_sent
        self._server = server
        self._asked = False
        self._done: Event | None = None
        self._gone = False
        self._looked_at = -1
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
        if self._done:
            self._done.set()

    def retire(self) -> None:
        spawn(self.complete)

    def end(self, kicked: bool) -> None:
        if kicked and self._pending:
            self._pending.dismiss()
        spawn(self._say_goodbye)  # later, so that the reply to a disconnect goes out before

    def _say_goodbye(self) -> None:
        self.complete()
        if not self._gone:
            self.stream.close(1000, "")

    # Confirmation

    @property
    def is_settled(self) -> bool:
        """Is it live, and does the peer have everything that was for it?"""
        return (self.live and not self.outgoing and not self.is_outdated
                and self.confirmed.position >= self.position)

    @property
    def resumable(self) -> int:
        """A client that goes on from this id misses nothing."""
        return min(self.confirmed.within(self.session.subscriptions), self.since)

    def merge(self, batch: Batch) -> bool:
        settled = not self.outgoing and self.confirmed.position >= self.position
        enough = super().merge(batch)
        if settled and not self.outgoing:
            self.confirmed = self.reach  # there was nothing to send, so nothing to confirm
        return enough

    def start_at(self, position: int) -> None:
        super().start_at(position)
        self.confirmed = self.reach

    def look(self, heard: int, now: float) -> bool:
        """Every message up to ``heard`` has been told; if none of them is under way, the client
        goes on from there. Notes the time if so, or if the peer has confirmed something.

        :returns: is it settled?
        """
        settled = self.is_settled
        if settled and (heard > self.position or self.confirmed.covered is not self.covered):
            self.position = max(self.position, heard)
            self.confirmed = self.reach
        if settled or self.confirmed.position != self._looked_at:
            self.fresh_at = now
        self._looked_at = self.confirmed.position
        return settled

    def ask(self) -> None:
        """Ask the peer what has arrived; neither waits nor asks twice."""
        if self.closed or self._asked:
            return
        if self.stream.confirms:
            self._asked = True
            self.stream.checkpoint(partial(self._answered, self.reach))
        else:
            self.stream.checkpoint(partial(setattr, self, "noted", self.reach))

    def _answered(self, reach: Reach) -> None:
        self._asked = False
        self.confirm(reach)
        if reach.position < self.position and not self.closed:
            self._on_sent(self)

    def confirm(self, reach: Reach | None) -> None:
        """The peer has everything up to there."""
        if reach and reach.position >= self.confirmed.position:
            self.confirmed = reach
        if self._done and self.confirmed.position >= self.reach.position:
            self._done.set()

    def await_confirmation(self, seconds: float) -> None:
        """The stream gets no more: wait until the peer has everything, if it is still there."""
        reach = self.reach
        if self._gone or self.confirmed.position >= reach.position:
            return
        if self._done is None:
            self._done = Event()
            self.stream.checkpoint(partial(self.confirm, reach))
        self._done.wait(seconds)

    # Messages

    def flush(self) -> bool:
        if self.closed:
            return True  # what has not been sent stays in ``outgoing``, to be known as unsent
        if self._server.changes_outgoing:
            if not self._pushing:
                spawn(self._push_through_extensions)
            return True
        messages = self.take_outgoing()
        return not messages or self._push(messages)

    def _push(self, messages: list[Message]) -> bool:
        if not self.queued:
            self._on_sent(self)
        if not self.stream.push(messages, self.session.version):
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
                if self.closed:
                    return  # it has not been sent
                self.outgoing = [one for one in self.outgoing if one is not message]
                self._push_piped(message, payloads)
        finally:
            self._pushing = False

    def _push_piped(self, message: Message, payloads: Sequence[bytes]) -> None:
        if payloads:
            self._push([message._replace(payload=payload) for payload in payloads])
        elif not self.queued:
            self._on_sent(self)  # the peer has all there is for it
