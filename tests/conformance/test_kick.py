"""A client is removed, kicked or unsubscribed by one worker and held by another."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

import gevent
import orjson
import pytest

from faye_redis.bayeux.limits import ClientRates, Rate
from faye_redis.errors import UnknownClient
from faye_redis.settings import EngineSettings
from faye_redis.transports.http import Poll
from support.waiting import eventually

from .worker import Worker, is_held

STAY_AWAY = {"reconnect": "none"}


@pytest.fixture
def two(redis_settings: EngineSettings) -> Iterator[list[Worker]]:
    workers = [Worker(redis_settings) for _ in range(2)]
    yield workers
    for worker in workers:
        worker.close()


@pytest.mark.parametrize("kick", [True, False])
def test_a_held_poll(two: list[Worker], kick: bool) -> None:
    here, there = two
    client_id = here.client("/a")
    poll = gevent.spawn(
        here.connections.poll, here.pending(client_id, 1), hold=True, sock=None)
    eventually(lambda: is_held(here, client_id))
    there.engine.destroy_client(client_id, kick)
    [reply] = map(orjson.loads, poll.get(timeout=5))
    assert (reply.get("advice") == STAY_AWAY) is kick


@pytest.mark.parametrize("kick", [True, False])
def test_a_stream(two: list[Worker], kick: bool) -> None:
    here, there = two
    client_id = here.client("/a")
    stream = here.stream(client_id)
    eventually(lambda: is_held(here, client_id))
    there.engine.destroy_client(client_id, kick)
    eventually(lambda: stream.closed_with)
    [reply] = stream.replies
    assert (reply.get("advice") == STAY_AWAY) is kick


@pytest.mark.parametrize("kick", [True, False])
def test_a_client_between_two_polls(two: list[Worker], kick: bool) -> None:
    here, there = two
    client_id = here.client("/a")
    there.engine.destroy_client(client_id, kick)
    message = {"channel": "/meta/connect", "clientId": client_id, "id": "1",
               "connectionType": "long-polling"}
    link: Any = Poll(here.server, here.connections, True, {"SERVER_PROTOCOL": "HTTP/1.1"},
                     ClientRates(Rate(0), monotonic))
    [answer] = here.server.process(message, {}, link)
    reply = orjson.loads(answer)
    assert reply["error"] == f"401:{client_id}:Unknown client"
    assert reply["advice"]["reconnect"] == ("none" if kick else "handshake")


def test_its_subscriptions_are_ended_by_another_worker(two: list[Worker]) -> None:
    here, there = two
    client_id = here.client("/a", "/b")
    stream = here.stream(client_id)
    eventually(lambda: is_held(here, client_id))
    assert there.engine.unsubscribe(client_id, ["/a", "/x"]) == ["/a"]
    eventually(lambda: list(
        here.connections._clients[client_id].session.subscriptions) == ["/b"])
    there.publish("/a", 1)
    there.publish("/b", 2)
    eventually(lambda: stream.data)
    assert stream.data == [2]
    with pytest.raises(UnknownClient):
        there.engine.unsubscribe("unknown", ["/a"])
