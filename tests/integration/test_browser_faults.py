"""What the browser client makes of broken connections, in Chromium."""

from __future__ import annotations

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
from raw_client import post

from support.gunicorn_node import Node
from support.waiting import eventually

FAKE = """
  window.sockets = [];  // every one that is opened
  window.how = '';  // what becomes of the next ones: 'refused', or else 'mute' what they send
  const Real = WebSocket;
  window.WebSocket = class extends Real {
    constructor(url) {
      super(window.how === 'refused' ? url.replace('/bayeux', '/nothing') : url);
      sockets.push(this);
    }
    send(data) { if (window.how !== 'mute') super.send(data); }
  };
"""

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


def test_after_five_refused_websockets_it_polls(nodes: list[Node], open_page: Open) -> None:
    name, page = channel(), open_page(nodes[0], before=FAKE)
    page.evaluate("(name) => listen(name)", name)
    client_id = page.evaluate("client.clientId")
    page.evaluate("how = 'refused'; sockets[0].close()")
    assert page.evaluate("(name) => outcome(client.publish(name, 'end'))", name) == "done"
    assert heard(page) == [END]
    assert page.evaluate("[sockets.length, client.connectionType]") == [1 + 5, "long-polling"]
    assert page.evaluate("client.clientId") == client_id
    assert events(page) == ["transport:up", "transport:down", "transport:up"]


def test_a_websocket_that_says_nothing_is_given_up(nodes: list[Node], open_page: Open) -> None:
    page = open_page(nodes[0], before=FAKE + "how = 'mute';")
    page.evaluate("client = new Faye.Client('/bayeux', { timeout: 0.5 })")
    assert page.evaluate("outcome(client.publish('/a', 1))") == "done"
    assert page.evaluate("[sockets.length, client.connectionType]") == [1, "long-polling"]


def test_what_was_not_answered_is_sent_again_with_the_same_id(
    nodes: list[Node], open_page: Open
) -> None:
    name, page, other = channel(), open_page(nodes[0], before=FAKE), open_page(nodes[1])
    for one in (page, other):
        one.evaluate("(name) => listen(name)", name)
    page.evaluate("""(name) => {
      sockets[0].onmessage = () => {};  // answers and messages are lost
      window.published = Promise.all([1, 2].map((data) => outcome(client.publish(name, data))));
    }""", name)
    assert heard(other, until=2) == [1, 2]
    page.evaluate("sockets[0].close()")
    assert page.evaluate("published") == ["done", "done"]
    page.evaluate("(name) => client.publish(name, 'end')", name)
    assert heard(page) == heard(other) == [1, 2, END]


@pytest.mark.parametrize("options", ["{ attempts: 1 }", "{ deadline: 0.001 }"])
def test_what_is_sent_once_is_refused_in_the_end(
    nodes: list[Node], open_page: Open, options: str
) -> None:
    page = open_page(nodes[0], "websocket", before=FAKE)
    page.evaluate("client.connect()")
    page.evaluate(f"""() => {{
      how = 'mute';
      window.published = outcome(client.publish('/a', 1, {options}));
      setTimeout(() => {{ how = ''; sockets[0].close(); }}, 10);
    }}""")
    assert page.evaluate("published") == [408, [""], "Not answered in time"]
    assert page.evaluate("outcome(client.publish('/a', 1))") == "done"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_page_that_goes_says_goodbye(
    nodes: list[Node], open_page: Open, transport: str
) -> None:
    page = open_page(nodes[0], transport)
    page.evaluate("client.connect()")
    client_id = page.evaluate("client.clientId")
    unsubscribe = {"channel": "/meta/unsubscribe", "clientId": client_id, "subscription": "/a"}
    assert post(nodes[1].url + "/bayeux", unsubscribe)[0]["successful"]
    page.close()
    eventually(lambda: not post(nodes[1].url + "/bayeux", unsubscribe)[0]["successful"])
