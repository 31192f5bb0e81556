"""``contrib/examples/auth`` under two workers: what strangers and users may do, and signing out."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from playwright.sync_api import Browser, Page
from raw_client import Message, request
from redis import Redis
from visitors import LISTENERS, PASSWORDS, SENDERS, Ear, Visitor

from faye_redis.bayeux.grammar import is_client_id
from faye_redis.engines.ids import new_client_id
from faye_redis.rules import SignedTokens
from support import node_js
from support.browser import chromium
from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "contrib" / "examples" / "auth"
SECRET = "of the tests"
NAMESPACE = f"test-{uuid.uuid4().hex[:12]}"
CONNECTED = "#state[data-state=connected]"
PROMPTLY = 1.0
"""Seconds within which who signs out is away; a connect is held for 25."""

Listen = Callable[..., Ear]

END = {"from": "bob", "text": "end"}


@pytest.fixture(scope="module")
def site(redis_server: RedisServer) -> Iterator[Node]:
    env = {"SECRET_KEY": SECRET, "FAYE_REDIS_URL": redis_server.url,
           "FAYE_REDIS_NAMESPACE": NAMESPACE,
           "FAYE_REDIS_RESTORE_WINDOW": "0"}  # else, on a new store, an id may be known yet
    with Node("app:application", workers=2, env=env, cwd=EXAMPLE) as node:
        yield node


@pytest.fixture(scope="module")
def alice(site: Node) -> Visitor:
    return Visitor(site.url, "alice")


@pytest.fixture(scope="module")
def bob(site: Node) -> Visitor:
    return Visitor(site.url, "bob")


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Make clients that listen, and leave at the end of the test."""
    ears: list[Ear] = []

    def make(visitor: Visitor, transport: str, *subscriptions: str) -> Ear:
        ears.append(Ear(transport, visitor, visitor.client(*subscriptions)))
        return ears[-1]
    yield make
    for ear in ears:
        ear.leave()


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


def said(reply: Message) -> tuple[bool, str | None, str]:
    return reply["successful"], reply.get("error"), reply["advice"]["reconnect"]


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


UNKNOWN, DENIED = "401:{}:Unknown client", "403:/users/alice:Subscription denied"
NOT_SAID = "402:clientId:Missing required parameter"


def errors_for(client_id: Any, exists: bool) -> dict[str, str]:
    """What each of the verbs is answered, said by somebody else."""
    error = UNKNOWN.format(client_id) if client_id else NOT_SAID
    # Rules are asked about subscriptions before it is known whether there is such a client.
    asked = is_client_id(client_id) and not exists
    return {**dict.fromkeys(verbs(client_id), error), **({"subscribe": DENIED} if asked else {})}


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
                == errors_for(client_id, client_id == ear.client_id)
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


# Signing out

@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@contextmanager
def served_by(site: Node, pid: int) -> Iterator[None]:
    """New connections are accepted by this worker alone."""
    others = [other for other in site.worker_pids() if other != pid]
    try:
        for other in others:
            os.kill(other, signal.SIGSTOP)
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def holder(store: Redis, client_id: str) -> int | None:
    """The pid of the worker that holds a client's connection."""
    poll, stream = store.hmget(f"{NAMESPACE}:clients:{client_id}", "poll", "stream")
    server = (poll or stream or "").partition("/")[0]
    pid = store.hget(f"{NAMESPACE}:servers:{server}", "pid")
    return int(pid) if pid else None


