"""Clients bound to whoever shook hands."""

from __future__ import annotations

from typing import Any

import pytest

from faye_redis.errors import EngineUnavailable

ANN, BOB, NOBODY = {"user": "ann"}, {"user": "bob"}, {"user": None}
VERBS = {
    "connect": {"channel": "/meta/connect", "connectionType": "long-polling"},
    "subscribe": {"channel": "/meta/subscribe", "subscription": "/a"},
    "unsubscribe": {"channel": "/meta/unsubscribe", "subscription": "/a"},
    "disconnect": {"channel": "/meta/disconnect"},
    "publish": {"channel": "/a", "data": 1},
}


@pytest.fixture
def bayeux(make_bayeux):
    return make_bayeux(bind_clients=lambda environ: environ["user"])


def handshake(bayeux: Any, environ: Any) -> str:
    return bayeux.reply({"channel": "/meta/handshake", "version": "1.0",
                         "supportedConnectionTypes": ["websocket"]}, environ)["clientId"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("owner", "other"), [(ANN, BOB), (ANN, NOBODY), (NOBODY, ANN)])
def test_only_who_shook_hands_can_act_as_the_client(bayeux, verb, owner, other, caplog):
    client_id = handshake(bayeux, owner)
    del bayeux.calls[:], bayeux.events[:]
    message = {**VERBS[verb], "clientId": client_id}
    assert bayeux.reply(message, other)["error"] == f"401:{client_id}:Unknown client"
    assert bayeux.calls == [] and bayeux.events == []
    assert bayeux.link.pending == []
    assert [record.message for record in caplog.records] == [
        "client newcli... is bound to somebody else than who uses it"]
    assert bayeux.reply(message, lambda: owner)["successful"] is True


def test_what_it_is_bound_to_is_stored_as_a_digest(bayeux):
    client_id = handshake(bayeux, ANN)
    binding = bayeux.engine.owners[client_id].binding
    assert len(binding) == 32 and "ann" not in binding


def test_a_client_that_nobody_bound_is_nobodys(bayeux):
    message = {**VERBS["subscribe"], "clientId": "fakeclientid"}
    assert bayeux.reply(message, ANN)["error"] == "401:fakeclientid:Unknown client"


@pytest.mark.parametrize("client_id", ["unknown", "NOT-ONE", 5, None])
def test_a_publisher_that_is_no_client_is_left_to_other_rules(bayeux, client_id):
    assert bayeux.reply({**VERBS["publish"], "clientId": client_id}, BOB)["successful"] is True


def test_the_in_process_client_is_bound_to_nothing(bayeux):
    client_id = handshake(bayeux, None)
    assert bayeux.engine.owners[client_id].binding == ""
    assert bayeux.reply({**VERBS["subscribe"], "clientId": client_id}, None)["successful"] is True


def test_the_engine_is_asked_once(bayeux):
    client_id = handshake(bayeux, ANN)
    asked = []
    owner = bayeux.engine.owner
    bayeux.engine.owner = lambda client_id: asked.append(client_id) or owner(client_id)
    for _ in range(3):
        bayeux.send({**VERBS["subscribe"], "clientId": client_id}, ANN)
    assert asked == []  # the function was taken at the start
    assert bayeux.server._sessions._owner.cache_info()[:2] == (2, 1)


def test_strangers_are_not_charged_to_the_owner(make_bayeux):
    bayeux = make_bayeux(bind_clients=lambda environ: environ["user"], max_message_rate=5)
    client_id = handshake(bayeux, ANN)
    for user in (BOB, ANN):
        bayeux.send({**VERBS["publish"], "clientId": client_id}, user)
    assert bayeux.link.asked == [client_id]


def test_an_extension_cannot_make_it_somebody_elses(bayeux):
    client_id = handshake(bayeux, ANN)

    class Extension:
        def incoming(self, message, callback):
            callback({**message, "clientId": client_id})
    bayeux.extensions.add(Extension())
    message = {**VERBS["publish"], "clientId": "unknown"}
    assert bayeux.reply(message, BOB)["error"] == f"401:{client_id}:Unknown client"
    assert bayeux.reply(message, ANN)["successful"] is True


def test_all_are_forgotten(bayeux):
    client_id = handshake(bayeux, ANN)
    bayeux.send({**VERBS["subscribe"], "clientId": client_id}, ANN)
    bayeux.server.forget_owners()
    del bayeux.engine.clients[client_id]
    assert not bayeux.server.knows(client_id)


def test_store_down(make_bayeux):
    bayeux = make_bayeux(bind_clients=lambda environ: environ["user"])
    client_id = handshake(bayeux, ANN)
    bayeux.engine.failure = EngineUnavailable("Redis is down")
    reply = bayeux.reply({**VERBS["subscribe"], "clientId": client_id}, ANN)
    assert reply["error"] == "500::Internal server error"


def test_unbound_clients_are_anyones(make_bayeux):
    bayeux = make_bayeux()
    client_id = handshake(bayeux, ANN)
    assert bayeux.engine.owners[client_id].binding == ""
    assert bayeux.reply({**VERBS["subscribe"], "clientId": client_id}, BOB)["successful"] is True
    assert bayeux.server._sessions._owner.cache_info().misses == 0
