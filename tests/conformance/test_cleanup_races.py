"""Clean-up by several workers at once, against clients that come back or change at that moment."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from faye_redis.engines.redis.engine import RedisEngine
from faye_redis.errors import UnknownClient
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .conftest import MakeEngine
from .recorder import Recorder

ROUNDS = 150
CLIENTS = 6


@pytest.fixture
def recorders() -> list[Recorder]:
    return [Recorder() for _ in range(3)]


@pytest.fixture
def engines(
    admin_settings: EngineSettings, make_engine: MakeEngine, recorders: list[Recorder]
) -> list[RedisEngine]:
    return [make_engine(admin_settings, recorder) for recorder in recorders]


def succeeds(verb: Callable[..., Any], *args: Any) -> bool:
    try:
        verb(*args)
    except UnknownClient:
        return False
    return True


def keys_of(engine: RedisEngine, client_id: str) -> tuple[int, bool]:
    """How many keys a client has, and whether it is a subscriber of /a."""
    keys = engine._keys
    count = engine._redis.exists(keys.client(client_id), keys.removed(client_id))
    return int(count), bool(engine._redis.sismember(keys.subscribers("/a"), client_id))


@pytest.mark.parametrize("seed", range(2))
def test_a_client_that_comes_back_is_whole_or_gone(
    engines: list[RedisEngine], recorders: list[Recorder], seed: int
) -> None:
    rng = random.Random(seed)
    first = engines[0]
    removed = 0
    for _ in range(ROUNDS):
        clients = [first.create_client() for _ in range(CLIENTS)]
        for client_id in clients:
            first.subscribe(client_id, ["/a"])
        first._redis.zadd(first._keys.clients, dict.fromkeys(clients[::2], 1))  # expired
        verbs = [lambda id: rng.choice(engines).connect(id, "1", False),
                 lambda id: rng.choice(engines).touch(id),
                 lambda id: rng.choice(engines).subscribe(id, ["/a"])]
        acts = [(verb, client_id) for client_id in clients for verb in verbs]
        rng.shuffle(acts)
        cleaning = [gevent.spawn(engine._removal.remove, clients, "expired") for engine in engines]
        acting = [gevent.spawn(succeeds, *act) for act in acts]
        gevent.joinall([*cleaning, *acting], raise_error=True)
        removed += sum(len(task.value) for task in cleaning)
        for index, client_id in enumerate(clients):
            expected = (0, False) if index % 2 == 0 else (1, True)
            assert keys_of(first, client_id) == expected
            assert succeeds(first.touch, client_id) is (index % 2 == 1)
            if index % 2:
                first.destroy_client(client_id)
    assert removed == ROUNDS * CLIENTS // 2


def test_subscribing_against_leaving_leaves_nothing(engines: list[RedisEngine]) -> None:
    first = engines[0]
    for _ in range(ROUNDS):
        client_id = first.create_client()
        gevent.joinall([gevent.spawn(succeeds, engines[1].subscribe, client_id, ["/a", "/b"]),
                        gevent.spawn(succeeds, engines[2].destroy_client, client_id),
                        gevent.spawn(succeeds, engines[0].subscribe, client_id, ["/a"])],
                       raise_error=True)
        assert not succeeds(first.touch, client_id)
    first._removal.sweep()
    assert sorted(first._redis.scan_iter(f"{first._keys.prefix}c*")) == []
    assert sorted(first._redis.scan_iter(f"{first._keys.prefix}subscriptions*")) == []


def test_a_worker_whose_clock_is_wrong_harms_nobody(
    engines: list[RedisEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id = engines[0].create_client()
    engines[0].subscribe(client_id, ["/a"])
    now = time.time
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time", lambda hours=hours: now() + hours * 3600)
        assert engines[1].cleanup_expired() == 0
        engines[1].touch(client_id)
        stranger = engines[1].create_client()
        monkeypatch.setattr(time, "time", now)
        assert engines[2].cleanup_expired() == 0
        assert eventually(lambda stranger=stranger: succeeds(engines[2].touch, stranger))
    assert engines[0].publish("/a", b"{}", "1") - now() * 1e6 < 60e6
