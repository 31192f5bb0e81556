"""Policies: whom they ask about what, and how the server says no."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from remote import REMOTE

from faye_redis.bayeux.policy import Attempt, Policy
from faye_redis.engines.base import Owner
from faye_redis.errors import Denied, EngineUnavailable

HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0",
             "supportedConnectionTypes": ["websocket"], "id": "1"}
DENIED = "403::Handshake denied"


def subscribe(*names: str) -> dict[str, Any]:
    return {"channel": "/meta/subscribe", "clientId": "fakeclientid", "subscription": list(names)}


def publish(channel: str = "/a", **fields: Any) -> dict[str, Any]:
    return {"channel": channel, "data": 1, "clientId": "fakeclientid", **fields}


class Asked:
    """A rule that writes down what it is asked about."""

    def __init__(self, verdict: Any = True) -> None:
        self.verdict = verdict
        self.attempts: list[Attempt] = []

    def __call__(self, attempt: Attempt) -> Any:
        self.attempts.append(attempt)
        return self.verdict

    @property
    def channels(self) -> list[str]:
        return [attempt.channel for attempt in self.attempts]


@pytest.fixture
def policy() -> Policy:
    return Policy()


@pytest.fixture
def bayeux(make_bayeux, policy):
    return make_bayeux(policy=policy)


# Handshake

@pytest.mark.parametrize("verdict", [None, False, "", 0, []])
def test_what_is_not_true_refuses_a_handshake_for_good(bayeux, policy, verdict):
    policy.handshake(Asked(verdict))
    reply = bayeux.reply(HANDSHAKE)
    assert (reply["successful"], reply["error"]) == (False, DENIED)
    assert reply["advice"]["reconnect"] == "none"
    assert "clientId" not in reply and bayeux.calls == [] and bayeux.events == []


def test_every_rule_has_to_allow_it(bayeux, policy):
    policy.handshake(Asked(True))
    policy.handshake(last := Asked(True))
    assert bayeux.reply(HANDSHAKE)["successful"] is True
    last.verdict = False
    assert bayeux.reply(HANDSHAKE)["error"] == DENIED


@pytest.mark.parametrize(("verdicts", "user"), [
    ([True], ""), (["ann"], "ann"), ([True, "ann", "ann"], "ann"), (["x" * 255], "x" * 255)])
def test_a_string_is_the_user(bayeux, policy, verdicts, user):
    for verdict in verdicts:
        policy.handshake(Asked(verdict))
    client_id = bayeux.reply(HANDSHAKE)["clientId"]
    assert bayeux.engine.owners[client_id] == Owner(user)


def test_two_users_are_none(bayeux, policy):
    for user in ("ann", "bob"):
        policy.handshake(Asked(user))
    reply = bayeux.reply(HANDSHAKE)
    assert (reply["error"], reply["advice"]["reconnect"]) == (DENIED, "none")
    assert bayeux.calls == []


@pytest.mark.parametrize(("verdict", "why"), [
    (5, "a string"), (1, "a string"), (["ann"], "a string"), ({"user": "ann"}, "a string"),
    (object(), "a string"), ("*", "no wildcard"), ("**", "no wildcard"), ("x" * 256, "255")])
def test_a_user_is_a_string(bayeux, policy, verdict, why, caplog):
    policy.handshake(Asked(verdict))
    assert bayeux.reply(HANDSHAKE)["error"] == "500::Internal server error"
    assert bayeux.calls == []
    assert "the name of a user is" in caplog.text and why in caplog.text


def test_the_rule_has_a_text_and_an_advice(bayeux, policy):
    @policy.handshake
    def busy(attempt: Attempt) -> None:
        raise Denied("Come back on Monday", reconnect="handshake")
    reply = bayeux.reply(HANDSHAKE)
    assert reply["error"] == "403::Come back on Monday"
    assert reply["advice"]["reconnect"] == "handshake"
    assert 1000 <= reply["advice"]["interval"] < 2000


def test_a_rule_that_fails_allows_nothing(bayeux, policy, caplog):
    policy.handshake(lambda attempt: 1 / 0)
    reply = bayeux.reply(HANDSHAKE)
    assert reply["error"] == "500::Internal server error"
    assert "clientId" not in reply and bayeux.calls == []
    assert [record.message for record in caplog.records] == ["/meta/handshake failed"]


def test_the_in_process_client_is_trusted(bayeux, policy):
    for add in (policy.handshake, policy.subscribe("/**"), policy.publish("/**")):
        add(Asked(False))
    for message in (HANDSHAKE, subscribe("/a"), publish()):
        assert bayeux.reply(message, None)["successful"] is True


def test_what_a_rule_sees_of_the_request(bayeux, policy):
    policy.handshake(rule := Asked())
    environ = {**REMOTE, "HTTP_COOKIE": "a=1; session=\"x y\"; bad[]=2", "HTTP_X_TOKEN": "t"}
    bayeux.send({**HANDSHAKE, "ext": {"token": "secret"}}, environ)
    bayeux.send(HANDSHAKE, lambda: environ)
    for attempt in rule.attempts:
        assert attempt.environ is environ
        assert attempt.header("x-token") == "t" and attempt.header("X-None") is None
        assert (attempt.action, attempt.channel, attempt.client_id) == ("handshake", "", None)
    assert rule.attempts[0].take("token") == "secret"
    assert rule.attempts[1].take("token") is None


def test_cookies_and_headers_are_those_of_the_request():
    attempt = Attempt("handshake", {}, lambda: {"HTTP_COOKIE": "a[]=1; b=2", "CONTENT_TYPE": "x/y"})
    assert attempt.cookies == {"a[]": "1", "b": "2"}
    assert attempt.header("Content-Type") == "x/y"


# Subscribe

@pytest.mark.parametrize(("pattern", "name", "asked"), [
    ("/a", "/a", "/a"), ("/a", "/b", None), ("/a", "/*", "/a"), ("/a", "/**", "/a"),
    ("/a", "/a/*", None), ("/a/*", "/a/b", "/a/b"), ("/a/*", "/a/b/c", None),
    ("/a/*", "/a/*", "/a/*"), ("/a/*", "/a/**", "/a/*"), ("/a/*", "/**", "/a/*"),
    ("/a/*", "/*", None), ("/a/**", "/a/*", "/a/*"), ("/a/**", "/a/b/**", "/a/b/**"),
    ("/a/**", "/**", "/a/**"), ("/a/**", "/ab/c", None), ("/a/**", "/a", None),
    ("/**", "/x", "/x"), ("/**", "/x/*", "/x/*"), ("/**", "/**", "/**"), ("/*", "/**", "/*"),
    ("/*", "/x", "/x"), ("/*", "/x/y", None), ("/*", "/x/*", None), ("/a/b/**", "/a/*", None),
])
def test_a_rule_is_asked_about_what_it_has_in_common(bayeux, policy, pattern, name, asked):
    policy.subscribe(pattern)(rule := Asked())
    assert bayeux.reply(subscribe(name))["successful"] is True
    assert rule.channels == ([] if asked is None else [asked])
    rule.verdict = False
    assert bayeux.reply(subscribe(name))["successful"] is (asked is None)


def test_a_list_is_asked_about_one_by_one_and_changed_as_a_whole(bayeux, policy):
    policy.subscribe("/users/*")(lambda attempt: attempt.channel == "/users/ann")
    reply = bayeux.reply(subscribe("/a", "/users/ann", "/users/bob", "/users/eve"))
    assert reply["error"] == "403:/users/bob:Subscription denied"
    assert "advice" not in reply
    assert bayeux.engine.clients["fakeclientid"] == [] and bayeux.events == []
    assert bayeux.reply(subscribe("/a", "/users/ann"))["successful"] is True


@pytest.mark.parametrize("name", ["/users/*", "/users/**", "/**"])
def test_a_pattern_needs_the_right_to_all_that_it_covers(bayeux, policy, name):
    policy.subscribe("/users/*")(lambda attempt: attempt.channel == f"/users/{attempt.user}")
    bayeux.engine.owners["fakeclientid"] = Owner("ann")
    assert bayeux.reply(subscribe("/users/ann"))["successful"] is True
    assert bayeux.reply(subscribe(name))["error"] == f"403:{name}:Subscription denied"


def test_the_user_of_an_attempt_is_that_of_the_handshake(bayeux, policy):
    policy.handshake(lambda attempt: attempt.take("name"))
    policy.subscribe("/**")(rule := Asked())
    policy.publish("/**")(rule)
    client_id = bayeux.reply({**HANDSHAKE, "ext": {"name": "ann"}})["clientId"]
    bayeux.send({**subscribe("/a"), "clientId": client_id})
    bayeux.send({**publish(), "clientId": client_id})
    assert [(one.action, one.user, one.client_id) for one in rule.attempts] == [
        ("subscribe", "ann", client_id), ("publish", "ann", client_id)]


def test_what_was_taken_for_one_channel_is_there_for_the_next(bayeux, policy):
    policy.subscribe("/a/**", "/b/**")(lambda attempt: attempt.take("token") == "secret")
    for token, allowed in (("secret", True), ("other", False)):
        reply = bayeux.reply({**subscribe("/a/1", "/b/1", "/**"), "ext": {"token": token}})
        assert reply["successful"] is allowed


def test_a_rule_can_tell_a_pattern(bayeux, policy):
    policy.subscribe("/a/**")(lambda attempt: not attempt.is_pattern)
    allowed = [bayeux.reply(subscribe(name))["successful"]
               for name in ("/a/1", "/a/*", "/a/b/**", "/**", "/b/*")]
    assert allowed == [True, False, False, False, True]


def test_unsubscribe_is_always_allowed(bayeux, policy):
    policy.subscribe("/**")(Asked(False))
    assert bayeux.reply({**subscribe("/a"), "channel": "/meta/unsubscribe"})["successful"] is True


def test_an_unknown_client_is_told_so(bayeux, policy):
    policy.subscribe("/**")(rule := Asked(False))
    reply = bayeux.reply({**subscribe("/a"), "clientId": "unknown"})
    assert reply["error"] == "401:unknown:Unknown client"
    assert rule.attempts == []


# Publish

def test_publishing(bayeux, policy):
    policy.publish("/private/**")(lambda attempt: attempt.user == "ann")
    reply = bayeux.reply(publish("/private/x"))
    assert reply["error"] == "403:/private/x:Publishing denied" and "advice" not in reply
    bayeux.engine.owners["fakeclientid"] = Owner("ann")
    assert bayeux.reply(publish("/public"))["successful"] is True
    assert [call[1] for call in bayeux.calls] == ["/public"]


@pytest.mark.parametrize("client_id", [None, "unknown", "NOT-ONE", 5])
def test_a_publisher_without_a_handshake_has_no_user(bayeux, policy, client_id):
    policy.publish("/**")(rule := Asked())
    message = {key: value for key, value in publish(clientId=client_id).items() if value}
    assert bayeux.reply(message)["successful"] is True
    assert [attempt.user for attempt in rule.attempts] == [None]


def test_what_a_rule_takes_out_is_not_passed_on(bayeux, policy):
    policy.publish("/a")(lambda attempt: attempt.take("token") == "secret")
    for ext, stored in (({"token": "secret"}, None), ({"token": "secret", "b": 1}, {"b": 1})):
        assert bayeux.reply(publish(ext=ext))["successful"] is True
        assert orjson.loads(bayeux.calls[-1][2]).get("ext") == stored
    assert bayeux.reply(publish(ext=5))["successful"] is False


def test_nothing_is_published_in_passing_if_anyone_has_to_be_asked(bayeux, policy):
    bayeux.monitor.off("publish")
    assert bayeux.server.can_publish_soon([publish()])
    policy.publish("/far/away")(Asked())
    assert not bayeux.server.can_publish_soon([publish()])


def test_a_rule_for_handshakes_requires_one(bayeux, policy, make_bayeux):
    anonymous = {"channel": "/a", "data": 1}
    assert bayeux.reply(anonymous)["successful"] is True
    policy.handshake(Asked())
    assert bayeux.reply(anonymous)["error"] == "402:clientId:Missing required parameter"
    assert bayeux.reply(publish(clientId="unknown"))["error"] == "401:unknown:Unknown client"
    bayeux.monitor.off("publish")
    assert not bayeux.server.can_publish_soon([anonymous])
    assert bayeux.reply(anonymous, None)["successful"] is True
    lenient = make_bayeux(policy=policy, require_client_id=False)
    assert lenient.reply(anonymous)["successful"] is True


# Strict

@pytest.mark.parametrize(("name", "allowed"), [
    ("/chat/a", True), ("/chat/*", True), ("/chat/**", True), ("/other", False), ("/*", False),
    ("/**", False)])
def test_strict_refuses_what_no_rule_is_all_about(make_bayeux, name, allowed):
    policy = Policy(strict=True)
    policy.subscribe("/chat/**")(Asked())
    assert make_bayeux(policy=policy).reply(subscribe(name))["successful"] is allowed


def test_strict_allows_handshakes_but_publishes_nothing(make_bayeux):
    bayeux = make_bayeux(policy=Policy(strict=True))
    assert bayeux.reply(HANDSHAKE)["successful"] is True
    assert bayeux.reply(publish())["error"] == "403:/a:Publishing denied"


@pytest.mark.parametrize("pattern", ["a", "/a/", "/*/a", "", "/a*"])
def test_a_rule_has_to_be_about_something(policy, pattern):
    with pytest.raises(ValueError, match="neither a channel nor a pattern"):
        policy.subscribe("/a", pattern)


def test_nobody_awaits_a_rule(policy):
    async def rule(attempt: Attempt) -> bool:
        return False
    for add in (policy.handshake, policy.subscribe("/a"), policy.publish("/a")):
        with pytest.raises(ValueError, match="plain function"):
            add(rule)


def test_a_rule_has_to_say_what_it_is_about(policy):
    for add in (policy.subscribe, policy.publish):
        with pytest.raises(ValueError, match="say what the rule is about: @policy"):
            add()
        with pytest.raises(ValueError, match="say what the rule is about: @policy"):
            add(Asked())


def test_store_down(bayeux, policy):
    policy.subscribe("/**")(rule := Asked())
    bayeux.engine.failure = EngineUnavailable("Redis is down")
    bayeux.engine.owner = lambda client_id: bayeux.engine._called("owner")
    bayeux.server._sessions._owner = bayeux.engine.owner
    assert bayeux.reply(subscribe("/a"))["error"] == "500::Internal server error"
    assert rule.attempts == []
