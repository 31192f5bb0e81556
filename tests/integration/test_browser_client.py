"""The browser client that the server brings, in Chromium, on two nodes of two workers."""

from __future__ import annotations

import os
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from support.browser import chromium
from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

HERE = Path(__file__).resolve().parent
TRANSPORTS = ["websocket", "long-polling"]
END = "end"

START = """async ([endpoint, type, token]) => {
  window.client = new Faye.Client(endpoint, { retry: 0.5 });
  window.heard = [];
  window.events = [];
  const others = ['websocket', 'long-polling'].filter((other) => type && other !== type);
  others.forEach((other) => client.disable(other));
  for (const event of ['transport:up', 'transport:down', 'refused', 'stopped']) {
    client.on(event, (error) => events.push(error ? `${event} ${error}` : event));
  }
  if (token) client.addExtension({
    outgoing(message, callback) {
      if (message.channel === '/meta/handshake') message.ext = { token };
      callback(message);
    }
  });
  window.listen = (...channels) => Promise.all(client.subscribe(channels).map(
    (one) => one.withChannel((channel, data) => heard.push(data))));
  window.outcome = (promise) => promise.then(
    () => 'done', (error) => [error.code, error.params, error.message]);
  // `count` numbers, a few milliseconds apart, whatever happens meanwhile
  window.publishNumbers = async (channel, count, first = 0) => {
    window.outcomes = [];
    for (let number = first; number < first + count; number++) {
      outcome(client.publish(channel, number)).then((how) => outcomes.push(how));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
}"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def make_node(redis_server: RedisServer, namespace: str, **env: str) -> Node:
    imports = os.pathsep.join([str(HERE.parents[1]), str(HERE / "apps")])
    return Node("page:application", workers=2, env={
        "PYTHONPATH": imports, "FAYE_REDIS_URL": redis_server.url,
        "FAYE_REDIS_NAMESPACE": namespace, "FAYE_REDIS_DRAIN_JITTER": "0", **env})


@pytest.fixture(scope="module")
def nodes(redis_server: RedisServer) -> Iterator[list[Node]]:
    """Pages of any origin may use the first, only its own the second."""
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    with (make_node(redis_server, namespace, FAYE_REDIS_ALLOWED_ORIGINS="*") as one,
          make_node(redis_server, namespace) as two):
        yield [one, two]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a window on a page with a client; by default of its own node, and with any transport."""
    contexts = []

    def open_page(node: Node, transport: str = "", endpoint: str = "/bayeux", token: str = "",
                  before: str = "") -> Page:
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        if before:
            page.add_init_script(before)
        page.goto(node.url)
        page.evaluate(START, [endpoint, transport, token])
        return page
    yield open_page
    for context in contexts:
        context.close()


def channel() -> str:
    return f"/{uuid.uuid4().hex[:12]}"


def heard(page: Page, *, until: Any = END) -> list[Any]:
    """What the page has been told, once the last of it has come."""
    eventually(lambda: until in page.evaluate("heard"), timeout=30)
    return page.evaluate("heard")  # type: ignore[no-any-return]


def events(page: Page) -> list[str]:
    return page.evaluate("events")  # type: ignore[no-any-return]


def start_publishing(page: Page, name: str, count: int, first: int = 0) -> None:
    """Publish numbers; see ``publishNumbers``."""
    page.evaluate("(args) => void publishNumbers(...args)", [name, count, first])


def finish_publishing(page: Page, name: str, count: int) -> None:
    """Wait until each number has been acknowledged, and publish the end."""
    eventually(lambda: len(page.evaluate("outcomes")) == count, timeout=60)
    assert set(page.evaluate("outcomes")) == {"done"}
    assert page.evaluate("(name) => outcome(client.publish(name, 'end'))", name) == "done"


def remove(node: Node, page: Page, how: str) -> None:
    """Kick or expire the client of a page."""
    client_id = page.evaluate("client.clientId")
    with urllib.request.urlopen(f"{node.url}/{how}?{client_id}", b""):
        pass


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
    remove(nodes[1], page, "kick")
    eventually(lambda: any(event.startswith("stopped 4") for event in events(page)))
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


# Faults

@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_lost_session_is_begun_again(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name, page = channel(), open_page(nodes[0], transport)
    page.evaluate("(name) => listen(name)", name)
    first = page.evaluate("client.clientId")
    remove(nodes[1], page, "expire")
    assert page.evaluate("(name) => outcome(client.publish(name, 'end'))", name) == "done"
    assert heard(page) == [END]
    assert page.evaluate("client.clientId") != first


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_killed_workers_lose_and_double_nothing(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name = channel()
    listener, sender = open_page(nodes[0], transport), open_page(nodes[0], transport)
    listener.evaluate("(name) => listen(name)", name)
    start_publishing(sender, name, 300)
    for count, pid in zip((20, 60), nodes[0].worker_pids(), strict=True):
        heard(listener, until=count)
        nodes[0].kill_worker(pid)
    finish_publishing(sender, name, 300)
    assert heard(listener) == [*range(300), END]
    if transport == "websocket":  # Chromium repeats by itself what it sent on a kept connection
        assert "transport:down" in events(listener)
        assert "transport:down" in events(sender)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_restarted_node_loses_and_doubles_nothing(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    name = channel()
    listener, near, far = (open_page(node, transport) for node in (nodes[0], nodes[0], nodes[1]))
    listener.evaluate("(name) => listen(name + '/**')", name)
    start_publishing(near, name + "/near", 200)
    start_publishing(far, name + "/far", 200, first=1000)
    heard(listener, until=20)
    nodes[0].stop()
    nodes[0].start()
    finish_publishing(far, name + "/far", 200)
    finish_publishing(near, name + "/near", 200)
    eventually(lambda: listener.evaluate("heard").count(END) == 2, timeout=30)
    numbers = [data for data in listener.evaluate("heard") if data != END]
    assert [number for number in numbers if number < 1000] == list(range(200))
    assert [number for number in numbers if number >= 1000] == list(range(1000, 1200))
    for page in (listener, near):
        downs = events(page).count("transport:down")
        assert downs > 0
        assert events(page) == ["transport:up", *["transport:down", "transport:up"] * downs]
