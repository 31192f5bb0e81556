"""A server over an engine that only records, for the tests of the verbs."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from remote import REMOTE

from faye_redis.bayeux.extensions import Extensions
from faye_redis.bayeux.limits import SubscriptionLimits
from faye_redis.bayeux.monitoring import EVENTS, Monitor
from faye_redis.bayeux.pending import PendingReply
from faye_redis.bayeux.server import BayeuxServer
from faye_redis.bayeux.sessions import Sessions
from faye_redis.engines.base import NOBODY, Owner
from faye_redis.errors import UnknownClient

NO_LIMITS = SubscriptionLimits()


class RecordingEngine:
    """Knows clients and their subscriptions; writes down every call; fails on demand."""

    def __init__(self) -> None:
        self.clients: dict[str, list[str]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self.limits = NO_LIMITS
        self.owners: dict[str, Owner] = {}
        self.kicked: set[str] = set()

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure

    def create_client(self, acknowledges: bool = False, owner: Owner = NOBODY) -> str:
        self._called("create_client", *([True] if acknowledges else []))
        self.clients["newclient"] = []
        self.owners["newclient"] = owner
        return "newclient"

    def owner(self, client_id: str) -> Owner:
        self._subscriptions(client_id)
        return self.owners.get(client_id, NOBODY)

    def was_kicked(self, client_id: str) -> bool:
        return client_id in self.kicked

    def touch(self, client_id: str, stream_connect: str | None = None) -> None:
        self._called("touch", client_id, *([] if stream_connect is None else [stream_connect]))
        self._subscriptions(client_id)

    def _subscriptions(self, client_id: str) -> list[str]:
        if client_id not in self.clients:
            raise UnknownClient(client_id)
        return self.clients[client_id]

    def subscribe(
        self, client_id: str, channels: list[str], limits: SubscriptionLimits = NO_LIMITS
    ) -> list[str]:
        self._called("subscribe", client_id, channels)
        self.limits = limits
        known = self._subscriptions(client_id)
        new = [name for name in channels if name not in known]
        known.extend(new)
        return new

    def unsubscribe(self, client_id: str, channels: list[str]) -> list[str]:
        self._called("unsubscribe", client_id, channels)
        known = self._subscriptions(client_id)
        gone = [name for name in channels if name in known]
        for name in gone:
            known.remove(name)
        return gone

    def publish(self, channel: str, payload: bytes, operation: str) -> int:
        self._called("publish", channel, payload, operation)
        return 1

    def destroy_client(self, client_id: str) -> list[str]:
        self._called("destroy_client", client_id)
        left = self._subscriptions(client_id)
        del self.clients[client_id]
        return left


class RecordingLink:
    """A poll that is answered at once with ``inbox``; ``failure`` is raised instead."""

    def __init__(self, engine: RecordingEngine) -> None:
        self.engine = engine
        self.inbox: list[bytes] = []
        self.failure: Exception | None = None
        self.pending: list[PendingReply] = []
        self.left: list[str] = []
        self.admits = True
        self.asked: list[object] = []

    def admit(self, client_id: object) -> bool:
        self.asked.append(client_id)
        return self.admits

    def connect(self, pending: PendingReply) -> list[bytes]:
        self.pending.append(pending)
        if self.failure is not None:
            raise self.failure
        self.engine.touch(pending.client_id)
        return pending.finish(self.inbox)

    def disconnected(self, client_id: str) -> None:
        self.left.append(client_id)


class Bayeux:
    """One server with client "fakeclientid", and what happened to it."""

    def __init__(self, **options: Any) -> None:
        self.settings = SimpleNamespace(**{
            "timeout": 25, "interval": 0, "max_channel_length": 255, "max_channel_segments": 16,
            "max_subscriptions": 128, "max_wildcards": 32, "max_handshake_rate": 0,
            "max_message_rate": 0, "require_client_id": None, "policy": None,
            "bind_clients": None, **options})
        self.engine = RecordingEngine()
        self.engine.clients["fakeclientid"] = []
        self.link = RecordingLink(self.engine)
        self.extensions = Extensions(threading.Event)
        self.monitor = Monitor()
        self.events: list[tuple[Any, ...]] = []
        for event in EVENTS:
            self.monitor.on(event, lambda *args, event=event: self.events.append((event, *args)))
        self.server = BayeuxServer(
            self.engine, self.settings, self.extensions, self.monitor,
            Sessions(self.engine, self.settings.bind_clients))

    def send(self, message: dict[str, Any], request: Any = REMOTE) -> list[dict[str, Any]]:
        return [orjson.loads(data) for data in self.server.process(message, request, self.link)]

    def reply(self, message: dict[str, Any], request: Any = REMOTE) -> dict[str, Any]:
        [reply] = self.send(message, request)
        return reply

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self.engine.calls


@pytest.fixture
def bayeux() -> Bayeux:
    return Bayeux()


@pytest.fixture
def make_bayeux() -> type[Bayeux]:
    return Bayeux
