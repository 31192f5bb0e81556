"""How many subscriptions a client may have is judged where they are kept."""

from __future__ import annotations

import pytest

from faye_redis.bayeux.limits import SubscriptionLimits
from faye_redis.engines.base import Engine
from faye_redis.errors import TooMany, UnknownClient

FOUR = SubscriptionLimits(4, 2)


def refused(engine: Engine, client_id: str, *names: str) -> str:
    with pytest.raises(TooMany) as refusal:
        engine.subscribe(client_id, names, FOUR)
    return refusal.value.option


@pytest.fixture
def client_id(engine: Engine) -> str:
    return engine.create_client()


def test_over_all_requests_together(engine: Engine, client_id: str) -> None:
    assert engine.subscribe(client_id, ["/a", "/b", "/c"], FOUR) == ["/a", "/b", "/c"]
    assert refused(engine, client_id, "/d", "/e") == "max_subscriptions"
    assert engine.subscribe(client_id, ["/d"], FOUR) == ["/d"]
    assert refused(engine, client_id, "/e") == "max_subscriptions"


def test_nothing_is_subscribed_then(engine: Engine, client_id: str) -> None:
    refused(engine, client_id, "/a", "/b", "/c", "/d", "/e")
    assert engine.unsubscribe(client_id, ["/a", "/b"]) == []


def test_what_is_there_already_does_not_count_twice(engine: Engine, client_id: str) -> None:
    names = ["/a", "/b", "/c", "/d"]
    assert engine.subscribe(client_id, names, FOUR) == names
    assert engine.subscribe(client_id, [*names, "/a", "/a"], FOUR) == []
    assert refused(engine, client_id, "/a", "/e") == "max_subscriptions"


def test_patterns(engine: Engine, client_id: str) -> None:
    assert engine.subscribe(client_id, ["/a/*", "/b/**"], FOUR) == ["/a/*", "/b/**"]
    assert refused(engine, client_id, "/c", "/**") == "max_wildcards"
    assert engine.subscribe(client_id, ["/c", "/a/*"], FOUR) == ["/c"]
    engine.unsubscribe(client_id, ["/a/*"])
    assert engine.subscribe(client_id, ["/**"], FOUR) == ["/**"]


def test_more_than_there_may_be_now_stay(engine: Engine, client_id: str) -> None:
    names = [f"/{number}" for number in range(200)]
    assert engine.subscribe(client_id, names) == names
    assert engine.subscribe(client_id, names[:3], FOUR) == []
    assert refused(engine, client_id, "/new") == "max_subscriptions"


def test_none_at_all(engine: Engine, client_id: str) -> None:
    none = SubscriptionLimits(None, 0)
    with pytest.raises(TooMany):
        engine.subscribe(client_id, ["/*"], none)
    assert engine.subscribe(client_id, ["/a"], none) == ["/a"]


def test_an_unknown_client_is_unknown(engine: Engine) -> None:
    with pytest.raises(UnknownClient):
        engine.subscribe("unknown", ["/a", "/b", "/c", "/d", "/e"], FOUR)
