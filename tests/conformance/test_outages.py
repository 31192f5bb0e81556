"""The time of an outage counts for nobody: what was known before it is known after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from faye_redis.concurrency import monotonic
from faye_redis.engines import create_engine
from faye_redis.errors import UnknownClient
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .conftest import MakeEngine
from .recorder import Recorder

OUTAGE = 600_000
"""Milliseconds."""


@pytest.fixture
def engine(make_engine: MakeEngine, admin_settings: EngineSettings) -> Any:
    return make_engine(admin_settings, Recorder(), client_timeout=30)


def go_back(engine: Any, *client_ids: str, silent: int = 0) -> None:
    """Nobody has reached Redis for so long; the clients were silent before for ``silent`` ms."""
    keys = engine._keys
    with engine._redis.pipeline(transaction=True) as redis:
        redis.set(keys.alive, now(engine) - OUTAGE)
        redis.zadd(keys.clients, {one: now(engine) - OUTAGE - silent for one in client_ids})
        redis.execute()


def now(engine: Any) -> int:
    seconds, micros = engine._redis.time()
    return int(seconds * 1000 + micros // 1000)


def await_beat(engine: Any) -> None:
    eventually(lambda: engine._redis.exists(engine._keys.grace))


def test_a_client_is_known_after_an_outage(engine: Any) -> None:
    clients = [engine.create_client() for _ in range(5)]
    engine.subscribe(clients[0], ["/a"])
    go_back(engine, *clients, silent=20_000)
    await_beat(engine)
    assert engine.connect(clients[0], "1", False).subscriptions.keys() == {"/a"}
    engine.touch(clients[1])
    engine.subscribe(clients[2], ["/b"])
    engine.unsubscribe(clients[3], ["/b"])
    assert engine.cleanup_expired() == 0
    assert engine.destroy_client(clients[4]) == []


def test_one_that_had_expired_before_is_not(engine: Any) -> None:
    late, lost = engine.create_client(), engine.create_client()
    go_back(engine, late, silent=29_000)
    go_back(engine, lost, silent=31_000)
    await_beat(engine)
    with pytest.raises(UnknownClient):
        engine.touch(lost)
    assert engine.cleanup_expired() == 1
    engine.touch(late)


def test_clients_have_client_timeout_to_come_back(engine: Any) -> None:
    client_id = engine.create_client()
    go_back(engine, client_id)
    await_beat(engine)
    lifetime = engine._redis.pttl(engine._keys.grace)
    assert 29_000 < lifetime <= 30_000
    engine._redis.delete(engine._keys.grace)  # as if that had passed
    with pytest.raises(UnknownClient):
        engine.touch(client_id)


def test_a_second_outage_does_not_shorten_that_time(engine: Any) -> None:
    first, second = engine.create_client(), engine.create_client()
    go_back(engine, first)
    await_beat(engine)
    began = engine._redis.get(engine._keys.grace)
    engine._redis.set(engine._keys.alive, now(engine) - 10_000)
    eventually(lambda: int(engine._redis.get(engine._keys.alive)) > now(engine) - 5_000)
    assert engine._redis.get(engine._keys.grace) == began
    engine.touch(first)
    engine.touch(second)


def test_the_first_call_after_an_outage_does_not_wait_for_a_heartbeat(engine: Any) -> None:
    client_id = engine.create_client()
    engine._heartbeat.close()
    go_back(engine, client_id)
    engine._heartbeat._last = monotonic() - OUTAGE / 1000
    engine.touch(client_id)


def test_clean_up_by_command_right_after_an_outage(
    make_engine: MakeEngine, admin_settings: EngineSettings, engine: Any
) -> None:
    """It may come before the first heartbeat."""
    known, lost = engine.create_client(), engine.create_client()
    engine._heartbeat.close()
    go_back(engine, known, silent=29_000)
    go_back(engine, lost, silent=31_000)
    command = create_engine(replace(admin_settings, client_timeout=30))
    assert command.cleanup_expired() == 1
    command.close()
    engine._heartbeat._last = monotonic() - OUTAGE / 1000
    engine.touch(known)


def test_messages_are_kept_as_long_as_clients_may_come_back_for_them(engine: Any) -> None:
    client_id = engine.create_client()
    engine.subscribe(client_id, ["/a"])
    engine.publish("/a", b"{}", "before")
    log = engine._keys.log("/a")
    [(_, entry)] = engine._redis.xrange(log)
    old = (now(engine) - OUTAGE - 1000) * 1000
    engine._redis.delete(log)
    engine._redis.xadd(log, entry, id=f"{old}-0")
    go_back(engine, client_id)
    await_beat(engine)
    for number in range(100):
        engine.publish("/a", b"{}", str(number))
    assert not engine.read({"/a": old - 1}, 1000).gap
    assert len(engine.read({"/a": old - 1}, 1000).messages) == 101
    engine._redis.delete(engine._keys.grace)
    for number in range(100, 200):
        engine.publish("/a", b"{}", str(number))
    assert engine.read({"/a": old - 1}, 1000).gap
