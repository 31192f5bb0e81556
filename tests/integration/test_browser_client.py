"""The browser client that the server brings, in Chromium, on two nodes of two workers."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from pages import (
    END,
    TRANSPORTS,
    Open,
    channel,
    events,
    finish_publishing,
    heard,
    remove,
    start_publishing,
)

import faye_redis
from support.gunicorn_node import Node
from support.waiting import eventually

BROWSER = Path(faye_redis.__file__).parent / "browser"


# The file

def test_on_a_connection_that_is_kept(nodes: list[Node]) -> None:
    with closing(HTTPConnection("127.0.0.1", nodes[0].port, timeout=30)) as line:
        def ask(method: str, path: str, body: str | None = None, **headers: str) -> Any:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return answer.status, answer.getheader("ETag"), answer.read()
        status, etag, script = ask("GET", "/bayeux.js")
        assert (status, script) == (200, (BROWSER / "client.min.js").read_bytes())
        for _ in range(2):
            assert ask("GET", "/bayeux/client.js", **{"If-None-Match": etag}) == (304, etag, b"")
            assert ask("HEAD", "/bayeux/client.js") == (200, etag, b"")
            answer = ask("POST", "/bayeux", "[]", **{"Content-Type": "application/json"})
            assert answer == (200, None, b"[]")
            assert ask("GET", "/bayeux/../client.js")[0] == 404
            assert ask("GET", "/bayeux/%2e%2e/browser/client.js")[0] == 404


# Messages

@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_message_once(nodes: list[Node], open_page: Open, transport: str) -> None:
    name = channel()
    listener, sender = open_page(nodes[0], transport), open_page(nodes[1], transport)
    listener.evaluate("(name) => listen(name + '/a')", name)
    start_publishing(sender, name + "/a", 100)
    finish_publishing(sender, name + "/a", 100)
    assert heard(listener) == [*range(100), END]
    for page in (listener, sender):
        assert page.evaluate("client.connectionType") == transport
        assert events(page) == ["transport:up"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_matching_listener_hears_once(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name, page = channel(), open_page(nodes[0], transport)
    page.evaluate("""(name) => Promise.all(['/**', '/*', '/a', '/b', '/a/**'].map((end) =>
      client.subscribe(name + end, function (data) { this.push(end + data); }, heard)))""", name)
    page.evaluate("(name) => client.publish(name + '/a', 1)", name)
    page.evaluate("(name) => client.publish(name + '/b', 'end')", name)
    assert heard(page, until="/**end") == ["/a1", "/*1", "/**1", "/bend", "/*end", "/**end"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_has_unsubscribed_hears_nothing(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name, page = channel(), open_page(nodes[0], transport)
    page.evaluate("""async (name) => {
      window.both = [1, 2].map(
        (n) => client.subscribe(name + '/a', (data) => heard.push(n + data)));
      await Promise.all([...both, listen(name + '/b', name + '/end')]);
      window.came = [];
      client.addExtension({ incoming(message, callback) {
        if ('data' in message) came.push(message.data);
        callback(message);
      } });
      both[0].cancel();
      client.publish(name + '/a', 'a');
    }""", name)
    heard(page, until="2a")
    page.evaluate("""async (name) => {
      client.unsubscribe(name + '/b');
      both[1].cancel();
      for (const end of ['/a', '/b', '/end']) await client.publish(name + end, 'end');
    }""", name)
    assert heard(page) == ["2a", END]
    assert page.evaluate("came") == ["a", END]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_batches_are_acknowledged(nodes: list[Node], open_page: Open, transport: str) -> None:
    name, page = channel(), open_page(nodes[0], transport)
    page.evaluate("""() => {
      const ext = window.ext = { out: [], in: [] };
      client.addExtension({
        incoming(message, callback) {
          if (message.channel === '/meta/connect') ext.in.push(message.ext.ack);
          callback(message);
        }
      });
    }""")
    page.evaluate("(name) => listen(name)", name)
    for data in (1, 2, END):
        page.evaluate("([name, data]) => client.publish(name, data)", [name, data])
        heard(page, until=data)
    assert heard(page) == [1, 2, END]
    eventually(lambda: len(page.evaluate("ext.in")) >= 4)
    batches = page.evaluate("ext.in")
    assert batches == sorted(batches) and len(set(batches)) >= 3


# Extensions and refusals

@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_extension_brings_the_token(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    ann, eve = open_page(nodes[0], transport, token="ann"), open_page(nodes[0], transport)
    publish = "outcome(client.publish('/locked/door', 'open'))"
    assert ann.evaluate(publish) == "done"
    assert eve.evaluate(publish) == [403, ["/locked/door"], "Only ann: nobody else"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_extension_may_take_its_time_and_drop(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name, page = channel(), open_page(nodes[0], transport)
    page.evaluate("""() => {
      const later = (message, callback, dropped) =>
        setTimeout(() => callback(message.data === dropped ? null : message), 5);
      window.extension = {
        outgoing(message, callback) { later(message, callback, 'unsaid'); },
        incoming(message, callback) { later(message, callback, 'unheard'); },
        added(client) { events.push(client === window.client); },
        removed(client) { events.push(client === window.client); }
      };
      client.addExtension(extension);
    }""")
    page.evaluate("(name) => listen(name)", name)
    publish = "([name, data]) => outcome(client.publish(name, data))"
    sent = [page.evaluate(publish, [name, data]) for data in ("unsaid", "unheard", "heard")]
    assert sent == [[404, [""], "message_deleted"], "done", "done"]
    assert heard(page, until="heard") == ["heard"]
    page.evaluate("client.removeExtension(extension); client.removeExtension(extension)")
    assert [page.evaluate(publish, [name, data]) for data in ("unheard", END)] == ["done"] * 2
    assert heard(page) == ["heard", "unheard", END]
    assert events(page) == [True, "transport:up", True]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_listener_that_fails_stops_nobody(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name, page = channel(), open_page(nodes[0], transport)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(error.message))
    page.evaluate("""(name) => {
      client.subscribe(name, () => { throw new Error('by a listener'); });
      return listen(name);
    }""", name)
    for data in (1, END):
        page.evaluate("([name, data]) => client.publish(name, data)", [name, data])
    assert heard(page) == [1, END]
    eventually(lambda: page.evaluate("0") or len(errors) == 2)  # events come with an answer
    assert errors == ["by a listener"] * 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_refused_subscription(nodes: list[Node], open_page: Open, transport: str) -> None:
    page = open_page(nodes[0], transport)
    both = page.evaluate(
        "Promise.all([1, 2].map((n) => outcome(client.subscribe('/secret/door', heard.push))))")
    assert both == [[403, ["/secret/door"], "Subscription denied"]] * 2
    assert events(page) == ["transport:up", "refused 403:/secret/door:Subscription denied"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_refused_handshake_is_the_end(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    page = open_page(nodes[0], transport, token="stolen")
    said = [403, [""], "This token is stolen"]
    for call in ("connect()", "publish('/a', 1)", "subscribe('/a')"):
        assert page.evaluate(f"outcome(client.{call})") == said, call
        assert page.evaluate("client.clientId") is None
    assert page.evaluate("outcome(client.connect())") == said  # a page may try again
    assert events(page)[-1] == "stopped 403::This token is stolen"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_kicked_client_stays_away(nodes: list[Node], open_page: Open, transport: str) -> None:
    page = open_page(nodes[0], transport)
    page.evaluate("(name) => listen(name)", channel())
    client_id = page.evaluate("client.clientId")
    remove(nodes[1], page, "kick")
    eventually(lambda: len(events(page)) > 1)
    held, between = "403::The server has ended the session", f"401:{client_id}:Unknown client"
    assert events(page) in [["transport:up", f"stopped {said}"] for said in (held, between)]
    assert page.evaluate("client.clientId") is None
    assert page.evaluate("outcome(client.publish('/a', 1))")[0] in (401, 403)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_too_big_is_refused_alone(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name, page = channel(), open_page(nodes[0], transport)
    page.evaluate("(name) => listen(name)", name)
    sent = page.evaluate("""(name) => Promise.all([1, 'x'.repeat(2 ** 21), 2, 'end'].map(
      (data) => outcome(client.publish(name, data))))""", name)
    assert sent == ["done", [413, [""], "Message too big"], "done", "done"]
    assert heard(page) == [1, 2, END]


# Transports

def test_a_page_of_another_origin(nodes: list[Node], open_page: Open) -> None:
    name = channel()
    for transport in TRANSPORTS:
        page = open_page(nodes[1], transport, nodes[0].url + "/bayeux")
        page.evaluate("(name) => listen(name)", name)
        page.evaluate("(name) => client.publish(name, 'end')", name)
        assert heard(page) == [END]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_page_of_a_foreign_origin_is_refused(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    page = open_page(nodes[0], transport, nodes[1].url + "/bayeux")
    page.evaluate("void client.connect()")
    eventually(lambda: events(page) == ["transport:down"])
    assert page.evaluate("client.clientId") is None


@pytest.mark.parametrize("broken", [
    "delete window.WebSocket",
    "window.WebSocket = class { constructor() { throw new Error('insecure'); } }",
    """window.WebSocket = class {
      constructor() { setTimeout(() => this.onclose && this.onclose({ code: 1006 })); }
      close() {}
    }""",
])
def test_without_websockets_it_polls(nodes: list[Node], open_page: Open, broken: str) -> None:
    name, page = channel(), open_page(nodes[0], before=broken)
    page.evaluate("(name) => listen(name)", name)
    page.evaluate("(name) => client.publish(name, 'end')", name)
    assert heard(page) == [END]
    assert page.evaluate("client.connectionType") == "long-polling"


def test_as_a_module(nodes: list[Node], open_page: Open) -> None:
    page = open_page(nodes[1])
    assert page.evaluate("""async (url) => {
      const { Client, VERSION } = await import(url);
      const client = new Client('/bayeux');
      await client.publish('/a', 1);
      await client.disconnect();
      return VERSION === Faye.VERSION;
    }""", nodes[0].url + "/bayeux/client.mjs")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_disconnect(nodes: list[Node], open_page: Open, transport: str) -> None:
    page = open_page(nodes[0], transport)
    page.evaluate("(name) => listen(name)", channel())
    page.evaluate("client.disconnect()")
    assert page.evaluate("client.clientId") is None
    assert page.evaluate("outcome(client.publish('/a', 1))") == [
        None, [], "The client has disconnected"]
    page.evaluate("client.connect()")
    assert page.evaluate("outcome(client.publish('/a', 1))") == "done"
    assert events(page) == ["transport:up", "transport:up"]
