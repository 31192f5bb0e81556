"""A page with the browser client, its two nodes, and what a test asks of it."""

from __future__ import annotations

import os
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

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
"""The fixture ``open_page``."""


def make_node(redis_server: RedisServer, namespace: str, **env: str) -> Node:
    imports = os.pathsep.join([str(HERE.parents[1]), str(HERE / "apps")])
    return Node("page:application", workers=2, env={
        "PYTHONPATH": imports, "FAYE_REDIS_URL": redis_server.url,
        "FAYE_REDIS_NAMESPACE": namespace, "FAYE_REDIS_DRAIN_JITTER": "0",
        "FAYE_REDIS_RESTORE_WINDOW": "0",  # else nothing is certain soon after the first start
        **env})


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
