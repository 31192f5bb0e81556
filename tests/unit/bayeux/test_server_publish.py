from __future__ import annotations

import json

import pytest
from remote import REMOTE

from faye_redis.errors import EngineUnavailable

NO_DATA = "402:data:Missing required parameter"


def publish(**fields):
    message = {"channel": "/some/channel", "data": "publish", **fields}
    return {key: value for key, value in message.items() if value is not ...}


def expected(**fields):
    reply = {"channel": "/some/channel", "successful": "error" not in fields, **fields}
    return {key: value for key, value in reply.items() if value is not ...}


def test_success(bayeux):
    assert bayeux.reply(publish()) == expected()
    [(verb, channel, payload, operation)] = bayeux.calls
    assert (verb, channel) == ("publish", "/some/channel")
    assert json.loads(payload) == {
        "channel": "/some/channel", "data": "publish", "id": operation}
    assert bayeux.events == [("publish", None, "/some/channel", "publish")]


def test_reply_has_no_data_and_no_advice(bayeux):
    reply = bayeux.reply(publish(id="7", clientId="c", ext={"a": 1}, advice={}, odd=1))
    assert reply == expected(id="7", clientId="c")


def test_what_subscribers_get(bayeux):
    bayeux.send(publish(id="7", clientId="c", ext={"a": 1}, odd=[None]))
    [(_, _, payload, operation)] = bayeux.calls
    assert json.loads(payload) == {"channel": "/some/channel", "data": "publish", "id": operation,
                                   "ext": {"a": 1}, "odd": [None]}


def test_event_has_the_client_id(bayeux):
    bayeux.send(publish(clientId="c", data={"x": 1}))
    assert bayeux.events == [("publish", "c", "/some/channel", {"x": 1})]


def test_repetition_has_the_same_operation(bayeux):
    for _ in range(2):
        bayeux.send(publish(clientId="c", id=1))
    bayeux.send(publish(clientId="c", id=2))
    first, again, other = [call[3] for call in bayeux.calls]
    assert first == again != other


@pytest.mark.parametrize("data", [None, False, 0, "", [], {}], ids=repr)
def test_empty_data_is_data(bayeux, data):
    assert bayeux.reply(publish(data=data)) == expected()
    assert json.loads(bayeux.calls[0][2])["data"] == data


@pytest.mark.parametrize(("channel", "limit"), [
    ("/" + "a" * 255, "Longer than max_channel_length, 255"),
    ("/a" * 17, "More segments than max_channel_segments, 16")])
def test_long_channel(bayeux, channel, limit):
    assert bayeux.reply(publish(channel=channel)) == expected(
        channel=channel, error=f"405:{channel[:255]}:{limit}")
    assert bayeux.calls == []


def test_missing_data(bayeux):
    assert bayeux.reply(publish(data=...)) == expected(error=NO_DATA)
    assert bayeux.calls == [] and bayeux.events == []


@pytest.mark.parametrize("channel", ["channel", "/", "/a/", "/a b", "/a\n", "/é", "/some/*",
                                     "/**", "/meta/"])
def test_invalid_channel(bayeux, channel):
    assert bayeux.reply(publish(channel=channel)) == expected(
        channel=channel, error=f"405:{channel[:255]}:Invalid channel")
    assert bayeux.calls == []


@pytest.mark.parametrize(("channel", "text"), [
    (..., ""), (None, ""), ("", ""), (0, "0"), (False, "false")])
def test_empty_channel_is_not_echoed(bayeux, channel, text):
    assert bayeux.reply(publish(channel=channel)) == expected(
        channel=..., error=f"405:{text}:Invalid channel")


@pytest.mark.parametrize(("channel", "text"), [
    (5, "5"), (True, "true"), (["/a"], "/a"), ({}, "[object Object]"), ([], "")])
def test_channel_of_another_type(bayeux, channel, text):
    assert bayeux.reply(publish(channel=channel)) == expected(
        channel=channel, error=f"405:{text}:Invalid channel")


def test_longest_channel(bayeux):
    assert bayeux.reply(publish(channel="/" + "a" * 254))["successful"] is True


@pytest.mark.parametrize("request_", [{}, None], ids=["remote", "local"])
def test_service_channels_may_be_published_to(bayeux, request_):
    assert bayeux.reply(publish(channel="/service/x"), request_) == expected(channel="/service/x")
    assert bayeux.calls[0][1] == "/service/x"


@pytest.mark.parametrize("channel", ["/meta/subscribe/x", "/meta/connections", "/meta", "/meta/*",
                                     "/meta/handshake/**"])
@pytest.mark.parametrize("request_", [{}, None], ids=["remote", "local"])
def test_meta_channels_may_not(bayeux, channel, request_):
    message = publish(channel=channel, clientId="fakeclientid", id=1, error="preset")
    assert bayeux.reply(message, request_) == expected(
        channel=channel, clientId="fakeclientid", id=1,
        error=f"403:{channel}:Forbidden channel")
    assert bayeux.calls == []


def test_which_error_wins(bayeux):
    def error(**fields):
        request = None if "error" in fields else REMOTE  # a client cannot set it
        return bayeux.reply(publish(**fields), request)["error"]

    assert error(channel="bad", data=...) == NO_DATA
    assert error(error="preset", data=...) == NO_DATA
    assert error(error="preset", channel="bad") == "405:bad:Invalid channel"
    assert error(error="preset") == "preset"
    assert bayeux.calls == []


def test_failure_keeps_id_and_client_id(bayeux):
    assert bayeux.reply(publish(id=1, clientId="c", data=...)) == expected(
        id=1, clientId="c", error=NO_DATA)


@pytest.mark.parametrize("client_id", ["unknown", "NOT-ONE", 5])
def test_client_id_is_not_checked(bayeux, client_id):
    assert bayeux.reply(publish(clientId=client_id)) == expected(clientId=client_id)


def test_client_id_required(make_bayeux):
    bayeux = make_bayeux(require_client_id=True)
    no_client = "402:clientId:Missing required parameter"
    assert bayeux.reply(publish(clientId="fakeclientid"))["successful"] is True
    assert bayeux.calls.pop()[0] == "publish"
    assert bayeux.reply(publish()) == expected(error=no_client)
    assert bayeux.reply(publish(clientId="b")) == expected(
        clientId="b", error="401:b:Unknown client")
    assert bayeux.reply(publish(clientId="B")) == expected(
        clientId="B", error="401:B:Unknown client")
    assert bayeux.reply(publish(channel="bad")) == expected(
        channel="bad", error="405:bad:Invalid channel")
    assert [call[0] for call in bayeux.calls] == ["touch", "touch"]
    assert bayeux.reply(publish(), request=None) == expected()


def test_store_down(bayeux, caplog):
    bayeux.engine.failure = EngineUnavailable("Redis is down")
    assert bayeux.reply(publish(id=1)) == expected(
        id=1, error="407:/some/channel:Failed to publish")
    assert bayeux.events == []
    assert "Redis is down" in caplog.text
