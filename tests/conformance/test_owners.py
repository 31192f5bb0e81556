"""Whose a client is, and who was kicked: the same on every worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faye_redis.engines.base import NOBODY, Engine, Owner
from faye_redis.errors import UnknownClient
from support.waiting import eventually

from .recorder import Recorder

ANN = Owner("ann", "0f")


@pytest.mark.parametrize("owner", [ANN, Owner("änn ☃/'\n", ""), Owner("", "0f"), NOBODY])
def test_the_owner_of_a_client(engine: Engine, owner: Owner) -> None:
    client_id = engine.create_client(True, owner)
    engine.subscribe(client_id, ["/user"])
    assert engine.owner(client_id) == owner
    session = engine.connect(client_id, "1", False)
    assert (session.owner, list(session.subscriptions)) == (owner, ["/user"])
    assert engine.session(client_id, session.epoch).owner == owner


def test_an_unknown_client_has_none(engine: Engine) -> None:
    client_id = engine.create_client(owner=ANN)
    engine.destroy_client(client_id)
    for name in (client_id, "unknown"):
        with pytest.raises(UnknownClient):
            engine.owner(name)


def test_a_client_is_kicked(engine: Engine, events: Recorder) -> None:
    client_id = engine.create_client()
    engine.subscribe(client_id, ["/a"])
    engine.connect(client_id, "1", False)
    assert not engine.was_kicked(client_id)
    assert engine.destroy_client(client_id, kick=True) == ["/a"]
    eventually(lambda: ("kicked", client_id) in events.calls)
    assert ("destroyed", client_id) not in events.calls
    assert engine.was_kicked(client_id)
    with pytest.raises(UnknownClient):
        engine.touch(client_id)
    with pytest.raises(UnknownClient):
        engine.destroy_client(client_id, kick=True)


def test_a_client_that_left_was_not_kicked(engine: Engine) -> None:
    client_id = engine.create_client()
    engine.destroy_client(client_id)
    assert not engine.was_kicked(client_id) and not engine.was_kicked("unknown")


def test_a_client_that_is_not_there_cannot_be_kicked(engine: Engine) -> None:
    with pytest.raises(UnknownClient):
        engine.destroy_client("unknown", kick=True)
    assert not engine.was_kicked("unknown")


def test_it_is_forgotten_in_time(
    make_engine: Callable[..., Engine], engine_settings: object
) -> None:
    engine = make_engine(engine_settings, client_timeout=0.2)
    client_id = engine.create_client()
    engine.destroy_client(client_id, kick=True)
    assert engine.was_kicked(client_id)
    eventually(lambda: not engine.was_kicked(client_id))
