"""The engines under test. A new engine joins by one more entry in ``ENGINES``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from faye_redis.engines import create_engine
from faye_redis.engines.base import Engine
from faye_redis.settings import EngineSettings, Settings

from .recorder import Recorder

ENGINES = ("memory", "redis")

MakeEngine = Callable[..., Engine]


README = Path(__file__).parents[2] / "README.rst"


def least_rights(namespace: str) -> list[str]:
    """The rules for a user of Redis that the README gives."""
    found = re.search(r"ACL SETUSER faye on >secret ((?:.+\n)+)\n", README.read_text("utf-8"))
    assert found
    return found[1].replace("my-app", namespace).split()


@pytest.fixture
def redis_settings(request: pytest.FixtureRequest, namespace: str) -> EngineSettings:
    """As a user that may do no more than the README grants, and only in this namespace."""
    server = request.getfixturevalue("redis_server")
    with Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", namespace, "on", ">secret",
                              *least_rights(namespace))
    options = {"url": server.url, "username": namespace, "password": "secret",
               "namespace": namespace, "restore_window": 0}
    return Settings.load({"engine": options}, {}).engine


@pytest.fixture
def admin_settings(redis_settings: EngineSettings) -> EngineSettings:
    """As a user who may do everything, for tests that look at the keys in their own ways."""
    return replace(redis_settings, username=None, password=None)


@pytest.fixture(params=ENGINES)
def engine_settings(request: pytest.FixtureRequest) -> EngineSettings:
    if request.param == "memory":
        return Settings.load({}, {}).engine
    return request.getfixturevalue("redis_settings")


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Starts engines and closes them; ``make_engine(settings, client_timeout=0.1)``."""
    engines: list[Engine] = []

    def make(settings: EngineSettings, events: Any = None, **changes: Any) -> Engine:
        engine = create_engine(replace(settings, **changes))
        engines.append(engine)
        engine.start(events or Recorder())
        return engine

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def events() -> Recorder:
    return Recorder()


@pytest.fixture
def engine(engine_settings: EngineSettings, make_engine: MakeEngine, events: Recorder) -> Engine:
    return make_engine(engine_settings, events)
