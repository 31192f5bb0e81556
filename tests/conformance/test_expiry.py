"""Clients that go without a goodbye: they expire, are removed once, and leave nothing."""

from __future__ import annotations

import pytest

from faye_redis.engines.base import Engine
from faye_redis.errors import UnknownClient
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .conftest import MakeEngine
from .recorder import Recorder

SHORT = 0.15
"""client_timeout in seconds."""


@pytest.fixture
def engine(engine_settings: EngineSettings, make_engine: MakeEngine, events: Recorder) -> Engine:
    return make_engine(engine_settings, events, client_timeout=SHORT)


def is_unknown(engine: Engine, client_id: str) -> bool:
    """Ask without marking it seen."""
    try:
        engine.unsubscribe(client_id, ["/none"])
    except UnknownClient:
        return True
    return False


def test_a_client_not_seen_expires(engine: Engine) -> None:
    client_id = engine.create_client()
    assert not is_unknown(engine, client_id)
    eventually(lambda: is_unknown(engine, client_id))


def test_a_client_seen_does_not_expire(engine: Engine) -> None:
    kept, touched, lost = engine.create_client(), engine.create_client(), engine.create_client()

    def keep() -> bool:
        engine.ping([kept])
        engine.touch(touched)
        return is_unknown(engine, lost)

    eventually(keep)
    assert engine.cleanup_expired() == 1
    engine.touch(kept)
    engine.touch(touched)


def test_an_expired_client_is_refused_before_any_clean_up(engine: Engine) -> None:
    client_id = engine.create_client()
    session = engine.connect(client_id, "1", stream=False)
    eventually(lambda: is_unknown(engine, client_id))
    for verb in (
        lambda: engine.touch(client_id),
        lambda: engine.subscribe(client_id, ["/a"]),
        lambda: engine.connect(client_id, "2", False),
        lambda: engine.destroy_client(client_id),
    ):
        with pytest.raises(UnknownClient):
            verb()
    assert session.epoch


def test_clean_up_counts_and_reports_each_client_once(engine: Engine, events: Recorder) -> None:
    ids = [engine.create_client() for _ in range(120)]
    for client_id in ids:
        engine.subscribe(client_id, ["/a", "/b/*"])
    eventually(lambda: all(is_unknown(engine, id) for id in ids))
    assert engine.cleanup_expired() == 120
    assert engine.cleanup_expired() == 0
    expired = [call for call in events.calls if call[0] == "expired"]
    assert sorted(expired) == sorted(("expired", id, ["/a", "/b/*"]) for id in ids)


def test_clean_up_spares_the_living(engine: Engine) -> None:
    dead = engine.create_client()
    engine.subscribe(dead, ["/a"])
    eventually(lambda: is_unknown(engine, dead))
    living = engine.create_client()
    engine.subscribe(living, ["/a"])
    assert engine.cleanup_expired() == 1
    engine.publish("/a", b"1", "op")
    assert len(engine.read({"/a": 0}, 10).messages) == 1


def test_a_log_goes_when_its_last_subscriber_expires(engine: Engine) -> None:
    client_id = engine.create_client()
    engine.subscribe(client_id, ["/a"])
    engine.publish("/a", b"1", "op")
    eventually(lambda: is_unknown(engine, client_id))
    engine.cleanup_expired()
    assert engine.read({"/a": 0}, 10).messages == []
