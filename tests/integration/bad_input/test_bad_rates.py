"""Clients that say too much. What comes by one WebSocket has a rate of its own, and what comes by
HTTP one of the client, or of the address if it is from none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from carriers import CARRIERS, Closed, Line, SocketLine, ask
from nodes import worker
from rows import OK, errors
from witness import Witness, check_undisturbed

from support.gunicorn_node import Node

RATE = 5
BURST = 4 * RATE  # may come at once
TOO_MANY = f"429:{RATE}:Too many messages"
PUBLISH = {"channel": "/a", "data": 1}
HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0",
             "supportedConnectionTypes": ["websocket"]}


@pytest.fixture(scope="module")
def options() -> dict[str, str]:
    return {"type": "memory", "max_message_rate": str(RATE)}


@pytest.fixture
def other(node: Node) -> Iterator[Line]:
    with closing(SocketLine(node.port)) as opened:
        yield opened


@pytest.fixture
def client(other: Line) -> str:
    [reply] = other.say(json.dumps(HANDSHAKE))
    client_id: str = reply["clientId"]
    return client_id


def publishes(count: int, client: str) -> str:
    return json.dumps([{**PUBLISH, "clientId": client}] * count)


def test_a_client_may_send_so_many_at_once(
    line: Line, client: str, other: Line, witness: Witness
) -> None:
    assert errors(line.say(publishes(BURST + 5, client))) == [OK] * BURST + [TOO_MANY] * 5
    assert check_undisturbed(other, witness) == [PUBLISH] * BURST


def test_connects_do_not_count(line: Line, client: str) -> None:
    connect = {"channel": "/meta/connect", "clientId": client, "connectionType": "eventsource"}
    publish = {**PUBLISH, "clientId": client}
    messages = [connect, connect, *[publish] * BURST, connect, connect]
    assert errors(line.say(json.dumps(messages))) == [OK] * (BURST + 4)


def test_other_messages_do(line: Line, client: str) -> None:
    say = {"clientId": client, "subscription": "/x"}
    some = [{"channel": f"/meta/{verb}", **say} for verb in ("subscribe", "unsubscribe")]
    assert errors(line.say(json.dumps(some * 10))) == [OK] * BURST
    last = json.dumps([{"channel": "/meta/disconnect", **say}, {**PUBLISH, **say}])
    assert errors(line.say(last)) == [TOO_MANY] * 2


def test_a_socket_that_goes_on_is_closed(
    node: Node, client: str, other: Line, witness: Witness
) -> None:
    with closing(CARRIERS["websocket"](node.port)) as line:
        answers = [line.say(publishes(45, client)) for _ in range(2)]
        assert errors(answers[0]) == [OK] * BURST + [TOO_MANY] * 25
        assert answers[1] == Closed(1008)
    assert check_undisturbed(other, witness) == [PUBLISH] * BURST


def test_handshakes_have_a_rate_of_their_own() -> None:
    """Once in ten seconds, so one and no other."""
    handshake = json.dumps([HANDSHAKE] * 5)
    with worker({"type": "memory", "max_handshake_rate": "0.1"}) as node:
        first = ask(node.port, handshake)
        too_many = "429:0.1:Too many handshakes"
        assert errors(first) == [OK] + [too_many] * 4
        for make in CARRIERS.values():
            with closing(make(node.port)) as line:
                answer = line.say(handshake)
                assert errors(answer) == [too_many] * 5
                for reply in answer:
                    assert "clientId" not in reply
                    assert reply["advice"]["reconnect"] == "handshake"
                    assert 1000 <= reply["advice"]["interval"] < 2000
        subscribe = {"channel": "/meta/subscribe", "clientId": first[0]["clientId"],
                     "subscription": "/a"}
        assert errors(ask(node.port, json.dumps(subscribe))) == [OK]
