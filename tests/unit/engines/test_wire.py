"""Bulk writing and reading on one connection, on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
import redis
from redis.exceptions import NoScriptError

from faye_redis.engines.redis.client import create_subscriber_client
from faye_redis.engines.redis.wire import Wire, pack
from faye_redis.settings import EngineSettings
from support.redis_server import RedisServer


@pytest.fixture
def wire(redis_server: RedisServer) -> Iterator[Wire]:
    settings = EngineSettings(type="redis", port=redis_server.port)
    wire = Wire(create_subscriber_client(settings).connection_pool)
    yield wire
    wire.close()


def receive(wire: Wire, count: int) -> list[object]:
    replies: list[object] = []
    while len(replies) < count:
        replies += wire.receive(5)
    return replies


def test_many_commands_are_answered_in_order(wire: Wire, namespace: str) -> None:
    key = f"{namespace}:counter"
    wire.send(b"".join(pack("INCRBY", key, 1) for _ in range(5000)) + pack("DEL", key))
    assert receive(wire, 5001) == [*range(1, 5001), 1]


def test_replies_larger_than_one_read_and_of_every_kind(wire: Wire) -> None:
    big = b"x" * 1_000_000
    wire.send(pack("ECHO", big) + pack("GET", "no-such-key") + pack("MGET", "no", "no"))
    assert receive(wire, 3) == [big, None, [None, None]]


def test_a_refusal_is_a_reply_like_another(wire: Wire) -> None:
    wire.send(pack("EVALSHA", "0" * 40, 0) + pack("PING"))
    refusal, pong = receive(wire, 2)
    assert isinstance(refusal, NoScriptError)
    assert pong == b"PONG"


def test_failures_do_not_add_up() -> None:
    """An outage of ten minutes is more failures than redis-py's pool has connections."""
    pool = create_subscriber_client(EngineSettings(type="redis", port=1)).connection_pool
    for _ in range(pool.max_connections + 1):
        with pytest.raises(redis.ConnectionError, match="Connection refused"):
            Wire(pool)


def test_silence_and_the_end_are_errors(wire: Wire) -> None:
    with pytest.raises(redis.TimeoutError):
        wire.receive(0.05)
    gevent.spawn_later(0.05, wire.close)
    with pytest.raises(redis.ConnectionError):
        wire.receive(5)
    with pytest.raises(redis.ConnectionError):
        wire.send(pack("PING"))
