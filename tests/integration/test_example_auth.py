"""``contrib/examples/auth`` under two workers: what strangers and users may do."""

from __future__ import annotations

import time
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from raw_client import Message, request
from visitors import END, LISTENERS, SECRET, SENDERS, UNKNOWN, Ear, Listen, Visitor, said

from faye_redis.engines.ids import new_client_id
from faye_redis.rules import SignedTokens
from support.gunicorn_node import Node
from support.waiting import eventually

# Handshakes

def old_token(monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(TimestampSigner, "get_timestamp", lambda self: int(time.time()) - 3601)
        return SignedTokens(SECRET, None).make("alice")


@pytest.mark.parametrize("transport", SENDERS)
def test_a_stranger_is_refused(
    site: Node, alice: Visitor, bob: Visitor, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, dot, signature = alice.token.rpartition(".")
    other_user = SignedTokens(SECRET, None).make("bob").partition(".")[0]
    cases = {
        "": "Token missing",
        "alice": "Invalid token",
        f"{head}{dot}x{signature}": "Invalid token",
        alice.token.replace(head.partition(".")[0], other_user, 1): "Invalid token",
        SignedTokens("guessed", None).make("alice"): "Invalid token",
        old_token(monkeypatch): "Token expired",
    }
    seen = [said(visitor.handshake(transport, token))
            for visitor in (Visitor(site.url), alice) for token in cases]
    assert seen == [(False, f"403::{text}", "none") for text in cases.values()] * 2


@pytest.mark.parametrize("transport", SENDERS)
def test_a_token_needs_the_session_of_its_user(
    site: Node, alice: Visitor, bob: Visitor, transport: str
) -> None:
    refused = (False, "403::Not signed in", "none")
    assert said(Visitor(site.url).handshake(transport, alice.token)) == refused
    assert said(bob.handshake(transport, alice.token)) == refused
    assert said(alice.handshake(transport)) == (True, None, "retry")


@pytest.mark.parametrize(("name", "password"), [("alice", "builder"), ("eve", ""), ("", "")])
def test_who_does_not_know_the_password_has_no_session(
    site: Node, name: str, password: str
) -> None:
    visitor = Visitor(site.url)
    assert visitor.form("/sign-in", name=name, password=password) == 403
    assert visitor.headers == {}
    assert visitor.form("/notify/alice", text="from nobody") == 403


# Client ids of others

def verbs(client_id: Any) -> dict[str, Message]:
    """All that can be said in the name of a client; None: without saying whose."""
    named = {} if client_id is None else {"clientId": client_id}
    return {
        "subscribe": {"channel": "/meta/subscribe", "subscription": "/users/alice", **named},
        "unsubscribe": {"channel": "/meta/unsubscribe", "subscription": "/users/alice", **named},
        "publish": {"channel": "/chat/room", "data": {"from": "alice", "text": "no"}, **named},
        "whoami": {"channel": "/service/whoami", "data": {}, **named},
        "connect": {"channel": "/meta/connect", "connectionType": "long-polling", **named},
        "disconnect": {"channel": "/meta/disconnect", **named},
    }


NOT_SAID = "402:clientId:Missing required parameter"


def errors_for(client_id: Any) -> dict[str, str]:
    """What each of the verbs is answered, said by somebody else."""
    error = UNKNOWN.format(client_id) if client_id else NOT_SAID
    return dict.fromkeys(verbs(client_id), error)


@pytest.mark.parametrize("listening", LISTENERS)
@pytest.mark.parametrize("transport", SENDERS)
def test_a_client_id_is_of_no_use_to_others(
    site: Node, alice: Visitor, bob: Visitor, listen: Listen, transport: str, listening: str
) -> None:
    ear = listen(alice, listening, "/users/alice", "/chat/room")
    forger = Visitor(site.url)
    forger.headers = {"Cookie": alice.headers["Cookie"][:-1]}
    for attacker in (Visitor(site.url), forger, bob):
        for client_id in (ear.client_id, new_client_id(), "x", None):
            replies = {verb: attacker.call(message, transport)
                       for verb, message in verbs(client_id).items()}
            assert {verb: reply["error"] for verb, reply in replies.items()} \
                == errors_for(client_id)
            assert replies["connect"]["advice"]["reconnect"] == "handshake"
    assert gets_exactly_what_is_sent(ear, bob)


def test_a_stream_of_somebody_elses_client_is_refused(
    site: Node, alice: Visitor, bob: Visitor, listen: Listen
) -> None:
    ear = listen(alice, "eventsource", "/users/alice", "/chat/room")
    accept = {"Accept": "text/event-stream"}
    seen = [request(f"{site.url}/bayeux/{client_id}", headers={**headers, **accept})[0].status
            for headers in ({}, bob.headers) for client_id in (ear.client_id, new_client_id(), "x")]
    assert seen == [404] * 6
    assert gets_exactly_what_is_sent(ear, bob)


def gets_exactly_what_is_sent(ear: Ear, bob: Visitor) -> bool:
    """Alice, who hears both channels, gets each message once, and nothing that was sent before."""
    assert bob.form("/notify/alice", text="one") == 204
    assert bob.form("/notify/alice", text="end") == 204
    reply, = bob.publish(bob.client(), "/chat/room", END)
    assert reply["successful"], reply
    eventually(lambda: END in ear.data("/chat/room") and END in ear.data("/users/alice"))
    assert ear.data("/chat/room") == [END]
    assert ear.data("/users/alice") == [{"from": "bob", "text": "one"}, END]
    return True


# What a user may do

@pytest.mark.parametrize("transport", LISTENERS)
def test_a_user_gets_own_notifications(
    alice: Visitor, bob: Visitor, listen: Listen, transport: str
) -> None:
    ear = listen(alice, transport, "/users/alice")
    for number in range(5):
        assert bob.form("/notify/bob", text="not for alice") == 204
        assert bob.form("/notify/alice", text=str(number)) == 204
        eventually(lambda number=number: len(ear.data("/users/alice")) > number)
    assert ear.data("/users/alice") == [{"from": "bob", "text": str(n)} for n in range(5)]
    assert len(ear.all_data()) == 5


def test_nobody_is_notified_who_does_not_exist(alice: Visitor) -> None:
    assert alice.form("/notify/eve", text="hello") == 404


SUBSCRIPTIONS = {  # -> what the error names
    "/users/bob": "/users/bob",
    "/users/*": "/users/*",
    "/users/**": "/users/**",
    "/users": "/users",
    "/users/alice/more": "/users/alice/more",
    "/*": "/*",
    "/**": "/**",
    "/chat/*": "/chat/*",
    "/chat/**": "/chat/**",
    "/other": "/other",
    ("/chat/room", "/users/bob"): "/users/bob",
    ("/users/alice", "/**"): "/**",
    ("/users/*", "/users/alice"): "/users/*",
}


@pytest.mark.parametrize("transport", SENDERS)
def test_a_user_may_not_hear_others(
    alice: Visitor, bob: Visitor, listen: Listen, transport: str
) -> None:
    ear = listen(alice, "websocket")
    replies = [alice.call({"channel": "/meta/subscribe", "clientId": ear.client_id,
                           "subscription": wanted}, transport) for wanted in SUBSCRIPTIONS]
    assert [reply["error"] for reply in replies] \
        == [f"403:{named}:Subscription denied" for named in SUBSCRIPTIONS.values()]

    # Of a list that is refused nothing is subscribed.
    assert bob.form("/notify/bob", text="no") == bob.form("/notify/alice", text="no") == 204
    bob.publish(bob.client(), "/chat/room", {"from": "bob", "text": "no"})
    assert alice.subscribe(ear.client_id, "/users/alice")["successful"]
    assert bob.form("/notify/alice", text="end") == 204
    eventually(lambda: ear.data("/users/alice"))
    assert ear.all_data() == [END]


PUBLICATIONS = [
    ("/users/alice", {"from": "alice"}),
    ("/users/bob", {"from": "alice"}),
    ("/users/bob/more", {"from": "alice"}),
    ("/chat/room", {"from": "bob"}),
    ("/chat/room", {}),
    ("/chat/room", "text"),
    ("/chat/other", {"from": "alice"}),
    ("/service/other", {}),
    ("/other", None),
]


@pytest.mark.parametrize("transport", SENDERS)
def test_a_user_may_not_publish_as_the_application(
    alice: Visitor, bob: Visitor, listen: Listen, transport: str
) -> None:
    ears = [listen(alice, "websocket", "/users/alice", "/chat/room"),
            listen(bob, "websocket", "/users/bob", "/chat/room")]
    client_id = ears[0].client_id
    replies = [alice.call({"channel": channel, "data": data, "clientId": client_id}, transport)
               for channel, data in PUBLICATIONS]
    assert [reply["error"] for reply in replies] \
        == [f"403:{channel}:Publishing denied" for channel, _ in PUBLICATIONS]
    allowed = {"from": "alice", "text": "end"}
    reply = alice.call({"channel": "/chat/room", "data": allowed, "clientId": client_id}, transport)
    assert reply["successful"]
    for ear in ears:
        eventually(lambda ear=ear: ear.data("/chat/room"))
        assert ear.all_data() == [allowed]


@pytest.mark.parametrize("transport", SENDERS)
def test_the_server_tells_who_one_is(bob: Visitor, transport: str) -> None:
    message = {"channel": "/service/whoami", "data": {}, "clientId": bob.client(), "id": "7"}
    reply, *answer = bob.send(message, transport)
    assert reply["successful"]
    if transport != "websocket":  # there the answer may come in a frame of its own
        assert answer == [{"channel": "/service/whoami", "data": {"user": "bob"}, "id": "7"}]
