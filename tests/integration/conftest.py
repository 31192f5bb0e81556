"""A Redis that a module has to itself, to count keys in and to empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

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
