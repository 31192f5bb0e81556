"""Any number of workers serve the same clients, each request wherever it happens to land."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from typing import Any, NamedTuple

import gevent
import pytest
from raw_client import RawClient, SocketClient
from redis import Redis

from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

PATTERNS = ("/a/b", "/a/*", "/**")
END = "end"
NUMBERED = 10_000
GROUP = 50
"""Messages in one publishing request."""


def environment(server: RedisServer) -> dict[str, str]:
    return {"FAYE_REDIS_URL": server.url, "FAYE_REDIS_MOUNT": "/faye",
            "FAYE_REDIS_TIMEOUT": "5", "FAYE_REDIS_NAMESPACE": f"test-{uuid.uuid4().hex[:12]}"}


@contextmanager
def cluster(server: RedisServer, nodes: int, workers: int) -> Iterator[list[str]]:
    """URLs of nodes that share ``server``; prints what they logged, for a test that fails."""
    env = environment(server)
    with ExitStack() as stack:
        started = [stack.enter_context(Node(env=env, workers=workers)) for _ in range(nodes)]
        try:
            yield [f"{node.url}/faye" for node in started]
        finally:
            for node in started:
                print(node.log)


@pytest.fixture(scope="module")
def urls(redis_server: RedisServer) -> Iterator[list[str]]:
    with cluster(redis_server, nodes=2, workers=2) as urls:
        yield urls


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_one_copy_each(redis_server: RedisServer, workers: int) -> None:
    """Every set of overlapping subscriptions, by poll and by socket: one copy, no more."""
    sets = [PATTERNS[:1], PATTERNS[1:2], PATTERNS[2:], PATTERNS[:2], PATTERNS[1:], PATTERNS]
    sent = [*range(30), END]
    with cluster(redis_server, 1, workers) as urls, ExitStack() as stack:
        pollers, sockets = [], []
        for subscriptions in sets:
            pollers.append(RawClient(urls))
            pollers[-1].subscribe(*subscriptions)
            client = RawClient(urls)
            client.subscribe(*subscriptions)
            sockets.append(SocketClient(client, urls[0], stack))
        publisher = RawClient(urls)
        polling = [gevent.spawn(poller.poll_until, lambda p=poller: END in p.data("/a/b"))
                   for poller in pollers]
        for item in sent:
            publisher.publish("/a/b", item)
        gevent.joinall(polling, timeout=60, raise_error=True)
        for socket in sockets:
            eventually(lambda s=socket: END in s.data("/a/b"), timeout=30)
        assert [poller.data("/a/b") for poller in pollers] == [sent] * len(sets)
        assert [socket.data("/a/b") for socket in sockets] == [sent] * len(sets)


def test_ten_thousand_messages_in_order(urls: list[str]) -> None:
    with ExitStack() as stack:
        poller, bound, publisher = (RawClient(urls) for _ in range(3))
        poller.subscribe("/numbers")
        bound.subscribe("/numbers")
        socket = SocketClient(bound, urls[0], stack)
        polling = gevent.spawn(poller.poll_until, lambda: END in poller.data("/numbers")[-1:])
        for start in range(0, NUMBERED, GROUP):
            publisher.publish_all("/numbers", range(start, start + GROUP))
        publisher.publish("/numbers", END)
        polling.get(timeout=60)
        eventually(lambda: END in socket.data("/numbers")[-1:], timeout=60)
        expected = [*range(NUMBERED), END]
        assert poller.data("/numbers") == expected
        assert socket.data("/numbers") == expected


class Traffic(NamedTuple):
    """What reached Redis while messages were published."""

    publishing: list[str]
    """The commands that carried a payload, in order."""
    evalsha: int
    """EVALSHA commands of any kind that MONITOR showed."""
    counted: int
    """By how much the EVALSHA count of ``INFO commandstats`` grew."""


def traffic(redis: Redis, client: RawClient, channel: str, count: int) -> Traffic:
    """Publish ``count`` messages, one request each, and watch Redis meanwhile.

    Workers report to Redis now and then whatever is published, so both counts are taken over
    exactly the same stretch: from one MULTI to another.
    """
    mark = uuid.uuid4().hex
    with redis.monitor() as monitor:
        before = evalsha_calls(redis)
        for number in range(count):
            client.publish(channel, [mark, number])
        counted = evalsha_calls(redis) - before
        commands = list(between(monitor.listen(), f"ECHO {END}"))
    publishing = [command.split()[0].upper() for command in commands if mark in command]
    evalsha = sum(command.upper().startswith("EVALSHA ") for command in commands)
    return Traffic(publishing, evalsha, counted)


def between(lines: Iterable[dict[str, Any]], delimiter: str) -> Iterator[str]:
    """The commands between the first two that equal ``delimiter``. What a script runs inside
    Redis shows with "lua" as its client, and is left out."""
    commands = (line["command"] for line in lines if line["client_type"] != "lua")
    next(command for command in commands if command == delimiter)
    yield from takewhile(lambda command: command != delimiter, commands)


def evalsha_calls(redis: Redis) -> int:
    """The EVALSHA count, with an ECHO at the same instant that MONITOR shows."""
    with redis.pipeline(transaction=True) as pipeline:
        statistics = pipeline.echo(END).info("commandstats").execute()[1]
    return int(statistics["cmdstat_evalsha"]["calls"])


@pytest.mark.parametrize("subscribers", [1, 1000])
def test_a_publish_is_one_script(
    urls: list[str], redis_server: RedisServer, subscribers: int
) -> None:
    channel = f"/busy/{subscribers}"
    publisher = RawClient(urls)
    clients = [RawClient(urls) for _ in range(subscribers)]
    for client in clients:
        client.subscribe(channel)
    publisher.publish("/elsewhere", "now Redis has the script")
    with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        seen = traffic(redis, publisher, channel, 100)
    assert seen.publishing == ["EVALSHA"] * 100
    assert seen.counted == seen.evalsha
    for client in {clients[0], clients[-1]}:
        client.connect(hold=False)
        assert [number for _, number in client.data(channel)] == list(range(100))
    for client in clients:
        client.disconnect()
