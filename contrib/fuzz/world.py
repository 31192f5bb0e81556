"""A server over the memory engine that is the same for every case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event
from typing import Any
from unittest.mock import patch

from faye_redis.bayeux.extensions import Extensions
from faye_redis.bayeux.monitoring import Monitor
from faye_redis.bayeux.pending import PendingReply
from faye_redis.bayeux.server import BayeuxServer
from faye_redis.bayeux.sessions import Sessions
from faye_redis.engines import memory
from faye_redis.settings import Settings

LIMITS: dict[str, Any] = {
    "max_message_size": 4096, "max_batch": 8, "max_depth": 12, "max_subscriptions": 4,
    "max_channel_length": 40, "max_wildcards": 2, "max_channel_segments": 4}
OPEN = Settings.load(LIMITS)
STRICT = Settings.load({**LIMITS, "require_client_id": True})
REMOTE: dict[str, Any] = {"REMOTE_ADDR": "192.0.2.1"}


class Store(memory.MemoryEngine):
    """Writes down what is published. Its time stands still."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.engine, clock=lambda: 0.0)
        self.published: list[tuple[str, bytes]] = []

    def publish(self, channel: str, payload: bytes, operation: str) -> int:
        self.published.append((channel, payload))
        return super().publish(channel, payload, operation)


class Poll:
    """A connect that is answered at once with all that the client's logs have."""

    def __init__(self, engine: Store) -> None:
        self._engine = engine

    def admit(self, client_id: object) -> bool:
        return True

    def connect(self, pending: PendingReply) -> list[bytes]:
        session = self._engine.connect(
            pending.client_id, pending.connect_id, False, pending.acknowledged)
        found = self._engine.read(session.subscriptions, 100)
        return pending.finish([message.payload for message in found.messages])

    def disconnected(self, client_id: str) -> None:
        """There is nothing to close."""


class World:
    """One server with the clients "client1", which hears everything, and "client2"."""

    def __init__(self, settings: Settings = OPEN) -> None:
        self.settings = settings
        self.monitor = Monitor()
        self.engine = Store(settings)
        self.link = Poll(self.engine)
        self.server = BayeuxServer(
            self.engine, settings, Extensions(Event), self.monitor, Sessions(self.engine, None))
        self.engine.subscribe(self.engine.create_client(), ["/**"])
        self.engine.create_client()


@contextmanager
def numbered_clients() -> Iterator[None]:
    """Client ids are "client1", "client2" and so on, so that a case can name them."""
    numbers = count(1)
    with patch.object(memory, "new_client_id", lambda: f"client{next(numbers)}"):
        yield
