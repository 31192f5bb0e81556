"""Passwords, tokens, cookies, ``ext`` and data are in no log, at any level, whatever fails."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_websocket

from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

SECRETS = {name: f"canary-{name}" for name in ("password", "token", "cookie", "data", "header")}
HEADERS = {"Cookie": f"session={SECRETS['cookie']}", "Authorization": SECRETS["header"],
           "X-Token": SECRETS["token"]}
TYPES = ["long-polling", "websocket", "eventsource", "callback-polling"]
EXT = {"token": SECRETS["token"], "more": SECRETS["token"]}
HELLO = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": TYPES,
         "ext": EXT, "id": "1"}
FAILURES = ["rule", "extension", "json", "type"]


@pytest.fixture(scope="module")
def secured() -> Iterator[RedisServer]:
    with RedisServer("--requirepass", SECRETS["password"]) as server:
        yield server


@pytest.fixture(scope="module")
def node(secured: RedisServer) -> Iterator[Node]:
    env = {"FAYE_REDIS_URL": f"redis://:{SECRETS['password']}@127.0.0.1:{secured.port}/0",
           "FAYE_REDIS_LOG_LEVEL": "debug", "FAYE_REDIS_MAX_MESSAGE_SIZE": "10000",
           "FAYE_REDIS_MAX_RETRIES": "1", "FAYE_REDIS_RETRY_DELAY": "0.1"}
    apps = Path(__file__).parent / "apps"
    with Node("careless:application", workers=1, env=env, cwd=apps) as running:
        yield running


class Browser:
    """Says secrets in everything it sends."""

    def __init__(self, node: Node) -> None:
        self._port = node.port
        self.headers = {**HEADERS, "Content-Type": "application/json"}
        self.client_id = ""

    def request(self, method: str, path: str, body: str | bytes = b"", **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        connection.request(method, path, body, {**self.headers, **headers})
        response = connection.getresponse()
        self._keep(response.getheader("Set-Cookie", ""))
        data = response.read()
        connection.close()
        return response.status, data

    def _keep(self, cookie: str) -> None:
        if cookie:
            self.headers["Cookie"] += "; " + cookie.split(";")[0]

    def send(self, *messages: Any) -> list[Any]:
        status, data = self.request("POST", "/bayeux", json.dumps(messages))
        assert status == 200, data
        replies: list[Any] = json.loads(data)
        return replies

    def shake_hands(self) -> None:
        [reply] = self.send(HELLO)
        self.client_id = reply["clientId"]

    def message(self, channel: str, **fields: Any) -> dict[str, Any]:
        return {"channel": channel, "clientId": self.client_id, "ext": EXT, "id": "2", **fields}

    def publish(self, channel: str) -> dict[str, Any]:
        return self.message(channel, data={"text": SECRETS["data"]})


@pytest.fixture(scope="module")
def browser(node: Node) -> Browser:
    browser = Browser(node)
    browser.shake_hands()
    return browser


def nothing_told(node: Node, *words: str) -> None:
    """``words`` are in the log, which shows that it was told of; secrets are not."""
    eventually(lambda: all(word in node.log for word in words))
    for secret in SECRETS.values():
        assert secret not in node.log


def everything_that_fails(browser: Browser) -> list[dict[str, Any]]:
    return [*(browser.publish(f"/fails/{what}") for what in FAILURES),
            browser.publish("/service/fails"), browser.publish("/bad name"),
            browser.message("/meta/subscribe", subscription=[SECRETS["data"]]),
            browser.publish("/fine"), browser.publish("/meta/unknown")]


LOGGED = ["/fails/rule failed", "a rule failed", "extension Extension failed",
          "an extension failed", "called back with str", "a handler failed", "a listener failed"]


def test_what_is_sent(node: Node, browser: Browser) -> None:
    replies = browser.send(*everything_that_fails(browser))
    assert [reply["successful"] for reply in replies] == [*[False] * 7, True, False]
    nothing_told(node, *LOGGED)


def test_what_is_sent_by_websocket(node: Node, browser: Browser) -> None:
    url = f"ws://127.0.0.1:{node.port}/bayeux"
    with open_websocket(url, additional_headers=browser.headers, proxy=None) as socket:
        socket.send(json.dumps(everything_that_fails(browser)))
        assert len(json.loads(socket.recv(10))) == 9
        socket.send('{"broken": "' + SECRETS["data"])
        [refusal] = json.loads(socket.recv(10))
        assert refusal.keys() == {"successful", "error"} and SECRETS["data"] not in refusal["error"]
        socket.send(SECRETS["data"].encode() + b"\xff", text=True)
        with pytest.raises(ConnectionClosed):
            socket.recv(10)
    nothing_told(node, "WebSocket message refused (400)")


def test_what_is_sent_by_json_p(node: Node, browser: Browser) -> None:
    message = quote(json.dumps(everything_that_fails(browser)))
    assert browser.request("GET", f"/bayeux?message={message}&jsonp=f")[0] == 200
    for query in (f"message={SECRETS['data']}", f"message={message}&jsonp=f", SECRETS["data"]):
        status, _ = browser.request("GET", f"/bayeux?{query}", Origin="https://evil.com")
        assert status == 403
        assert browser.request("GET", f"/bayeux?jsonp=a-b&{query}")[0] == 400
    nothing_told(node, "not in allowed_origins", "invalid JSON-P callback")


@pytest.mark.parametrize(("body", "status"), [
    (SECRETS["data"], 400), (json.dumps(SECRETS["data"]), 400), ('{"a":"' + SECRETS["data"], 400),
    (SECRETS["data"].encode() + b"\xff", 400), (json.dumps([SECRETS["data"]]), 400),
    (SECRETS["data"] * 1000, 413), (json.dumps([{"a": SECRETS["data"]}] * 101), 413)])
def test_what_is_refused(node: Node, browser: Browser, body: str, status: int) -> None:
    assert browser.request("POST", "/bayeux", body)[0] == status
    assert browser.request("POST", "/bayeux", body, **{"Content-Type": "text/plain"})[0] in (
        400, 413)
    nothing_told(node, f"request refused ({status})")


def test_strangers(node: Node, browser: Browser) -> None:
    stranger = Browser(node)
    stranger.client_id = browser.client_id
    replies = stranger.send(*everything_that_fails(stranger))
    assert not any(reply["successful"] for reply in replies)
    status, _ = stranger.request("GET", f"/bayeux/{browser.client_id}", Accept="text/event-stream")
    assert status == 404
    nothing_told(node, "is bound to somebody else than who uses it")
    assert browser.client_id not in node.log


def is_back(browser: Browser) -> bool:
    """Redis has lost its data, and the browser begins anew."""
    return bool(browser.send(HELLO)[0]["successful"])


def test_a_store_that_is_down(node: Node, browser: Browser, secured: RedisServer) -> None:
    secured.stop()
    replies = browser.send(*everything_that_fails(browser))
    assert not any(reply["successful"] for reply in replies)
    secured.start()
    eventually(lambda: is_back(browser), timeout=30)
    nothing_told(node, "/fine failed", "pub/sub connection lost")


def test_the_end(node: Node) -> None:
    assert node.stop() == 0
    nothing_told(node)
