"""A worker without its transports: engine, server and connections put together."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from faye_redis.bayeux.exchange import Exchange
from faye_redis.bayeux.extensions import Extensions
from faye_redis.bayeux.monitoring import Monitor
from faye_redis.bayeux.pending import PendingReply
from faye_redis.bayeux.server import BayeuxServer
from faye_redis.bayeux.sessions import Sessions
from faye_redis.concurrency import Event
from faye_redis.connections import Connections
from faye_redis.connections.subscriber import Subscriber
from faye_redis.engines import create_engine
from faye_redis.engines.base import Engine
from faye_redis.settings import EngineSettings, Settings

from .recorder import RecordingStream

NO_LINK: Any = None


class Batch(NamedTuple):
    """What a client that acknowledges gets with one connect."""

    data: list[Any]
    ids: list[str]
    ack: int | None
    """The number of the batch, as the reply has it."""


class Worker:
    """Serves polls and streams as a worker does; ``options`` are the adapter's."""

    def __init__(self, engine_settings: EngineSettings, **options: Any) -> None:
        settings = Settings.load(options, {})
        self.monitor = Monitor()
        self.extensions = Extensions(Event)
        self.engine: Engine = create_engine(engine_settings)
        self.server = BayeuxServer(
            self.engine, settings, self.extensions, self.monitor, Sessions(self.engine, None))
        self.connections = Connections(self.engine, settings, self.server, self.monitor)
        self.engine.start(self.connections)
        self.connections.start()
        self._numbers = iter(range(1_000_000))

    def close(self) -> None:
        self.connections.close()
        self.engine.close()

    def client(self, *channels: str, acknowledges: bool = False) -> str:
        client_id = self.engine.create_client(acknowledges)
        if channels:
            self.engine.subscribe(client_id, channels)
        return client_id

    def publish(self, channel: str, data: Any) -> None:
        number = next(self._numbers)
        payload = orjson.dumps({"channel": channel, "data": data, "id": str(number)})
        self.engine.publish(channel, payload, f"{id(self)}-{number}")

    def pending(
        self, client_id: str, number: int | str, hold: float = 10, ack: int | None = None
    ) -> PendingReply:
        message: dict[str, Any] = {
            "channel": "/meta/connect", "clientId": client_id, "id": str(number),
            "connectionType": "long-polling"}
        if ack is not None:
            message["ext"] = {"ack": ack}
        reply = {"channel": "/meta/connect", "successful": True, "id": str(number)}
        return PendingReply(self.server, Exchange(message, reply, {}, NO_LINK), hold)

    def poll(self, client_id: str, number: int | str, hold: float = 10) -> list[Any]:
        """The data of the messages that one connect is answered with."""
        reply, *messages = self.connections.poll(
            self.pending(client_id, number, hold), hold=True, sock=None)
        assert orjson.loads(reply)["successful"] is True
        return [orjson.loads(message)["data"] for message in messages]

    def batch(
        self, client_id: str, number: int | str, ack: int | None, hold: float = 10
    ) -> Batch:
        """What one connect of a client that acknowledges is answered with."""
        pending = self.pending(client_id, number, hold, ack)
        return batch_of(self.connections.poll(pending, hold=True, sock=None))

    def bind(
        self, stream: RecordingStream, client_id: str, number: int, ack: int, hold: float = 10
    ) -> None:
        """A connect of a client that acknowledges, by a stream."""
        self.connections.bind(stream, self.pending(client_id, number, hold, ack))

    def stream(self, client_id: str, number: int = 1, hold: float = 10) -> RecordingStream:
        stream = RecordingStream()
        self.connections.bind(stream, self.pending(client_id, number, hold))
        return stream


def batch_of(answer: list[bytes]) -> Batch:
    """What is in one answer to a connect, which must be successful."""
    reply, *messages = map(orjson.loads, answer)
    assert reply["successful"] is True
    data, ids = [one["data"] for one in messages], [one["id"] for one in messages]
    return Batch(data, ids, reply.get("ext", {}).get("ack"))


def is_confirmed(worker: Worker, client_id: str) -> bool:
    """Has the peer of the client's stream everything that was published?"""
    connection = worker.connections._clients[client_id]
    assert isinstance(connection, Subscriber)
    return connection.is_settled and connection.position > connection.session.cursor


def is_held(worker: Worker, client_id: str) -> bool:
    connection = worker.connections._clients.get(client_id)
    return connection is not None and connection.live
