"""Clients that want too many subscriptions, or take too long."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from carriers import MOUNT, HttpLine, Line, json_body
from nodes import worker
from raw_client import PATIENCE, RawClient
from refusals import check_refusal
from rows import OK, errors
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_websocket
from wire import answer, chunked, head, post, received
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node

BODY_TIMEOUT = "0.5"
PUBLISH = {"channel": "/a", "data": 1}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    options = {"type": "memory", "max_subscriptions": "8", "max_wildcards": "3", "timeout": "0.5",
               "body_timeout": BODY_TIMEOUT, "ping": "0.5"}
    with worker(options, "--keep-alive", "1") as running:
        yield running


@pytest.fixture
def other(node: Node) -> Iterator[Line]:
    with closing(HttpLine(node.port, json_body)) as opened:
        yield opened


# Subscriptions: the channels of each request of one client, and the error

A_TO_H = [f"/{letter}" for letter in "abcdefgh"]
FULL = "409:8:Too many subscriptions"
TOO_WILD = "409:3:Too many wildcard subscriptions"
SUBSCRIPTIONS: dict[str, list[tuple[list[str], str]]] = {
    "in one request": [([*A_TO_H, "/i"], FULL), (A_TO_H, OK)],
    "over all requests": [(A_TO_H[:7], OK), (["/h", "/i"], FULL), (["/h"], OK), (["/i"], FULL)],
    "the same again": [(A_TO_H, OK), (A_TO_H, OK), (["/a", "/a"], OK), (["/i"], FULL)],
    "wildcards": [(["/a/*", "/a/**", "/*"], OK), (["/**"], TOO_WILD), (["/a"], OK)],
    "wildcards in one request": [(["/a", "/*", "/a/*", "/b/*", "/c/*"], TOO_WILD), (A_TO_H, OK)],
    "wildcards count as subscriptions": [(["/a/*", "/b/*"], OK), (A_TO_H[:7], FULL)],
    "a thousand": [([f"/{number}" for number in range(1000)], FULL), (A_TO_H, OK)],
}


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_subscriptions(
    name: str, carrier: str, line: Line, node: Node, witness: Witness
) -> None:
    """All of a request, or none."""
    client = RawClient([node.url + MOUNT])
    for channels, error in SUBSCRIPTIONS[name]:
        answer = line.say(json.dumps([{"channel": "/meta/subscribe", "subscription": channels,
                                       "clientId": client.client_id}]))
        if carrier == "callback-polling" and len(channels) == 1000:
            assert answer.status == 414
        else:
            assert errors(answer) == [error]
    assert check_undisturbed(line, witness) == []


# Deadlines

GOOD = json.dumps(PUBLISH).encode()
SLOW_BODIES = {
    "nothing of it": post(b"", length=10),
    "all but a byte": post(GOOD, length=len(GOOD) + 1),
    "a form": post(b"message=", kind="text/plain", length=100),
    "no chunk": chunked(end=b""),
    "half a chunk": chunked(end=b"ff\r\n["),
    "chunks without an end": chunked(GOOD, end=b""),
}


@pytest.mark.parametrize("body", SLOW_BODIES)
def test_a_slow_body(body: str, node: Node, other: Line, witness: Witness) -> None:
    with socket.create_connection(("127.0.0.1", node.port), PATIENCE) as sock:
        sock.sendall(SLOW_BODIES[body])
        assert check_undisturbed(other, witness) == []
        check_refusal(answer(sock), 408, ["body_timeout", BODY_TIMEOUT])
        assert received(sock) == b""


def test_a_slow_body_behind_other_requests(node: Node, other: Line, witness: Witness) -> None:
    with socket.create_connection(("127.0.0.1", node.port), PATIENCE) as sock:
        for _ in range(3):
            sock.sendall(post(GOOD))
            assert answer(sock).status == 200
        sock.sendall(post(GOOD)[:-1])
        check_refusal(answer(sock), 408, ["body_timeout", BODY_TIMEOUT])
    assert check_undisturbed(other, witness) == [PUBLISH] * 3


def test_slow_heads_are_cut_off(node: Node, other: Line, witness: Witness) -> None:
    """After gunicorn's ``keepalive``."""
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", node.port), PATIENCE))
                for _ in range(50)]
        for sock in slow:
            sock.sendall(head(f"POST {MOUNT}")[:-3])
        assert check_undisturbed(other, witness) == []
        assert {received(sock) for sock in slow} == {b""}


def test_a_socket_that_says_nothing_is_closed(node: Node) -> None:
    """After twice ``timeout``, by the next ping."""
    url = f"ws://127.0.0.1:{node.port}{MOUNT}"
    with open_websocket(url, proxy=None) as peer, pytest.raises(ConnectionClosed) as closed:
        peer.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "no message")
