"""This worker's open connections: open, match, buffer, wake, flush.

Every connection comes about in this order, which is what makes delivery exact:

1. the engine's ``connect`` makes this worker the holder (what others tell about the client from
   then on is remembered);
2. the connection is entered in the table and begins to hear of new messages, holding them back;
3. its channels are followed; this returns when no further message can be missed;
4. its logs are read up to a cut, the last message id at that moment;
5. what was held back and lies above the cut is appended, and the connection is live.

A change of subscriptions goes through 3 to 5 again (``catchup``).
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from ..concurrency import Task, monotonic, sleep, spawn
from ..engines.base import Engine, Message, Snapshot
from ..errors import EngineError, Superseded, UnknownClient
from .catchup import CatchUp
from .confirmations import Confirmations
from .connection import Connection
from .deadlines import Deadlines
from .followers import Followers
from .opening import Openings, marked
from .outbox import Outbox
from .poll import Poll
from .polls import Polls
from .positions import Positions, close_when_confirmed
from .recovery import Recovery
from .subscriber import Stream, Subscriber

if TYPE_CHECKING:
    from ..bayeux.monitoring import Monitor
    from ..bayeux.pending import PendingReply
    from ..bayeux.server import BayeuxServer
    from ..settings import Settings

log = logging.getLogger("faye_redis.connections")

_TICK_SECONDS = 0.2
_SETTLE_LOOK_SECONDS = 0.01
_FOLLOW_SECONDS = 60.0  # a channel is followed so long after the last interest in it


class Connections:
    """The table. Implements ``EngineEvents``: those calls come from the listener, never block,
    and run no user code.

    :param server: passes pushed messages through the outgoing extensions.
    """

    def __init__(
        self, engine: Engine, settings: Settings, server: BayeuxServer, monitor: Monitor
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._server = server
        self._monitor = monitor
        self._clients: dict[str, Connection] = {}
        self._streams: dict[Stream, Subscriber] = {}
        self._confirmations = Confirmations()
        self._positions = Positions(engine)
        self._position = 0
        self._recovery = Recovery(engine, self, lambda: list(self._clients.values()))
        self._openings = Openings()
        self._followers = Followers(monotonic)
        self._catch_up = CatchUp(engine, self, self._followers)
        self._polls = Polls(
            engine, settings, self._catch_up, self._recovery, self._open, self._drop)
        self._outbox = Outbox()
        self._held_replies: Deadlines[tuple[Subscriber, PendingReply]] = Deadlines()
        self._keeper: Task | None = None
        self._next_ping = 0.0

    def start(self) -> None:
        """Start the greenlet that keeps held clients alive and ends what is due."""
        self._polls.draining = False
        self._keeper = spawn(self._keep)

    def drain(self) -> None:
        """Answer every held poll now, and hold none from now on."""
        self._polls.draining = True
        for connection in list(self._clients.values()):
            connection.changed()

    def settle(self, seconds: float) -> None:
        """Wait until the engine knows how far streams have come that were let go."""
        until = monotonic() + seconds
        while self._positions.ending and monotonic() < until:
            sleep(_SETTLE_LOOK_SECONDS)

    def close(self) -> None:
        """Drain, and keep nobody alive any more. Streams are closed by their transports."""
        self.drain()
        if self._keeper:
            self._keeper.kill()

    # Polls

    def poll(
        self, pending: PendingReply, hold: bool, sock: socket.socket | None
    ) -> list[bytes]:
        """Serve one ``/meta/connect`` of a polling transport: wait for messages, answer.

        :param hold: False answers at once.
        :param sock: the peer's socket, watched while the reply is held; None if it has none.
        :returns: the encoded reply and messages.
        :raises UnknownClient: the client does not exist.
        :raises Superseded: the request must not be answered: it was sent again, or its socket
            has been closed; the messages stay where they are.
        """
        poll = Poll(pending.client_id, pending.connect_id, pending.acknowledged)
        return self._polls.serve(poll, pending, hold, sock)

    # Streams

    def bind(self, stream: Stream, pending: PendingReply) -> None:
        """Serve one ``/meta/connect`` that came by a socket: the socket gets the client's
        messages from now on, and later the reply. A client that acknowledges gets its messages
        with the replies only.

        :raises UnknownClient: the client does not exist; what the socket was bound to before
            stays.
        """
        if pending.acknowledged is not None and self._engine.touch(pending.client_id):
            self._polls.begin(stream, pending)
            return
        bound = self._streams.get(stream)
        if bound and bound.client_id == pending.client_id and not bound.closed:
            self._engine.touch(pending.client_id)
        else:
            bound = self._attach(pending.client_id, stream, pending.connect_id)
        bound.hold(pending)
        if bound.closed or not pending.hold:
            bound.complete()
        else:
            self._held_replies.add(monotonic() + pending.hold, (bound, pending))

    def open(self, client_id: str, stream: Stream, mark: str = "") -> None:
        """Give a client's messages to a stream that sends no connects of its own.

        :param mark: what the last ``Stream.push`` said that the client got before.
        :raises UnknownClient: the client does not exist.
        """
        self._attach(client_id, stream, "", mark=mark)

    def let_go(self, stream: Stream, code: int, reason: str) -> None:
        """Close a stream when its peer has said what has arrived; it gets nothing more. Does not
        wait."""
        subscriber = self._streams.get(stream)
        if subscriber:
            self._give_back(subscriber)
        spawn(close_when_confirmed, subscriber, stream, code, reason)

    def drained(self, stream: Stream) -> None:
        """The stream can take messages again; what it missed is read from the logs."""
        subscriber = self._streams.get(stream)
        if subscriber:
            subscriber.full = False
            spawn(self._bring_up, subscriber)

    def closed(self, stream: Stream) -> None:
        """The stream's socket is gone; its client may come back until it expires. Idempotent."""
        self._polls.closed(stream)
        subscriber = self._streams.pop(stream, None)
        if not subscriber:
            return
        subscriber.forget_stream()
        self._give_back(subscriber)

    def _attach(
        self, client_id: str, stream: Stream, connect_id: str, resumed: bool = False,
        mark: str = "",
    ) -> Subscriber:
        subscriber = Subscriber(
            client_id, connect_id, stream, self._server, self._confirmations.sent)
        try:
            self._open(subscriber, mark)
        except EngineError:
            self._give_back(subscriber)
            raise
        former = self._streams.get(stream)
        if subscriber.closed and former and not former.closed:
            return former  # overtaken by a later connect of the same stream
        if resumed and not former:
            self._drop(subscriber)  # the stream has closed meanwhile
            return subscriber
        self._streams[stream] = subscriber
        subscriber.saved = subscriber.session.cursor
        if former:
            self._retire(former)
        spawn(self._bring_up, subscriber)
        return subscriber

    def _give_back(self, subscriber: Subscriber) -> None:
        if not subscriber.closed:
            self._drop(subscriber)
            self._positions.end(subscriber)

    def _bring_up(self, subscriber: Subscriber) -> None:
        if subscriber.saved is None:
            return  # where it begins is still being found out
        try:
            self._catch_up.keep_up(subscriber)
        except UnknownClient:
            self.destroyed(subscriber.client_id)
        except Superseded:
            self._retire(subscriber)

    # Opening and ending

    def _open(self, connection: Connection, mark: str = "") -> None:
        """Steps 1 and 2. A connection that was overtaken meanwhile is closed when it returns."""
        client_id = connection.client_id
        with self._openings.remember(client_id) as opening:
            session = self._engine.connect(
                client_id, connection.connect_id, connection.is_stream, connection.acknowledged)
        if opening.destroyed:
            raise UnknownClient(client_id)
        current = self._clients.get(client_id)
        connection.begin(session)
        connection.learn(max(opening.version, session.version), opening.since)
        if max(opening.released, current.session.epoch if current else 0) > session.epoch:
            connection.closed = True
            if isinstance(connection, Subscriber):
                self._positions.end(connection)
            return
        if current:
            self._retire(current)
        self._enter(connection)
        if session.owed:
            connection.start_at(self._engine.release(client_id, session, connection.is_stream))
        if mark:
            connection.start_at(marked(mark, session))  # may be less than the cursor

    def _enter(self, connection: Connection) -> None:
        self._clients[connection.client_id] = connection
        self._followers.add(connection, connection.session.subscriptions)
        self._tell("connection:open", connection.client_id)

    def _drop(self, connection: Connection) -> None:
        """Take a connection out of the table; nothing is told to whoever waits for it."""
        connection.closed = True
        if self._clients.get(connection.client_id) is connection:
            del self._clients[connection.client_id]
            self._followers.remove(connection, connection.session.subscriptions)
            self._tell("connection:close", connection.client_id)

    def _retire(self, connection: Connection) -> None:
        self._drop(connection)
        connection.retire()
        if isinstance(connection, Subscriber):
            self._positions.end(connection)

    # EngineEvents

    def messages(self, batch: list[Message]) -> None:
        self._outbox.add(self._followers.hear(batch))

    def released(self, client_id: str, epoch: int, heard: int) -> None:
        self._openings.released(client_id, epoch)
        connection = self._clients.get(client_id)
        if connection and connection.session.epoch < epoch:
            connection.since = min(connection.since, heard)
            self._retire(connection)

    def changed(self, client_id: str, version: int, since: int) -> None:
        self._openings.changed(client_id, version, since)
        if connection := self._clients.get(client_id):
            connection.learn(version, since)
            connection.changed()
            if isinstance(connection, Subscriber):
                spawn(self._bring_up, connection)

    def delivered(self, heard: int, written: bool) -> int:
        if not self._recovery.is_checking:
            self._position = self._positions.survey(self._subscribers, heard, written)
        return self._position

    @property
    def _subscribers(self) -> list[Subscriber]:
        return [one for one in self._clients.values() if isinstance(one, Subscriber)]

    def connected(self, client_id: str, connect_id: str) -> None:
        current = self._clients.get(client_id)
        if isinstance(current, Subscriber):
            current.confirm(current.noted)
        for stream, subscriber in self._streams.items():
            if subscriber.client_id == client_id and subscriber.closed:
                spawn(self._resume, client_id, stream, connect_id)

    def _resume(self, client_id: str, stream: Stream, connect_id: str) -> None:
        before = self._streams.get(stream)
        try:
            if before and before.closed:
                self._attach(client_id, stream, connect_id, resumed=True)
        except EngineError as error:
            log.warning("a stream does not get its client back: %s", error)

    def destroyed(self, client_id: str, kicked: bool = False) -> None:
        self._openings.destroyed(client_id)
        self._recovery.left(client_id)
        if connection := self._clients.get(client_id):
            self._drop(connection)
            connection.end(kicked)

    def forgotten(self, client_id: str) -> None:
        self._recovery.left(client_id)
        self._server.forget_owners()

    def expired(self, client_id: str, channels: list[str]) -> None:
        spawn(self._monitor.departed, client_id, channels)

    def recovered(self) -> None:
        self._next_ping = 0.0
        self._recovery.check()

    def missed(self) -> None:
        for connection in self._clients.values():
            connection.doubt()
            connection.changed()
        for subscriber in self._subscribers:
            spawn(self._bring_up, subscriber)

    def remembered(self) -> list[Snapshot]:
        return self._recovery.remembered(self._positions.ending)

    def restored(self) -> None:
        self._positions.reset(self._subscribers)

    def _tell(self, event: str, client_id: str) -> None:
        """Listeners are user code: not in the greenlet that is at work here."""
        if self._monitor.has(event):
            spawn(self._monitor.trigger, event, client_id)

    # Keeping

    def _keep(self) -> None:
        while True:
            sleep(_TICK_SECONDS)
            try:
                self._tick(monotonic())
            except EngineError as error:
                log.warning("clients not kept alive: %s", error)
            except Exception:
                log.exception("clients not kept alive")

    def _tick(self, now: float) -> None:
        for subscriber, pending in self._held_replies.take(now):
            if subscriber.owes(pending):
                spawn(subscriber.complete)
        self._confirmations.ask()
        if idle := self._followers.take_idle(_FOLLOW_SECONDS):
            self._engine.unfollow(idle)
        if now >= self._next_ping:
            timeout = self._settings.engine.client_timeout
            self._engine.ping(list(self._clients))
            self._recovery.forget(timeout)  # not while the engine is down
            self._next_ping = now + timeout / 3
