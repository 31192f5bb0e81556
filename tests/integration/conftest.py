"""A Redis that a module has to itself, to count keys in and to empty; visitors of the example."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from visitors import EXAMPLE, NAMESPACE, SECRET, Ear, Listen, Visitor

from support.gunicorn_node import Node
from support.redis_server import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """Empty at the start of each test."""
    with Redis.from_url(server.url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="module")
def site(redis_server: RedisServer) -> Iterator[Node]:
    env = {"SECRET_KEY": SECRET, "FAYE_REDIS_URL": redis_server.url,
           "FAYE_REDIS_NAMESPACE": NAMESPACE,
           "FAYE_REDIS_RESTORE_WINDOW": "0"}  # else, on a new store, an id may be known yet
    with Node("app:application", workers=2, env=env, cwd=EXAMPLE) as node:
        yield node


@pytest.fixture(scope="module")
def alice(site: Node) -> Visitor:
    return Visitor(site.url, "alice")


@pytest.fixture(scope="module")
def bob(site: Node) -> Visitor:
    return Visitor(site.url, "bob")


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Make clients that listen, and leave at the end of the test."""
    ears: list[Ear] = []

    def make(visitor: Visitor, transport: str, *subscriptions: str) -> Ear:
        ears.append(Ear(transport, visitor, visitor.client(*subscriptions)))
        return ears[-1]
    yield make
    for ear in ears:
        ear.leave()
