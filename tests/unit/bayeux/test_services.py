"""Handlers of service channels."""

from __future__ import annotations

import pytest
from test_server import Extension

from faye_redis.bayeux.policy import Policy
from faye_redis.bayeux.services import Services
from faye_redis.errors import Denied

CALL = {"channel": "/service/add", "id": "7", "data": [1, 2], "clientId": "fakeclientid"}
ACCEPTED = {"channel": "/service/add", "id": "7", "clientId": "fakeclientid", "successful": True}


def test_the_answer_goes_to_the_sender_alone(bayeux):
    bayeux.server.services.add("/service/add", lambda attempt: sum(attempt.data))
    assert bayeux.send(CALL) == [ACCEPTED, {"channel": "/service/add", "id": "7", "data": 3}]
    assert bayeux.calls == [] and bayeux.events == []


@pytest.mark.parametrize("data", [0, False, "", [], {}])
def test_whatever_it_returns_is_an_answer(bayeux, data):
    bayeux.server.services.add("/service/add", lambda attempt: data)
    anonymous = {"channel": "/service/add", "data": 1}
    assert bayeux.send(anonymous)[1:] == [{"channel": "/service/add", "data": data}]


def test_but_none_is_not(bayeux):
    bayeux.server.services.add("/service/add", lambda attempt: None)
    assert bayeux.send(CALL) == [ACCEPTED]


def test_without_a_handler_in_process_subscribers_get_it(bayeux):
    bayeux.server.services.add("/service/other", lambda attempt: 1)
    assert bayeux.send(CALL) == [ACCEPTED]
    assert [call[:2] for call in bayeux.calls] == [("publish", "/service/add")]


def test_a_handler_that_fails(bayeux, caplog):
    bayeux.server.services.add("/service/add", lambda attempt: 1 / 0)
    assert bayeux.send(CALL) == [
        {**ACCEPTED, "successful": False, "error": "500::Internal server error"}]
    assert [record.message for record in caplog.records] == ["/service/add failed"]


def test_a_handler_refuses(bayeux):
    @(lambda handler: bayeux.server.services.add("/service/add", handler))
    def handler(attempt):
        raise Denied("Numbers only")
    assert bayeux.reply(CALL)["error"] == "403:/service/add:Numbers only"


def test_a_policy_is_asked_first(make_bayeux):
    policy, called = Policy(), []
    policy.publish("/service/**")(lambda attempt: attempt.user == "ann")
    bayeux = make_bayeux(policy=policy)
    bayeux.server.services.add("/service/add", called.append)
    assert bayeux.reply(CALL)["error"] == "403:/service/add:Publishing denied"
    assert called == []


def test_answers_pass_the_extensions(bayeux):
    bayeux.server.services.add("/service/add", lambda attempt: 3)
    bayeux.extensions.add(Extension(outgoing=lambda message, request: {**message, "seen": True}))
    assert [message["seen"] for message in bayeux.send(CALL)] == [True, True]


def test_nothing_is_published_in_passing_where_there_are_handlers(bayeux):
    bayeux.monitor.off("publish")
    assert bayeux.server.can_publish_soon([CALL])
    bayeux.server.services.add("/service/add", lambda attempt: 3)
    assert not bayeux.server.can_publish_soon([CALL])


@pytest.mark.parametrize("channel", ["/a", "/service", "/service/*", "/service/**", "/services/a",
                                     "service/a", "/service/a b", ""])
def test_only_service_channels_have_handlers(channel):
    with pytest.raises(ValueError, match="no channel under /service"):
        Services().add(channel, lambda attempt: 1)
