"""Subscribe and unsubscribe: the same rules, fields and errors."""

from __future__ import annotations

import pytest
from remote import REMOTE

from faye_redis.bayeux.limits import SubscriptionLimits
from faye_redis.errors import EngineUnavailable, TooMany

NO_CLIENT = "402:clientId:Missing required parameter"
NO_SUBSCRIPTION = "402:subscription:Missing required parameter"
UNKNOWN = "401:fakeclientid:Unknown client"


@pytest.fixture(params=["subscribe", "unsubscribe"])
def verb(request):
    return request.param


def change(verb, **fields):
    message = {"channel": f"/meta/{verb}", "clientId": "fakeclientid", "subscription": "/foo",
               **fields}
    return {key: value for key, value in message.items() if value is not ...}


def expected(verb, **fields):
    reply = {"channel": f"/meta/{verb}", "clientId": "fakeclientid", "subscription": "/foo",
             "successful": "error" not in fields, **fields}
    return {key: value for key, value in reply.items() if value is not ...}


@pytest.mark.parametrize(("subscription", "names"), [
    ("/foo", ["/foo"]), ("/foo/*", ["/foo/*"]), ("/**", ["/**"]),
    (["/foo"], ["/foo"]), (["/foo", "/bar/**"], ["/foo", "/bar/**"]),
    (["/b", "/a", "/b"], ["/b", "/a"]),
], ids=repr)
def test_success(bayeux, verb, subscription, names):
    reply = bayeux.reply(change(verb, subscription=subscription, id=4))
    assert reply == expected(verb, subscription=subscription, id=4)
    assert bayeux.calls == [(verb, "fakeclientid", names)]


def test_events_only_for_what_changed(bayeux):
    bayeux.engine.clients["fakeclientid"] = ["/a"]
    bayeux.send(change("subscribe", subscription=["/a", "/b", "/c", "/b"]))
    bayeux.send(change("unsubscribe", subscription=["/x", "/c", "/a"]))
    bayeux.send(change("unsubscribe", subscription="/c"))
    assert bayeux.events == [
        ("subscribe", "fakeclientid", "/b"), ("subscribe", "fakeclientid", "/c"),
        ("unsubscribe", "fakeclientid", "/c"), ("unsubscribe", "fakeclientid", "/a")]


def test_empty_list_changes_nothing(bayeux, verb):
    assert bayeux.reply(change(verb, subscription=[])) == expected(verb, subscription=[])
    assert bayeux.calls == [("touch", "fakeclientid")]
    bayeux.engine.clients.clear()
    assert bayeux.reply(change(verb, subscription=[])) == expected(
        verb, subscription=[], error=UNKNOWN)


def test_failure_keeps_client_id_and_subscription(bayeux, verb):
    bayeux.engine.clients.clear()
    assert bayeux.reply(change(verb, id="1", subscription=["/a", "/b"])) == expected(
        verb, id="1", subscription=["/a", "/b"], error=UNKNOWN)
    assert bayeux.events == []


@pytest.mark.parametrize("client_id", [..., None, "", 0])
def test_missing_client_id(bayeux, verb, client_id):
    assert bayeux.reply(change(verb, clientId=client_id)) == expected(
        verb, clientId=..., error=NO_CLIENT)


def test_malformed_client_id(bayeux, verb):
    assert bayeux.reply(change(verb, clientId="a:b")) == expected(
        verb, clientId="a:b", error="401:a:b:Unknown client")
    assert bayeux.calls == []


@pytest.mark.parametrize("subscription", [..., None, "", 0, False])
def test_missing_subscription(bayeux, verb, subscription):
    assert bayeux.reply(change(verb, subscription=subscription)) == expected(
        verb, subscription=[], error=NO_SUBSCRIPTION)


@pytest.mark.parametrize("name", ["foo", "/", "/a/", "/a//b", "/a/*/b", "/***", "/fo o", "/a\n",
                                  "/é", "/meta/"])
def test_invalid_channel(bayeux, verb, name):
    assert bayeux.reply(change(verb, subscription=name)) == expected(
        verb, subscription=name, error=f"405:{name[:255]}:Invalid channel")


@pytest.mark.parametrize(("subscription", "text"), [
    (5, "5"), (True, "true"), ({}, "[object Object]"), ([5], "5"), ([None], ""), ([""], ""),
    ([["/a", "/b"]], "/a,/b"),
], ids=repr)
def test_what_is_no_name_is_no_channel(bayeux, verb, subscription, text):
    assert bayeux.reply(change(verb, subscription=subscription)) == expected(
        verb, subscription=subscription, error=f"405:{text}:Invalid channel")


