"""Redis goes away and comes back, under workers that keep running."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from raw_client import post

from support.gunicorn_node import Node
from support.redis_server import RedisServer
from support.waiting import eventually

HANDSHAKE = {"channel": "/meta/handshake", "version": "1.0", "id": "1",
             "supportedConnectionTypes": ["long-polling"]}


@pytest.fixture
def store() -> Iterator[RedisServer]:
    """Not running yet."""
    server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.close()


@pytest.fixture
def node(store: RedisServer) -> Iterator[Node]:
    env = {"FAYE_REDIS_URL": store.url, "FAYE_REDIS_MOUNT": "/faye", "FAYE_REDIS_TIMEOUT": "2",
           "FAYE_REDIS_NAMESPACE": f"test-{uuid.uuid4().hex[:12]}"}
    with Node(env=env, workers=2) as node:
        yield node


def say(node: Node, **message: Any) -> list[dict[str, Any]]:
    return post(node.url + "/faye", message)


def works(node: Node) -> bool:
    return bool(say(node, **HANDSHAKE)[0]["successful"])


def round_trip(node: Node, client_id: str, number: int) -> list[Any]:
    """The data that one connect is answered with."""
    reply, *messages = say(node, channel="/meta/connect", clientId=client_id, id=str(number),
                           connectionType="long-polling")
    assert reply["successful"], reply
    return [message["data"] for message in messages]


def test_workers_start_without_redis_and_work_as_soon_as_it_is_there(
    node: Node, store: RedisServer
) -> None:
    workers = node.worker_pids()
    refused, = say(node, **HANDSHAKE)
    assert refused["error"] == "500::Internal server error"
    assert refused["advice"]["reconnect"] == "retry" and refused["advice"]["interval"] >= 1000
    published, = say(node, channel="/a", data=1, id="1")
    assert published["error"] == "407:/a:Failed to publish"
    with store:
        eventually(lambda: works(node), timeout=20)
        client_id = say(node, **HANDSHAKE)[0]["clientId"]
        say(node, channel="/meta/subscribe", clientId=client_id, subscription="/a")
        assert say(node, channel="/a", data="there")[0]["successful"]
        assert round_trip(node, client_id, 1) == ["there"]
        assert node.worker_pids() == workers


def test_a_session_survives_a_restart_of_redis_that_keeps_its_data(
    node: Node, store: RedisServer
) -> None:
    with store:
        eventually(lambda: works(node), timeout=20)
        client_id = say(node, **HANDSHAKE)[0]["clientId"]
        say(node, channel="/meta/subscribe", clientId=client_id, subscription="/a")
        assert round_trip(node, client_id, 1) == []
        say(node, channel="/a", data="before")
        store.stop()
        assert say(node, channel="/a", data="lost", id="1")[0]["successful"] is False
        store.start()
        eventually(lambda: works(node), timeout=20)
        say(node, channel="/a", data="after")
        got: list[Any] = []
        for number in range(2, 6):
            got += round_trip(node, client_id, number)
        assert got == ["before", "after"]
