"""After the engine was out of reach: what this worker still knows, and what it has to ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..concurrency import monotonic, sleep, spawn
from ..engines.base import Engine, EngineEvents, Snapshot
from ..errors import EngineError, Superseded, UnknownClient
from .connection import Connection
from .poll import Poll
from .subscriber import Subscriber

_RETRY_SECONDS = 1.0


class Recovery:
    """Remembers clients, and looks at the sessions of all connections again.

    :param events: told what has become of a session.
    :param connections: the open ones.
    """

    def __init__(
        self, engine: Engine, events: EngineEvents, connections: Callable[[], list[Connection]]
    ) -> None:
        self._engine = engine
        self._events = events
        self._connections = connections
        self._checks = 0
        self._polled: dict[str, tuple[float, Snapshot]] = {}
        """The polling clients, in the order in which they were last here."""

    # Sessions

    @property
    def is_checking(self) -> bool:
        """Until every connection knows its subscriptions, the position of all streams must stay
        where it is: a message that counts by an unknown one may be below what is heard now."""
        return self._checks > 0

    def check(self) -> None:
        """Calls may have been missed: look at all sessions, in a greenlet."""
        self._checks += 1
        spawn(self._check_all)

    def _check_all(self) -> None:
        try:
            for connection in self._connections():
                while not connection.closed and not self._check(connection):
                    sleep(_RETRY_SECONDS)
        finally:
            self._checks -= 1

    def _check(self, connection: Connection) -> bool:
        client_id, epoch = connection.client_id, connection.session.epoch
        try:
            session = self._engine.session(client_id, epoch)
            self._events.changed(client_id, session.version, session.cursor)
        except UnknownClient:
            self._events.destroyed(client_id)
        except Superseded:
            self._events.released(client_id, epoch + 1, connection.session.cursor)
        except EngineError:
            return False
        return True

    # Memory

    def remember(self, poll: Poll) -> None:
        """Until its client polls again, only this worker knows of it."""
        if not poll.session.epoch:
            return  # the engine has not even answered: what is known from before counts
        self._polled.pop(poll.client_id, None)
        self._polled[poll.client_id] = monotonic(), _snapshot(poll)

    def forget(self, seconds: float) -> None:
        """Forget clients that have not been here for so long."""
        limit = monotonic() - seconds
        for client_id, (seen, _) in list(self._polled.items()):
            if seen > limit:
                break
            del self._polled[client_id]

    def left(self, client_id: str) -> None:
        """The client is no more."""
        self._polled.pop(client_id, None)

    def remembered(self, ending: Iterable[Subscriber]) -> list[Snapshot]:
        """See ``EngineEvents.remembered``.

        :param ending: streams whose last position is not saved.
        """
        known = [snapshot for _, snapshot in self._polled.values()]
        known += map(_snapshot, [*ending, *self._connections()])
        known.sort(key=lambda snapshot: snapshot.epoch)
        return list({snapshot.client_id: snapshot for snapshot in known}.values())


def _snapshot(one: Connection) -> Snapshot:
    session = one.session
    cursor = one.resumable if isinstance(one, Subscriber) else session.cursor
    version = max(session.version, one.newest_version)  # a lower one would be waited on for ever
    return Snapshot(one.client_id, session.epoch, version, cursor, session.subscriptions,
                    one.connect_id, one.answered_to, one.is_stream, not one.closed,
                    session.acknowledges, session.owner)
