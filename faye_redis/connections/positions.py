"""How far streams have come: saved when they close, and remembered for a while."""

from __future__ import annotations

import logging

from ..concurrency import monotonic, sleep, spawn
from ..engines.base import Engine
from ..errors import EngineError
from .connection import Connection
from .deadlines import Deadlines

log = logging.getLogger("faye_redis.connections")

_RETRY_SECONDS = 1.0
_REMEMBER_SECONDS = 5.0  # after saving: a connect may have been on its way before that


class Positions:
    """Saves positions, and knows those of streams that have just closed.

    :param patience: seconds after which a position that cannot be saved is given up.
    """

    def __init__(self, engine: Engine, patience: float) -> None:
        self._engine = engine
        self._patience = patience
        self._left: dict[str, Connection] = {}
        self._unsaved: set[Connection] = set()
        self._forgotten: Deadlines[Connection] = Deadlines()

    def left(self, client_id: str) -> Connection | None:
        """The client's stream, if it has closed within the last seconds."""
        return self._left.get(client_id)

    def unsaved(self) -> list[int]:
        """From where clients have to go on whose stream has closed, but is not saved yet."""
        return [connection.resumable for connection in self._unsaved]

    def close(self, connection: Connection) -> None:
        """A stream has closed: save how far it came, trying again while the engine is down."""
        self._left[connection.client_id] = connection
        self._unsaved.add(connection)
        spawn(self._save_closed, connection)

    def save_soon(self, connection: Connection) -> None:
        """Save, without waiting, what a connection took over from a stream."""
        spawn(self._save, connection, False)

    def forget(self, now: float) -> None:
        """Forget the streams that closed a while ago."""
        for connection in self._forgotten.take(now):
            if self._left.get(connection.client_id) is connection:
                del self._left[connection.client_id]

    def _save_closed(self, connection: Connection) -> None:
        until = monotonic() + self._patience
        while not self._save(connection, True) and monotonic() < until:
            sleep(_RETRY_SECONDS)
        self._unsaved.discard(connection)
        self._forgotten.add(monotonic() + _REMEMBER_SECONDS, connection)

    def _save(self, connection: Connection, closed: bool) -> bool:
        session = connection.session
        try:
            self._engine.save(connection.client_id, session.epoch, session.version,
                              connection.resumable, closed)
        except EngineError as error:
            log.warning("position of a client not saved: %s", error)
            return False
        return True
