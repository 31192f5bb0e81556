"""CometD's official JavaScript client, with and without its acknowledgement extension, and a bare
WebSocket that shows what comes in which frame."""

from __future__ import annotations

import itertools
import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from raw_client import post
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_websocket

from support import node_js
from support.gunicorn_node import Node
from support.nonsense import no_json
from support.processes import end
from support.redis_server import RedisServer

COUNT = 200


@pytest.fixture(scope="module")
def nodes(redis_server: RedisServer) -> Iterator[list[Node]]:
    env = {"FAYE_REDIS_URL": redis_server.url, "FAYE_REDIS_MOUNT": "/cometd",
           "FAYE_REDIS_TIMEOUT": "3", "FAYE_REDIS_ALLOWED_ORIGINS": "*",
           "FAYE_REDIS_NAMESPACE": f"test-{uuid.uuid4().hex[:12]}"}
    with ExitStack() as stack:
        yield [stack.enter_context(Node(env=env, workers=2)) for _ in range(2)]


def options(nodes: list[Node], transport: str, ack: bool, pause: int, **more: Any) -> str:
    return json.dumps({
        "subscriber": f"{nodes[0].url}/cometd", "publisher": f"{nodes[1].url}/cometd",
        "transport": transport, "ack": ack, "count": COUNT, "pause": pause,
        **more})


@pytest.mark.parametrize("ack", [True, False], ids=["ack", "no-ack"])
@pytest.mark.parametrize("transport", ["websocket", "long-polling"])
def test_each_message_once_in_order(nodes: list[Node], transport: str, ack: bool) -> None:
    seen = node_js.run("cometd_client.js", options(nodes, transport, ack, pause=0))
    assert seen["acknowledged"] == list(range(COUNT))
    assert seen["received"] == list(range(COUNT))
    assert (seen["handshakes"], seen["failures"]) == (1, 0)
    assert bool(seen["batches"]) is ack
    assert seen["batches"] == sorted(seen["batches"])


@pytest.mark.parametrize("ack", [True, False], ids=["ack", "no-ack"])
def test_an_error_without_a_channel_is_no_harm(nodes: list[Node], ack: bool) -> None:
    """The client tells of it as of a publish that failed."""
    seen = node_js.run("cometd_client.js", options(nodes, "websocket", ack, pause=0, nonsense="{"))
    assert seen["unsuccessful"] == [{"successful": False, "error": no_json("{")}]
    assert seen["received"] == seen["acknowledged"] == list(range(COUNT))
    assert (seen["handshakes"], seen["failures"]) == (1, 0)


@pytest.mark.parametrize("transport", ["websocket", "long-polling"])
def test_a_killed_worker_loses_nothing(nodes: list[Node], transport: str) -> None:
    process = node_js.start("cometd_client.js", options(nodes, transport, True, pause=10),
                            stderr=subprocess.PIPE)
    try:
        assert process.stderr and process.stderr.readline() == "half\n"
        for pid in nodes[0].worker_pids():
            nodes[0].kill_worker(pid)
        output, errors = process.communicate(timeout=60)
    finally:
        end(process)
    assert process.returncode == 0, errors
    seen: dict[str, Any] = json.loads(output)
    assert seen["failures"] > 0 and len(seen["acknowledged"]) == COUNT
    assert set(seen["acknowledged"]) <= set(seen["received"])
    first = list(dict.fromkeys(seen["received"]))
    assert first == sorted(first)
    assert seen["handshakes"] == 1
    assert len(dict.fromkeys(zip(seen["received"], seen["ids"], strict=True))) == len(first)


class Socket:
    """A client, one that acknowledges unless it is said, over bare WebSockets: what is in which
    frame?"""

    def __init__(self, node: Node, ack: bool = True) -> None:
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self._socket: Any = None
        self.client_id: str | None = None
        self.open(node)
        reply, = self.ask(channel="/meta/handshake", version="1.0", ext={"ack": ack},
                          supportedConnectionTypes=["websocket"])
        assert reply.get("ext") == ({"ack": True} if ack else None)
        self.client_id = reply["clientId"]
        reply, = self.ask(channel="/meta/subscribe", subscription="/a")
        assert reply["successful"]

    def open(self, node: Node) -> None:
        """Go on over a new socket, after closing the one before."""
        self.close()
        url = node.url.replace("http://", "ws://") + "/cometd"
        self._socket = self._stack.enter_context(open_websocket(url, proxy=None))

    def close(self) -> None:
        self._stack.close()

    def say(self, **message: Any) -> None:
        self._socket.send(json.dumps(
            {"id": str(next(self._numbers)), "clientId": self.client_id, **message}))

    def frame(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = json.loads(self._socket.recv(timeout=60))
        return messages

    def ask(self, **message: Any) -> list[dict[str, Any]]:
        self.say(**message)
        return self.frame()

    def connect(self, ack: int) -> None:
        self.say(channel="/meta/connect", connectionType="websocket", ext={"ack": ack})


@pytest.fixture
def client(nodes: list[Node]) -> Iterator[Socket]:
    socket = Socket(nodes[0])
    yield socket
    socket.close()


def publish(nodes: list[Node], data: Any) -> None:
    reply, = post(nodes[1].url + "/cometd", {"channel": "/a", "data": data})
    assert reply["successful"]


def test_reply_and_messages_share_a_frame(nodes: list[Node], client: Socket) -> None:
    client.connect(0)
    publish(nodes, 1)
    reply, message = client.frame()
    assert (reply["channel"], message["data"]) == ("/meta/connect", 1)
    publish(nodes, 2)
    client.connect(reply["ext"]["ack"])
    assert [message["data"] for message in client.frame()[1:]] == [2]


def test_more_can_be_said_while_a_connect_is_held(nodes: list[Node], client: Socket) -> None:
    client.connect(0)
    assert client.ask(channel="/meta/subscribe", subscription="/b")[0]["successful"]
    publish(nodes, 1)
    assert client.frame()[1]["data"] == 1


def test_it_comes_again_over_the_next_socket(nodes: list[Node], client: Socket) -> None:
    client.connect(0)
    publish(nodes, 1)
    lost = client.frame()[1]
    publish(nodes, 2)
    client.open(nodes[1])
    client.connect(0)
    again = client.frame()[1:]
    assert again[0] == lost
    assert [message["data"] for message in again] == [1, 2]


def test_a_socket_that_closes_while_a_connect_is_held(nodes: list[Node], client: Socket) -> None:
    client.connect(0)
    assert client.ask(channel="/meta/subscribe", subscription="/b")[0]["successful"]
    client.open(nodes[1])
    publish(nodes, 1)
    client.connect(0)
    assert client.frame()[1]["data"] == 1


def test_a_client_that_never_agreed_is_served_as_any_other(nodes: list[Node]) -> None:
    client = Socket(nodes[0], ack=False)
    client.connect(0)
    publish(nodes, 1)
    publish(nodes, 2)
    assert [client.frame()[0]["data"] for _ in range(2)] == [1, 2]
    client.close()


def test_the_socket_is_closed_with_its_client(nodes: list[Node], client: Socket) -> None:
    client.connect(0)
    client.say(channel="/meta/disconnect")
    assert {client.frame()[0]["channel"] for _ in range(2)} == {
        "/meta/connect", "/meta/disconnect"}
    with pytest.raises(ConnectionClosed) as closed:
        client.frame()
    assert closed.value.rcvd and closed.value.rcvd.code == 1000
