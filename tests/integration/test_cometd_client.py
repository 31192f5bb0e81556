"""CometD's official JavaScript client, with and without its acknowledgement extension."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from support import node_js
from support.gunicorn_node import Node
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


def options(nodes: list[Node], transport: str, ack: bool, pause: int) -> str:
    return json.dumps({
        "subscriber": f"{nodes[0].url}/cometd", "publisher": f"{nodes[1].url}/cometd",
        "transport": transport, "ack": ack, "count": COUNT, "pause": pause})


@pytest.mark.parametrize("ack", [True, False], ids=["ack", "no-ack"])
@pytest.mark.parametrize("transport", ["websocket", "long-polling"])
def test_each_message_once_in_order(nodes: list[Node], transport: str, ack: bool) -> None:
    seen = node_js.run("cometd_client.js", options(nodes, transport, ack, pause=0))
    assert seen["acknowledged"] == list(range(COUNT))
    assert seen["received"] == list(range(COUNT))
    assert seen["handshakes"] == 1


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
    assert set(seen["acknowledged"]) <= set(seen["received"])
    first = list(dict.fromkeys(seen["received"]))
    assert first == sorted(first)
    assert seen["handshakes"] == 1
    assert len(dict.fromkeys(zip(seen["received"], seen["ids"], strict=True))) == len(first)
