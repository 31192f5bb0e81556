from __future__ import annotations

import orjson
import pytest

from faye_redis.errors import EngineUnavailable, Superseded, UnknownClient

UNKNOWN = "401:fakeclientid:Unknown client"
NO_CLIENT = "402:clientId:Missing required parameter"
NO_TYPE = "402:connectionType:Missing required parameter"
RETRY = {"reconnect": "retry", "interval": 0, "timeout": 25000}


def connect(**fields):
    message = {"channel": "/meta/connect", "clientId": "fakeclientid",
               "connectionType": "long-polling", **fields}
    return {key: value for key, value in message.items() if value is not ...}


def failed(reply, error, reconnect="handshake"):
    assert 1000 <= reply["advice"].pop("interval") < 2000
    assert reply == {"channel": "/meta/connect", "successful": False, "error": error,
                     "advice": {"reconnect": reconnect}}


def test_success(bayeux):
    assert bayeux.reply(connect()) == {
        "channel": "/meta/connect", "clientId": "fakeclientid", "successful": True,
        "advice": RETRY}
    assert bayeux.events == []


def test_reply_comes_before_the_messages(bayeux):
    bayeux.link.inbox = [b'{"channel":"/a","data":1}', b'{"channel":"/b","data":2}']
    replies = bayeux.send(connect(id="7"))
    assert replies == [
        {"id": "7", "channel": "/meta/connect", "clientId": "fakeclientid", "successful": True,
         "advice": RETRY},
        {"channel": "/a", "data": 1}, {"channel": "/b", "data": 2}]


def test_no_reply_when_the_link_sends_it_later(bayeux):
    kept = []

    class Socket:
        def connect(self, pending):
            kept.append(pending)
            return []

    assert bayeux.server.process(connect(id=3), {}, Socket()) == []
    [reply] = kept[0].finish()
    assert reply == (b'{"id":3,"clientId":"fakeclientid","channel":"/meta/connect",'
                     b'"successful":true,'
                     b'"advice":{"reconnect":"retry","interval":0,"timeout":25000}}')


def test_pending(bayeux):
    request = {"REMOTE_ADDR": "x"}
    bayeux.send(connect(id="zik0zj", advice={"timeout": 5000}), request)
    [pending] = bayeux.link.pending
    assert pending.client_id == "fakeclientid"
    assert pending.connect_id == "zik0zj"
    assert pending.hold == 5.0
    assert pending.request is request


@pytest.mark.parametrize(("message_id", "expected"), [
    (..., ""), (None, ""), ("", ""), (0, "0"), (12, "12"), ("12", "12"), ("a1", "a1"),
    ("6ba7b810-9dad-11d1-80b4", ""), ("x" * 17, ""), (1.5, ""),
])
def test_connect_id(bayeux, message_id, expected):
    bayeux.send(connect(id=message_id))
    assert bayeux.link.pending[0].connect_id == expected


@pytest.mark.parametrize(("advice", "hold"), [
    (..., 25), ({"timeout": 0}, 0), ({"timeout": 60000}, 25), ({"timeout": "0"}, 25), (5, 25)])
def test_hold(bayeux, advice, hold):
    reply = bayeux.reply(connect(advice=advice))
    assert bayeux.link.pending[0].hold == hold
    assert reply["advice"] == RETRY


@pytest.mark.parametrize(("ext", "ack"), [
    (..., None), (None, None), ([1], None), ({}, None), ({"ack": None}, None), ({"ack": 0}, 0),
    ({"ack": 1_700_000_000_000_000, "a": 1}, 1_700_000_000_000_000), ({"ack": True}, None),
    ({"ack": False}, None), ({"ack": 1.5}, None), ({"ack": "1"}, None), ({"ack": -1}, -1),
    ({"ack": 2**53}, None),
])
def test_ack(bayeux, ext, ack):
    reply = bayeux.reply(connect(ext=ext))
    assert bayeux.link.pending[0].acknowledged == ack
    assert "ext" not in reply


def test_the_number_of_the_batch(bayeux):
    class Acknowledging:
        def connect(self, pending):
            pending.ask_for_acknowledgement(1_700_000_000_000_000)
            return pending.finish()

    bayeux.link.connect = Acknowledging().connect
    reply = bayeux.reply(connect(ext={"ack": 5, "other": 1}))
    assert reply["ext"] == {"ack": 1_700_000_000_000_000}


@pytest.mark.parametrize(("failure", "text", "reconnect"), [
    (UnknownClient("fakeclientid"), UNKNOWN, "handshake"),
    (EngineUnavailable("Redis is down"), "500::Internal server error", "retry"),
    (ZeroDivisionError("a bug"), "500::Internal server error", "retry"),
])
def test_what_fails_later_is_an_error_reply(bayeux, failure, text, reconnect):
    def fail():
        raise failure

    bayeux.send(connect())
    [reply] = map(orjson.loads, bayeux.link.pending[0].serve(fail))
    failed(reply, text, reconnect)


