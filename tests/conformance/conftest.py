"""The engines under test. A new engine joins by one more entry in ``ENGINES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from faye_redis.engines import create_engine
from faye_redis.engines.base import Engine
from faye_redis.settings import EngineSettings, Settings

from .recorder import Recorder

ENGINES = ("memory", "redis")

MakeEngine = Callable[..., Engine]


@pytest.fixture
def redis_settings(request: pytest.FixtureRequest, namespace: str) -> EngineSettings:
    server = request.getfixturevalue("redis_server")
    options = {"url": server.url, "namespace": namespace, "restore_window": 0}
    return Settings.load({"engine": options}, {}).engine


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
