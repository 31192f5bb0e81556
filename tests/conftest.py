"""Fixtures that every kind of test uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from support.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for the whole run, without persistence. Do not stop it: start your own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def namespace() -> str:
    """A key prefix that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"