def test_longest_channel(bayeux, verb):
    assert bayeux.reply(change(verb, subscription="/" + "a" * 254))["successful"] is True


@pytest.mark.parametrize("name", ["/meta/connect", "/meta/*", "/meta/**", "/meta", "/service/x",
                                  "/service/**", "/service"])
def test_meta_and_service_channels_are_for_local_clients(bayeux, verb, name):
    assert bayeux.reply(change(verb, subscription=name)) == expected(
        verb, subscription=name, error=f"403:{name}:Forbidden channel")
    assert bayeux.calls == [("touch", "fakeclientid")]
    assert bayeux.reply(change(verb, subscription=name), request=None)["successful"] is True
    assert bayeux.calls[1:] == [(verb, "fakeclientid", [name])]


def test_local_clients_need_valid_channels_too(bayeux, verb):
    reply = bayeux.reply(change(verb, subscription="/meta/"), request=None)
    assert reply["error"] == "405:/meta/:Invalid channel"


@pytest.mark.parametrize(("names", "error"), [
    (["/a", "bad"], "405:bad:Invalid channel"),
    (["/a", "/meta/x", "/b"], "403:/meta/x:Forbidden channel"),
    (["bad", "/meta/x"], "405:bad:Invalid channel"),
    (["/meta/x", "bad"], "403:/meta/x:Forbidden channel"),
])
def test_all_channels_or_none(bayeux, verb, names, error):
    assert bayeux.reply(change(verb, subscription=names)) == expected(
        verb, subscription=names, error=error)
    assert bayeux.calls == [("touch", "fakeclientid")]
    assert bayeux.events == []


@pytest.mark.parametrize(("name", "text"), [
    ("/" + "a" * 255, "Longer than max_channel_length, 255"),
    ("/a" * 16 + "/*", "More segments than max_channel_segments, 16")])
def test_long_channel(bayeux, verb, name, text):
    assert bayeux.reply(change(verb, subscription=name)) == expected(
        verb, subscription=name, error=f"405:{name[:255]}:{text}")


def test_which_error_wins(bayeux, verb):
    def error(**fields):
        request = None if "error" in fields else REMOTE  # a client cannot set it
        return bayeux.reply(change(verb, **fields), request)["error"]

    assert error(clientId=..., subscription=...) == NO_SUBSCRIPTION
    assert error(clientId=..., subscription="bad") == NO_CLIENT
    assert error(error="preset", subscription=...) == NO_SUBSCRIPTION
    assert error(error="preset", clientId=...) == NO_CLIENT
    assert error(error="preset", subscription="bad") == "preset"
    assert error(error="preset") == "preset"
    bayeux.engine.clients.clear()
    assert error(error="preset") == UNKNOWN
    assert error(subscription="bad") == UNKNOWN
    assert error(subscription="/meta/x") == UNKNOWN
    assert error(subscription=...) == NO_SUBSCRIPTION
    assert {call[0] for call in bayeux.calls} == {"touch"}


def test_too_many(make_bayeux, verb):
    bayeux = make_bayeux(max_subscriptions=2)
    three = ["/a", "/b", "/c"]
    assert bayeux.reply(change(verb, subscription=three[:2]))["successful"] is True
    assert bayeux.reply(change(verb, subscription=three)) == expected(
        verb, subscription=three, error="409:2:Too many subscriptions")
    assert bayeux.reply(change(verb, subscription=three), request=None)["successful"] is True


def test_too_many_with_those_there_are(bayeux):
    bayeux.engine.failure = TooMany("max_wildcards")
    assert bayeux.reply(change("subscribe", subscription="/a/*")) == expected(
        "subscribe", subscription="/a/*", error="409:32:Too many wildcard subscriptions")
    assert bayeux.events == []


def test_the_engine_is_told_the_limits_for_those_who_have_any(bayeux):
    bayeux.send(change("subscribe"))
    assert bayeux.engine.limits == SubscriptionLimits(128, 32)
    bayeux.send(change("subscribe"), None)
    assert bayeux.engine.limits == SubscriptionLimits()


def test_store_down(bayeux, verb):
    bayeux.engine.failure = EngineUnavailable("Redis is down")
    assert bayeux.reply(change(verb)) == expected(verb, error="500::Internal server error")
    assert bayeux.events == []