@pytest.mark.parametrize("transport", LISTENERS)
@pytest.mark.parametrize(("holding", "signing_out"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_signing_out_ends_the_clients(
    site: Node, store: Redis, transport: str, holding: int, signing_out: int
) -> None:
    visitor, pids = Visitor(site.url, "alice"), site.worker_pids()
    with served_by(site, pids[holding]):
        ear = Ear(transport, visitor, visitor.client("/users/alice"))
        eventually(lambda: holder(store, ear.client_id) == pids[holding])
    cookie = visitor.headers
    with served_by(site, pids[signing_out]):
        assert visitor.form("/sign-out") == 302
    ear.join(PROMPTLY)
    assert not ear.is_alive()

    told = [reply.get("advice") for reply in ear.received]
    assert told == ([] if transport == "eventsource" else [{"reconnect": "none"}])
    assert visitor.headers == {}
    again = {"channel": "/meta/connect", "connectionType": transport, "clientId": ear.client_id}
    for visitor.headers in (cookie, {}):
        assert said(visitor.call(again)) == (False, UNKNOWN.format(ear.client_id), "none")
    assert said(visitor.handshake()) == (False, "403::Not signed in", "none")
    assert store.exists(f"example-{NAMESPACE}:clients:alice") == 0


def test_signing_out_ends_all_clients_of_the_user_and_no_others(
    site: Node, bob: Visitor, listen: Listen
) -> None:
    browsers = [Visitor(site.url, "alice") for _ in range(2)]
    gone = [Ear(transport, visitor, visitor.client("/chat/room"))
            for visitor in browsers for transport in LISTENERS]
    stays = listen(bob, "websocket", "/chat/room")
    assert browsers[0].form("/sign-out") == 302
    for ear in gone:
        ear.join(PROMPTLY)
    assert [ear.is_alive() for ear in gone] == [False] * len(gone)
    bob.publish(stays.client_id, "/chat/room", END)
    eventually(lambda: stays.all_data() == [END])
    assert [ear.all_data() for ear in gone] == [[]] * len(gone)


# Faye's own client

def test_faye_with_a_token(bob: Visitor) -> None:
    assert run_faye(bob, bob.token) == {
        "sent": 1, "handshakes": [True],
        "subscribed": {"/users/bob": "succeeded",
                       "/users/alice": [403, ["/users/alice"], "Subscription denied"]},
    }


def test_faye_without_a_token_is_refused_once(bob: Visitor) -> None:
    assert run_faye(bob, None) == {"sent": 1, "handshakes": [False], "subscribed": {}}


def run_faye(visitor: Visitor, token: str | None) -> Any:
    options = {"url": visitor.mount, "cookie": visitor.headers["Cookie"], "token": token,
               "subscriptions": ["/users/bob", "/users/alice"]}
    return node_js.run("signed_in.js", json.dumps(options))


# In a browser

def test_two_users_in_a_browser(site: Node) -> None:
    with chromium() as browser:
        alice, bob = (sign_in(browser, site, user) for user in ("alice", "bob"))
        second = alice.context.new_page()
        open_page(second, site)
        eventually(lambda: [page.inner_text("#whoami") for page in (alice, bob, second)]
                   == ["alice", "bob", "alice"])
        bob.select_option("select[name=name]", "alice")
        write(bob, "#notifier", "for <b>alice</b>")
        write(bob, "#composer", "for all")
        for page in (alice, second):
            eventually(lambda page=page: items(page) == [["bob: for <b>alice</b>"],
                                                         ["bob: for all"]])
        eventually(lambda: items(bob) == [[], ["bob: for all"]])

        alice.click("text=Sign out")
        alice.wait_for_selector("[name=password]")
        second.wait_for_selector("#state[data-state=refused]")
        assert second.inner_text("#problem") == "Refused by the server: The server has ended " \
            "the session"
        assert second.evaluate("client.socket") is None
        write(bob, "#composer", "still there?")
        eventually(lambda: items(bob) == [[], ["bob: for all", "bob: still there?"]])
        assert items(second) == [["bob: for <b>alice</b>"], ["bob: for all"]]
        second.reload()
        second.wait_for_selector("[name=password]")


def test_a_browser_shows_what_is_refused(site: Node) -> None:
    with chromium() as browser:
        page = sign_in(browser, site, "bob")
        page.evaluate("client.publish('/users/alice', {from: 'bob', text: 'no'})")
        eventually(lambda: page.inner_text("#problem")
                   == "Refused by the server: Publishing denied /users/alice")
        page.context.clear_cookies()
        page.evaluate("client.close(), client.open()")
        page.wait_for_selector("#state[data-state=refused]")
        assert page.inner_text("#problem") == "Refused by the server: Not signed in"
        page.goto(site.url)
        submit_name(page, "bob", "wrong")
        assert page.inner_text("#problem") == "Name or password is wrong"


def sign_in(browser: Browser, site: Node, user: str) -> Page:
    page = browser.new_context().new_page()
    page.goto(site.url)
    submit_name(page, user, PASSWORDS[user])
    page.wait_for_selector(CONNECTED)
    return page


def submit_name(page: Page, user: str, password: str) -> None:
    page.fill("[name=name]", user)
    page.fill("[name=password]", password)
    page.click("button")


def open_page(page: Page, site: Node) -> None:
    page.goto(site.url)
    page.wait_for_selector(CONNECTED)


def write(page: Page, form: str, text: str) -> None:
    page.fill(f"{form} [name=text]", text)
    page.click(f"{form} button")


def items(page: Page) -> list[list[str]]:
    """What the page shows: notifications, chat."""
    return [page.locator(f"{each} li").all_inner_texts() for each in ("#notifications", "#chat")]