def test_superseded_later(bayeux):
    def fail():
        raise Superseded("newer connect")

    bayeux.send(connect())
    with pytest.raises(Superseded):
        bayeux.link.pending[0].serve(fail)


def test_reply_may_be_changed_until_it_is_sent(bayeux):
    class Draining:
        def connect(self, pending):
            pending.reply["advice"]["interval"] = 1234
            return pending.finish()

    bayeux.link.connect = Draining().connect
    assert bayeux.reply(connect())["advice"]["interval"] == 1234


def test_eventsource_is_answered_at_once(bayeux):
    assert bayeux.reply(connect(connectionType="eventsource", id=1)) == {
        "id": 1, "channel": "/meta/connect", "clientId": "fakeclientid", "successful": True,
        "advice": {"reconnect": "retry", "interval": 25000, "timeout": 0}}
    assert bayeux.link.pending == []
    assert bayeux.calls == [("touch", "fakeclientid", "1")]


def test_eventsource_of_unknown_client(bayeux):
    bayeux.engine.clients.clear()
    failed(bayeux.reply(connect(connectionType="eventsource")), UNKNOWN)


def test_unknown_client(bayeux):
    bayeux.engine.clients.clear()
    failed(bayeux.reply(connect()), UNKNOWN)


@pytest.mark.parametrize(("client_id", "text"), [
    ("ABC", "ABC"), ("a:b", "a:b"), ("*", "*"), ("a\n", "a\n"), ("a" * 65, "a" * 65), (5, "5"),
    ([], ""), ({}, "[object Object]"), (True, "true"), (["fakeclientid"], "fakeclientid"),
])
def test_malformed_client_id_is_unknown_without_asking(bayeux, client_id, text):
    failed(bayeux.reply(connect(clientId=client_id)), f"401:{text}:Unknown client")
    assert bayeux.calls == [] and bayeux.link.pending == []


@pytest.mark.parametrize("client_id", [..., None, "", 0, False])
def test_missing_client_id(bayeux, client_id):
    failed(bayeux.reply(connect(clientId=client_id)), NO_CLIENT)


@pytest.mark.parametrize(("connection_type", "text"), [
    ("flash", "flash"), ("Websocket", "Websocket"), (5, "5"), ({}, "[object Object]"),
    (["websocket"], "websocket"), ([], ""),
])
def test_unknown_connection_type(bayeux, connection_type, text):
    failed(bayeux.reply(connect(connectionType=connection_type)),
           f"301:{text}:Connection types not supported")


@pytest.mark.parametrize("connection_type", [..., None, "", 0, False])
def test_missing_connection_type(bayeux, connection_type):
    failed(bayeux.reply(connect(connectionType=connection_type)), NO_TYPE)


@pytest.mark.parametrize("connection_type", [
    "long-polling", "cross-origin-long-polling", "callback-polling", "websocket", "in-process"])
def test_known_connection_types(bayeux, connection_type):
    assert bayeux.reply(connect(connectionType=connection_type))["successful"] is True


def test_which_error_wins(bayeux):
    failed(bayeux.reply(connect(clientId=..., connectionType=...)), NO_TYPE)
    failed(bayeux.reply(connect(clientId=..., connectionType="x")),
           "301:x:Connection types not supported")
    failed(bayeux.reply(connect(error="preset", connectionType=...), None), NO_TYPE)
    failed(bayeux.reply(connect(error="preset", clientId=...), None), NO_CLIENT)
    failed(bayeux.reply(connect(error="preset"), None), "preset")
    bayeux.engine.clients.clear()
    failed(bayeux.reply(connect(error="preset"), None), UNKNOWN)
    failed(bayeux.reply(connect(connectionType="x")), "301:x:Connection types not supported")
    assert bayeux.link.pending == []


def test_failure_keeps_the_id(bayeux):
    assert bayeux.reply(connect(id="1", clientId=...))["id"] == "1"


def test_client_lost_while_held(bayeux):
    bayeux.link.failure = UnknownClient("fakeclientid")
    failed(bayeux.reply(connect()), UNKNOWN)


def test_superseded_is_left_to_the_transport(bayeux):
    bayeux.link.failure = Superseded("newer connect")
    with pytest.raises(Superseded):
        bayeux.send(connect())


@pytest.mark.parametrize("connection_type", ["long-polling", "eventsource"])
def test_store_down(bayeux, connection_type):
    bayeux.engine.failure = EngineUnavailable("Redis is down")
    failed(bayeux.reply(connect(connectionType=connection_type)),
           "500::Internal server error", reconnect="retry")
