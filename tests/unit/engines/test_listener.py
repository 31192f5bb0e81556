"""What a listener passes on around a lost connection, on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from faye_redis.concurrency import Event
from faye_redis.engines.base import Message
from faye_redis.engines.redis.client import create_subscriber_client
from faye_redis.engines.redis.keys import Keys
from faye_redis.engines.redis.listener import Listener
from faye_redis.settings import EngineSettings
from support.redis_server import RedisServer
from support.waiting import eventually

NAMES = ["/load/x", "/load/*"]
"""A message on the first one is told twice."""


class Recovering:
    """A listener that follows ``NAMES``, and the logs that it reads after a reconnect: they say
    what ``missed`` holds, as soon as ``readable`` is set."""

    def __init__(self, port: int, namespace: str) -> None:
        self._redis = redis.Redis(port=port)
        self._keys = Keys(namespace, 0)
        self.heard: list[Message] = []
        self.missed: list[Message] = []
        self.readable = Event()
        self.asked_after: list[int] = []
        pool = create_subscriber_client(EngineSettings(type="redis", port=port)).connection_pool
        self.listener = Listener(
            pool, self._keys, "server", 5, self.heard.extend, lambda words: None, self._recover)
        self.listener.start()
        eventually(lambda: self.listener.connected.is_set() and self.listener._held is None)
        self.listener.follow(NAMES)

    def _recover(self, channels: list[str], position: int) -> list[Message]:
        if not channels:
            return []  # it is only beginning
        assert sorted(channels) == sorted(NAMES)
        self.asked_after.append(position)
        self.readable.wait()
        return self.missed

    def tell(self, message: Message) -> None:
        """As ``publish.lua`` does: once for each pattern."""
        for name in NAMES:
            self._redis.publish(
                self._keys.publish_channel(name),
                b"%d %s %s" % (message.id, message.channel.encode(), message.payload))

    def lose_connection(self) -> None:
        """Returns when the logs are being read."""
        assert self.listener._wire
        self.listener._wire.close()
        eventually(lambda: self.asked_after)


@pytest.fixture
def recovering(redis_server: RedisServer, namespace: str) -> Iterator[Recovering]:
    made = Recovering(redis_server.port, namespace)
    yield made
    made.listener.close()


def message(id: int) -> Message:
    return Message(id, "/load/x", b"{}")


def ids(messages: list[Any]) -> list[int]:
    return [one.id for one in messages]


def held(recovering: Recovering) -> int:
    return len(recovering.listener._held or [])


def test_a_message_that_matches_twice_is_passed_on_once(recovering: Recovering) -> None:
    recovering.tell(message(1))
    recovering.tell(message(2))
    eventually(lambda: recovering.listener.last_id == 2)
    assert ids(recovering.heard) == [1, 2]


def test_so_is_one_that_comes_while_the_logs_are_read(recovering: Recovering) -> None:
    recovering.tell(message(1))
    eventually(lambda: recovering.listener.last_id == 1)
    recovering.lose_connection()
    recovering.missed = [message(2), message(3)]
    for id in (3, 4, 5):  # the third is in the logs as well
        recovering.tell(message(id))
    eventually(lambda: held(recovering) == 6)
    recovering.readable.set()
    eventually(lambda: recovering.listener.last_id == 5)
    assert ids(recovering.heard) == [1, 2, 3, 4, 5]
    assert recovering.asked_after == [1]


def test_nothing_that_was_heard_before_is_passed_on_again(recovering: Recovering) -> None:
    recovering.tell(message(7))
    eventually(lambda: recovering.listener.last_id == 7)
    recovering.lose_connection()
    recovering.missed = [message(6), message(7), message(8)]
    recovering.readable.set()
    eventually(lambda: recovering.listener.last_id == 8)
    assert ids(recovering.heard) == [7, 8]
