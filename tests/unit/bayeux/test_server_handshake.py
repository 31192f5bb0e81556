from __future__ import annotations

import pytest

from faye_redis.errors import EngineUnavailable

TYPES = ["long-polling", "cross-origin-long-polling", "callback-polling", "websocket",
         "eventsource", "in-process"]
NO_VERSION = "402:version:Missing required parameter"
NO_TYPES = "402:supportedConnectionTypes:Missing required parameter"


def handshake(**fields):
    message = {"channel": "/meta/handshake", "version": "1.0",
               "supportedConnectionTypes": ["long-polling"], **fields}
    return {key: value for key, value in message.items() if value is not ...}


def failed(reply, error):
    interval = reply["advice"].pop("interval")
    assert 1000 <= interval < 2000
    assert reply == {
        "channel": "/meta/handshake", "successful": False, "error": error, "version": "1.0",
        "supportedConnectionTypes": TYPES, "advice": {"reconnect": "handshake"}}


def test_success(bayeux):
    assert bayeux.reply(handshake()) == {
        "channel": "/meta/handshake", "successful": True, "version": "1.0",
        "supportedConnectionTypes": TYPES, "clientId": "newclient",
        "advice": {"reconnect": "retry", "interval": 0, "timeout": 25000}}
    assert bayeux.calls == [("create_client",)]
    assert bayeux.events == [("handshake", "newclient")]


def test_local_client(bayeux):
    assert bayeux.reply(handshake(), request=None)["successful"] is True


@pytest.mark.parametrize("message_id", ["foo", "1", 1, 2.5])
def test_id_is_echoed_with_its_type(bayeux, message_id):
    reply = bayeux.reply(handshake(id=message_id))
    assert reply["id"] == message_id and type(reply["id"]) is type(message_id)


def test_what_else_may_be_in_it_is_not_echoed(bayeux):
    reply = bayeux.reply(handshake(minimumVersion="1.0", ext={"a": 1}, advice={"timeout": 0},
                                   clientId="old", data=1, subscription="/x", successful=False))
    assert set(reply) == {"channel", "successful", "version", "supportedConnectionTypes",
                          "clientId", "advice"}
    assert reply["clientId"] == "newclient" and reply["advice"]["timeout"] == 25000


@pytest.mark.parametrize("ack", [True, {"enabled": True}, {"enabled": True, "batch": 1}])
def test_a_client_that_acknowledges(bayeux, ack):
    reply = bayeux.reply(handshake(ext={"ack": ack, "a": 1}))
    assert reply["successful"] is True and reply["ext"] == {"ack": True}
    assert bayeux.calls == [("create_client", True)]


@pytest.mark.parametrize("ext", [
    ..., None, 1, "ack", [], {}, {"ack": False}, {"ack": None}, {"ack": 1}, {"ack": "true"},
    {"ack": {}}, {"ack": {"enabled": False}}, {"ack": {"enabled": 1}}, {"ack": [True]},
])
def test_one_that_does_not(bayeux, ext):
    assert "ext" not in bayeux.reply(handshake(ext=ext))
    assert bayeux.calls == [("create_client",)]


@pytest.mark.parametrize("offered", [["bogus", "websocket"], ["in-process", None], TYPES])
def test_one_common_type_is_enough(bayeux, offered):
    reply = bayeux.reply(handshake(supportedConnectionTypes=offered))
    assert reply["successful"] is True and reply["supportedConnectionTypes"] == TYPES


def test_eventsource_advice(bayeux):
    reply = bayeux.reply(handshake(connectionType="eventsource"))
    assert reply["advice"] == {"reconnect": "retry", "interval": 25000, "timeout": 0}


def test_settings_in_advice(make_bayeux):
    reply = make_bayeux(timeout=10.5, interval=2).reply(handshake())
    assert reply["advice"] == {"reconnect": "retry", "interval": 2000, "timeout": 10500}


@pytest.mark.parametrize("version", [..., None, "", 0, False])
def test_missing_version(bayeux, version):
    failed(bayeux.reply(handshake(version=version)), NO_VERSION)


@pytest.mark.parametrize("version", ["2.0", "0.1", "x", 1, {}])
def test_any_version_will_do(bayeux, version):
    assert bayeux.reply(handshake(version=version))["version"] == "1.0"


@pytest.mark.parametrize("types", [..., None, "", 0, False])
def test_missing_types(bayeux, types):
    failed(bayeux.reply(handshake(supportedConnectionTypes=types)), NO_TYPES)


@pytest.mark.parametrize(("types", "text"), [
    (["iframe", "flash"], "iframe,flash"), (["iframe"], "iframe"), ([], ""), ([1, None], "1,"),
    ("long-polling", "long-polling"), ({}, "[object Object]"), (True, "true"), (5, "5"),
])
def test_no_common_type(bayeux, types, text):
    failed(bayeux.reply(handshake(supportedConnectionTypes=types)),
           f"301:{text}:Connection types not supported")


def test_which_error_wins(bayeux):
    failed(bayeux.reply(handshake(version=..., supportedConnectionTypes=["x"])),
           "301:x:Connection types not supported")
    failed(bayeux.reply(handshake(version=..., supportedConnectionTypes=...)), NO_TYPES)
    failed(bayeux.reply(handshake(error="preset", supportedConnectionTypes=...), None), NO_TYPES)
    failed(bayeux.reply(handshake(error="preset", version=...), None), NO_VERSION)
    failed(bayeux.reply(handshake(error="preset"), None), "preset")
    assert bayeux.calls == [] and bayeux.events == []


def test_a_refused_client_acknowledges_nothing(bayeux):
    assert "ext" not in bayeux.reply(handshake(ext={"ack": True}, version=...))


def test_failure_keeps_id_and_client_id(bayeux):
    reply = bayeux.reply(handshake(id=1, clientId="old", version=...))
    assert (reply["id"], reply["clientId"], reply["successful"]) == (1, "old", False)


def test_store_down(bayeux, caplog):
    bayeux.engine.failure = EngineUnavailable("Redis is down")
    reply = bayeux.reply(handshake(id=1))
    assert 1000 <= reply["advice"].pop("interval") < 2000
    assert reply == {
        "id": 1, "channel": "/meta/handshake", "successful": False,
        "error": "500::Internal server error", "version": "1.0",
        "supportedConnectionTypes": TYPES, "advice": {"reconnect": "retry"}}
    assert bayeux.events == []
    assert "Redis is down" in caplog.text
