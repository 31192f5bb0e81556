"""How a connection becomes live: follow its channels, read their logs, merge, be live."""

from __future__ import annotations

import logging
from typing import NoReturn

from ..concurrency import sleep
from ..engines.base import Batch, Engine, EngineEvents
from ..errors import EngineUnavailable, UnknownClient
from .connection import Connection
from .followers import Followers
from .subscriber import Subscriber

log = logging.getLogger("faye_redis.connections")

_RETRY_SECONDS = 1.0
_READ_LIMIT = 100  # messages of one log read at once


class CatchUp:
    """Catches connections up with the logs; the caller sees to it that one greenlet does so for a
    connection at a time.

    :param events: told of clients that are removed because they have missed messages.
    """

    def __init__(self, engine: Engine, events: EngineEvents, followers: Followers) -> None:
        self._engine = engine
        self._events = events
        self._followers = followers

    def run(self, connection: Connection) -> None:
        """Returns when the connection is live, is closed, or has something to send; then it may
        not be live yet, and goes on from its position. Starts over if the subscriptions change.
        A client that is further behind than its logs reach is removed, so that it begins anew.

        :raises UnknownClient, Superseded, EngineUnavailable: the connection can read no more.
        """
        after = connection.read_from(connection.session)
        try:
            while not connection.closed:
                connection.live, connection.held = False, []
                if connection.is_outdated:
                    fresh = self._reload(connection)
                    after = {name: max(start, after.get(name, 0)) for name, start in fresh.items()}
                self._engine.follow(connection.session.subscriptions)
                batch = self._read(connection, after)
                if connection.closed:
                    return  # what it had when it was closed is what the next one goes on from
                if connection.is_outdated:
                    continue
                if batch.gap:
                    self._remove(connection)
                if self._merge(connection, batch):
                    return
                after = {name: max(start, batch.position) for name, start in after.items()}
        finally:
            connection.held = None

    def _read(self, connection: Connection, after: dict[str, int]) -> Batch:
        """An answer to repeat has to be read in any case; and so have the logs of subscriptions
        that begin before its position: what is told of them below it is passed over."""
        position = connection.position
        plain = (connection.session.repeat_to is None
                 and all(start == position for start in after.values()))
        if plain and self._engine.has_nothing_new(after, position):
            return Batch([], position, complete=True, gap=False)
        return self._engine.read(after, _READ_LIMIT)

    def keep_up(self, subscriber: Subscriber) -> None:
        """Make a stream's connection live, or live again, and send what there is; nothing if that
        is being done already. While the engine is out of reach it tries on.

        It ends in the middle if the stream's buffer is full.

        :raises UnknownClient, Superseded: the connection can read no more.
        """
        if subscriber.catching_up:
            return
        subscriber.catching_up = True
        try:
            while subscriber.is_behind:
                self._advance(subscriber)
        finally:
            subscriber.catching_up = False

    def _advance(self, subscriber: Subscriber) -> None:
        try:
            self.run(subscriber)
            subscriber.flush()
        except EngineUnavailable as error:
            log.info("a client's messages cannot be read yet, trying on: %s", error)
            sleep(_RETRY_SECONDS)

    def _reload(self, connection: Connection) -> dict[str, int]:
        session = self._engine.session(connection.client_id, connection.session.epoch)
        if connection.closed:
            return {}
        after = connection.read_from(session)
        self._followers.remove(connection, connection.session.subscriptions)
        self._followers.add(connection, session.subscriptions)
        connection.reload(session)
        return after

    def _remove(self, connection: Connection) -> NoReturn:
        client_id = connection.client_id
        self._engine.session(client_id, connection.session.epoch)  # if it is here still
        channels = self._engine.destroy_client(client_id)
        log.warning("a client was further behind than the logs reach; it has to handshake again")
        self._events.expired(client_id, channels)
        raise UnknownClient(client_id)

    def _merge(self, connection: Connection, batch: Batch) -> bool:
        """Whether enough has been read for now. A stream sends every part at once."""
        enough = connection.merge(batch)
        return enough or (connection.is_stream and bool(connection.outgoing))
