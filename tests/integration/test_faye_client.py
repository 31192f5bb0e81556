"""Faye's official JavaScript clients against two nodes: one for subscribers, one for publishers.

The same scenarios run against Faye's own server (``reference``, a single process), which shows
that they ask for what Faye does and not for what this server happens to do.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from reference import ReferenceServer

from support import node_js
from support.gunicorn_node import Node
from support.nonsense import no_json

TIMEOUT = 3
"""Seconds a connect is held: short, since an outage may cost one whole hold."""

TRANSPORTS = ("websocket", "long-polling", "eventsource", "cross-origin-long-polling",
              "callback-polling")

GROUP = {"websocket": 200, "callback-polling": 5}
"""Messages published at a time; over HTTP as many as the client puts into one request."""

MESSAGES = 200


class Servers(NamedTuple):
    """Where subscribers and publishers connect."""

    subscriber: str
    publisher: str
    reference: bool


def environment(redis_url: str) -> dict[str, str]:
    """Configuration of both nodes; browsers of any origin are let in."""
    return {
        "FAYE_REDIS_URL": redis_url,
        "FAYE_REDIS_MOUNT": "/faye",
        "FAYE_REDIS_NAMESPACE": f"test-{uuid.uuid4().hex[:12]}",
        "FAYE_REDIS_TIMEOUT": str(TIMEOUT),
        "FAYE_REDIS_ALLOWED_ORIGINS": "*",
    }


@pytest.fixture(scope="module", params=["reference", "redis"])
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    with ExitStack() as stack:
        if request.param == "reference":
            url = stack.enter_context(ReferenceServer(TIMEOUT)).url + "/faye"
            yield Servers(url, url, True)
            return
        env = environment(request.getfixturevalue("redis_server").url)
        one, two = (stack.enter_context(Node(env=env, workers=2)).url for _ in range(2))
        yield Servers(one + "/faye", two + "/faye", False)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(scenario: str, servers: Servers, transport: str, **options: Any) -> dict[str, Any]:
    """Run one scenario; checks that the subscriber really used ``transport``."""
    options = {"subscriber": servers.subscriber, "publisher": servers.publisher,
               "transport": transport, **options}
    result: dict[str, Any] = node_js.run(
        "faye_client.js", scenario, json.dumps(options), timeout=60
    )
    assert result.pop("transport") == transport
    return result


def test_messages_arrive_once_and_in_order(servers: Servers, transport: str) -> None:
    group = GROUP.get(transport, 10)
    result = run("numbered", servers, transport, count=MESSAGES, group=group)
    assert result["publisherTransport"] == transport
    assert result["received"] == [*range(MESSAGES), "end"]
    assert result["ids"] == MESSAGES + 1


def test_wildcards_match_once_each(servers: Servers, transport: str) -> None:
    assert run("wildcards", servers, transport)["seen"] == {
        "/w/a": ["/w/a", "/w/end"],
        "/w/*": ["/w/a", "/w/b", "/w/end"],
        "/w/**": ["/w/a", "/w/b", "/w/a/deep", "/w/end"],
        "/**": ["/w/a", "/w/b", "/w/a/deep", "/other/a", "/w/end"],
    }


def test_overlapping_subscriptions_bring_one_copy(servers: Servers, transport: str) -> None:
    assert run("overlapping", servers, transport)["copies"] == [[1, 2, 3, "end"]] * 2


def test_large_unicode_payload_is_intact(servers: Servers, transport: str) -> None:
    # A URL cannot hold it: what JSONP receives is published otherwise.
    publisher = "long-polling" if transport == "callback-polling" else transport
    result = run("unicode", servers, transport, publisherTransport=publisher, bytes=50_000)
    assert result["bytes"] >= 50_000
    assert result["received"] == [result["sent"]]


def test_unsubscribed_channel_brings_nothing(servers: Servers, transport: str) -> None:
    result = run("unsubscribe", servers, transport)
    assert result == {"received": ["before"], "successful": True}


def test_refusals(servers: Servers, transport: str) -> None:
    result = run("refusals", servers, transport)
    assert result["subscribed"] == {
        "/meta/connect": [403, ["/meta/connect"], "Forbidden channel"],
        "/meta/other": [403, ["/meta/other"], "Forbidden channel"],
        "/service/x": [403, ["/service/x"], "Forbidden channel"],
        "/not a channel": [405, ["/not a channel"], "Invalid channel"],
        "no-slash": [405, ["no-slash"], "Invalid channel"],
        "/a/**/b": [405, ["/a/**/b"], "Invalid channel"],
        "/ok/**": "succeeded",
    }
    assert result["published"] == {
        "/meta/other": [403, ["/meta/other"], "Forbidden channel"],
        "/a/*": [405, ["/a/*"], "Invalid channel"],
        "/not a channel": [405, ["/not a channel"], "Invalid channel"],
        "/service/x": "succeeded",
        "/ok/x": "succeeded",
        "no data": [402, ["data"], "Missing required parameter"],
    }
    assert result["received"] == ["/ok/x"]


def test_an_error_without_a_channel_is_no_harm(servers: Servers) -> None:
    """Faye passes over what is no JSON; here its client is told, and has nobody to tell."""
    refusal = {"successful": False, "error": no_json("{")}
    assert run("nonsense", servers, "websocket") == {
        "odd": [] if servers.reference else [refusal],
        "received": ["before", "behind", "end"],
        "clientIds": 1,
    }


def test_goodbye_ends_delivery_and_a_new_client_gets_the_rest(
    servers: Servers, transport: str
) -> None:
    assert run("goodbye", servers, transport)["received"] == [["first"], ["end"]]


def test_session_survives_an_outage(servers: Servers, transport: str) -> None:
    # Faye loses what it answers to a poll that is gone; EventSource has no confirmation.
    meanwhile = not servers.reference and transport != "eventsource"
    result = run("outage", servers, transport, meanwhile=meanwhile)
    assert result["clientIds"] == 1
    assert result["received"] == ["before", *(["meanwhile"] if meanwhile else []), "end"]


def test_dropped_client_comes_back_with_its_subscriptions(
    servers: Servers, transport: str
) -> None:
    assert run("dropped", servers, transport) == {
        "goodbye": True,
        "subscribed": True,
        "received": ["before", "end"],
        "clientIds": 2,
    }
