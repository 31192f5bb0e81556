"""A Redis that a module has to itself, to count keys in and to empty; visitors of the example;
pages with the browser client."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pages import START, Open, make_node
from playwright.sync_api import Browser, Page
from redis import Redis
from visitors import EXAMPLE, NAMESPACE, SECRET, Ear, Listen, Visitor

from support.browser import chromium
from support.gunicorn_node import Node
from support.redis_server import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """Empty at the start of each test."""
    with Redis.from_url(server.url, decode_responses=True) as client:
        client.flushall()
        yield client


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


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def nodes(redis_server: RedisServer) -> Iterator[list[Node]]:
    """Pages of any origin may use the first, only its own the second."""
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    with (make_node(redis_server, namespace, FAYE_REDIS_ALLOWED_ORIGINS="*") as one,
          make_node(redis_server, namespace) as two):
        yield [one, two]


@pytest.fixture
def open_page(chrome: Browser) -> Iterator[Open]:
    """Open a window on a page with a client; by default of its own node, and with any transport.

    The parameter ``before`` is a script that runs before the page's own.
    """
    contexts = []

    def open_page(node: Node, transport: str = "", endpoint: str = "/bayeux", token: str = "",
                  before: str = "") -> Page:
        contexts.append(chrome.new_context())
        page = contexts[-1].new_page()
        if before:
            page.add_init_script(before)
        page.goto(node.url)
        page.evaluate(START, [endpoint, transport, token])
        return page
    yield open_page
    for context in contexts:
        context.close()
