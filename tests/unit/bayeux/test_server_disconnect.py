from __future__ import annotations

import pytest

from faye_redis.errors import EngineUnavailable

NO_CLIENT = "402:clientId:Missing required parameter"


def disconnect(**fields):
    message = {"channel": "/meta/disconnect", "clientId": "fakeclientid", **fields}
    return {key: value for key, value in message.items() if value is not ...}


def failed(error, **kept):
    return {"channel": "/meta/disconnect", "successful": False, "error": error, **kept}


def test_success(bayeux):
    assert bayeux.reply(disconnect(id="1")) == {
        "id": "1", "channel": "/meta/disconnect", "clientId": "fakeclientid", "successful": True}
    assert bayeux.calls == [("destroy_client", "fakeclientid")]
    assert bayeux.link.left == ["fakeclientid"]


def test_events(bayeux):
    bayeux.engine.clients["fakeclientid"] = ["/a", "/b/*"]
    bayeux.send(disconnect())
    assert bayeux.events == [("unsubscribe", "fakeclientid", "/a"),
                             ("unsubscribe", "fakeclientid", "/b/*"),
                             ("disconnect", "fakeclientid")]


def test_connection_is_released_after_the_reply_was_made(bayeux):
    order = []

    class Outgoing:
        def outgoing(self, message, callback):
            order.append("reply")
            callback(message)

    bayeux.extensions.add(Outgoing())
    bayeux.link.disconnected = lambda client_id: order.append(client_id)
    bayeux.send(disconnect())
    assert order == ["reply", "fakeclientid"]


def test_unknown_client(bayeux):
    bayeux.engine.clients.clear()
    assert bayeux.reply(disconnect()) == failed("401:fakeclientid:Unknown client")
    assert bayeux.link.left == [] and bayeux.events == []


def test_twice(bayeux):
    assert bayeux.reply(disconnect())["successful"] is True
    assert bayeux.reply(disconnect()) == failed("401:fakeclientid:Unknown client")


def test_malformed_client_id(bayeux):
    assert bayeux.reply(disconnect(clientId="*")) == failed("401:*:Unknown client")
    assert bayeux.calls == []


@pytest.mark.parametrize("client_id", [..., None, "", 0])
def test_missing_client_id(bayeux, client_id):
    assert bayeux.reply(disconnect(clientId=client_id, id=2)) == failed(NO_CLIENT, id=2)


def test_which_error_wins(bayeux):
    assert bayeux.reply(disconnect(error="preset", clientId=...), None) == failed(NO_CLIENT)
    assert bayeux.reply(disconnect(error="preset"), None) == failed("preset")
    bayeux.engine.clients.clear()
    assert bayeux.reply(disconnect(error="preset"), None) == failed(
        "401:fakeclientid:Unknown client")
    assert bayeux.link.left == [] and bayeux.events == []


def test_store_down(bayeux):
    bayeux.engine.failure = EngineUnavailable("Redis is down")
    assert bayeux.reply(disconnect()) == failed("500::Internal server error")
    assert bayeux.link.left == []
