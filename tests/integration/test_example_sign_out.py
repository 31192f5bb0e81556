"""``contrib/examples/auth`` under two workers: signing out, Faye's own client, and a browser."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from redis import Redis
from visitors import END, LISTENERS, NAMESPACE, PASSWORDS, UNKNOWN, Ear, Listen, Visitor, said

from support import node_js
from support.browser import chromium
from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

CONNECTED = "#state[data-state=connected]"
PROMPTLY = 1.0
"""Seconds within which who signs out is away; a connect is held for 25."""


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


def test_only_clients_that_are_there_are_remembered(alice: Visitor, store: Redis) -> None:
    clients = f"example-{NAMESPACE}:clients:alice"
    leaving, staying = (Ear("long-polling", alice, alice.client()) for _ in range(2))
    assert store.smembers(clients) == {leaving.client_id, staying.client_id}
    leaving.leave()
    assert store.smembers(clients) == {staying.client_id}
    staying.leave()
    assert store.smembers(clients) == set()


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
